package config

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"os"
	"reflect"
	"slices"
	"time"

	"lifeline"
)

// List is a list of texts that may be written as one text in the file.
type List []string

// Duration is a time span, in the file a Go duration: 30s, 5m, 1h30m.
type Duration time.Duration

// D is the span as the standard library's type.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String is the shortest Go duration: 10m, not 10m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if len(s) > 2 && s[len(s)-2:] == "0s" && s[len(s)-3] == 'm' {
		s = s[:len(s)-2]
	}
	if len(s) > 2 && s[len(s)-2:] == "0m" && s[len(s)-3] == 'h' {
		s = s[:len(s)-2]
	}
	return s
}

// MarshalText writes what Parse reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Default is the configuration of an empty file. It has no host, so it is not
// yet a valid one.
func Default() Config {
	return Config{
		SSH: SSH{
			HostKeys:          "strict",
			QueueTimeout:      Duration(30 * time.Second),
			ConnectTimeout:    Duration(15 * time.Second),
			RunTimeout:        Duration(60 * time.Second),
			KillGrace:         Duration(5 * time.Second),
			KeepaliveInterval: Duration(15 * time.Second),
			KeepaliveCount:    3,
			MaxSessions:       10,
			MaxDials:          10,
		},
		Model: Model{
			Provider:       "anthropic",
			Name:           "claude-haiku-5-5",
			MaxTokens:      4096,
			RequestTimeout: Duration(2 * time.Minute),
			Budget: Budget{Turns: 20, Tokens: 200_000, Time: Duration(10 * time.Minute),
				IncidentTokens: 600_000, DayTokens: 5_000_000},
			Second: Second{MaxTokens: 4096, RequestTimeout: Duration(2 * time.Minute)},
		},
		Store:  Store{URL: "sqlite:lifeline.db"},
		Node:   Node{Heartbeat: Duration(time.Second), Lease: Duration(10 * time.Second)},
		Listen: "127.0.0.1:8674",
		Access: Access{
			Pages:   true,
			OIDC:    OIDC{Scopes: List{"openid", "profile", "email"}, RoleClaim: "groups"},
			Session: AccessSession{Idle: Duration(12 * time.Hour), Longest: Duration(7 * 24 * time.Hour)},
		},
		Responder: "auto",
		Respond: Respond{
			MaxChanges:            2,
			AttemptWindow:         Duration(6 * time.Hour),
			MaxPerHost:            3,
			MaxChangesPerHostHour: 6,
			MaxChangesPerDay:      50,
			ApprovalTimeout:       Duration(30 * time.Minute),
			ContainAfter:          1,
			ContainAfterUnknown:   3,
			MaxAttempts:           3,
			VerifyFor:             Duration(10 * time.Second),
			VerifyTimeout:         Duration(60 * time.Second),
			AlertTimeout:          Duration(5 * time.Minute),
		},
		Triage: Triage{
			Storm:    TriageStorm{After: 5, Window: Duration(time.Minute)},
			Flapping: TriageFlapping{After: 3, Window: Duration(30 * time.Minute)},
		},
		Notify: Notify{Digest: Digest{After: 10, Every: Duration(5 * time.Minute)}},
		Log:    Log{Format: "text", Level: "info"},
	}
}

// defaultHost is a host of which only the name is written.
func defaultHost() Host { return Host{Mode: lifeline.ModeObserve} }

// defaultChannel is a channel of which only the name is written.
func defaultChannel() NotifyChannel { return NotifyChannel{Rate: "10/1m"} }

// defaultCheck is a check of which nothing is written.
func defaultCheck() Check { return Check{Timeout: Duration(lifeline.CheckTimeout)} }

// unwritten is what an element of a list or of a map has where nothing is written.
func unwritten(t reflect.Type) reflect.Value {
	switch t {
	case reflect.TypeFor[Host]():
		return reflect.ValueOf(defaultHost())
	case reflect.TypeFor[NotifyChannel]():
		return reflect.ValueOf(defaultChannel())
	case reflect.TypeFor[Check]():
		return reflect.ValueOf(defaultCheck())
	}
	return reflect.Zero(t)
}

// HostNames lists the configured hosts in order.
func (c *Config) HostNames() []string { return slices.Sorted(maps.Keys(c.Hosts)) }

// NodeName is this process's name among the nodes: node.name, otherwise the
// machine's hostname.
func (c *Config) NodeName() (string, error) {
	if c.Node.Name != "" {
		return c.Node.Name, nil
	}
	name, err := os.Hostname()
	if err != nil || !validName(name) {
		return "", &lifeline.Error{Code: lifeline.CodeConfig, Message: fmt.Sprintf("the hostname %q is no name for a node", name), Err: err,
			Hint: "add to " + c.File() + ": node: {name: …}"}
	}
	return name, nil
}

// PinnedNodes lists, in order, the nodes that hosts are pinned to.
func (c *Config) PinnedNodes() []string {
	var names []string
	for _, h := range c.Hosts {
		if h.Node != "" {
			names = append(names, h.Node)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TargetHosts gives the configured host for what alerts may call it besides its
// name: the keys of targets.hosts, and the hosts' addresses without their port.
// An address that several hosts share, or that means whoever uses it, such as
// localhost, names none of them.
func (c *Config) TargetHosts() map[string]string {
	byAddress := map[string]string{}
	for _, name := range c.HostNames() {
		address := c.Hosts[name].Address
		if host, _, err := net.SplitHostPort(address); err == nil {
			address = host
		}
		if address == "" || loopback(address) {
			continue
		}
		if _, shared := byAddress[address]; shared {
			name = ""
		}
		byAddress[address] = name
	}
	maps.DeleteFunc(byAddress, func(address, name string) bool {
		_, isName := c.Hosts[address]
		return name == "" || isName
	})
	maps.Copy(byAddress, c.Targets.Hosts)
	return byAddress
}

// AddressOf is the address under which a host is reached, without its port: its
// own, localhost for a local one, and otherwise its name.
func (c *Config) AddressOf(name string) string {
	h := c.Hosts[name]
	address := h.Address
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	switch {
	case address != "":
		return address
	case h.Local:
		return "localhost"
	}
	return name
}

// File is the path of the file that was read, as it was given; "lifeline.yaml"
// for a configuration that came from code.
func (c *Config) File() string {
	if c.src == nil {
		return "lifeline.yaml"
	}
	return cmp.Or(c.src.name, "lifeline.yaml")
}
