package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline"
)

// The bounds of a page of incidents.
const (
	pageDefault = 50
	pageMost    = 200
)

// conditions are the parts of a WHERE that all have to hold.
type conditions struct {
	parts []string
	args  []any
}

// add adds a part; each ? in it is the next of args.
func (c *conditions) add(part string, args ...any) {
	for _, a := range args {
		c.args = append(c.args, a)
		part = strings.Replace(part, "?", "$"+strconv.Itoa(len(c.args)), 1)
	}
	c.parts = append(c.parts, part)
}

func (c *conditions) where() string {
	if len(c.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.parts, " AND ")
}

// FindIncidents gives a page of the incidents that a query chooses, newest first.
// A Limit out of its bounds, or an After that is no IncidentPage.Next, is an error
// with lifeline.CodeUsage. Letters beyond ASCII are compared as they are where
// the database is SQLite.
func (s *Store) FindIncidents(ctx context.Context, q lifeline.IncidentQuery) (page lifeline.IncidentPage, err error) {
	page.Incidents = []lifeline.Incident{}
	limit := q.Limit
	switch {
	case limit == 0:
		limit = pageDefault
	case limit < 0 || limit > pageMost:
		return page, &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("a page of %d incidents: want 1 to %d", limit, pageMost)}
	}
	var c conditions
	for _, f := range []struct{ column, value string }{
		{"target_host", q.Host}, {"target_name", q.Thing}, {"alert_name", q.Alert},
	} {
		if f.value != "" {
			c.add("i."+f.column+" = ?", plain(f.value))
		}
	}
	if !q.From.IsZero() {
		c.add("i.opened_at >= ?", micros(q.From))
	}
	if !q.Until.IsZero() {
		c.add("i.opened_at < ?", micros(q.Until))
	}
	if q.Text != "" {
		like := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(plain(q.Text)) + "%"
		// What a storm case has taken in is in storm: its summary says it.
		columns := []string{"alert_name", "summary", "reason", "target_host", "target_name", "storm"}
		parts, args := make([]string, len(columns)), make([]any, len(columns))
		for i, column := range columns {
			parts[i], args[i] = `lower(i.`+column+`) LIKE lower(?) ESCAPE '\'`, like
		}
		c.add("("+strings.Join(parts, " OR ")+")", args...)
	}
	if q.After != "" {
		at, id, err := readPlace(q.After)
		if err != nil {
			return page, err
		}
		c.add("i.opened_at <= ? AND (i.opened_at < ? OR i.id < ?)", at, at, id)
	}
	// What other tables have to count is counted for the page alone.
	newest := fmt.Sprintf(` ORDER BY i.opened_at DESC, i.id DESC LIMIT %d`, limit+1)
	chosen, args := `SELECT * FROM incidents i`+c.where()+newest, c.args
	if len(q.States) > 0 {
		chosen, args = ofStates(c, q.States, newest)
	}
	page.Incidents, err = list(ctx, s.db, "list incidents", `SELECT `+incidentColumns+` FROM (`+chosen+`) i`+newest, scanIncident, args...)
	if len(page.Incidents) > limit {
		page.Incidents = page.Incidents[:limit]
		last := page.Incidents[limit-1]
		page.Next = fmt.Sprintf("%d.%s", micros(last.OpenedAt), last.ID)
	}
	return page, err
}

// ofStates chooses the newest of each state by itself: an index has them in order,
// while for several states at once all of them would have to be sorted.
func ofStates(c conditions, states []lifeline.State, newest string) (query string, args []any) {
	args = slices.Clone(c.args)
	var parts []string
	for _, state := range slices.Compact(slices.Sorted(slices.Values(states))) {
		one := conditions{parts: slices.Clone(c.parts), args: args}
		one.add("i.state = ?", state)
		args = one.args
		parts = append(parts, `SELECT * FROM (SELECT * FROM incidents i`+one.where()+newest+`) s`)
	}
	return strings.Join(parts, ` UNION ALL `), args
}

// readPlace reads an IncidentPage.Next.
func readPlace(after string) (at int64, id string, err error) {
	text, id, found := strings.Cut(after, ".")
	at, err = strconv.ParseInt(text, 10, 64)
	if err != nil || !found || id == "" {
		return 0, "", &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("%.80q is not where a page ended", after),
			Hint: "give what the page before has in next, or nothing for the first page"}
	}
	return at, plain(id), nil
}

// EventsPage lists at most limit events after a Seq, in order: those of one
// incident, or of all for "". Those that are about no incident are among all.
// Events become visible in the order of Seq and without gaps, so that whoever
// goes on after the last one misses none.
func (s *Store) EventsPage(ctx context.Context, incidentID string, after int64, limit int) ([]lifeline.Event, error) {
	var c conditions
	c.add("seq > ?", after)
	what := "read the timeline"
	if incidentID != "" {
		what += " of " + incidentID
		c.add("incident_id = ?", plain(incidentID))
	}
	return list(ctx, s.db, what, `SELECT `+eventColumns+` FROM events`+c.where()+fmt.Sprintf(" ORDER BY seq LIMIT %d", limit), scanEvent, c.args...)
}

