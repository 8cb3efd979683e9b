//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/sshpool"
)

// 500 quick commands, 50 at once, on one connection: all of them succeed
// whatever MaxSessions is, with spare sessions and without.
func TestFiveHundredCommandsOnOneConnection(t *testing.T) {
	const commands, atOnce = 500, 50
	for _, most := range []int{10, 5, 2, 1} {
		for _, spares := range []int{0, -1} {
			t.Run(fmt.Sprintf("MaxSessions %d, SpareSessions %d", most, spares), func(t *testing.T) {
				server := startSSHD(t, newDir(t), fmt.Sprint("MaxSessions ", most))
				pool := newPool(t, server, func(c *sshpool.Config) {
					c.SpareSessions, c.QueueTimeout = spares, 5*time.Minute
				})
				todo := make(chan int, commands)
				for i := range commands {
					todo <- i
				}
				close(todo)
				var all sync.WaitGroup
				for range atOnce {
					all.Go(func() {
						for i := range todo {
							r, err := pool.Run(t.Context(), "nexus", sshpool.Command{Script: fmt.Sprint("echo ", i)})
							if got := string(r.Stdout.Bytes()); err != nil || r.Outcome != sshpool.Exited || got != fmt.Sprintln(i) {
								t.Errorf("command %d: %s with %q, %v", i, r.Outcome, got, err)
							}
						}
					})
				}
				all.Wait()
				s := pool.Stats()["nexus"]
				t.Logf("%+v", s)
				if s.Established != 1 || s.Commands != commands || s.Unknown != 0 || s.Retries != 0 {
					t.Errorf("stats: %+v", s)
				}
				shutDownPool(t, pool)
				if n := server.accepted(t); n != 1 {
					t.Errorf("sshd saw %d connections, want 1", n)
				}
			})
		}
	}
}

func TestAServerThatAllowsNoSession(t *testing.T) {
	server := startSSHD(t, newDir(t), "MaxSessions 0")
	pool := newPool(t, server)
	r, err := pool.Run(t.Context(), "nexus", sshpool.Command{Script: "true"})
	if err == nil || r.Outcome != sshpool.NotStarted || !strings.Contains(err.Error(), "refuses every session") {
		t.Errorf("%s, %v", r.Outcome, err)
	}
}

// On a warm line a command finds a session open, and nothing is refused by an
// sshd with its own defaults. Its own clocks are survived: one that closes a
// connection on which nothing runs, and one that asks whether we live.
func TestSpareSessions(t *testing.T) {
	for _, test := range []struct {
		name, setting string
		pause         time.Duration
		connections   int
	}{
		{"sshd's defaults", "", 0, 1},
		{"ClientAliveInterval", "ClientAliveInterval 1\nClientAliveCountMax 1", 3 * time.Second, 1},
		{"UnusedConnectionTimeout", "UnusedConnectionTimeout 1s", 3 * time.Second, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := startSSHD(t, newDir(t), test.setting)
			pool := newPool(t, server)
			one := func() {
				r, err := pool.Run(t.Context(), "nexus", sshpool.Command{Script: "true"})
				if err != nil || r.Outcome != sshpool.Exited {
					t.Errorf("%+v, %v", r, err)
				}
			}
			one()
			eventually(t, "spares are open", func() error {
				if s := pool.Stats()["nexus"]; s.SpareSessions < 3 {
					return fmt.Errorf("%+v", s)
				}
				return nil
			})
			if test.pause > 0 {
				// sshd's clocks are in seconds, and nothing tells when they have run.
				<-time.After(test.pause)
			}
			one()
			s := pool.Stats()["nexus"]
			if int(s.Established) != test.connections || s.SparesLost != 0 || s.Unknown != 0 || s.Refusals != 0 {
				t.Errorf("%+v", s)
			}
			if test.connections == 1 && s.SparesUsed != 1 {
				t.Errorf("the second command did not find a session open: %+v", s)
			}
		})
	}
}
