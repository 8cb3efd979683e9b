package lab

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

func runEnv(p *process) int {
	env := slices.Clone(p.env)
	args := p.args
	for len(args) > 0 {
		switch {
		case args[0] == "-i" || args[0] == "-":
			env = nil
		case args[0] == "-u" && len(args) > 1:
			name := args[1]
			env = slices.DeleteFunc(env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
			args = args[1:]
		case args[0] == "--":
		case strings.HasPrefix(args[0], "-"):
			return p.failf(125, "env: unrecognized option '%s'", args[0])
		case strings.Contains(args[0], "="):
			name, _, _ := strings.Cut(args[0], "=")
			env = slices.DeleteFunc(env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
			env = append(env, args[0])
		default:
			p.env = env
			return p.child(args)
		}
		args = args[1:]
	}
	for _, kv := range env {
		p.printf("%s\n", kv)
	}
	return 0
}

func runPrintenv(p *process) int {
	status := 0
	if len(p.args) == 0 {
		return runEnv(p)
	}
	for _, name := range p.args {
		i := slices.IndexFunc(p.env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
		if i < 0 {
			status = 1
			continue
		}
		p.printf("%s\n", p.env[i][len(name)+1:])
	}
	return status
}

// runSudo lets the account become root without a password, as harden sets it up.
func runSudo(p *process) int {
	opts, err := getopt(p.args, "+", "n non-interactive", "u user=", "l list", "H", "E", "k")
	switch {
	case err != nil:
		return p.usage(1, err)
	case opts.has("l"):
		p.printf("User %s may run the following commands on %s:\n    (root) NOPASSWD: ALL\n", p.user, p.world.host)
		return 0
	case len(opts.operands) == 0:
		return p.failf(1, "usage: sudo [-n] [-u user] command")
	}
	p.user = opts.value("u", "root")
	return p.child(opts.operands)
}

func runTimeout(p *process) int {
	opts, err := getopt(p.args, "+", "k kill-after=", "s signal=", "preserve-status", "foreground")
	if err != nil || len(opts.operands) < 2 {
		return p.failf(125, "timeout: missing operand")
	}
	d, err := sleepTime(opts.operands[0])
	if err != nil {
		return p.failf(125, "timeout: invalid time interval '%s'", opts.operands[0])
	}
	outer := p.ctx
	ctx, cancel := context.WithTimeout(outer, d)
	defer cancel()
	p.ctx = ctx
	status := p.child(opts.operands[1:])
	if ctx.Err() != nil && outer.Err() == nil {
		return 124
	}
	return status
}

// runNice is for programs that only run another.
func runNice(p *process) int {
	opts, err := getopt(p.args, "+", "n adjustment=")
	if err != nil || len(opts.operands) == 0 {
		return p.failf(125, "%s: missing operand", p.name)
	}
	return p.child(opts.operands)
}

func runEcho(p *process) int {
	args, end := p.args, "\n"
	if len(args) > 0 && args[0] == "-n" {
		args, end = args[1:], ""
	}
	p.printf("%s%s", strings.Join(args, " "), end)
	return 0
}

func runPrintf(p *process) int {
	if len(p.args) == 0 {
		return p.failf(2, "printf: missing operand")
	}
	format := strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\\`, `\`).Replace(p.args[0])
	rest := p.args[1:]
	for first := true; first || len(rest) > 0; first = false {
		verbs := strings.Count(strings.ReplaceAll(format, "%%", ""), "%")
		args := make([]any, verbs)
		for i := range args {
			args[i] = ""
			if len(rest) > 0 {
				args[i], rest = rest[0], rest[1:]
			}
		}
		p.printf("%s", fmt.Sprintf(strings.NewReplacer("%d", "%s", "%i", "%s").Replace(format), args...))
		if verbs == 0 {
			break
		}
	}
	return 0
}

// sleepTime reads sleep's durations: 5, 0.5, 2m.
func sleepTime(s string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		s += "s"
	}
	return time.ParseDuration(s)
}

func runSleep(p *process) int {
	if len(p.args) == 0 {
		return p.failf(1, "sleep: missing operand")
	}
	total := time.Duration(0)
	for _, a := range p.args {
		d, err := sleepTime(a)
		if a != "infinity" && (err != nil || d < 0) {
			return p.failf(1, "sleep: invalid time interval '%s'", a)
		}
		if a == "infinity" {
			d = 10000 * time.Hour
		}
		total += d
	}
	if !p.sleep(total) {
		return 143
	}
	return 0
}

func runWhich(p *process) int {
	status := 0
	for _, name := range p.args {
		base := path.Base(name)
		if lookup(base) == nil || strings.Contains(name, "/") && !slices.Contains(binDirs(), path.Dir(name)) {
			status = 1
			continue
		}
		p.printf("/usr/bin/%s\n", base)
	}
	return status
}

// runTest is test as a program of its own; in a script the shell's is used.
func runTest(p *process) int {
	args := p.args
	if p.name == "[" {
		if len(args) == 0 || args[len(args)-1] != "]" {
			return p.failf(2, "[: missing ]")
		}
		args = args[:len(args)-1]
	}
	yes := false
	switch {
	case len(args) == 1:
		yes = args[0] != ""
	case len(args) == 2 && args[0] == "-n":
		yes = args[1] != ""
	case len(args) == 2 && args[0] == "-z":
		yes = args[1] == ""
	case len(args) == 2:
		i, err := p.host.lookAt(p.abs(args[1]))
		yes = err == nil && (args[0] == "-e" || args[0] == "-f" && !i.dir || args[0] == "-d" && i.dir)
	case len(args) == 3 && args[1] == "=":
		yes = args[0] == args[2]
	case len(args) == 3 && args[1] == "!=":
		yes = args[0] != args[2]
	case len(args) != 0:
		return p.failf(2, "%s: not simulated: %s", p.name, strings.Join(args, " "))
	}
	if yes {
		return 0
	}
	return 1
}

func runDate(p *process) int {
	args := slices.Clone(p.args)
	for i, a := range args {
		if precision, ok := strings.CutPrefix(a, "-I"); ok && precision != "" {
			args[i] = "--iso-8601=" + precision
		} else if a == "--iso-8601" {
			args[i] = "-I"
		}
	}
	opts, err := getopt(args, "u utc", "I", "R rfc-email", "d date=", "iso-8601=", "s set=")
	if err != nil {
		return p.usage(1, err)
	}
	now := p.world.now().UTC()
	layout := "Mon Jan _2 15:04:05 MST 2006"
	switch {
	case opts.has("s"):
		return p.failf(1, "date: cannot set date: Operation not permitted")
	case opts.has("d"):
		if now, err = parseWhen(opts.value("d", ""), now); err != nil {
			return p.failf(1, "date: invalid date '%s'", opts.value("d", ""))
		}
	}
	switch {
	case opts.has("iso-8601"):
		layout = "2006-01-02T15:04:05-07:00"
	case opts.has("I"):
		layout = "2006-01-02"
	case opts.has("R"):
		layout = "Mon, 02 Jan 2006 15:04:05 -0700"
	}
	if len(opts.operands) == 0 {
		p.printf("%s\n", now.Format(layout))
		return 0
	}
	format, ok := strings.CutPrefix(opts.operands[0], "+")
	if !ok || len(opts.operands) > 1 {
		return p.failf(1, "date: invalid date '%s'", opts.operands[len(opts.operands)-1])
	}
	p.printf("%s\n", strftime(now, format))
	return 0
}

// strftime knows the conversions that scripts use.
func strftime(t time.Time, format string) string {
	return strings.NewReplacer("%Y", t.Format("2006"), "%m", t.Format("01"), "%d", t.Format("02"), "%H", t.Format("15"),
		"%M", t.Format("04"), "%S", t.Format("05"), "%F", t.Format("2006-01-02"), "%T", t.Format("15:04:05"),
		"%s", strconv.FormatInt(t.Unix(), 10), "%Z", "UTC", "%z", "+0000", "%b", t.Format("Jan"), "%a", t.Format("Mon"),
		"%N", fmt.Sprintf("%09d", t.Nanosecond()), "%n", "\n", "%%", "%").Replace(format)
}

// parseWhen reads the times that journalctl, docker and date take.
func parseWhen(s string, now time.Time) (time.Time, error) {
	s = strings.TrimSpace(s)
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch s {
	case "now":
		return now, nil
	case "today":
		return day, nil
	case "yesterday":
		return day.AddDate(0, 0, -1), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02", "15:04:05", "15:04"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			if t.Year() == 0 {
				t = day.Add(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second)
			}
			return t, nil
		}
	}
	if seconds, err := strconv.ParseFloat(strings.TrimPrefix(s, "@"), 64); err == nil && seconds > 1e6 {
		return time.Unix(0, int64(seconds*1e9)), nil
	}
	ago := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(s, "-"), "ago"))
	text := strings.NewReplacer("seconds", "s", "second", "s", "sec", "s", "minutes", "m", "minute", "m", "min", "m",
		"hours", "h", "hour", "h", "hr", "h", " ", "").Replace(ago)
	for _, long := range []struct {
		unit string
		d    time.Duration
	}{{"days", 24 * time.Hour}, {"day", 24 * time.Hour}, {"d", 24 * time.Hour}, {"weeks", 7 * 24 * time.Hour}, {"week", 7 * 24 * time.Hour}} {
		if n, err := strconv.Atoi(strings.TrimSuffix(text, long.unit)); err == nil && strings.HasSuffix(text, long.unit) {
			return now.Add(-time.Duration(n) * long.d), nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time", s)
	}
	return now.Add(-d), nil
}
