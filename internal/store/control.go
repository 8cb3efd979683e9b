package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lifeline"
)

// PauseFile is the name of a file that pauses Lifeline by being in the folder
// of the key of the record, which on SQLite is that of the database: for whoever
// has no lifeline command at hand.
const PauseFile = "lifeline.paused"

// Pause turns the kill switch on: from its commit on no intent of a change is
// put on record, in any process on this database. now also ends the changes
// that are under way. Turning it on again keeps since when it is on.
func (s *Store) Pause(ctx context.Context, by, reason string, now bool) (p lifeline.Pause, err error) {
	err = s.write(ctx, "pause", func(tx *writeTx) error {
		was, err := tx.paused(ctx)
		if err != nil {
			return err
		}
		p = lifeline.Pause{On: true, Now: now, Since: tx.now, By: by, Reason: reason}
		if was.On {
			p.Since = was.Since
		}
		return tx.setPause(ctx, p, lifeline.EventPaused, by, "no change is let through"+because(reason))
	})
	if err == nil {
		p.File = s.pauseFile()
	}
	return p, err
}

// Resume turns the kill switch off. What remains is told by the result: a file
// that pauses Lifeline is not Lifeline's to remove.
func (s *Store) Resume(ctx context.Context, by, reason string) (p lifeline.Pause, err error) {
	err = s.write(ctx, "resume", func(tx *writeTx) error {
		was, err := tx.paused(ctx)
		if err != nil || !was.On {
			return err
		}
		return tx.setPause(ctx, lifeline.Pause{Since: tx.now, By: by, Reason: reason}, lifeline.EventResumed, by, "changes are let through again"+because(reason))
	})
	if err != nil {
		return p, err
	}
	return s.Paused(ctx)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// Paused says where the kill switch stands, the file included. Another node's
// taking over from this one is an error with lifeline.CodeFenced: this is what
// is asked last before a change.
func (s *Store) Paused(ctx context.Context) (lifeline.Pause, error) {
	if err := s.inForce(ctx, s.db); err != nil {
		return lifeline.Pause{}, wrap("read the kill switch", err)
	}
	p, err := readPause(ctx, s.db)
	if err != nil {
		return p, failed("read the kill switch", err, "")
	}
	return s.withFile(p), nil
}

func (s *Store) withFile(p lifeline.Pause) lifeline.Pause {
	if p.File = s.pauseFile(); p.File != "" {
		p.On = true
	}
	return p
}

// pauseFile is the path of the file that pauses Lifeline, "" if it is not
// there. That it cannot be looked for counts as being there.
func (s *Store) pauseFile() string {
	path := filepath.Join(filepath.Dir(s.keyFile), PauseFile)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return path
}

func (tx *writeTx) paused(ctx context.Context) (lifeline.Pause, error) { return readPause(ctx, tx) }

func readPause(ctx context.Context, q querier) (p lifeline.Pause, err error) {
	var record string
	err = q.QueryRowContext(ctx, `SELECT record FROM pauses ORDER BY seq DESC LIMIT 1`).Scan(&record)
	if errors.Is(err, sql.ErrNoRows) {
		return p, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(record), &p)
	}
	return p, err
}

func (tx *writeTx) setPause(ctx context.Context, p lifeline.Pause, kind lifeline.EventKind, by, text string) error {
	record := jsonOf(p)
	if _, err := tx.ExecContext(ctx, `INSERT INTO pauses (at, record) VALUES ($1, $2)`, micros(tx.now), string(record)); err != nil {
		return err
	}
	return tx.append(ctx, lifeline.Event{Kind: kind, Actor: by, Text: text, Data: record})
}

