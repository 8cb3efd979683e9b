package sshpool

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lifeline/sshpool/sshtest"
)

// burst runs n commands, so many at once, and gives the time it took.
func (l lab) burst(t *testing.T, n, atOnce int, script string) time.Duration {
	t.Helper()
	begun := time.Now()
	todo := make(chan int, n)
	for i := range n {
		todo <- i
	}
	close(todo)
	var callers sync.WaitGroup
	for range atOnce {
		callers.Go(func() {
			for range todo {
				if r, err := l.run(t, script); err != nil || r.Outcome != Exited || r.ExitStatus != 0 {
					t.Errorf("%+v, %v", r, err)
				}
			}
		})
	}
	callers.Wait()
	return time.Since(begun)
}

// On a warm line a command costs one round trip, and so does the next, also
// after hours of silence.
func TestASpareSavesARoundTrip(t *testing.T) {
	const oneWay = 25 * time.Millisecond
	inBubble(t, sshtest.Config{Latency: oneWay}, nil, func(t *testing.T, l lab) {
		l.Warm("nexus")
		time.Sleep(5 * time.Second)
		for range 3 {
			for range 20 {
				begun := time.Now()
				r, err := l.run(t, "exit 0")
				if took := time.Since(begun); err != nil || took != 2*oneWay || !r.Reused || r.Queue != 0 || r.Tries != 1 {
					t.Fatalf("took %v: %+v, %v", took, r, err)
				}
			}
			time.Sleep(5 * time.Hour)
		}
		if s := l.Stats()["nexus"]; s.SparesUsed != 60 || s.Reused != 60 || s.SessionsInUse != 0 || s.SpareSessions != 1 || s.Refusals != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

// A command that waits takes whichever session comes first, and tells truly
// whether it waited for the dial.
func TestReusedIsTrueOfSparesToo(t *testing.T) {
	inBubble(t, sshtest.Config{Latency: time.Millisecond}, nil, func(t *testing.T, l lab) {
		var callers sync.WaitGroup
		for range 40 {
			callers.Go(func() {
				if r, err := l.run(t, "sleep 1ms"); err != nil || r.Reused {
					t.Errorf("first: %+v, %v", r, err)
				}
			})
		}
		callers.Wait()
		if s := l.Stats()["nexus"]; s.Reused != 0 || s.Established != 1 {
			t.Errorf("stats: %+v", s)
		}
	})
}

// The workload of 24 commands, 8 at once: six round trips with two for each
// command. Where the server allows many sessions it takes three, and where it
// has the default it takes no more than without spares.
func TestSparesInTheFoundingWorkload(t *testing.T) {
	const trip = 20 * time.Millisecond
	for _, c := range []struct {
		max    int
		spares int
		most   time.Duration
	}{{64, 0, 3 * trip}, {64, -1, 6 * trip}, {10, 0, 7 * trip}, {5, 0, 14 * trip}, {5, -1, 14 * trip}} {
		inBubble(t, sshtest.Config{MaxSessions: c.max, Latency: trip / 2}, func(cfg *Config) { cfg.SpareSessions = c.spares }, func(t *testing.T, l lab) {
			l.burst(t, 24, 8, "exit 0") // the limit is learned
			time.Sleep(3 * time.Second)
			took := l.burst(t, 24, 8, "exit 0")
			t.Logf("MaxSessions %d, SpareSessions %d: %.1f round trips, %+v", c.max, c.spares, float64(took)/float64(trip), l.Stats()["nexus"])
			// A refused session costs its round trip and some milliseconds.
			if took > c.most+trip/4 {
				t.Errorf("MaxSessions %d, SpareSessions %d: took %v, want %v", c.max, c.spares, took, c.most)
			}
			if n := l.server.Counts(); n.Connections != 1 || n.Commands != 48 {
				t.Errorf("the server has seen %+v", n)
			}
		})
	}
}

// A small MaxSessions is learned without a command's help, and its last slots
// are left free.
func TestSparesLeaveASmallServerItsSlots(t *testing.T) {
	for _, c := range []struct{ max, spares, limit int }{{1, 0, 1}, {2, 0, 2}, {3, 1, 3}, {5, 3, 5}, {10, 8, 10}} {
		inBubble(t, sshtest.Config{MaxSessions: c.max, Latency: time.Millisecond}, nil, func(t *testing.T, l lab) {
			l.Warm("nexus")
			time.Sleep(time.Minute)
			if s := l.Stats()["nexus"]; s.SpareSessions != c.spares || s.SessionLimit != c.limit || s.SessionsInUse != 0 {
				t.Errorf("MaxSessions %d: %+v", c.max, s)
			}
			if n := l.server.Counts(); n.SessionsNow != c.spares || n.Refused > 10 {
				t.Errorf("MaxSessions %d: the server has seen %+v", c.max, n)
			}
			l.burst(t, 20, 5, "sleep 1ms")
			time.Sleep(30 * time.Minute)
			if n := l.server.Counts(); n.Connections != 1 || n.Refused > 80 || n.SessionsNow > 1 {
				t.Errorf("MaxSessions %d, later: the server has seen %+v", c.max, n)
			}
		})
	}
}

// A server that closes sessions which run nothing is left alone with spares, and
// its commands are none the worse.
func TestAServerThatClosesSpares(t *testing.T) {
	inBubble(t, sshtest.Config{DanglingTimeout: time.Second, Latency: time.Millisecond}, nil, func(t *testing.T, l lab) {
		for range 240 {
			if r, err := l.run(t, "exit 0"); err != nil || !r.Reused && l.Stats()["nexus"].Commands > 1 || r.Tries != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			time.Sleep(time.Minute)
		}
		s := l.Stats()["nexus"]
		if s.SparesLost == 0 || s.SparesLost > 80 || s.Established != 1 || s.Unknown != 0 || s.SessionsInUse != 0 {
			t.Errorf("stats: %+v", s)
		}
		lost := 0
		for _, k := range l.events.kinds() {
			if k == SpareLost {
				lost++
			}
		}
		if int64(lost) != s.SparesLost {
			t.Errorf("%d events of a lost spare, %d counted", lost, s.SparesLost)
		}
	})
}

// A spare that the server closed a moment ago is not a command that may have
// run: it starts again in another session.
func TestASpareIsClosedWhileItIsTaken(t *testing.T) {
	inBubble(t, sshtest.Config{}, nil, func(t *testing.T, l lab) {
		l.run(t, "exit 0")
		synctest.Wait()
		line := l.lines["nexus"]
		line.mu.Lock()
		c := line.conns[0]
		s := c.spares[0]
		c.spares = c.spares[1:]
		line.mu.Unlock()
		s.ch.Close()
		<-s.closed
		j, err := newJob("nexus", Command{Script: "exit 0"}, l.cfg, false)
		if err != nil {
			t.Fatal(err)
		}
		r := &Result{Outcome: NotStarted}
		if err := s.run(t.Context(), j, r); r.Outcome != NotStarted || !isDied(err) {
			t.Errorf("%+v, %v", r, err)
		}
		if n := l.server.Counts(); n.Commands != 1 {
			t.Errorf("the server has seen %+v", n)
		}
	})
}

// sshd's UnusedConnectionTimeout closes a connection in spite of its spares, and
// its ClientAlive asks on a session that runs nothing, too.
func TestSparesAndTheServersOwnClocks(t *testing.T) {
	t.Run("UnusedConnectionTimeout", func(t *testing.T) {
		inBubble(t, sshtest.Config{UnusedTimeout: 4 * time.Second}, nil, func(t *testing.T, l lab) {
			for range 10 {
				if r, err := l.run(t, "exit 0"); err != nil || r.Outcome != Exited {
					t.Errorf("%+v, %v", r, err)
				}
				time.Sleep(10 * time.Second)
			}
			if s := l.Stats()["nexus"]; s.Unknown != 0 || s.Established != 10 || s.SparesLost != 0 || s.SpareSessions != 0 {
				t.Errorf("stats: %+v", s)
			}
		})
	})
	t.Run("ClientAlive", func(t *testing.T) {
		inBubble(t, sshtest.Config{ClientAlive: time.Second}, nil, func(t *testing.T, l lab) {
			l.Warm("nexus")
			time.Sleep(10 * time.Minute)
			if s := l.Stats()["nexus"]; s.Established != 1 || s.SpareSessions == 0 {
				t.Errorf("stats: %+v", s)
			}
			if n := l.server.Counts(); n.Alive < 500 {
				t.Errorf("the server has asked %d times", n.Alive)
			}
		})
	})
}

// What a spare costs: a link that has died is noticed only by what was sent. On
// one that has been silent for longer than a healthy one, none is used.
func TestASpareOnADeadLink(t *testing.T) {
	clocks := func(c *Config) {
		c.QueueTimeout, c.RunTimeout, c.KillGrace = 3*time.Second, 7*time.Second, 2*time.Second
	}
	for _, c := range []struct {
		after   time.Duration
		outcome Outcome
		kind    ErrorKind
	}{{0, TimedOut, KindRunTimeout}, {30 * time.Second, NotStarted, KindQueueTimeout}} {
		inBubble(t, sshtest.Config{}, clocks, func(t *testing.T, l lab) {
			l.run(t, "exit 0")
			synctest.Wait()
			l.server.Freeze()
			time.Sleep(c.after)
			if r, err := l.run(t, "exit 0"); r.Outcome != c.outcome || kindOf(err) != c.kind {
				t.Errorf("after %v: %+v, %v", c.after, r, err)
			}
		})
	}
}

// A caller that gives up while its session is opened leaves a spare, not a leak.
func TestAnOpeningThatNobodyWaitsFor(t *testing.T) {
	inBubble(t, sshtest.Config{Latency: 100 * time.Millisecond}, func(c *Config) { c.SpareSessions = 1 }, func(t *testing.T, l lab) {
		l.run(t, "exit 0")
		l.run(t, "exit 0")
		time.Sleep(time.Second)
		for range 20 {
			var callers sync.WaitGroup
			for range 5 {
				callers.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
					defer cancel()
					l.Run(ctx, "nexus", Command{Script: "sleep 1ms"})
				})
			}
			callers.Wait()
		}
		time.Sleep(time.Second)
		if s := l.Stats()["nexus"]; s.SessionsInUse != 0 || s.SpareSessions != 1 || s.Established != 1 {
			t.Errorf("stats: %+v", s)
		}
		if n := l.server.Counts(); n.SessionsNow != 1 {
			t.Errorf("the server has seen %+v", n)
		}
	})
}

// Jump hosts, on which nothing runs, and configurations without spares keep none.
func TestNoSparesWhereNoneAreWanted(t *testing.T) {
	withJumps(t, nil, func(t *testing.T, j jumps) {
		j.Run(t.Context(), "nexus", Command{Script: "exit 0"})
		time.Sleep(time.Second)
		if g, n := j.gate.Counts(), j.nexus.Counts(); g.Sessions != 0 || n.SessionsNow == 0 {
			t.Errorf("gate has seen %+v, nexus %+v", g, n)
		}
	})
	inBubble(t, sshtest.Config{}, noSpares, func(t *testing.T, l lab) {
		l.Warm("nexus")
		l.burst(t, 20, 5, "exit 0")
		time.Sleep(time.Minute)
		if n := l.server.Counts(); n.Sessions != 20 || n.SessionsNow != 0 {
			t.Errorf("the server has seen %+v", n)
		}
	})
}
