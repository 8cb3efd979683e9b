package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"lifeline"
)

// incidentRow reads an incident without what is counted in other tables.
const incidentRow = `
	i.id, i.key, i.alert_name, i.severity, i.summary, i.target_host, i.target_kind, i.target_name,
	i.state, i.reason, i.alert_firing, i.flapping, i.storm, i.opened_at, i.updated_at`

// incidentColumns reads an incident with what is derived from other tables:
// the firing alerts received and the changes let through to a host.
const incidentColumns = incidentRow + `,
	(SELECT count(*) FROM alerts a WHERE a.incident_id = i.id AND a.status = 'firing'),
	(` + changesOf + ` = i.id)`

// changesOf counts the changes of an incident; a comparison follows it.
const changesOf = `SELECT count(*) FROM commands c
	WHERE c.intent_at IS NOT NULL AND c.class <> 'read' AND c.outcome <> 'not_started' AND c.incident_id`

type scanner interface{ Scan(...any) error }

// scanIncident reads incidentColumns.
func scanIncident(row scanner) (lifeline.Incident, error) {
	var alerts, changes int
	inc, err := scanIncidentRow(row, &alerts, &changes)
	inc.Alerts, inc.Changes = alerts, changes
	return inc, err
}

// scanIncidentRow reads incidentRow and the columns after it. What a storm case
// has taken in decides its severity and summary.
func scanIncidentRow(row scanner, more ...any) (lifeline.Incident, error) {
	var (
		inc              lifeline.Incident
		firing, flapping int
		storm            string
		opened, updated  int64
	)
	err := row.Scan(append([]any{&inc.ID, &inc.Key, &inc.AlertName, &inc.Severity, &inc.Summary,
		&inc.Target.Host, &inc.Target.Kind, &inc.Target.Name,
		&inc.State, &inc.Reason, &firing, &flapping, &storm, &opened, &updated}, more...)...)
	if err == nil && storm != "" {
		err = readTally(storm, &inc)
	}
	inc.AlertFiring, inc.Flapping = firing == 1, flapping == 1
	inc.OpenedAt, inc.UpdatedAt = fromMicros(opened), fromMicros(updated)
	return inc, err
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func incidentByID(ctx context.Context, q querier, id string) (lifeline.Incident, error) {
	inc, err := scanIncident(q.QueryRowContext(ctx, `SELECT `+incidentColumns+` FROM incidents i WHERE i.id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return inc, noIncident(id)
	}
	return inc, err
}

func noIncident(id string) error {
	return &lifeline.Error{Code: lifeline.CodeNotFound, Message: fmt.Sprintf("there is no incident %q", id), Hint: "lifeline incidents"}
}

// Incident finds an incident by its ID or by a beginning that only it has.
func (s *Store) Incident(ctx context.Context, id string) (lifeline.Incident, error) {
	id = plain(id)
	inc, err := incidentByID(ctx, s.db, id)
	if lifeline.CodeOf(err) != lifeline.CodeNotFound || id == "" {
		return inc, wrap("read the incident "+id, err)
	}
	full, err := s.completeID(ctx, id)
	if err != nil {
		return inc, err
	}
	inc, err = incidentByID(ctx, s.db, full)
	return inc, wrap("read the incident "+full, err)
}

// completeID finds the one incident whose ID begins so.
func (s *Store) completeID(ctx context.Context, prefix string) (string, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id FROM incidents WHERE substr(id, 1, $1) = $2 ORDER BY id LIMIT 3`, len(prefix), prefix)
	if err != nil {
		return "", failed("look up the incident "+prefix, err, "")
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return "", failed("look up the incident "+prefix, err, "")
		}
		found = append(found, id)
	}
	switch {
	case rows.Err() != nil:
		return "", failed("look up the incident "+prefix, rows.Err(), "")
	case len(found) == 0:
		return "", noIncident(prefix)
	case len(found) > 1:
		return "", &lifeline.Error{Code: lifeline.CodeNotFound,
			Message: fmt.Sprintf("%q begins more than one incident: %s", prefix, strings.Join(found, ", ")), Hint: "type more of the ID"}
	}
	return found[0], nil
}

// wrap names the operation of an error that has no name yet.
func wrap(what string, err error) error { return wrapHint(what, err, "") }

func wrapHint(what string, err error, hint string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*lifeline.Error](err); ok {
		return err
	}
	return failed(what, err, hint)
}

