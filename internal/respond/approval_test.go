package respond_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/respond"
	"lifeline/internal/store"
)

// asking is a site on whose host a person is asked before each change.
func asking(t *testing.T, names ...string) *site {
	w := newSite(t, names...)
	w.asks = time.Hour
	return w
}

// question waits until a person is asked about an incident.
func (s *service) question(id string) lifeline.Approval {
	s.t.Helper()
	s.until(id, lifeline.StateAwaitingApproval)
	all, err := s.store.Approvals(s.t.Context(), id)
	if err != nil || len(all) == 0 {
		s.t.Fatalf("asked %+v, %v", all, err)
	}
	return all[len(all)-1]
}

func (w *site) decide(t *testing.T, a lifeline.Approval, yes bool) {
	t.Helper()
	d := store.Decision{Approve: yes, By: "person:ann", Reason: "because", Digest: a.Digest}
	if _, err := w.store.DecideApproval(t.Context(), a.ID, d); err != nil {
		t.Fatal(err)
	}
}

func (w *site) changes() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var changes []string
	for _, c := range w.ran {
		if strings.HasPrefix(c, "docker start") {
			changes = append(changes, c)
		}
	}
	return changes
}

func TestApproved(t *testing.T) {
	t.Parallel()
	w := asking(t, "web")
	s := w.serve(t, responder{site: w})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	a := s.question(id)
	if got := w.changes(); len(got) != 0 || a.State != lifeline.ApprovalPending {
		t.Fatalf("while a person is asked: ran %v, %+v", got, a)
	}
	w.decide(t, a, true)
	s.until(id, lifeline.StateVerifying)
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateResolved, "the probe is well and the alert is gone", 1)
	if got, want := s.states(id), "open investigating awaiting_approval acting verifying resolved"; got != want {
		t.Errorf("states %s, want %s", got, want)
	}
	if got := w.changes(); !slices.Equal(got, []string{"docker start web"}) {
		t.Errorf("ran %v", got)
	}
	if audit, err := w.store.VerifyAudit(t.Context(), store.AuditCheck{}); err != nil || audit.Bad != nil {
		t.Errorf("the record: %+v, %v", audit.Bad, err)
	}
}

// The wait is durable: it goes on after a restart, for a decision that was made
// before it, while nothing ran, or after it.
func TestApprovalWaitsAcrossARestart(t *testing.T) {
	for name, decideWhileDown := range map[string]bool{"decided while it was down": true, "decided afterwards": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := asking(t, "web")
			s := w.serve(t, responder{site: w})
			id := s.alert(lifeline.AlertFiring, "nexus", "web")
			a := s.question(id)
			s.stop()
			if decideWhileDown {
				w.decide(t, a, true)
			}
			s = w.serve(t, responder{site: w})
			if !decideWhileDown {
				if got := w.changes(); len(got) != 0 {
					t.Errorf("ran %v", got)
				}
				w.decide(t, a, true)
			}
			s.until(id, lifeline.StateVerifying)
			s.alert(lifeline.AlertResolved, "nexus", "web")
			s.expect(s.ended(id), lifeline.StateResolved, "", 1)
			if got := w.changes(); len(got) != 1 {
				t.Errorf("ran %v", got)
			}
		})
	}
}

// After a no other ways are tried, and the responder is told.
func TestDenied(t *testing.T) {
	t.Parallel()
	w := asking(t, "web")
	var mu sync.Mutex
	var previous []string
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		mu.Lock()
		previous = append(previous, c.Previous)
		mu.Unlock()
		return w.start(ctx, steps, c) // it asks for the same again
	}})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	w.decide(t, s.question(id), false)
	s.expect(s.ended(id), lifeline.StateEscalated, "no safe step is left", 0)
	if got, want := s.states(id), "open investigating awaiting_approval investigating verifying escalated"; got != want {
		t.Errorf("states %s, want %s", got, want)
	}
	if len(previous) != 2 || !strings.Contains(previous[1], "person:ann has denied `docker start web`: because.") {
		t.Errorf("told %q", previous)
	}
	if all, err := w.store.Approvals(t.Context(), id); err != nil || len(all) != 1 {
		t.Errorf("asked %+v, %v", all, err)
	}
	if got := w.changes(); len(got) != 0 {
		t.Errorf("ran %v", got)
	}
}

func TestDeniedInTheLastAttempt(t *testing.T) {
	t.Parallel()
	w := asking(t, "web")
	s := w.serve(t, responder{site: w}, func(c *respond.Config) { c.MaxAttempts = 1 })
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	w.decide(t, s.question(id), false)
	s.expect(s.ended(id), lifeline.StateEscalated, "person:ann has denied `docker start web`: because", 0)
}

// No answer is a no.
func TestNobodyDecides(t *testing.T) {
	t.Parallel()
	w := asking(t, "web")
	w.asks = 500 * time.Millisecond
	s := w.serve(t, responder{site: w})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateEscalated, "Nobody has approved `docker start web`", 0)
	if got, want := s.states(id), "open investigating awaiting_approval escalated"; got != want {
		t.Errorf("states %s, want %s", got, want)
	}
	all, err := w.store.Approvals(t.Context(), id)
	if err != nil || len(all) != 1 || all[0].State != lifeline.ApprovalExpired {
		t.Errorf("%+v, %v", all, err)
	}
	if got := w.changes(); len(got) != 0 {
		t.Errorf("ran %v", got)
	}
}

