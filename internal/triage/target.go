package triage

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"lifeline"
)

// Config says which labels name a host and a thing on it. Empty lists take the
// defaults, which name the labels of the common exporters.
type Config struct {
	// Hosts are the configured names.
	Hosts []string
	// HostLabels are looked at in this order, then "instance". The first that an
	// alert has decides, as it is or without its port.
	HostLabels []string
	// HostMap gives the host for a label's value that is not its name.
	HostMap         map[string]string
	ContainerLabels []string
	UnitLabels      []string
	MountLabels     []string
	// Routes are tried in order; the first that an alert matches decides.
	Routes []Route
	// Damping keeps many alerts from being as many incidents.
	Damping lifeline.Damping
}

// routes makes the routes ready to be used.
func (c Config) routes() ([]route, error) {
	routes := make([]route, len(c.Routes))
	for i, r := range c.Routes {
		var err error
		if routes[i], err = newRoute(i, r); err != nil {
			return nil, &lifeline.Error{Code: lifeline.CodeConfig, Message: fmt.Sprintf("triage.routes[%d]", i), Err: err}
		}
		if host := r.Target.Host; host != "" && !strings.HasPrefix(host, labelPrefix) && !slices.Contains(c.Hosts, host) {
			return nil, &lifeline.Error{Code: lifeline.CodeConfig,
				Message: fmt.Sprintf("triage.routes[%d].target.host: no host %q is configured", i, host),
				Hint:    "configured hosts: " + strings.Join(c.Hosts, ", ")}
		}
	}
	return routes, nil
}

func (c Config) validate() error {
	d := c.Damping
	if d.StormAfter > 0 && d.StormWindow <= 0 || d.FlapAfter > 0 && d.FlapWindow <= 0 {
		return &lifeline.Error{Code: lifeline.CodeConfig, Message: "triage.storm and triage.flapping need a window", Hint: "triage.storm.window: 1m"}
	}
	for _, value := range slices.Sorted(maps.Keys(c.HostMap)) {
		if host := c.HostMap[value]; !slices.Contains(c.Hosts, host) {
			return &lifeline.Error{Code: lifeline.CodeConfig,
				Message: fmt.Sprintf("targets.hosts maps %q to %q, which is not a configured host", value, host),
				Hint:    "configured hosts: " + strings.Join(c.Hosts, ", ")}
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	def := func(list *[]string, labels ...string) {
		if len(*list) == 0 {
			*list = labels
		}
	}
	def(&c.HostLabels, "host", "hostname", "nodename", "node", "machine", "server")
	def(&c.ContainerLabels, "container", "container_name")
	def(&c.UnitLabels, "unit", "systemd_unit")
	def(&c.MountLabels, "mountpoint", "mount")
	return c
}

// Resolve finds the thing that the alert is about. A zero Host is the explicit
// "no known host": a person decides then, not a guess.
func (c Config) Resolve(a lifeline.Alert) lifeline.Target {
	c = c.withDefaults()
	t := lifeline.Target{Host: c.host(a)}
	t.Kind, t.Name = c.thing(a)
	return t
}

// host asks one label only: an alert that names an unknown machine and comes
// from the exporter of a known one is not about the known one.
func (c Config) host(a lifeline.Alert) string {
	return c.known(first(a, append(slices.Clone(c.HostLabels), "instance")))
}

// known is the configured host that a label's value means; "" if there is none.
func (c Config) known(value string) string {
	if value == "" {
		return ""
	}
	for _, candidate := range []string{value, withoutPort(value)} {
		if host, ok := c.HostMap[candidate]; ok {
			return host
		}
		if slices.Contains(c.Hosts, candidate) {
			return candidate
		}
	}
	return ""
}

// withoutPort is "nexus" for "nexus:9100".
func withoutPort(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		return host
	}
	return s
}

func (c Config) thing(a lifeline.Alert) (lifeline.TargetKind, string) {
	if name := first(a, c.ContainerLabels); name != "" {
		return lifeline.TargetContainer, strings.TrimPrefix(name, "/")
	}
	if name := first(a, c.UnitLabels); name != "" {
		return lifeline.TargetUnit, name
	}
	if name := first(a, c.MountLabels); name != "" {
		return lifeline.TargetFilesystem, name
	}
	// cAdvisor and the systemd exporters both use "name": what the alert calls
	// itself tells them apart.
	name, about := strings.TrimPrefix(a.Labels["name"], "/"), strings.ToLower(a.Name)
	switch {
	case name == "":
	case strings.HasSuffix(name, ".service") || strings.HasSuffix(name, ".timer") || strings.HasSuffix(name, ".socket"):
		return lifeline.TargetUnit, name
	case strings.Contains(about, "container") || strings.Contains(about, "docker"):
		return lifeline.TargetContainer, name
	case strings.Contains(about, "systemd") || strings.Contains(about, "unit"):
		return lifeline.TargetUnit, name
	}
	return lifeline.TargetHost, ""
}

func first(a lifeline.Alert, labels []string) string {
	for _, l := range labels {
		if v := a.Labels[l]; v != "" {
			return v
		}
	}
	return ""
}

// Key names the fixable thing: alerts with the same key are one incident while
// it is open. Four containers on one host are four keys; a changed port, pod
// identifier, value or severity is not a new fault. An alert whose host is not
// known keeps what its sender calls the machine, so that two unknown machines
// are not one incident. One about a host as a whole, from a sender that watches
// it with several monitors, keeps which of them it was: they look at different
// things that have no name here.
func Key(a lifeline.Alert, t lifeline.Target) string {
	parts := []string{a.Name, t.Host, string(t.Kind), t.Name}
	if t.Host == "" {
		for _, label := range []string{"host", "hostname", "nodename", "node", "machine", "server", "instance", "job"} {
			if v := a.Labels[label]; v != "" {
				parts = append(parts, label+"="+withoutPort(v))
			}
		}
	}
	if id := a.Labels["monitor_id"]; id != "" && t.Host != "" && t.Kind == lifeline.TargetHost {
		parts = append(parts, "monitor="+id)
	}
	for i, p := range parts {
		parts[i] = quoted(p)
	}
	return strings.Join(parts, "|")
}

// quoted is a part of a key in which nothing is taken for the end of it.
func quoted(part string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`).Replace(part)
}
