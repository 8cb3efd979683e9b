package sshpool

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// localPool is a pool with this machine as its only host, in real time.
func localPool(t *testing.T, change func(*Config)) *Pool {
	t.Helper()
	cfg := Config{Hosts: map[string]Host{"here": {Local: true}}}
	if change != nil {
		change(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestLocal(t *testing.T) {
	p := localPool(t, nil)
	dir := t.TempDir()
	long := "# " + strings.Repeat("x", 300<<10) + "\necho long; cat\n"
	for _, c := range []struct {
		name           string
		cmd            Command
		status         int
		stdout, stderr string
	}{
		{"status and streams", Command{Script: "echo out; echo err >&2; exit 7"}, 7, "out\n", "err\n"},
		{"input", Command{Script: "cat", Stdin: []byte("a\x00b")}, 0, "a\x00b", ""},
		{"no input", Command{Script: "cat"}, 0, "", ""},
		{"input that nobody reads", Command{Script: "exit 0", Stdin: make([]byte, 1<<20)}, 0, "", ""},
		{"environment", Command{Script: `printf '%s' "$A$PATH" | tr : '\n' | grep -c -e ^b -e '^/usr/local/bin$'`, Shell: "/bin/sh", Env: map[string]string{"A": "b:"}}, 0, "2\n", ""},
		{"own PATH", Command{Script: `echo "$PATH"`, Shell: "/bin/sh", Env: map[string]string{"PATH": "/bin"}}, 0, "/bin\n", ""},
		{"folder", Command{Script: "pwd", Shell: "/bin/sh", Dir: dir}, 0, dir + "\n", ""},
		{"a long script", Command{Script: long}, 0, "long\n", ""},
		{"a long script with input", Command{Script: long, Stdin: []byte("input")}, 0, "long\ninput", ""},
	} {
		if c.cmd.Env["PATH"] == "" && c.name == "environment" {
			t.Setenv("PATH", "/bin:/usr/bin")
		}
		r, err := p.Run(t.Context(), "here", c.cmd)
		if err != nil || r.Outcome != Exited || r.ExitStatus != c.status || string(r.Stdout.Bytes()) != c.stdout || string(r.Stderr.Bytes()) != c.stderr {
			t.Errorf("%s: %s %d %q %q, %v", c.name, r.Outcome, r.ExitStatus, r.Stdout.Bytes(), r.Stderr.Bytes(), err)
		}
		if r.Reused || r.Tries != 1 {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	r, err := p.Run(t.Context(), "here", Command{Script: "kill -SEGV $$"})
	if err != nil || r.Outcome != Signaled || r.Signal != "SEGV" {
		t.Errorf("a signal: %+v, %v", r, err)
	}
	r, err = p.Run(t.Context(), "here", Command{Script: "touch " + dir + "/ran", Shell: "/bin/sh", Dir: "/nowhere/at/all"})
	if err != nil || r.ExitStatus != 126 || exists(dir+"/ran") {
		t.Errorf("a folder that is not there: %+v, %v", r, err)
	}
	r, err = p.Run(t.Context(), "here", Command{Script: "true", Shell: "/nowhere/sh"})
	if kindOf(err) != KindRefused || r.Outcome != NotStarted {
		t.Errorf("a shell that is not there: %+v, %v", r, err)
	}
	if s := p.Stats()["here"]; s.OpenConnections != 0 || s.Established != 0 || s.Reused != 0 || s.Commands != 12 {
		t.Errorf("stats: %+v", s)
	}
}

// alive reports whether a process exists and is no zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return !exists("/proc/self/stat") && syscall.Kill(pid, 0) == nil
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

// A timeout ends the whole process group, also what ignores TERM.
func TestLocalKill(t *testing.T) {
	for name, c := range map[string]struct {
		script  string
		signals int
	}{
		"obedient":  {"sleep 1000 & echo $!; wait", 1},
		"stubborn":  {"trap '' TERM; sleep 1000 & echo $!; wait", 2},
		"orphaning": {"sh -c 'trap \"\" TERM; echo $$; exec sleep 1000' & exec sleep 1000", 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := localPool(t, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var pid int
			// The cancel comes when the child exists, not after a guessed time.
			r, err := p.Run(ctx, "here", Command{Script: c.script, KillGrace: time.Second, OnOutput: func(_ Stream, chunk []byte) {
				pid, _ = strconv.Atoi(strings.TrimSpace(string(chunk)))
				cancel()
			}})
			if err != nil || r.Kill == nil || !r.Kill.Confirmed || len(r.Kill.Signals) != c.signals {
				t.Errorf("%+v, kill %+v, %v", r, r.Kill, err)
			}
			if pid == 0 || alive(pid) {
				t.Errorf("the child %d lives on", pid)
			}
		})
	}
}

func TestLocalRunTimeout(t *testing.T) {
	p := localPool(t, nil)
	r, err := p.Run(t.Context(), "here", Command{Script: "sleep 1000", RunTimeout: 50 * time.Millisecond})
	if kindOf(err) != KindRunTimeout || r.Outcome != TimedOut || !r.Kill.Confirmed || !strings.Contains(err.Error(), "run clock of 50ms") {
		t.Errorf("%+v, %v", r, err)
	}
}

// Run returns when the process ends, not when its child closes the output.
func TestLocalBackgroundChild(t *testing.T) {
	p := localPool(t, nil)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// The child lives until the test opens the other end, which it does after Run.
	r, err := p.Run(t.Context(), "here", Command{Script: "{ cat " + fifo + " >/dev/null; } & echo started"})
	if err != nil || string(r.Stdout.Bytes()) != "started\n" {
		t.Errorf("%+v, %v", r, err)
	}
	if err := os.WriteFile(fifo, nil, 0); err != nil {
		t.Error(err)
	}
}

func TestLocalSlots(t *testing.T) {
	p := localPool(t, func(c *Config) { c.MaxSessions = 2 })
	dir := t.TempDir()
	var callers sync.WaitGroup
	for range 6 {
		callers.Go(func() {
			// Each takes one of the places a and b for its time; a third at once finds none.
			r, err := p.Run(t.Context(), "here", Command{Script: "cd " + dir + " && { mkdir a 2>/dev/null && d=a || { mkdir b && d=b; }; } && sleep 0.05 && rmdir $d"})
			if err != nil || r.ExitStatus != 0 {
				t.Errorf("%+v %s, %v", r, r.Stderr.Bytes(), err)
			}
		})
	}
	callers.Wait()
}
