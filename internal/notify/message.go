package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"lifeline"
	"lifeline/internal/escape"
)

// What is shown of a text, in characters. A phone shows a few lines; the case
// itself has all of it.
const (
	longTitle = 100
	longText  = 300
	longCode  = 1500
	longList  = 5
)

// kindOf says what an event is to people; false: nothing.
func kindOf(e lifeline.Event) (lifeline.NotificationKind, bool) {
	switch e.Kind {
	case lifeline.EventIncidentOpened:
		return lifeline.NotifyOpened, true
	case lifeline.EventApprovalRequested:
		return lifeline.NotifyApproval, true
	case lifeline.EventEscalated:
		return lifeline.NotifyEscalated, true
	case lifeline.EventPaused, lifeline.EventResumed:
		return lifeline.NotifyPaused, true
	case lifeline.EventRecordBroken:
		return lifeline.NotifyRecordBroken, true
	case lifeline.EventNotificationFailed:
		// That people could not be told of a failure to tell them is on record, and
		// no reason to tell them: the messages would go round in circles.
		var n lifeline.Notification
		_ = json.Unmarshal(e.Data, &n)
		return lifeline.NotifyFailed, n.Kind != lifeline.NotifyFailed
	case lifeline.EventStateChanged:
		var d struct{ To lifeline.State }
		_ = json.Unmarshal(e.Data, &d)
		switch d.To {
		case lifeline.StateResolved:
			return lifeline.NotifyRepaired, true
		case lifeline.StateSuperseded:
			return lifeline.NotifySuperseded, true
		}
	}
	return "", false
}

// severityOf is the severity of what is about Lifeline itself.
func severityOf(kind lifeline.NotificationKind) string {
	switch kind {
	case lifeline.NotifyRecordBroken:
		return "critical"
	case lifeline.NotifyFailed:
		return "warning"
	}
	return "info"
}

func failedChannel(e lifeline.Event) string {
	var n lifeline.Notification
	_ = json.Unmarshal(e.Data, &n)
	return n.Channel
}

// message is the text of one event. inc is nil for what is about Lifeline itself.
func message(kind lifeline.NotificationKind, e lifeline.Event, inc *lifeline.Incident, commands []lifeline.Command) lifeline.Notification {
	var m lifeline.Notification
	about := ""
	if inc != nil {
		about = line(inc.AlertName, longTitle/2) + ", " + line(inc.Target.String(), longTitle/2)
		m.Foot = "lifeline incidents show " + inc.ID
	}
	switch kind {
	case lifeline.NotifyOpened:
		m.Title, m.Body = "Opened: "+about, line(inc.Summary, longText)+"\nseverity: "+line(inc.Severity, longTitle)
	case lifeline.NotifyApproval:
		approval(&m, e, about)
	case lifeline.NotifyRepaired:
		m.Title = "Repaired: " + about
		changes := changed(commands)
		m.Body = fmt.Sprintf("After %s, with %s. Proof: %s.", span(e.At.Sub(inc.OpenedAt)), count(len(changes), "change"), strings.TrimRight(line(reason(e), longText), "."))
		m.Code = list(changes)
	case lifeline.NotifyEscalated:
		escalated(&m, e, about, commands)
	case lifeline.NotifySuperseded:
		m.Title, m.Body = "Over: "+about, "Nothing was changed: "+line(reason(e), longText)
	case lifeline.NotifyPaused:
		m.Title = map[bool]string{true: "Lifeline is paused", false: "Lifeline goes on"}[e.Kind == lifeline.EventPaused]
		m.Body, m.Foot = line(e.Actor, longTitle)+": "+line(e.Text, longText), "lifeline status"
	case lifeline.NotifyRecordBroken:
		m.Title, m.Body, m.Foot = "The record of Lifeline was changed from outside", line(e.Text, longText), "lifeline audit verify"
	case lifeline.NotifyFailed:
		m.Title = fmt.Sprintf("The channel %s does not deliver", line(failedChannel(e), longTitle/2))
		m.Body, m.Foot = line(e.Text, longText), "lifeline notify list"
	}
	m.Title = line(m.Title, 2*longTitle)
	return m
}

