package config

import "lifeline"

// The comments of this file are the configuration's reference. The tag "is"
// says more about a value than its Go type: path, dir or url.

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

// Model is the language model.
type Model struct {
	// Provider of the model: anthropic, or openai for OpenAI and for everything
	// that speaks its Chat Completions API, such as Ollama, vLLM, LM Studio and
	// OpenRouter.
	Provider string `yaml:"provider" jsonschema:"enum=anthropic,enum=openai"`
	// Name of the model, as the provider calls it.
	Name string `yaml:"name"`
	// BaseURL is another address of the API, for a gateway, a proxy or a model on
	// a machine of yours; with provider openai it ends with /v1, and the key is
	// optional. http:// is taken for private addresses only. Empty: the provider's
	// own.
	BaseURL string `yaml:"base_url" is:"url"`
	// APIKeyFile holds the key on its first line. The file must be readable by
	// its owner only. Empty: the key is $ANTHROPIC_API_KEY or $OPENAI_API_KEY, as
	// the provider is.
	APIKeyFile string `yaml:"api_key_file" is:"path"`
	// MaxTokens bounds one answer.
	MaxTokens int `yaml:"max_tokens" jsonschema:"minimum=1,maximum=1000000"`
	// RequestTimeout bounds one question to the model, retries not counted.
	RequestTimeout Duration `yaml:"request_timeout"`
	// Budget bounds what the model uses; at its end a person gets the case.
	Budget Budget `yaml:"budget"`
	// Second is a stronger model for the attempts after the first one that did not
	// help.
	Second Second `yaml:"second"`
	// Prices says what models cost, by their names, and goes before the built-in
	// prices of Claude at its own address. What a model without a price costs is
	// shown as unknown.
	Prices map[string]Price `yaml:"prices"`
}

// Second is another model. Without a name there is none.
type Second struct {
	// Provider of the second model. Empty: that of the first.
	Provider string `yaml:"provider" jsonschema:"enum=anthropic,enum=openai"`
	// Name of the second model, as its provider calls it.
	Name string `yaml:"name"`
	// BaseURL is as model.base_url. It is not taken from there.
	BaseURL string `yaml:"base_url" is:"url"`
	// APIKeyFile is as model.api_key_file. Empty: the provider's variable.
	APIKeyFile string `yaml:"api_key_file" is:"path"`
	// MaxTokens bounds one answer.
	MaxTokens int `yaml:"max_tokens" jsonschema:"minimum=1,maximum=1000000"`
	// RequestTimeout bounds one question to the model, retries not counted.
	RequestTimeout Duration `yaml:"request_timeout"`
}

// Price of a model in US dollars per million tokens. A model that costs nothing,
// on a machine of yours, has input: 0 and output: 0.
type Price struct {
	// Input is the price of a question's tokens.
	Input float64 `yaml:"input"`
	// Output is the price of an answer's tokens.
	Output float64 `yaml:"output"`
	// CacheRead is the price of a question's tokens that came from the provider's
	// cache. 0: as input.
	CacheRead float64 `yaml:"cache_read"`
	// CacheWrite is the price of a question's tokens that went into the provider's
	// cache. 0: as input.
	CacheWrite float64 `yaml:"cache_write"`
}

