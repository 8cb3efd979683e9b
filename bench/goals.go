package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// goal is one thing that sshpool set out to reach, judged by what was measured
// in this run.
type goal struct {
	Load, Text string
	Figures    []string // none: it was not measured
	missed     bool
}

func (g goal) outcome() string {
	switch {
	case len(g.Figures) == 0:
		return "not measured"
	case g.missed:
		return "**missed**"
	}
	return "reached"
}

// check notes a figure and whether it is good enough.
func (g *goal) check(ok bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !ok {
		g.missed = true
		text = "**" + text + "**"
	}
	g.Figures = append(g.Figures, text)
}

// note notes a figure that decides nothing.
func (g *goal) note(format string, args ...any) {
	g.Figures = append(g.Figures, fmt.Sprintf(format, args...))
}

// judgeGoals judges all goals.
func judgeGoals(r *results) []goal {
	var all []goal
	for _, judge := range []func(*results) goal{
		foundingGoal, warmGoal, spareGoal, singleGoal, manyGoal, firstGoal, hostsGoal, cpuGoal, bulkGoal,
	} {
		all = append(all, judge(r))
	}
	return all
}

// counts checks that sshpool opened one connection in each run and lost nothing.
func (g *goal) counts(r *results, c cell, id, where string) {
	samples := r.of(c, id)
	most := each(samples, connections).Max
	failed, asked := lost(samples)
	g.check(most == 1 && failed == 0, "%s: %s, %d of %d lost", where, plural(int(most), "connection"), failed, asked)
}

// has reports whether every one of the methods was measured in the cell.
func (r *results) has(c cell, ids ...string) bool {
	return !slices.ContainsFunc(ids, func(id string) bool { return len(r.of(c, id)) == 0 })
}

// ratio is the quotient of two medians.
func (r *results) ratio(c cell, over, under string, value func(sample) float64) float64 {
	return each(r.of(c, over), value).Median / each(r.of(c, under), value).Median
}

func foundingGoal(r *results) goal {
	g := goal{Load: "founding", Text: "one connection, none lost; no slower than any peer that loses nothing"}
	for _, c := range r.cellsOf("founding") {
		if !r.has(c, "pool") {
			continue
		}
		at := fmt.Sprintf("%d ms", c.RTT)
		g.counts(r, c, "pool", at)
		worst, rival := 0.0, ""
		for _, id := range r.methods[c] {
			if failed, _ := lost(r.of(c, id)); failed > 0 || methodOf(id).ours {
				continue
			}
			if q := r.ratio(c, "pool", id, wallMS); q > worst {
				worst, rival = q, methodOf(id).label
			}
		}
		if rival != "" {
			g.check(worst <= 1, "%s: %.2f × %s", at, worst, rival)
		}
	}
	return g
}

func warmGoal(r *results) goal {
	g := goal{Load: "warm", Text: "none lost; at most 1.05 × plain x/crypto/ssh with retried opens, at the server's defaults"}
	for _, c := range r.cellsOf("warm") {
		if r.has(c, "pool", "xcrypto-retry") && !r.has(c, "pool-told") {
			at := fmt.Sprintf("%d ms", c.RTT)
			g.counts(r, c, "pool", at)
			q := r.ratio(c, "pool", "xcrypto-retry", wallMS)
			g.check(q <= 1.05, "%s: %.2f ×", at, q)
		}
	}
	return g
}

func spareGoal(r *results) goal {
	g := goal{Load: "warm", Text: "at most 0.6 × the same at 20 ms and more, where the server allows the spare sessions"}
	for _, c := range r.cellsOf("warm") {
		if r.has(c, "pool", "pool-told", "xcrypto-retry") && c.RTT >= 20 {
			at := fmt.Sprintf("%d ms", c.RTT)
			g.counts(r, c, "pool-told", at)
			q := r.ratio(c, "pool-told", "xcrypto-retry", wallMS)
			g.check(q <= 0.6, "%s: %.2f ×", at, q)
			g.note("%s: %.2f × with the default configuration", at, r.ratio(c, "pool", "xcrypto-retry", wallMS))
		}
	}
	return g
}

// roundTrips is what a command on a warm line costs beyond its cost without a
// network, in round trips. false: it was not measured.
func (r *results) roundTrips(c cell, id string) (float64, bool) {
	near := cell{c.Load, c.Case, 0}
	if c.RTT == 0 || !r.has(c, id) || !r.has(near, id) {
		return 0, false
	}
	ms := perCommand(wallMS)
	extra := each(r.of(c, id), ms).Median - each(r.of(near, id), ms).Median
	return extra / (r.rtts[c.RTT] - r.rtts[0]), true
}

