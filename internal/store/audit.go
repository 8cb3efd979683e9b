package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"

	"lifeline"
)

// AuditCheck says what a verification compares the record with.
type AuditCheck struct {
	// After is the number of the event after which the verification begins, for
	// a record whose earlier damage is known; 0: the whole of it.
	After int64
	// Expect, if not zero, is a head that was noted earlier and kept elsewhere:
	// the record must still have it.
	Expect Head
}

// Audit is the end of a verification.
type Audit struct {
	// Events checked.
	Events int64 `json:"events"`
	// Head of the record, to be kept elsewhere and compared later.
	Head Head `json:"head"`
	// Bad is the first row that is not what Lifeline wrote; nil if none was found.
	Bad *BadRow `json:"bad"`
}

// BadRow names a row of the record that is not what Lifeline wrote.
type BadRow struct {
	// Row is the row's kind and number or ID: "event 17", "command cmd_…".
	Row string `json:"row"`
	// What is wrong with it.
	What string `json:"what"`
}

func bad(row, format string, args ...any) *BadRow {
	return &BadRow{Row: row, What: fmt.Sprintf(format, args...)}
}

// VerifyAudit reads the whole record, as it stands at one moment, and says
// whether it is what Lifeline wrote: each event against the chain, the chain
// against its sealed end, and each alert, command, approval, pause, maintenance
// window, token and incident's state against its events. docs/record.md says what this cannot find.
// The error is for a record that could not be read.
func (s *Store) VerifyAudit(ctx context.Context, check AuditCheck) (Audit, error) {
	tx, err := s.snapshot(ctx)
	if err != nil {
		return Audit{}, failed("verify the record", err, "")
	}
	defer tx.Rollback()
	v := &verifier{tx: tx, check: check, key: s.key, rows: map[string][sha256.Size]byte{}, states: map[string]lifeline.State{}}
	audit := Audit{}
	if audit.Bad, err = v.chain(ctx); err != nil {
		return audit, wrap("verify the record", err)
	}
	audit.Events, audit.Head = v.events, v.head
	if audit.Bad == nil {
		audit.Bad, err = v.end(ctx, s.key)
	}
	if audit.Bad == nil && err == nil && check.After == 0 {
		audit.Bad, err = v.tables(ctx)
	}
	return audit, wrap("verify the record", err)
}

type verifier struct {
	tx     *sql.Tx
	key    key
	check  AuditCheck
	events int64
	head   Head
	// rows is a hash of what the newest event of each row of another table says
	// about it, and states the newest state of each incident.
	rows   map[string][sha256.Size]byte
	states map[string]lifeline.State
	// old is what was there before the chain.
	old sealedData
}

// chain checks the events in their order.
func (v *verifier) chain(ctx context.Context) (*BadRow, error) {
	if v.check.After > 0 {
		err := v.tx.QueryRowContext(ctx, `SELECT seq, hash FROM events WHERE seq = $1`, v.check.After).Scan(&v.head.Seq, &v.head.Hash)
		if err != nil {
			return bad(fmt.Sprintf("event %d", v.check.After), "it is not there, and the verification is to begin after it"), ignoreNoRows(err)
		}
	}
	for r, err := range chainedEvents(ctx, v.tx, v.check.After) {
		if err != nil {
			return nil, err
		}
		row := fmt.Sprintf("event %d", r.Seq)
		switch {
		case r.Seq > v.head.Seq+1:
			return bad(fmt.Sprintf("event %d", v.head.Seq+1), "it is missing: after event %d comes event %d", v.head.Seq, r.Seq), nil
		case r.Hash != chained(v.head.Hash, r.Event):
			return bad(row, "it is not what was written: its hash does not follow from it and the event before"), nil
		case r.Kind == lifeline.EventRecordBroken:
			return bad(row, "%s", r.Text), nil
		}
		v.head = Head{Seq: r.Seq, Hash: r.Hash}
		v.events++
		if r.Seq == v.check.Expect.Seq && r.Hash != v.check.Expect.Hash {
			return bad(row, "it is another one than was noted: the record was written anew from there or from before"), nil
		}
		v.note(r.Event)
	}
	return nil, nil
}

