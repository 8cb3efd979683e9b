package store

import (
	"context"
	"encoding/json"
	"fmt"

	"lifeline"
)

// AppendEventOnce is AppendEvent, unless an event was appended under the same
// key before: then nothing is written. A step that runs again after a crash does
// not say the same twice so.
func (s *Store) AppendEventOnce(ctx context.Context, key string, e lifeline.Event) error {
	return s.write(ctx, "append to the timeline of "+e.IncidentID, func(tx *writeTx) error {
		if len(e.Data) > 0 && !json.Valid(e.Data) {
			return fmt.Errorf("the data of the event %s is not JSON", e.Kind)
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO event_keys (key, at) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING`, key, micros(tx.now))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return tx.append(ctx, e)
	})
}

// ExplainIncident says why an incident that has not ended stays where it is: its
// reason, and a note on its timeline. The same reason again, and one about an
// ended incident, change nothing.
func (s *Store) ExplainIncident(ctx context.Context, id, actor, reason string) error {
	return s.write(ctx, "say why the incident "+id+" waits", func(tx *writeTx) error {
		inc, err := incidentByID(ctx, tx, id)
		if err != nil || inc.State.Ended() || inc.Reason == reason {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE incidents SET reason = $1 WHERE id = $2`, reason, id); err != nil {
			return err
		}
		return tx.append(ctx, lifeline.Event{IncidentID: id, Kind: lifeline.EventNote, Actor: actor, Text: reason})
	})
}

// OpenIncidents lists the IDs of the incidents that have not ended, oldest first.
func (s *Store) OpenIncidents(ctx context.Context) ([]string, error) {
	return list(ctx, s.db, "list the incidents that have not ended",
		`SELECT id FROM incidents WHERE state NOT IN ('resolved', 'escalated', 'superseded') ORDER BY opened_at, id`,
		func(row scanner) (id string, err error) {
			err = row.Scan(&id)
			return id, err
		})
}

// StrayApprovals lists the open approvals of incidents that have ended. There
// should be none: see writeTx.move.
func (s *Store) StrayApprovals(ctx context.Context) ([]lifeline.Approval, error) {
	return queryApprovals(ctx, s.db, approvalColumns+` JOIN incidents i ON i.id = a.incident_id
		WHERE a.state IN ('pending', 'approved') AND i.state IN ('resolved', 'escalated', 'superseded') ORDER BY a.created_at, a.id`)
}

// Refusals lists the commands of an incident that were not let through, in the
// order in which they were asked for.
func (s *Store) Refusals(ctx context.Context, incidentID string) ([]lifeline.Command, error) {
	return list(ctx, s.db, "read the refused commands of "+incidentID,
		`SELECT record, NULL, NULL FROM commands WHERE incident_id = $1 AND outcome = 'refused' ORDER BY asked_at, id`, scanCommand, incidentID)
}
