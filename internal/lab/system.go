package lab

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func runFree(p *process) int {
	opts, err := getopt(p.args, "h human", "b bytes", "k kibi", "m mebi", "g gibi", "t total", "w wide", "s seconds=")
	if err != nil {
		return p.usage(1, err)
	}
	show := func(n int64) string { return strconv.FormatInt(n>>10, 10) }
	for key, shift := range map[string]int{"b": 0, "m": 20, "g": 30} {
		if opts.has(key) {
			show = func(n int64) string { return strconv.FormatInt(n>>shift, 10) }
		}
	}
	if opts.has("h") {
		show = func(n int64) string {
			if n == 0 {
				return "0B"
			}
			return size(float64(n), 1024, []string{"B", "Ki", "Mi", "Gi", "Ti"}, "%.1f%s")
		}
	}
	p.world.lock()
	m := p.world.memory
	p.world.unlock()
	row := func(name string, cells ...int64) {
		line := fmt.Sprintf("%-7s", name)
		for _, c := range cells {
			line += fmt.Sprintf(" %11s", show(c))
		}
		p.printf("%s\n", line)
	}
	p.printf("%-7s %11s %11s %11s %11s %11s %11s\n", "", "total", "used", "free", "shared", "buff/cache", "available")
	row("Mem:", m.Total, m.Used, m.Total-m.Used-m.Cache, 48<<20, m.Cache, m.Total-m.Used)
	row("Swap:", m.SwapTotal, m.SwapUsed, m.SwapTotal-m.SwapUsed)
	if opts.has("t") {
		row("Total:", m.Total+m.SwapTotal, m.Used+m.SwapUsed, m.Total-m.Used-m.Cache+m.SwapTotal-m.SwapUsed)
	}
	return 0
}

func runUptime(p *process) int {
	opts, err := getopt(p.args, "p pretty", "s since")
	if err != nil {
		return p.usage(1, err)
	}
	p.world.lock()
	now, booted, load := p.world.now(), p.world.booted, p.world.load
	p.world.unlock()
	up := now.Sub(booted)
	days, hours, minutes := int(up.Hours())/24, int(up.Hours())%24, int(up.Minutes())%60
	switch {
	case opts.has("s"):
		p.printf("%s\n", booted.UTC().Format(time.DateTime))
	case opts.has("p"):
		p.printf("up %d days, %d hours, %d minutes\n", days, hours, minutes)
	default:
		p.printf(" %s up %d days, %2d:%02d,  1 user,  load average: %.2f, %.2f, %.2f\n", now.UTC().Format(time.TimeOnly), days, hours, minutes, load[0], load[1], load[2])
	}
	return 0
}

// psProcess is one process as ps shows it.
type psProcess struct {
	user, command string
	pid, ppid     int
	cpu, memory   float64 // percent
	resident      int64   // bytes
	started       time.Time
}

// processes are those of the units and containers, by process ID.
func (w *World) processes() []psProcess {
	w.lock()
	defer w.unlock()
	share := func(n int64) float64 { return 100 * float64(n) / float64(w.memory.Total) }
	all := []psProcess{{"root", "/sbin/init", 1, 0, 0, share(14 << 20), 14 << 20, w.booted}}
	for _, u := range w.units {
		if u.pid > 0 {
			all = append(all, psProcess{"root", u.ExecStart, u.pid, 1, 0.1, share(38 << 20), 38 << 20, u.startedAt})
		}
	}
	for _, c := range w.containers {
		if c.pid > 0 {
			cpu := c.CPUPercent
			if c.health == healthUnhealthy {
				cpu = 99.7
			}
			all = append(all, psProcess{"root", strings.Join(c.Command, " "), c.pid, c.pid - 1, cpu, share(c.MemoryUsed), c.MemoryUsed, c.startedAt})
		}
	}
	slices.SortFunc(all, func(a, b psProcess) int { return cmp.Compare(a.pid, b.pid) })
	return all
}

