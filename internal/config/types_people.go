package config

import "lifeline"

// Keys about people: who may see and do what, and who is told. See types.go.

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
