package respond_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/respond"
)

// prober answers the n-th try of a check, counted from 1; the first is the one
// before the attempt.
type prober func(n int) (detail string, ok bool, err error)

type countingProber struct {
	mu     sync.Mutex
	n      int
	answer prober
}

func (p *countingProber) Check(context.Context, lifeline.Check) (string, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	return p.answer(p.n)
}

func health() []lifeline.Check { return []lifeline.Check{{HTTP: "http://nexus/health"}} }

// withCheck makes one check of the owner's, answered by answer.
func withCheck(answer prober) func(*respond.Config) {
	return func(c *respond.Config) {
		c.MaxAttempts = 1
		c.Responders.(*responders).checks = health()
		c.Prober = &countingProber{answer: answer}
	}
}

func (s *service) event(id string, kind lifeline.EventKind, into any) lifeline.Event {
	s.t.Helper()
	events, err := s.store.Events(s.t.Context(), id, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	var found []lifeline.Event
	for _, e := range events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		s.t.Fatalf("the timeline has %d events %s, want 1: %+v", len(found), kind, found)
	}
	if into != nil {
		if err := json.Unmarshal(found[0].Data, into); err != nil {
			s.t.Fatal(err)
		}
	}
	return found[0]
}

// A check is made until it is good, and must still be good at the end.
func TestChecksAreMadeUntilTheyAreGood(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	s := w.serve(t, responder{site: w}, withCheck(func(n int) (string, bool, error) {
		switch {
		case n <= 2:
			return "", false, errors.New("no such host")
		case n == 3:
			return "status 503", false, nil
		case n == 5: // not stable yet
			return "status 502", false, nil
		}
		return "status 200", true, nil
	}), func(c *respond.Config) { c.VerifyFor = patience })
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.until(id, lifeline.StateVerifying)
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateResolved, "", 1)
	var got struct {
		OK     bool
		Level  string
		Checks []map[string]any
	}
	s.event(id, lifeline.EventVerified, &got)
	want := []map[string]any{{"check": "HTTP http://nexus/health", "ok": true, "detail": "status 200"}}
	if diff := cmp.Diff(want, got.Checks); diff != "" || !got.OK || got.Level != "well" {
		t.Errorf("verified: %+v (-want +got):\n%s", got, diff)
	}
}

// A check that could not be made is not a success, and says so.
func TestACheckThatCouldNotBeMade(t *testing.T) {
	for name, tc := range map[string]struct {
		answer prober
		want   string
	}{
		"could not": {func(int) (string, bool, error) { return "", false, errors.New("no such host") }, "the check HTTP http://nexus/health could not be made: no such host"},
		"bad":       {func(int) (string, bool, error) { return "status 503", false, nil }, "the check HTTP http://nexus/health is not good: status 503"},
		"a defect":  {func(int) (string, bool, error) { panic("it broke") }, "it broke"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSite(t, "web")
			s := w.serve(t, responder{site: w}, withCheck(tc.answer))
			inc := s.ended(s.alert(lifeline.AlertFiring, "nexus", "web"))
			if inc.State != lifeline.StateEscalated || !strings.Contains(inc.Reason, tc.want) {
				t.Errorf("%s: %s", inc.State, inc.Reason)
			}
		})
	}
	w := newSite(t, "web")
	s := w.serve(t, responder{site: w}, func(c *respond.Config) {
		c.MaxAttempts = 1
		c.Responders.(*responders).checks = health()
	})
	s.expect(s.ended(s.alert(lifeline.AlertFiring, "nexus", "web")), lifeline.StateEscalated, "nothing here makes such checks", 1)
}

func TestTheOutputOfACommandIsExpected(t *testing.T) {
	for expect, state := range map[string]lifeline.State{`"Status":"running"`: lifeline.StateVerifying, "healthy": lifeline.StateEscalated} {
		w := newSite(t, "web")
		s := w.serve(t, responder{site: w}, func(c *respond.Config) {
			c.MaxAttempts = 1
			c.Responders.(*responders).checks = []lifeline.Check{{Command: "docker inspect web", Expect: expect}}
		})
		id := s.alert(lifeline.AlertFiring, "nexus", "web")
		if state == lifeline.StateEscalated {
			s.expect(s.ended(id), state, "exit status 0, but nothing matches /healthy/ in", 1)
			continue
		}
		s.until(id, lifeline.StateVerifying)
		s.alert(lifeline.AlertResolved, "nexus", "web")
		s.expect(s.ended(id), lifeline.StateResolved, "", 1)
	}
}

// breaking is a container that works until it is started; starts of the undo
// bring it back.
func breaking(t *testing.T, undo ...string) (*site, *service) {
	t.Helper()
	w := newSite(t, "web")
	c := w.containers["web"]
	c.running, c.crashes = true, true
	w.atStart = func() { c.crashes = c.starts == 0 }
	s := w.serve(t, responder{site: w, try: func(ctx context.Context, steps lifeline.Steps, cs lifeline.Case) (lifeline.Report, error) {
		report, err := w.start(ctx, steps, cs)
		report.Undo = undo
		return report, err
	}})
	return w, s
}

func TestUndo(t *testing.T) {
	w, s := breaking(t, "docker start --old web")
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	inc := s.ended(id)
	s.expect(inc, lifeline.StateEscalated, "attempt 1 by runbook:test made things worse: it was well (container web on nexus: running", 2)
	if !strings.Contains(inc.Reason, "and is down (container web on nexus: exited") ||
		!strings.Contains(inc.Reason, "it was undone with 1 command(s), and now: container web on nexus: running") {
		t.Errorf("reason %s", inc.Reason)
	}
	if got, want := s.states(id), "open investigating acting verifying investigating acting escalated"; got != want {
		t.Errorf("states %s, want %s", got, want)
	}
	if got, want := strings.Join(w.ran[2:], ", "), "docker start web, docker start --old web"; got != want {
		t.Errorf("ran %s, want %s", got, want)
	}
	var undone struct {
		Worse, After string
		Commands     []struct {
			Command string
			OK      bool
		}
	}
	s.event(id, lifeline.EventUndone, &undone)
	if undone.Worse == "" || undone.After == "" || len(undone.Commands) != 1 || !undone.Commands[0].OK {
		t.Errorf("undone: %+v", undone)
	}
}

