package notify

import (
	"path"
	"slices"
	"strings"
	"time"

	"lifeline"
)

// Channel says how much a channel takes, and when.
type Channel struct {
	Rate  Rate
	Quiet Quiet
}

// Rate is a number of messages within a time. Both are required.
type Rate struct {
	Number int
	Per    time.Duration
}

// Quiet are hours of each day in which only what is urgent is sent. The zero
// Quiet has none.
type Quiet struct {
	// From and To are times of the day since midnight; To may be the earlier one.
	From, To time.Duration
	// Location of both; nil: UTC.
	Location *time.Location
	// Except are severities about which everything is sent.
	Except []string
}

// holds reports whether a message has to wait for the end of the quiet hours.
// What says a clock on the wall counts: on the days on which it is changed the
// hours are longer or shorter, as for the people who sleep.
func (q Quiet) holds(now time.Time, m lifeline.Notification) bool {
	if q.From == q.To || m.Urgent || containsFold(q.Except, m.Severity) {
		return false
	}
	if q.Location == nil {
		q.Location = time.UTC
	}
	local := now.In(q.Location)
	at := time.Duration(local.Hour())*time.Hour + time.Duration(local.Minute())*time.Minute + time.Duration(local.Second())*time.Second
	if q.From < q.To {
		return q.From <= at && at < q.To
	}
	return at >= q.From || at < q.To
}

// Route sends what matches all of its conditions to its channels; an empty
// condition matches everything. Without any Route, every channel gets approvals,
// repairs and escalations, and what is about Lifeline itself.
type Route struct {
	Severity, Host []string
	// Alert are names of alerts as path.Match has them.
	Alert []string
	// Events are kinds; with opened goes superseded. Empty: all but those two.
	Events   []lifeline.NotificationKind
	Channels []string
}

// subject is what a message is about, for the routes.
type subject struct {
	kind     lifeline.NotificationKind
	severity string
	// incident is nil for what is about Lifeline itself.
	incident *lifeline.Incident
}

func (r Route) matches(s subject) bool {
	if len(r.Severity) > 0 && !containsFold(r.Severity, s.severity) {
		return false
	}
	if len(r.Host) > 0 && (s.incident == nil || !slices.Contains(r.Host, s.incident.Target.Host)) {
		return false
	}
	if len(r.Alert) > 0 && (s.incident == nil || !slices.ContainsFunc(r.Alert, func(p string) bool {
		ok, err := path.Match(p, s.incident.AlertName)
		return err == nil && ok
	})) {
		return false
	}
	kind := s.kind
	if kind == lifeline.NotifySuperseded {
		kind = lifeline.NotifyOpened // who was told of the beginning is told of the end
	}
	if len(r.Events) == 0 {
		return kind != lifeline.NotifyOpened
	}
	return slices.Contains(r.Events, kind)
}

// to lists the channels that are told, each once and in order. That people are
// not told, or that the record was changed from outside, concerns everybody if
// no route takes it.
func (c *Config) to(s subject) []string {
	routes, everyone := c.Routes, Route{}
	for name := range c.Channels {
		everyone.Channels = append(everyone.Channels, name)
	}
	if len(routes) == 0 {
		routes = []Route{everyone}
	}
	var all []string
	for _, r := range routes {
		if r.matches(s) {
			all = append(all, r.Channels...)
		}
	}
	if len(all) == 0 && (s.kind == lifeline.NotifyFailed || s.kind == lifeline.NotifyRecordBroken) {
		all = everyone.Channels
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(e string) bool { return strings.EqualFold(e, s) })
}
