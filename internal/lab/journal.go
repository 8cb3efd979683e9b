package lab

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// entry is one line of the journal: "systemd[1]: Started …" is the identifier
// systemd[1] and its message.
type entry struct {
	at               time.Time
	host, unit       string // unit is "" for the kernel
	identifier, text string
}

// journalLocked gives the entries of the given units, of all for nil, in the
// order of their times; the kernel's too if asked for.
func (w *World) journalLocked(units []*unit, kernel bool) []entry {
	var all []entry
	for _, u := range w.units {
		if units != nil && !slices.Contains(units, u) {
			continue
		}
		for _, l := range u.journal {
			identifier, text, _ := strings.Cut(l.Text, ": ")
			all = append(all, entry{l.At, w.host, u.Name, identifier, text})
		}
	}
	if kernel {
		for _, l := range w.kernel {
			all = append(all, entry{l.At, w.host, "", "kernel", l.Text})
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return a.at.Compare(b.at) })
	return all
}

// short is journalctl's usual form of an entry.
func (e entry) short() string {
	return fmt.Sprintf("%s %s %s: %s", e.at.UTC().Format("Jan 02 15:04:05"), e.host, e.identifier, e.text)
}

// format is an entry in one of journalctl's forms; ok is false for an unknown one.
func (e entry) format(form string) (line string, ok bool) {
	switch form {
	case "short":
		return e.short(), true
	case "short-iso", "short-iso-precise", "short-full", "short-precise":
		layout := map[string]string{
			"short-iso": "2006-01-02T15:04:05-07:00", "short-iso-precise": "2006-01-02T15:04:05.000000-07:00",
			"short-full": "Mon 2006-01-02 15:04:05 MST", "short-precise": "Jan 02 15:04:05.000000",
		}[form]
		return fmt.Sprintf("%s %s %s: %s", e.at.UTC().Format(layout), e.host, e.identifier, e.text), true
	case "short-unix":
		return fmt.Sprintf("%d.%06d %s %s: %s", e.at.Unix(), e.at.Nanosecond()/1000, e.host, e.identifier, e.text), true
	case "cat":
		return e.text, true
	case "json":
		identifier, pid, _ := strings.Cut(strings.TrimSuffix(e.identifier, "]"), "[")
		fields := map[string]string{
			"__REALTIME_TIMESTAMP": strconv.FormatInt(e.at.UnixMicro(), 10), "_HOSTNAME": e.host,
			"SYSLOG_IDENTIFIER": identifier, "MESSAGE": e.text, "PRIORITY": strconv.Itoa(e.priority()),
		}
		for key, value := range map[string]string{"_PID": pid, "_SYSTEMD_UNIT": e.unit} {
			if value != "" {
				fields[key] = value
			}
		}
		out, err := json.Marshal(fields)
		return string(out), err == nil
	}
	return "", false
}

// priority is syslog's: 3 for what reads like an error, otherwise 6.
func (e entry) priority() int {
	for _, word := range []string{"error", "fatal", "Failed", "status=", "Out of memory", "out of memory"} {
		if strings.Contains(e.text, word) {
			return 3
		}
	}
	return 6
}

// priorities are syslog's names, the gravest first.
func priorities() []string {
	return []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
}

// journalQuery is what journalctl was asked for.
type journalQuery struct {
	units        []string
	kernel       bool
	since, until time.Time
	priority     int
	identifiers  []string
	grep         *regexp.Regexp
}

func (p *process) journalQuery(o options) (q journalQuery, err error) {
	q = journalQuery{units: o.given["u"], kernel: o.has("k"), identifiers: o.given["t"], priority: 7}
	for key, to := range map[string]*time.Time{"S": &q.since, "U": &q.until} {
		if !o.has(key) {
			continue
		}
		if *to, err = parseWhen(o.value(key, ""), p.world.now()); err != nil {
			return q, fmt.Errorf("Failed to parse timestamp: %s", o.value(key, "")) //lint:ignore ST1005 journalctl's words
		}
	}
	if level := o.value("p", "debug"); o.has("p") {
		n, err := strconv.Atoi(level)
		if i := slices.Index(priorities(), level); i >= 0 {
			n, err = i, nil
		}
		if err != nil || n < 0 || n > 7 {
			return q, fmt.Errorf("Unknown log level %s", level) //lint:ignore ST1005 journalctl's words
		}
		q.priority = n
	}
	if o.has("g") {
		if q.grep, err = regexp.Compile(o.value("g", "")); err != nil {
			return q, fmt.Errorf("Bad pattern \"%s\"", o.value("g", "")) //lint:ignore ST1005 journalctl's words
		}
	}
	return q, nil
}

// entries finds what was asked for.
func (w *World) entries(q journalQuery) []entry {
	w.lock()
	defer w.unlock()
	units := []*unit{}
	for _, name := range q.units {
		if u := w.unitLocked(name); u != nil {
			units = append(units, u)
		}
	}
	var all []entry
	switch {
	case q.kernel:
		all = w.journalLocked(units, true)
	case len(q.units) > 0:
		all = w.journalLocked(units, false)
	default:
		all = w.journalLocked(nil, true)
	}
	return slices.DeleteFunc(all, func(e entry) bool {
		name, _, _ := strings.Cut(e.identifier, "[")
		return !q.since.IsZero() && e.at.Before(q.since) || !q.until.IsZero() && e.at.After(q.until) ||
			e.priority() > q.priority || len(q.identifiers) > 0 && !slices.Contains(q.identifiers, name) ||
			q.grep != nil && !q.grep.MatchString(e.text)
	})
}

