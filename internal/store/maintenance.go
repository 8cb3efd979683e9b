package store

import (
	"context"
	"fmt"

	"lifeline"
)

// Placeholder until the maintenance windows are merged: the same names.

// MaintenanceFor finds the maintenance window that an incident is in now.
func (s *Store) MaintenanceFor(context.Context, lifeline.Incident) (lifeline.Maintenance, bool, error) {
	return lifeline.Maintenance{}, false, nil
}

// FiringAlerts lists the alerts of an incident that still fire, newest first, one
// of each fingerprint.
func (s *Store) FiringAlerts(ctx context.Context, id string, limit int) ([]lifeline.Alert, error) {
	return list(ctx, s.db, "read the firing alerts of "+id, `SELECT a.alert FROM alerts a WHERE a.incident_id = $1 AND a.status = 'firing'
		AND NOT EXISTS (SELECT 1 FROM alerts b WHERE b.incident_id = a.incident_id AND b.fingerprint = a.fingerprint AND b.seq > a.seq)
		ORDER BY a.seq DESC`+fmt.Sprintf(" LIMIT %d", limit), scanAlert, id)
}
