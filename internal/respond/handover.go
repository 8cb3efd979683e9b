package respond

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline"
	"lifeline/internal/tool"
)

// The bounds of a handover: what is beyond them is on record with the commands.
const (
	seenReads  = 8   // reads that are shown
	seenLines  = 6   // lines of each
	seenLetter = 200 // characters of a line
	pastShown  = 5   // earlier incidents
)

// escalate hands the incident to a person with the whole case.
func (w *work) escalate(reason string, reports []lifeline.Report) (lifeline.State, error) {
	if len(reports) > 0 {
		if err := w.lastWords(); err != nil {
			return "", err
		}
	}
	_, err := do(w.steps, "handover", func(ctx context.Context) (bool, error) {
		if inc, err := w.cfg.Store.Incident(ctx, w.id); err != nil || inc.State.Ended() {
			return false, err // a person has it already
		}
		h, err := w.handover(ctx, w.id, reason, w.notes, reports)
		if err != nil {
			return false, err
		}
		return true, w.event(ctx, lifeline.EventEscalated, "respond", reason, h)
	})
	if err != nil {
		return "", err
	}
	return w.move(lifeline.StateEscalated, reason)
}

// notes are what a run of the workflow has seen besides the record.
type notes struct {
	// looks are what the verifications saw, in order.
	looks []string
}

// looked notes what a verification saw.
func (w *work) looked(attempt int, well wellness) {
	says := "not well"
	if well.OK {
		says = "well"
	}
	w.notes.looks = append(w.notes.looks, fmt.Sprintf("after attempt %d: %s: %s", attempt, says, well.Detail))
}

// handover is the case as it stands on record.
func (s *Service) handover(ctx context.Context, id, reason string, n notes, reports []lifeline.Report) (h lifeline.Handover, err error) {
	inc, err := s.cfg.Store.Incident(ctx, id)
	if err != nil {
		return h, err
	}
	commands, err := s.cfg.Store.Commands(ctx, id)
	if err != nil {
		return h, err
	}
	past, err := s.cfg.Store.History(ctx, inc.Key, pastShown+1)
	if err != nil {
		return h, err
	}
	h = lifeline.Handover{Reason: reason, Reports: reports, Next: lookNext(reports, commands), Seen: seen(n, commands),
		Tried: []string{}, Refused: []string{}, Unknown: []string{}, Past: []string{}}
	if h.Reports == nil {
		h.Reports = []lifeline.Report{}
	}
	if last := len(n.looks); last > 0 {
		h.Verification = n.looks[last-1]
	}
	for _, c := range commands {
		switch {
		case c.Outcome == lifeline.OutcomeRefused:
			h.Refused = append(h.Refused, fmt.Sprintf("%s: %s (%s; rule %s)", c.Host, cmp.Or(c.Canonical, c.Command), c.Reason, cmp.Or(c.Rule, "none")))
		case unsure(c):
			h.Unknown = append(h.Unknown, fmt.Sprintf("%s: %s (%s)", c.Host, c.Canonical, cmp.Or(c.Error, "no result on record")))
		}
		if c.Changed() {
			h.Tried = append(h.Tried, fmt.Sprintf("%s: %s (%s), asked by %s", c.Host, c.Canonical, ending(c), c.Actor))
		}
	}
	for _, p := range past {
		if p.Incident.ID != id && len(h.Past) < pastShown {
			h.Past = append(h.Past, pastWords(p))
		}
	}
	return h, nil
}

// unsure reports a command of which nobody knows how it ended.
func unsure(c lifeline.Command) bool {
	return c.Outcome == lifeline.OutcomeUnknown || c.Outcome == lifeline.OutcomeTimedOut || c.Outcome == ""
}

// lookNext is what a person should look at: the responders' view, the newest first,
// and what the record itself says.
func lookNext(reports []lifeline.Report, commands []lifeline.Command) []string {
	look := []string{}
	add := func(text string) {
		if text != "" && !slices.Contains(look, text) {
			look = append(look, text)
		}
	}
	for _, r := range slices.Backward(reports) {
		add(r.Next)
	}
	for _, c := range commands {
		switch {
		case c.Changed() && unsure(c):
			add(fmt.Sprintf("Look at the state on %s before you repeat `%s`: it may have run.", c.Host, c.Canonical))
		case c.Hint != "" && !c.Waits() && c.Cause != lifeline.CodeRefused:
			add(fmt.Sprintf("%s: %s.", c.Host, strings.TrimRight(c.Hint, ".")))
		case c.Outcome == lifeline.OutcomeRefused && c.Rule == lifeline.RulePaused:
			add("Lifeline makes no changes while it is paused: " + cmp.Or(c.Hint, "lifeline resume") + ".")
		case c.Outcome == lifeline.OutcomeRefused && c.Rule == lifeline.RuleApproval && c.Class != "read" && !ran(commands, c):
			add(fmt.Sprintf("Decide about `%s` on %s, which was asked for and not approved.", c.Canonical, c.Host))
		}
	}
	return look
}