// psColumns are the columns that ps -o knows.
func psColumns() map[string]func(q psProcess, now time.Time) string {
	args := func(q psProcess, _ time.Time) string { return q.command }
	name := func(q psProcess, _ time.Time) string {
		word, _, _ := strings.Cut(q.command, " ")
		return word[strings.LastIndexByte(word, '/')+1:]
	}
	user := func(q psProcess, _ time.Time) string { return q.user }
	cpu := func(q psProcess, _ time.Time) string { return fmt.Sprintf("%.1f", q.cpu) }
	memory := func(q psProcess, _ time.Time) string { return fmt.Sprintf("%.1f", q.memory) }
	return map[string]func(psProcess, time.Time) string{
		"pid":  func(q psProcess, _ time.Time) string { return strconv.Itoa(q.pid) },
		"ppid": func(q psProcess, _ time.Time) string { return strconv.Itoa(q.ppid) },
		"rss":  func(q psProcess, _ time.Time) string { return strconv.FormatInt(q.resident>>10, 10) },
		"vsz":  func(q psProcess, _ time.Time) string { return strconv.FormatInt(q.resident*5>>10, 10) },
		"stat": func(psProcess, time.Time) string { return "Ssl" },
		"tty":  func(psProcess, time.Time) string { return "?" },
		"start": func(q psProcess, now time.Time) string {
			if now.Sub(q.started) < 24*time.Hour {
				return q.started.UTC().Format("15:04")
			}
			return q.started.UTC().Format("Jan02")
		},
		"etime": func(q psProcess, now time.Time) string { return psElapsed(now.Sub(q.started)) },
		"time": func(q psProcess, now time.Time) string {
			return psElapsed(time.Duration(q.cpu / 100 * float64(now.Sub(q.started))))
		},
		"user": user, "uid": user, "%cpu": cpu, "pcpu": cpu, "c": cpu, "%mem": memory, "pmem": memory, "comm": name, "cmd": args, "args": args, "command": args,
	}
}

func psElapsed(d time.Duration) string {
	text := fmt.Sprintf("%02d:%02d:%02d", int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60)
	if days := int(d.Hours()) / 24; days > 0 {
		return fmt.Sprintf("%d-%s", days, text)
	}
	return text
}

func runPs(p *process) int {
	opts, err := getopt(p.args, "e", "A", "f", "F", "l", "x", "w", "o format=", "sort=", "p pid=", "u user=", "C=", "no-headers", "L")
	if err != nil {
		return p.failf(1, "error: %v", err)
	}
	columns := []string{"pid", "tty", "time", "comm"}
	bsd := false
	for _, word := range opts.operands { // ps aux
		if strings.Trim(word, "auxfwe") != "" {
			return p.failf(1, "error: unsupported option: %s", word)
		}
		bsd = true
		if strings.Contains(word, "u") {
			columns = []string{"user", "pid", "%cpu", "%mem", "vsz", "rss", "tty", "stat", "start", "time", "command"}
		}
	}
	if opts.has("f") || opts.has("F") {
		columns = []string{"uid", "pid", "ppid", "c", "start", "tty", "time", "cmd"}
	}
	if opts.has("o") {
		columns = nil
		for _, list := range opts.given["o"] {
			columns = append(columns, strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })...)
		}
	}
	known := psColumns()
	for i, c := range columns {
		columns[i], _, _ = strings.Cut(c, "=")
		if known[columns[i]] == nil {
			return p.failf(1, "error: unknown user-defined format specifier \"%s\"", c)
		}
	}
	all := p.world.processes()
	if key, ok := strings.CutPrefix(opts.value("sort", ""), "-"); key != "" {
		slices.SortStableFunc(all, func(a, b psProcess) int {
			order := cmp.Compare(a.sortKey(key), b.sortKey(key))
			if ok {
				return -order
			}
			return order
		})
	}
	all = slices.DeleteFunc(all, func(q psProcess) bool {
		switch {
		case opts.has("p"):
			return !slices.Contains(strings.Split(opts.value("p", ""), ","), strconv.Itoa(q.pid))
		case opts.has("C"):
			return known["comm"](q, time.Time{}) != opts.value("C", "")
		case opts.has("u"):
			return q.user != opts.value("u", "")
		}
		return !bsd && !opts.has("e") && !opts.has("A") // without them: the caller's own, which has none
	})
	p.psTable(all, columns, opts.has("no-headers"))
	if len(all) == 0 && (opts.has("p") || opts.has("C")) {
		return 1
	}
	return 0
}

func (q psProcess) sortKey(key string) float64 {
	switch key {
	case "%cpu", "pcpu":
		return q.cpu
	case "%mem", "pmem", "rss", "vsz":
		return q.memory
	}
	return float64(q.pid)
}

func (p *process) psTable(all []psProcess, columns []string, bare bool) {
	known, now := psColumns(), p.world.now()
	for i := -1; i < len(all); i++ {
		if i < 0 && bare {
			continue
		}
		var cells []string
		for _, c := range columns {
			cell := strings.ToUpper(c)
			if i >= 0 {
				cell = known[c](all[i], now)
			}
			cells = append(cells, fmt.Sprintf("%-8s", cell))
		}
		p.printf("%s\n", strings.TrimRight(strings.Join(cells, " "), " "))
	}
}