// Filter chooses incidents.
type Filter struct {
	// States to include; empty: all.
	States []lifeline.State
	// Limit on their number; 0: none.
	Limit int
}

// Incidents lists incidents, newest first.
func (s *Store) Incidents(ctx context.Context, f Filter) ([]lifeline.Incident, error) {
	query := `SELECT ` + incidentColumns + ` FROM incidents i`
	var args []any
	for i, state := range f.States {
		query += map[bool]string{true: ` WHERE i.state IN (`, false: `, `}[i == 0] + fmt.Sprintf("$%d", i+1)
		args = append(args, state)
	}
	if len(f.States) > 0 {
		query += `)`
	}
	query += ` ORDER BY i.opened_at DESC, i.id DESC`
	if f.Limit > 0 {
		query += fmt.Sprintf(" LIMIT %d", f.Limit)
	}
	return list(ctx, s.db, "list incidents", query, scanIncident, args...)
}

// CountIncidents counts the incidents on record by state.
func (s *Store) CountIncidents(ctx context.Context) (map[lifeline.State]int, error) {
	type count struct {
		state lifeline.State
		n     int
	}
	counts, err := list(ctx, s.db, "count incidents", `SELECT state, count(*) FROM incidents GROUP BY state`, func(row scanner) (count, error) {
		var c count
		err := row.Scan(&c.state, &c.n)
		return c, err
	})
	states := map[lifeline.State]int{}
	for _, c := range counts {
		states[c.state] = c.n
	}
	return states, err
}

// list reads every row of a query.
func list[T any](ctx context.Context, db rowsQuerier, what, query string, scan func(scanner) (T, error), args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, failed(what, err, "")
	}
	defer rows.Close()
	all := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, failed(what, err, "")
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		return nil, failed(what, err, "")
	}
	return all, nil
}

// MoveIncident changes the incident's state. A move that lifeline.CanMove does
// not list is refused; an incident that is there already stays as it is.
func (s *Store) MoveIncident(ctx context.Context, id string, to lifeline.State, actor, reason string) (inc lifeline.Incident, err error) {
	err = s.write(ctx, fmt.Sprintf("move the incident %s to %s", id, to), func(tx *writeTx) error {
		if inc, err = incidentByID(ctx, tx, id); err != nil || inc.State == to {
			return err
		}
		return tx.move(ctx, &inc, to, actor, reason)
	})
	return inc, err
}

func (tx *writeTx) move(ctx context.Context, inc *lifeline.Incident, to lifeline.State, actor, reason string) error {
	if !lifeline.CanMove(inc.State, to) {
		return fmt.Errorf("the incident is %s: %w to %s", inc.State, lifeline.ErrNoMove, to)
	}
	from := inc.State
	_, err := tx.ExecContext(ctx, `UPDATE incidents SET state = $1, reason = $2, updated_at = $3 WHERE id = $4 AND state = $5`,
		to, reason, micros(tx.now), inc.ID, from)
	if err != nil {
		return err
	}
	inc.State, inc.Reason, inc.UpdatedAt = to, reason, tx.now
	if to.Ended() { // a question outlives nothing that it is about
		if err := tx.closeAll(ctx, inc.ID, actor, "the incident is "+string(to)); err != nil {
			return err
		}
	}
	return tx.append(ctx, lifeline.Event{IncidentID: inc.ID, Kind: lifeline.EventStateChanged, Actor: actor,
		Text: fmt.Sprintf("%s → %s: %s", from, to, reason), Data: jsonOf(map[string]any{"from": from, "to": to, "reason": reason})})
}