func singleGoal(r *results) goal {
	g := goal{Load: "single", Text: "at most 1.1 round trips for a command on a warm line, besides the server's own time"}
	for _, c := range r.cellsOf("single") {
		trips, ok := r.roundTrips(c, "pool")
		if !ok {
			continue
		}
		g.check(trips <= 1.1, "%d ms: %.2f round trips", c.RTT, trips)
		least := math.Inf(1)
		for _, id := range r.methods[c] {
			if n, ok := r.roundTrips(c, id); ok && !methodOf(id).ours {
				least = min(least, n)
			}
		}
		if !math.IsInf(least, 1) {
			g.note("%d ms: the best peer %.2f", c.RTT, least)
		}
	}
	return g
}

func manyGoal(r *results) goal {
	g := goal{Load: "many", Text: "none of 500 lost on one connection; a rate of at least 0.95 × plain x/crypto/ssh at its best limit set by hand"}
	for _, c := range r.cellsOf("many") {
		if !r.has(c, "pool") {
			continue
		}
		at := fmt.Sprintf("%d ms", c.RTT)
		g.counts(r, c, "pool", at)
		best, rival := 0.0, ""
		for _, id := range r.methods[c] {
			if m := methodOf(id); m.driver == "xcrypto" && m.limit > 0 {
				if v := each(r.of(c, id), rate).Median; v > best {
					best, rival = v, m.label
				}
			}
		}
		if rival != "" {
			q := each(r.of(c, "pool"), rate).Median / best
			g.check(q >= 0.95, "%s: %.2f × %s", at, q, rival)
		}
	}
	return g
}

func firstGoal(r *results) goal {
	g := goal{Load: "first", Text: "10, 50 and 200 first callers: one connection, none lost"}
	for _, c := range r.cellsOf("first") {
		if !r.has(c, "pool") {
			continue
		}
		g.counts(r, c, "pool", c.Case)
		for _, id := range []string{"asyncssh-dictionary", "control"} {
			if r.has(c, id) {
				failed, asked := lost(r.of(c, id))
				g.note("%s: %s: %s, %d of %d lost", c.Case, methodOf(id).label, plural(int(each(r.of(c, id), connections).Median), "connection"), failed, asked)
			}
		}
	}
	return g
}

func hostsGoal(r *results) goal {
	g := goal{Load: "hosts", Text: "every host answers; less memory for an idle connection than asyncssh and paramiko"}
	for _, c := range r.cellsOf("hosts") {
		if !r.has(c, "pool") {
			continue
		}
		failed, asked := lost(r.of(c, "pool"))
		g.check(failed == 0, "%d of %d lost", failed, asked)
		ours := each(r.of(c, "pool"), idleKB).Median
		g.note("%.0f kB for an idle connection", ours)
		for _, id := range []string{"asyncssh", "paramiko"} {
			if r.has(c, id) {
				theirs := each(r.of(c, id), idleKB).Median
				g.check(ours < theirs, "%s: %.0f kB", methodOf(id).label, theirs)
			}
		}
	}
	return g
}

func cpuGoal(r *results) goal {
	g := goal{Load: "cpu", Text: "less of the client's processor for a command than asyncssh and paramiko"}
	for _, c := range r.cellsOf("cpu") {
		if !r.has(c, "pool") {
			continue
		}
		g.note("%.2f ms for a command", each(r.of(c, "pool"), perCommand(cpuMS)).Median)
		for _, id := range []string{"asyncssh", "paramiko"} {
			if r.has(c, id) {
				q := r.ratio(c, id, "pool", perCommand(cpuMS))
				g.check(q > 1, "%s takes %.1f times as much", methodOf(id).label, q)
			}
		}
	}
	return g
}

// flat is how much more resident memory the large output may need at its peak
// than the small one, in MB: what a garbage collector leaves to chance. Kept
// output would be ten times as much.
const flat = 8

func bulkGoal(r *results) goal {
	g := goal{Load: "bulk", Text: fmt.Sprintf("%s of output within 1.1 × plain x/crypto/ssh; memory flat: at most %d MB more than for %s", bulkCase(largeBulk), flat, bulkCase(smallBulk))}
	small, measured := 0.0, false
	for _, c := range r.cellsOf("bulk") {
		switch {
		case !r.has(c, "pool", "xcrypto"):
		case c.Case == bulkCase(smallBulk):
			small, measured = each(r.of(c, "pool"), peakMB).Median, true
		case c.Case == bulkCase(largeBulk):
			failed, asked := lost(r.of(c, "pool"))
			q := r.ratio(c, "pool", "xcrypto", wallMS)
			g.check(q <= 1.1 && failed == 0, "%d ms: %.2f ×, %d of %d lost", c.RTT, q, failed, asked)
			if measured {
				more := each(r.of(c, "pool"), peakMB).Median - small
				g.check(more <= flat, "%d ms: %+.1f MB", c.RTT, more)
			}
		}
	}
	return g
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// figures is the goal's row in the report.
func (g goal) figures() string { return strings.Join(g.Figures, "; ") }
