//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/sshpool"
)

// newPool is a pool that knows nexus, where it comes in as the account, and
// nexus-as-root; shut it down to close its connections.
func newPool(t *testing.T, server *sshd) *sshpool.Pool {
	t.Helper()
	host := func(user string) sshpool.Host {
		return sshpool.Host{Address: server.address, User: user, IdentityFiles: []string{server.identity}, AgentSocket: "none"}
	}
	pool, err := sshpool.New(sshpool.Config{
		Hosts:      map[string]sshpool.Host{"nexus": host(account), "nexus-as-root": host("root")},
		KnownHosts: []string{server.knownHosts},
		KillGrace:  500 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutDownPool(t, pool) })
	return pool
}

func shutDownPool(t *testing.T, pool *sshpool.Pool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if err := pool.Shutdown(ctx); err != nil {
		t.Errorf("shut the pool down: %v", err)
	}
}

// atOnce runs n commands at the same instant.
func atOnce(t *testing.T, pool *sshpool.Pool, n int, command func(i int) sshpool.Command) []*sshpool.Result {
	t.Helper()
	var (
		all     sync.WaitGroup
		now     = make(chan struct{})
		results = make([]*sshpool.Result, n)
	)
	for i := range n {
		all.Go(func() {
			<-now
			result, err := pool.Run(t.Context(), "nexus", command(i))
			if err != nil {
				t.Errorf("command %d: %v", i, err)
			}
			results[i] = result
		})
	}
	close(now)
	all.Wait()
	return results
}

// Ten first callers at the same instant share one dial: counted by sshd, in 200
// rounds of 200, each with a pool that has no connection yet.
func TestTenFirstCallersOpenOneConnection(t *testing.T) {
	const rounds, callers = 200, 10
	server := startSSHD(t, newDir(t))
	seen := 0
	for round := range rounds {
		pool := newPool(t, server)
		for i, r := range atOnce(t, pool, callers, func(i int) sshpool.Command {
			return sshpool.Command{Script: fmt.Sprint("echo caller ", i)}
		}) {
			want := fmt.Sprintf("caller %d\n", i)
			if got := string(r.Stdout.Bytes()); r.Outcome != sshpool.Exited || r.ExitStatus != 0 || got != want {
				t.Errorf("round %d: caller %d: %s with %d and %q, want %q", round, i, r.Outcome, r.ExitStatus, got, want)
			}
		}
		shutDownPool(t, pool)
		total := server.accepted(t)
		if total-seen != 1 || t.Failed() {
			t.Fatalf("round %d of %d: %d callers opened %d connections, want 1", round+1, rounds, callers, total-seen)
		}
		seen = total
	}
}

// Three commands of one second take about one second. That they ran at the same
// time is shown without a clock: each of them waits until all three have begun.
func TestThreeCommandsRunAtTheSameTime(t *testing.T) {
	dir := newDir(t)
	server := startSSHD(t, dir)
	pool := newPool(t, server)
	meeting := filepath.Join(dir, "meeting")
	if err := os.Mkdir(meeting, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(meeting, accountID, accountID); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Run(t.Context(), "nexus", sshpool.Command{Script: "true"}); err != nil {
		t.Fatal(err) // the connection is open now
	}
	begun := time.Now()
	for i, r := range atOnce(t, pool, 3, func(i int) sshpool.Command {
		return sshpool.Command{Script: fmt.Sprintf(
			`touch %[1]s/%[2]d; while [ "$(ls %[1]s | wc -l)" -lt 3 ]; do sleep 0.01; done; sleep 1`, meeting, i)}
	}) {
		if r.Outcome != sshpool.Exited || r.ExitStatus != 0 || !r.Reused {
			t.Errorf("command %d: %s with %d, reused: %v", i, r.Outcome, r.ExitStatus, r.Reused)
		}
	}
	took := time.Since(begun)
	t.Logf("three commands of one second took %.3f s", took.Seconds())
	if took >= 3*time.Second {
		t.Errorf("three commands of one second took %s, as long as one after another", took)
	}
	shutDownPool(t, pool)
	if n := server.accepted(t); n != 1 {
		t.Errorf("sshd saw %d connections, want 1", n)
	}
}

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

// Debian 12's sshd refuses signals to a session of root. Whether the process
// was ended in another way or not at all, what the result says is true.
func TestATimeoutAsRootSaysWhatIsTrue(t *testing.T) {
	server := startSSHD(t, newDir(t))
	pool := newPool(t, server)
	nap := fmt.Sprintf("300.%d", server.cmd.Process.Pid)
	t.Cleanup(func() {
		for _, pid := range running(t, "sleep", nap) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	r, err := pool.Run(t.Context(), "nexus-as-root", sshpool.Command{
		Script: "sleep " + nap, Shell: "/bin/sh", RunTimeout: time.Second,
	})
	if err == nil || r.Outcome != sshpool.TimedOut || r.Kill == nil {
		t.Fatalf("ended as %s with error %v and kill %v, want timed_out with both", r.Outcome, err, r.Kill)
	}
	left := running(t, "sleep", nap)
	t.Logf("kill: %+v; left: %v", *r.Kill, left)
	if r.Kill.Confirmed != (len(left) == 0) {
		t.Errorf("the end is confirmed: %v, processes left: %v", r.Kill.Confirmed, left)
	}
	if !r.Kill.Confirmed && r.Kill.Note == "" {
		t.Error("the process may still run, and nothing says so")
	}
}

// running lists the processes with exactly these arguments.
func running(t *testing.T, args ...string) []int {
	t.Helper()
	want := strings.Join(args, "\x00") + "\x00"
	var found []int
	for pid := range processes(t) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && string(line) == want {
			found = append(found, pid)
		}
	}
	return found
}
