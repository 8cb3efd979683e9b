package timeline

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"lifeline"
	"lifeline/internal/escape"
)

// Line is one event for a terminal: the time since start, who, and what.
func Line(e lifeline.Event, start time.Time) string {
	return fmt.Sprintf("%8.2fs  %-22s %s", e.At.Sub(start).Seconds(), escape.Line(e.Actor), escape.Line(e.Text))
}

// WriteIncidents prints a table, one incident per line.
func WriteIncidents(w io.Writer, incidents []lifeline.Incident) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tOPENED\tSTATE\tALERT\tTARGET\tCHANGES\tREASON")
	for _, inc := range incidents {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", inc.ID, inc.OpenedAt.Local().Format("2006-01-02 15:04:05"), inc.State,
			escape.Line(inc.AlertName), escape.Line(inc.Target.String()), inc.Changes, escape.Line(inc.Reason))
	}
	return t.Flush()
}

// shownLines bounds how much of a command's output WriteIncident prints: the
// newest lines matter.
const shownLines = 12

// WriteIncident prints one incident: what it is, its timeline, its commands.
func WriteIncident(w io.Writer, inc lifeline.Incident, events []lifeline.Event, commands []lifeline.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  %s\n", inc.ID, inc.State, escape.Line(inc.AlertName))
	fmt.Fprintf(&b, "  %s\n  %s\n", escape.Line(inc.Target.String()), escape.Line(inc.Summary))
	if inc.Reason != "" {
		fmt.Fprintf(&b, "  %s\n", escape.Line(inc.Reason))
	}
	fmt.Fprintf(&b, "  opened %s, %d alerts, %d changes\n\nTimeline\n", inc.OpenedAt.Local().Format(time.DateTime), inc.Alerts, inc.Changes)
	for _, e := range events {
		fmt.Fprintf(&b, "%s\n", Line(e, inc.OpenedAt))
	}
	b.WriteString("\nCommands\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "%s: %s\n", escape.Line(c.Host), escape.Line(asRun(c)))
		fmt.Fprintf(&b, "    by %s; %s by %s: %s\n", escape.Line(c.Actor), c.Decision, escape.Line(c.Rule), escape.Line(c.Reason))
		fmt.Fprintf(&b, "    %s\n", escape.Line(Outcome(c)))
		b.WriteString(folded(c))
	}
	if len(commands) == 0 {
		b.WriteString("  none\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// asRun is the text that was sent, or that was asked for if nothing was sent.
func asRun(c lifeline.Command) string {
	if c.Canonical != "" {
		return c.Canonical
	}
	return c.Command
}

// Outcome says how a command ended, for a person.
func Outcome(c lifeline.Command) string {
	var s string
	switch {
	case c.Outcome == "" && !c.IntentAt.IsZero():
		return "unknown: it was let through, and no result is on record"
	case c.Outcome == lifeline.OutcomeExited && c.ExitStatus != nil:
		s = fmt.Sprintf("exited %d", *c.ExitStatus)
	case c.Outcome == lifeline.OutcomeSignaled:
		s = "ended by signal " + c.Signal
	default:
		s = strings.ReplaceAll(string(c.Outcome), "_", " ")
	}
	if !c.IntentAt.IsZero() {
		s += fmt.Sprintf(" (queue %s, connect %s, run %s)", c.Queue.Round(time.Millisecond), c.Connect.Round(time.Millisecond), c.Run.Round(time.Millisecond))
	}
	for _, more := range []string{c.Error, c.Kill} {
		if more != "" {
			s += "; " + more
		}
	}
	return s
}

// folded is the end of the command's output, indented.
func folded(c lifeline.Command) string {
	var b strings.Builder
	for _, out := range [][]byte{c.Stdout, c.Stderr} {
		text := strings.TrimRight(escape.Text(string(out)), "\n")
		if text == "" {
			continue
		}
		lines := strings.Split(text, "\n")
		if cut := len(lines) - shownLines; cut > 0 {
			fmt.Fprintf(&b, "      … %d lines before\n", cut)
			lines = lines[cut:]
		}
		for _, l := range lines {
			fmt.Fprintf(&b, "      %s\n", l)
		}
	}
	return b.String()
}
