package respond

import (
	"context"
	"encoding/json"

	"lifeline"
)

// Store is the record that incidents are worked with. *store.Store is one.
type Store interface {
	Incidents
	Memory
	Upkeep
}

// Incidents are what the workflow reads and writes.
type Incidents interface {
	Incident(ctx context.Context, id string) (lifeline.Incident, error)
	LatestAlert(ctx context.Context, incidentID string) (lifeline.Alert, error)
	MoveIncident(ctx context.Context, id string, to lifeline.State, actor, reason string) (lifeline.Incident, error)
	// AppendEventOnce appends an event, unless one was appended under the key.
	AppendEventOnce(ctx context.Context, key string, e lifeline.Event) error
	// AlertGone notes that no alert of the incident fires any more; e says who
	// knows.
	AlertGone(ctx context.Context, e lifeline.Event) error
	Commands(ctx context.Context, incidentID string) ([]lifeline.Command, error)
}

// Memory is what is known around an incident.
type Memory interface {
	// FiringAlerts are the incident's alerts that still fire, newest first.
	FiringAlerts(ctx context.Context, incidentID string, limit int) ([]lifeline.Alert, error)
	// MaintenanceFor finds the maintenance window that the incident is in now.
	MaintenanceFor(ctx context.Context, inc lifeline.Incident) (lifeline.Maintenance, bool, error)
	// History has the newest incidents of a key with their changes, newest first.
	History(ctx context.Context, key string, limit int) ([]lifeline.Past, error)
	// Remedies are what was tried on incidents of a key, the best first.
	Remedies(ctx context.Context, key string, limit int) ([]lifeline.Remedy, error)
}

// Upkeep is what keeps incidents from being left behind.
type Upkeep interface {
	// ExplainIncident says why an incident waits, without moving it.
	ExplainIncident(ctx context.Context, id, actor, reason string) error
	// Refusals are the commands of an incident that were not let through.
	Refusals(ctx context.Context, incidentID string) ([]lifeline.Command, error)
	// OpenIncidents are the IDs of those that have not ended.
	OpenIncidents(ctx context.Context) ([]string, error)
	// HandOverIncident escalates an incident that has not ended, with the case on
	// its timeline.
	HandOverIncident(ctx context.Context, id, by, reason string, handover json.RawMessage) (lifeline.Incident, error)
	// StrayApprovals are open approvals of incidents that have ended.
	StrayApprovals(ctx context.Context) ([]lifeline.Approval, error)
}
