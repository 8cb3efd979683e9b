package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeline"
)

// tell is how ReceiveAlerts tells of an incident, in its transaction.
type tell = func(context.Context, *sql.Tx, lifeline.Incident) error

// ReceiveAlerts stores the alerts and opens, repeats or resolves their
// incidents, all or nothing. opened is called for each new incident and
// resolved for each that has no firing alert any more, inside the transaction;
// an error of theirs, like any other, leaves nothing stored.
//
// Calls at the same time share a transaction, since it is the commit that takes
// the time. They do not share an error: see delivery.go.
func (s *Store) ReceiveAlerts(ctx context.Context, alerts []lifeline.TriagedAlert, opened, resolved tell) ([]lifeline.Receipt, error) {
	return s.deliver(ctx, &delivery{ctx: ctx, alerts: alerts, opened: opened, resolved: resolved,
		lead: make(chan struct{}), done: make(chan struct{})})
}

// reception takes in the alerts of one transaction. What it has looked up it
// keeps: nobody else writes meanwhile.
type reception struct {
	*writeTx
	opened, resolved tell // of whoever's alerts are taken in now
	storms           map[string]*stormCase
	windows          []lifeline.Maintenance
	windowsRead      bool
}

// taken is the incident that takes the alerts of a key; ID is "" if there is
// none.
type taken struct {
	lifeline.Incident
	dampedUntil int64
	storm       string // the column
	// stale is the ID of an incident that was damped, has been quiet since, and
	// has to let go of the key before another is opened.
	stale string
}

// taking finds the incident that takes the alerts of a key.
func (r *reception) taking(ctx context.Context, key string, d lifeline.Damping) (t taken, err error) {
	t.Incident, err = scanIncidentRow(r.QueryRowContext(ctx, `SELECT `+incidentRow+`, i.damped_until, i.storm FROM incidents i
		WHERE i.key = $1 AND i.state NOT IN ('resolved', 'superseded') AND (i.state <> 'escalated' OR i.alert_firing = 1 OR i.damped_until > 0)`, key),
		&t.dampedUntil, &t.storm)
	if errors.Is(err, sql.ErrNoRows) {
		return taken{}, nil
	}
	if t.State == lifeline.StateEscalated && !t.AlertFiring && !damped(t.dampedUntil, r.now, d.FlapWindow) {
		return taken{stale: t.ID}, err
	}
	return t, err
}

// damped reports whether an incident still takes the ups and downs of its key.
// A time that lies further ahead than it is ever set was set by a clock that
// has been corrected since.
func damped(until int64, now time.Time, window time.Duration) bool {
	return micros(now) < until && until <= micros(now.Add(window))
}

// receive stores one alert and says what became of it.
func (r *reception) receive(ctx context.Context, a lifeline.TriagedAlert) (lifeline.Receipt, error) {
	receipt := lifeline.Receipt{AlertID: newID("alr", r.now)}
	switch {
	case a.Test:
		receipt.Result = lifeline.ReceiptTest
		return receipt, r.insertAlert(ctx, receipt.AlertID, "", a.Alert, "a test, nothing is started")
	case a.Ignore != "" && a.Status != lifeline.AlertResolved:
		receipt.Result, receipt.Reason = lifeline.ReceiptIgnored, a.Ignore
		return receipt, r.insertAlert(ctx, receipt.AlertID, "", a.Alert, a.Ignore)
	}
	inc, storm, err := r.belongs(ctx, a)
	switch {
	case err != nil:
		return receipt, err
	case inc.ID != "" && a.Status == lifeline.AlertResolved:
		receipt.IncidentID, receipt.Result = inc.ID, lifeline.ReceiptResolved
		return receipt, r.resolve(ctx, receipt.AlertID, inc, a)
	case inc.ID != "":
		receipt.IncidentID, receipt.Result = inc.ID, lifeline.ReceiptRepeat
		return receipt, r.repeat(ctx, receipt.AlertID, inc, a, "")
	case a.Status == lifeline.AlertResolved:
		receipt.Result, receipt.Reason = lifeline.ReceiptIgnored, "no incident is open for it"
		return receipt, r.insertAlert(ctx, receipt.AlertID, "", a.Alert, receipt.Reason)
	}
	if storm != nil {
		if join, err := r.joins(ctx, a, storm); err != nil || join {
			if err != nil {
				return receipt, err
			}
			return r.merge(ctx, receipt.AlertID, storm, a)
		}
	}
	t, err := r.open(ctx, receipt.AlertID, lifeline.Incident{
		Key: a.Key, AlertName: a.Name, Severity: a.Severity(), Summary: a.Summary(), Target: a.Target,
	}, inc.stale, a)
	receipt.IncidentID, receipt.Result = t.ID, lifeline.ReceiptOpened
	return receipt, err
}

