package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

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
		return r, tx.insertAlert(ctx, r.AlertID, "", a.Alert)
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
			return r, tx.insertAlert(ctx, r.AlertID, "", a.Alert)
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

func (tx *writeTx) insertAlert(ctx context.Context, id, incidentID string, a lifeline.Alert) error {
	var inc any
	if incidentID != "" {
		inc = incidentID
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO alerts (id, incident_id, fingerprint, status, received_at, alert) VALUES ($1, $2, $3, $4, $5, $6)`,
		id, inc, a.Fingerprint, a.Status, micros(tx.now), string(jsonOf(a)))
	return err
}

// received is the timeline's entry for an alert.
func received(inc lifeline.Incident, a lifeline.Alert) lifeline.Event {
	return lifeline.Event{IncidentID: inc.ID, Kind: lifeline.EventAlertReceived, Actor: a.Source,
		Text: fmt.Sprintf("%s is %s: %s", a.Name, a.Status, a.Summary()), Data: jsonOf(a)}
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
	if err := tx.insertAlert(ctx, alertID, inc.ID, a); err != nil {
		return err
	}
	if err := tx.append(ctx, received(inc, a)); err != nil {
		return err
	}
	if err := tx.append(ctx, lifeline.Event{IncidentID: inc.ID, Kind: lifeline.EventIncidentOpened, Actor: "triage",
		Text: fmt.Sprintf("%s: %s", inc.AlertName, inc.Target), Data: jsonOf(inc)}); err != nil {
		return err
	}
	return opened(ctx, tx.Tx, inc)
}

func (tx *writeTx) repeat(ctx context.Context, alertID string, inc lifeline.Incident, a lifeline.Alert) error {
	if err := tx.insertAlert(ctx, alertID, inc.ID, a); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE incidents SET alert_firing = 1 WHERE id = $1`, inc.ID); err != nil {
		return err
	}
	return tx.append(ctx, received(inc, a))
}

// resolve notes that one alert is gone and, if it was the last, tells so.
func (tx *writeTx) resolve(ctx context.Context, alertID string, inc lifeline.Incident, a lifeline.Alert,
	resolved func(context.Context, *sql.Tx, lifeline.Incident) error,
) error {
	if err := tx.insertAlert(ctx, alertID, inc.ID, a); err != nil {
		return err
	}
	if err := tx.append(ctx, received(inc, a)); err != nil {
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
