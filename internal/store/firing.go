package store

import (
	"context"

	"lifeline"
)

// FiringAlerts lists the alerts of an incident that fire, newest first, at most
// limit: of each fingerprint the newest, if that is not the end of it.
func (s *Store) FiringAlerts(ctx context.Context, incidentID string, limit int) ([]lifeline.Alert, error) {
	return list(ctx, s.db, "read the firing alerts of "+incidentID, `SELECT a.alert FROM alerts a
		WHERE a.incident_id = $1 AND a.status = 'firing' AND NOT EXISTS (SELECT 1 FROM alerts b
			WHERE b.incident_id = a.incident_id AND b.fingerprint = a.fingerprint AND b.seq > a.seq)
		ORDER BY a.seq DESC LIMIT $2`, scanAlert, incidentID, limit)
}

// AlertGone notes that no alert of the incident fires any more, on other
// knowledge than its sender's message: e says whose.
func (s *Store) AlertGone(ctx context.Context, e lifeline.Event) error {
	return s.write(ctx, "note that the alert of "+e.IncidentID+" is gone", func(tx *writeTx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE incidents SET alert_firing = 0 WHERE id = $1`, e.IncidentID); err != nil {
			return err
		}
		return tx.append(ctx, e)
	})
}
