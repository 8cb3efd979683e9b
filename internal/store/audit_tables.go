package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"

	"lifeline"
)

// lineOf encodes a value without changing the letters that its hash was made
// over.
func lineOf(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("store: a record of our own cannot be encoded: " + err.Error())
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// tables checks the rows of the other tables against what the chain says about
// them. Whatever the chain knows and no row is left of is missing.
func (v *verifier) tables(ctx context.Context) (*BadRow, error) {
	for _, table := range []func(context.Context) (*BadRow, error){v.alerts, v.incidents, v.commands, v.approvals, v.pauses, v.maintenances, v.tokens} {
		if b, err := table(ctx); b != nil || err != nil {
			return b, err
		}
	}
	delete(v.rows, "alert ") // alerts from before the chain have no ID in it
	first := ""
	for row := range v.rows {
		if first == "" || row < first {
			first = row
		}
	}
	if first != "" {
		return bad(first, "it is missing: the events know it"), nil
	}
	return nil, nil
}

// row compares one row with what its newest event says, and takes it off the
// list of those that are still to come.
func (v *verifier) row(name string, data ...json.RawMessage) *BadRow {
	want, known := v.rows[name]
	if !known {
		return bad(name, "no event knows it")
	}
	delete(v.rows, name)
	for _, d := range data {
		if sha256.Sum256(d) == want {
			return nil
		}
	}
	return bad(name, "it is not what its newest event says")
}

// each runs check on every row of a query, up to the first bad one.
func (v *verifier) each(ctx context.Context, query string, check func(scanner) (*BadRow, error)) (*BadRow, error) {
	rows, err := v.tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		if b, err := check(rows); b != nil || err != nil {
			return b, err
		}
	}
	return nil, rows.Err()
}

func (v *verifier) alerts(ctx context.Context) (*BadRow, error) {
	return v.each(ctx, `SELECT seq, id, incident_id, fingerprint, status, alert FROM alerts ORDER BY seq`, func(row scanner) (*BadRow, error) {
		var (
			seq                             int64
			id, fingerprint, status, record string
			incident                        sql.NullString
			a                               lifeline.Alert
		)
		if err := row.Scan(&seq, &id, &incident, &fingerprint, &status, &record); err != nil || seq <= v.old.Alerts {
			return nil, err
		}
		name := "alert " + id
		if b := v.row(name, alertData(record, id, incident.String)); b != nil {
			return b, nil
		}
		if json.Unmarshal([]byte(record), &a) != nil || a.Fingerprint != fingerprint || string(a.Status) != status {
			return bad(name, "its columns are not what its record says"), nil
		}
		return nil, nil
	})
}

func (v *verifier) incidents(ctx context.Context) (*BadRow, error) {
	return v.each(ctx, `SELECT id, key, alert_name, severity, summary, target_host, target_kind, target_name, state, flapping, opened_at FROM incidents ORDER BY opened_at, id`, func(row scanner) (*BadRow, error) {
		var (
			inc      lifeline.Incident
			flapping int
			opened   int64
		)
		if err := row.Scan(&inc.ID, &inc.Key, &inc.AlertName, &inc.Severity, &inc.Summary, &inc.Target.Host, &inc.Target.Kind, &inc.Target.Name, &inc.State, &flapping, &opened); err != nil {
			return nil, err
		}
		name, state := "incident "+inc.ID, inc.State
		// As it was when it was opened: see reception.open.
		inc.State, inc.Alerts, inc.AlertFiring, inc.Flapping = lifeline.StateOpen, 1, true, flapping == 1
		inc.OpenedAt, inc.UpdatedAt = fromMicros(opened), fromMicros(opened)
		if b := v.row(name, jsonOf(inc)); b != nil {
			return b, nil
		}
		if want := v.states[inc.ID]; state != want {
			return bad(name, "it is %s, and the events have it %s", state, want), nil
		}
		return nil, nil
	})
}

