package runbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"lifeline"
)

// Runner is the door to the hosts: internal/guard, and nothing else, is one. A
// refusal or an unreachable host is a Command that says so, not an error. The
// error is for a record that could not be written: then Work stops.
type Runner interface {
	Run(ctx context.Context, req lifeline.CommandRequest) (lifeline.Command, error)
}

// Timeline is where Work says what it is about to do.
type Timeline interface {
	AppendEvent(ctx context.Context, e lifeline.Event) error
}

// tailKept bounds what a step's result keeps of each output, in bytes. The
// whole of it is on record with the command.
const tailKept = 2048

// ran is the kept result of one command's step.
type ran struct {
	Command    string           `json:"command"`
	Outcome    lifeline.Outcome `json:"outcome"`
	ExitStatus *int             `json:"exit_status,omitempty"`
	OK         bool             `json:"ok"`
	// Waits: a person is asked, and it may run later.
	Waits bool `json:"waits,omitempty"`
	// Why it was refused, or what went wrong.
	Why string `json:"why,omitempty"`
	// StdoutTail and StderrTail are the ends of the outputs.
	StdoutTail string `json:"stdout_tail,omitempty"`
	StderrTail string `json:"stderr_tail,omitempty"`
}

// work is one attempt by one runbook.
type work struct {
	book     *Runbook
	steps    lifeline.Steps
	door     Runner
	timeline Timeline
	c        lifeline.Case
	actor    string
}

// Work makes one attempt at the case: it diagnoses, and unless healthy_if says
// that all is well, applies the fix. What the report claims is for the caller
// to verify. The error is one of the record or of the workflow: an attempt that
// did not help is a report.
//
// A fix whose outcome is unknown or that ran into its timeout is claimed as not
// fixed, and the summary says that it may have worked: look at the state.
func (b *Runbook) Work(ctx context.Context, steps lifeline.Steps, door Runner, tl Timeline, c lifeline.Case) (lifeline.Report, error) {
	w := work{book: b, steps: steps, door: door, timeline: tl, c: c, actor: "runbook:" + b.Name}
	target := c.Incident.Target
	all, err := b.Commands(target)
	if err != nil {
		return lifeline.Report{Responder: w.actor, Claim: lifeline.ClaimNotFixed,
			Summary: fmt.Sprintf("The runbook %s cannot be used on the %s: %v.", b.Name, target, err), Next: b.next}, nil
	}
	report := lifeline.Report{Responder: w.actor, Claim: lifeline.ClaimNotFixed, Next: b.next}

	if err := w.note(ctx, "begin", fmt.Sprintf("runbook %s looks at the %s", b.Name, target)); err != nil {
		return report, err
	}
	looked, err := w.look(ctx, all["diagnose"], all["healthy_if"])
	if err != nil {
		return report, err
	}
	findings := describeAll(looked)
	if why, nothing := nothingRan(looked); nothing {
		report.Summary = "Nothing could be looked at, so nothing was changed: " + why + "."
		return report, nil
	}
	if wellAlready(looked[len(all["diagnose"]):]) {
		report.Claim = lifeline.ClaimHealthy
		report.Summary = "It is well already; the fix was left out. " + findings
		return report, w.note(ctx, "healthy", "it is well already: the fix is left out")
	}
	if len(all["fix"]) == 0 {
		report.Summary = "This runbook repairs nothing by itself: a person has to decide. " + findings
		return report, w.note(ctx, "handover", "the runbook has no step that is safe without a person")
	}
	fixed, err := w.fix(ctx, all["fix"])
	if err != nil {
		return report, err
	}
	if len(b.undo) > 0 && slices.ContainsFunc(fixed, ran.mayTakeEffect) {
		report.Undo = all["undo"]
	}
	done := describeAll(fixed)
	last := fixed[len(fixed)-1]
	switch {
	case last.OK:
		report.Claim = lifeline.ClaimFixed
		report.Summary = done + " " + findings
		return report, nil
	case last.Outcome == lifeline.OutcomeRefused:
		report.Next = joined(fmt.Sprintf("Decide about `%s`, which was refused: %s.", last.Command, last.Why), b.next)
	case last.Outcome == lifeline.OutcomeUnknown || last.Outcome == lifeline.OutcomeTimedOut:
		done += " Its outcome is unknown: it may have worked; look at the state before it is repeated."
	}
	report.Summary = done + " " + findings
	return report, nil
}

// look runs diagnose and healthy_if, all at the same time.
func (w *work) look(ctx context.Context, diagnose, healthyIf []string) ([]ran, error) {
	batch := make([]lifeline.Step, 0, len(diagnose)+len(healthyIf))
	for i, command := range diagnose {
		batch = append(batch, w.step("d", i, command, "diagnose"))
	}
	for i, command := range healthyIf {
		batch = append(batch, w.step("h", i, command, "is it well already?"))
	}
	return results(w.steps.Run(ctx, batch...))
}

