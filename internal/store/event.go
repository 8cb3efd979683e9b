package store

import (
	"bytes"
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

// append adds an event to the timeline and to the chain; it is handed on after
// the commit.
func (tx *writeTx) append(ctx context.Context, e lifeline.Event) error {
	if err := tx.begin(ctx); err != nil {
		return err
	}
	if e.At.IsZero() {
		e.At = tx.now
	}
	e.At = fromMicros(micros(e.At)) // as the database keeps it
	e.Actor, e.Text = plain(e.Actor), plain(e.Text)
	if len(e.Data) > 0 {
		e.Data = bytes.ToValidUTF8(e.Data, []byte("\uFFFD"))
	}
	e.Seq = tx.head.Seq + 1
	hash := chained(tx.head.Hash, e)
	var data any
	if len(e.Data) > 0 {
		data = string(e.Data)
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO events (seq, incident_id, at, kind, actor, text, data, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		e.Seq, e.IncidentID, micros(e.At), e.Kind, e.Actor, e.Text, data, hash)
	if err != nil {
		return err
	}
	tx.head = Head{Seq: e.Seq, Hash: hash}
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

const eventColumns = `seq, incident_id, at, kind, actor, text, data`

func scanEvent(row scanner) (lifeline.Event, error) {
	e, _, err := scanChained(row, false)
	return e, err
}

// scanChained reads an event and, after its columns, its hash.
func scanChained(row scanner, withHash bool) (e lifeline.Event, hash string, err error) {
	var (
		at   int64
		data sql.NullString
	)
	into := []any{&e.Seq, &e.IncidentID, &at, &e.Kind, &e.Actor, &e.Text, &data}
	if withHash {
		into = append(into, &hash)
	}
	err = row.Scan(into...)
	e.At = fromMicros(at)
	if data.Valid {
		e.Data = json.RawMessage(data.String)
	}
	return e, hash, err
}

// Events lists an incident's timeline after afterSeq, in order.
func (s *Store) Events(ctx context.Context, incidentID string, afterSeq int64) ([]lifeline.Event, error) {
	return list(ctx, s.db, "read the timeline of "+incidentID,
		`SELECT `+eventColumns+` FROM events WHERE incident_id = $1 AND seq > $2 ORDER BY seq`, scanEvent, incidentID, afterSeq)
}
