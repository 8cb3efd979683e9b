package respond

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"lifeline"
)

// firstLook bounds one check before an attempt.
const firstLook = 3 * time.Second

// before looks at the thing and makes the owner's checks once, so that an
// attempt can be judged by what it has changed.
func (w *work) before(attempt int, target lifeline.Target, checks []lifeline.Check) (wellness, error) {
	return do(w.steps, fmt.Sprintf("before.%d", attempt), func(ctx context.Context) (wellness, error) {
		_, seen, err := w.look(ctx, target)
		if err != nil || seen.Level == "" { // a host that does not answer is not asked for more
			return seen, err
		}
		seen.Checks, err = w.check(ctx, target.Host, quick(checks, firstLook))
		return seen, err
	})
}

// worse says in what way a thing is worse than it was; "" if it is not, or if
// that cannot be told. It compares what Lifeline saw, never what a responder
// says.
func worse(before, after wellness) string {
	var ways []string
	if was, is := before.Level.rank(), after.Level.rank(); was > 0 && is > 0 && is < was {
		ways = append(ways, fmt.Sprintf("it was %s (%s) and is %s (%s)", before.Level, before.Detail, after.Level, after.Detail))
	}
	good := map[string]bool{}
	for _, c := range before.Checks {
		good[c.Check] = c.OK
	}
	for _, c := range after.Checks {
		if good[c.Check] && !c.OK && !c.CouldNot {
			ways = append(ways, fmt.Sprintf("%s; it was good before", c))
		}
	}
	return strings.Join(ways, "; ")
}

// undone is the Data of EventUndone.
type undone struct {
	// Worse says in what way the attempt made things worse.
	Worse string `json:"worse"`
	// Commands are those of the undo that were tried, in order, with their ends.
	Commands []undoneCommand `json:"commands"`
	// After is what a look at the thing saw afterwards; "" without an undo.
	After string `json:"after,omitempty"`
}

type undoneCommand struct {
	Command string           `json:"command"`
	Outcome lifeline.Outcome `json:"outcome"`
	OK      bool             `json:"ok"`
	Says    string           `json:"says"`
}

// undo takes back an attempt that has made things worse, where the responder
// says how, and hands the incident to a person in any case. The commands are
// changes like any other: policy, budget and record are the same for them.
func (w *work) undo(attempt int, target lifeline.Target, how string, reports []lifeline.Report) (lifeline.State, error) {
	report := reports[len(reports)-1]
	story := fmt.Sprintf("attempt %d by %s made things worse: %s", attempt, report.Responder, how)
	if len(report.Undo) == 0 {
		story += "; nothing says how it is undone"
		if err := w.note(fmt.Sprintf("undo.%d.none", attempt), lifeline.EventUndone, story, undone{Worse: how, Commands: []undoneCommand{}}); err != nil {
			return "", err
		}
		return w.escalate(story, reports)
	}
	// A change belongs to an incident that is worked, not to one that is verified.
	if _, err := w.move(lifeline.StateInvestigating, "the repair made things worse: it is undone"); err != nil {
		return "", err
	}
	out := undone{Worse: how}
	all := true
	for i, command := range report.Undo {
		end, err := w.undoOne(attempt, i, target.Host, command, report.Responder)
		if err != nil {
			return "", err
		}
		out.Commands = append(out.Commands, end)
		if all = end.OK; !all {
			break
		}
	}
	after, err := do(w.steps, fmt.Sprintf("undo.%d.look", attempt), func(ctx context.Context) (wellness, error) {
		_, seen, err := w.look(ctx, target)
		return seen, err
	})
	if err != nil {
		return "", err
	}
	out.After = after.Detail
	last := out.Commands[len(out.Commands)-1]
	if all {
		story += fmt.Sprintf("; it was undone with %d command(s), and now: %s", len(out.Commands), out.After)
	} else {
		story += fmt.Sprintf("; the undo `%s` did not succeed (%s), and now: %s", last.Command, last.Says, out.After)
	}
	if err := w.note(fmt.Sprintf("undo.%d.end", attempt), lifeline.EventUndone, story, out); err != nil {
		return "", err
	}
	return w.escalate(story, reports)
}

// undoOne runs one command of an undo. Its request ID depends on nothing but its
// place, so that it runs once.
func (w *work) undoOne(attempt, place int, host, command, actor string) (undoneCommand, error) {
	name := fmt.Sprintf("undo.%d.%d", attempt, place)
	return do(w.steps, name, func(ctx context.Context) (undoneCommand, error) {
		cmd, err := w.cfg.Door.Run(ctx, lifeline.CommandRequest{
			ID: w.id + "." + name, IncidentID: w.id, Host: host, Command: command, Actor: actor, Purpose: "undo: the repair made things worse",
		})
		if err != nil {
			return undoneCommand{}, err
		}
		if ctx.Err() != nil { // the process stops: the door knows what ran when the step runs again
			return undoneCommand{}, context.Cause(ctx)
		}
		end := undoneCommand{Command: command, Outcome: cmp.Or(cmd.Outcome, lifeline.OutcomeUnknown), OK: cmd.Succeeded()}
		switch {
		case cmd.Waits():
			end.Says = "the policy asks a person about it: run it with lifeline exec " + host + " -- " + command
		case cmd.Outcome == lifeline.OutcomeRefused:
			end.Says = "refused: " + cmd.Reason
		case cmd.ExitStatus != nil:
			end.Says = strings.TrimSpace(fmt.Sprintf("exit status %d %s", *cmd.ExitStatus, oneLine(string(cmd.Stderr))))
		default:
			end.Says = string(end.Outcome) + because(oneLine(cmd.Error))
		}
		return end, nil
	})
}
