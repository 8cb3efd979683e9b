package config

import "lifeline"

// The comments of this file, and of types_*.go beside it, are the configuration's
// reference. The tag "is" says more about a value than its Go type: path, dir or
// url.

// Config is the whole of lifeline.yaml.
type Config struct {
	// Hosts are the machines that Lifeline may reach, by the name that alerts,
	// commands and pages use for them: letters, digits, dots, dashes and
	// underscores. Required: without a host there is nothing to do.
	Hosts map[string]Host `yaml:"hosts"`
	// SSH says how all hosts are reached: files, clocks and limits.
	SSH SSH `yaml:"ssh"`
	// Model is the language model that investigates. Without a key for it, the
	// runbooks work alone.
	Model Model `yaml:"model"`
	// Store is the database that holds alerts, incidents, commands and events.
	Store Store `yaml:"store"`
	// Node says who this process is among several on one Postgres.
	Node Node `yaml:"node"`
	// Listen is the address of the pages, the API, the webhook, the metrics and the
	// health checks, host:port. An address that other machines can reach needs the
	// webhook's authentication, and somebody who may sign in.
	Listen string `yaml:"listen"`
	// PublicURL is the address at which people reach Lifeline from outside, such
	// as https://lifeline.example.net: links in messages begin with it. Empty:
	// messages have no links, but the command to type instead.
	PublicURL string `yaml:"public_url" is:"url"`
	// Access says who may see the pages and use the API, and how they are reached.
	// See docs/access.md.
	Access Access `yaml:"access"`
	// Webhook says who may post alerts, and in which shapes.
	Webhook Webhook `yaml:"webhook"`
	// Notify says who is told what, and how. Empty: nobody is told anything.
	Notify Notify `yaml:"notify"`
	// Responder says who works an incident: auto takes the model if there is a
	// key for it and the runbooks otherwise; model refuses to start without a
	// key; runbook never asks a model.
	Responder string `yaml:"responder" jsonschema:"enum=auto,enum=model,enum=runbook"`
	// Respond bounds the work on one incident.
	Respond Respond `yaml:"respond"`
	// Runbooks is a folder with runbooks of your own. One that has the name of a
	// shipped runbook replaces it. Empty: the shipped ones only.
	Runbooks string `yaml:"runbooks" is:"path"`
	// Checks are checks of your own of whether a thing works, made after an
	// attempt besides Lifeline's look at it and those of the runbook. All that
	// match the alert and its target must be good. See docs/verification.md.
	Checks []Check `yaml:"checks"`
	// Prometheus is the server that the prometheus queries of checks go to.
	Prometheus Prometheus `yaml:"prometheus"`
	// Alertmanager is asked whether an alert still fires, instead of waiting for
	// its webhook to say so, and may be told about repairs.
	Alertmanager Alertmanager `yaml:"alertmanager"`
	// Targets says how an alert's labels name a host and the thing on it.
	Targets Targets `yaml:"targets"`
	// Triage says which alerts belong together, and keeps many alerts from being
	// as many incidents. docs/triage.md explains it with examples.
	Triage Triage `yaml:"triage"`
	// Policy holds your rules about commands, besides the built-in policy.
	Policy Policy `yaml:"policy"`
	// Protect names what no change may touch, on any host, whatever the rules
	// say.
	Protect Protect `yaml:"protect"`
	// Log says how the log looks. It goes to standard error.
	Log Log `yaml:"log"`

	src *source // where the values stood; nil if they came from code
}

// Host is one machine. It needs one of address, ssh_config and local.
type Host struct {
	// Address is the host's name or IP address, or host:port. An IPv6 address
	// with a port is written [address]:port.
	Address string `yaml:"address"`
	// User is the account on the host. Empty: what ssh_config says, otherwise
	// $USER.
	User string `yaml:"user"`
	// Identity is the private key file, or a list of them in the order in which
	// they are tried. Empty: what ssh_config says, otherwise ~/.ssh/id_ed25519,
	// id_ecdsa and id_rsa. Keys of ssh-agent are used too.
	Identity List `yaml:"identity" is:"path"`
	// SSHConfig is an alias of ~/.ssh/config: whatever is not set here is taken
	// from there.
	SSHConfig string `yaml:"ssh_config"`
	// ProxyJump lists the jump hosts, first hop first: names of hosts, or
	// [user@]host[:port].
	ProxyJump List `yaml:"proxy_jump"`
	// HostKeys says what to do with a host key that known_hosts does not know:
	// strict refuses it, accept-new writes it down and uses it. A changed key is
	// refused by both. Empty: what ssh.host_keys says.
	HostKeys string `yaml:"host_keys" jsonschema:"enum=strict,enum=accept-new"`
	// ForcedCommand says that the account runs one command, whatever is asked for
	// (command= in its authorized_keys, ForceCommand in sshd_config): nothing else
	// is then started to end what ran out of time.
	ForcedCommand bool `yaml:"forced_command"`
	// Local means the machine that Lifeline runs on: commands run without SSH.
	Local bool `yaml:"local"`
	// Node pins the host to a node: while that node is alive, no other one opens a
	// connection to the host. Empty: every node may.
	Node string `yaml:"node"`
	// Mode is how much Lifeline may do by itself: observe reads and changes
	// nothing; suggest reads, and asks a person before each change; auto makes
	// the reversible changes that the policy allows.
	Mode lifeline.Mode `yaml:"mode" jsonschema:"enum=observe,enum=suggest,enum=auto"`
}

