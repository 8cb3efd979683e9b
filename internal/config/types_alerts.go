package config

// Keys about alerts: who sends them, and what they are about. See types.go.

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
