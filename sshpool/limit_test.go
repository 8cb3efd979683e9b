package sshpool

import (
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"lifeline/sshpool/sshtest"
)

// 500 quick commands, 50 at once, succeed on one connection whatever the
// server's limit is, also if it frees its slots late.
func TestTheSessionLimitIsLearned(t *testing.T) {
	for _, c := range []struct {
		max   int
		delay time.Duration
	}{{10, 0}, {10, 2 * time.Millisecond}, {5, 0}, {5, time.Millisecond}, {2, 0}, {1, 0}, {1, 20 * time.Millisecond}, {200, 0}} {
		inBubble(t, sshtest.Config{MaxSessions: c.max, SlotDelay: c.delay, Latency: time.Millisecond}, func(cfg *Config) { cfg.QueueTimeout = 5 * time.Minute }, func(t *testing.T, l lab) {
			var callers sync.WaitGroup
			for range 50 {
				callers.Go(func() {
					for range 10 {
						if r, err := l.run(t, "sleep 1ms"); err != nil || r.Outcome != Exited {
							t.Errorf("MaxSessions %d: %+v, %v", c.max, r, err)
						}
					}
				})
			}
			callers.Wait()
			time.Sleep(10 * time.Millisecond) // for the answers to spares on the way
			n := l.server.Counts()
			if n.Connections != 1 || n.Commands != 500 {
				t.Errorf("MaxSessions %d: the server has seen %+v", c.max, n)
			}
			// A slot is freed a little after its session's end is known here: one
			// refusal per command is the server's way. A slot that is late by 20 ms
			// is asked for after 1, 2, 4, 8 and 16 ms.
			if most := 750; n.Refused > most && c.delay < 20*time.Millisecond || n.Refused > 4*most {
				t.Errorf("MaxSessions %d: %d refusals for 500 commands", c.max, n.Refused)
			}
			s := l.Stats()["nexus"]
			if s.Refusals != int64(n.Refused) {
				t.Errorf("MaxSessions %d: %d refusals counted, %d made", c.max, s.Refusals, n.Refused)
			}
			if s.SessionLimit > c.max+1 || c.max == 200 && s.SessionLimit <= 10 {
				t.Errorf("MaxSessions %d: learned %d", c.max, s.SessionLimit)
			}
			// No slot is lost, neither here nor there.
			time.Sleep(time.Minute)
			if s, n := l.Stats()["nexus"], l.server.Counts(); s.SessionsInUse != 0 || s.SpareSessions != n.SessionsNow {
				t.Errorf("MaxSessions %d, afterwards: %+v; the server has seen %+v", c.max, s, n)
			}
		})
	}
}

func TestAServerWithoutSessions(t *testing.T) {
	for _, reason := range []ssh.RejectionReason{0, ssh.Prohibited, ssh.UnknownChannelType} {
		max := -1
		if reason != 0 {
			max = 10
		}
		inBubble(t, sshtest.Config{MaxSessions: max}, nil, func(t *testing.T, l lab) {
			l.server.SetFaults(sshtest.Faults{RefuseSessions: reason})
			r, err := l.run(t, "exit 0")
			if kindOf(err) != KindRefused || r.Outcome != NotStarted || !strings.Contains(err.Error(), "refuses every session") {
				t.Errorf("%+v, %v", r, err)
			}
			if r.Queue > 2*time.Second {
				t.Errorf("took %v", r.Queue)
			}
			if s := l.Stats()["nexus"]; s.OpenConnections != 1 || s.SessionsInUse != 0 {
				t.Errorf("stats: %+v", s)
			}
		})
	}
}

// A refusal never closes the connection under the sessions that are open.
func TestARefusalHarmsNoSibling(t *testing.T) {
	inBubble(t, sshtest.Config{MaxSessions: 2}, noSpares, func(t *testing.T, l lab) {
		var callers sync.WaitGroup
		for range 2 {
			callers.Go(func() {
				if r, err := l.run(t, "sleep 20s"); err != nil || r.Outcome != Exited {
					t.Errorf("sibling: %+v, %v", r, err)
				}
			})
		}
		time.Sleep(time.Second)
		r, err := l.run(t, "exit 0")
		if err != nil || r.Queue < 18*time.Second || r.Tries != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		callers.Wait()
		if c := l.server.Counts(); c.Connections != 1 || c.Refused > 5 {
			t.Errorf("the server has seen %+v", c)
		}
	})
}

func TestExecIsRefused(t *testing.T) {
	inBubble(t, sshtest.Config{}, nil, func(t *testing.T, l lab) {
		l.server.SetFaults(sshtest.Faults{RefuseExec: true})
		r, err := l.run(t, "exit 0")
		if kindOf(err) != KindRefused || r.Outcome != NotStarted || r.Tries != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		l.server.SetFaults(sshtest.Faults{})
		if r, err := l.run(t, "exit 0"); err != nil || !r.Reused {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestLimit(t *testing.T) {
	l := newLimit(10)
	l.lower(4)
	for range firstPatience - 1 {
		if l.succeeded(4) || l.succeeded(3) {
			t.Fatal("raised too early")
		}
	}
	if !l.succeeded(4) || l.value != 5 {
		t.Fatalf("not raised: %+v", l)
	}
	l.lower(4)
	if l.value != 4 || l.patience != 2*firstPatience {
		t.Errorf("a failed search is not made rarer: %+v", l)
	}
	l.lower(0)
	if l.value != 1 {
		t.Errorf("the limit fell to %d", l.value)
	}
}
