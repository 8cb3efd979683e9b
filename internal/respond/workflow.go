package respond

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"lifeline"
	"lifeline/internal/tool"
)

// remediate is the workflow of one incident. Its result is the incident's last
// state. It returns an error only when the process is stopping; then the
// incident stays where it is and goes on at the next start.
func (s *Service) remediate(wf dbos.Context, incidentID string) (string, error) {
	w := &work{Service: s, id: incidentID, wf: wf, handled: map[string]bool{},
		steps: durable{wf: wf, log: s.cfg.Logger}}
	state, err := w.runSafely()
	if err == nil {
		return string(state), nil
	}
	if wf.Err() != nil {
		return "", err
	}
	// No state may be one that only a living process can leave: what failed may
	// be the database, so this is tried until it succeeds or the process stops.
	s.cfg.Logger.Error("remediation_failed", "incident", incidentID, "error", err)
	what, _, _ := strings.Cut(err.Error(), "\n") // below it stands where it panicked
	for wait := giveUpAfter; ; wait = min(2*wait, giveUpMost) {
		state, err := w.escalateSafely("Lifeline itself failed: " + what)
		if err == nil {
			return string(state), nil
		}
		s.cfg.Logger.Error("escalation_failed", "incident", incidentID, "error", err, "again_in_seconds", wait.Seconds())
		select {
		case <-wf.Done():
			return "", err
		case <-time.After(wait):
		}
	}
}

// giveUpAfter is how long it takes until an incident that could not be handed
// over is handed over again; it doubles up to giveUpMost.
const giveUpAfter, giveUpMost = 500 * time.Millisecond, 30 * time.Second

// work is one run of the workflow of one incident.
type work struct {
	*Service
	id    string
	wf    dbos.Context
	steps durable
	// placed: it holds one of the places for incidents that are worked.
	placed bool
	// handled are the approvals that an attempt has waited for.
	handled map[string]bool
}

// enter takes one of the places for incidents that are worked, leave gives it
// back. What waits for a person or for its alert holds none: a morning full of
// questions must not keep the next incident waiting.
func (w *work) enter() error {
	select {
	case w.places <- struct{}{}:
		w.placed = true
		return nil
	case <-w.wf.Done():
		return context.Cause(w.wf)
	}
}

func (w *work) leave() {
	if w.placed {
		<-w.places
		w.placed = false
	}
}

// runSafely is run with its panic turned into an error.
func (w *work) runSafely() (state lifeline.State, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked("the workflow", p)
		}
	}()
	return w.run()
}

// escalateSafely is escalate with its panic turned into an error. An incident
// that has come to its end meanwhile stays there.
func (w *work) escalateSafely(reason string) (state lifeline.State, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked("the handover", p)
		}
	}()
	inc, err := w.incident("give_up")
	if err != nil || inc.State.Ended() {
		return inc.State, err
	}
	return w.escalate(reason, nil)
}

