package sshpool

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lifeline/sshpool/sshtest"
)

// The connection is cut at each stage of a command's life; each has its one
// right answer, and only a command that provably did not start is repeated.
func TestTheConnectionIsCut(t *testing.T) {
	printing := func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
		c.Stdout.Write([]byte("one\n"))
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		c.Stdout.Write([]byte("two\n"))
		return sshtest.Exit{Status: 4}
	}
	for _, c := range []struct {
		at      sshtest.DropPoint
		times   int
		outcome Outcome
		kind    ErrorKind
		tries   int
		ran     int
		output  string
	}{
		{sshtest.DropAtOpen, 1, Exited, "", 2, 1, "one\ntwo\n"},
		{sshtest.DropAtOpen, 0, NotStarted, KindLost, 2, 0, ""},
		{sshtest.DropAtExec, 1, Unknown, KindLost, 1, 0, ""},
		{sshtest.DropAtStart, 1, Unknown, KindLost, 1, 1, ""},
		{sshtest.DropAfterExec, 1, Unknown, KindLost, 1, 1, ""},
		{sshtest.DropAtOutput, 1, Unknown, KindLost, 1, 1, "one\n"},
		{sshtest.DropAtExit, 1, Exited, "", 1, 1, "one\ntwo\n"},
	} {
		inBubble(t, sshtest.Config{Handler: printing, Latency: time.Millisecond}, nil, func(t *testing.T, l lab) {
			l.server.SetFaults(sshtest.Faults{DropAt: c.at, DropTimes: c.times})
			r, err := l.run(t, "print")
			if r.Outcome != c.outcome || kindOf(err) != c.kind || r.Tries != c.tries {
				t.Errorf("cut at %s: %+v, %v", c.at, r, err)
			}
			if c.outcome == Exited && r.OutputCut != (c.at == sshtest.DropAtExit) {
				t.Errorf("cut at %s: the end of the output is reported as lost: %v", c.at, r.OutputCut)
			}
			if c.outcome == Exited && r.ExitStatus != 4 {
				t.Errorf("cut at %s: exit status %d", c.at, r.ExitStatus)
			}
			if got := string(r.Stdout.Bytes()); !strings.HasPrefix(c.output, got) || c.outcome == Exited && got != c.output {
				t.Errorf("cut at %s: output %q, want %q", c.at, got, c.output)
			}
			if got := l.server.Counts().Commands; got != c.ran {
				t.Errorf("cut at %s: ran %d times, want %d", c.at, got, c.ran)
			}
			if r.Outcome == NotStarted && !strings.Contains(err.Error(), "did not start, twice") {
				t.Errorf("cut at %s: %v", c.at, err)
			}
			l.server.SetFaults(sshtest.Faults{})
			if r, err := l.run(t, "print"); err != nil || r.ExitStatus != 4 {
				t.Errorf("after a cut at %s: %+v, %v", c.at, r, err)
			}
		})
	}
}

// The connection ends between two commands: the next one dials, and nothing is
// lost.
func TestALostConnectionIsReplaced(t *testing.T) {
	inBubble(t, sshtest.Config{}, nil, func(t *testing.T, l lab) {
		for range 3 {
			if r, err := l.run(t, "exit 0"); err != nil || r.Reused {
				t.Errorf("%+v, %v", r, err)
			}
			l.server.Drop()
			synctest.Wait()
			if s := l.Stats()["nexus"]; s.OpenConnections != 0 {
				t.Errorf("stats: %+v", s)
			}
		}
	})
}

