package respond

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"lifeline"
)

// AlertSource asks Alertmanager whether alerts of its own still fire. The error
// means that it could not be told. *alertmanager.Client is one.
type AlertSource interface {
	Firing(ctx context.Context, alerts []lifeline.Alert) (bool, error)
}

// askable is the source of the alerts that an AlertSource can be asked about.
const askable = "alertmanager"

// maxAsked bounds the alerts of one incident that are asked about. Of more it
// cannot be told that all are gone: then the webhook decides.
const maxAsked = 10_000

// Who says that the alert is gone, if it is not the record.
const (
	byAlertmanager = "alertmanager"
	byProbe        = "probe" // nobody ever will: its sender does not say it
)

// looked is one look at whether the alert still fires.
type looked struct {
	Firing bool      `json:"firing"`
	At     time.Time `json:"at"`
	// By says who knows that it does not: "" for the record of its webhooks.
	By string `json:"by,omitempty"`
	// Waited is how long the incident has waited for its alert, on the clock that
	// nobody can set while one process waits, on the wall's across a restart.
	Waited time.Duration `json:"waited,omitempty"`
	// Ended is the incident's state if it has ended meanwhile.
	Ended lifeline.State `json:"ended,omitempty"`
	// Asks: there is somebody to ask again. Unasked says why it was in vain.
	Asks    bool   `json:"asks,omitempty"`
	Unasked string `json:"unasked,omitempty"`
}

// awaitAlert ends an incident whose probe is well, once the alert agrees.
func (w *work) awaitAlert(inc lifeline.Incident, reports []lifeline.Report) (lifeline.State, error) {
	w.leave()
	var (
		last looked
		live time.Time // when this process looked last; zero if an earlier one did
		told bool
	)
	for look := 1; ; look++ {
		now, err := do(w.steps, fmt.Sprintf("alert.look.%d", look), func(ctx context.Context) (looked, error) {
			now, err := w.lookAtAlert(ctx)
			switch {
			case look == 1:
			case !live.IsZero():
				now.Waited = last.Waited + time.Since(live)
			default:
				now.Waited = last.Waited + max(now.At.Sub(last.At), 0)
			}
			live = time.Now()
			return now, err
		})
		if err != nil {
			return "", err
		}
		last = now
		switch {
		case now.Ended != "":
			return "", &takenOver{now.Ended}
		case !now.Firing && inc.Changes > 0:
			return w.move(lifeline.StateResolved, map[string]string{
				"":             "the probe is well and the alert is gone",
				byAlertmanager: "the probe is well, and Alertmanager says that the alert is gone",
				byProbe:        "the probe is well; the alert's sender never says that it is over",
			}[now.By])
		case !now.Firing:
			return w.move(lifeline.StateSuperseded, "well again without a change of ours")
		case now.Waited >= w.cfg.AlertWithin:
			reason := fmt.Sprintf("the probe is well, but the alert still fires after %s", w.cfg.AlertWithin)
			if now.Unasked != "" {
				reason = fmt.Sprintf("the probe is well, but nobody has said within %s that the alert is gone, and %s", w.cfg.AlertWithin, now.Unasked)
			}
			return w.escalate(reason, reports)
		}
		if now.Unasked != "" && !told {
			told = true
			if err := w.note(fmt.Sprintf("alert.unasked.%d", look), lifeline.EventAlertChecked, now.Unasked+": its webhook decides", now); err != nil {
				return "", err
			}
		}
		wait := w.cfg.AlertWithin - now.Waited
		if now.Asks {
			wait = min(wait, w.cfg.AlertEvery)
		}
		_, err = dbos.Recv[string](w.wf, resolvedTopic, wait)
		if err != nil && !errors.Is(err, dbos.ErrTimeout) {
			return "", err
		}
	}
}

// lookAtAlert looks at the record, and asks Alertmanager where that helps.
func (w *work) lookAtAlert(ctx context.Context) (looked, error) {
	inc, err := w.cfg.Store.Incident(ctx, w.id)
	out := looked{Firing: inc.AlertFiring, At: time.Now()}
	if err != nil || !inc.AlertFiring || inc.State.Ended() {
		if inc.State.Ended() {
			out.Ended = inc.State
		}
		return out, err
	}
	firing, err := w.cfg.Store.FiringAlerts(ctx, w.id, maxAsked)
	if err != nil || len(firing) == 0 {
		return out, err
	}
	awaited := slices.DeleteFunc(slices.Clone(firing), func(a lifeline.Alert) bool { return a.Once })
	if len(awaited) == 0 {
		out.Firing, out.By = false, byProbe
		return out, w.gone(ctx, out, "nobody will say that the alert is over: the probe decides alone")
	}
	foreign := slices.ContainsFunc(awaited, func(a lifeline.Alert) bool { return a.Source != askable })
	if w.cfg.Alerts == nil || foreign || len(firing) == maxAsked {
		return out, nil
	}
	out.Asks = true
	fires, err := w.cfg.Alerts.Firing(ctx, awaited)
	switch {
	case ctx.Err() != nil:
		return out, context.Cause(ctx)
	case err != nil:
		out.Unasked = err.Error()
	case !fires:
		out.Firing, out.By = false, byAlertmanager
		return out, w.gone(ctx, out, "Alertmanager says that the alert does not fire any more")
	}
	return out, nil
}

// gone puts on record who knows that the alert is gone.
func (w *work) gone(ctx context.Context, now looked, text string) error {
	e, err := newEvent(w.id, lifeline.EventAlertChecked, "respond", text, now)
	if err != nil {
		return err
	}
	return w.cfg.Store.AlertGone(ctx, e)
}

// ending does what belongs to each end of an incident, before it is on record.
func (w *work) ending(to lifeline.State) error {
	if err := w.unsilence(); err != nil || to != lifeline.StateEscalated {
		return err
	}
	// Nobody will say that an alert is over which is sent once. Were it kept as
	// firing, the next one would belong to this incident for ever.
	_, err := do(w.steps, "alert.once", func(ctx context.Context) (bool, error) {
		firing, err := w.cfg.Store.FiringAlerts(ctx, w.id, maxAsked)
		if err != nil || len(firing) == 0 || slices.ContainsFunc(firing, func(a lifeline.Alert) bool { return !a.Once }) {
			return false, err
		}
		return true, w.gone(ctx, looked{At: time.Now(), By: byProbe}, "nobody will say that the alert is over: the next one is a new fault")
	})
	return err
}