func (w *work) run() (lifeline.State, error) {
	inc, err := w.incident("load")
	if err != nil || inc.State.Ended() {
		return inc.State, err
	}
	w.steps.host = inc.Target.Host
	if !inc.AlertFiring {
		return w.move(lifeline.StateSuperseded, "the alert resolved before the work began")
	}
	alert, err := do(w.steps, "alert", func(ctx context.Context) (lifeline.Alert, error) {
		return w.cfg.Store.LatestAlert(ctx, w.id)
	})
	if err != nil {
		return "", err
	}
	if inc.Target.Host == "" {
		return w.escalate(noTarget(alert), nil)
	}
	choice, err := w.choose(1, alert, inc.Target)
	if err != nil {
		return "", err
	}
	if choice.Responder == "" {
		return w.escalate(choice.Why, nil)
	}

	if err := w.enter(); err != nil {
		return "", err
	}
	defer w.leave()
	var reports []lifeline.Report
	previous := ""
	for attempt := 1; ; attempt++ {
		if _, err := w.move(lifeline.StateInvestigating, fmt.Sprintf("attempt %d", attempt)); err != nil {
			return "", err
		}
		if attempt > 1 {
			if choice, err = w.choose(attempt, alert, inc.Target); err != nil {
				return "", err
			}
		}
		responder, ok := w.cfg.Responders.Responder(choice.Responder)
		if !ok {
			return w.escalate(fmt.Sprintf("the configuration changed: %s is not there any more", choice.Responder), reports)
		}
		changesBefore := inc.Changes
		report, err := responder.Work(w.wf, w.steps, lifeline.Case{
			Incident: inc, Alert: alert, Attempt: attempt, Previous: previous, Guidance: choice.Guidance,
		})
		if err != nil {
			return "", err
		}
		reports = append(reports, report)
		after, err := w.responderEnded(attempt, report)
		if err != nil {
			return "", err
		}
		inc = after.Incident
		if !inc.AlertFiring && inc.Changes == 0 && inc.State != lifeline.StateActing {
			return w.move(lifeline.StateSuperseded, "the alert resolved; nothing was changed")
		}
		did := report.Summary
		if asked := w.unhandled(after.Asked); len(asked) > 0 {
			var end decided
			if end, err = w.decide(attempt, asked, changesBefore, reports); err != nil || end.then == stop {
				return end.state, err
			}
			inc, did = end.inc, did+" "+end.says
			if end.then == tryAgain {
				previous += fmt.Sprintf("Attempt %d by %s: %s\n", attempt, report.Responder, did)
				continue
			}
		}
		if _, err := w.move(lifeline.StateVerifying, "does it really work again?"); err != nil {
			return "", err
		}
		well, err := w.verify(attempt, inc.Target, choice.Checks)
		if err != nil {
			return "", err
		}
		if well.OK {
			return w.awaitAlert(inc, reports)
		}
		switch {
		case inc.Changes == changesBefore:
			return w.escalate("no safe step is left: "+well.Detail, reports)
		case inc.Changes >= w.cfg.MaxChanges:
			return w.escalate(fmt.Sprintf("still not well after %d of %d allowed changes: %s", inc.Changes, w.cfg.MaxChanges, well.Detail), reports)
		case attempt >= w.cfg.MaxAttempts:
			return w.escalate(fmt.Sprintf("still not well after %d attempts: %s", attempt, well.Detail), reports)
		}
		previous += fmt.Sprintf("Attempt %d by %s: %s Afterwards: %s\n", attempt, report.Responder, did, well.Detail)
	}
}

// awaitAlert ends an incident whose probe is well, once the alert agrees.
func (w *work) awaitAlert(inc lifeline.Incident, reports []lifeline.Report) (lifeline.State, error) {
	w.leave()
	deadline := time.Time{}
	for look := 1; ; look++ {
		now, err := do(w.steps, fmt.Sprintf("alert.look.%d", look), func(ctx context.Context) (looked, error) {
			inc, err := w.cfg.Store.Incident(ctx, w.id)
			return looked{Firing: inc.AlertFiring, At: time.Now()}, err
		})
		if err != nil {
			return "", err
		}
		if deadline.IsZero() {
			deadline = now.At.Add(w.cfg.AlertWithin)
		}
		switch {
		case !now.Firing && inc.Changes > 0:
			return w.move(lifeline.StateResolved, "the probe is well and the alert is gone")
		case !now.Firing:
			return w.move(lifeline.StateSuperseded, "well again without a change of ours")
		case !now.At.Before(deadline):
			return w.escalate(fmt.Sprintf("the probe is well, but the alert still fires after %s", w.cfg.AlertWithin), reports)
		}
		_, err = dbos.Recv[string](w.wf, resolvedTopic, deadline.Sub(now.At))
		if err != nil && !errors.Is(err, dbos.ErrTimeout) {
			return "", err
		}
	}
}

// looked is one look at whether the alert still fires.
type looked struct {
	Firing bool      `json:"firing"`
	At     time.Time `json:"at"`
}

// choose decides who makes an attempt, once: what was chosen is kept.
func (w *work) choose(attempt int, alert lifeline.Alert, target lifeline.Target) (lifeline.Choice, error) {
	return do(w.steps, fmt.Sprintf("choose.%d", attempt), func(context.Context) (lifeline.Choice, error) {
		return w.cfg.Responders.Choose(alert, target, attempt), nil
	})
}

// incident loads the incident in a step.
func (w *work) incident(step string) (lifeline.Incident, error) {
	return do(w.steps, step, func(ctx context.Context) (lifeline.Incident, error) {
		return w.cfg.Store.Incident(ctx, w.id)
	})
}

// move changes the incident's state in a step. A step that runs again after a
// crash finds the incident moved already, which the store takes as done.
func (w *work) move(to lifeline.State, reason string) (lifeline.State, error) {
	inc, err := do(w.steps, "move."+string(to), func(ctx context.Context) (lifeline.Incident, error) {
		inc, err := w.cfg.Store.MoveIncident(ctx, w.id, to, "respond", reason)
		if err == nil && to.Ended() {
			w.cfg.Logger.Info("incident_ended", "incident", w.id, "state", to, "host", inc.Target.Host, "reason", reason,
				"duration_seconds", inc.UpdatedAt.Sub(inc.OpenedAt).Seconds())
			w.cfg.OnEnd(inc)
		}
		return inc, err
	})
	return inc.State, err
}

