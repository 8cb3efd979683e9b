package sshpool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/sshpool/sshtest"
)

// realShell runs each command by this machine's shell in a session of its own,
// as sshd does, and sends it no signal: those of an sshd that refuses to.
func realShell(ctx context.Context, c *sshtest.Command) sshtest.Exit {
	cmd := exec.Command("/bin/sh", "-c", c.Text)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return sshtest.Exit{Status: 255}
	}
	if err := cmd.Start(); err != nil {
		return sshtest.Exit{Status: 255}
	}
	go func() {
		io.Copy(in, c.Stdin)
		in.Close()
	}()
	stop := context.AfterFunc(ctx, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer stop()
	err = cmd.Wait()
	if e, ok := errors.AsType[*exec.ExitError](err); ok && e.ExitCode() < 0 {
		return sshtest.Exit{Signal: signalName(e.Sys().(syscall.WaitStatus).Signal())}
	}
	return sshtest.Exit{Status: cmd.ProcessState.ExitCode()}
}

// sleepers lists the living processes "sleep" with this argument.
func sleepers(t *testing.T, nap string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	found := []int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || string(text) != "sleep\x00"+nap+"\x00" {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, pid)
	}
	slices.Sort(found)
	return found
}

// nap is an argument of sleep that no other process of this machine has.
func nap(n int) string { return fmt.Sprintf("%d.%d", 3000+n, os.Getpid()) }

// escapes are the ways out of a process group, with a folder for what they write.
var escapes = []struct{ name, script string }{
	{"nothing escapes", "sleep NAP"},
	{"timeout in a compound command", "timeout 2000 sleep NAP; true"},
	{"set -m", "set -m; sleep NAP & wait"},
	{"setsid", "setsid sleep NAP & wait"},
	{"setsid, let go", "setsid sleep NAP >/dev/null 2>&1 </dev/null & sleep NAP"},
	{"a daemon", "(setsid sh -c 'trap \"\" TERM; sleep NAP; true' >/dev/null 2>&1 </dev/null &) ; sleep NAP"},
	{"without its environment", "env -i timeout 2000 sleep NAP; true"},
	{"TERM ignored by a group of its own", "timeout 2000 sh -c 'trap \"\" TERM; sleep NAP; true'; true"},
}

