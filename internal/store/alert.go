package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"lifeline"
)

// ReceiveAlerts stores the alerts and opens, repeats or resolves their
// incidents, all in one transaction. opened is called for each new incident
// and resolved for each that has no firing alert any more, inside the
// transaction; an error of theirs, like any other, leaves nothing stored.
func (s *Store) ReceiveAlerts(ctx context.Context, alerts []lifeline.TriagedAlert,
	opened, resolved func(context.Context, *sql.Tx, lifeline.Incident) error,
) (receipts []lifeline.Receipt, err error) {
	err = s.write(ctx, fmt.Sprintf("store %d alerts", len(alerts)), func(tx *writeTx) error {
		receipts = make([]lifeline.Receipt, 0, len(alerts)) // not kept from a try before
		for _, a := range alerts {
			r, err := tx.receive(ctx, a, opened, resolved)
			if err != nil {
				return fmt.Errorf("alert %s: %w", a.Name, err)
			}
			receipts = append(receipts, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return receipts, nil
}

// receive stores one alert and says what became of it.
func (tx *writeTx) receive(ctx context.Context, a lifeline.TriagedAlert,
	opened, resolved func(context.Context, *sql.Tx, lifeline.Incident) error,
) (lifeline.Receipt, error) {
	r := lifeline.Receipt{AlertID: newID("alr", tx.now)}
	if a.Test {
		r.Result = lifeline.ReceiptTest
		return r, tx.insertAlert(ctx, r.AlertID, "", a.Alert, "a test, nothing is started")
	}
	inc, err := scanIncident(tx.QueryRowContext(ctx, `SELECT `+incidentColumns+` FROM incidents i
		WHERE i.key = $1 AND i.state NOT IN ('resolved', 'superseded') AND (i.state <> 'escalated' OR i.alert_firing = 1)`, a.Key))
	known := err == nil
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return r, err
	}
	if a.Status == lifeline.AlertResolved {
		if !known {
			r.Result = lifeline.ReceiptIgnored
			return r, tx.insertAlert(ctx, r.AlertID, "", a.Alert, "no incident is open for it")
		}
		r.IncidentID, r.Result = inc.ID, lifeline.ReceiptResolved
		return r, tx.resolve(ctx, r.AlertID, inc, a.Alert, resolved)
	}
	if known {
		r.IncidentID, r.Result = inc.ID, lifeline.ReceiptRepeat
		return r, tx.repeat(ctx, r.AlertID, inc, a.Alert)
	}
	inc = lifeline.Incident{
		ID: newID("inc", tx.now), Key: a.Key, AlertName: a.Name, Severity: a.Severity(), Summary: a.Summary(),
		Target: a.Target, State: lifeline.StateOpen, Alerts: 1, AlertFiring: true, OpenedAt: tx.now, UpdatedAt: tx.now,
	}
	r.IncidentID, r.Result = inc.ID, lifeline.ReceiptOpened
	return r, tx.open(ctx, r.AlertID, inc, a.Alert, opened)
}

// insertAlert stores an alert and puts it on the timeline of its incident, if
// it has one, and into the chain in any case.
func (tx *writeTx) insertAlert(ctx context.Context, id, incidentID string, a lifeline.Alert, note string) error {
	var inc any
	if incidentID != "" {
		inc = incidentID
	}
	record := string(jsonOf(a))
	_, err := tx.ExecContext(ctx, `INSERT INTO alerts (id, incident_id, fingerprint, status, received_at, alert) VALUES ($1, $2, $3, $4, $5, $6)`,
		id, inc, a.Fingerprint, a.Status, micros(tx.now), record)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s is %s: %s", a.Name, a.Status, a.Summary())
	if note != "" {
		text += " (" + note + ")"
	}
	return tx.append(ctx, lifeline.Event{IncidentID: incidentID, Kind: lifeline.EventAlertReceived, Actor: a.Source,
		Text: text, Data: alertData(record, id, incidentID)})
}

// alertData is the Data of an EventAlertReceived: the alert as its row has it,
// with alert_id and, since the row names it, alert_incident.
func alertData(record, id, incidentID string) json.RawMessage {
	return with(record, "alert_id", id, "alert_incident", incidentID)
}

// with is a JSON object, as it stands, with more texts in it.
func with(object string, namesAndTexts ...string) json.RawMessage {
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(object, "}"))
	for i := 0; i < len(namesAndTexts); i += 2 {
		fmt.Fprintf(&b, ",%s:%s", jsonOf(namesAndTexts[i]), jsonOf(namesAndTexts[i+1]))
	}
	b.WriteString("}")
	return json.RawMessage(b.String())
}

func (tx *writeTx) open(ctx context.Context, alertID string, inc lifeline.Incident, a lifeline.Alert,
	opened func(context.Context, *sql.Tx, lifeline.Incident) error,
) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO incidents (id, key, alert_name, severity, summary,
		target_host, target_kind, target_name, state, reason, alert_firing, opened_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', 1, $10, $10)`,
		inc.ID, inc.Key, inc.AlertName, inc.Severity, inc.Summary,
		inc.Target.Host, inc.Target.Kind, inc.Target.Name, inc.State, micros(tx.now))
	if err != nil {
		return err
	}
	if err := tx.insertAlert(ctx, alertID, inc.ID, a, ""); err != nil {
		return err
	}
	if err := tx.append(ctx, lifeline.Event{IncidentID: inc.ID, Kind: lifeline.EventIncidentOpened, Actor: "triage",
		Text: fmt.Sprintf("%s: %s", inc.AlertName, inc.Target), Data: jsonOf(inc)}); err != nil {
		return err
	}
	return opened(ctx, tx.Tx, inc)
}

func (tx *writeTx) repeat(ctx context.Context, alertID string, inc lifeline.Incident, a lifeline.Alert) error {
	if err := tx.insertAlert(ctx, alertID, inc.ID, a, ""); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE incidents SET alert_firing = 1 WHERE id = $1`, inc.ID)
	return err
}

// resolve notes that one alert is gone and, if it was the last, tells so.
func (tx *writeTx) resolve(ctx context.Context, alertID string, inc lifeline.Incident, a lifeline.Alert,
	resolved func(context.Context, *sql.Tx, lifeline.Incident) error,
) error {
	if err := tx.insertAlert(ctx, alertID, inc.ID, a, ""); err != nil {
		return err
	}
	var firing int
	err := tx.QueryRowContext(ctx, `SELECT count(*) FROM alerts a WHERE a.incident_id = $1 AND a.status = 'firing'
		AND NOT EXISTS (SELECT 1 FROM alerts b WHERE b.incident_id = a.incident_id AND b.fingerprint = a.fingerprint
			AND b.status = 'resolved' AND b.seq > a.seq)`, inc.ID).Scan(&firing)
	if err != nil || firing > 0 {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE incidents SET alert_firing = 0 WHERE id = $1`, inc.ID); err != nil {
		return err
	}
	inc.AlertFiring = false
	if inc.State.Ended() {
		return nil // a person has it: there is no workflow to tell
	}
	return resolved(ctx, tx.Tx, inc)
}

const alertColumns = `SELECT alert FROM alerts WHERE incident_id = $1`

func scanAlert(row scanner) (lifeline.Alert, error) {
	var (
		a   lifeline.Alert
		raw string
	)
	if err := row.Scan(&raw); err != nil {
		return a, err
	}
	return a, json.Unmarshal([]byte(raw), &a)
}

// Alerts lists an incident's alerts in the order in which they came.
func (s *Store) Alerts(ctx context.Context, incidentID string) ([]lifeline.Alert, error) {
	return list(ctx, s.db, "read the alerts of "+incidentID, alertColumns+` ORDER BY seq`, scanAlert, incidentID)
}

// LatestAlert is the newest firing alert of an incident.
func (s *Store) LatestAlert(ctx context.Context, incidentID string) (lifeline.Alert, error) {
	a, err := scanAlert(s.db.QueryRowContext(ctx, alertColumns+` AND status = 'firing' ORDER BY seq DESC LIMIT 1`, incidentID))
	if errors.Is(err, sql.ErrNoRows) {
		return a, noIncident(incidentID)
	}
	return a, wrap("read the newest alert of "+incidentID, err)
}
