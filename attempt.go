package lifeline

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
	// Probe is the responder's own check of the thing, run after the attempt
	// besides ours; "" for none. Only a runbook, which the owner wrote, sets it.
	Probe []string `json:"probe,omitempty"`
}

// Claim is a responder's view of its attempt.
type Claim string

const (
	ClaimFixed    Claim = "fixed"     // a change was made, it should be well now
	ClaimHealthy  Claim = "healthy"   // nothing was wrong any more
	ClaimNotFixed Claim = "not_fixed" // a person is needed
)