// LastEvent is the Seq of the newest event; 0 if there is none.
func (s *Store) LastEvent(ctx context.Context) (seq int64, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT coalesce(max(seq), 0) FROM events`).Scan(&seq)
	return seq, wrap("read the end of the timeline", err)
}

// WaitingApprovals lists the approvals that a person can decide about now, in the
// order in which they were asked for.
func (s *Store) WaitingApprovals(ctx context.Context) ([]lifeline.Approval, error) {
	return queryApprovals(ctx, s.db, approvalColumns+` WHERE a.state = 'pending' AND a.expires_at > $1 ORDER BY a.created_at, a.id`, micros(s.opts.Now()))
}

// RecentCommands lists the newest commands that were asked for on a host, newest
// first, without their outputs.
func (s *Store) RecentCommands(ctx context.Context, host string, limit int) ([]lifeline.Command, error) {
	return list(ctx, s.db, "read the commands on "+host,
		`SELECT record, NULL, NULL FROM commands WHERE substr(host, 1, 200) = substr($1, 1, 200) AND host = $1`+fmt.Sprintf(" ORDER BY asked_at DESC, id DESC LIMIT %d", limit), scanCommand, plain(host))
}

// OpenByHost counts the incidents that have not ended, by host.
func (s *Store) OpenByHost(ctx context.Context) (map[string]int, error) {
	type count struct {
		host string
		n    int
	}
	counts, err := list(ctx, s.db, "count the open incidents by host", `SELECT target_host, count(*) FROM incidents
		WHERE state IN ('open', 'investigating', 'awaiting_approval', 'acting', 'verifying') GROUP BY target_host`, func(row scanner) (c count, err error) {
		err = row.Scan(&c.host, &c.n)
		return c, err
	})
	by := map[string]int{}
	for _, c := range counts {
		by[c.host] = c.n
	}
	return by, err
}

// stateCount is how many incidents are in a state.
type stateCount struct {
	state lifeline.State
	n     int
}

func scanStateCount(row scanner) (c stateCount, err error) {
	err = row.Scan(&c.state, &c.n)
	return c, err
}

// causesMost bounds Statistics.Causes.
const causesMost = 10

// Statistics sums up the incidents that were opened from a time on until another,
// as they stand at one moment. A zero time is no bound.
func (s *Store) Statistics(ctx context.Context, from, until time.Time) (lifeline.Statistics, error) {
	const what = "sum up the incidents"
	out := lifeline.Statistics{From: from, Until: until, Incidents: map[lifeline.State]int{}, Causes: []lifeline.Cause{}}
	tx, err := s.snapshot(ctx)
	if err != nil {
		return out, failed(what, err, "")
	}
	defer tx.Rollback()
	var c conditions
	if !from.IsZero() {
		c.add("i.opened_at >= ?", micros(from))
	}
	if !until.IsZero() {
		c.add("i.opened_at < ?", micros(until))
	}
	states, err := list(ctx, tx, what, `SELECT i.state, count(*) FROM incidents i`+c.where()+` GROUP BY i.state`, scanStateCount, c.args...)
	if err != nil {
		return out, err
	}
	for _, n := range states {
		out.Incidents[n.state] = n.n
	}
	resolved := c
	resolved.add("i.state = 'resolved'")
	times, err := list(ctx, tx, what, `SELECT i.updated_at - i.opened_at FROM incidents i`+resolved.where()+` ORDER BY 1`, func(row scanner) (time.Duration, error) {
		var took int64
		err := row.Scan(&took)
		return time.Duration(took) * time.Microsecond, err
	}, c.args...)
	if err != nil {
		return out, err
	}
	if n := len(times); n > 0 {
		out.RepairMedian, out.RepairSlowest = (times[(n-1)/2]+times[n/2])/2, times[n-1]
	}
	// An approval that was decided and not used ends as expired: the timeline knows
	// who has decided about it.
	resolved.add(`NOT EXISTS (SELECT 1 FROM approvals a WHERE a.incident_id = i.id AND (a.state IN ('approved', 'denied', 'used')
		OR EXISTS (SELECT 1 FROM events e WHERE e.incident_id = i.id AND e.kind = 'approval_decided' AND (e.actor LIKE 'person:%' OR e.actor LIKE 'token:%'))))`)
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM incidents i`+resolved.where(), c.args...).Scan(&out.Alone); err != nil {
		return out, failed(what, err, "")
	}
	out.Causes, err = list(ctx, tx, what, `SELECT i.alert_name, i.target_host, i.target_kind, i.target_name, count(*) FROM incidents i`+c.where()+
		` GROUP BY i.alert_name, i.target_host, i.target_kind, i.target_name`+
		fmt.Sprintf(` ORDER BY 5 DESC, 1, 2, 3, 4 LIMIT %d`, causesMost), func(row scanner) (k lifeline.Cause, err error) {
		err = row.Scan(&k.AlertName, &k.Target.Host, &k.Target.Kind, &k.Target.Name, &k.Incidents)
		return k, err
	}, c.args...)
	if err != nil {
		return out, err
	}
	out.Spent, err = spentIn(ctx, tx, `incident_id IN (SELECT i.id FROM incidents i`+c.where()+`)`, c.args...)
	return out, wrap(what, err)
}
