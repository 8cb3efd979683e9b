package web

import (
	"time"
)

// axis maps times to places. Times in which nothing ran, such as the wait for a
// person, are drawn short: what ran would be too small to see beside them.
type axis struct {
	begin  time.Time
	pieces []piece
	breaks []tick
}

// piece is a stretch of time and its place on the axis.
type piece struct {
	from, to time.Time
	x1, x2   float64
	idle     bool
}

// newAxis makes the axis of spans that are in order of their beginnings.
func newAxis(spans []span) *axis {
	a := &axis{begin: spans[0].from}
	var busy time.Duration
	end := spans[0].from
	var gaps []piece
	for _, s := range spans {
		if s.from.After(end) {
			gaps = append(gaps, piece{from: end, to: s.from, idle: true})
		}
		if s.to.After(end) {
			busy += s.to.Sub(maxTime(s.from, end))
			end = s.to
		}
	}
	// A pause is drawn short when it is much longer than what ran.
	limit := max(busy/2, time.Second)
	from := a.begin
	for _, g := range gaps {
		if g.to.Sub(g.from) > limit {
			a.pieces = append(a.pieces, piece{from: from, to: g.from}, g)
			from = g.to
		}
	}
	a.pieces = append(a.pieces, piece{from: from, to: end})
	var drawn time.Duration
	short := 0
	for _, p := range a.pieces {
		if p.idle {
			short++
		} else {
			drawn += p.to.Sub(p.from)
		}
	}
	width := max(float64(drawWidth-2-short*breakWidth), drawWidth/4)
	gap := min(float64(breakWidth), (drawWidth-2-width)/float64(max(short, 1)))
	x := 1.0
	for i := range a.pieces {
		p := &a.pieces[i]
		p.x1 = x
		switch {
		case p.idle:
			x += gap
			a.breaks = append(a.breaks, tick{X: p.x1 + gap/2, Text: took(p.to.Sub(p.from))})
		case drawn > 0:
			x += width * float64(p.to.Sub(p.from)) / float64(drawn)
		}
		p.x2 = x
	}
	return a
}

// at is the place of a time.
func (a *axis) at(t time.Time) float64 {
	for _, p := range a.pieces {
		if t.After(p.to) {
			continue
		}
		length := p.to.Sub(p.from)
		if length <= 0 || !t.After(p.from) {
			return p.x1
		}
		return p.x1 + (p.x2-p.x1)*float64(t.Sub(p.from))/float64(length)
	}
	return a.pieces[len(a.pieces)-1].x2
}

// ticks are times since the beginning, at places that are easy to read.
func (a *axis) ticks() []tick {
	last := a.pieces[len(a.pieces)-1]
	var scale float64 // units for a second
	for _, p := range a.pieces {
		if d := p.to.Sub(p.from).Seconds(); !p.idle && d > 0 {
			scale = (p.x2 - p.x1) / d
			break
		}
	}
	if scale == 0 {
		return []tick{{X: 1, Text: "0 s"}}
	}
	stride := time.Duration(0)
	for _, d := range []time.Duration{10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second,
		10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour} {
		if stride = d; d.Seconds()*scale >= 70 {
			break
		}
	}
	var all []tick
	free := -1.0 // where the next label may begin
	for _, p := range a.pieces {
		if p.idle {
			continue
		}
		first := p.from.Sub(a.begin).Truncate(stride)
		if a.begin.Add(first).Before(p.from) {
			first += stride
		}
		for d := first; !a.begin.Add(d).After(p.to); d += stride {
			x, text := a.at(a.begin.Add(d)), took(d)
			// Late times are told to the second: two of the same say nothing.
			if same := len(all) > 0 && all[len(all)-1].Text == text; x >= free && x <= last.x2 && !same {
				all = append(all, tick{X: x, Text: text})
				free = x + 60
			}
			if len(all) >= 40 {
				return all
			}
		}
	}
	return all
}
