//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/sshpool"
)

// newPool is a pool that knows nexus, where it comes in as the account, and
// nexus-as-root; shut it down to close its connections.
func newPool(t *testing.T, server *sshd, change ...func(*sshpool.Config)) *sshpool.Pool {
	t.Helper()
	host := func(user string) sshpool.Host {
		return sshpool.Host{Address: server.address, User: user, IdentityFiles: []string{server.identity}, AgentSocket: "none"}
	}
	cfg := sshpool.Config{
		Hosts:      map[string]sshpool.Host{"nexus": host(account), "nexus-as-root": host("root")},
		KnownHosts: []string{server.knownHosts},
		KillGrace:  500 * time.Millisecond,
	}
	for _, c := range change {
		c(&cfg)
	}
	pool, err := sshpool.New(cfg)
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