func runSs(p *process) int {
	opts, err := getopt(p.args, "t tcp", "u udp", "l listening", "n numeric", "p processes", "a all", "s summary", "H no-header", "4", "6")
	if err != nil {
		return p.usage(255, err)
	}
	type socket struct {
		address, name string
		pid           int
	}
	sockets := []socket{{"0.0.0.0:22", "sshd", 812}}
	p.world.lock()
	for _, c := range p.world.containers {
		for _, port := range c.Ports {
			if outer, _, published := strings.Cut(port, "->"); published && c.pid > 0 {
				sockets = append(sockets, socket{outer, "docker-proxy", c.pid - 1})
			}
		}
	}
	p.world.unlock()
	if opts.has("s") {
		p.printf("Total: %d\nTCP:   %d (estab 1, closed 0, orphaned 0, timewait 0)\n", len(sockets)+41, len(sockets)+1)
		return 0
	}
	if !opts.has("H") {
		p.printf("%-6s %-6s %-6s %-22s %-18s\n", "State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port")
	}
	if !opts.has("l") {
		p.printf("%-6s %-6d %-6d %-22s %s\n", "ESTAB", 0, 0, "10.0.0.7:22", "10.0.0.2:51044")
	}
	if opts.has("u") && !opts.has("t") || !opts.has("l") && !opts.has("a") {
		return 0
	}
	for _, s := range sockets {
		line := fmt.Sprintf("%-6s %-6d %-6d %-22s %-18s", "LISTEN", 0, 4096, s.address, "0.0.0.0:*")
		if opts.has("p") && p.user == "root" { // others see their own processes only
			line += fmt.Sprintf(" users:((\"%s\",pid=%d,fd=4))", s.name, s.pid)
		}
		p.printf("%s\n", strings.TrimRight(line, " "))
	}
	return 0
}

func runHostname(p *process) int {
	opts, err := getopt(p.args, "f fqdn long", "s short", "I all-ip-addresses", "i ip-address", "d domain")
	switch {
	case err != nil:
		return p.usage(1, err)
	case len(opts.operands) > 0:
		return p.failf(1, "hostname: you must be root to change the host name")
	case opts.has("I") || opts.has("i"):
		p.printf("10.0.0.7 172.17.0.1\n")
	case opts.has("d"):
		p.printf("example.net\n")
	case opts.has("f"):
		p.printf("%s.example.net\n", p.world.host)
	default:
		p.printf("%s\n", p.world.host)
	}
	return 0
}

func runUname(p *process) int {
	opts, err := getopt(p.args, "a all", "s kernel-name", "n nodename", "r kernel-release", "v kernel-version", "m machine", "o operating-system")
	if err != nil {
		return p.usage(1, err)
	}
	var words []string
	for _, part := range [][2]string{{"s", "Linux"}, {"n", p.world.host}, {"r", "6.12.48+deb13-amd64"},
		{"v", "#1 SMP PREEMPT_DYNAMIC Debian 6.12.48-1 (2025-09-20)"}, {"m", "x86_64"}, {"o", "GNU/Linux"}} {
		if opts.has("a") || opts.has(part[0]) || len(opts.given) == 0 && part[0] == "s" {
			words = append(words, part[1])
		}
	}
	p.printf("%s\n", strings.Join(words, " "))
	return 0
}

// ids are the numbers and groups of an account.
func ids(user string) (uid int, groups string) {
	if user == "root" {
		return 0, "0(root)"
	}
	return 1001, "1001(" + user + "),4(adm),998(docker)"
}

func runID(p *process) int {
	opts, err := getopt(p.args, "u user", "g group", "G groups", "n name")
	if err != nil {
		return p.usage(1, err)
	}
	user := p.user
	if len(opts.operands) > 0 {
		if user = opts.operands[0]; user != "root" && user != p.host.user {
			return p.failf(1, "id: '%s': no such user", user)
		}
	}
	uid, groups := ids(user)
	switch {
	case (opts.has("u") || opts.has("g")) && opts.has("n"):
		p.printf("%s\n", user)
	case opts.has("u") || opts.has("g"):
		p.printf("%d\n", uid)
	case opts.has("G"):
		var out []string
		for g := range strings.SplitSeq(groups, ",") {
			number, name, _ := strings.Cut(strings.TrimSuffix(g, ")"), "(")
			if opts.has("n") {
				number = name
			}
			out = append(out, number)
		}
		p.printf("%s\n", strings.Join(out, " "))
	default:
		p.printf("uid=%d(%s) gid=%d(%s) groups=%s\n", uid, user, uid, user, groups)
	}
	return 0
}

func runWhoami(p *process) int {
	p.printf("%s\n", p.user)
	return 0
}
