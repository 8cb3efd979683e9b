package lifeline

import "time"

// Case is what a responder is given for one attempt.
type Case struct {
	Incident Incident `json:"incident"`
	// Alert is the newest firing alert of the incident.
	Alert Alert `json:"alert"`
	// Attempt counts from 1.
	Attempt int `json:"attempt"`
	// Previous says what earlier attempts did and why it did not suffice; ""
	// for the first.
	Previous string `json:"previous,omitempty"`
	// Guidance is the text of the runbook that matches, if any. The owner
	// wrote it.
	Guidance string `json:"guidance,omitempty"`
	// Others are the incident's other firing alerts, newest first, at most
	// MaxOthers: there are some where a host's storm is one case.
	Others []Alert `json:"others,omitempty"`
	// Remedies are what was tried on incidents of the same key, what worked most
	// often first. They are suggestions: the policy and the verification are the
	// same for them as for everything else.
	Remedies []Remedy `json:"remedies,omitempty"`
}

// MaxOthers bounds Case.Others.
const MaxOthers = 50

// Remedy is a series of changes that was made for incidents of one key, and how
// often they were verified well afterwards.
type Remedy struct {
	// Commands in the order in which they ran, as they were judged and sent.
	Commands []string `json:"commands"`
	// Worked counts the incidents that ended well after exactly these changes,
	// Failed those that did not.
	Worked int       `json:"worked"`
	Failed int       `json:"failed"`
	LastAt time.Time `json:"last_at"`
}

// Choice says who works an attempt, and with what.
type Choice struct {
	// Responder is "model:NAME" or "runbook:NAME"; "" if there is none, and Why
	// says so.
	Responder string `json:"responder,omitempty"`
	Why       string `json:"why,omitempty"`
	// Guidance is the text of the runbook that matches, if any.
	Guidance string `json:"guidance,omitempty"`
	// Checks are the owner's own checks of the thing, made after the attempt
	// besides Lifeline's look at it.
	Checks []Check `json:"checks,omitempty"`
}

// Check is one of the owner's checks of whether a thing works. Exactly one of
// Command, HTTP, TCP and Prometheus is set.
type Check struct {
	// Command runs on the target's host, through the door like any other; it is
	// good when it exits 0 and, with Expect, its output matches.
	Command string `json:"command,omitempty"`
	// HTTP is a URL that Lifeline itself gets; it is good when the status is
	// Status (0: any 2xx) and, with Expect, the body matches.
	HTTP   string `json:"http,omitempty"`
	Status int    `json:"status,omitempty"`
	// TCP is a host:port that Lifeline itself connects to; with Expect, what the
	// server says first must match.
	TCP string `json:"tcp,omitempty"`
	// Prometheus is a query; it is good when it gives at least one sample and
	// none of them is 0.
	Prometheus string `json:"prometheus,omitempty"`
	// Expect is a regular expression that matches somewhere in what came back;
	// "": any answer.
	Expect string `json:"expect,omitempty"`
	// Timeout of the check; 0: CheckTimeout.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// Report is what a responder, a model or a runbook, says at the end of one
// attempt. It is a claim: only verification decides.
type Report struct {
	// Responder is "model:NAME" or "runbook:NAME".
	Responder string `json:"responder"`
	// Claim is the responder's own view of the end.
	Claim Claim `json:"claim"`
	// Summary says what was found and done; the responder's words.
	Summary string `json:"summary"`
	// Next says what a person should look at.
	Next string `json:"next,omitempty"`
	// Undo lists the changes that take back what the responder did, newest
	// first, for a repair that made things worse. Only a runbook, which the owner
	// wrote, sets it.
	Undo []string `json:"undo,omitempty"`
}

// Claim is a responder's view of its attempt.
type Claim string

const (
	ClaimFixed    Claim = "fixed"     // a change was made, it should be well now
	ClaimHealthy  Claim = "healthy"   // nothing was wrong any more
	ClaimNotFixed Claim = "not_fixed" // a person is needed
)