// fix runs the changes in order, up to the first that did not exit 0.
func (w *work) fix(ctx context.Context, commands []string) ([]ran, error) {
	var out []ran
	for i, command := range commands {
		r, err := results(w.steps.Run(ctx, w.step("f", i, command, "fix")))
		if err != nil {
			return nil, err
		}
		out = append(out, r[0])
		if !r[0].OK {
			break
		}
	}
	return out, nil
}

// step is the durable step of one command. Its name and the request's ID
// depend on nothing but the place in the runbook and the attempt.
func (w *work) step(kind string, index int, command, purpose string) lifeline.Step {
	place := fmt.Sprintf("a%d.%s%d", w.c.Attempt, kind, index)
	return lifeline.Step{Name: "runbook." + w.book.Name + "." + place, Do: func(ctx context.Context) (json.RawMessage, error) {
		cmd, err := w.door.Run(ctx, lifeline.CommandRequest{
			ID:         w.c.Incident.ID + "." + place,
			IncidentID: w.c.Incident.ID,
			Host:       w.c.Incident.Target.Host,
			Command:    command,
			Actor:      w.actor,
			Purpose:    "runbook " + w.book.Name + ": " + purpose,
		})
		if err != nil {
			return nil, err
		}
		return json.Marshal(summarize(command, cmd))
	}}
}

// note puts one line on the timeline, in a step, so that a workflow that runs
// again does not say it twice.
func (w *work) note(ctx context.Context, name, text string) error {
	name = fmt.Sprintf("runbook.%s.a%d.%s", w.book.Name, w.c.Attempt, name)
	return w.steps.Run(ctx, lifeline.Step{Name: name, Do: func(ctx context.Context) (json.RawMessage, error) {
		return json.RawMessage("true"), w.timeline.AppendEvent(ctx, lifeline.Event{
			IncidentID: w.c.Incident.ID, Kind: lifeline.EventNote, Actor: w.actor, Text: text,
		})
	}})[0].Err
}

// results reads kept results; the first error of a step ends the attempt.
func results(kept []lifeline.StepResult) ([]ran, error) {
	out := make([]ran, len(kept))
	var failed []error
	for i, k := range kept {
		if k.Err != nil {
			failed = append(failed, k.Err)
			continue
		}
		if err := json.Unmarshal(k.Value, &out[i]); err != nil {
			failed = append(failed, fmt.Errorf("read the kept result of a command: %w", err))
		}
	}
	return out, errors.Join(failed...)
}

func summarize(asked string, cmd lifeline.Command) ran {
	r := ran{
		Command: asked, Outcome: cmd.Outcome, ExitStatus: cmd.ExitStatus, OK: cmd.Succeeded(),
		Waits: cmd.Waits(), StdoutTail: tail(cmd.Stdout), StderrTail: tail(cmd.Stderr),
	}
	switch {
	case cmd.Outcome == lifeline.OutcomeRefused:
		r.Why = cmd.Reason
	case cmd.Error != "":
		r.Why = cmd.Error
	}
	return r
}

// mayTakeEffect reports whether the command was begun or may be yet.
func (r ran) mayTakeEffect() bool {
	return r.Waits || r.Outcome != lifeline.OutcomeRefused && r.Outcome != lifeline.OutcomeNotStarted
}

func tail(b []byte) string {
	if len(b) > tailKept {
		b = b[len(b)-tailKept:]
	}
	return strings.ToValidUTF8(string(b), "\ufffd")
}

// nothingRan reports that no command began, which says nothing about the target.
func nothingRan(looked []ran) (why string, nothing bool) {
	for _, r := range looked {
		if r.Outcome != lifeline.OutcomeNotStarted && r.Outcome != lifeline.OutcomeRefused {
			return "", false
		}
	}
	return oneLine(looked[0].Why), true
}

func wellAlready(checks []ran) bool {
	for _, c := range checks {
		if !c.OK {
			return false
		}
	}
	return len(checks) > 0
}

func describeAll(rs []ran) string {
	var b strings.Builder
	for i, r := range rs {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(r.describe())
	}
	return b.String()
}

// describe is one sentence: the command, its end, and the last line it printed.
func (r ran) describe() string {
	end := string(r.Outcome)
	switch {
	case r.Outcome == lifeline.OutcomeExited && r.ExitStatus != nil:
		end = fmt.Sprintf("exit status %d", *r.ExitStatus)
	case r.Why != "":
		end += ", " + oneLine(r.Why)
	}
	said := lastLine(r.StdoutTail)
	if s := lastLine(r.StderrTail); s != "" && (said == "" || !r.OK) {
		said = s
	}
	if said != "" {
		said = " (" + said + ")"
	}
	return fmt.Sprintf("`%s`: %s%s.", r.Command, end, said)
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return oneLine(s[strings.LastIndexByte(s, '\n')+1:])
}

// oneLine bounds text from outside and takes out what is not meant to be read.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if short := []rune(s); len(short) > 160 {
		s = string(short[:160]) + "…"
	}
	return strings.TrimRight(s, ".")
}

func joined(parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, " ")
}
