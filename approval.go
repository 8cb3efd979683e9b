package lifeline

import "time"

// ApprovalState says where a question to a person stands. Only pending can be
// decided, and only approved can be used; every other state is final.
type ApprovalState string

const (
	ApprovalPending  ApprovalState = "pending"  // nobody has decided yet
	ApprovalApproved ApprovalState = "approved" // a person said yes; not run yet
	ApprovalDenied   ApprovalState = "denied"   // a person said no
	ApprovalExpired  ApprovalState = "expired"  // no answer in time, or nothing left to decide: a no
	ApprovalUsed     ApprovalState = "used"     // the intent to run it is on record
)

// Approval is a question to a person about one command of one incident, and its
// answer. It lets through what its Digest names, once, until ExpiresAt.
type Approval struct {
	ID string `json:"id"`
	// Request is the command as it was asked for, by whom and why.
	Request CommandRequest `json:"request"`
	// Canonical is the text that would run: what a person has to see whole.
	Canonical string   `json:"canonical"`
	Class     string   `json:"class"`
	Marks     []string `json:"marks,omitempty"`
	Rule      string   `json:"rule"`
	// Reason is why the policy asks.
	Reason string `json:"reason"`
	// Digest binds the approval to the host and the account on it, the canonical
	// command, the incident and the policy in force: see guard.Digest.
	Digest string        `json:"digest"`
	State  ApprovalState `json:"state"`

	CreatedAt time.Time `json:"created_at"`
	// ExpiresAt is when no answer has become a no, and an approved command that
	// has not begun by then does not begin.
	ExpiresAt time.Time `json:"expires_at"`
	// DecidedAt, DecidedBy and Decision are the answer: when, by whom, and in
	// their words. An expiry has them too.
	DecidedAt time.Time `json:"decided_at,omitzero"`
	DecidedBy string    `json:"decided_by,omitempty"`
	Decision  string    `json:"decision,omitempty"`
	UsedAt    time.Time `json:"used_at,omitzero"`
}

// Open reports whether the approval can still lead to its command being run.
func (a Approval) Open() bool {
	return a.State == ApprovalPending || a.State == ApprovalApproved
}
