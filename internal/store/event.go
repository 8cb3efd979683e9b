package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"lifeline"
)

// jsonOf encodes what always can be encoded: our own plain types.
func jsonOf(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("store: a record of our own cannot be encoded: " + err.Error())
	}
	return b
}

// append adds an event to the timeline; it is handed on after the commit.
func (tx *writeTx) append(ctx context.Context, e lifeline.Event) error {
	if e.At.IsZero() {
		e.At = tx.now
	}
	e.At = fromMicros(micros(e.At)) // as the database keeps it
	var data any
	if len(e.Data) > 0 {
		data = string(e.Data)
	}
	err := tx.QueryRowContext(ctx, `INSERT INTO events (incident_id, at, kind, actor, text, data) VALUES ($1, $2, $3, $4, $5, $6) RETURNING seq`,
		e.IncidentID, micros(e.At), e.Kind, e.Actor, e.Text, data).Scan(&e.Seq)
	if err != nil {
		return err
	}
	tx.events = append(tx.events, e)
	return nil
}

// AppendEvent adds an event to an incident's timeline. At is now if it is zero.
// Data that is not JSON is refused: nobody could read the timeline after it.
func (s *Store) AppendEvent(ctx context.Context, e lifeline.Event) error {
	return s.write(ctx, "append to the timeline of "+e.IncidentID, func(tx *writeTx) error {
		if len(e.Data) > 0 && !json.Valid(e.Data) {
			return fmt.Errorf("the data of the event %s is not JSON", e.Kind)
		}
		return tx.append(ctx, e)
	})
}

// Events lists an incident's timeline after afterSeq, in order.
func (s *Store) Events(ctx context.Context, incidentID string, afterSeq int64) ([]lifeline.Event, error) {
	return list(ctx, s.db, "read the timeline of "+incidentID,
		`SELECT seq, incident_id, at, kind, actor, text, data FROM events WHERE incident_id = $1 AND seq > $2 ORDER BY seq`,
		func(row scanner) (lifeline.Event, error) {
			var (
				e    lifeline.Event
				at   int64
				data sql.NullString
			)
			err := row.Scan(&e.Seq, &e.IncidentID, &at, &e.Kind, &e.Actor, &e.Text, &data)
			e.At = fromMicros(at)
			if data.Valid {
				e.Data = json.RawMessage(data.String)
			}
			return e, err
		}, incidentID, afterSeq)
}