// On a half-open link, where nothing moves and nobody is told, every stage ends
// at its own clock, and the connection is found dead in the background.
func TestAHalfOpenLink(t *testing.T) {
	clocks := func(c *Config) {
		c.QueueTimeout, c.RunTimeout, c.KillGrace = 3*time.Second, 7*time.Second, 2*time.Second
	}
	t.Run("before the session", func(t *testing.T) {
		inBubble(t, sshtest.Config{}, func(c *Config) { clocks(c); noSpares(c) }, func(t *testing.T, l lab) {
			l.run(t, "exit 0")
			l.server.Freeze()
			begun := time.Now()
			r, err := l.run(t, "exit 0")
			if kindOf(err) != KindQueueTimeout || r.Outcome != NotStarted || time.Since(begun) != 3*time.Second {
				t.Errorf("after %v: %+v, %v", time.Since(begun), r, err)
			}
			if !strings.Contains(err.Error(), "did not answer") {
				t.Errorf("%v", err)
			}
		})
	})
	t.Run("while it runs", func(t *testing.T) {
		inBubble(t, sshtest.Config{}, clocks, func(t *testing.T, l lab) {
			var caller sync.WaitGroup
			begun := time.Now()
			caller.Go(func() {
				r, err := l.run(t, "sleep 1h")
				// The run clock, the grace after TERM, and the grace after KILL.
				if kindOf(err) != KindRunTimeout || r.Outcome != TimedOut || time.Since(begun) != 11*time.Second {
					t.Errorf("after %v: %+v, %v", time.Since(begun), r, err)
				}
				if r.Kill == nil || r.Kill.Confirmed || len(r.Kill.Signals) != 0 || !strings.Contains(r.Kill.Note, "may still run") {
					t.Errorf("kill: %+v", r.Kill)
				}
			})
			time.Sleep(time.Second)
			l.server.Freeze()
			caller.Wait()
			if s := l.Stats()["nexus"]; s.SessionsInUse != 1 {
				t.Errorf("the slot of a process that may still run was given away: %+v", s)
			}
		})
	})
	t.Run("found in the background", func(t *testing.T) {
		inBubble(t, sshtest.Config{}, func(c *Config) { c.RunTimeout = time.Hour }, func(t *testing.T, l lab) {
			var caller sync.WaitGroup
			begun := time.Now()
			caller.Go(func() {
				r, err := l.run(t, "sleep 2h")
				if kindOf(err) != KindLost || r.Outcome != Unknown {
					t.Errorf("%+v, %v", r, err)
				}
				// 3 keepalive intervals after the first question, and what a tick is late.
				if took := time.Since(begun); took < 60*time.Second || took > 71*time.Second {
					t.Errorf("found after %v", took)
				}
			})
			time.Sleep(time.Second)
			l.server.Freeze()
			caller.Wait()
			if r, err := l.run(t, "exit 0"); err != nil || r.Reused {
				t.Errorf("%+v, %v", r, err)
			}
		})
	})
	t.Run("a short silence is no death", func(t *testing.T) {
		inBubble(t, sshtest.Config{}, nil, func(t *testing.T, l lab) {
			l.run(t, "exit 0")
			for range 5 {
				l.server.Freeze()
				time.Sleep(40 * time.Second)
				l.server.Thaw()
				time.Sleep(time.Minute)
			}
			if r, err := l.run(t, "exit 0"); err != nil || !r.Reused {
				t.Errorf("%+v, %v", r, err)
			}
		})
	})
}

// A peer that takes no more bytes cannot hold a command: the write is given up
// and the connection with it. Real time, for x/crypto/ssh holds a mutex while it
// writes, and a bubble's clock stands still while somebody waits for one.
func TestAWriteThatBlocks(t *testing.T) {
	s := sshtest.New(sshtest.Config{Handler: shell})
	defer s.Close()
	stuck := make(chan struct{})
	p, err := New(Config{
		Hosts: map[string]Host{"nexus": host(s)}, KnownHosts: []string{knownHosts(t, s.KnownHostsLine("nexus"))},
		KeepaliveInterval: 500 * time.Millisecond, KeepaliveCount: 4, QueueTimeout: time.Hour, ConnectTimeout: time.Second, SpareSessions: -1,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := s.Dial(ctx, network, address)
			return &stuckConn{Conn: conn, stuck: stuck, closed: make(chan struct{})}, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := p.Run(t.Context(), "nexus", Command{Script: "exit 0", ConnectTimeout: time.Minute}); err != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	close(stuck)
	// The second try is stuck in its handshake.
	r, err := p.Run(t.Context(), "nexus", Command{Script: "exit 0"})
	if kindOf(err) != KindConnectTimeout || r.Outcome != NotStarted || r.Tries != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAConnectionThatDiesAtOnce(t *testing.T) {
	inBubble(t, sshtest.Config{}, nil, func(t *testing.T, l lab) {
		// Cut while sessions are being opened, over and over: nothing hangs, and
		// what comes out is always one of the honest answers.
		var stop atomic.Bool
		var cutter sync.WaitGroup
		cutter.Go(func() {
			for !stop.Load() {
				time.Sleep(3 * time.Millisecond)
				l.server.Drop()
			}
		})
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for range 50 {
					r, err := l.run(t, "sleep 1ms")
					honest := err == nil && r.Outcome == Exited && r.ExitStatus == 0 ||
						kindOf(err) == KindLost || r.Outcome == NotStarted && err != nil
					if !honest {
						t.Errorf("%+v, %v", r, err)
					}
				}
			})
		}
		callers.Wait()
		stop.Store(true)
		cutter.Wait()
	})
}
