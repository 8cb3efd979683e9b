package timeline

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"lifeline"
	"lifeline/internal/escape"
)

// CaseMarkdown is the case as a person takes it over: why, what to look at
// next, what was seen, tried and refused, and the whole timeline.
func CaseMarkdown(inc lifeline.Incident, alerts []lifeline.Alert, events []lifeline.Event, commands []lifeline.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %s\n\n", inline(inc.AlertName), inline(inc.Target.String()))
	fmt.Fprintf(&b, "- incident %s, **%s** since %s\n", inc.ID, inc.State, inc.UpdatedAt.UTC().Format(time.RFC3339))
	fmt.Fprintf(&b, "- %s\n", inline(inc.Summary))
	fmt.Fprintf(&b, "- severity %s, opened %s, %d alerts, %d changes made\n", inline(inc.Severity), inc.OpenedAt.UTC().Format(time.RFC3339), inc.Alerts, inc.Changes)
	if inc.Reason != "" {
		fmt.Fprintf(&b, "- why it stands here: %s\n", inline(inc.Reason))
	}
	h, _ := LastHandover(events)
	listSection(&b, "Look at this next", h.Next)
	if h.Verification != "" {
		fmt.Fprintf(&b, "\n## The newest verification\n\n%s\n", inline(h.Verification))
	}
	seenSection(&b, h.Seen)
	listSection(&b, "Nobody knows how these ended", h.Unknown)
	if len(h.Reports) > 0 {
		b.WriteString("\n## What the responders say\n\n")
		for i, r := range h.Reports {
			fmt.Fprintf(&b, "%d. %s claims %s: %s\n", i+1, inline(r.Responder), inline(string(r.Claim)), inline(r.Summary))
		}
	}
	commandSection(&b, "Tried: changes that were let through", commands, func(c lifeline.Command) bool { return !c.IntentAt.IsZero() && c.Class != "read" })
	commandSection(&b, "Refused", commands, func(c lifeline.Command) bool { return c.Outcome == lifeline.OutcomeRefused })
	listSection(&b, "Earlier incidents of the same thing", h.Past)
	commandSection(&b, "Every read, with what it showed", commands, func(c lifeline.Command) bool { return !c.IntentAt.IsZero() && c.Class == "read" })
	if len(alerts) > 0 {
		a := alerts[len(alerts)-1]
		raw, _ := json.MarshalIndent(a, "", "  ") // a map of strings always encodes
		fmt.Fprintf(&b, "\n## Newest alert of %d\n\n%s", len(alerts), fence(escape.Text(string(raw))))
	}
	b.WriteString("\n## Timeline\n\n")
	for _, e := range events {
		fmt.Fprintf(&b, "- %s **%s** %s\n", e.At.UTC().Format(time.TimeOnly), inline(e.Actor), inline(e.Text))
	}
	return b.String()
}

// LastHandover is the newest handover on a timeline; false if there is none.
func LastHandover(events []lifeline.Event) (last lifeline.Handover, found bool) {
	for _, e := range events {
		if e.Kind != lifeline.EventEscalated {
			continue
		}
		var h lifeline.Handover
		if json.Unmarshal(e.Data, &h) != nil {
			h = lifeline.Handover{} // nothing of one that is half readable
		}
		last, found = h, true
	}
	return last, found
}

// listSection prints texts, one on a line, unless there are none.
func listSection(b *strings.Builder, title string, texts []string) {
	if len(texts) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n", title)
	for _, t := range texts {
		fmt.Fprintf(b, "- %s\n", inline(t))
	}
}

// seenSection prints what was seen: the first line of each says what, and the
// others are what it showed.
func seenSection(b *strings.Builder, seen []string) {
	if len(seen) == 0 {
		return
	}
	b.WriteString("\n## What was seen\n\n")
	for _, s := range seen {
		what, shown, _ := strings.Cut(s, "\n")
		fmt.Fprintf(b, "- %s\n", inline(what))
		if shown != "" {
			b.WriteString(fence(escape.Text(shown)))
		}
	}
}

func commandSection(b *strings.Builder, title string, commands []lifeline.Command, want func(lifeline.Command) bool) {
	begun := false
	for _, c := range commands {
		if !want(c) {
			continue
		}
		if !begun {
			fmt.Fprintf(b, "\n## %s\n\n", title)
			begun = true
		}
		fmt.Fprintf(b, "- %s: %s, asked by %s: %s", inline(c.Host), code(asRun(c)), inline(c.Actor), inline(Outcome(c)))
		if c.Outcome == lifeline.OutcomeRefused {
			fmt.Fprintf(b, " (%s", inline(c.Reason))
			if c.Rule != "" {
				fmt.Fprintf(b, "; rule %s", inline(c.Rule))
			}
			b.WriteString(")")
		}
		b.WriteString("\n")
		if out := folded(c); out != "" {
			b.WriteString(fence(out))
		}
	}
}

// inline is a text from outside as Markdown shows it and does not read it: no
// markup, no HTML, and no entity, which would bring back what escape.Line hides.
func inline(s string) string {
	s = strings.NewReplacer("\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]", "<", "\\<", ">", "\\>",
		"#", "\\#", "&", "\\&", "~", "\\~", "|", "\\|").Replace(escape.Line(strings.TrimLeft(s, " ")))
	if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
		return "\\" + s // would begin a list
	}
	return s
}

// code is a command as Markdown shows it letter by letter, which the text cannot
// end: a code span knows no escapes.
func code(s string) string {
	s = escape.Line(s)
	ticks := "`"
	for strings.Contains(s, ticks) {
		ticks += "`"
	}
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return ticks + s + ticks
}

// fence is a block that the text cannot end.
func fence(s string) string {
	ticks := "```"
	for strings.Contains(s, ticks) {
		ticks += "`"
	}
	return ticks + "\n" + strings.TrimRight(s, "\n") + "\n" + ticks + "\n"
}