// The clock is set back by a day right after the question was asked, so that its
// end lies more than a day ahead: the time that really passes ends it.
func TestAClockThatWasSetBackDoesNotKeepAQuestionOpen(t *testing.T) {
	t.Parallel()
	w := asking(t, "web")
	w.asks = 700 * time.Millisecond
	w.ahead.Store(int64(24 * time.Hour))
	s := w.serve(t, responder{site: w})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	a := s.question(id)
	w.ahead.Store(0)
	if time.Until(a.ExpiresAt) < 23*time.Hour {
		t.Fatalf("the question ends at %s", a.ExpiresAt)
	}
	s.expect(s.ended(id), lifeline.StateEscalated, "Nobody has approved", 0)
}

func TestResolvedWhileAPersonIsAsked(t *testing.T) {
	t.Parallel()
	w := asking(t, "web")
	s := w.serve(t, responder{site: w})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	a := s.question(id)
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateSuperseded, "resolved while a person was asked", 0)
	d := store.Decision{Approve: true, By: "person:ann", Digest: a.Digest}
	if _, err := w.store.DecideApproval(t.Context(), a.ID, d); lifeline.CodeOf(err) != lifeline.CodeRefused {
		t.Errorf("a yes afterwards: %v", err)
	}
	if got := w.changes(); len(got) != 0 {
		t.Errorf("ran %v", got)
	}
}

// What the door does not let through in spite of a yes goes to a person.
func TestApprovedAndNotLetThrough(t *testing.T) {
	t.Parallel()
	w := asking(t, "web")
	s := w.serve(t, responder{site: w})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	a := s.question(id)
	if _, err := w.store.Pause(t.Context(), "person:bob", "lunch", false); err != nil {
		t.Fatal(err)
	}
	w.decide(t, a, true)
	s.expect(s.ended(id), lifeline.StateEscalated, "`docker start web` was approved by person:ann and not run: Lifeline is paused", 0)
}

// Two changes are asked for at the same time: those that are approved run in
// order, and a no ends the row.
func TestSeveralQuestions(t *testing.T) {
	t.Parallel()
	w := asking(t, "web", "db", "cache")
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		var batch []lifeline.Step
		for i, name := range []string{"db", "cache", "web"} {
			batch = append(batch, w.step(c, string(rune('p'+i)), "docker start "+name))
		}
		var err error
		for _, step := range batch { // one after the other, so that their order is known
			err = steps.Run(ctx, step)[0].Err
		}
		return lifeline.Report{Responder: "model:m", Claim: lifeline.ClaimNotFixed, Summary: "asked for three"}, err
	}}, func(c *respond.Config) { c.MaxAttempts = 1 })
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.question(id)
	all, err := w.store.Approvals(t.Context(), id)
	if err != nil || len(all) != 3 {
		t.Fatalf("asked %+v, %v", all, err)
	}
	w.decide(t, all[2], true)
	w.decide(t, all[0], true)
	if got := w.changes(); len(got) != 0 {
		t.Errorf("ran %v before all was decided", got)
	}
	w.decide(t, all[1], false)
	s.expect(s.ended(id), lifeline.StateEscalated, "still not well after 1 attempts", 1)
	if got := w.changes(); !slices.Equal(got, []string{"docker start db"}) {
		t.Errorf("ran %v", got)
	}
	last, err := w.store.Approval(t.Context(), all[2].ID)
	if err != nil || last.State != lifeline.ApprovalExpired {
		t.Errorf("what was approved behind the no: %+v, %v", last, err)
	}
}

// A change was made, and a person is asked about another: a no to it is not the
// end of what was made.
func TestDeniedAfterAChange(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web", "db")
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		report, err := w.start(ctx, steps, c)
		if err != nil {
			return report, err
		}
		w.asksFrom(time.Hour)
		return report, steps.Run(ctx, w.step(c, "f1", "docker start db"))[0].Err
	}})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	w.decide(t, s.question(id), false)
	s.until(id, lifeline.StateVerifying)
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateResolved, "", 1)
	if got, want := s.states(id), "open investigating acting awaiting_approval investigating verifying resolved"; got != want {
		t.Errorf("states %s, want %s", got, want)
	}
}

// What waits for a person keeps no place from what is worked.
func TestQuestionsDoNotBlockTheWork(t *testing.T) {
	t.Parallel()
	w := asking(t, "web", "db", "cache")
	s := w.serve(t, responder{site: w}, func(c *respond.Config) { c.Workers = 1 })
	var ids []string
	for _, name := range []string{"web", "db", "cache"} {
		ids = append(ids, s.alert(lifeline.AlertFiring, "nexus", name))
	}
	for _, id := range ids {
		s.question(id)
	}
	for i, name := range []string{"web", "db", "cache"} {
		s.alert(lifeline.AlertResolved, "nexus", name)
		s.expect(s.ended(ids[i]), lifeline.StateSuperseded, "", 0)
	}
}

// The process goes down while the approved command runs: the next one does not
// run it again.
func TestApprovedOnce(t *testing.T) {
	t.Parallel()
	w := asking(t, "web")
	began, blocked := make(chan bool, 1), make(chan bool)
	w.atStart = func() { began <- true; <-blocked }
	s := w.serve(t, responder{site: w})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	w.decide(t, s.question(id), true)
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.svc.Stop(ctx); err == nil {
		t.Error("the service stopped while a command ran")
	}
	commands, err := w.store.Commands(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if last := commands[len(commands)-1]; last.IntentAt.IsZero() || last.Outcome != "" || last.ApprovalID == "" {
		t.Fatalf("on record: %+v", last)
	}
	close(blocked)
	s = w.serve(t, responder{site: w})
	s.until(id, lifeline.StateVerifying)
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateResolved, "", 1)
	if got := w.changes(); len(got) != 1 {
		t.Errorf("ran %v", got)
	}
}
