package sshpool

import (
	"context"
	"net"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"
)

// Config describes the hosts and the limits of a Pool.
type Config struct {
	// Hosts by the name that Run takes.
	Hosts map[string]Host

	// KnownHosts lists the known_hosts files, in order; the first is the one
	// that AcceptNew writes to. Empty: ssh_config's UserKnownHostsFile for a host
	// with an Alias, otherwise ~/.ssh/known_hosts; and /etc/ssh/ssh_known_hosts.
	// ~ is found through $HOME. A file that does not exist is an empty one.
	KnownHosts []string
	// SSHConfig lists ssh_config files for hosts that name an alias. Empty:
	// ~/.ssh/config and /etc/ssh/ssh_config, where each may be missing.
	SSHConfig []string

	// The three clocks, each with its own error. A Command can set its own.
	QueueTimeout   time.Duration // waiting for a session slot; 0: 30 s
	ConnectTimeout time.Duration // TCP, handshake and authentication; 0: 15 s
	RunTimeout     time.Duration // from exec to exit; 0: 60 s
	// KillGrace lies between TERM and KILL; 0: 5 s.
	KillGrace time.Duration

	// A connection is dead after KeepaliveCount unanswered keepalives.
	KeepaliveInterval time.Duration // 0: 15 s
	KeepaliveCount    int           // 0: 3

	// OutputHead and OutputTail bound what is kept of each of stdout and
	// stderr, in bytes. 0: 32 KiB and 96 KiB.
	OutputHead, OutputTail int

	// MaxSessions is where the learned session limit starts; 0: 10, OpenSSH's default.
	MaxSessions int
	// SpareSessions is how many sessions are kept open on a connection for
	// commands to come, which then cost one round trip instead of two; 0: 8, the
	// founding use's commands at once; negative: none. Two of the learned limit's
	// slots stay free, so that a server with MaxSessions 2 has none, and a line
	// that ran nothing for 10 minutes keeps one. See "Spare sessions" in the
	// package comment for what they cost.
	SpareSessions int
	// MaxConnections per host; 0: 1. More is a choice, never a fallback.
	MaxConnections int
	// MaxDials bounds handshakes in flight over all hosts; 0: 10.
	MaxDials int

	// OnEvent, if set, is called for every event, in the order they happen
	// for one host, from the pool's goroutines. It must not block, and it must
	// not call Run or Shutdown.
	OnEvent func(Event)

	// Dial opens the transport; nil: net.Dialer. Tests and proxies set it.
	// With ProxyJump it opens the way to the first hop only.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Host says how one host is reached. The zero value is not usable.
type Host struct {
	// Address is "host" or "host:port".
	Address string
	// User on the host; "": from ssh_config if there is an Alias, then $USER.
	User string
	// Alias takes everything that is not set here from ssh_config's Host of
	// that name: HostName, Port, User, IdentityFile, IdentitiesOnly,
	// IdentityAgent, ProxyJump, UserKnownHostsFile, HostKeyAlias, and
	// StrictHostKeyChecking if it says accept-new (yes is the default here, and
	// no is not followed).
	Alias string
	// IdentityFiles are private keys, tried in order, all in one attempt; each
	// must exist. Empty: ssh_config's, then whatever is there of
	// ~/.ssh/id_ed25519, id_ecdsa and id_rsa. A certificate beside a key, in
	// FILE-cert.pub, is offered before the key.
	IdentityFiles []string
	// Passphrase opens an encrypted identity file; nil: such a file is an error
	// that says so.
	Passphrase func(file string) ([]byte, error)
	// AgentSocket of ssh-agent; "": $SSH_AUTH_SOCK; "none": no agent.
	AgentSocket string
	// Signers are used before files and agent; for tests and hardware.
	Signers []ssh.Signer
	// ProxyJump lists hops, first hop first: names of Config.Hosts, or
	// [user@]host[:port].
	ProxyJump []string
	// HostKeys says what an unknown host key means. The zero value refuses it.
	HostKeys HostKeyPolicy
	// ForcedCommand says that the account runs one command of the host's own
	// (command= in authorized_keys, ForceCommand), whatever it is asked for.
	// Nothing but the caller's commands is sent to it then: what a kill leaves
	// behind is not looked for.
	ForcedCommand bool
	// Local runs commands on this machine, without SSH.
	Local bool
}

// HostKeyPolicy is what to do with a host key that known_hosts does not know.
// A changed or revoked key is an error under every policy.
type HostKeyPolicy int

const (
	HostKeysStrict    HostKeyPolicy = iota // refuse
	HostKeysAcceptNew                      // write it to known_hosts, use it
)

// withDefaults copies the configuration, fills in what is zero and checks the
// rest. The hosts are checked when they are resolved.
func (c Config) withDefaults() (Config, error) {
	c.KnownHosts, c.SSHConfig = slices.Clone(c.KnownHosts), slices.Clone(c.SSHConfig)
	durations := []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"QueueTimeout", &c.QueueTimeout, 30 * time.Second},
		{"ConnectTimeout", &c.ConnectTimeout, 15 * time.Second},
		{"RunTimeout", &c.RunTimeout, 60 * time.Second},
		{"KillGrace", &c.KillGrace, 5 * time.Second},
		{"KeepaliveInterval", &c.KeepaliveInterval, 15 * time.Second},
	}
	for _, d := range durations {
		if *d.value < 0 {
			return c, configError("", "Config.%s is %v, want 0 or more", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	numbers := []struct {
		name  string
		value *int
		def   int
	}{
		{"KeepaliveCount", &c.KeepaliveCount, 3},
		{"OutputHead", &c.OutputHead, 32 << 10},
		{"OutputTail", &c.OutputTail, 96 << 10},
		{"MaxSessions", &c.MaxSessions, 10},
		{"MaxConnections", &c.MaxConnections, 1},
		{"MaxDials", &c.MaxDials, 10},
	}
	for _, n := range numbers {
		if *n.value < 0 {
			return c, configError("", "Config.%s is %d, want 0 or more", n.name, *n.value)
		}
		if *n.value == 0 {
			*n.value = n.def
		}
	}
	switch {
	case c.SpareSessions == 0:
		c.SpareSessions = 8
	case c.SpareSessions < 0:
		c.SpareSessions = 0
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	return c, nil
}

// healthySilence is the longest that a connection can have been silent if it
// lives: a keepalive is sent at the first tick after an interval of silence.
func (c Config) healthySilence() time.Duration {
	return c.KeepaliveInterval + keepaliveTick(c.KeepaliveInterval) + time.Second
}

// liveness is how long a peer may be silent before its connection is dead.
func (c Config) liveness() time.Duration {
	return c.KeepaliveInterval * time.Duration(c.KeepaliveCount)
}
