package app

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"lifeline"
)

// soakVariable is how many rounds with random ends are played, in the
// environment: "make soak" sets it to many.
const soakVariable = "LIFELINE_SOAK"

// rounds is how many rounds a test plays: few, or as many as the soak says.
func rounds(t *testing.T, few int) int {
	t.Helper()
	text := os.Getenv(soakVariable)
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s is not a number of rounds", soakVariable, text)
	}
	return n
}

// once is a plan for the first start only.
func once(p plan) func() plan {
	first := true
	return func() plan {
		if first {
			first = false
			return p
		}
		return plan{}
	}
}

// points are the places in the life of an incident at which the service is
// ended, in the order in which it comes to them. Every call of the workflow, of
// the door and of the intake is between two of them.
var points = []string{
	// the alert
	"receive.before", "inserted", "receive.after",
	// plan
	"incident.before", "alert.before", "choose.before", "choose.after", "move investigating.before", "move investigating.after",
	"work.before", "read intent.before", "read intent.after", "read run", "read result.before", "read result.after",
	// the change
	"intent.before", "intent.after", "dial", "send", "host has begun", "host is done", "output", "exit", "result.before", "result.after",
	"work.after",
	// the end
	"event responder_ended.before", "event responder_ended.after", "move verifying.before", "move verifying.after",
	"event verified.before", "event verified.after", "move resolved.before", "move resolved.after",
}

// askedPoints are those that a change with an approval comes to besides, or
// comes to again.
var askedPoints = []string{
	"ask.before", "ask.after", "approvals.before", "move awaiting_approval.before", "move awaiting_approval.after",
	"person has decided", "decided while it was down",
	"intent.before", "intent.after", "host has begun", "exit", "result.after",
}

// SIGKILL at every point of an incident's life: the host's journal has no change
// twice and none without its intent, and after a restart the incident comes to
// its end.
func TestKilledAtEveryPoint(t *testing.T) {
	for _, mode := range []string{auto, suggest} {
		for _, point := range map[string][]string{auto: points, suggest: askedPoints}[mode] {
			t.Run(mode+" "+point, func(t *testing.T) {
				t.Parallel()
				killedAt(t, newSite(t, mode, ""), point, 1)
			})
		}
	}
}

// killedAt plays a round in which the service dies when it comes to a point for
// the nth time.
func killedAt(t *testing.T, s *site, point string, nth int) {
	t.Helper()
	p := plan{Point: point, Nth: nth}
	kills := 0
	switch point {
	case "host has begun":
		s.killWhen(&s.begun)
	case "host is done":
		s.killWhen(&s.done)
	case "person has decided":
		s.onPending = func(a lifeline.Approval) {
			s.approve(a)
			if kills++; kills == 1 {
				s.service.kill()
			}
		}
	case "decided while it was down":
		s.onPending = func(a lifeline.Approval) {
			if kills++; kills == 1 {
				s.service.kill()
			}
			s.approve(a)
		}
	}
	inc, restarts := s.untilEnded(once(p))
	if restarts != 1 {
		t.Errorf("the service was started again %d times, want once: it never came to %q", restarts, point)
	}
	s.honest(inc)
	s.ended(inc)
	s.stop()
}

// SIGKILL right before any transaction would be committed, those of the workflow
// engine too: what is on disk at a death is one of these states.
func TestKilledBeforeAnyCommit(t *testing.T) {
	const most = 66 // what an incident takes at least
	n := rounds(t, 6)
	var kills atomic.Int64
	t.Run("rounds", func(t *testing.T) {
		for i := range n {
			commit := 1 + (i*most/n+rand.N(most/min(n, most)+1))%most
			mode := []string{auto, suggest}[i%2]
			t.Run(fmt.Sprintf("%d %s %d", i, mode, commit), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, mode, "")
				inc, restarts := s.untilEnded(once(plan{Commit: commit}))
				kills.Add(int64(restarts))
				s.honest(inc)
				s.ended(inc)
				s.stop()
			})
		}
	})
	t.Logf("%d rounds, %d kills", n, kills.Load())
	if kills.Load() < int64(n)/2 {
		t.Errorf("%d kills in %d rounds: the commits are counted wrongly", kills.Load(), n)
	}
}

// SIGKILL again and again, at random: within the same incident, also while it
// recovers from the death before.
func TestKilledAgainAndAgain(t *testing.T) {
	named := slices.Concat(points, askedPoints)
	n := rounds(t, 4)
	var kills atomic.Int64
	begun := time.Now()
	t.Run("rounds", func(t *testing.T) {
		for i := range n {
			mode := []string{auto, suggest}[i%2]
			t.Run(fmt.Sprintf("%d %s", i, mode), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, mode, "")
				starts := 0
				inc, restarts := s.untilEnded(func() plan {
					starts++
					switch {
					case starts > 6: // let it live at last
						return plan{}
					case rand.N(2) == 0:
						return plan{Point: named[rand.N(len(named))], Nth: 1 + rand.N(3)}
					}
					return plan{Commit: 1 + rand.N(60), FromBoot: rand.N(2) == 0}
				})
				kills.Add(int64(restarts))
				s.honest(inc)
				s.service.kill() // it may have a plan for its end too
			})
		}
	})
	t.Logf("%d rounds, %d kills, %s", n, kills.Load(), time.Since(begun).Round(time.Second))
	if kills.Load() == 0 {
		t.Error("nothing was killed")
	}
}