// What has left the process group is found and ended, on this machine and through
// a server that sends no signals, and what the result says of it is true.
func TestNothingEscapesAKill(t *testing.T) {
	s := sshtest.New(sshtest.Config{Handler: realShell})
	defer s.Close()
	s.SetFaults(sshtest.Faults{IgnoreSignals: true})
	p, err := New(Config{
		Hosts:      map[string]Host{"nexus": host(s), "here": {Local: true}},
		KnownHosts: []string{knownHosts(t, s.KnownHostsLine("nexus"))}, Dial: s.Dial,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Shutdown(context.Background())
	var all sync.WaitGroup
	for i, e := range escapes {
		for k, name := range []string{"nexus", "here"} {
			all.Go(func() {
				nap := nap(2*i + k)
				script := strings.ReplaceAll(e.script, "NAP", nap)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				// The command is ended when it has said that all of it is there.
				script = "(while [ $(grep -lsx 'sleep." + nap + ".' /proc/[0-9]*/cmdline | wc -l) -lt 1 ]; do sleep 0.1; done; echo up) & " + script
				r, err := p.Run(ctx, name, Command{
					Script: script, Shell: "/bin/sh", KillGrace: 300 * time.Millisecond,
					OnOutput: func(Stream, []byte) { time.AfterFunc(200*time.Millisecond, cancel) },
				})
				if r.Kill == nil || !r.Kill.Confirmed {
					t.Errorf("%s, %s: %s %d %q %q, %+v, %v", name, e.name, r.Outcome, r.ExitStatus, r.Stdout.Bytes(), r.Stderr.Bytes(), r.Kill, err)
				}
				if left := sleepers(t, nap); len(left) > 0 {
					t.Errorf("%s, %s: %v are left, and the result says %+v", name, e.name, left, r.Kill)
					for _, pid := range left {
						syscall.Kill(pid, syscall.SIGKILL)
					}
				}
			})
		}
	}
	all.Wait()
}

// The look for what is left harms nothing else: neither a command beside it nor
// the server nor we ourselves.
func TestASweepHarmsNothingElse(t *testing.T) {
	beside := exec.Command("sleep", nap(100))
	if err := beside.Start(); err != nil {
		t.Fatal(err)
	}
	defer beside.Wait()
	defer beside.Process.Kill()
	p := localPool(t, nil)
	sibling := make(chan *Result, 1)
	go func() {
		r, _ := p.Run(t.Context(), "here", Command{Script: "read x; echo $x", Shell: "/bin/sh", Stdin: []byte("still here\n")})
		sibling <- r
	}()
	r, err := p.Run(t.Context(), "here", Command{Script: "setsid sleep " + nap(101) + " & wait", RunTimeout: 300 * time.Millisecond, KillGrace: 100 * time.Millisecond})
	if kindOf(err) != KindRunTimeout || !r.Kill.Confirmed || r.Kill.Found == 0 || r.Kill.Left != 0 {
		t.Errorf("%+v, %v", r.Kill, err)
	}
	if r := <-sibling; r.Outcome != Exited || string(r.Stdout.Bytes()) != "still here\n" {
		t.Errorf("sibling: %+v", r)
	}
	if !alive(beside.Process.Pid) {
		t.Error("a process of somebody else was ended")
	}
}

// Where the look cannot be made the result says so, and claims nothing.
func TestASweepThatFails(t *testing.T) {
	for _, c := range []struct {
		name    string
		server  sshtest.Config
		answer  string // of the helper
		forced  bool
		want    *Kill
		outcome Outcome
	}{
		{name: "no /proc", answer: "sshpool: no /proc\n", want: &Kill{
			Note: "the server delivered no signal to it, as with OpenSSH for forced commands, and before 9.9 for root; it may still run; what may have left its process group was not looked for: the host has no /proc",
		}},
		{name: "another shell", answer: "Unknown command\n", want: &Kill{
			Note: "the server delivered no signal to it, as with OpenSSH for forced commands, and before 9.9 for root; it may still run; what may have left its process group was not looked for: the host's shell did not do it",
		}},
		{name: "some are left", answer: "motd\nsshpool: found 3 left 2 denied 2\n", want: &Kill{
			Found: 3, Left: 2,
			Note: "the server delivered no signal to it, as with OpenSSH for forced commands, and before 9.9 for root; it may still run; of 3 processes of it found through /proc 2 are left, 2 of them of another user: they may still run",
		}},
		{name: "none was found", answer: "sshpool: found 0 left 0 denied 0\n", want: &Kill{
			Note: "the server delivered no signal to it, as with OpenSSH for forced commands, and before 9.9 for root; it may still run; a look through /proc found nothing left of it",
		}},
		{name: "all are gone, and the server does not say so", answer: "sshpool: found 2 left 0 denied 0\n", want: &Kill{
			Confirmed: true, Found: 2,
			Note: "the server has not said that it ended, but it is gone; 2 processes of it were found through /proc and ended",
		}},
		{name: "no session for it", server: sshtest.Config{MaxSessions: 1}, want: &Kill{
			Note: "the server delivered no signal to it, as with OpenSSH for forced commands, and before 9.9 for root; it may still run; what may have left its process group was not looked for: the server had no session for it",
		}},
		{name: "a forced command", forced: true, want: &Kill{
			Note: "the server delivered no signal to it, as with OpenSSH for forced commands, and before 9.9 for root; it may still run",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.server.Handler = func(ctx context.Context, cmd *sshtest.Command) sshtest.Exit {
				if strings.Contains(cmd.Text, "/proc/self/stat") {
					io.WriteString(cmd.Stdout, c.answer)
					return sshtest.Exit{}
				}
				select {
				case <-ctx.Done():
				case <-time.After(time.Minute):
				}
				return sshtest.Exit{}
			}
			inBubble(t, c.server, func(cfg *Config) {
				cfg.KillGrace = time.Second
				h := cfg.Hosts["nexus"]
				h.ForcedCommand = c.forced
				cfg.Hosts["nexus"] = h
			}, func(t *testing.T, l lab) {
				l.server.SetFaults(sshtest.Faults{IgnoreSignals: true})
				begun := time.Now()
				r, err := l.Run(t.Context(), "nexus", Command{Script: "x", Shell: "/bin/sh", RunTimeout: time.Second})
				if r.Outcome != TimedOut || kindOf(err) != KindRunTimeout {
					t.Errorf("%+v, %v", r, err)
				}
				if diff := cmp.Diff(c.want, r.Kill); diff != "" {
					t.Error(diff)
				}
				// The run clock, the refused signal, the sweep and the wait for its effect.
				if took := time.Since(begun); took > 10*time.Second {
					t.Errorf("took %v", took)
				}
				want := 2
				if c.forced || c.server.MaxSessions == 1 {
					want = 1
				}
				if n := l.server.Counts().Commands; n != want {
					t.Errorf("%d commands at the server, want %d", n, want)
				}
				time.Sleep(time.Second)
				if s := l.Stats()["nexus"]; s.SessionsInUse != 1 {
					t.Errorf("the slot of what may still run was given away: %+v", s)
				}
			})
		})
	}
}

// With sudo, TERM goes first, which sudo passes on; what it did not end is left
// to a look as root, and KILL does not end sudo before.
func TestSudoIsNotKilledBeforeItsCommand(t *testing.T) {
	handler := func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
		if strings.Contains(c.Text, "/proc/self/stat") {
			if !strings.HasPrefix(c.Text, "exec sudo -n -- /usr/bin/env ") {
				io.WriteString(c.Stdout, "sshpool: found 0 left 0 denied 0\n")
				return sshtest.Exit{}
			}
			io.WriteString(c.Stdout, "sshpool: found 1 left 0 denied 0\n")
			return sshtest.Exit{}
		}
		c.Trap("TERM")
		<-ctx.Done()
		return sshtest.Exit{}
	}
	inBubble(t, sshtest.Config{Handler: handler}, func(c *Config) { c.KillGrace = time.Second }, func(t *testing.T, l lab) {
		r, err := l.Run(t.Context(), "nexus", Command{Script: "x", Shell: "/bin/sh", Sudo: true, RunTimeout: time.Second})
		if kindOf(err) != KindRunTimeout || !slices.Equal(r.Kill.Signals, []string{"TERM"}) || r.Kill.Found != 1 || !r.Kill.Confirmed {
			t.Errorf("%+v, %v", r.Kill, err)
		}
		l.server.Close()
	})
}
