package respond

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"lifeline"
)

// lookedBack is how many incidents of a key are looked at for the changes within
// AttemptWindow. The exact count is the store's, at each change.
const lookedBack = 200

// standing is one look at whether an attempt may begin.
type standing struct {
	Incident lifeline.Incident `json:"incident"`
	At       time.Time         `json:"at"`
	// HeldUntil is the end of the maintenance window that the incident is in.
	HeldUntil time.Time `json:"held_until,omitzero"`
	// Used counts the changes of the incident's key within AttemptWindow; Tried
	// says what they were, once they are used up.
	Used  int    `json:"used"`
	Tried string `json:"tried,omitempty"`
}

// ready waits until no maintenance window holds the incident and says whether an
// attempt may begin: if not, the incident is at its end, with state. It waits in
// the workflow and not in a step, so that it goes on after a restart, and holds
// no place meanwhile.
func (w *work) ready(attempt int, choice lifeline.Choice) (now standing, state lifeline.State, err error) {
	for look := 1; ; look++ {
		now, err = do(w.steps, fmt.Sprintf("ready.%d.%d", attempt, look), w.stands)
		if err != nil {
			return now, "", err
		}
		inc := now.Incident
		switch {
		case inc.State.Ended():
			return now, inc.State, nil
		case inc.Flapping && now.HeldUntil.IsZero(): // also while it is well for a moment: a person has to be told
			state, err = w.escalate("the alert flaps: it went up and down again and again, and a repair would not show; a person should look for the cause", w.reports)
			return now, state, err
		case !inc.AlertFiring && inc.Changes == 0:
			why := "the alert resolved before the work began"
			if look > 1 {
				why = "the alert resolved during a maintenance window"
			} else if attempt > 1 {
				why = "the alert resolved; nothing was changed"
			}
			state, err = w.move(lifeline.StateSuperseded, why)
			return now, state, err
		case !inc.AlertFiring:
			state, err = w.settle(attempt, inc, choice)
			return now, state, err
		case now.HeldUntil.IsZero():
			state, err = w.mayWork(now)
			return now, state, err
		}
		w.leave()
		left := max(min(now.HeldUntil.Sub(now.At), w.cfg.HeldLook), time.Millisecond)
		if _, err := dbos.Recv[string](w.wf, resolvedTopic, left); err != nil && !errors.Is(err, dbos.ErrTimeout) {
			return now, "", err
		}
	}
}

// begin is ready with a place: what has changed while the incident waited for one
// counts.
func (w *work) begin(attempt int, choice lifeline.Choice) (now standing, state lifeline.State, err error) {
	for {
		if err := w.enter(); err != nil {
			return now, "", err
		}
		now, state, err = w.ready(attempt, choice)
		if err != nil || state != "" || w.placed {
			return now, state, err
		}
	}
}

// mayWork hands an incident to a person at which no attempt would help; "" if
// one may.
func (w *work) mayWork(now standing) (lifeline.State, error) {
	if now.Used >= w.cfg.MaxChanges {
		return w.escalate(now.Tried, w.reports)
	}
	return "", nil
}

// settle ends an incident whose alert resolved between two attempts after
// something was changed: it is well if the probe says so too.
func (w *work) settle(attempt int, inc lifeline.Incident, choice lifeline.Choice) (lifeline.State, error) {
	if _, err := w.move(lifeline.StateVerifying, "the alert has resolved: does it really work again?"); err != nil {
		return "", err
	}
	well, err := w.verify(attempt, inc.Target, choice.Checks)
	if err != nil {
		return "", err
	}
	w.looked(attempt, well)
	if well.OK {
		return w.awaitAlert(inc, w.reports)
	}
	return w.escalate("the alert has resolved, but the probe is not well: "+well.Detail, w.reports)
}

// stands looks whether an attempt may begin.
func (w *work) stands(ctx context.Context) (now standing, err error) {
	now.At = time.Now()
	if now.Incident, err = w.cfg.Store.Incident(ctx, w.id); err != nil {
		return now, err
	}
	window, held, err := w.cfg.Store.MaintenanceFor(ctx, now.Incident)
	if err != nil {
		return now, err
	}
	if held && now.Incident.AlertFiring {
		now.HeldUntil = window.Until
		return now, w.cfg.Store.ExplainIncident(ctx, w.id, "respond", heldWords(window))
	}
	past, err := w.cfg.Store.History(ctx, now.Incident.Key, lookedBack)
	if err != nil {
		return now, err
	}
	now.Used, now.Tried = w.usedUp(past, now.At)
	return now, nil
}

// heldWords says what holds an incident.
func heldWords(m lifeline.Maintenance) string {
	return fmt.Sprintf("held by a maintenance window until %s by %s%s", m.Until.UTC().Format(time.RFC3339), m.By, because(m.Reason))
}

// usedUp counts the changes of a key within AttemptWindow and, if no more are
// allowed, says what was tried. Changes after now count too: a clock that was
// set back frees nothing.
func (w *work) usedUp(past []lifeline.Past, now time.Time) (used int, tried string) {
	var (
		changes, series []string
		helped          int
		since           = now.Add(-w.cfg.AttemptWindow)
	)
	for _, p := range past {
		var made []string
		for _, c := range p.Changes {
			if c.Changed() && c.IntentAt.After(since) {
				made = append(made, "`"+c.Canonical+"`")
			}
		}
		if len(made) == 0 {
			continue
		}
		used += len(made)
		if p.Incident.State == lifeline.StateResolved {
			helped++
		}
		series = append(series, strings.Join(made, ", then "))
		changes = append(changes, fmt.Sprintf("%s (%s, %s)", strings.Join(made, ", then "), p.Incident.ID, p.Incident.State))
	}
	if used < w.cfg.MaxChanges {
		return used, ""
	}
	window := short(w.cfg.AttemptWindow)
	if helped == len(changes) && len(slices.Compact(slices.Clone(series))) == 1 {
		return used, fmt.Sprintf("the same repair helped %d times within %s and did not last: a person should look for the cause; it was %s", helped, window, series[0])
	}
	return used, fmt.Sprintf("%d changes were made for this within %s, as many as may be (respond.max_changes, respond.attempt_window), and it did not last: a person should look for the cause; tried: %s",
		used, window, strings.Join(changes, "; "))
}

// short is a duration for a person: 6h, not 6h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
