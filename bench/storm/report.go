package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// results of one run.
type results struct {
	options options
	intake  intakeResults
	storm   stormResult
}

// What the chapter stands between in RESULTS.md.
const (
	chapterBegin = "<!-- A storm of alerts: written by bench/storm -->"
	chapterEnd   = "<!-- end of the storm -->"
)

// text is the chapter.
func (r results) text(ctx context.Context) string {
	var b strings.Builder
	o, s := r.options, r.storm
	fmt.Fprintf(&b, "%s\n## A storm of alerts\n\n", chapterBegin)
	fmt.Fprintf(&b, "`go run ./bench/storm`, %s, commit %s: the real binary in a process of its own, on SQLite.\n\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"), commit(ctx))
	fmt.Fprintf(&b, "### Taking alerts\n\nThe alerts name hosts that Lifeline does not know, so that nothing is worked on meanwhile. Times are from the\nfirst byte of the post to the last of its 2xx, which comes after the commit. The disk of the same folder put\n4 KiB in place for good %.0f times in a second, one after the other, in the same minute.\n\n", r.intake.syncs)
	b.WriteString("| load | alerts | alerts/s | alerts/s ÷ disk syncs/s | 2xx, median ms | 99 % within, ms | slowest, ms |\n|---|---:|---:|---:|---:|---:|---:|\n")
	for _, l := range r.intake.loads {
		fmt.Fprintf(&b, "| %s | %d | %.0f | %.2f | %s | %s | %s |\n", l.load.name, l.alerts, l.perSecond(), l.perSecond()/r.intake.syncs, ms(l.times.at(.5)), ms(l.times.at(.99)), ms(l.times.at(1)))
	}
	fmt.Fprintf(&b, "\n### The storm\n\n%d alerts about %d simulated hosts, one in a body, %d senders at once; on %d of the hosts the container is really\ndown. Two in five alerts say so, the others are ten other faults for which there is no runbook. Runbooks work\nalone. When all is repaired every alert resolves.\n\n", o.alerts, o.hosts, o.senders, o.broken)
	b.WriteString("| | |\n|---|---|\n")
	for _, row := range [][2]string{
		{"alerts answered with 2xx, and stored", fmt.Sprintf("%d, %d", len(s.posts), s.stored)},
		{"time until the last 2xx", fmt.Sprintf("%.1f s (%.0f alerts/s)", s.sent.Seconds(), float64(len(s.posts))/s.sent.Seconds())},
		{"time to the 2xx", fmt.Sprintf("median %s ms, 99 %% within %s ms, slowest %s ms", ms(s.posts.at(.5)), ms(s.posts.at(.99)), ms(s.posts.at(1)))},
		{"broken containers repaired", fmt.Sprintf("%d of %d, the last %.1f s after the first alert", s.starts, o.broken, s.repaired.Seconds())},
		{"containers started more than once", fmt.Sprint(s.restarted)},
		{"incidents", fmt.Sprintf("%d, all ended %.1f s after the first alert: %s", s.incidents, s.ended.Seconds(), states(s.states))},
		{"SSH connections, counted by the hosts", fmt.Sprintf("%d on %d hosts, at most %d on one", s.connections, o.hosts, s.most)},
		{"Lifeline's resident memory", fmt.Sprintf("%d MB before the first alert, %d MB at most", s.base>>20, s.peak>>20)},
	} {
		fmt.Fprintf(&b, "| %s | %s |\n", row[0], row[1])
	}
	fmt.Fprintf(&b, "\n%s\n", chapterEnd)
	return b.String()
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond)) }

func states(all map[string]int) string {
	var parts []string
	for state, n := range all {
		parts = append(parts, fmt.Sprintf("%d %s", n, state))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// commit is the commit that was measured.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return string(bytes.TrimSpace(out))
}

// replaceChapter puts the chapter into the file in place of the one before, or
// at its end.
func replaceChapter(file, text string) error {
	whole, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(whole), chapterBegin)
	after := ""
	if found {
		_, after, _ = strings.Cut(rest, chapterEnd+"\n")
	}
	return os.WriteFile(file, []byte(strings.TrimRight(before, "\n")+"\n\n"+text+after), 0o644)
}