// ran reports whether the same as an asked command was let through in the end.
func ran(commands []lifeline.Command, asked lifeline.Command) bool {
	return slices.ContainsFunc(commands, func(c lifeline.Command) bool {
		return c.Changed() && c.Host == asked.Host && c.Canonical == asked.Canonical
	})
}

// seen are the last look of each verification and the newest reads with the end
// of what they showed.
func seen(n notes, commands []lifeline.Command) []string {
	facts := slices.Clone(n.looks)
	var reads []string
	known := map[string]bool{}
	for _, c := range slices.Backward(commands) {
		if c.IntentAt.IsZero() || c.Class != "read" || known[c.Host+" "+c.Canonical] {
			continue // the newest of the same is the one that counts
		}
		known[c.Host+" "+c.Canonical] = true
		if reads = append(reads, fmt.Sprintf("%s: %s (%s)%s", c.Host, c.Canonical, ending(c), shown(c))); len(reads) == seenReads {
			break
		}
	}
	slices.Reverse(reads)
	return append(append([]string{}, facts...), reads...)
}

// shown is the end of what a command printed.
func shown(c lifeline.Command) string {
	text := strings.TrimSpace(strings.ToValidUTF8(string(c.Stdout), "\ufffd") + "\n" + strings.ToValidUTF8(string(c.Stderr), "\ufffd"))
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	cut := ""
	if len(lines) > seenLines {
		lines, cut = lines[len(lines)-seenLines:], " …" // the newest lines matter
	}
	for i, l := range lines {
		if r := []rune(l); len(r) > seenLetter {
			lines[i] = string(r[:seenLetter]) + "…"
		}
	}
	return ":" + cut + "\n" + strings.Join(lines, "\n")
}

// ending says in a few words how a command ended.
func ending(c lifeline.Command) string {
	switch {
	case c.Outcome == "":
		return "no result on record"
	case c.Outcome == lifeline.OutcomeExited && c.ExitStatus != nil:
		return fmt.Sprintf("exit status %d", *c.ExitStatus)
	case c.Outcome == lifeline.OutcomeSignaled:
		return "signal " + c.Signal
	}
	return strings.ReplaceAll(string(c.Outcome), "_", " ") + because(c.Error)
}

// pastWords is an earlier incident in a line.
func pastWords(p lifeline.Past) string {
	made := make([]string, len(p.Changes))
	for i, c := range p.Changes {
		made[i] = "`" + c.Canonical + "`"
	}
	did := cmp.Or(strings.Join(made, ", then "), "nothing was changed")
	return fmt.Sprintf("%s, %s: %s: %s%s", p.Incident.OpenedAt.UTC().Format(time.RFC3339), p.Incident.ID, p.Incident.State, did, because(p.Incident.Reason))
}

// lastWords puts the newest log lines of the target on record: what it said
// after the last attempt is what a person looks for first.
func (w *work) lastWords() error {
	_, err := do(w.steps, "last_words", func(ctx context.Context) (bool, error) {
		inc, err := w.cfg.Store.Incident(ctx, w.id)
		if err != nil || inc.State.Ended() {
			return false, err
		}
		return true, tool.LastWords(ctx, w.cfg.Door, tool.Probe{IncidentID: w.id, Actor: "respond", Target: inc.Target})
	})
	return err
}

// giveUp hands an incident to a person without a workflow's steps: for one whose
// workflow cannot go on. It may be called again and again; an incident that has
// ended stays as it is.
func (s *Service) giveUp(ctx context.Context, id, actor, reason string, n notes, reports []lifeline.Report) (lifeline.State, error) {
	inc, err := s.cfg.Store.Incident(ctx, id)
	if err != nil || inc.State.Ended() {
		return inc.State, err
	}
	h, err := s.handover(ctx, id, reason, n, reports)
	if err != nil {
		return inc.State, err
	}
	data, err := json.Marshal(h)
	if err != nil {
		return inc.State, fmt.Errorf("encode the handover of %s: %w", id, err)
	}
	err = s.cfg.Store.AppendEventOnce(ctx, id+".given_up", lifeline.Event{
		IncidentID: id, Kind: lifeline.EventEscalated, Actor: actor, Text: reason, Data: data,
	})
	if err != nil {
		return inc.State, err
	}
	inc, err = s.cfg.Store.MoveIncident(ctx, id, lifeline.StateEscalated, actor, reason)
	if err == nil {
		s.ended(inc)
	}
	return inc.State, err
}

// ended tells of an incident's end.
func (s *Service) ended(inc lifeline.Incident) {
	s.cfg.Logger.Info("incident_ended", "incident", inc.ID, "state", inc.State, "host", inc.Target.Host, "reason", inc.Reason,
		"duration_seconds", inc.UpdatedAt.Sub(inc.OpenedAt).Seconds())
	s.cfg.OnEnd(inc)
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
