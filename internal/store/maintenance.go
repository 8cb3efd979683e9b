package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline"
)

// AddMaintenance puts a window on record and gives it its ID. A window without
// a scope, without a time, or longer than lifeline.MaxMaintenance is refused
// with lifeline.CodeUsage. A From that is zero is now.
func (s *Store) AddMaintenance(ctx context.Context, m lifeline.Maintenance) (lifeline.Maintenance, error) {
	err := s.write(ctx, "add a maintenance window", func(tx *writeTx) error {
		m.ID, m.EndedAt, m.EndedBy = newID("mnt", tx.now), time.Time{}, ""
		if m.Source == "" {
			m.Source = lifeline.MaintenanceByPerson
		}
		if m.From.IsZero() {
			m.From = tx.now
		}
		if err := checkWindow(&m); err != nil {
			return err
		}
		if !m.Until.After(tx.now) {
			return wrongWindow(errors.New("the window would be over already: it ends at " + m.Until.Format(time.RFC3339)))
		}
		return tx.insertMaintenance(ctx, m)
	})
	if err != nil {
		return lifeline.Maintenance{}, err
	}
	return m, nil
}

// checkWindow refuses what is no window, and gives its times as the database
// keeps them.
func checkWindow(m *lifeline.Maintenance) error {
	m.From, m.Until = fromMicros(micros(m.From)), fromMicros(micros(m.Until))
	if err := m.Check(); err != nil {
		return wrongWindow(err)
	}
	return nil
}

func wrongWindow(err error) error {
	return &lifeline.Error{Code: lifeline.CodeUsage, Message: "this is not a maintenance window", Err: err, Hint: "lifeline maintenance add --help"}
}