// belongs finds the incident that an alert belongs to: its host's storm case if
// it fires there, otherwise the one that takes the alerts of its key. storm is
// nil if no host is known.
func (r *reception) belongs(ctx context.Context, a lifeline.TriagedAlert) (inc *taken, storm *stormCase, err error) {
	if a.Target.Host != "" {
		if storm, err = r.storm(ctx, a.Target.Host, a.Damping); err != nil {
			return nil, nil, err
		}
		if storm.ID != "" {
			if fires, err := r.fires(ctx, storm.ID, a.Fingerprint); err != nil || fires {
				return &storm.taken, storm, err
			}
		}
	}
	t, err := r.taking(ctx, a.Key, a.Damping)
	return &t, storm, err
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

// insertFiring stores a firing alert of an incident.
func (r *reception) insertFiring(ctx context.Context, id, incidentID string, a lifeline.Alert, note string) error {
	if err := r.insertAlert(ctx, id, incidentID, a, note); err != nil {
		return err
	}
	_, err := r.ExecContext(ctx, `INSERT INTO firing (incident_id, fingerprint, alert_id) VALUES ($1, $2, $3)
		ON CONFLICT (incident_id, fingerprint) DO UPDATE SET alert_id = excluded.alert_id`, incidentID, a.Fingerprint, id)
	return err
}

// open opens an incident with its first alert. stale is the incident that has
// to let go of its key before; "" if there is none.
func (r *reception) open(ctx context.Context, alertID string, inc lifeline.Incident, stale string, a lifeline.TriagedAlert) (t taken, err error) {
	inc.ID, inc.State, inc.Alerts, inc.AlertFiring = newID("inc", r.now), lifeline.StateOpen, 1, true
	inc.OpenedAt, inc.UpdatedAt = r.now, r.now
	if stale != "" {
		if _, err := r.ExecContext(ctx, `UPDATE incidents SET damped_until = 0 WHERE id = $1`, stale); err != nil {
			return t, err
		}
	}
	often, err := r.flaps(ctx, inc.Key, a.Damping)
	if err != nil {
		return t, err
	}
	if often > 0 {
		inc.Flapping, t.dampedUntil = true, micros(r.now.Add(a.Damping.FlapWindow))
	}
	t.Incident = inc
	_, err = r.ExecContext(ctx, `INSERT INTO incidents (id, key, alert_name, severity, summary,
		target_host, target_kind, target_name, state, reason, alert_firing, flapping, damped_until, opened_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', 1, $10, $11, $12, $12)`,
		inc.ID, inc.Key, inc.AlertName, inc.Severity, inc.Summary,
		inc.Target.Host, inc.Target.Kind, inc.Target.Name, inc.State, asInt(inc.Flapping), t.dampedUntil, micros(r.now))
	if err != nil {
		return t, err
	}
	if err := r.insertFiring(ctx, alertID, inc.ID, a.Alert, ""); err != nil {
		return t, err
	}
	text := fmt.Sprintf("%s: %s", inc.AlertName, inc.Target)
	if inc.Flapping {
		text += fmt.Sprintf(": flapping, it was opened %d times within %s before: held for a person", often, a.Damping.FlapWindow)
	}
	if err := r.append(ctx, lifeline.Event{IncidentID: inc.ID, Kind: lifeline.EventIncidentOpened, Actor: "triage", Text: text, Data: jsonOf(inc)}); err != nil {
		return t, err
	}
	return t, r.opened(ctx, r.Tx, inc)
}

// flaps counts the incidents of a key that were opened within the window, if
// they are so many that the next one is held for a person; 0 if not.
func (r *reception) flaps(ctx context.Context, key string, d lifeline.Damping) (n int, err error) {
	if d.FlapAfter <= 0 {
		return 0, nil
	}
	err = r.QueryRowContext(ctx, `SELECT count(*) FROM incidents WHERE key = $1 AND opened_at > $2 AND opened_at <= $3`,
		key, micros(r.now.Add(-d.FlapWindow)), micros(r.now)).Scan(&n)
	if n < d.FlapAfter {
		n = 0
	}
	return n, err
}

func asInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// repeat puts a firing alert to an incident that takes it.
func (r *reception) repeat(ctx context.Context, alertID string, inc *taken, a lifeline.TriagedAlert, note string) error {
	if err := r.insertFiring(ctx, alertID, inc.ID, a.Alert, note); err != nil {
		return err
	}
	return r.sees(ctx, inc, true, a.Damping)
}

// sees notes whether an alert of an incident fires, and that there was one, for
// an incident that is damped.
func (r *reception) sees(ctx context.Context, inc *taken, firing bool, d lifeline.Damping) error {
	until := inc.dampedUntil
	if until > 0 {
		until = micros(r.now.Add(d.FlapWindow))
	}
	if firing == inc.AlertFiring && until == inc.dampedUntil {
		return nil
	}
	inc.AlertFiring, inc.dampedUntil = firing, until
	_, err := r.ExecContext(ctx, `UPDATE incidents SET alert_firing = $1, damped_until = $2 WHERE id = $3`, asInt(firing), until, inc.ID)
	return err
}

// resolve notes that one alert is gone and, if it was the last, tells so.
func (r *reception) resolve(ctx context.Context, alertID string, inc *taken, a lifeline.TriagedAlert) error {
	if err := r.insertAlert(ctx, alertID, inc.ID, a.Alert, ""); err != nil {
		return err
	}
	if _, err := r.ExecContext(ctx, `DELETE FROM firing WHERE incident_id = $1 AND fingerprint = $2`, inc.ID, a.Fingerprint); err != nil {
		return err
	}
	var left int
	err := r.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM firing WHERE incident_id = $1 LIMIT 1) f`, inc.ID).Scan(&left)
	if err != nil {
		return err
	}
	if err := r.sees(ctx, inc, left > 0, a.Damping); err != nil || left > 0 {
		return err
	}
	if inc.State.Ended() {
		return nil // a person has it: there is no workflow to tell
	}
	whole, err := incidentByID(ctx, r, inc.ID)
	if err != nil {
		return err
	}
	return r.resolved(ctx, r.Tx, whole)
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

// FiringAlerts lists the alerts of an incident that fire now, each fingerprint
// once as it came last, the newest first, and at most limit of them; 0: all.
func (s *Store) FiringAlerts(ctx context.Context, incidentID string, limit int) ([]lifeline.Alert, error) {
	query := `SELECT a.alert FROM firing f JOIN alerts a ON a.id = f.alert_id WHERE f.incident_id = $1 ORDER BY a.seq DESC`
	if limit > 0 {
		query += fmt.Sprintf(" LIMIT %d", limit)
	}
	return list(ctx, s.db, "read the firing alerts of "+incidentID, query, scanAlert, incidentID)
}

// LatestAlert is the newest firing alert of an incident.
func (s *Store) LatestAlert(ctx context.Context, incidentID string) (lifeline.Alert, error) {
	a, err := scanAlert(s.db.QueryRowContext(ctx, alertColumns+` AND status = 'firing' ORDER BY seq DESC LIMIT 1`, incidentID))
	if errors.Is(err, sql.ErrNoRows) {
		return a, noIncident(incidentID)
	}
	return a, wrap("read the newest alert of "+incidentID, err)
}

// AlertGone notes that no alert of the incident fires any more, on other
// knowledge than its sender's message: e says whose. Where that is on record
// already, nothing is written.
func (s *Store) AlertGone(ctx context.Context, e lifeline.Event) error {
	return s.write(ctx, "note that the alert of "+e.IncidentID+" is gone", func(tx *writeTx) error {
		res, err := tx.ExecContext(ctx, `UPDATE incidents SET alert_firing = 0 WHERE id = $1 AND alert_firing = 1`, e.IncidentID)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM firing WHERE incident_id = $1`, e.IncidentID); err != nil {
			return err
		}
		return tx.append(ctx, e)
	})
}
