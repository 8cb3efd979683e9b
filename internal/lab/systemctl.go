package lab

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// runSystemctl is systemctl. The account may manage units without a password,
// as a polkit rule would allow it.
func runSystemctl(p *process) int {
	opts, err := getopt(p.args, "p property=", "P=", "value", "no-pager", "n lines=", "l full", "q quiet", "a all", "t type=", "state=", "failed",
		"no-legend", "plain", "no-ask-password", "o output=", "now", "f force", "no-block", "user", "legend=")
	if err != nil {
		return p.usage(1, err)
	}
	if opts.has("user") {
		return p.failf(1, "Failed to connect to user scope bus via local transport: No such file or directory")
	}
	sub, names := "list-units", []string(nil)
	if len(opts.operands) > 0 {
		sub, names = opts.operands[0], opts.operands[1:]
	}
	switch sub {
	case "list-units", "list-unit-files":
		return systemctlList(p, opts, sub, names)
	case "is-system-running":
		return systemctlRunning(p, opts)
	case "daemon-reload":
		return 0
	case "reset-failed":
		return systemctlReset(p, names)
	case "show":
		return systemctlShow(p, opts, names)
	}
	each := map[string]func(p *process, opts options, name string) int{
		"status": systemctlStatus, "is-active": systemctlIs, "is-failed": systemctlIs, "is-enabled": systemctlIs, "cat": systemctlCat,
		"start": systemctlChange, "stop": systemctlChange, "restart": systemctlChange, "try-restart": systemctlChange, "reload": systemctlChange,
		"reload-or-restart": systemctlChange,
	}[sub]
	switch {
	case each == nil:
		return p.failf(1, "Unknown command verb '%s'.", sub)
	case len(names) == 0 && sub == "status":
		return systemctlRunning(p, opts)
	case len(names) == 0:
		return p.failf(1, "Too few arguments.")
	}
	p.args = append([]string{sub}, p.args...) // daemon and the helpers look for the verb first
	status, worked := 0, 0
	for _, name := range names {
		s := each(p, opts, name)
		if s == 0 {
			worked++
		}
		status = cmp.Or(s, status)
	}
	if worked > 0 && (sub == "is-active" || sub == "is-failed" || sub == "is-enabled") {
		return 0 // one is enough for it
	}
	return status
}

// find looks a unit up and gives the name with its suffix.
func (w *World) find(name string) (*unit, string) {
	if !strings.Contains(name, ".") {
		name += ".service"
	}
	w.lock()
	defer w.unlock()
	return w.unitLocked(name), name
}

func systemctlIs(p *process, opts options, name string) int {
	u, _ := p.world.find(name)
	verb, state, status := p.args[0], unitInactive, 4
	if verb == "is-enabled" {
		if state, status = "enabled", 0; u == nil {
			state, status = "not-found", 4
		}
	} else if u != nil {
		p.world.lock()
		state, status = u.active, 3
		p.world.unlock()
		if verb == "is-active" && state == unitActive || verb == "is-failed" && state == unitFailed {
			status = 0
		} else if verb == "is-failed" {
			status = 1
		}
	}
	if !opts.has("q") {
		p.printf("%s\n", state)
	}
	return status
}

func systemctlStatus(p *process, opts options, name string) int {
	u, name := p.world.find(name)
	if u == nil {
		return p.failf(4, "Unit %s could not be found.", name)
	}
	lines, err := strconv.Atoi(opts.value("n", "10"))
	if err != nil || lines < 0 {
		return p.failf(1, "Failed to parse lines '%s'", opts.value("n", ""))
	}
	p.world.lock()
	defer p.world.unlock()
	now := p.world.now()
	dot, state := "●", fmt.Sprintf("%s (%s)", u.active, u.sub)
	switch u.active {
	case unitFailed:
		dot, state = "×", fmt.Sprintf("failed (Result: %s)", u.result)
	case unitInactive:
		dot = "○"
	}
	p.printf("%s %s - %s\n     Loaded: loaded (/etc/systemd/system/%s; enabled; preset: enabled)\n     Active: %s since %s; %s ago\n",
		dot, u.Name, u.Description, u.Name, state, systemdTime(u.since), systemdSpan(now.Sub(u.since)))
	if u.pid > 0 {
		p.printf("   Main PID: %d (%s)\n      Tasks: 5 (limit: 19042)\n     Memory: 38.2M (peak: 61.7M)\n        CPU: 4min 12.318s\n     CGroup: /system.slice/%s\n             └─%d %s\n",
			u.pid, u.Identifier, u.Name, u.pid, u.ExecStart)
	} else if u.mainStatus != 0 {
		p.printf("    Process: %d ExecStart=%s (code=exited, status=%s)\n   Main PID: %d (code=exited, status=%s)\n",
			u.lastPID, u.ExecStart, exitName(u.mainStatus), u.lastPID, exitName(u.mainStatus))
	}
	journal := p.world.journalLocked([]*unit{u}, false)
	if lines = min(lines, len(journal)); lines > 0 {
		p.printf("\n")
		for _, e := range journal[len(journal)-lines:] {
			p.printf("%s\n", e.short())
		}
	}
	if u.active == unitActive {
		return 0
	}
	return 3
}

