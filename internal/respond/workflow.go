package respond

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"lifeline"
	"lifeline/internal/tool"
)

// remediate is the workflow of one incident. Its result is the incident's last
// state. It returns an error only when the process is stopping, or when another
// node has the incident; it then stays where it is and goes on there, or at the
// next start.
func (s *Service) remediate(wf dbos.Context, incidentID string) (string, error) {
	w := &work{Service: s, id: incidentID, wf: wf, handled: map[string]bool{},
		steps: durable{wf: wf, log: s.cfg.Logger, stay: s.stayIfLost}}
	state, err := safely("the workflow", w.run)
	s.stayIfLost()
	if taken, ok := errors.AsType[*takenOver](err); ok {
		state, err = taken.state, w.unsilence()
	}
	if err == nil {
		return string(state), nil
	}
	if wf.Err() != nil || w.elsewhere(err) {
		return "", err
	}
	// No state may be one that only a living process can leave. Without steps: one
	// that could not be kept may be what failed.
	s.cfg.Logger.Error("remediation_failed", "incident", incidentID, "error", err)
	what, _, _ := strings.Cut(err.Error(), "\n") // below it stands where it panicked
	state, err = s.insist(wf, incidentID, func() (lifeline.State, error) {
		return s.giveUp(wf, incidentID, "respond", "Lifeline itself failed: "+what, w.notes, w.reports)
	})
	return string(state), err
}

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
	// reports are what the responders said so far, and notes what was seen.
	reports []lifeline.Report
	notes   notes
	// silences are those of its alerts at Alertmanager.
	silences []string
}

// accept takes an incident up: what it is about and who makes the first attempt.
// If nobody can, it is at its end, with state.
func (w *work) accept() (alert lifeline.Alert, choice lifeline.Choice, state lifeline.State, err error) {
	inc, err := w.incident("load")
	if err != nil || inc.State.Ended() {
		return alert, choice, inc.State, err
	}
	w.steps.host = inc.Target.Host
	if _, state, err = w.ready(1, choice); err != nil || state != "" {
		return alert, choice, state, err
	}
	alert, err = do(w.steps, "alert", func(ctx context.Context) (lifeline.Alert, error) {
		return w.cfg.Store.LatestAlert(ctx, w.id)
	})
	if err != nil {
		return alert, choice, "", err
	}
	if inc.Target.Host == "" {
		state, err = w.escalate(noTarget(alert), nil)
		return alert, choice, state, err
	}
	if choice, err = w.choose(1, alert, inc.Target); err == nil && choice.Responder == "" {
		state, err = w.escalate(choice.Why, nil)
	}
	return alert, choice, state, err
}

