package sshpool

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/sshpool/sshtest"
)

func TestKill(t *testing.T) {
	for _, c := range []struct {
		name    string
		faults  sshtest.Faults
		script  string
		want    *Kill
		took    time.Duration
		running int // at the server, afterwards
		slots   int // still taken
	}{
		{
			name: "at once", script: "sleep 1h",
			want: &Kill{Confirmed: true, Signals: []string{"TERM"}, Note: "it ended by signal TERM after TERM"},
		},
		{
			name: "first signals lost", script: "sleep 1h", faults: sshtest.Faults{LoseSignals: 3},
			want: &Kill{Confirmed: true, Signals: []string{"TERM"}, Note: "it ended by signal TERM after TERM"},
			took: 70 * time.Millisecond, // 10 + 20 + 40
		},
		{
			name: "TERM is ignored", script: "stubborn 1h",
			want: &Kill{Confirmed: true, Signals: []string{"TERM", "KILL"}, Note: "it ended by signal KILL after TERM and KILL"},
			took: 2 * time.Second,
		},
		{
			name: "not even KILL", script: "undead 10s",
			want: &Kill{Signals: []string{"TERM", "KILL"}, Note: "its end was not seen; it may still run"},
			took: 4 * time.Second, running: 1, slots: 1,
		},
		{
			name: "no signals", script: "sleep 10s", faults: sshtest.Faults{IgnoreSignals: true},
			want: &Kill{Note: "the server delivered no signal to it, as with OpenSSH for forced commands, and before 9.9 for root; it may still run"},
			took: 1060 * time.Millisecond, running: 1, slots: 1, // 10 + 20 + 40 + 80 + 160 + 3 * 250
		},
		{
			name: "no answer", script: "sleep 10s", faults: sshtest.Faults{StallSignals: true},
			want: &Kill{Note: "the server did not answer the signals; it may still run"},
			took: 4 * time.Second, running: 1, slots: 1,
		},
		{
			name: "no answer to exec", script: "stubborn 1h", faults: sshtest.Faults{StallExec: true},
			want: &Kill{Confirmed: true, Note: "it ended by signal KILL"},
			took: 2 * time.Second,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sshtest.Config{}, func(c *Config) { c.RunTimeout, c.KillGrace = time.Second, 2*time.Second }, func(t *testing.T, l lab) {
				l.server.SetFaults(c.faults)
				begun := time.Now()
				r, err := l.run(t, c.script)
				if kindOf(err) != KindRunTimeout || r.Outcome != TimedOut {
					t.Errorf("%+v, %v", r, err)
				}
				if diff := cmp.Diff(c.want, r.Kill); diff != "" {
					t.Error(diff)
				}
				if took := time.Since(begun) - time.Second; took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				synctest.Wait()
				if got := l.server.Counts().RunningNow; got != c.running {
					t.Errorf("%d run on, want %d", got, c.running)
				}
				if got := l.Stats()["nexus"].SessionsInUse; got != c.slots {
					t.Errorf("%d slots taken, want %d", got, c.slots)
				}
				if c.slots > 0 {
					time.Sleep(10 * time.Second) // it ends by itself
					synctest.Wait()
					if got := l.Stats()["nexus"].SessionsInUse; got != 0 {
						t.Errorf("%d slots taken after its end, want none", got)
					}
				}
				if s := l.Stats()["nexus"]; s.Kills != 1 || s.Timeouts != 1 || s.Established != 1 {
					t.Errorf("stats: %+v", s)
				}
			})
		})
	}
}