// approval asks. What to do next stands in the message once it is sent: a link
// is a secret and is not stored.
func approval(m *lifeline.Notification, e lifeline.Event, about string) {
	var a lifeline.Approval
	_ = json.Unmarshal(e.Data, &a)
	m.ApprovalID = a.ID
	m.Title = "Approval needed: " + about
	var b strings.Builder
	fmt.Fprintf(&b, "May this run on %s? It is asked because %s.\n", line(a.Request.Host, longTitle), strings.TrimRight(line(a.Reason, longText), "."))
	fmt.Fprintf(&b, "asked by %s", line(a.Request.Actor, longTitle))
	if a.Request.Purpose != "" {
		fmt.Fprintf(&b, ", who says: %s", line(a.Request.Purpose, longText))
	}
	fmt.Fprintf(&b, "\nno answer by %s is a no", a.ExpiresAt.UTC().Format("2006-01-02 15:04:05 UTC"))
	m.Body, m.Code = b.String(), escape.Line(a.Canonical)
	if n := utf8.RuneCountInString(m.Code); n > longCode {
		m.Code = cut(m.Code, longCode)
		m.Body += fmt.Sprintf("\nONLY THE BEGINNING of %d characters: read all of it before you decide", n)
	}
}

// decide is the foot of a request for an approval.
func decide(approvalID string, q Question) string {
	if q.Link != "" {
		return "look and decide: " + q.Link
	}
	return fmt.Sprintf("lifeline approve %s\nlifeline deny %s", approvalID, approvalID)
}

func escalated(m *lifeline.Notification, e lifeline.Event, about string, commands []lifeline.Command) {
	var h struct {
		Reason  string
		Next    []string
		Refused []string
		Unknown []string
	}
	_ = json.Unmarshal(e.Data, &h)
	m.Title = "A person is needed: " + about
	var b strings.Builder
	why := h.Reason
	if why == "" {
		why = e.Text
	}
	b.WriteString(line(why, longText))
	changes := changed(commands)
	fmt.Fprintf(&b, "\ntried: %s", count(len(changes), "change"))
	if len(h.Refused) > 0 {
		fmt.Fprintf(&b, ", %s refused", count(len(h.Refused), "command"))
	}
	for _, u := range h.Unknown[:min(len(h.Unknown), longList)] {
		fmt.Fprintf(&b, "\nOUTCOME UNKNOWN: %s", line(u, longText))
	}
	for _, n := range h.Next[:min(len(h.Next), 3)] {
		fmt.Fprintf(&b, "\nlook at: %s", line(n, longText))
	}
	m.Body, m.Code = b.String(), list(changes)
}

// changed are the changes that were let through.
func changed(commands []lifeline.Command) []lifeline.Command {
	var all []lifeline.Command
	for _, c := range commands {
		if c.Changed() {
			all = append(all, c)
		}
	}
	return all
}

// list shows commands, one on a line.
func list(commands []lifeline.Command) string {
	var lines []string
	for i, c := range commands {
		if i == longList {
			lines = append(lines, fmt.Sprintf("… and %d more", len(commands)-i))
			break
		}
		lines = append(lines, line(c.Host+": "+c.Canonical, longText))
	}
	return strings.Join(lines, "\n")
}

func reason(e lifeline.Event) string {
	var d struct{ Reason string }
	if json.Unmarshal(e.Data, &d) != nil || d.Reason == "" {
		return e.Text
	}
	return d.Reason
}

// line is a text from outside on one line: escaped, and cut where it is long.
func line(s string, long int) string { return cut(escape.Line(s), long) }

func cut(s string, long int) string {
	if utf8.RuneCountInString(s) <= long {
		return s
	}
	return string([]rune(s)[:long-1]) + "…"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func span(d time.Duration) string { return max(d.Round(time.Second), time.Second).String() }
