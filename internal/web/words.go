package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode/utf8"

	"lifeline"
	"lifeline/internal/escape"
	"lifeline/internal/timeline"
)

// functions are what templates may call.
func functions() template.FuncMap {
	return template.FuncMap{
		"line": line, "text": escape.Text, "clip": clip, "utc": utc, "when": when, "took": took, "state": stateWords, "tone": stateTone,
		"spent": timeline.Spent, "dollars": timeline.Dollars, "percent": percent, "plural": plural, "times": times,
		"decision": decisionWords, "decisiontone": decisionTone, "path": incidentPath, "hostpath": hostPath,
	}
}

// line is escape.Line of whatever is a string.
func line(v any) string { return escape.Line(fmt.Sprint(v)) }

// clip is the beginning of a text, on one line, for lists. What a person decides
// about is never clipped.
func clip(s string, most int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most-1]) + "…"
	}
	return escape.Line(s)
}

func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// when is a time as people say it, with the exact time for whoever asks for it.
func when(now, t time.Time) template.HTML {
	if t.IsZero() {
		return "never"
	}
	// Nothing in it is from outside: times format as digits and letters.
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, t.UTC().Format(time.RFC3339), utc(t), relative(now, t)))
}

func relative(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d < -time.Second:
		return "in " + took(-d)
	case d < 5*time.Second:
		return "just now"
	case d > 60*24*time.Hour:
		return t.UTC().Format("2 Jan 2006")
	}
	return took(d) + " ago"
}

// took is a length of time in at most two units.
func took(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Millisecond && d > 0:
		return "under 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 10*time.Minute:
		return units(int(d/time.Minute), "min", int(d%time.Minute/time.Second), "s")
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	case d < 24*time.Hour:
		return units(int(d/time.Hour), "h", int(d%time.Hour/time.Minute), "min")
	}
	return units(int(d/(24*time.Hour)), "d", int(d%(24*time.Hour)/time.Hour), "h")
}

func units(a int, nameA string, b int, nameB string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, nameA)
	}
	return fmt.Sprintf("%d %s %d %s", a, nameA, b, nameB)
}

// states of an incident in the order in which people read about them.
func states() []lifeline.State {
	return []lifeline.State{lifeline.StateAwaitingApproval, lifeline.StateOpen, lifeline.StateInvestigating, lifeline.StateActing,
		lifeline.StateVerifying, lifeline.StateEscalated, lifeline.StateResolved, lifeline.StateSuperseded}
}

// stateWords says where an incident stands.
func stateWords(s lifeline.State) string {
	switch s {
	case lifeline.StateOpen:
		return "waits to be worked"
	case lifeline.StateInvestigating:
		return "being looked into"
	case lifeline.StateAwaitingApproval:
		return "waits for an answer"
	case lifeline.StateActing:
		return "being repaired"
	case lifeline.StateVerifying:
		return "repair being checked"
	case lifeline.StateResolved:
		return "repaired"
	case lifeline.StateEscalated:
		return "needs a person"
	case lifeline.StateSuperseded:
		return "well by itself"
	}
	return line(s)
}

// stateTone is the class that colours a state; the words say the same.
func stateTone(s lifeline.State) string {
	switch s {
	case lifeline.StateResolved, lifeline.StateSuperseded:
		return "good"
	case lifeline.StateEscalated:
		return "bad"
	case lifeline.StateAwaitingApproval:
		return "asks"
	}
	return "busy"
}

// percent of a part; "none yet" of nothing.
func percent(part, whole int) string {
	if whole == 0 {
		return "none yet"
	}
	return fmt.Sprintf("%d %%", (100*part+whole/2)/whole)
}

// plural counts: 1 change, 2 changes.
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
