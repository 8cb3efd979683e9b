package sshpool

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lifeline/sshpool/sshtest"
)

// Every test here ends with a bubble, which reports goroutines that are left.

func TestShutdownWaitsForWhatRuns(t *testing.T) {
	inBubble(t, sshtest.Config{}, func(c *Config) { c.MaxSessions = 1 }, func(t *testing.T, l lab) {
		var callers sync.WaitGroup
		callers.Go(func() {
			if r, err := l.run(t, "sleep 10s"); err != nil || r.Outcome != Exited {
				t.Errorf("running: %+v, %v", r, err)
			}
		})
		synctest.Wait()
		callers.Go(func() {
			if r, err := l.run(t, "exit 0"); kindOf(err) != KindClosed || r.Outcome != NotStarted {
				t.Errorf("waiting: %+v, %v", r, err)
			}
		})
		synctest.Wait()
		begun := time.Now()
		for range 3 { // at once, and idempotent
			callers.Go(func() {
				if err := l.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if r, err := l.run(t, "exit 0"); kindOf(err) != KindClosed || r.Outcome != NotStarted {
			t.Errorf("late: %+v, %v", r, err)
		}
		callers.Wait()
		if took := time.Since(begun); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
		if err := l.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if s := l.Stats()["nexus"]; s.OpenConnections != 0 || s.SessionsInUse != 0 {
			t.Errorf("stats: %+v", s)
		}
		if kinds := l.events.kinds(); kinds[len(kinds)-1] != ConnectionClosed {
			t.Errorf("events: %v", kinds)
		}
		synctest.Wait() // the server hears of it a moment later
		synctest.Wait() // until the server has seen it, too
		if c := l.server.Counts(); c.OpenNow != 0 {
			t.Errorf("the server has seen %+v", c)
		}
	})
}

func TestShutdownEndsWhatRunsAtItsDeadline(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	synctest.Test(t, func(t *testing.T) {
		s := sshtest.New(sshtest.Config{Handler: shell})
		defer s.Close()
		p, err := New(Config{
			Hosts: map[string]Host{"nexus": host(s)}, KnownHosts: []string{knownHosts(t, s.KnownHostsLine("nexus"))},
			Dial: s.Dial, RunTimeout: time.Hour, KillGrace: 2 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		var callers sync.WaitGroup
		callers.Go(func() {
			r, err := p.Run(t.Context(), "nexus", Command{Script: "stubborn 1h"})
			if err != nil || r.Outcome != Signaled || r.Signal != "KILL" || !slices.Equal(r.Kill.Signals, []string{"TERM", "KILL"}) {
				t.Errorf("stubborn: %+v, %v", r, err)
			}
		})
		callers.Go(func() {
			r, err := p.Run(t.Context(), "nexus", Command{Script: "undead 10m"})
			if kindOf(err) != KindClosed || r.Outcome != Unknown || r.Kill.Confirmed {
				t.Errorf("undead: %+v, %v", r, err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begun := time.Now()
		err = p.Shutdown(ctx)
		if kindOf(err) != KindClosed || !strings.Contains(err.Error(), "2 commands were still running") {
			t.Error(err)
		}
		if took := time.Since(begun); took != 9*time.Second { // the deadline, and twice the grace
			t.Errorf("took %v", took)
		}
		callers.Wait()
	})
}

func TestShutdownWhileDialling(t *testing.T) {
	inBubble(t, sshtest.Config{}, nil, func(t *testing.T, l lab) {
		l.server.SetFaults(sshtest.Faults{StallHandshake: true})
		l.Warm("nexus")
		var caller sync.WaitGroup
		caller.Go(func() {
			if r, err := l.run(t, "exit 0"); kindOf(err) != KindClosed || r.Outcome != NotStarted {
				t.Errorf("%+v, %v", r, err)
			}
		})
		time.Sleep(time.Second)
		begun := time.Now()
		if err := l.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > time.Second {
			t.Errorf("took %v", took)
		}
		caller.Wait()
	})
}

func TestShutdownOnADeadLink(t *testing.T) {
	inBubble(t, sshtest.Config{}, func(c *Config) { c.KillGrace = time.Second }, func(t *testing.T, l lab) {
		var caller sync.WaitGroup
		caller.Go(func() {
			if r, err := l.run(t, "sleep 1h"); kindOf(err) != KindClosed || r.Outcome != Unknown {
				t.Errorf("%+v, %v", r, err)
			}
		})
		synctest.Wait()
		l.server.Freeze()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if err := l.Pool.Shutdown(ctx); err == nil {
			t.Error("no error for a command that was given up")
		}
		if took := time.Since(begun); took > 4*time.Second {
			t.Errorf("took %v", took)
		}
		caller.Wait()
		l.server.Drop()
	})
}
