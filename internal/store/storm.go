package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeline"
)

// tally is what a storm case has taken in, as the column storm has it. It
// follows from the alerts and is kept so that nobody has to count them.
type tally struct {
	Severity string `json:"severity"` // the highest
	Alerts   int    `json:"alerts"`
	// Names counts the alerts by name, for at most maxNames of them.
	Names map[string]int `json:"names"`
	// LastAt, in microseconds, is when the last alert joined.
	LastAt int64 `json:"last_at"`
}

// The bounds of a tally: what an alert is called comes from outside.
const (
	maxNames   = 64
	maxName    = 80 // bytes
	shownNames = 6
)

func (t *tally) add(a lifeline.Alert, now time.Time) {
	t.Alerts++
	t.LastAt = micros(now)
	if t.Severity == "" || severityRank(a.Severity()) > severityRank(t.Severity) {
		t.Severity = a.Severity()
	}
	if t.Names == nil {
		t.Names = map[string]int{}
	}
	name := a.Name
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "") + "…"
	}
	if _, known := t.Names[name]; known || len(t.Names) < maxNames {
		t.Names[name]++
	}
}

// summary says how many alerts of which names, the most frequent first.
func (t *tally) summary(host string) string {
	names := slices.SortedFunc(maps.Keys(t.Names), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.Names[b], t.Names[a]), cmp.Compare(a, b))
	})
	var parts []string
	rest := t.Alerts
	for _, name := range names[:min(len(names), shownNames)] {
		parts = append(parts, fmt.Sprintf("%s (%d)", cmp.Or(name, "without a name"), t.Names[name]))
		rest -= t.Names[name]
	}
	if rest > 0 {
		parts = append(parts, fmt.Sprintf("%d others", rest))
	}
	return fmt.Sprintf("%s on %s: %s", counted(t.Alerts, "alert"), host, strings.Join(parts, ", "))
}

// counted is "1 alert", "2 alerts".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// severityRank orders the words that senders use. One that nobody knows stands
// with a warning: it is neither the least nor what wakes people.
func severityRank(severity string) int {
	switch strings.ToLower(severity) {
	case "", "none", "ok", "debug":
		return 0
	case "info", "information", "informational", "notice", "low":
		return 1
	case "error", "high", "major", "average":
		return 3
	case "critical", "crit", "page", "fatal", "alert", "emergency", "emerg", "disaster":
		return 4
	}
	return 2
}

// readTally puts what a storm case has taken in into its incident.
func readTally(storm string, inc *lifeline.Incident) error {
	var t tally
	if err := json.Unmarshal([]byte(storm), &t); err != nil {
		return fmt.Errorf("what the storm case %s has taken in cannot be read: %w", inc.ID, err)
	}
	inc.Severity, inc.Summary = t.Severity, t.summary(inc.Target.Host)
	return nil
}

// stormCase is a host's storm case while a transaction takes alerts in. taken.ID
// is "" if the host has none.
type stormCase struct {
	taken
	tally   tally
	changed bool
}

// storm finds the storm case of a host that takes alerts, once per transaction.
func (r *reception) storm(ctx context.Context, host string, d lifeline.Damping) (*stormCase, error) {
	if s, ok := r.storms[host]; ok {
		return s, nil
	}
	t, err := r.taking(ctx, lifeline.StormKey(host), d)
	if err != nil {
		return nil, err
	}
	s := &stormCase{taken: t}
	if t.storm != "" {
		if err := json.Unmarshal([]byte(t.storm), &s.tally); err != nil {
			return nil, err
		}
	}
	r.storms[host] = s
	return s, nil
}

// fires reports whether the alert that a fingerprint names fires in an incident.
func (r *reception) fires(ctx context.Context, incidentID, fingerprint string) (bool, error) {
	var n int
	err := r.QueryRowContext(ctx, `SELECT count(*) FROM firing WHERE incident_id = $1 AND fingerprint = $2`, incidentID, fingerprint).Scan(&n)
	return n > 0, err
}

