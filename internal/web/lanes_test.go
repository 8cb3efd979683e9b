package web

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
)

// ran is a command that began and ended so many milliseconds after the beginning.
func ran(host string, from, to int, reused bool) lifeline.Command {
	begin := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	exit := 0
	c := lifeline.Command{Canonical: fmt.Sprintf("c%d", from), Class: "read", Outcome: lifeline.OutcomeExited, ExitStatus: &exit, Reused: reused,
		IntentAt: begin.Add(time.Duration(from) * time.Millisecond), FinishedAt: begin.Add(time.Duration(to) * time.Millisecond)}
	c.Host, c.Run = host, time.Duration(to-from)*time.Millisecond
	if !reused {
		c.Connect, c.Run = c.Run/2, c.Run/2
	}
	return c
}

// What ran at once is one above the other, what ran one after another is in one
// lane, and each host says over how many connections.
func TestLanes(t *testing.T) {
	hour := int(time.Hour / time.Millisecond)
	for what, tt := range map[string]struct {
		commands []lifeline.Command
		lanes    []int
		most     int
		breaks   []string
		words    []string
	}{
		"nothing": {},
		"one":     {commands: []lifeline.Command{ran("a", 0, 100, false)}, lanes: []int{1}, most: 1, words: []string{"one connection, opened once, reused 0 times"}},
		"at once": {commands: []lifeline.Command{ran("a", 0, 900, false), ran("a", 1, 500, true), ran("a", 2, 300, true)}, lanes: []int{1, 2, 3}, most: 3,
			words: []string{"one connection, opened once, reused twice"}},
		"one after another": {commands: []lifeline.Command{ran("a", 0, 100, true), ran("a", 100, 200, true), ran("a", 201, 300, true)}, lanes: []int{1, 1, 1}, most: 1,
			words: []string{"one connection, open before, used 3 times"}},
		"a lane becomes free": {commands: []lifeline.Command{ran("a", 0, 300, true), ran("a", 10, 100, true), ran("a", 150, 250, true)}, lanes: []int{1, 2, 2}, most: 2,
			words: []string{"one connection, open before, used 3 times"}},
		"two hosts": {commands: []lifeline.Command{ran("a", 0, 300, false), ran("b", 10, 100, false), ran("b", 150, 250, false)}, lanes: []int{1, 1, 1}, most: 1,
			words: []string{"one connection, opened once, reused 0 times", "2 connections opened, reused 0 times"}},
		"a long wait": {commands: []lifeline.Command{ran("a", 0, 300, true), ran("a", hour, hour+2000, true)}, lanes: []int{1, 1}, most: 1, breaks: []string{"59 min"},
			words: []string{"one connection, open before, used twice"}},
	} {
		l := newLanes(tt.commands, time.Time{}, false)
		if l == nil {
			if len(tt.commands) > 0 {
				t.Errorf("%s: nothing is drawn", what)
			}
			continue
		}
		var lanes []int
		for _, r := range l.Rows {
			lanes = append(lanes, r.Lane)
		}
		var words, breaks []string
		for _, h := range l.Hosts {
			words = append(words, h.Words)
			for _, b := range h.Bars {
				end := 0.0
				for _, p := range b.Phases {
					if p.X < end-0.01 || p.Width <= 0 || p.X < 0 || p.X+p.Width > drawWidth+leastBar {
						t.Errorf("%s: a part of %q is at %+v", what, b.Title, p)
					}
					end = p.X + p.Width
				}
				if last := b.Phases[len(b.Phases)-1]; last.Kind != "run" || b.Y+barHeight > l.Height-axisHeight {
					t.Errorf("%s: %q ends with %+v at %d of %d", what, b.Title, last, b.Y, l.Height)
				}
			}
		}
		for _, b := range l.Breaks {
			breaks = append(breaks, b.Text)
		}
		if diff := cmp.Diff(tt.lanes, lanes); diff != "" || l.Most != tt.most {
			t.Errorf("%s: most %d, lanes (-want +got):\n%s", what, l.Most, diff)
		}
		if diff := cmp.Diff(tt.words, words); diff != "" {
			t.Errorf("%s: connections (-want +got):\n%s", what, diff)
		}
		if diff := cmp.Diff(tt.breaks, breaks); diff != "" {
			t.Errorf("%s: times in which nothing ran (-want +got):\n%s", what, diff)
		}
		for i, tick := range l.Ticks {
			if tick.X < 0 || tick.X > drawWidth || i > 0 && tick.X <= l.Ticks[i-1].X {
				t.Errorf("%s: ticks at %+v", what, l.Ticks)
			}
		}
	}
	// However many there were, the drawing has bounds.
	var many []lifeline.Command
	for i := range 5000 {
		many = append(many, ran("a", i*10, i*10+5, true))
	}
	if l := newLanes(many, time.Time{}, false); len(l.Rows) != maxDrawn || l.Left != 4800 || len(l.Ticks) > 40 {
		t.Errorf("%d drawn, %d left, %d ticks", len(l.Rows), l.Left, len(l.Ticks))
	}
	// What still runs reaches as far as the time of looking.
	going := ran("a", 0, 0, true)
	going.FinishedAt, going.Outcome, going.ExitStatus = time.Time{}, "", nil
	l := newLanes([]lifeline.Command{ran("a", 0, 100, true), going}, going.IntentAt.Add(3*time.Second), true)
	if l.Hosts[0].X2 < drawWidth/2 || l.Rows[1].Command.Ended != "running for 3.0 s" {
		t.Errorf("what runs ends at %.1f: %q", l.Hosts[0].X2, l.Rows[1].Command.Ended)
	}
}