// worked is an incident after an attempt, with what a person was asked about.
// Without a question it is kept as the incident alone, as it always was.
type worked struct {
	lifeline.Incident
	Asked []lifeline.Approval `json:"asked,omitempty"`
}

// responderEnded puts the responder's report on the timeline and gives the
// incident as it is now.
func (w *work) responderEnded(attempt int, report lifeline.Report) (worked, error) {
	return do(w.steps, fmt.Sprintf("report.%d", attempt), func(ctx context.Context) (out worked, err error) {
		if err := w.event(ctx, lifeline.EventResponderEnded, report.Responder,
			fmt.Sprintf("%s: %s", report.Claim, report.Summary), report); err != nil {
			return out, err
		}
		if out.Incident, err = w.cfg.Store.Incident(ctx, w.id); err != nil {
			return out, err
		}
		out.Asked, err = w.questions(ctx, w.id)
		return out, err
	})
}

// unhandled are the approvals that no earlier attempt has waited for.
func (w *work) unhandled(asked []lifeline.Approval) (fresh []lifeline.Approval) {
	for _, a := range asked {
		if !w.handled[a.ID] {
			w.handled[a.ID] = true
			fresh = append(fresh, a)
		}
	}
	return fresh
}

// handover is the Data of an EventEscalated: what a person needs besides the
// timeline and the commands, which are on record.
type handover struct {
	Reason string `json:"reason"`
	// Next says what to look at, the newest report's view first.
	Next    []string          `json:"next"`
	Reports []lifeline.Report `json:"reports"`
	// Refused and Unknown are the commands that a person should know about.
	Refused []string `json:"refused"`
	Unknown []string `json:"unknown"`
}

// escalate hands the incident to a person with the whole case.
func (w *work) escalate(reason string, reports []lifeline.Report) (lifeline.State, error) {
	if len(reports) > 0 {
		if err := w.lastWords(); err != nil {
			return "", err
		}
	}
	_, err := do(w.steps, "handover", func(ctx context.Context) (bool, error) {
		commands, err := w.cfg.Store.Commands(ctx, w.id)
		if err != nil {
			return false, err
		}
		h := handover{Reason: reason, Reports: reports, Next: []string{}, Refused: []string{}, Unknown: []string{}}
		for _, r := range slices.Backward(reports) {
			if r.Next != "" && !slices.Contains(h.Next, r.Next) {
				h.Next = append(h.Next, r.Next)
			}
		}
		for _, c := range commands {
			switch c.Outcome {
			case lifeline.OutcomeRefused:
				h.Refused = append(h.Refused, fmt.Sprintf("%s: %s (%s)", c.Host, c.Command, c.Reason))
			case lifeline.OutcomeUnknown, lifeline.OutcomeTimedOut, "":
				h.Unknown = append(h.Unknown, fmt.Sprintf("%s: %s (%s)", c.Host, c.Canonical, cmp.Or(c.Error, "no result on record")))
			}
		}
		return true, w.event(ctx, lifeline.EventEscalated, "respond", reason, h)
	})
	if err != nil {
		return "", err
	}
	return w.move(lifeline.StateEscalated, reason)
}

// lastWords puts the newest log lines of the target on record: what it said
// after the last attempt is what a person looks for first.
func (w *work) lastWords() error {
	_, err := do(w.steps, "last_words", func(ctx context.Context) (bool, error) {
		inc, err := w.cfg.Store.Incident(ctx, w.id)
		if err != nil {
			return false, err
		}
		return true, tool.LastWords(ctx, w.cfg.Door, tool.Probe{IncidentID: w.id, Actor: "respond", Target: inc.Target})
	})
	return err
}

// noTarget says why nobody can work the incident.
func noTarget(a lifeline.Alert) string {
	named := ""
	for _, label := range []string{"host", "hostname", "nodename", "node", "instance"} {
		if v := a.Labels[label]; v != "" {
			named = fmt.Sprintf(" (its label %s is %q)", label, v)
			break
		}
	}
	return fmt.Sprintf("the alert %s names no host that is configured%s: add the host to hosts, or map the label's value under targets.hosts", a.Name, named)
}

// event appends one entry to the incident's timeline.
func (w *work) event(ctx context.Context, kind lifeline.EventKind, actor, text string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode the details of %s: %w", kind, err)
	}
	return w.cfg.Store.AppendEvent(ctx, lifeline.Event{IncidentID: w.id, Kind: kind, Actor: actor, Text: text, Data: raw})
}

var _ tool.Runner = Door(nil)
