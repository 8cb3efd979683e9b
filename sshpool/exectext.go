package sshpool

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// maxExecText is what goes into one exec request, in bytes. sshd closes the
// whole connection on a packet over 256 KiB, and Linux starts no program with
// an argument over 128 KiB.
const maxExecText = 100 << 10

// systemPath is where the usual programs are. A non-login shell over SSH often
// has less, and then docker is "not found".
const systemPath = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"

// job is a Command made ready: checked, with its text and its clocks.
type job struct {
	cmd   Command
	text  string // of the exec request; "" on a local host
	mark  string // in the environment of the command's processes; "" if it has none
	stdin []byte
	// helper is set for what the pool runs for itself while it ends a command,
	// also in a shutdown.
	helper bool
	queue, connect,
	run, grace time.Duration
}

func newJob(host string, cmd Command, cfg Config, local bool) (*job, error) {
	j := &job{
		cmd: cmd, stdin: cmd.Stdin,
		queue: cfg.QueueTimeout, connect: cfg.ConnectTimeout, run: cfg.RunTimeout, grace: cfg.KillGrace,
	}
	clocks := []struct {
		name string
		to   *time.Duration
		own  time.Duration
	}{
		{"QueueTimeout", &j.queue, cmd.QueueTimeout}, {"ConnectTimeout", &j.connect, cmd.ConnectTimeout},
		{"RunTimeout", &j.run, cmd.RunTimeout}, {"KillGrace", &j.grace, cmd.KillGrace},
	}
	for _, c := range clocks {
		if c.own < 0 {
			return nil, configError(host, "Command.%s is %v, want 0 or more", c.name, c.own)
		}
		if c.own > 0 {
			*c.to = c.own
		}
	}
	if err := checkCommand(host, cmd); err != nil {
		return nil, err
	}
	if local || cmd.Shell != "" {
		j.mark = newMark()
	}
	if local {
		return j, nil
	}
	j.text = execText(cmd, j.mark)
	if len(j.text) <= maxExecText {
		return j, nil
	}
	if cmd.Shell == "" {
		return nil, configError(host, "the script has %d bytes, more than the %d of one request; set Command.Shell, and it goes by standard input", len(cmd.Script), maxExecText)
	}
	j.cmd, j.stdin = byStdin(cmd)
	if j.text = execText(j.cmd, j.mark); len(j.text) > maxExecText {
		return nil, configError(host, "Command.Env and Dir have %d bytes, more than the %d of one request", len(j.text), maxExecText)
	}
	return j, nil
}

func checkCommand(host string, cmd Command) error {
	switch {
	case strings.TrimSpace(cmd.Script) == "":
		return configError(host, "Command.Script is empty")
	case strings.ContainsRune(cmd.Script, 0):
		return configError(host, "Command.Script holds a NUL byte")
	case cmd.Shell != "" && (!path.IsAbs(cmd.Shell) || strings.ContainsRune(cmd.Shell, 0)):
		return configError(host, "Command.Shell is %q, want an absolute path", cmd.Shell)
	case cmd.Shell == "" && len(cmd.Env) > 0:
		return configError(host, "Command.Env needs Command.Shell")
	case cmd.Shell == "" && cmd.Sudo:
		return configError(host, "Command.Sudo needs Command.Shell")
	case cmd.Shell == "" && cmd.Dir != "":
		return configError(host, "Command.Dir needs Command.Shell")
	case strings.ContainsRune(cmd.Dir, 0):
		return configError(host, "Command.Dir holds a NUL byte")
	}
	if _, ok := cmd.Env[markName]; ok {
		return configError(host, "Command.Env: %s is set by the pool itself", markName)
	}
	for name, value := range cmd.Env {
		if !isName(name) || strings.ContainsRune(value, 0) {
			return configError(host, "Command.Env: %q cannot be set: want a name of letters, digits and _, and a value without NUL", name)
		}
	}
	return nil
}

func isName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// execText is what the account's login shell is given. Any shell of the Bourne
// family reads it the same way; it starts the shell that was asked for and is
// gone. mark goes into the environment, unless it is "".
func execText(cmd Command, mark string) string {
	if cmd.Shell == "" {
		return cmd.Script
	}
	var b strings.Builder
	b.WriteString("exec ")
	if cmd.Sudo {
		b.WriteString("sudo -n -- ")
	}
	b.WriteString("/usr/bin/env ")
	if mark != "" {
		b.WriteString(markName + "=" + mark + " ")
	}
	if _, ok := cmd.Env["PATH"]; !ok {
		b.WriteString(`PATH="${PATH:+$PATH:}` + systemPath + `" `)
	}
	for _, name := range slices.Sorted(maps.Keys(cmd.Env)) {
		b.WriteString(name + "=" + quote(cmd.Env[name]) + " ")
	}
	b.WriteString(quote(cmd.Shell) + " -c " + quote(script(cmd)))
	return b.String()
}

// script is the Script behind a change to its folder, which must succeed.
func script(cmd Command) string {
	if cmd.Dir == "" {
		return cmd.Script
	}
	return "CDPATH= cd -- " + quote(cmd.Dir) + " || exit 126\n" + cmd.Script
}

// byStdin moves a long script to the front of standard input. The shell reads
// all of it before it begins, so that no program of the script can take a part
// of the script for its input. dd reads byte by byte: what follows the script
// is the command's own input.
func byStdin(cmd Command) (Command, []byte) {
	text := script(cmd)
	read := `eval "$(cat)"`
	if cmd.Stdin != nil {
		read = fmt.Sprintf(`eval "$(dd bs=1 count=%d 2>/dev/null)"`, len(text))
	}
	stdin := slices.Concat([]byte(text), cmd.Stdin)
	cmd.Script, cmd.Dir = read, ""
	return cmd, stdin
}

// quote makes one word of a POSIX shell.
func quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:,@+", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
