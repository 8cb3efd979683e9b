package web

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"lifeline"
)

// Measures of the drawing, in its own units; it is as wide as drawWidth.
const (
	drawWidth  = 720
	laneHeight = 22
	barHeight  = 14
	headHeight = 24 // of a host: its name and its connection
	axisHeight = 24
	breakWidth = 30 // of a time in which nothing ran
	leastBar   = 3
	maxDrawn   = 200
)

// lanes draws the commands of a case side by side on a time axis: what ran at
// once is one above the other, and each host has a line for its connection.
type lanes struct {
	Width, Height int
	Hosts         []laneHost
	Ticks         []tick
	// Breaks are times in which nothing ran, drawn short.
	Breaks []tick
	// Most is how many ran at the same time, Summary all of it in a sentence.
	Most    int
	Summary string
	Rows    []laneRow
	Left    int
}

type laneHost struct {
	Name, Words string
	Y, LineY    int
	X1, X2      float64
	// Opened are the places at which a connection was opened.
	Opened []float64
	Bars   []bar
}

// bar is one command: a part for the wait in the queue, one for the connection,
// one for the run.
type bar struct {
	Y      int
	Phases []phase
	Title  string
	Tone   string
}

type phase struct {
	Kind     string
	X, Width float64
}

type tick struct {
	X    float64
	Text string
}

// laneRow is the same as text.
type laneRow struct {
	Start   time.Duration
	Command commandView
	Lane    int
}

// span is a command's time on the axis.
type span struct {
	cmd      lifeline.Command
	from, to time.Time
	lane     int
}

// newLanes draws what was let through; nil if nothing was. live says that what
// has no end yet still runs.
func newLanes(commands []lifeline.Command, at time.Time, live bool) *lanes {
	var spans []span
	for _, c := range commands {
		if c.IntentAt.IsZero() {
			continue
		}
		to := c.FinishedAt
		switch {
		case !to.IsZero():
		case live:
			to = at
		default: // nobody knows: what is known to have passed
			to = c.IntentAt.Add(c.Queue + c.Connect + c.Run)
		}
		spans = append(spans, span{cmd: c, from: c.IntentAt, to: maxTime(to, c.IntentAt)})
	}
	if len(spans) == 0 {
		return nil
	}
	slices.SortStableFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	l := &lanes{Width: drawWidth}
	spans, l.Left = newest(spans, maxDrawn)
	axis := newAxis(spans)
	var hosts []string
	for _, s := range spans {
		if !slices.Contains(hosts, s.cmd.Host) {
			hosts = append(hosts, s.cmd.Host)
		}
	}
	y := 0
	for _, name := range hosts {
		y = l.addHost(name, spans, axis, y, at, live)
	}
	l.Height = y + axisHeight
	l.Ticks, l.Breaks = axis.ticks(), axis.breaks
	slices.SortStableFunc(l.Rows, func(a, b laneRow) int { return cmp.Compare(a.Start, b.Start) })
	l.Summary = plural(len(spans), "command") + ", at most " + fmt.Sprint(l.Most) + " at the same time"
	for _, h := range l.Hosts {
		l.Summary += "; " + h.Name + ": " + h.Words
	}
	return l
}

// addHost draws the commands of one host from y on, and gives where they end.
func (l *lanes) addHost(name string, spans []span, axis *axis, y int, at time.Time, live bool) int {
	h := laneHost{Name: name, Y: y + 14, LineY: y + headHeight - 3}
	var ends []time.Time // of each lane
	opened, reused, first := 0, 0, true
	for i := range spans {
		s := &spans[i]
		if s.cmd.Host != name {
			continue
		}
		// The first lane that is free by then.
		s.lane = slices.IndexFunc(ends, func(end time.Time) bool { return !end.After(s.from) })
		if s.lane < 0 {
			s.lane = len(ends)
			ends = append(ends, time.Time{})
		}
		ends[s.lane] = s.to
		view := newCommandView(s.cmd, at, live)
		x1, x2 := axis.at(s.from), axis.at(s.to)
		b := bar{Y: y + headHeight + s.lane*laneHeight, Tone: view.Tone, Title: view.Sent + ": " + view.Ended}
		b.Phases = phases(s, axis, x1, max(x2, x1+leastBar))
		h.Bars = append(h.Bars, b)
		if first {
			h.X1, first = x1, false
		}
		h.X2 = max(h.X2, x2, x1+leastBar)
		switch {
		case s.cmd.Reused:
			reused++
		case s.cmd.Connect > 0:
			opened++
			h.Opened = append(h.Opened, axis.at(s.from.Add(s.cmd.Queue)))
		}
		l.Rows = append(l.Rows, laneRow{Start: s.from.Sub(axis.begin), Command: *view, Lane: s.lane + 1})
	}
	h.Words = connectionWords(opened, reused)
	l.Most = max(l.Most, len(ends))
	l.Hosts = append(l.Hosts, h)
	return y + headHeight + len(ends)*laneHeight + 8
}

// phases cuts a bar where the queue and the connection ended.
func phases(s *span, axis *axis, x1, x2 float64) []phase {
	queued, connected := axis.at(s.from.Add(s.cmd.Queue)), axis.at(s.from.Add(s.cmd.Queue+s.cmd.Connect))
	var all []phase
	from := x1
	for _, p := range []struct {
		kind string
		to   float64
	}{{"queue", min(queued, x2)}, {"connect", min(connected, x2)}, {"run", x2}} {
		// What is shorter than a pixel is not drawn, except the run.
		if p.kind == "run" || p.to-from >= 1 {
			all = append(all, phase{p.kind, from, max(p.to-from, 1)})
			from = max(p.to, from)
		}
	}
	return all
}

// connectionWords says over how many connections the commands of a host went.
func connectionWords(opened, reused int) string {
	switch {
	case opened == 0 && reused == 0:
		return "no connection"
	case opened == 0:
		return fmt.Sprintf("one connection, open before, used %s", times(reused))
	case opened == 1:
		return fmt.Sprintf("one connection, opened once, reused %s", times(reused))
	}
	return fmt.Sprintf("%d connections opened, reused %s", opened, times(reused))
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