// property is one line of systemctl show.
type property struct{ name, value string }

// properties of a unit; nil is one that there is no file of.
func (u *unit) properties(name string) []property {
	if u == nil {
		return []property{{"Id", name}, {"Names", name}, {"Description", name}, {"LoadState", "not-found"}, {"ActiveState", unitInactive},
			{"SubState", "dead"}, {"Result", "success"}, {"MainPID", "0"}, {"ExecMainPID", "0"}, {"ExecMainStatus", "0"}, {"ExecMainCode", "0"},
			{"NRestarts", "0"}, {"ActiveEnterTimestamp", ""}, {"InactiveEnterTimestamp", ""}, {"StateChangeTimestamp", ""},
			{"UnitFileState", ""}, {"FragmentPath", ""}, {"InvocationID", ""}}
	}
	invocation := sha256.Sum256([]byte(u.w.host + "/" + u.Name + "/" + u.startedAt.String()))
	code, exited := "0", ""
	if u.pid == 0 && !u.startedAt.IsZero() {
		code, exited = "1", systemdTime(u.since)
	}
	kind := "simple"
	if u.Oneshot {
		kind = "oneshot"
	}
	return []property{
		{"Type", kind}, {"Restart", "no"}, {"NRestarts", "0"}, {"Result", u.result}, {"MainPID", strconv.Itoa(u.pid)}, {"ExecMainPID", strconv.Itoa(u.lastPID)},
		{"ExecMainCode", code}, {"ExecMainStatus", strconv.Itoa(u.mainStatus)},
		{"ExecMainStartTimestamp", systemdTime(u.startedAt)}, {"ExecMainExitTimestamp", exited},
		{"MemoryCurrent", "40055603"}, {"TasksCurrent", "5"}, {"Id", u.Name}, {"Names", u.Name}, {"Description", u.Description},
		{"LoadState", "loaded"}, {"ActiveState", u.active}, {"SubState", u.sub}, {"UnitFileState", "enabled"},
		{"FragmentPath", "/etc/systemd/system/" + u.Name}, {"InvocationID", hex.EncodeToString(invocation[:16])},
		{"StateChangeTimestamp", systemdTime(u.since)}, {"ActiveEnterTimestamp", systemdTime(u.startedAt)},
		{"InactiveEnterTimestamp", exited},
	}
}

func systemctlShow(p *process, opts options, names []string) int {
	var asked []string
	for _, list := range slices.Concat(opts.given["p"], opts.given["P"]) {
		asked = append(asked, strings.Split(list, ",")...)
	}
	for i, name := range names {
		u, name := p.world.find(name)
		if i > 0 {
			p.printf("\n")
		}
		p.world.lock()
		all := u.properties(name)
		p.world.unlock()
		for _, prop := range all {
			switch {
			case len(asked) > 0 && !slices.Contains(asked, prop.name):
			case opts.has("value") || opts.has("P"):
				p.printf("%s\n", prop.value)
			default:
				p.printf("%s=%s\n", prop.name, prop.value)
			}
		}
	}
	return 0
}

func systemctlCat(p *process, _ options, name string) int {
	u, name := p.world.find(name)
	if u == nil {
		return p.failf(1, "No files found for %s.", name)
	}
	text, err := p.host.readFile(p.user, "/etc/systemd/system/"+u.Name)
	if err != nil {
		return p.failf(1, "%s", systemWords(err))
	}
	p.printf("# /etc/systemd/system/%s\n%s", u.Name, text)
	return 0
}

func systemctlList(p *process, opts options, sub string, patterns []string) int {
	p.world.lock()
	defer p.world.unlock()
	state := opts.value("state", "")
	if opts.has("failed") {
		state = unitFailed
	}
	n := 0
	legend := !opts.has("no-legend") && opts.value("legend", "true") != "false"
	if legend && sub == "list-units" {
		p.printf("  %-28s %-6s %-8s %-8s %s\n", "UNIT", "LOAD", "ACTIVE", "SUB", "DESCRIPTION")
	} else if legend {
		p.printf("%-28s %-15s %s\n", "UNIT FILE", "STATE", "PRESET")
	}
	for _, u := range p.world.units {
		wanted := len(patterns) == 0 || slices.ContainsFunc(patterns, func(pattern string) bool { return globbed(pattern, u.Name) })
		kind := opts.value("t", "")
		switch {
		case !wanted, kind != "" && !strings.HasSuffix(u.Name, "."+kind), state != "" && u.active != state && u.sub != state:
		case sub == "list-unit-files":
			n++
			p.printf("%-28s %-15s %s\n", u.Name, "enabled", "enabled")
		case u.active == unitInactive && state == "" && !opts.has("a"):
		default:
			n++
			dot := "  "
			switch {
			case opts.has("plain"):
				dot = ""
			case u.active == unitFailed:
				dot = "● "
			}
			p.printf("%s%-28s %-6s %-8s %-8s %s\n", dot, u.Name, "loaded", u.active, u.sub, u.Description)
		}
	}
	if legend && sub == "list-units" {
		p.printf("\n%d loaded units listed.\n", n)
	} else if legend {
		p.printf("\n%d unit files listed.\n", n)
	}
	return 0
}

