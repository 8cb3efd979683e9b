package lifeline

import (
	"errors"
	"slices"
	"time"
)

// State is where an incident stands. Moves lists every legal change.
type State string

const (
	StateOpen             State = "open"              // stored, its remediation enqueued
	StateInvestigating    State = "investigating"     // a responder looks at the host
	StateAwaitingApproval State = "awaiting_approval" // a change waits for a person
	StateActing           State = "acting"            // a change was let through to the host
	StateVerifying        State = "verifying"         // did the service really come back?
	StateResolved         State = "resolved"          // probe and alert agree: it is well again
	StateEscalated        State = "escalated"         // handed to a person with the whole case
	StateSuperseded       State = "superseded"        // ended without us, before we changed anything
)

// Move is one legal change of an incident's state and the part that makes it.
type Move struct {
	From, To State
	By       string
}

// moves is the incident's whole state machine. The store refuses any other move.
var moves = [...]Move{
	{StateOpen, StateInvestigating, "respond: the workflow starts an attempt"},
	{StateOpen, StateEscalated, "respond: no known target, no responder for it, a flapping alert, or the changes of its key are used up"},
	{StateOpen, StateSuperseded, "respond: the alert resolved before the work began or while a maintenance window held it"},
	{StateInvestigating, StateActing, "guard: the intent of a change is on record"},
	{StateInvestigating, StateAwaitingApproval, "respond: the policy asks a person about a change"},
	{StateInvestigating, StateVerifying, "respond: the responder finished"},
	{StateInvestigating, StateEscalated, "respond: nothing safe is left to try"},
	{StateInvestigating, StateSuperseded, "respond: the alert resolved, nothing was changed"},
	{StateAwaitingApproval, StateActing, "guard: approved, the intent is on record"},
	{StateAwaitingApproval, StateInvestigating, "respond: denied or expired, other ways are tried"},
	{StateAwaitingApproval, StateEscalated, "respond: denied or expired, nothing else is left"},
	{StateAwaitingApproval, StateSuperseded, "respond: the alert resolved while waiting"},
	{StateActing, StateAwaitingApproval, "respond: the policy asks a person about a further change"},
	{StateActing, StateInvestigating, "respond: another attempt after one that did not help"},
	{StateActing, StateVerifying, "respond: the responder finished"},
	{StateActing, StateEscalated, "respond: the change failed or its outcome is unknown"},
	{StateVerifying, StateInvestigating, "respond: not well yet, attempts are left"},
	{StateVerifying, StateResolved, "respond: probe and alert agree"},
	{StateVerifying, StateEscalated, "respond: not well, no attempts are left"},
	{StateVerifying, StateSuperseded, "respond: well again without a change of ours"},
}

// ErrNoMove is the cause when a move is not one of Moves.
var ErrNoMove = errors.New("no move leads from there")

// Moves returns the incident's state machine, row by row.
func Moves() []Move { return slices.Clone(moves[:]) }

// CanMove reports whether an incident may go from one state to another.
func CanMove(from, to State) bool {
	return slices.ContainsFunc(moves[:], func(m Move) bool { return m.From == from && m.To == to })
}

// Ended reports whether no move leaves the state.
func (s State) Ended() bool {
	return !slices.ContainsFunc(moves[:], func(m Move) bool { return m.From == s })
}

// Incident is one fault of one fixable thing, from its first alert to its end.
type Incident struct {
	ID string `json:"id"`
	// Key names the fixable thing: alerts with the same key while the incident
	// is open belong to it. See triage.Key.
	Key       string `json:"key"`
	AlertName string `json:"alert_name"`
	Severity  string `json:"severity"`
	Summary   string `json:"summary"`
	Target    Target `json:"target"`
	State     State  `json:"state"`
	// Reason says in a sentence why the incident stands where it does.
	Reason string `json:"reason,omitempty"`
	// Alerts counts the firing alerts received for it, repeats included.
	Alerts int `json:"alerts"`
	// AlertFiring is false once every alert of it was reported resolved.
	AlertFiring bool `json:"alert_firing"`
	// Flapping says that the same fault came and went too often: a person has to
	// find out why. See Damping.
	Flapping bool `json:"flapping,omitempty"`
	// Changes counts the changes let through to a host: what attempts are
	// measured by. Reads never count.
	Changes  int       `json:"changes"`
	OpenedAt time.Time `json:"opened_at"`
	// UpdatedAt is the time of the last move; for an ended incident, of its end.
	UpdatedAt time.Time `json:"updated_at"`
}