func ignoreNoRows(err error) error {
	if err == sql.ErrNoRows {
		return nil
	}
	return err
}

// note keeps what an event says about rows of other tables.
func (v *verifier) note(e lifeline.Event) {
	var d struct {
		ID      string         `json:"id"`
		AlertID string         `json:"alert_id"`
		To      lifeline.State `json:"to"`
	}
	_ = json.Unmarshal(e.Data, &d) // what cannot be read names no row, and the row is then the bad one
	switch e.Kind {
	case lifeline.EventAlertReceived:
		v.rows["alert "+d.AlertID] = sha256.Sum256(e.Data)
	case lifeline.EventIncidentOpened:
		v.rows["incident "+d.ID] = sha256.Sum256(e.Data)
		v.states[d.ID] = lifeline.StateOpen
	case lifeline.EventStateChanged:
		v.states[e.IncidentID] = d.To
	case lifeline.EventCommandStarted, lifeline.EventCommandFinished, lifeline.EventCommandRefused:
		v.rows["command "+d.ID] = sha256.Sum256(e.Data)
	case lifeline.EventApprovalRequested, lifeline.EventApprovalDecided, lifeline.EventApprovalUsed:
		v.rows["approval "+d.ID] = sha256.Sum256(e.Data)
	case lifeline.EventMaintenanceAdded, lifeline.EventMaintenanceEnded:
		v.rows["maintenance "+d.ID] = sha256.Sum256(e.Data)
	case lifeline.EventTokenCreated, lifeline.EventTokenRevoked:
		v.rows["token "+d.ID] = sha256.Sum256(e.Data)
	case lifeline.EventPaused, lifeline.EventResumed:
		v.rows["pause"] = sha256.Sum256(e.Data)
	case lifeline.EventRecordSealed:
		_ = json.Unmarshal(e.Data, &v.old)
	}
}

// end checks the last event against the sealed head and the noted one.
func (v *verifier) end(ctx context.Context, k key) (*BadRow, error) {
	_, broken, err := readHead(ctx, v.tx, k)
	if err != nil {
		return nil, err
	}
	if broken != "" {
		return bad(fmt.Sprintf("event %d", v.head.Seq), "%s", broken), nil
	}
	if want := v.check.Expect; want.Seq > v.head.Seq {
		return bad(fmt.Sprintf("event %d", want.Seq), "it was noted and is missing: the record ends with event %d", v.head.Seq), nil
	}
	return nil, nil
}

// chainedEvent is an event with its hash.
type chainedEvent struct {
	lifeline.Event
	Hash string `json:"hash"`
}

// chainedEvents gives every event after one, in order.
func chainedEvents(ctx context.Context, q rowsQuerier, after int64) iter.Seq2[chainedEvent, error] {
	return func(yield func(chainedEvent, error) bool) {
		rows, err := q.QueryContext(ctx, `SELECT `+eventColumns+`, hash FROM events WHERE seq > $1 ORDER BY seq`, after)
		if err != nil {
			yield(chainedEvent{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			e, hash, err := scanChained(rows, true)
			if !yield(chainedEvent{e, hash}, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(chainedEvent{}, err)
		}
	}
}

// ExportAudit gives every event with its hash, in order, as the bytes of one
// JSON object each, and then the head: {"head": …}. It reads the record as it
// stands at one moment.
func (s *Store) ExportAudit(ctx context.Context, write func(line json.RawMessage) error) error {
	tx, err := s.snapshot(ctx)
	if err != nil {
		return failed("export the record", err, "")
	}
	defer tx.Rollback()
	var head Head
	for r, err := range chainedEvents(ctx, tx, 0) {
		if err != nil {
			return failed("export the record", err, "")
		}
		r.Data = compact(r.Data)
		if err := write(lineOf(r)); err != nil {
			return err
		}
		head = Head{Seq: r.Seq, Hash: r.Hash}
	}
	return write(lineOf(map[string]Head{"head": head}))
}
