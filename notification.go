package lifeline

import "time"

// NotificationKind says what a message to people is about.
type NotificationKind string

const (
	NotifyOpened     NotificationKind = "opened"     // an incident was opened
	NotifyApproval   NotificationKind = "approval"   // a change waits for a person
	NotifyRepaired   NotificationKind = "repaired"   // repaired, with proof
	NotifyEscalated  NotificationKind = "escalated"  // a person has the case
	NotifySuperseded NotificationKind = "superseded" // well again without us; only where opened is wanted
	NotifyPaused     NotificationKind = "paused"     // the kill switch was turned on or off

	NotifyRecordBroken NotificationKind = "record_broken"       // the record is not what was written
	NotifyFailed       NotificationKind = "notification_failed" // another channel does not deliver
	NotifyTest         NotificationKind = "test"                // lifeline notify test
)

// Notification is one message for one channel, from the moment at which an event
// asked for it to its end. Texts from outside in it are escaped already.
type Notification struct {
	ID      string `json:"id"`
	Channel string `json:"channel"`
	// IncidentID is "" for what is about Lifeline itself.
	IncidentID string           `json:"incident_id,omitempty"`
	Kind       NotificationKind `json:"kind"`
	// Severity of the alert, as its sender gave it; of what is about Lifeline
	// itself: critical, warning or info.
	Severity string `json:"severity"`
	// Urgent messages are not held back by quiet hours.
	Urgent bool `json:"urgent,omitempty"`
	// Seq of the event that asked for it.
	Seq int64 `json:"seq"`

	// Title is one short line. Body is what follows it, Code a command that is
	// shown letter by letter, Foot what to type or read next.
	Title string `json:"title"`
	Body  string `json:"body,omitempty"`
	Code  string `json:"code,omitempty"`
	Foot  string `json:"foot,omitempty"`
	// ApprovalID names the question of a NotifyApproval; its link is made when
	// the message is sent, and is never stored.
	ApprovalID string `json:"approval_id,omitempty"`

	CreatedAt time.Time `json:"created_at"`
	// NotBefore is when it is tried next, after an attempt that failed.
	NotBefore time.Time `json:"not_before,omitzero"`
	// Attempts counts those that failed, LastError is the newest one's cause.
	Attempts  int    `json:"attempts"`
	LastError string `json:"last_error,omitempty"`
	// SentAt is when it ended well: sent, or for the reason that Fate gives not
	// needed any more.
	SentAt time.Time `json:"sent_at,omitzero"`
	Fate   string    `json:"fate,omitempty"`
	// GivenUpAt is when Lifeline stopped trying: nobody was told.
	GivenUpAt time.Time `json:"given_up_at,omitzero"`
}

// Waits reports whether the message is still to be sent.
func (n Notification) Waits() bool { return n.SentAt.IsZero() && n.GivenUpAt.IsZero() }

// NotificationCount counts the messages of one channel.
type NotificationCount struct {
	Waiting int `json:"waiting"`
	GivenUp int `json:"given_up"`
}
