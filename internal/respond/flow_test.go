package respond_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/respond"
	"lifeline/internal/store"
)

// changed is a store of which some answers are others.
type changed struct {
	respond.Store
	incident    func(lifeline.Incident) lifeline.Incident
	maintenance func() (lifeline.Maintenance, bool)
	// fail is asked before each write: the error, nil for none.
	fail func(what string) error
}

func (c changed) Incident(ctx context.Context, id string) (lifeline.Incident, error) {
	inc, err := c.Store.Incident(ctx, id)
	if c.incident != nil && err == nil {
		inc = c.incident(inc)
	}
	return inc, err
}

func (c changed) MaintenanceFor(ctx context.Context, inc lifeline.Incident) (lifeline.Maintenance, bool, error) {
	if c.maintenance == nil {
		return c.Store.MaintenanceFor(ctx, inc)
	}
	m, ok := c.maintenance()
	return m, ok, nil
}

func (c changed) AppendEventOnce(ctx context.Context, key string, e lifeline.Event) error {
	if c.fail != nil {
		if err := c.fail(string(e.Kind)); err != nil {
			return err
		}
	}
	return c.Store.AppendEventOnce(ctx, key, e)
}

func (c changed) MoveIncident(ctx context.Context, id string, to lifeline.State, actor, reason string) (lifeline.Incident, error) {
	if c.fail != nil {
		if err := c.fail("move " + string(to)); err != nil {
			return lifeline.Incident{}, err
		}
	}
	return c.Store.MoveIncident(ctx, id, to, actor, reason)
}

// handedOver is the newest handover on the timeline.
func (s *service) handedOver(id string) (h lifeline.Handover) {
	s.t.Helper()
	events, err := s.store.Events(s.t.Context(), id, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind == lifeline.EventEscalated {
			h = lifeline.Handover{}
			if err := json.Unmarshal(e.Data, &h); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return h
}

// repaired brings an incident to its good end.
func (s *service) repaired() string {
	s.t.Helper()
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.until(id, lifeline.StateVerifying)
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateResolved, "", 1)
	return id
}

// breaks stops a container again.
func (w *site) breaks(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.containers[name].running = false
}

// The alert resolves after a step of the responder: no further step begins,
// whatever the responder wants.
func TestResolvedBetweenSteps(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	looked, goOn := make(chan bool), make(chan bool)
	second := make(chan error, 1)
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		steps.Run(ctx, lifeline.Step{Name: "model", Do: func(context.Context) (json.RawMessage, error) { // a model's turn
			looked <- true
			<-goOn
			return json.RawMessage("1"), nil
		}})
		_, err := w.start(ctx, steps, c) // its tool calls
		second <- err
		return lifeline.Report{}, err
	}})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	<-looked
	s.alert(lifeline.AlertResolved, "nexus", "web")
	goOn <- true
	s.expect(s.ended(id), lifeline.StateSuperseded, "the alert resolved; nothing was changed", 0)
	if err := <-second; err == nil || !strings.Contains(err.Error(), "the alert has resolved") {
		t.Errorf("the responder was told %v", err)
	}
	if len(w.ran) != 0 {
		t.Errorf("ran %v", w.ran)
	}
}

// After a change the proof is still wanted.
func TestResolvedBetweenTwoChanges(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	var s *service
	resolve := make(chan func(), 1)
	s = w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		steps.Run(ctx, lifeline.Step{Name: "f0", Do: func(ctx context.Context) (json.RawMessage, error) {
			out, err := w.step(c, "f0", "docker start web").Do(ctx)
			(<-resolve)()
			return out, err
		}})
		r := steps.Run(ctx, w.step(c, "f1", "docker start web"))[0]
		return lifeline.Report{}, r.Err
	}})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	resolve <- func() { s.alert(lifeline.AlertResolved, "nexus", "web") }
	s.expect(s.ended(id), lifeline.StateResolved, "the probe is well and the alert is gone", 1)
	if got := w.changes(); len(got) != 1 {
		t.Errorf("ran %v", got)
	}
}

// The alert resolves between a person's yes and the command.
func TestResolvedBetweenApprovalAndRun(t *testing.T) {
	t.Parallel()
	w := asking(t, "web")
	var s *service
	var once sync.Once
	door := doorFunc(func(ctx context.Context, req lifeline.CommandRequest) (lifeline.Command, error) {
		if req.ApprovalID != "" {
			once.Do(func() { s.alert(lifeline.AlertResolved, "nexus", "web") })
		}
		return w.Run(ctx, req)
	})
	s = w.serve(t, responder{site: w}, func(c *respond.Config) { c.Door = door })
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	w.decide(t, s.question(id), true)
	s.expect(s.ended(id), lifeline.StateSuperseded, "nothing was changed", 0)
	if got := w.changes(); len(got) != 0 {
		t.Errorf("ran %v", got)
	}
}