// Budget of the models, for one attempt, for all attempts at one incident and
// for 24 hours. What is used up by earlier attempts is counted in the database:
// restarts and other nodes change nothing. It is looked at before each question,
// so attempts at the same time may each go over it by one answer.
type Budget struct {
	// Turns is how often the model is asked in one attempt.
	Turns int `yaml:"turns" jsonschema:"minimum=1,maximum=1000"`
	// Tokens is how many tokens one attempt may use, questions and answers
	// together.
	Tokens int `yaml:"tokens" jsonschema:"minimum=1,maximum=100000000"`
	// Time is how long one attempt may take.
	Time Duration `yaml:"time"`
	// IncidentTokens is how many tokens all attempts at one incident may use. 0: no
	// bound.
	IncidentTokens int `yaml:"incident_tokens" jsonschema:"minimum=0,maximum=1000000000"`
	// IncidentUSD is how many US dollars all attempts at one incident may cost. 0:
	// no bound. It needs the price of every model that is configured.
	IncidentUSD float64 `yaml:"incident_usd"`
	// DayTokens is how many tokens all incidents may use within 24 hours. 0: no
	// bound.
	DayTokens int `yaml:"day_tokens" jsonschema:"minimum=0,maximum=1000000000"`
	// DayUSD is how many US dollars all incidents may cost within 24 hours. 0: no
	// bound. It needs the price of every model that is configured.
	DayUSD float64 `yaml:"day_usd"`
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

// Access says who may see the pages and use the API. Without a user, an identity
// provider and a token, they are open to whoever is on this machine, and to nobody
// else.
type Access struct {
	// Pages says whether there are pages and an API at all. false: only webhooks,
	// metrics, health checks and the links to approvals; then nobody has to be
	// configured who may sign in.
	Pages bool `yaml:"pages"`
	// Users sign in with a password, by their names: letters, digits, dots, dashes
	// and underscores.
	Users map[string]AccessUser `yaml:"users"`
	// OIDC lets people sign in at an identity provider that speaks OpenID Connect.
	OIDC OIDC `yaml:"oidc"`
	// Session bounds how long a sign-in lasts.
	Session AccessSession `yaml:"session"`
	// TrustedProxies lists the addresses, or networks such as 10.0.0.0/24, of
	// reverse proxies. What these say in X-Forwarded-For, -Proto and -Host counts;
	// nobody else's does.
	TrustedProxies List `yaml:"trusted_proxies"`
	// TLS lets Lifeline itself speak https.
	TLS TLS `yaml:"tls"`
	// MetricsOpen lets everybody who reaches an address beyond loopback read
	// /metrics. Otherwise that takes a token, or a person, with the role viewer.
	MetricsOpen bool `yaml:"metrics_open"`
}

// AccessUser is a person who signs in with a password.
type AccessUser struct {
	// PasswordHash is what lifeline password prints: $argon2id$…. Required.
	PasswordHash string `yaml:"password_hash"`
	// Role is what the person may do: viewer sees everything; approver also decides
	// about changes and incidents; admin also turns the kill switch and keeps
	// maintenance windows. Required.
	Role lifeline.Role `yaml:"role" jsonschema:"enum=viewer,enum=approver,enum=admin"`
}

// OIDC is an identity provider. It needs public_url, and the provider needs to
// know the address public_url/login/oidc/callback.
type OIDC struct {
	// Issuer is the provider's address, exactly as it says it itself. Empty: there
	// is none.
	Issuer string `yaml:"issuer" is:"url"`
	// ClientID is Lifeline's name at the provider.
	ClientID string `yaml:"client_id"`
	// ClientSecretFile holds the client's secret on its first line. The file must
	// be readable by its owner only. Empty: the client is a public one.
	ClientSecretFile string `yaml:"client_secret_file" is:"path"`
	// Scopes that are asked for. openid is always among them.
	Scopes List `yaml:"scopes"`
	// RoleClaim is the claim, of the identity token or else of the user info, whose
	// values roles maps. One within another is written with a dot:
	// realm_access.roles.
	RoleClaim string `yaml:"role_claim"`
	// Roles gives a role (viewer, approver, admin) for a value of the claim, which
	// is most often the name of a group. Of several the highest counts.
	Roles map[string]string `yaml:"roles"`
	// DefaultRole is for whoever signs in at the provider and has none of the
	// values. Empty: they are refused.
	DefaultRole string `yaml:"default_role" jsonschema:"enum=viewer,enum=approver,enum=admin"`
}

// AccessSession bounds how long a sign-in lasts.
type AccessSession struct {
	// Idle is how long a session lasts that is not used.
	Idle Duration `yaml:"idle"`
	// Longest is how long one lasts in any case.
	Longest Duration `yaml:"longest"`
}

// TLS is the certificate for https. Both files are read again when they change.
type TLS struct {
	// CertFile holds the certificate and those between it and its root, in PEM.
	// Empty: Lifeline speaks http.
	CertFile string `yaml:"cert_file" is:"path"`
	// KeyFile holds the private key of the certificate, in PEM. It must not be
	// readable by everybody.
	KeyFile string `yaml:"key_file" is:"path"`
}

// Webhook says who may post alerts. With neither a password nor a token, posts
// are taken without authentication, which is possible on a loopback address only.
type Webhook struct {
	// Username for HTTP basic authentication.
	Username string `yaml:"username"`
	// PasswordFile holds the password for HTTP basic authentication on its first
	// line. The file must be readable by its owner only.
	PasswordFile string `yaml:"password_file" is:"path"`
	// TokenFile holds a token for HTTP bearer authentication on its first line.
	// The file must be readable by its owner only.
	TokenFile string `yaml:"token_file" is:"path"`
	// Generic are mappings for senders of other shapes: what is posted to
	// /webhook/generic/NAME is read as the mapping NAME says. A name has
	// lower-case letters, digits and dashes. docs/sources.md has examples.
	Generic map[string]Mapping `yaml:"generic"`
}

// Mapping says how the JSON, or the form, of one sender becomes alerts. A value
// that is a path is written as gjson has it (rule.description), or as a text with
// paths in it ("{{agent.name}}: {{rule.description}}"). What a message does not
// have is left out, except the name.
type Mapping struct {
	// Alerts is the path of a list with one alert in each entry. The other paths
	// then start at the entry, those that begin with $. at the whole message.
	// Empty: the message is one alert.
	Alerts string `yaml:"alerts"`
	// Name is the path of the alert's name. Required.
	Name string `yaml:"name"`
	// Status is the path of what says whether the fault is there or over. Empty,
	// and in a message without it: it is there.
	Status string `yaml:"status"`
	// Firing lists the values of status that mean that the fault is there, in any
	// case of letters. Empty: firing, problem, down, critical and the like.
	Firing List `yaml:"firing"`
	// Resolved lists the values of status that mean that it is over. Empty:
	// resolved, ok, up, recovery and the like.
	Resolved List `yaml:"resolved"`
	// Ignored lists the values of status that are no alert: the message is taken
	// and nothing is done. A value that is in none of the three lists is refused.
	Ignored List `yaml:"ignored"`
	// Severity is the path of the label severity.
	Severity string `yaml:"severity"`
	// Summary is the path of the alert's summary, one line for a person.
	Summary string `yaml:"summary"`
	// Description is the path of whatever else the sender says.
	Description string `yaml:"description"`
	// URL is the path of an address where a person can look.
	URL string `yaml:"url"`
	// Fingerprint is the path of what the end of a fault has in common with its
	// beginning, and with no other fault. Empty: all labels but the severity.
	Fingerprint string `yaml:"fingerprint"`
	// Test is the path of a value that is true in a test message.
	Test string `yaml:"test"`
	// Labels are paths by the name of the label. host, container, unit and
	// mountpoint say what the alert is about; see targets.
	Labels map[string]string `yaml:"labels"`
	// Annotations are paths by the name of the annotation: more for a person, or
	// the model, to read.
	Annotations map[string]string `yaml:"annotations"`
	// Constants are labels with a value that is the same in every alert.
	Constants map[string]string `yaml:"constants"`
	// Once says that the sender never tells when a fault is over: only the look
	// at the thing itself can then end an incident well.
	Once bool `yaml:"once"`
}

// Notify says who is told what, and how. See docs/notifications.md.
type Notify struct {
	// Channels are where messages go, by a name of yours: letters, digits, dots,
	// dashes and underscores.
	Channels map[string]NotifyChannel `yaml:"channels"`
	// Routes say which messages go to which channels. Every route that matches
	// counts; a channel gets a message once. Empty: every channel gets approval,
	// escalated and repaired, and what is about Lifeline itself.
	Routes []NotifyRoute `yaml:"routes"`
	// Digest is for a storm of messages.
	Digest Digest `yaml:"digest"`
}

// NotifyChannel is one place where messages go. It needs exactly one of url_file
// and url_env: the URL has a secret in it, so that it never stands here.
type NotifyChannel struct {
	// URLFile holds the channel's shoutrrr URL on its first line, such as
	// ntfy://ntfy.example.net/topic. The file must be readable by its owner only.
	URLFile string `yaml:"url_file" is:"path"`
	// URLEnv is the name of an environment variable that holds the URL.
	URLEnv string `yaml:"url_env"`
	// Rate bounds the messages, as NUMBER/TIME. What waits is put together.
	Rate string `yaml:"rate"`
	// QuietHours hold back what is not urgent until they end.
	QuietHours QuietHours `yaml:"quiet_hours"`
}

// QuietHours are a part of each day. Requests for an approval, and escalations
// of critical alerts, are sent in them all the same.
type QuietHours struct {
	// From is when they begin: "22:00". Empty: there are none.
	From string `yaml:"from"`
	// To is when they end, on the next day if that is earlier: "07:00".
	To string `yaml:"to"`
	// Timezone of both, such as Europe/Berlin. Empty: that of the machine.
	Timezone string `yaml:"timezone"`
	// Except lists severities of alerts about which everything is sent.
	Except List `yaml:"except"`
}

// NotifyRoute sends messages to channels. What is left out matches everything;
// a route with host or alert matches nothing that is about Lifeline itself.
type NotifyRoute struct {
	// Severity lists severities of alerts, as their label severity has them; none
	// stands for alerts without it. What is about Lifeline itself is critical,
	// warning or info.
	Severity List `yaml:"severity"`
	// Host lists the hosts of incidents.
	Host List `yaml:"host"`
	// Alert lists names of alerts, in which * stands for any letters.
	Alert List `yaml:"alert"`
	// Events lists what is told: opened (and, with it, that it was over before
	// anything was changed), approval, repaired, escalated, paused, record_broken,
	// notification_failed. Empty: all of them but opened.
	Events List `yaml:"events"`
	// Channels lists the channels, by their names.
	Channels List `yaml:"channels"`
}

// Digest puts many messages into one.
type Digest struct {
	// After is how many messages of a channel may wait before they become one.
	After int `yaml:"after" jsonschema:"minimum=1,maximum=1000"`
	// Every lies between two digests of a channel. What is urgent does not wait
	// for the next one.
	Every Duration `yaml:"every"`
}

// Respond bounds the work on one incident.
type Respond struct {
	// MaxChanges is how many changes may be made for one incident, and for all
	// incidents of the same thing within attempt_window. Reads do not count, nor
	// does what was not let through.
	MaxChanges int `yaml:"max_changes" jsonschema:"minimum=1,maximum=100"`
	// AttemptWindow is the time in which max_changes counts over all incidents of
	// the same thing: a repair that does not last is not repeated for ever, a
	// person gets the next one at once.
	AttemptWindow Duration `yaml:"attempt_window"`
	// MaxPerHost is how many incidents are worked at the same time on one host.
	// More wait their turn; incidents of other hosts do not wait for them.
	MaxPerHost int `yaml:"max_per_host" jsonschema:"minimum=1,maximum=100"`
	// MaxChangesPerHostHour is how many changes may be made on one host within an
	// hour, over all incidents. What a person runs at the terminal does not count.
	MaxChangesPerHostHour int `yaml:"max_changes_per_host_hour" jsonschema:"minimum=1,maximum=1000"`
	// MaxChangesPerDay is how many changes may be made on all hosts within 24
	// hours, over all incidents.
	MaxChangesPerDay int `yaml:"max_changes_per_day" jsonschema:"minimum=1,maximum=100000"`
	// ApprovalTimeout is how long a person may take to approve a change that the
	// policy asks about (lifeline approvals). No answer is a no.
	ApprovalTimeout Duration `yaml:"approval_timeout"`
	// ContainAfter is how many requests of a model that the policy refuses as
	// destructive contain an incident: a person then decides about every further
	// change of it, as in mode suggest.
	ContainAfter int `yaml:"contain_after" jsonschema:"minimum=1,maximum=100"`
	// ContainAfterUnknown is how many requests of a model that the policy refuses
	// as destructive or unknown contain an incident. A model may mean well by a
	// command that the policy does not know; it does not go on with them for long.
	ContainAfterUnknown int `yaml:"contain_after_unknown" jsonschema:"minimum=1,maximum=100"`
	// MaxAttempts is how often a responder may try, with or without a change.
	MaxAttempts int `yaml:"max_attempts" jsonschema:"minimum=1,maximum=100"`
	// VerifyFor is how long a repaired thing must stay well before it counts.
	VerifyFor Duration `yaml:"verify_for"`
	// VerifyTimeout is how long it may take to become well.
	VerifyTimeout Duration `yaml:"verify_timeout"`
	// AlertTimeout is how long the alert may go on firing after the probe is well.
	AlertTimeout Duration `yaml:"alert_timeout"`
}

// Check is one check of your own, with exactly one of command, http, tcp and
// prometheus. {{container}}, {{unit}} and {{mount}} stand for the name of the
// target, which match.kind must say; {{host}} for the name of its host and
// {{address}} for the host's address.
type Check struct {
	// Match says for what it is made. Empty: after every attempt.
	Match CheckMatch `yaml:"match"`
	// Command runs on the target's host, through the policy like any other. It is
	// good when it exits 0.
	Command string `yaml:"command"`
	// HTTP is an address that Lifeline itself gets: http://{{address}}:8080/health.
	HTTP string `yaml:"http" is:"url"`
	// Status is what the answer must have. 0: any 2xx.
	Status int `yaml:"status"`
	// TCP is a host:port that Lifeline itself connects to: {{address}}:5432.
	TCP string `yaml:"tcp"`
	// Prometheus is a query that must give at least one sample, none of them 0.
	Prometheus string `yaml:"prometheus"`
	// Expect is a text that must occur in the output, the body or what the server
	// says first; between slashes it is a regular expression.
	Expect string `yaml:"expect"`
	// Timeout bounds one try; 1m at most.
	Timeout Duration `yaml:"timeout"`
}

// CheckMatch says for what a check is made. All that is set must hold.
type CheckMatch struct {
	// Alert is the alert's name, or a regular expression between slashes that
	// matches the whole name.
	Alert string `yaml:"alert"`
	// Host is a configured host.
	Host string `yaml:"host"`
	// Kind is that of the target.
	Kind string `yaml:"kind" jsonschema:"enum=container,enum=unit,enum=filesystem,enum=host"`
	// Name is that of the container, unit or mount point.
	Name string `yaml:"name"`
}

// Prometheus is the server for the queries of checks.
type Prometheus struct {
	// URL is the server's address: http://prometheus:9090. Empty: there is none.
	URL string `yaml:"url" is:"url"`
	// Username is the account for HTTP basic authentication.
	Username string `yaml:"username"`
	// PasswordFile holds the password for HTTP basic authentication on its first
	// line. The file must be readable by its owner only.
	PasswordFile string `yaml:"password_file" is:"path"`
	// TokenFile holds a token for HTTP bearer authentication on its first line.
	// The file must be readable by its owner only.
	TokenFile string `yaml:"token_file" is:"path"`
	// CAFile holds the certificates, in PEM, that the server's must be signed by.
	// Empty: the system's.
	CAFile string `yaml:"ca_file" is:"path"`
}

// Alertmanager is the Alertmanager that sends alerts.
type Alertmanager struct {
	// URL is its address: http://alertmanager:9093. A list names the members of a
	// cluster, in the order in which they are asked until one answers. Empty:
	// there is none.
	URL List `yaml:"url" is:"url"`
	// Username is the account for HTTP basic authentication.
	Username string `yaml:"username"`
	// PasswordFile holds the password for HTTP basic authentication on its first
	// line. The file must be readable by its owner only.
	PasswordFile string `yaml:"password_file" is:"path"`
	// TokenFile holds a token for HTTP bearer authentication on its first line.
	// The file must be readable by its owner only.
	TokenFile string `yaml:"token_file" is:"path"`
	// CAFile holds the certificates, in PEM, that the server's must be signed by.
	// Empty: the system's.
	CAFile string `yaml:"ca_file" is:"path"`
	// FollowSilences makes maintenance windows of its silences: what is silenced
	// there is not repaired here.
	FollowSilences bool `yaml:"follow_silences"`
	// SilenceDuringRepair silences the incident's alert for the time of an attempt,
	// so that nobody is called for what is being repaired. Read
	// docs/verification.md first: Alertmanager tells nobody about an alert that
	// comes back within its repeat_interval after it ended in silence.
	SilenceDuringRepair bool `yaml:"silence_during_repair"`
}

// Targets says which labels of an alert name what. In each list the first
// label that an alert has decides. An empty list means the built-in one.
type Targets struct {
	// HostLabels name the host: its configured name, its address, or a key of
	// targets.hosts.
	HostLabels List `yaml:"host_labels"`
	// Hosts translates a label's value into the name of a configured host, for
	// alerts that call the machine something else.
	Hosts map[string]string `yaml:"hosts"`
	// ContainerLabels name a docker container.
	ContainerLabels List `yaml:"container_labels"`
	// UnitLabels name a systemd unit.
	UnitLabels List `yaml:"unit_labels"`
	// MountLabels name the mount point of a filesystem.
	MountLabels List `yaml:"mount_labels"`
}

// Triage says which alerts belong together.
type Triage struct {
	// Routes are tried in order; the first that an alert matches decides. An
	// alert that matches none is triaged by targets alone.
	Routes []TriageRoute `yaml:"routes"`
	// Storm makes one case of the many alerts of one host.
	Storm TriageStorm `yaml:"storm"`
	// Flapping holds a fault that comes and goes for a person.
	Flapping TriageFlapping `yaml:"flapping"`
}

// TriageRoute says what some alerts are about.
type TriageRoute struct {
	// Match chooses the alerts. Required: all that is set must hold.
	Match TriageMatch `yaml:"match"`
	// KeyLabels are labels that name the fixable thing besides the alert's name
	// and its target: alerts that differ in one of them are different incidents.
	KeyLabels List `yaml:"key_labels"`
	// Target says what the alerts are about, where their labels do not say it in
	// the usual way.
	Target TriageTarget `yaml:"target"`
	// Ignore stores the alerts and starts nothing.
	Ignore bool `yaml:"ignore"`
}

// TriageMatch chooses alerts. A text between slashes is a regular expression
// that must match the whole value: /Container.*/.
type TriageMatch struct {
	// Alert is the alert's name. Empty: any.
	Alert string `yaml:"alert"`
	// Source is the kind of sender, such as alertmanager. Empty: any.
	Source string `yaml:"source"`
	// Labels must all be there and have these values.
	Labels map[string]string `yaml:"labels"`
}

// TriageTarget is the thing that alerts are about. Each is a name, or label:NAME
// for the value of a label; an alert without that label has no known target, and
// a person gets it. At most one of container, unit and mount can be set.
type TriageTarget struct {
	// Host is a configured host, or label:NAME of a label whose value is its name,
	// its address or a key of targets.hosts. Empty: as targets says.
	Host string `yaml:"host"`
	// Container is a docker container.
	Container string `yaml:"container"`
	// Unit is a systemd unit.
	Unit string `yaml:"unit"`
	// Mount is the mount point of a filesystem.
	Mount string `yaml:"mount"`
}

// TriageStorm says when a host has so many faults at once that they are one.
type TriageStorm struct {
	// After is how many incidents of one host may be opened within the window, and
	// not be well again, before further faults on it join one incident, the host's
	// storm case. 0: there are no storms.
	After int `yaml:"after" jsonschema:"minimum=0,maximum=10000"`
	// Window is how far back incidents count.
	Window Duration `yaml:"window"`
}

// TriageFlapping says when a fault comes and goes too often.
type TriageFlapping struct {
	// After is how many incidents of the same fault may be opened within the
	// window. The next goes to a person at once, and takes the ups and downs of
	// this fault until there was none for the length of the window. 0: nothing
	// flaps.
	After int `yaml:"after" jsonschema:"minimum=0,maximum=10000"`
	// Window is how far back incidents count.
	Window Duration `yaml:"window"`
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