// SSH is how hosts are reached.
type SSH struct {
	// KnownHosts lists the known_hosts files; a new key is written to the first.
	// Empty: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts.
	KnownHosts List `yaml:"known_hosts" is:"path"`
	// Config lists the ssh_config files for hosts that name an alias. Empty:
	// ~/.ssh/config and /etc/ssh/ssh_config.
	Config List `yaml:"config" is:"path"`
	// HostKeys says what to do with an unknown host key on all hosts that do not
	// say it themselves: strict or accept-new.
	HostKeys string `yaml:"host_keys" jsonschema:"enum=strict,enum=accept-new"`
	// QueueTimeout bounds the wait for a free session on the host's connection.
	QueueTimeout Duration `yaml:"queue_timeout"`
	// ConnectTimeout bounds TCP, handshake and authentication together.
	ConnectTimeout Duration `yaml:"connect_timeout"`
	// RunTimeout bounds a command that names no timeout of its own, from its
	// start to its end. Waiting and connecting do not count.
	RunTimeout Duration `yaml:"run_timeout"`
	// KillGrace lies between TERM and KILL for a command whose time is up.
	KillGrace Duration `yaml:"kill_grace"`
	// KeepaliveInterval lies between two questions to an idle connection.
	KeepaliveInterval Duration `yaml:"keepalive_interval"`
	// KeepaliveCount unanswered questions make a connection dead.
	KeepaliveCount int `yaml:"keepalive_count" jsonschema:"minimum=1,maximum=100"`
	// MaxSessions is how many commands may run at once on one connection to
	// begin with; a server that refuses lowers it.
	MaxSessions int `yaml:"max_sessions" jsonschema:"minimum=1,maximum=1000"`
	// MaxDials bounds the handshakes under way at the same time, over all hosts.
	MaxDials int `yaml:"max_dials" jsonschema:"minimum=1,maximum=1000"`
}

// Store is the database.
type Store struct {
	// URL of the database: sqlite:FILE, which is created where there is none, or
	// postgres://USER@HOST/DATABASE?sslmode=verify-full, for several nodes. A
	// password does not belong here: see password_file.
	URL string `yaml:"url" is:"url"`
	// PasswordFile holds the password for Postgres on its first line. The file
	// must be readable by its owner only. Empty: $PGPASSWORD, ~/.pgpass, or none.
	PasswordFile string `yaml:"password_file" is:"path"`
	// KeyFile holds the key that seals the record and signs links to approvals.
	// It is made where there is none, together with the record, and belongs to
	// it: keep and restore both together. Empty: beside SQLite's file, with .key
	// after its name. Postgres needs it, the same on every node.
	KeyFile string `yaml:"key_file" is:"path"`
}

// Node is this process among the nodes on one Postgres. On SQLite there is one
// process, and nothing to say.
type Node struct {
	// Name of the node, by which hosts are pinned to it and the others know it.
	// It stays the same over restarts, and no other node has it. Empty: the
	// machine's hostname.
	Name string `yaml:"name"`
	// Heartbeat is how often the node says that it is there, and looks whether
	// the others are.
	Heartbeat Duration `yaml:"heartbeat"`
	// Lease is how long a node that is not heard of keeps its work, if its
	// session at the database stands: one that was stopped or cut off. One whose
	// process died is noticed at once. The same on every node, and four
	// heartbeats or more.
	Lease Duration `yaml:"lease"`
}

// Policy holds the owner's rules.
type Policy struct {
	// Rules are tried in order; the first that matches a program decides about
	// it. A rule can narrow everything, and widen only what is not destructive.
	Rules []Rule `yaml:"rules"`
}

// Rule is one of the owner's rules.
type Rule struct {
	// Program is the program's name, without a folder: docker.
	Program string `yaml:"program"`
	// Args are the words that follow it, from the first: [restart, web]. The
	// rule matches commands that begin with them. Empty: any.
	Args List `yaml:"args"`
	// Host limits the rule to one host. Empty: all.
	Host string `yaml:"host"`
	// Decision is allow, ask or deny.
	Decision string `yaml:"decision" jsonschema:"enum=allow,enum=ask,enum=deny"`
	// Reason is shown to whoever asks why.
	Reason string `yaml:"reason"`
}

// Protect names what no change may touch. Built in are the SSH server, the
// network, the firewall, and everything whose name begins with lifeline; besides
// these, Lifeline protects the systemd unit and the container that it runs in
// where it can tell. A container of another name, its service in a compose file,
// and what Lifeline depends on beyond that go here.
type Protect struct {
	// Units are systemd units: postgresql.service. A name that ends with @ stands
	// for every instance.
	Units List `yaml:"units"`
	// Containers are docker containers and compose services, by name.
	Containers List `yaml:"containers"`
}

// Log says how the log looks.
type Log struct {
	// Format of the lines.
	Format string `yaml:"format" jsonschema:"enum=text,enum=json"`
	// Level is the least important level that is logged.
	Level string `yaml:"level" jsonschema:"enum=debug,enum=info,enum=warn,enum=error"`
}
