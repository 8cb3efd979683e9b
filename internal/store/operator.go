package store

import (
	"context"
	"encoding/json"
	"fmt"

	"lifeline"
)

// RetryIncident tries an escalated incident again whose alert still fires: it
// lets go of its key, and a new incident takes over its firing alerts. opened is
// called for the new one inside the transaction. An incident that has not been
// escalated, whose alert is gone, or whose key another one has taken, is refused.
// The bounds on changes hold as before.
func (s *Store) RetryIncident(ctx context.Context, id, by string, opened tell) (next lifeline.Incident, err error) {
	err = s.write(ctx, "retry the incident "+id, func(tx *writeTx) error {
		inc, err := tx.escalatedIncident(ctx, id, "retried")
		if err != nil {
			return err
		}
		if !inc.AlertFiring {
			return refused(lifeline.RuleResolved, "lifeline incidents show "+inc.ID, "the alert of %s does not fire any more: there is nothing to repair", inc.ID)
		}
		alerts, err := list(ctx, tx, "read the firing alerts of "+inc.ID,
			`SELECT a.alert FROM firing f JOIN alerts a ON a.id = f.alert_id WHERE f.incident_id = $1 ORDER BY a.seq`, scanAlert, inc.ID)
		if err != nil {
			return err
		}
		if len(alerts) == 0 {
			return refused(lifeline.RuleResolved, "lifeline incidents show "+inc.ID, "no firing alert of %s is on record: there is nothing to work with", inc.ID)
		}
		var storm string
		if err := tx.QueryRowContext(ctx, `SELECT storm FROM incidents WHERE id = $1`, inc.ID).Scan(&storm); err != nil {
			return err
		}
		if err := tx.letGo(ctx, inc.ID); err != nil {
			return err
		}
		if len(alerts) >= prepareFrom {
			tx.repeats()
		}
		r := &reception{writeTx: tx, opened: opened}
		note := "taken over from " + inc.ID
		// A person asks for it: it is not held back for having come so often.
		again := func(a lifeline.Alert) lifeline.TriagedAlert {
			return lifeline.TriagedAlert{Alert: a, Key: inc.Key, Target: inc.Target}
		}
		t, err := r.open(ctx, newID("alr", tx.now), lifeline.Incident{
			Key: inc.Key, AlertName: inc.AlertName, Severity: inc.Severity, Summary: inc.Summary, Target: inc.Target,
		}, "", again(alerts[0]))
		if err != nil {
			return err
		}
		for _, a := range alerts[1:] { // the newest last: it is the one that is worked
			if err := r.insertFiring(ctx, newID("alr", tx.now), t.ID, a, note); err != nil {
				return err
			}
		}
		if storm != "" {
			if _, err := tx.ExecContext(ctx, `UPDATE incidents SET storm = $1 WHERE id = $2`, storm, t.ID); err != nil {
				return err
			}
		}
		data := jsonOf(map[string]string{"from": inc.ID, "to": t.ID})
		for _, e := range []lifeline.Event{
			{IncidentID: inc.ID, Text: fmt.Sprintf("retried as %s by %s", t.ID, by)},
			{IncidentID: t.ID, Text: fmt.Sprintf("retry of %s by %s", inc.ID, by)},
		} {
			e.Kind, e.Actor, e.Data = lifeline.EventRetried, by, data
			if err := tx.append(ctx, e); err != nil {
				return err
			}
		}
		next, err = incidentByID(ctx, tx, t.ID)
		return err
	})
	return next, err
}

// escalatedIncident finds an incident that a person has and that takes alerts.
func (tx *writeTx) escalatedIncident(ctx context.Context, id, what string) (lifeline.Incident, error) {
	inc, err := incidentByID(ctx, tx, plain(id))
	if err != nil {
		return inc, err
	}
	if inc.State != lifeline.StateEscalated {
		hint := "lifeline incidents show " + inc.ID
		return inc, refused(lifeline.RuleResolved, hint, "the incident %s is %s: only one that a person was handed is %s", inc.ID, inc.State, what)
	}
	return inc, nil
}

// letGo ends that an incident takes alerts.
func (tx *writeTx) letGo(ctx context.Context, id string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE incidents SET alert_firing = 0, damped_until = 0 WHERE id = $1`, id); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM firing WHERE incident_id = $1`, id)
	return err
}

// HandOverIncident gives an incident that has not ended to a person at once, with
// handover, a lifeline.Handover, on its timeline. No change is let through for it
// after that, and what waits for a decision is closed. One that has ended is
// refused.
func (s *Store) HandOverIncident(ctx context.Context, id, by, reason string, handover json.RawMessage) (inc lifeline.Incident, err error) {
	err = s.write(ctx, "hand over the incident "+id, func(tx *writeTx) error {
		if inc, err = incidentByID(ctx, tx, plain(id)); err != nil {
			return err
		}
		if inc.State.Ended() {
			return refused(lifeline.RuleResolved, "lifeline incidents show "+inc.ID, "the incident %s is %s already: nobody works on it", inc.ID, inc.State)
		}
		e := lifeline.Event{IncidentID: inc.ID, Kind: lifeline.EventEscalated, Actor: by, Text: reason, Data: handover}
		if err := tx.append(ctx, e); err != nil {
			return err
		}
		return tx.move(ctx, &inc, lifeline.StateEscalated, by, reason)
	})
	return inc, err
}

// CloseIncident notes that a person has dealt with an escalated incident: it takes
// no alerts any more, and the next one about the same thing is a new fault. It is
// closed once.
func (s *Store) CloseIncident(ctx context.Context, id, by, reason string) (inc lifeline.Incident, err error) {
	err = s.write(ctx, "close the incident "+id, func(tx *writeTx) error {
		if inc, err = tx.escalatedIncident(ctx, id, "closed"); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO event_keys (key, at) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING`, inc.ID+".closed", micros(tx.now))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return refused(lifeline.RuleResolved, "lifeline incidents show "+inc.ID, "the incident %s was closed already", inc.ID)
		}
		if err := tx.letGo(ctx, inc.ID); err != nil {
			return err
		}
		inc.AlertFiring = false
		return tx.append(ctx, lifeline.Event{IncidentID: inc.ID, Kind: lifeline.EventClosed, Actor: by, Text: "closed by " + by + because(reason),
			Data: jsonOf(map[string]string{"reason": reason})})
	})
	return inc, err
}