// What nothing says how to undo is handed over at once, without another attempt.
func TestWorseWithoutAnUndo(t *testing.T) {
	w, s := breaking(t)
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateEscalated, "nothing says how it is undone", 1)
	s.event(id, lifeline.EventUndone, nil)
	if w.containers["web"].starts != 1 {
		t.Errorf("started %d times", w.containers["web"].starts)
	}
}

// An undo is a change like any other: what the budget refuses does not run.
func TestAnUndoThatIsRefused(t *testing.T) {
	w, s := breaking(t, "docker start --old web", "docker start --older web", "docker start --oldest web")
	s.expect(s.ended(s.alert(lifeline.AlertFiring, "nexus", "web")), lifeline.StateEscalated, "the undo `docker start --older web` did not succeed (refused: ", 2)
	if w.containers["web"].starts != 2 {
		t.Errorf("started %d times", w.containers["web"].starts)
	}
}

// A check that was good and is bad is worse, however well the container runs.
func TestWorseByACheck(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	s := w.serve(t, responder{site: w}, withCheck(func(n int) (string, bool, error) {
		return fmt.Sprintf("try %d", n), n == 1, nil
	}))
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateEscalated, "made things worse: the check HTTP http://nexus/health is not good: try", 1)

	// What could not be checked is not worse, and what nobody changed is not ours.
	w = newSite(t, "web")
	s = w.serve(t, responder{site: w}, withCheck(func(n int) (string, bool, error) {
		if n > 1 {
			return "", false, errors.New("no such host")
		}
		return "status 200", true, nil
	}))
	s.expect(s.ended(s.alert(lifeline.AlertFiring, "nexus", "web")), lifeline.StateEscalated, "still not well after 1 attempts", 1)
}

// sshd's death under a command leaves its outcome unknown. It is looked at, and
// not run again.
func TestAnUnknownOutcomeIsLookedAt(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	w.loses = 1
	var outcome string
	s := w.serve(t, responder{site: w, try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		r := steps.Run(ctx, w.step(c, "f0", "docker start web"))[0]
		outcome = string(r.Value)
		return lifeline.Report{Responder: "runbook:test", Claim: lifeline.ClaimNotFixed, Summary: "its outcome is unknown"}, r.Err
	}})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.until(id, lifeline.StateVerifying)
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateResolved, "the probe is well", 1)
	if outcome != `"unknown"` || w.containers["web"].starts != 1 || !slices.Equal(w.ran, []string{"docker start web"}) {
		t.Errorf("outcome %s, started %d times, ran %v", outcome, w.containers["web"].starts, w.ran)
	}
	commands, err := w.store.Commands(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(commands, func(c lifeline.Command) bool { return c.Outcome == lifeline.OutcomeUnknown })
	if i < 0 || commands[i].ExitStatus != nil {
		t.Fatalf("the record of it: %+v", commands)
	}
	if next := commands[i+1]; !strings.HasPrefix(next.Command, "docker inspect") || next.Actor != "verify" {
		t.Errorf("after it came %s by %s, want a look at the state", next.Command, next.Actor)
	}
}

// A lost command that really did nothing is not repeated either: the state is
// looked at, and a person is told that nobody knows how it ended.
func TestAnUnknownOutcomeThatDidNothing(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	w.loses, w.containers["web"].crashes = 1, true
	s := w.serve(t, responder{site: w}, func(c *respond.Config) { c.MaxAttempts = 3 })
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateEscalated, "nobody knows how `docker start web` on nexus ended, so nothing more is tried; still not well: container web on nexus: exited", 1)
	var handover struct{ Unknown []string }
	s.event(id, lifeline.EventEscalated, &handover)
	if len(handover.Unknown) != 1 || !strings.Contains(handover.Unknown[0], "docker start web") || !strings.Contains(handover.Unknown[0], "connection reset") {
		t.Errorf("the case tells of %q", handover.Unknown)
	}
	if w.containers["web"].starts != 1 {
		t.Errorf("started %d times", w.containers["web"].starts)
	}
}

func TestNobodyWaitsForLong(t *testing.T) {
	// The first look before an attempt bounds each check, however slow it may be.
	w := newSite(t, "web")
	var timeouts []time.Duration
	var mu sync.Mutex
	s := w.serve(t, responder{site: w}, func(c *respond.Config) {
		c.MaxAttempts = 1
		c.Responders.(*responders).checks = []lifeline.Check{{HTTP: "http://nexus/health", Timeout: time.Minute}}
		c.Prober = proberFunc(func(c lifeline.Check) (string, bool, error) {
			mu.Lock()
			defer mu.Unlock()
			timeouts = append(timeouts, c.Timeout)
			return "status 200", true, nil
		})
	})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.until(id, lifeline.StateVerifying)
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.ended(id)
	mu.Lock()
	defer mu.Unlock()
	if len(timeouts) < 3 || timeouts[0] != 3*time.Second || timeouts[1] != time.Minute {
		t.Errorf("timeouts %v", timeouts)
	}
}

type proberFunc func(lifeline.Check) (string, bool, error)

func (f proberFunc) Check(_ context.Context, c lifeline.Check) (string, bool, error) { return f(c) }
