package config

// Keys about the work on one incident: models, bounds, checks and what is asked
// for proof. See types.go.

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
