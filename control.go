package lifeline

import "time"

// Limits bound the changes that incidents may make; 0 is no bound. Reads never
// count, nor does what a person runs at the terminal.
type Limits struct {
	// PerIncident counts the changes of one incident.
	PerIncident int
	// PerKey counts the changes of all incidents with the same key within
	// PerKeyWindow: a repair that does not last is not repeated for ever.
	PerKey       int
	PerKeyWindow time.Duration
	// PerHostHour counts the changes on one host within 60 minutes, over all
	// incidents.
	PerHostHour int
	// PerDay counts the changes on all hosts within 24 hours.
	PerDay int
}

// Pause is the state of the kill switch. While it is on, no change is let
// through, whoever asks; reads are.
type Pause struct {
	On bool `json:"on"`
	// Now means that changes under way are ended too.
	Now    bool      `json:"now,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	// File is the file that pauses Lifeline by being there; "" if there is none.
	File string `json:"file,omitempty"`
}
