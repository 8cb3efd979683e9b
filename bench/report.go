package main

import (
	"fmt"
	"slices"
	"strings"
)

// column is one column of a load's tables.
type column struct {
	title string
	value func(r *results, c cell, id string) string
}

// measured is a column of medians with their spread.
func measured(title string, digits int, value func(sample) float64) column {
	return column{title, func(r *results, c cell, id string) string { return each(r.of(c, id), value).text(digits) }}
}

// besideOurs is a column of medians divided by sshpool's in the same cell.
func besideOurs(title string, value func(sample) float64) column {
	return column{title, func(r *results, c cell, id string) string {
		if !r.has(c, "pool") {
			return "–"
		}
		return fmt.Sprintf("%.2f", r.ratio(c, id, "pool", value))
	}}
}

func lostColumn() column {
	return column{"lost", func(r *results, c cell, id string) string {
		failed, asked := lost(r.of(c, id))
		return fmt.Sprintf("%d of %d", failed, asked)
	}}
}

func tripsColumn() column {
	return column{"round trips", func(r *results, c cell, id string) string {
		if trips, ok := r.roundTrips(c, id); ok {
			return fmt.Sprintf("%.2f", trips)
		}
		return "–"
	}}
}

// chapter is what the report says about a load.
type chapter struct {
	load, title, text string
	columns           []column
}

func chapters() []chapter {
	wall, ratio := measured("wall time, ms", 0, wallMS), besideOurs("× sshpool", wallMS)
	conns, cpu := measured("connections", 0, connections), measured("client CPU, ms", 0, cpuMS)
	return []chapter{
		{"founding", "The founding workload, cold", "24 × `true`, 8 at once; the first ones connect.", []column{wall, ratio, conns, lostColumn(), cpu}},
		{"warm", "The founding workload, warm", "The same, with the connection open.", []column{wall, ratio, conns, lostColumn(), cpu}},
		{"single", "One command at a time on a warm line", "24 × `true`, one after another. Round trips are what a command takes beyond its time without a network, divided by the round-trip time.",
			[]column{measured("ms per command", 2, perCommand(wallMS)), besideOurs("× sshpool", perCommand(wallMS)), tripsColumn(), conns, lostColumn()}},
		{"many", "Many quick commands", "500 × `true`, 50 at once, with the connection open, at the server's default of 10 sessions for each connection.",
			[]column{measured("answered commands/s", 0, rate), wall, conns, lostColumn(), cpu}},
		{"first", "First callers", "So many callers at the same instant, each with one `true`, when nothing is connected yet.", []column{wall, ratio, conns, lostColumn(), cpu}},
		{"hosts", "Many hosts at once", fmt.Sprintf("One `true` on each, with at most %d handshakes in flight, against SSH servers in memory on loopback addresses, which count the connections; one is there from warming up. Then all the connections are idle, what is not used is given back to the system (garbage collection, malloc_trim), and the client's resident memory is compared with what it was with one connection.", dialsToFleet),
			[]column{wall, ratio, conns, lostColumn(), cpu, measured("kB per idle connection", 0, idleKB)}},
		{"cpu", "Client CPU", "500 × `true`, 5 at once, with the connection open: user and system time of the client's process and its children, the shared process of ControlMaster included. `ssh` alone runs 50.",
			[]column{measured("CPU ms per command", 2, perCommand(cpuMS)), besideOurs("× sshpool", perCommand(cpuMS)), measured("answered commands/s", 0, rate), conns, lostColumn()}},
		{"bulk", "Bulk output", "One command that writes so much to its standard output, read to the end and counted. Peak is the client's resident memory; of `ssh` it is not measured.",
			[]column{wall, ratio, peakColumn(), lostColumn(), cpu}},
	}
}

func peakColumn() column {
	return column{"peak memory, MB", func(r *results, c cell, id string) string {
		if methodOf(id).driver == "ssh" { // the driver's memory is not its children's
			return "–"
		}
		return each(r.of(c, id), peakMB).text(1)
	}}
}

