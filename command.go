package lifeline

import "time"

// CommandRequest asks the guard, the only door to a host, to run one command.
type CommandRequest struct {
	// ID identifies the request across crashes: the same ID twice is the same
	// request. "" lets the guard choose one.
	ID string `json:"id"`
	// IncidentID is "" for a person at the terminal.
	IncidentID string `json:"incident_id,omitempty"`
	Host       string `json:"host"`
	// Command is a shell command line as it was asked for.
	Command string `json:"command"`
	// Actor says who asks: "model:NAME", "runbook:NAME", "person:NAME".
	Actor string `json:"actor"`
	// Purpose says why, in the asker's words. Data, not instruction.
	Purpose string `json:"purpose,omitempty"`
	// Timeout bounds the run itself, not the wait for a slot or the dial.
	// 0 takes the configured default.
	Timeout time.Duration `json:"timeout,omitempty"`
	// ApprovalID names the approval under which it is to run; on the record of a
	// command that waits for a person, the one that it waits for.
	ApprovalID string `json:"approval_id,omitempty"`
}

// Outcome is the end of one command as an honest observer would put it.
type Outcome string

const (
	OutcomeExited     Outcome = "exited"      // ended with an exit status
	OutcomeSignaled   Outcome = "signaled"    // ended by a signal
	OutcomeTimedOut   Outcome = "timed_out"   // its run clock ended; Kill says what became of it
	OutcomeNotStarted Outcome = "not_started" // provably never began
	OutcomeUnknown    Outcome = "unknown"     // may have run, in part or whole
	OutcomeRefused    Outcome = "refused"     // the policy, a budget or a person said no
)

// Command is the record of one command: what was asked, how it was judged,
// the intent, and the result. A row with an intent and no result is a command
// whose outcome is unknown.
type Command struct {
	CommandRequest

	// Canonical is the text that was judged and sent.
	Canonical string   `json:"canonical,omitempty"`
	Class     string   `json:"class,omitempty"`
	Decision  string   `json:"decision,omitempty"`
	Marks     []string `json:"marks,omitempty"`
	Rule      string   `json:"rule,omitempty"`
	// Digest is what an approval of it is bound to; "" where none is needed.
	Digest string `json:"digest,omitempty"`
	// Reason explains the decision, or why the command did not run.
	Reason string `json:"reason,omitempty"`

	// IntentAt is when the intent was put on record; zero if it never was.
	IntentAt time.Time `json:"intent_at,omitzero"`
	// FinishedAt is when the result was put on record; zero if it never was.
	FinishedAt time.Time `json:"finished_at,omitzero"`

	Outcome    Outcome `json:"outcome,omitempty"`
	ExitStatus *int    `json:"exit_status,omitempty"`
	Signal     string  `json:"signal,omitempty"`
	// Stdout and Stderr are head and tail, marked where they were cut.
	Stdout    []byte `json:"stdout,omitempty"`
	Stderr    []byte `json:"stderr,omitempty"`
	Truncated bool   `json:"truncated,omitempty"`
	// Redacted counts the secrets that were taken out of Stdout, Stderr and
	// Error before anybody saw them.
	Redacted int `json:"redacted,omitempty"`
	// Kill says what was done to end the remote process and whether it was
	// confirmed; "" if nothing was.
	Kill   string `json:"kill,omitempty"`
	Reused bool   `json:"reused"`
	// Error is the cause in words when Outcome is not exited or signaled; Cause
	// is what scripts branch on and Hint what to type next.
	Error string `json:"error,omitempty"`
	Cause Code   `json:"cause,omitempty"`
	Hint  string `json:"hint,omitempty"`

	Queue   time.Duration `json:"queue_ns"`
	Connect time.Duration `json:"connect_ns"`
	Run     time.Duration `json:"run_ns"`
}

// Rules of refusals that do not come from the policy.
const (
	RuleBudget   = "budget"   // a number of changes is used up
	RulePaused   = "paused"   // the kill switch is on
	RuleApproval = "approval" // a person has to decide, or has said no

	RuleRole        = "role"        // whoever asks may not do that
	RuleMaintenance = "maintenance" // people work on it themselves
	RuleResolved    = "resolved"    // the alert is gone, or the incident has ended: nothing is left to repair
)

// Waits reports whether the command was not run because a person is asked.
func (c Command) Waits() bool {
	return c.Outcome == OutcomeRefused && c.Cause == CodeWaits
}

// Succeeded reports whether the command exited with status 0.
func (c Command) Succeeded() bool {
	return c.Outcome == OutcomeExited && c.ExitStatus != nil && *c.ExitStatus == 0
}

// Changed reports whether the command was let through and was more than a read.
func (c Command) Changed() bool {
	return !c.IntentAt.IsZero() && c.Class != "read" && c.Outcome != OutcomeNotStarted
}
