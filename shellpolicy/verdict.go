package shellpolicy

// Class says what the whole command would do.
type Class string

const (
	Read        Class = "read"        // changes nothing
	Change      Class = "change"      // reversible: start, restart, reload
	Destructive Class = "destructive" // loses data or service
	Unknown     Class = "unknown"     // not modelled; refused
)

// Decision is what to do with the command.
type Decision string

const (
	Allow Decision = "allow"
	Ask   Decision = "ask" // a person decides
	Deny  Decision = "deny"
)

// Mark is a property of a read that makes it less than harmless.
type Mark string

const (
	Sensitive Mark = "sensitive" // may show secrets
	Egress    Mark = "egress"    // contacts a host that the command names
	Unbounded Mark = "unbounded" // does not end by itself
)

// Mode is how much is allowed without a person.
type Mode string

const (
	Observe Mode = "observe" // plain reads only
	Suggest Mode = "suggest" // a person decides about each change
	Auto    Mode = "auto"    // listed reversible changes run
)

// Verdict is the judgement of one command line. The zero Verdict denies.
type Verdict struct {
	Command  string   `json:"command"`
	Class    Class    `json:"class"`
	Decision Decision `json:"decision"`
	Marks    []Mark   `json:"marks"`
	// Rule names what decided: a catalogue entry ("docker restart"), a node
	// kind, a mode, or an owner's rule.
	Rule string `json:"rule"`
	// Reason is one sentence for a person or a model: the words that decided
	// and, where there is one, what would have been allowed instead.
	Reason string `json:"reason"`
	// Canonical is the command printed from the accepted tree, every word
	// quoted: the only text that may be sent to a host. "" unless Decision is
	// Allow or Ask.
	Canonical string `json:"canonical"`
}