type doorFunc func(context.Context, lifeline.CommandRequest) (lifeline.Command, error)

func (f doorFunc) Run(ctx context.Context, req lifeline.CommandRequest) (lifeline.Command, error) {
	return f(ctx, req)
}

// A repair that helps and does not last is not repeated for ever.
func TestChangesCountOverIncidents(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	s := w.serve(t, responder{site: w})
	for range 2 {
		s.repaired()
		w.breaks("web")
	}
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateEscalated, "the same repair helped 2 times within 6h and did not last: a person should look for the cause; it was `docker start web`", 0)
	if got := w.changes(); len(got) != 2 {
		t.Errorf("ran %v", got)
	}
	if h := s.handedOver(id); len(h.Past) != 2 || !strings.Contains(h.Past[0], "resolved: `docker start web`") {
		t.Errorf("handed over: %+v", h)
	}
	// The record holds to it too, whatever the workflow thinks.
	s.stop()
	s = w.serve(t, responder{site: w}, func(c *respond.Config) { c.AttemptWindow = time.Nanosecond })
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.expect(s.ended(s.alert(lifeline.AlertFiring, "nexus", "web")), lifeline.StateEscalated, "no safe step is left", 0)
	if got := w.changes(); len(got) != 2 {
		t.Errorf("ran %v", got)
	}
}

func TestFlapping(t *testing.T) {
	t.Parallel()
	for _, firing := range []bool{true, false} { // it may be up again for a moment
		w := newSite(t, "web")
		s := w.serve(t, responder{site: w}, func(c *respond.Config) {
			c.Store = changed{Store: w.store, incident: func(inc lifeline.Incident) lifeline.Incident {
				inc.Flapping, inc.AlertFiring = true, firing
				return inc
			}}
		})
		id := s.alert(lifeline.AlertFiring, "nexus", "web")
		s.expect(s.ended(id), lifeline.StateEscalated, "the alert flaps", 0)
		if len(w.ran) != 0 {
			t.Errorf("ran %v", w.ran)
		}
	}
}

// On one host so many incidents are worked at the same time; another host does
// not wait for them.
func TestMaxPerHost(t *testing.T) {
	t.Parallel()
	w := newSite(t, "a", "b", "c", "d")
	at := make(chan string, 8)
	goOn := map[string]chan bool{"a": make(chan bool, 1), "b": make(chan bool, 1), "c": make(chan bool, 1), "d": make(chan bool, 1)}
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		at <- c.Incident.Target.Host + "/" + c.Incident.Target.Name
		<-goOn[c.Incident.Target.Name]
		return lifeline.Report{Responder: "runbook:test", Claim: lifeline.ClaimNotFixed, Summary: "looked"}, nil
	}}, func(c *respond.Config) { c.MaxPerHost, c.Workers = 2, 3 })
	var ids []string
	for _, name := range []string{"a", "b", "c"} {
		ids = append(ids, s.alert(lifeline.AlertFiring, "nexus", name))
		if len(ids) <= 2 {
			<-at
		}
	}
	ids = append(ids, s.alert(lifeline.AlertFiring, "outpost", "d"))
	if got := <-at; got != "outpost/d" {
		t.Errorf("%s is worked before the other host", got)
	}
	if inc := s.until(ids[2], lifeline.StateOpen, lifeline.StateInvestigating); inc.State != lifeline.StateOpen {
		t.Errorf("the third on the host is %s", inc.State)
	}
	// One that resolves while it waits for a place is not worked.
	waits := s.alert(lifeline.AlertFiring, "nexus", "e")
	s.alert(lifeline.AlertResolved, "nexus", "e")
	goOn["b"] <- true
	if got := <-at; got != "nexus/c" {
		t.Errorf("then %s", got)
	}
	for _, name := range []string{"a", "c", "d"} {
		goOn[name] <- true
	}
	for _, id := range ids {
		s.ended(id)
	}
	s.expect(s.ended(waits), lifeline.StateSuperseded, "before the work began", 0)
	if len(at) != 0 {
		t.Errorf("%s was worked", <-at)
	}
}

