package store

import (
	"context"
	"database/sql"
	"errors"

	"lifeline"
)

// RefusedBefore lists the requests of an incident that were refused as
// destructive or unknown, in the order in which they were made, whoever made
// them, and reports whether the request with the given ID has begun to run. It
// reads no output of any command.
func (s *Store) RefusedBefore(ctx context.Context, incidentID, requestID string) (refused []lifeline.Command, begun bool, err error) {
	const what = "read what was refused in "
	var intent sql.NullInt64
	err = s.db.QueryRowContext(ctx, `SELECT intent_at FROM commands WHERE id = $1`, requestID).Scan(&intent)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, false, failed(what+incidentID, err, "")
	}
	refused, err = list(ctx, s.db, what+incidentID, `SELECT record, NULL, NULL FROM commands
		WHERE incident_id = $1 AND outcome = $2 AND class IN ('destructive', 'unknown') ORDER BY asked_at, id`,
		scanCommand, incidentID, lifeline.OutcomeRefused)
	return refused, intent.Valid, err
}