// joins says whether a new fault joins its host's storm case, which may have to
// be opened for it:
//
//   - while somebody works on the case;
//   - after a person has got it, while the last alert joined it less than
//     StormWindow ago;
//   - when StormAfter other incidents of the host were opened within StormWindow
//     and are not well again.
//
// An alert that is in maintenance by itself, and would not be in a case of the
// whole host, stays by itself: no change is made there.
func (r *reception) joins(ctx context.Context, a lifeline.TriagedAlert, s *stormCase) (bool, error) {
	d := a.Damping
	if d.StormAfter <= 0 {
		return false, nil
	}
	if apart, err := r.apart(ctx, a); err != nil || apart {
		return false, err
	}
	now := r.now
	if s.ID != "" && (!s.State.Ended() || within(fromMicros(s.tally.LastAt), now, d.StormWindow)) {
		return true, nil
	}
	var open int
	err := r.QueryRowContext(ctx, `SELECT count(*) FROM incidents WHERE target_host = $1 AND opened_at > $2 AND opened_at <= $3
		AND state NOT IN ('resolved', 'superseded') AND key <> $4`,
		a.Target.Host, micros(now.Add(-d.StormWindow)), micros(now), lifeline.StormKey(a.Target.Host)).Scan(&open)
	return open >= d.StormAfter, err
}

// within reports whether a time lies in the window that ends now. A time that
// is yet to come does not: the clock was set back.
func within(t, now time.Time, window time.Duration) bool {
	return !t.After(now) && now.Sub(t) < window
}

// apart reports whether an alert's own incident would be in maintenance and its
// host's storm case would not.
func (r *reception) apart(ctx context.Context, a lifeline.TriagedAlert) (bool, error) {
	if !r.windowsRead {
		var err error
		if r.windows, err = windowsInForce(ctx, r, r.now); err != nil {
			return false, err
		}
		r.windowsRead = true
	}
	own := lifeline.Incident{AlertName: a.Name, Target: a.Target}
	storm := lifeline.Incident{AlertName: lifeline.StormAlert, Target: lifeline.Target{Host: a.Target.Host, Kind: lifeline.TargetHost}}
	_, ownIn := covering(r.windows, r.now, own)
	_, stormIn := covering(r.windows, r.now, storm)
	return ownIn && !stormIn, nil
}

// merge puts a new fault into its host's storm case.
func (r *reception) merge(ctx context.Context, alertID string, s *stormCase, a lifeline.TriagedAlert) (lifeline.Receipt, error) {
	receipt := lifeline.Receipt{AlertID: alertID, Result: lifeline.ReceiptMerged}
	s.tally.add(a.Alert, r.now)
	s.changed = true
	if s.ID != "" {
		receipt.IncidentID, receipt.Reason = s.ID, "it joins the storm case of "+a.Target.Host
		return receipt, r.repeat(ctx, alertID, &s.taken, a, "joins the storm case of "+a.Target.Host)
	}
	d := a.Damping
	inc := lifeline.Incident{
		Key: lifeline.StormKey(a.Target.Host), AlertName: lifeline.StormAlert, Severity: a.Severity(),
		Summary: fmt.Sprintf("more than %d faults on %s within %s", d.StormAfter, a.Target.Host, d.StormWindow),
		Target:  lifeline.Target{Host: a.Target.Host, Kind: lifeline.TargetHost},
	}
	var err error
	if s.taken, err = r.open(ctx, alertID, inc, s.stale, a); err != nil {
		return receipt, err
	}
	receipt.IncidentID, receipt.Reason = s.ID, "it opens the storm case of "+a.Target.Host
	return receipt, nil
}

// flush writes what the storm cases have taken in.
func (r *reception) flush(ctx context.Context) error {
	for _, host := range slices.Sorted(maps.Keys(r.storms)) {
		s := r.storms[host]
		if !s.changed {
			continue
		}
		if _, err := r.ExecContext(ctx, `UPDATE incidents SET storm = $1 WHERE id = $2`, string(jsonOf(s.tally)), s.ID); err != nil {
			return err
		}
	}
	return nil
}