// A change that the kill switch refused ends the attempt, and no other begins.
func TestPausedDuringAModelsTurn(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	asked, goOn := make(chan bool), make(chan bool)
	var attempts atomic.Int32
	var after error
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		attempts.Add(1)
		steps.Run(ctx, lifeline.Step{Name: "model", Do: func(context.Context) (json.RawMessage, error) {
			asked <- true
			<-goOn
			return json.RawMessage("1"), nil
		}})
		steps.Run(ctx, w.step(c, "d0", "uptime")) // a read is let through
		if r := steps.Run(ctx, w.step(c, "f0", "docker start web"))[0]; r.Err != nil {
			return lifeline.Report{}, r.Err
		}
		after = steps.Run(ctx, w.step(c, "f1", "docker start web"))[0].Err
		return lifeline.Report{}, after
	}})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	<-asked
	if _, err := w.store.Pause(t.Context(), "person:bob", "lunch", false); err != nil {
		t.Fatal(err)
	}
	goOn <- true
	s.expect(s.ended(id), lifeline.StateEscalated, "by person:bob: no change is made: lunch", 0)
	if got, want := s.states(id), "open investigating escalated"; got != want { // no look is wanted where nothing was done
		t.Errorf("states %s, want %s", got, want)
	}
	if got := w.changes(); len(got) != 0 || attempts.Load() != 1 {
		t.Errorf("ran %v in %d attempts", got, attempts.Load())
	}
	if after == nil || !slices.Equal(w.ran, []string{"uptime"}) {
		t.Errorf("ran %v; afterwards %v", w.ran, after)
	}
	h := s.handedOver(id)
	if !slices.ContainsFunc(h.Next, func(n string) bool { return strings.Contains(n, "lifeline resume") }) || !strings.Contains(strings.Join(h.Refused, ""), "rule paused") {
		t.Errorf("handed over: %+v", h)
	}
}

// A person gets the whole case: seen, tried, refused, verified, remembered.
func TestTheWholeCase(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	s := w.serve(t, responder{site: w}, func(c *respond.Config) { c.AttemptWindow = time.Nanosecond })
	first := s.repaired()
	w.mu.Lock()
	w.containers["web"].running, w.containers["web"].crashes = false, true
	w.mu.Unlock()
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.ended(id)
	h := s.handedOver(id)
	for what, holds := range map[string]bool{
		"reason":       strings.Contains(h.Reason, "still not well") || strings.Contains(h.Reason, "no safe step is left"),
		"next":         slices.Contains(h.Next, "read its log"),
		"looks":        len(h.Seen) > 1 && strings.Contains(h.Seen[0], "after attempt 1: not well: container web on nexus: exited"),
		"last words":   strings.Contains(h.Seen[len(h.Seen)-1], "it ended after start 2"),
		"tried":        slices.Equal(h.Tried, []string{"nexus: docker start web (exit status 0), asked by runbook:test"}),
		"refused":      len(h.Refused) == 1 && strings.Contains(h.Refused[0], "2 of 2 changes") && strings.Contains(h.Refused[0], "rule budget"),
		"verification": strings.HasPrefix(h.Verification, "after attempt 2: not well"),
		"past":         len(h.Past) == 1 && strings.Contains(h.Past[0], first+": resolved: `docker start web`"),
	} {
		if !holds {
			t.Errorf("%s is not as wanted in %s", what, mustJSON(h))
		}
	}
}

func mustJSON(v any) string {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// A responder is told what helped before, and what else fires.
func TestRememberedRemedies(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	var mu sync.Mutex
	var cases []lifeline.Case
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		mu.Lock()
		cases = append(cases, c)
		mu.Unlock()
		return w.start(ctx, steps, c)
	}})
	s.repaired()
	w.breaks("web")
	s.repaired()
	if len(cases) != 2 || len(cases[0].Remedies) != 0 || len(cases[1].Remedies) != 1 {
		t.Fatalf("told %s", mustJSON(cases))
	}
	r := cases[1].Remedies[0]
	if !slices.Equal(r.Commands, []string{"docker start web"}) || r.Worked != 1 || r.Failed != 0 || r.LastAt.IsZero() {
		t.Errorf("told %+v", r)
	}
	if len(cases[1].Others) != 0 {
		t.Errorf("the alert itself is among the others: %+v", cases[1].Others)
	}
}

