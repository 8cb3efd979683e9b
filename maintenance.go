package lifeline

import "time"

// Maintenance is a window in which faults of what is in its scope are expected:
// they are stored, and nothing is changed because of them.
type Maintenance struct {
	ID    string           `json:"id"`
	Scope MaintenanceScope `json:"scope"`
	From  time.Time        `json:"from"`
	Until time.Time        `json:"until"`
	// By says who asked for it, Reason why, in their words.
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
	// Source is "person" or "alertmanager"; ExternalID is the window's name there.
	Source     string `json:"source"`
	ExternalID string `json:"external_id,omitempty"`
	// EndedAt is when it was ended before Until; zero if it was not.
	EndedAt time.Time `json:"ended_at,omitzero"`
}

// MaintenanceScope says what a window is about. What is empty is not asked
// about, and a scope with nothing in it covers nothing unless All is set.
type MaintenanceScope struct {
	Host  string     `json:"host,omitempty"`
	Kind  TargetKind `json:"kind,omitempty"`
	Name  string     `json:"name,omitempty"`
	Alert string     `json:"alert,omitempty"`
	All   bool       `json:"all,omitempty"`
}