func TestCharts(t *testing.T) {
	if c := hostCharts(nil); c != nil {
		t.Errorf("without samples: %+v", c)
	}
	at := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	charts := hostCharts([]lifeline.HostSample{{At: at}, {At: at.Add(lifeline.SeriesStep), Commands: 7, Opened: 1, Reused: 6, RunMedian: 100 * time.Millisecond, RunMost: 300 * time.Millisecond}})
	for i, want := range []string{"7 commands within 10 min, in steps of 5 min.", "The slowest took 300 ms.", "1 connection opened, reused 6 times: 86 %"} {
		c := charts[i]
		if !strings.Contains(c.Summary, want) || len(c.Bars) != 1 || c.Empty {
			t.Errorf("%q has %d bars", c.Summary, len(c.Bars))
		}
		if b := c.Bars[0]; b.LowY < chartTop-0.01 || b.HighY < chartTop-0.01 || b.LowY+b.LowH > float64(c.Base)+0.01 || b.X+b.Width > chartWidth {
			t.Errorf("%s: the bar is at %+v", c.Title, b)
		}
	}
	if charts[1].Scale[0].Text != "400 ms" || charts[0].Scale[0].Text != "8" {
		t.Errorf("scales %+v, %+v", charts[0].Scale, charts[1].Scale)
	}
	if empty := hostCharts([]lifeline.HostSample{{At: at}}); !empty[0].Empty || len(empty[0].Bars) != 0 {
		t.Errorf("of nothing: %+v", empty[0])
	}
}

func TestWords(t *testing.T) {
	now := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		-90 * time.Second: "in 1 min 30 s", 0: "just now", 42 * time.Second: "42 s ago", 5 * time.Minute: "5 min ago", 26 * time.Hour: "1 d 2 h ago", 100 * 24 * time.Hour: "17 Aug 2026",
	} {
		if got := relative(now, now.Add(-d)); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	if got := string(when(now, now.Add(-time.Hour))); got != `<time datetime="2026-11-25T02:00:00Z" title="2026-11-25 02:00:00 UTC">1 h ago</time>` {
		t.Error(got)
	}
	for v, want := range map[float64]float64{0: 1, 1: 1, 3: 4, 7: 8, 9: 10, 11: 20, 0.03: 0.04, 0.3: 0.4} {
		if got := roundUp(v); got < want*0.999 || got > want*1.001 {
			t.Errorf("%v is rounded up to %v, want %v", v, got, want)
		}
	}
}

// The end of an output is shown, harmless, and what is missing is said.
func TestOutput(t *testing.T) {
	for what, tt := range map[string]struct {
		c        lifeline.Command
		ends     string
		cut      string
		atMost   int
		contains string
	}{
		"nothing":     {c: lifeline.Command{}},
		"both":        {c: lifeline.Command{Stdout: []byte("a\n"), Stderr: []byte("b\n")}, ends: "b", contains: "on the error output:"},
		"many lines":  {c: lifeline.Command{Stdout: []byte(strings.Repeat("line\n", 1000) + "last\n")}, ends: "last", cut: "about 5 KiB before it", atMost: 1000},
		"a long line": {c: lifeline.Command{Stdout: []byte(strings.Repeat("x", 1<<20) + "end")}, ends: "end", cut: "about 1009 KiB", atMost: shownBytes},
		"secrets":     {c: lifeline.Command{Stdout: []byte("a"), Redacted: 2, Truncated: true}, ends: "a", cut: "The host printed more than is kept: the middle is gone. 2 secrets taken out."},
	} {
		out, cut := output(tt.c)
		if !strings.HasSuffix(out, tt.ends) || !strings.Contains(out, tt.contains) || !strings.Contains(cut, tt.cut) || tt.atMost > 0 && len(out) > tt.atMost {
			t.Errorf("%s: %d bytes, %q", what, len(out), cut)
		}
	}
}