func (w *work) run() (lifeline.State, error) {
	alert, choice, state, err := w.accept()
	if err != nil || state != "" {
		return state, err
	}
	defer w.leave()
	previous, chosen := "", 1 // chosen: for which attempt choice is
	for attempt := 1; ; attempt++ {
		now, state, err := w.begin(attempt, choice)
		if err != nil || state != "" {
			return state, err
		}
		inc := now.Incident
		if _, err := w.move(lifeline.StateInvestigating, fmt.Sprintf("attempt %d", attempt)); err != nil {
			return "", err
		}
		if attempt > chosen {
			chosen = attempt
			if choice, err = w.choose(attempt, alert, inc.Target); err != nil {
				return "", err
			}
		}
		responder, ok := w.cfg.Responders.Responder(choice.Responder)
		if !ok {
			return w.escalate(fmt.Sprintf("the configuration changed: %s is not there any more", choice.Responder), w.reports)
		}
		if err := w.silence(attempt, inc); err != nil {
			return "", err
		}
		before, err := w.before(attempt, inc.Target, choice.Checks)
		if err != nil {
			return "", err
		}
		changesBefore := inc.Changes
		c, err := w.theCase(inc, alert, attempt)
		if err != nil {
			return "", err
		}
		c.Previous, c.Guidance = previous, choice.Guidance
		report, halted, err := w.try(responder, choice.Responder, c)
		if err != nil {
			return "", err
		}
		w.reports = append(w.reports, report)
		after, err := w.responderEnded(attempt, report)
		if err != nil {
			return "", err
		}
		inc = after.Incident
		if inc.State.Ended() {
			return "", &takenOver{inc.State}
		}
		changed := inc.Changes > changesBefore
		if !inc.AlertFiring && inc.Changes == 0 && inc.State != lifeline.StateActing {
			return w.move(lifeline.StateSuperseded, "the alert resolved; nothing was changed")
		}
		did := report.Summary
		switch {
		case halted != nil && halted.Paused && !changed:
			return w.escalate(halted.Why, w.reports)
		case halted != nil && halted.Held && !changed: // the next attempt begins when the window has ended
			previous += fmt.Sprintf("Attempt %d by %s: %s\n", attempt, report.Responder, did)
			continue
		case halted != nil && !halted.Paused && !changed && inc.AlertFiring && attempt < w.cfg.MaxAttempts:
			previous += fmt.Sprintf("Attempt %d by %s: %s The alert fires again.\n", attempt, report.Responder, did)
			continue
		}
		if asked := w.unhandled(after.Asked); len(asked) > 0 && (halted == nil || !halted.Paused) {
			var end decided
			if end, err = w.decide(attempt, asked, changesBefore, w.reports); err != nil || end.then == stop {
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
		w.looked(attempt, well)
		if well.OK {
			return w.awaitAlert(inc, w.reports)
		}
		if len(after.Unsure) > 0 { // it may run still: nothing is done beside it, nor once more
			return w.escalate(fmt.Sprintf("nobody knows how %s ended, so nothing more is tried; still not well: %s", strings.Join(after.Unsure, " and "), well.Detail), w.reports)
		}
		if how := worse(before, well); how != "" && inc.Changes > changesBefore {
			return w.undo(attempt, inc.Target, how, w.reports)
		}
		// A second model may see what the first has not: it is asked although
		// nothing was changed.
		chosen = attempt + 1
		next, err := w.choose(chosen, alert, inc.Target)
		if err != nil {
			return "", err
		}
		other := next.Responder != "" && next.Responder != choice.Responder
		choice = next
		if why := w.noMore(attempt, inc, changesBefore, now.Used, other, halted, well); why != "" {
			return w.escalate(why, w.reports)
		}
		previous += fmt.Sprintf("Attempt %d by %s: %s Afterwards: %s\n", attempt, report.Responder, did, well.Detail)
	}
}

// noMore says why no attempt follows on one that did not help; "" if one does.
// usedBefore counts the changes of the incident's key before the attempt; other
// means that somebody else would make the next one.
func (w *work) noMore(attempt int, inc lifeline.Incident, changesBefore, usedBefore int, other bool, halted *halt, well wellness) string {
	used := usedBefore + inc.Changes - changesBefore
	switch {
	case halted != nil && halted.Paused:
		return fmt.Sprintf("%s; still not well: %s", halted.Why, well.Detail)
	case inc.Changes == changesBefore && !other:
		return "no safe step is left: " + well.Detail
	case inc.Changes >= w.cfg.MaxChanges:
		return fmt.Sprintf("still not well after %d of %d allowed changes: %s", inc.Changes, w.cfg.MaxChanges, well.Detail)
	case used >= w.cfg.MaxChanges:
		return fmt.Sprintf("still not well after %d of %d allowed changes for the same thing within %s: %s", used, w.cfg.MaxChanges, short(w.cfg.AttemptWindow), well.Detail)
	case attempt >= w.cfg.MaxAttempts:
		return fmt.Sprintf("still not well after %d attempts: %s", attempt, well.Detail)
	}
	return ""
}

// theCase is what a responder is given, besides what follows from earlier
// attempts. What is remembered is looked up for each attempt and kept.
func (w *work) theCase(inc lifeline.Incident, alert lifeline.Alert, attempt int) (lifeline.Case, error) {
	return do(w.steps, fmt.Sprintf("case.%d", attempt), func(ctx context.Context) (lifeline.Case, error) {
		c := lifeline.Case{Incident: inc, Alert: alert, Attempt: attempt}
		others, err := w.cfg.Store.FiringAlerts(ctx, w.id, lifeline.MaxOthers+1)
		if err != nil {
			return c, err
		}
		for _, o := range others {
			if o.Fingerprint != alert.Fingerprint && len(c.Others) < lifeline.MaxOthers {
				c.Others = append(c.Others, o)
			}
		}
		c.Remedies, err = w.cfg.Store.Remedies(ctx, inc.Key, maxRemedies)
		return c, err
	})
}

// maxRemedies is how many earlier repairs a responder is told about.
const maxRemedies = 5

// try lets a responder work the case. halted says why the attempt ended early;
// nil if the responder ended it.
func (w *work) try(responder Responder, name string, c lifeline.Case) (lifeline.Report, *halt, error) {
	steps := &watched{work: w}
	report, err := responder.Work(w.wf, steps, c)
	if halted, ok := errors.AsType[*halt](err); ok {
		return lifeline.Report{Responder: name, Claim: lifeline.ClaimNotFixed, Summary: "It was stopped: " + halted.Why + "."}, halted, nil
	}
	return report, steps.halt, err
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
	if to.Ended() {
		if err := w.ending(to); err != nil {
			return "", err
		}
	}
	inc, err := do(w.steps, "move."+string(to), func(ctx context.Context) (lifeline.Incident, error) {
		inc, err := w.cfg.Store.MoveIncident(ctx, w.id, to, "respond", reason)
		if errors.Is(err, lifeline.ErrNoMove) {
			if now, readErr := w.cfg.Store.Incident(ctx, w.id); readErr == nil && now.State.Ended() {
				return now, nil // a person has taken it over
			}
		}
		if err == nil && to.Ended() && inc.Reason == reason {
			w.ended(inc)
		}
		return inc, err
	})
	if err == nil && inc.State.Ended() && inc.State != to {
		return inc.State, &takenOver{inc.State}
	}
	return inc.State, err
}

// worked is an incident after an attempt, with what a person was asked about.
// Without a question it is kept as the incident alone, as it always was.
type worked struct {
	lifeline.Incident
	Asked []lifeline.Approval `json:"asked,omitempty"`
	// Unsure are the changes of which nobody knows how they ended.
	Unsure []string `json:"unsure,omitempty"`
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
		commands, err := w.cfg.Store.Commands(ctx, w.id)
		for _, c := range commands {
			if c.Changed() && unsure(c) {
				out.Unsure = append(out.Unsure, fmt.Sprintf("`%s` on %s", c.Canonical, c.Host))
			}
		}
		if err != nil {
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

// event appends one entry to the incident's timeline, in a step: once, also if
// the step runs again.
func (w *work) event(ctx context.Context, kind lifeline.EventKind, actor, text string, data any) error {
	e, err := newEvent(w.id, kind, actor, text, data)
	if err != nil {
		return err
	}
	key := onceKey(ctx, e)
	if key == "" {
		return fmt.Errorf("the event %s does not belong to a step", kind)
	}
	return w.cfg.Store.AppendEventOnce(ctx, key, e)
}

// note appends one entry in a step of its own.
func (w *work) note(step string, kind lifeline.EventKind, text string, data any) error {
	_, err := do(w.steps, step, func(ctx context.Context) (bool, error) {
		return true, w.event(ctx, kind, "respond", text, data)
	})
	return err
}

func newEvent(incidentID string, kind lifeline.EventKind, actor, text string, data any) (lifeline.Event, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return lifeline.Event{}, fmt.Errorf("encode the details of %s: %w", kind, err)
	}
	return lifeline.Event{IncidentID: incidentID, Kind: kind, Actor: actor, Text: text, Data: raw}, nil
}

var _ tool.Runner = Door(nil)
