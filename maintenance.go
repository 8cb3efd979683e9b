package lifeline

import "time"

// Placeholder until the maintenance windows are merged: the same names, and
// nothing that makes one.

// Maintenance is a time in which nothing is changed for what its scope names.
type Maintenance struct {
	ID    string           `json:"id"`
	Scope MaintenanceScope `json:"scope"`
	From  time.Time        `json:"from"`
	Until time.Time        `json:"until"`
	// By says who made it: "person:ann", "alertmanager".
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
	Source string `json:"source,omitempty"`
}

// MaintenanceScope names what a window is for; an empty field stands for all.
type MaintenanceScope struct {
	Host  string     `json:"host,omitempty"`
	Kind  TargetKind `json:"kind,omitempty"`
	Name  string     `json:"name,omitempty"`
	Alert string     `json:"alert,omitempty"`
}