func TestCancelEndsTheProcess(t *testing.T) {
	cancelAfter := func(t *testing.T, l lab, script string) (*Result, error) {
		ctx, cancel := context.WithCancel(t.Context())
		defer time.AfterFunc(time.Second, cancel).Stop()
		return l.Run(ctx, "nexus", Command{Script: script, KillGrace: 2 * time.Second})
	}
	t.Run("confirmed", func(t *testing.T) {
		inBubble(t, sshtest.Config{}, nil, func(t *testing.T, l lab) {
			r, err := cancelAfter(t, l, "sleep 1h")
			if err != nil || r.Outcome != Signaled || r.Signal != "TERM" || !r.Kill.Confirmed || r.Run != time.Second {
				t.Errorf("%+v, %v", r, err)
			}
		})
	})
	t.Run("not confirmed", func(t *testing.T) {
		inBubble(t, sshtest.Config{}, nil, func(t *testing.T, l lab) {
			r, err := cancelAfter(t, l, "undead 1m")
			if kindOf(err) != KindCanceled || r.Outcome != Unknown || r.Kill.Confirmed || !strings.Contains(err.Error(), "may still run") {
				t.Errorf("%+v, %v", r, err)
			}
		})
	})
	t.Run("a shell that reports its child's signal", func(t *testing.T) {
		handler := func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
			<-c.Trap("TERM")
			return sshtest.Exit{Status: 143}
		}
		inBubble(t, sshtest.Config{Handler: handler}, nil, func(t *testing.T, l lab) {
			r, err := cancelAfter(t, l, "x")
			if err != nil || r.Outcome != Signaled || r.Signal != "TERM" || r.ExitStatus != 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	})
	t.Run("a command that cleans up", func(t *testing.T) {
		handler := func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
			<-c.Trap("TERM")
			return sshtest.Exit{Status: 5}
		}
		inBubble(t, sshtest.Config{Handler: handler}, nil, func(t *testing.T, l lab) {
			r, err := cancelAfter(t, l, "x")
			if err != nil || r.Outcome != Exited || r.ExitStatus != 5 || r.Kill == nil {
				t.Errorf("%+v, %v", r, err)
			}
		})
	})
	t.Run("before it began", func(t *testing.T) {
		inBubble(t, sshtest.Config{}, nil, func(t *testing.T, l lab) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			r, err := l.Run(ctx, "nexus", Command{Script: "exit 0"})
			if kindOf(err) != KindCanceled || r.Outcome != NotStarted || l.server.Counts().Connections != 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	})
}

// What a killed command left behind is reported as possibly running.
func TestKillSeesASurvivor(t *testing.T) {
	handler := func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
		<-ctx.Done()
		return sshtest.Exit{Background: func(ctx context.Context) {
			select {
			case <-ctx.Done():
			case <-time.After(time.Minute):
			}
		}}
	}
	inBubble(t, sshtest.Config{Handler: handler}, func(c *Config) { c.RunTimeout = time.Second }, func(t *testing.T, l lab) {
		r, err := l.run(t, "x")
		if kindOf(err) != KindRunTimeout || r.Kill.Confirmed || !strings.Contains(r.Kill.Note, "may still run") {
			t.Errorf("%+v, %v", r.Kill, err)
		}
	})
}

// Run returns when the command exits, not when a child closes the output.
func TestABackgroundChildDoesNotHoldRun(t *testing.T) {
	inBubble(t, sshtest.Config{MaxSessions: 3}, func(c *Config) { c.MaxSessions = 3 }, func(t *testing.T, l lab) {
		for range 10 {
			begun := time.Now()
			r, err := l.run(t, "daemon 1h")
			if err != nil || r.Outcome != Exited || string(r.Stdout.Bytes()) != "started\n" || !r.OutputCut {
				t.Errorf("%+v, %v", r, err)
			}
			if took := time.Since(begun); took > time.Second {
				t.Errorf("took %v", took)
			}
			l.server.Thaw()
		}
	})
}

// Output that comes after the exit status belongs to the command.
func TestOutputAfterTheExitIsKept(t *testing.T) {
	handler := func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
		return sshtest.Exit{Background: func(ctx context.Context) {
			for range 10 {
				time.Sleep(100 * time.Millisecond)
				c.Stdout.Write([]byte("."))
			}
		}}
	}
	inBubble(t, sshtest.Config{Handler: handler}, nil, func(t *testing.T, l lab) {
		r, err := l.run(t, "x")
		if err != nil || string(r.Stdout.Bytes()) != ".........." || r.Run != time.Second {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A connection whose every slot is held by a process that cannot be ended is
// given up, and not before.
func TestAConnectionFullOfTheUndeadIsRetired(t *testing.T) {
	inBubble(t, sshtest.Config{}, func(c *Config) { c.MaxSessions, c.RunTimeout, c.KillGrace = 2, time.Second, time.Second }, func(t *testing.T, l lab) {
		var callers sync.WaitGroup
		for range 2 {
			callers.Go(func() { l.run(t, "undead 10m") })
		}
		time.Sleep(500 * time.Millisecond)
		callers.Go(func() {
			r, err := l.run(t, "exit 0")
			if err != nil || r.Queue < time.Second {
				t.Errorf("%+v, %v", r, err)
			}
		})
		callers.Wait()
		synctest.Wait()
		if c := l.server.Counts(); c.Connections != 2 {
			t.Errorf("the server has seen %+v", c)
		}
		if s := l.Stats()["nexus"]; s.OpenConnections != 1 || s.SessionsInUse != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}
