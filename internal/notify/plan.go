package notify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline"
)

// parcel is one message that is to be sent, with the rows of the outbox that are
// done when it is.
type parcel struct {
	Message
	// rows are told by the message.
	rows []lifeline.Notification
	// merged are older ones about the same, which it makes superfluous.
	merged []lifeline.Notification
	digest bool
}

// storm is what a channel remembers between two looks about many messages.
type storm struct {
	after int
	every time.Duration
	// last digest that was sent; zero: none.
	last time.Time
}

// plan makes parcels out of the messages that wait for a channel, in the order in
// which they are to be sent. What is not in a parcel goes on waiting: it is held
// by quiet hours, its last attempt was just now, or a digest will take it.
func plan(now time.Time, waiting []lifeline.Notification, quiet Quiet, s storm) []parcel {
	var due []parcel
	for _, p := range coalesce(waiting) {
		m := p.rows[0]
		if !m.NotBefore.After(now) && !quiet.holds(now, m) {
			p.Message = Message{Title: m.Title, Body: m.Body, Code: m.Code, Foot: m.Foot}
			due = append(due, p)
		}
	}
	slices.SortStableFunc(due, func(a, b parcel) int { return before(a.rows[0], b.rows[0]) })
	if !s.last.IsZero() && now.Before(s.last.Add(s.every)) {
		due = slices.DeleteFunc(due, func(p parcel) bool { return !p.rows[0].Urgent })
	}
	if len(due) <= s.after {
		return due
	}
	return []parcel{digest(due)}
}

// coalesce keeps the newest message about each thing: a question that is open
// stays, and what is older than it about the same incident is merged into it.
func coalesce(waiting []lifeline.Notification) []parcel {
	rows := slices.SortedStableFunc(slices.Values(waiting), func(a, b lifeline.Notification) int { return cmp.Compare(b.Seq, a.Seq) })
	var parcels []parcel
	newest := map[string]int{} // the parcel of a thing
	for _, m := range rows {
		about := thing(m)
		i, known := newest[about]
		switch {
		case !known, m.Kind == lifeline.NotifyApproval && parcels[i].rows[0].ApprovalID != m.ApprovalID:
			parcels = append(parcels, parcel{rows: []lifeline.Notification{m}})
			if !known {
				newest[about] = len(parcels) - 1
			}
		default:
			parcels[i].merged = append(parcels[i].merged, m)
		}
	}
	slices.Reverse(parcels) // the oldest first
	return parcels
}

// thing is what a message is about: of two about the same, the newer one tells
// more.
func thing(m lifeline.Notification) string {
	switch {
	case m.Kind == lifeline.NotifyFailed:
		return string(m.Kind) + " " + m.Title // which names the channel
	case m.IncidentID == "":
		return string(m.Kind)
	}
	return m.IncidentID
}

// digest tells of many messages in one: how many of which kind, and what is most
// urgent.
func digest(due []parcel) parcel {
	out := parcel{digest: true}
	kinds := map[lifeline.NotificationKind]int{}
	for _, p := range due {
		kinds[p.rows[0].Kind]++
		out.rows, out.merged = append(out.rows, p.rows...), append(out.merged, p.merged...)
	}
	var parts []string
	for _, k := range ranked() {
		if n := kinds[k]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, strings.ReplaceAll(string(k), "_", " ")))
		}
	}
	out.Title = fmt.Sprintf("%d messages: %s", len(due), strings.Join(parts, ", "))
	var body, foot strings.Builder
	const shown = 10
	for i, p := range due {
		if i == shown {
			fmt.Fprintf(&body, "… and %d more\n", len(due)-i)
			break
		}
		fmt.Fprintf(&body, "%d. %s\n", i+1, cut(p.Title, longTitle))
		if p.rows[0].Kind == lifeline.NotifyApproval {
			fmt.Fprintf(&foot, "%d. %s\n", i+1, strings.ReplaceAll(p.Foot, "\n", ", "))
		}
	}
	out.Body, out.Foot = strings.TrimRight(body.String(), "\n"), foot.String()+"lifeline incidents, lifeline approvals"
	return out
}

// ranked lists the kinds, the most urgent first.
func ranked() []lifeline.NotificationKind {
	return []lifeline.NotificationKind{
		lifeline.NotifyApproval, lifeline.NotifyRecordBroken, lifeline.NotifyEscalated, lifeline.NotifyFailed,
		lifeline.NotifyPaused, lifeline.NotifyRepaired, lifeline.NotifyOpened, lifeline.NotifySuperseded,
	}
}

// before orders messages: the urgent ones first, then by kind, then by age.
func before(a, b lifeline.Notification) int {
	if a.Urgent != b.Urgent {
		return map[bool]int{true: -1, false: 1}[a.Urgent]
	}
	all := ranked()
	return cmp.Or(cmp.Compare(slices.Index(all, a.Kind), slices.Index(all, b.Kind)), cmp.Compare(a.Seq, b.Seq))
}

// window remembers when messages were sent, to hold to a Rate.
type window struct {
	rate Rate
	sent []time.Time
}

// free reports whether one more may be sent now.
func (w *window) free(now time.Time) bool {
	w.sent = slices.DeleteFunc(w.sent, func(t time.Time) bool { return now.Sub(t) >= w.rate.Per })
	return len(w.sent) < w.rate.Number
}

func (w *window) add(now time.Time) { w.sent = append(w.sent, now) }
