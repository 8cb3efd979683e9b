//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/sshpool"
)

// A command whose time is up is ended on the host, with its children, and the
// result says so.
func TestATimeoutEndsTheRemoteProcess(t *testing.T) {
	server := startSSHD(t, newDir(t))
	pool := newPool(t, server)
	// No other process of the machine sleeps for this long.
	nap := fmt.Sprintf("300.%d", server.cmd.Process.Pid)
	for _, test := range []struct {
		name, script string
		signals      []string
	}{
		{"a command with a child in the background", "sleep NAP & sleep NAP; true", []string{"TERM"}},
		{"a command that ignores TERM", `trap "" TERM; sleep NAP; sleep NAP; true`, []string{"TERM", "KILL"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := pool.Run(t.Context(), "nexus", sshpool.Command{
				Script: strings.ReplaceAll(test.script, "NAP", nap), Shell: "/bin/sh", RunTimeout: time.Second,
			})
			if err == nil || r.Outcome != sshpool.TimedOut {
				t.Fatalf("ended as %s with error %v, want timed_out with one", r.Outcome, err)
			}
			if r.Kill == nil || !r.Kill.Confirmed {
				t.Fatalf("the end of the process is not confirmed: %+v", r.Kill)
			}
			if diff := cmp.Diff(test.signals, r.Kill.Signals); diff != "" {
				t.Errorf("signals that sshd acknowledged (-want +got):\n%s", diff)
			}
			eventually(t, "the process and its children are gone", func() error {
				if left := running(t, "sleep", nap); len(left) > 0 {
					return fmt.Errorf("processes %v are left", left)
				}
				return nil
			})
		})
	}
	// The connection has outlived both.
	r, err := pool.Run(t.Context(), "nexus", sshpool.Command{Script: "true"})
	if err != nil || !r.Reused {
		t.Errorf("the next command: %s, reused: %v, %v", r.Outcome, r.Reused, err)
	}
}

// Debian 12's sshd refuses signals to a session of root, and with every sshd some
// processes are out of a signal's reach. They are found and ended in another way,
// over a second session of the same connection, and the result says so.
func TestATimeoutReachesWhatASignalDoesNot(t *testing.T) {
	server := startSSHD(t, newDir(t))
	pool := newPool(t, server)
	var all sync.WaitGroup
	number := 0
	for _, host := range []string{"nexus", "nexus-as-root"} {
		for name, script := range map[string]string{
			"nothing special":               "sleep NAP",
			"timeout in a compound command": "timeout 2000 sleep NAP; true",
			"a group of its own":            "set -m; sleep NAP & wait",
			"a session of its own":          "setsid sleep NAP & wait",
			"a daemon that ignores TERM":    `(trap "" TERM; setsid sleep NAP >/dev/null 2>&1 </dev/null &) ; sleep NAP`,
		} {
			number++
			nap := fmt.Sprintf("30%d.%d", number, server.cmd.Process.Pid)
			all.Go(func() {
				r, err := pool.Run(t.Context(), host, sshpool.Command{
					Script: strings.ReplaceAll(script, "NAP", nap), Shell: "/bin/sh", RunTimeout: 2 * time.Second,
				})
				left := running(t, "sleep", nap)
				if err == nil || r.Outcome != sshpool.TimedOut || r.Kill == nil || !r.Kill.Confirmed || len(left) > 0 {
					t.Errorf("%s, %s: %s with error %v and kill %+v; left: %v", host, name, r.Outcome, err, r.Kill, left)
				}
				for _, pid := range left {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			})
		}
	}
	all.Wait()
	for _, host := range []string{"nexus", "nexus-as-root"} {
		if s := pool.Stats()[host]; s.Established != 1 || s.SessionsInUse != 0 || s.Kills != 5 {
			t.Errorf("%s: %+v", host, s)
		}
	}
	shutDownPool(t, pool)
	if n := server.accepted(t); n != 2 {
		t.Errorf("sshd saw %d connections, want one for each account", n)
	}
}

// What sudo started belongs to root, out of reach of the account that asked for
// it: sudo has to pass the signal on. A KILL that came first would end sudo and
// leave the process.
func TestATimeoutEndsWhatSudoStarted(t *testing.T) {
	server := startSSHD(t, newDir(t))
	pool := newPool(t, server)
	who, err := pool.Run(t.Context(), "nexus", sshpool.Command{Script: "id -un", Shell: "/bin/sh", Sudo: true, Env: map[string]string{"A": "b c"}, Dir: "/tmp"})
	if err != nil || string(who.Stdout.Bytes()) != "root\n" {
		t.Fatalf("with sudo it ran as %q: %v\n%s", who.Stdout.Bytes(), err, who.Stderr.Bytes())
	}
	for i, cmd := range []sshpool.Command{
		{Script: "sleep NAP", Sudo: true},
		{Script: "sleep NAP & sleep NAP; true", Sudo: true},
		{Script: "sudo -n sleep NAP; true"},
	} {
		nap := fmt.Sprintf("31%d.%d", i, server.cmd.Process.Pid)
		cmd.Script = strings.ReplaceAll(cmd.Script, "NAP", nap)
		cmd.Shell, cmd.RunTimeout = "/bin/sh", time.Second
		r, err := pool.Run(t.Context(), "nexus", cmd)
		if err == nil || r.Outcome != sshpool.TimedOut || r.Kill == nil || !r.Kill.Confirmed {
			t.Errorf("%s: %s with error %v and kill %+v", cmd.Script, r.Outcome, err, r.Kill)
		}
		eventually(t, "nothing of it is left", func() error {
			if left := running(t, "sleep", nap); len(left) > 0 {
				return fmt.Errorf("processes %v are left", left)
			}
			return nil
		})
	}
}

// A forced command is run once and not again for the pool's own purposes; that
// it may still run is said.
func TestATimeoutOfAForcedCommand(t *testing.T) {
	dir := newDir(t)
	server := startSSHD(t, dir, "ForceCommand echo ran >>/dev/null; sleep 2")
	pool := newPool(t, server, func(c *sshpool.Config) {
		h := c.Hosts["nexus"]
		h.ForcedCommand = true
		c.Hosts["nexus"] = h
	})
	r, err := pool.Run(t.Context(), "nexus", sshpool.Command{Script: "true", Shell: "/bin/sh", RunTimeout: 300 * time.Millisecond, KillGrace: 200 * time.Millisecond})
	if err == nil || r.Outcome != sshpool.TimedOut || r.Kill == nil {
		t.Fatalf("%s with error %v and kill %+v", r.Outcome, err, r.Kill)
	}
	if !r.Kill.Confirmed && !strings.Contains(r.Kill.Note, "may still run") || r.Kill.Found != 0 {
		t.Errorf("kill: %+v", r.Kill)
	}
}