// runJournalctl is journalctl. The account may read the whole journal, as a
// member of the group adm.
func runJournalctl(p *process) int {
	opts, err := getopt(p.args, "u unit=", "n lines=", "no-pager", "r reverse", "f follow", "k dmesg", "p priority=", "S since=", "U until=",
		"o output=", "b boot", "x catalog", "e pager-end", "q quiet", "g grep=", "t identifier=", "disk-usage", "list-boots", "utc", "no-hostname", "a all",
		"vacuum-size=", "vacuum-time=", "vacuum-files=", "rotate", "flush")
	if err != nil {
		return p.usage(1, err)
	}
	switch {
	case opts.has("disk-usage"):
		p.printf("Archived and active journals take up %s in the file system.\n", journalSize(p.world.journalBytes()))
		return 0
	case opts.has("vacuum-size") || opts.has("vacuum-time") || opts.has("vacuum-files") || opts.has("rotate") || opts.has("flush"):
		return p.vacuum(opts)
	case opts.has("list-boots"):
		p.printf("IDX BOOT ID                          FIRST ENTRY                 LAST ENTRY\n  0 9d3f0a6e51c84b7ea0c2d4f6718b3a95 %s %s\n",
			systemdTime(p.world.booted), systemdTime(p.world.now()))
		return 0
	case len(opts.operands) > 0 && opts.operands[0] != "0": // -b 0
		return p.failf(1, "Failed to add match '%s': Invalid argument", opts.operands[0])
	}
	q, err := p.journalQuery(opts)
	if err != nil {
		return p.failf(1, "%v", err)
	}
	limit, lines := -1, "all"
	if opts.has("e") {
		lines = "1000"
	}
	if text := opts.value("n", lines); text != "all" {
		if limit, err = strconv.Atoi(strings.TrimPrefix(text, "+")); err != nil || limit < 0 {
			return p.failf(1, "Failed to parse lines '%s'", text)
		}
	}
	all := p.world.entries(q)
	shown := len(all)
	if opts.has("f") && limit < 0 {
		limit = 10
	}
	if limit >= 0 && len(all) > limit {
		all = all[len(all)-limit:]
	}
	if opts.has("r") {
		slices.Reverse(all)
	}
	if len(all) == 0 && !opts.has("q") && !opts.has("f") {
		p.printf("-- No entries --\n")
	}
	for {
		for _, e := range all {
			line, ok := e.format(opts.value("o", "short"))
			if !ok {
				return p.failf(1, "Unknown output format '%s'.", opts.value("o", ""))
			}
			p.printf("%s\n", line)
		}
		if !opts.has("f") || p.gone {
			return 0
		}
		if !p.sleep(100 * time.Millisecond) {
			return 143
		}
		all = p.world.entries(q)
		all, shown = all[min(shown, len(all)):], len(all)
	}
}

// journalFolder is where the journal lies.
const journalFolder = "/var/log/journal"

// journalBytes is the size of the journal's files.
func (w *World) journalBytes() int64 {
	w.lock()
	defer w.unlock()
	size := int64(0)
	for _, f := range w.filesystems {
		size += f.Folders[journalFolder]
	}
	return max(size, 8<<20)
}

// vacuum deletes old journal files: what a person may decide when a disk is full.
func (p *process) vacuum(o options) int {
	if p.user != "root" {
		return p.failf(1, "Failed to vacuum %s: Permission denied", journalFolder)
	}
	keep := int64(64 << 20)
	if text := o.value("vacuum-size", ""); text != "" {
		n, err := parseBytes(text)
		if err != nil {
			return p.failf(1, "Failed to parse vacuum size: %s", text)
		}
		keep = n
	}
	freed := int64(0)
	p.world.lock()
	for _, f := range p.world.filesystems {
		if was := f.Folders[journalFolder]; was > keep && !o.has("rotate") && !o.has("flush") {
			f.Folders[journalFolder] = keep
			f.Used -= was - keep
			freed += was - keep
		}
	}
	p.world.unlock()
	return p.failf(0, "Vacuuming done, freed %s of archived journals from %s.", journalSize(freed), journalFolder)
}

// parseBytes reads a size with systemd's units, which are powers of 1024.
func parseBytes(s string) (int64, error) {
	unit := int64(1)
	for i, suffix := range []string{"K", "M", "G", "T"} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			unit, s = 1<<(10*(i+1)), number
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n * unit, err
}

// journalSize is a size as journalctl prints it.
func journalSize(n int64) string {
	return size(float64(n), 1024, []string{"B", "K", "M", "G", "T"}, "%.1f%s")
}

func runDmesg(p *process) int {
	opts, err := getopt(p.args, "T ctime", "H human", "x decode", "l level=", "k kernel", "w follow", "c read-clear", "C clear")
	switch {
	case err != nil:
		return p.usage(1, err)
	case p.user != "root": // Debian's kernel.dmesg_restrict
		return p.failf(1, "dmesg: read kernel buffer failed: Operation not permitted")
	}
	p.world.lock()
	kernel, booted := slices.Clone(p.world.kernel), p.world.booted
	p.world.unlock()
	for _, l := range kernel {
		if opts.has("T") {
			p.printf("[%s] %s\n", l.At.UTC().Format("Mon Jan _2 15:04:05 2006"), l.Text)
			continue
		}
		p.printf("[%12.6f] %s\n", l.At.Sub(booted).Seconds(), l.Text)
	}
	return 0
}