func (tx *writeTx) insertMaintenance(ctx context.Context, m lifeline.Maintenance) error {
	record := jsonOf(m)
	_, err := tx.ExecContext(ctx, `INSERT INTO maintenances (id, source, external_id, from_at, until_at, ended_at, record) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		m.ID, m.Source, m.ExternalID, micros(m.From), micros(m.Until), micros(m.EndedAt), string(record))
	if err != nil {
		return err
	}
	return tx.append(ctx, lifeline.Event{Kind: lifeline.EventMaintenanceAdded, Actor: m.By, Text: windowText(m), Data: record})
}

// windowText is a window for the timeline.
func windowText(m lifeline.Maintenance) string {
	return fmt.Sprintf("maintenance of %s from %s until %s%s (%s)", m.Scope, m.From.Format(time.RFC3339), m.Until.Format(time.RFC3339), because(m.Reason), m.ID)
}

// updateMaintenance writes a window that has changed or ended.
func (tx *writeTx) updateMaintenance(ctx context.Context, m lifeline.Maintenance, kind lifeline.EventKind, actor, text string) error {
	record := jsonOf(m)
	_, err := tx.ExecContext(ctx, `UPDATE maintenances SET from_at = $1, until_at = $2, ended_at = $3, record = $4 WHERE id = $5`,
		micros(m.From), micros(m.Until), micros(m.EndedAt), string(record), m.ID)
	if err != nil {
		return err
	}
	return tx.append(ctx, lifeline.Event{Kind: kind, Actor: actor, Text: text, Data: record})
}

func (tx *writeTx) endMaintenance(ctx context.Context, m *lifeline.Maintenance, by, why string) error {
	m.EndedAt, m.EndedBy = tx.now, by
	return tx.updateMaintenance(ctx, *m, lifeline.EventMaintenanceEnded, by, fmt.Sprintf("the maintenance of %s has ended%s (%s)", m.Scope, because(why), m.ID))
}

const maintenanceColumns = `SELECT record FROM maintenances`

func scanMaintenance(row scanner) (lifeline.Maintenance, error) {
	var (
		m      lifeline.Maintenance
		record string
	)
	if err := row.Scan(&record); err != nil {
		return m, err
	}
	return m, json.Unmarshal([]byte(record), &m)
}

// EndMaintenance ends a window before its time. A beginning of the ID that only
// it has is enough. One that has ended, or is over, is refused.
func (s *Store) EndMaintenance(ctx context.Context, id, by string) (m lifeline.Maintenance, err error) {
	err = s.write(ctx, "end the maintenance window "+id, func(tx *writeTx) error {
		if m, err = tx.maintenanceByID(ctx, id); err != nil {
			return err
		}
		switch {
		case !m.EndedAt.IsZero():
			return refused(lifeline.RuleMaintenance, "lifeline maintenance list --all", "the maintenance window %s was ended already by %s", m.ID, m.EndedBy)
		case !tx.now.Before(m.Until):
			return refused(lifeline.RuleMaintenance, "lifeline maintenance list --all", "the maintenance window %s is over since %s", m.ID, m.Until.Format(time.RFC3339))
		}
		return tx.endMaintenance(ctx, &m, by, "")
	})
	return m, err
}

func (tx *writeTx) maintenanceByID(ctx context.Context, id string) (lifeline.Maintenance, error) {
	var found []lifeline.Maintenance
	var err error
	if id != "" {
		found, err = list(ctx, tx, "look up the maintenance window "+id, maintenanceColumns+` WHERE substr(id, 1, $1) = $2 ORDER BY id LIMIT 3`, scanMaintenance, len(id), id)
	}
	switch {
	case err != nil:
		return lifeline.Maintenance{}, err
	case len(found) == 0:
		return lifeline.Maintenance{}, &lifeline.Error{Code: lifeline.CodeNotFound, Message: fmt.Sprintf("there is no maintenance window %q", id), Hint: "lifeline maintenance list"}
	case len(found) > 1:
		var ids []string
		for _, m := range found {
			ids = append(ids, m.ID)
		}
		return lifeline.Maintenance{}, &lifeline.Error{Code: lifeline.CodeNotFound,
			Message: fmt.Sprintf("%q begins more than one maintenance window: %s", id, strings.Join(ids, ", ")), Hint: "type more of the ID"}
	}
	return found[0], nil
}

// Maintenances lists the windows in the order in which they begin: those that
// are in force or yet to come, or all that ever were.
func (s *Store) Maintenances(ctx context.Context, all bool) ([]lifeline.Maintenance, error) {
	const what = "list the maintenance windows"
	if all {
		return list(ctx, s.db, what, maintenanceColumns+` ORDER BY from_at, id`, scanMaintenance)
	}
	return list(ctx, s.db, what, maintenanceColumns+` WHERE until_at > $1 AND ended_at = 0 ORDER BY from_at, id`, scanMaintenance, micros(s.opts.Now()))
}

// windowsInForce lists the windows that are open at a time, the one that lasts
// longest first.
func windowsInForce(ctx context.Context, q rowsQuerier, now time.Time) ([]lifeline.Maintenance, error) {
	return list(ctx, q, "read the maintenance windows",
		maintenanceColumns+` WHERE until_at > $1 AND from_at <= $1 AND ended_at = 0 ORDER BY until_at DESC, id`, scanMaintenance, micros(now))
}

// MaintenanceFor finds the window that an incident is in now; of several, the
// one that lasts longest. in is false if there is none.
func (s *Store) MaintenanceFor(ctx context.Context, inc lifeline.Incident) (m lifeline.Maintenance, in bool, err error) {
	now := s.opts.Now()
	windows, err := windowsInForce(ctx, s.db, now)
	if err != nil {
		return m, false, err
	}
	m, in = covering(windows, now, inc)
	return m, in, nil
}

// covering is the first of the windows that covers one of the incidents.
func covering(windows []lifeline.Maintenance, now time.Time, incidents ...lifeline.Incident) (lifeline.Maintenance, bool) {
	for _, m := range windows {
		if slices.ContainsFunc(incidents, func(inc lifeline.Incident) bool { return m.Covers(inc, now) }) {
			return m, true
		}
	}
	return lifeline.Maintenance{}, false
}

// checkMaintenance refuses a change of an incident that is in maintenance, or
// on a host that is as a whole: an incident may be about one machine and its
// change on another.
func (tx *writeTx) checkMaintenance(ctx context.Context, inc lifeline.Incident, host string) error {
	windows, err := windowsInForce(ctx, tx, tx.now)
	if err != nil || len(windows) == 0 {
		return err
	}
	there := lifeline.Incident{AlertName: inc.AlertName, Target: lifeline.Target{Host: host, Kind: lifeline.TargetHost}}
	m, in := covering(windows, tx.now, inc, there)
	if !in {
		return nil
	}
	return refused(lifeline.RuleMaintenance, "lifeline maintenance end "+m.ID, "%s is in maintenance until %s, by %s%s: no change is made (%s)",
		m.Scope, m.Until.Format(time.RFC3339), m.By, because(m.Reason), m.ID)
}

// SyncMaintenance makes the windows of a source exactly these, by their
// ExternalID: it adds those that are new, changes those that are others now, and
// ends those that are not among them. A window of the source that a person has
// ended here stays ended until it is changed there. A window without an
// ExternalID, or that is none, is an error, and then nothing is changed.
func (s *Store) SyncMaintenance(ctx context.Context, source string, windows []lifeline.Maintenance) error {
	return s.write(ctx, "take over the maintenance windows of "+source, func(tx *writeTx) error {
		if source == "" || source == lifeline.MaintenanceByPerson {
			return fmt.Errorf("windows of the source %q are not kept elsewhere", source)
		}
		known, err := tx.windowsOf(ctx, source)
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, m := range windows {
			m.Source, m.By, m.EndedAt, m.EndedBy = source, cmp.Or(m.By, source), time.Time{}, ""
			switch {
			case m.ExternalID == "":
				return wrongWindow(errors.New("it has no identifier at its source"))
			case seen[m.ExternalID]:
				return wrongWindow(fmt.Errorf("%s is given twice", m.ExternalID))
			}
			seen[m.ExternalID] = true
			if err := checkWindow(&m); err != nil {
				return err
			}
			if err := tx.takeOver(ctx, known[m.ExternalID], m); err != nil {
				return err
			}
		}
		for _, id := range slices.Sorted(maps.Keys(known)) {
			m := known[id]
			if m.EndedAt.IsZero() && tx.now.Before(m.Until) && !seen[m.ExternalID] {
				if err := tx.endMaintenance(ctx, &m, source, "it is not there any more"); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// windowsOf reads the newest window of each ExternalID of a source.
func (tx *writeTx) windowsOf(ctx context.Context, source string) (map[string]lifeline.Maintenance, error) {
	all, err := list(ctx, tx, "read the maintenance windows of "+source, maintenanceColumns+` WHERE source = $1 ORDER BY id`, scanMaintenance, source)
	known := map[string]lifeline.Maintenance{}
	for _, m := range all {
		if before, ok := known[m.ExternalID]; !ok || !before.EndedAt.IsZero() {
			known[m.ExternalID] = m
		}
	}
	return known, err
}

// takeOver brings one window of a source to what it is there now.
func (tx *writeTx) takeOver(ctx context.Context, was, is lifeline.Maintenance) error {
	same := was.ID != "" && was.Scope == is.Scope && was.Until.Equal(is.Until) && was.From.Equal(is.From) && was.By == is.By && was.Reason == is.Reason
	switch {
	case same && (was.EndedAt.IsZero() || was.EndedBy != was.Source): // as it was, or a person has ended it
		return nil
	case was.ID != "" && was.EndedAt.IsZero():
		is.ID = was.ID
		return tx.updateMaintenance(ctx, is, lifeline.EventMaintenanceAdded, is.By, "changed: "+windowText(is))
	case !tx.now.Before(is.Until):
		return nil // it was over before anybody here heard of it
	}
	is.ID = newID("mnt", tx.now)
	return tx.insertMaintenance(ctx, is)
}
