package lifeline

import (
	"encoding/json"
	"time"
)

// EventKind names what happened. The timeline is data: kinds are constant.
type EventKind string

const (
	EventAlertReceived   EventKind = "alert_received"
	EventIncidentOpened  EventKind = "incident_opened"
	EventStateChanged    EventKind = "state_changed"
	EventModelAsked      EventKind = "model_asked"
	EventModelAnswered   EventKind = "model_answered"
	EventToolCalled      EventKind = "tool_called"
	EventCommandRefused  EventKind = "command_refused"
	EventCommandStarted  EventKind = "command_started"  // the intent is on record
	EventCommandFinished EventKind = "command_finished" // the result is on record
	EventResponderEnded  EventKind = "responder_ended"
	EventVerified        EventKind = "verified"
	EventVerifyFailed    EventKind = "verify_failed"
	EventEscalated       EventKind = "incident_escalated"
	EventUndone          EventKind = "undone"        // a repair that made things worse was taken back, or could not be
	EventAlertChecked    EventKind = "alert_checked" // the alert's sender was asked whether it fires
	EventSilenced        EventKind = "silenced"      // the alert is silenced for the time of the repair, or could not be
	EventUnsilenced      EventKind = "unsilenced"    // that silence is removed, or could not be
	EventRetried         EventKind = "retried"       // a person has an escalated incident tried again, as another one
	EventClosed          EventKind = "closed"        // a person has dealt with an escalated incident
	EventNote            EventKind = "note"

	EventApprovalRequested EventKind = "approval_requested"
	EventApprovalDecided   EventKind = "approval_decided" // approved, denied or expired
	EventApprovalUsed      EventKind = "approval_used"    // with the intent of its command
	EventApprovalRefused   EventKind = "approval_refused" // a decision that was not taken: late, twice, …

	EventPaused  EventKind = "paused"
	EventResumed EventKind = "resumed"

	EventMaintenanceAdded   EventKind = "maintenance_added"   // or changed at its source
	EventMaintenanceEnded   EventKind = "maintenance_ended"   // before its time
	EventNotificationFailed EventKind = "notification_failed" // a message to people was given up
	EventNodeLost           EventKind = "node_lost"           // another node takes over its work

	EventLogin        EventKind = "login"        // a person has signed in
	EventLoginFailed  EventKind = "login_failed" // or was not let in; many are one event
	EventLogout       EventKind = "logout"       // by the person, or because the configuration says so
	EventTokenCreated EventKind = "token_created"
	EventTokenRevoked EventKind = "token_revoked"

	EventRecordSealed EventKind = "record_sealed" // what was there when the chain of the record began
	EventRecordBroken EventKind = "record_broken" // found while writing: the record is not what was written
)

// Event is one entry of an incident's timeline. Events are only ever appended.
type Event struct {
	// Seq is the store's running number; it orders events.
	Seq        int64     `json:"seq"`
	IncidentID string    `json:"incident_id"`
	At         time.Time `json:"at"`
	Kind       EventKind `json:"kind"`
	// Actor says who: "intake", "triage", "respond", "guard", "model:NAME", …
	Actor string `json:"actor"`
	// Text is one line for a person. It may hold text from outside: whoever
	// shows it escapes it.
	Text string `json:"text"`
	// Data holds the details, in the shape that the kind's writer documents.
	Data json.RawMessage `json:"data,omitempty"`
}