// report is RESULTS.md.
func report(m machine, o options, r *results) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Benchmark results

Written by bench; do not edit. Absolute times hold for this machine and this run
only; counts and ratios are what matters.

| | |
|---|---|
| command | `+"`%s`"+` |
| date | %s |
| machine | %s, %s, %s |
| system | %s |
| load average at the start | %.2f |
| commit | %s |
| server | %s on loopback, with its default limits unless said otherwise |
| peers | %s |
| round trips, measured | %s |
| runs | %s |

`, m.Command, m.Date, m.CPU, plural(m.Cores, "core"), m.Memory, m.System, m.Load, m.Commit, m.SSHD, strings.Join(m.Peers, "; "), r.trips(), runs(o))
	if m.noisy() {
		b.WriteString("> **The machine was busy when this began.** Do not quote these figures; run it again on an idle one.\n\n")
	}
	if o.quick {
		b.WriteString("> This was a quick run: a look, not a result.\n\n")
	}
	b.WriteString(`All methods use the same account, key, known_hosts and commands. Each runs in a
process of its own, one after the other in turn; each round begins with another
one. Times are from the first call to the last answer, imports and warming up
excluded; values are medians, with the least and the greatest of the runs in
parentheses. A command is lost if its caller got an error or not all of its
output. Connections are counted in sshd's own log. TCP_NODELAY is set by hand
for paramiko, which is faster so.

## Goals

| load | goal | outcome | measured |
|---|---|---|---|
`)
	for _, g := range judgeGoals(r) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", g.Load, g.Text, g.outcome(), cellText(g.figures()))
	}
	for _, ch := range chapters() {
		r.chapter(&b, ch)
	}
	return b.String()
}

// trips names the measured round-trip times.
func (r *results) trips() string {
	var parts []string
	for _, rtt := range sortedKeys(r.rtts) {
		parts = append(parts, fmt.Sprintf("%d ms: %.2f ms", rtt, r.rtts[rtt]))
	}
	return strings.Join(parts, "; ")
}

func runs(o options) string {
	return fmt.Sprintf("%s of the first two loads, %d of the others", plural(o.rounds, "round"), (o.rounds+1)/2)
}

func sortedKeys(m map[int]float64) []int {
	var keys []int
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// chapter writes the tables of one load, if it was measured.
func (r *results) chapter(b *strings.Builder, ch chapter) {
	cells := r.cellsOf(ch.load)
	if len(cells) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n", ch.title, ch.text)
	for _, c := range cells {
		heading := fmt.Sprintf("round trip %d ms", c.RTT)
		if c.Case != "" {
			heading = c.Case + ", " + heading
		}
		fmt.Fprintf(b, "\n### %s%s\n\n| method |", strings.ToUpper(heading[:1]), heading[1:])
		for _, col := range ch.columns {
			fmt.Fprintf(b, " %s |", col.title)
		}
		fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat("---:|", len(ch.columns)))
		for _, id := range r.methods[c] {
			label := methodOf(id).label
			if methodOf(id).ours {
				label = "**" + label + "**"
			}
			fmt.Fprintf(b, "| %s |", label)
			for _, col := range ch.columns {
				fmt.Fprintf(b, " %s |", col.value(r, c, id))
			}
			b.WriteString("\n")
		}
		r.failures(b, c)
	}
}

// failures says what the callers of lost commands were told.
func (r *results) failures(b *strings.Builder, c cell) {
	begun := false
	for _, id := range r.methods[c] {
		if why := firstError(r.of(c, id)); why != "" {
			if !begun {
				b.WriteString("\nWhat was lost, as its caller saw it first:\n\n")
				begun = true
			}
			fmt.Fprintf(b, "- %s: %s\n", methodOf(id).label, cellText(why))
		}
	}
}

// cellText keeps a text on one line of a table, and short.
func cellText(s string) string {
	s = strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
	if runes := []rune(s); len(runes) > 600 {
		s = string(runes[:600]) + "…"
	}
	return s
}