// globbed matches a pattern with stars, or a name without a suffix.
func globbed(pattern, name string) bool {
	if before, after, star := strings.Cut(pattern, "*"); star {
		return strings.HasPrefix(name, before) && strings.HasSuffix(name, strings.TrimLeft(after, "*"))
	}
	return pattern == name || pattern+".service" == name
}

func systemctlRunning(p *process, opts options) int {
	p.world.lock()
	failed := 0
	for _, u := range p.world.units {
		if u.active == unitFailed {
			failed++
		}
	}
	total, booted, host := len(p.world.units), p.world.booted, p.world.host
	p.world.unlock()
	state, status := "running", 0
	if failed > 0 {
		state, status = "degraded", 1
	}
	if len(opts.operands) > 0 && opts.operands[0] == "status" {
		p.printf("● %s\n    State: %s\n    Units: %d loaded (incl. loaded aliases)\n     Jobs: 0 queued\n   Failed: %d units\n    Since: %s; %s ago\n",
			host, state, total, failed, systemdTime(booted), systemdSpan(p.world.now().Sub(booted)))
		return 0
	}
	if !opts.has("q") {
		p.printf("%s\n", state)
	}
	return status
}

// systemctlReset clears the failed state and the count of starts.
func systemctlReset(p *process, names []string) int {
	status := 0
	for _, name := range names {
		if u, name := p.world.find(name); u == nil {
			status = p.failf(1, "Failed to reset failed state of unit %s: Unit %s not loaded.", name, name)
		}
	}
	p.world.lock()
	defer p.world.unlock()
	for _, u := range p.world.units {
		if len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return p.world.unitLocked(n) == u }) {
			u.starts = nil
			if u.active == unitFailed {
				u.result, u.mainStatus = "success", 0
				u.become(p.world.now(), unitInactive, "dead")
			}
		}
	}
	return status
}

// systemctlChange is start, stop, restart, try-restart and reload.
func systemctlChange(p *process, _ options, name string) int {
	verb := p.args[0]
	u, name := p.world.find(name)
	if u == nil {
		return p.failf(5, "Failed to %s %s: Unit %s not found.", verb, name, name)
	}
	p.world.lock()
	active := u.active == unitActive
	p.world.unlock()
	started := true
	stop := phase{120 * time.Millisecond, u.stop}
	start := phase{180 * time.Millisecond, func() { started = u.start() }}
	phases := []phase{start}
	switch {
	case verb == "stop":
		phases = []phase{stop}
	case verb == "restart" || verb == "try-restart" && active:
		phases = []phase{stop, start}
	case verb == "reload" && !active:
		return p.failf(1, "Failed to reload %s: Unit cannot be reloaded because it is inactive.", name)
	case strings.HasPrefix(verb, "reload") && active:
		phases = []phase{{60 * time.Millisecond, func() { u.systemd(p.world.now(), "Reloaded "+u.Name+" - "+u.Description+".") }}}
	case verb == "try-restart":
		phases = nil
	}
	if !p.daemon(phases...) {
		return 143
	}
	if !started {
		return p.failf(1, "Job for %s failed because start of the service was attempted too often.\nSee \"systemctl status %s\" and \"journalctl -xeu %s\" for details.\nTo force a start use \"systemctl reset-failed %s\"\nfollowed by \"systemctl start %s\" again.", name, name, name, name, name)
	}
	return 0
}

// exitName is an exit status as systemd prints it, with the names of
// systemd.exec(5).
func exitName(code int) string {
	names := map[int]string{0: "SUCCESS", 1: "FAILURE", 2: "INVALIDARGUMENT", 3: "NOTIMPLEMENTED", 4: "NOPERMISSION", 5: "NOTINSTALLED", 6: "NOTCONFIGURED", 7: "NOTRUNNING",
		64: "USAGE", 70: "SOFTWARE", 77: "NOPERM", 78: "CONFIG", 200: "CHDIR", 203: "EXEC", 217: "USER"}
	if name, ok := names[code]; ok {
		return strconv.Itoa(code) + "/" + name
	}
	return strconv.Itoa(code) + "/n/a"
}

// systemdTime is a time as systemctl prints it; "" for none.
func systemdTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("Mon 2006-01-02 15:04:05 UTC")
}

// systemdSpan is a duration in systemd's words.
func systemdSpan(d time.Duration) string {
	days, h, m, s := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days >= 30:
		return fmt.Sprintf("%d month %d days", days/30, days%30)
	case days > 0:
		return fmt.Sprintf("%d days", days)
	case h > 0:
		return fmt.Sprintf("%dh %dmin", h, m)
	case m > 0:
		return fmt.Sprintf("%dmin %ds", m, s)
	}
	return fmt.Sprintf("%ds", s)
}