func (v *verifier) commands(ctx context.Context) (*BadRow, error) {
	return v.each(ctx, `SELECT id, incident_id, host, class, outcome, intent_at, finished_at, record, stdout, stderr FROM commands ORDER BY asked_at, id`, func(row scanner) (*BadRow, error) {
		var (
			id, incident, host, class, outcome, record string
			intent, finished                           sql.NullInt64
			stdout, stderr                             []byte
			c                                          lifeline.Command
		)
		if err := row.Scan(&id, &incident, &host, &class, &outcome, &intent, &finished, &record, &stdout, &stderr); err != nil {
			return nil, err
		}
		name := "command " + id
		data := []json.RawMessage{commandData(record, intent.Valid && finished.Valid, stdout, stderr)}
		if v.old.Events > 0 { // an event from before the chain has no hash of the outputs in it
			data = append(data, json.RawMessage(record))
		}
		if b := v.row(name, data...); b != nil {
			return b, nil
		}
		if json.Unmarshal([]byte(record), &c) != nil || c.ID != id || c.IncidentID != incident || c.Host != host || c.Class != class ||
			string(c.Outcome) != outcome || micros(c.IntentAt) != intent.Int64 || finished.Valid && !c.FinishedAt.IsZero() && micros(c.FinishedAt) != finished.Int64 {
			return bad(name, "its columns are not what its record says"), nil
		}
		return nil, nil
	})
}

func (v *verifier) approvals(ctx context.Context) (*BadRow, error) {
	return v.each(ctx, `SELECT id, incident_id, digest, state, created_at, expires_at, record FROM approvals ORDER BY created_at, id`, func(row scanner) (*BadRow, error) {
		var (
			id, incident, digest, record string
			state                        lifeline.ApprovalState
			created, expires             int64
			a                            lifeline.Approval
		)
		if err := row.Scan(&id, &incident, &digest, &state, &created, &expires, &record); err != nil {
			return nil, err
		}
		name := "approval " + id
		if b := v.row(name, json.RawMessage(record)); b != nil {
			return b, nil
		}
		if json.Unmarshal([]byte(record), &a) != nil || a.ID != id || a.Request.IncidentID != incident || a.Digest != digest ||
			a.State != state || micros(a.CreatedAt) != created || micros(a.ExpiresAt) != expires {
			return bad(name, "its columns are not what its record says"), nil
		}
		return nil, nil
	})
}

// pauses checks the newest row, which is what counts.
func (v *verifier) pauses(ctx context.Context) (*BadRow, error) {
	var (
		seq    int64
		record string
	)
	err := v.tx.QueryRowContext(ctx, `SELECT seq, record FROM pauses ORDER BY seq DESC LIMIT 1`).Scan(&seq, &record)
	if err != nil {
		return nil, ignoreNoRows(err)
	}
	if b := v.row("pause", json.RawMessage(record)); b != nil {
		return bad(fmt.Sprintf("pause %d", seq), "%s", b.What), nil
	}
	return nil, nil
}

func (v *verifier) maintenances(ctx context.Context) (*BadRow, error) {
	return v.each(ctx, `SELECT id, source, external_id, from_at, until_at, ended_at, record FROM maintenances ORDER BY id`, func(row scanner) (*BadRow, error) {
		var (
			id, source, external, record string
			from, until, ended           int64
			m                            lifeline.Maintenance
		)
		if err := row.Scan(&id, &source, &external, &from, &until, &ended, &record); err != nil {
			return nil, err
		}
		name := "maintenance " + id
		if b := v.row(name, json.RawMessage(record)); b != nil {
			return b, nil
		}
		if json.Unmarshal([]byte(record), &m) != nil || m.ID != id || m.Source != source || m.ExternalID != external ||
			micros(m.From) != from || micros(m.Until) != until || micros(m.EndedAt) != ended {
			return bad(name, "its columns are not what its record says"), nil
		}
		return nil, nil
	})
}

func (v *verifier) tokens(ctx context.Context) (*BadRow, error) {
	return v.each(ctx, tokenColumns+` ORDER BY id`, func(row scanner) (*BadRow, error) {
		r, err := scanTokenRow(row)
		if err != nil {
			return nil, err
		}
		name := "token " + r.id
		if b := v.row(name, json.RawMessage(r.record)); b != nil {
			return b, nil
		}
		if _, same := r.token(); !same || !r.genuine(v.key) {
			return bad(name, "its columns are not what its record says"), nil
		}
		return nil, nil
	})
}