// refused is the error for a command that the record does not let through.
func refused(rule, hint, format string, args ...any) error {
	return &lifeline.Error{Code: lifeline.CodeRefused, Rule: rule, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// checkChange refuses a change while the kill switch is on, and a change of an
// incident that has ended or resolved, is in maintenance or beyond one of its
// limits. It is asked in the transaction that would put the intent on record:
// nothing can come between.
func (s *Store) checkChange(ctx context.Context, tx *writeTx, cmd lifeline.Command, limits lifeline.Limits) error {
	p, err := tx.paused(ctx)
	if err != nil {
		return err
	}
	switch p = s.withFile(p); {
	case p.File != "":
		return refused(lifeline.RulePaused, "rm "+p.File, "Lifeline is paused by the file %s: no change is made", p.File)
	case p.On:
		return refused(lifeline.RulePaused, "lifeline resume", "Lifeline is paused since %s by %s: no change is made%s",
			p.Since.Format(time.RFC3339), p.By, because(p.Reason))
	}
	if cmd.IncidentID == "" {
		return nil // a person at the terminal decides about each change
	}
	inc, err := incidentByID(ctx, tx, cmd.IncidentID)
	switch {
	case lifeline.CodeOf(err) == lifeline.CodeNotFound && cmd.ApprovalID != "":
		return nil // the approval is for another incident: useApproval says so
	case err != nil:
		return err
	case inc.State.Ended():
		return refused(lifeline.RuleResolved, "lifeline incidents show "+inc.ID, "the incident is %s: nothing is changed for it any more", inc.State)
	case !inc.AlertFiring:
		return refused(lifeline.RuleResolved, "", "the alert has resolved: nothing is left to repair")
	}
	if err := tx.checkMaintenance(ctx, inc, cmd.Host); err != nil {
		return err
	}
	return tx.checkLimits(ctx, inc.Key, cmd, limits)
}

func (tx *writeTx) checkLimits(ctx context.Context, key string, cmd lifeline.Command, limits lifeline.Limits) error {
	made, err := tx.changes(ctx, cmd.IncidentID, cmd.Host, tx.now)
	if err != nil {
		return err
	}
	if limits.PerKey > 0 && limits.PerKeyWindow > 0 {
		// As countChanges, those after the clock's time count too.
		err = tx.QueryRowContext(ctx, changesOf+` IN (SELECT id FROM incidents WHERE key = $1) AND c.intent_at > $2`,
			key, micros(tx.now.Add(-limits.PerKeyWindow))).Scan(&made.Key)
	}
	switch {
	case err != nil:
		return err
	case limits.PerIncident > 0 && made.Incident >= limits.PerIncident:
		return refused(lifeline.RuleBudget, "", "this incident has made %d of its %d changes (respond.max_changes)", made.Incident, limits.PerIncident)
	case limits.PerKey > 0 && made.Key >= limits.PerKey:
		return refused(lifeline.RuleBudget, "", "%d of %d changes were made for the same thing within %s (respond.max_changes, respond.attempt_window): a person should look for the cause",
			made.Key, limits.PerKey, span(limits.PerKeyWindow))
	case limits.PerHostHour > 0 && made.HostHour >= limits.PerHostHour:
		return refused(lifeline.RuleBudget, "", "%d of %d changes were made on %s within an hour (respond.max_changes_per_host_hour): wait, or make the change yourself with lifeline exec",
			made.HostHour, limits.PerHostHour, cmd.Host)
	case limits.PerDay > 0 && made.Day >= limits.PerDay:
		return refused(lifeline.RuleBudget, "", "%d of %d changes were made on all hosts within a day (respond.max_changes_per_day): wait, or make the change yourself with lifeline exec",
			made.Day, limits.PerDay)
	}
	return nil
}

// span is a duration for a person: 6h, not 6h0m0s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Changes counts the changes of incidents that were let through and may have
// happened.
type Changes struct {
	Incident int `json:"-"`
	Key      int `json:"-"`
	HostHour int `json:"host_hour"`
	Day      int `json:"day"`
}

// Changes counts what the limits on a host and on all hosts count.
func (s *Store) Changes(ctx context.Context, host string) (Changes, error) {
	c, err := countChanges(ctx, s.db, "", host, s.opts.Now())
	return c, wrap("count the changes on "+host, err)
}

func (tx *writeTx) changes(ctx context.Context, incident, host string, now time.Time) (Changes, error) {
	return countChanges(ctx, tx, incident, host, now)
}

// countChanges counts those after the clock's time too: a clock that was set
// back makes a budget smaller, never larger.
func countChanges(ctx context.Context, q querier, incident, host string, now time.Time) (c Changes, err error) {
	err = q.QueryRowContext(ctx, changesOf+` = $1`, incident).Scan(&c.Incident)
	if err != nil {
		return c, err
	}
	err = q.QueryRowContext(ctx, changesOf+` <> '' AND c.host = $1 AND c.intent_at > $2`, host, micros(now.Add(-time.Hour))).Scan(&c.HostHour)
	if err != nil {
		return c, err
	}
	err = q.QueryRowContext(ctx, changesOf+` <> '' AND c.intent_at > $1`, micros(now.Add(-24*time.Hour))).Scan(&c.Day)
	return c, err
}