// A clock that jumps by a day neither ends a wait early for the worse nor makes
// it last.
func TestClockJumps(t *testing.T) {
	for name, by := range map[string]time.Duration{"ahead": 24 * time.Hour, "back": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSite(t, "web")
			s := w.serve(t, responder{site: w})
			id := s.alert(lifeline.AlertFiring, "nexus", "web")
			s.until(id, lifeline.StateVerifying)
			w.ahead.Store(int64(by)) // while it waits for the alert
			s.alert(lifeline.AlertResolved, "nexus", "web")
			s.expect(s.ended(id), lifeline.StateResolved, "the probe is well and the alert is gone", 1)
		})
	}
	t.Run("ahead during an approval", func(t *testing.T) {
		t.Parallel()
		w := asking(t, "web")
		s := w.serve(t, responder{site: w})
		id := s.alert(lifeline.AlertFiring, "nexus", "web")
		a := s.question(id)
		w.ahead.Store(int64(24 * time.Hour))
		// The record's clock says that its time is over: a yes is not taken, and the
		// question ends as a no.
		if _, err := w.store.DecideApproval(t.Context(), a.ID, yesTo(a)); lifeline.CodeOf(err) != lifeline.CodeRefused {
			t.Errorf("a yes after its end: %v", err)
		}
		s.expect(s.ended(id), lifeline.StateEscalated, "Nobody has approved", 0)
		if got := w.changes(); len(got) != 0 {
			t.Errorf("ran %v", got)
		}
	})
	t.Run("back during an approval", func(t *testing.T) {
		t.Parallel()
		w := asking(t, "web")
		s := w.serve(t, responder{site: w})
		id := s.alert(lifeline.AlertFiring, "nexus", "web")
		a := s.question(id)
		w.ahead.Store(int64(-24 * time.Hour))
		// How much time has passed is not known: a yes is not taken, a no is.
		if _, err := w.store.DecideApproval(t.Context(), a.ID, yesTo(a)); lifeline.CodeOf(err) != lifeline.CodeRefused {
			t.Errorf("a yes before the question: %v", err)
		}
		w.decide(t, a, false)
		s.alert(lifeline.AlertResolved, "nexus", "web")
		s.ended(id)
		if got := w.changes(); len(got) != 0 {
			t.Errorf("ran %v", got)
		}
	})
}

// The same event is told once, however often its step runs.
func TestAStepThatRunsAgainSaysItOnce(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	var runs atomic.Int32
	once := respond.Once{Record: w.store}
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		r := steps.Run(ctx, lifeline.Step{Name: "say", Do: func(ctx context.Context) (json.RawMessage, error) {
			n := runs.Add(1)
			for _, text := range []string{"the same", "the same", fmt.Sprintf("run %d", n)} {
				if err := once.AppendEvent(ctx, lifeline.Event{IncidentID: c.Incident.ID, Kind: lifeline.EventNote, Actor: "test", Text: text}); err != nil {
					return nil, err
				}
			}
			if n == 1 {
				return nil, &lifeline.Error{Code: lifeline.CodeStore, Message: "the database was away"}
			}
			return json.RawMessage("1"), nil
		}})[0]
		return lifeline.Report{Responder: "runbook:test", Claim: lifeline.ClaimNotFixed, Summary: "said it"}, r.Err
	}})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateEscalated, "no safe step is left", 0)
	events, err := w.store.Events(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, e := range events {
		if e.Actor == "test" {
			said = append(said, e.Text)
		}
	}
	if want := []string{"the same", "the same", "run 1", "run 2"}; !slices.Equal(said, want) || runs.Load() != 2 {
		t.Errorf("said %q in %d runs, want %q", said, runs.Load(), want)
	}
}

// A database that is away for a while is not the incident's failure; one that
// comes back after the work was given up still takes the incident's end.
func TestTheDatabaseIsAwayForAWhile(t *testing.T) {
	away := func(code lifeline.Code) error { return &lifeline.Error{Code: code, Message: "the disk is full"} }
	for name, tt := range map[string]struct {
		what   string
		code   lifeline.Code
		state  lifeline.State
		reason string
	}{
		"in the middle":        {"move " + string(lifeline.StateVerifying), lifeline.CodeStore, lifeline.StateResolved, "the probe is well"},
		"for an event":         {string(lifeline.EventResponderEnded), lifeline.CodeStore, lifeline.StateResolved, "the probe is well"},
		"while it is given up": {"", lifeline.CodeInternal, lifeline.StateEscalated, "Lifeline itself failed: the disk is full"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSite(t, "web")
			var failed atomic.Int32
			s := w.serve(t, responder{site: w}, func(c *respond.Config) {
				c.Store = changed{Store: w.store, fail: func(what string) error {
					if (tt.what == "" || what == tt.what) && failed.Add(1) <= 3 {
						return away(tt.code)
					}
					return nil
				}}
			})
			id := s.alert(lifeline.AlertFiring, "nexus", "web")
			if tt.state == lifeline.StateResolved {
				s.until(id, lifeline.StateVerifying)
				s.alert(lifeline.AlertResolved, "nexus", "web")
			}
			if inc := s.ended(id); inc.State != tt.state || !strings.Contains(inc.Reason, tt.reason) || failed.Load() < 3 {
				t.Errorf("%s after %d failures: %s", inc.State, failed.Load(), inc.Reason)
			}
		})
	}
}

// yesTo is a person's yes to an approval.
func yesTo(a lifeline.Approval) store.Decision {
	return store.Decision{Approve: true, By: "person:ann", Digest: a.Digest}
}
