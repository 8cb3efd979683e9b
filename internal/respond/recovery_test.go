package respond_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/respond"
	"lifeline/internal/store"
	"lifeline/internal/triage"
)

// place is a node's place that a test takes away.
type place struct{ lost chan struct{} }

func (p place) Lost() <-chan struct{} { return p.lost }

// refusing is a store that refuses what the workflow would write.
type refusing struct {
	*store.Store
	// refuse says with what; nil: it does not.
	refuse func() error
}

func (r refusing) MoveIncident(ctx context.Context, id string, to lifeline.State, actor, reason string) (lifeline.Incident, error) {
	if err := r.refuse(); err != nil {
		return lifeline.Incident{}, err
	}
	return r.Store.MoveIncident(ctx, id, to, actor, reason)
}

func (r refusing) AppendEvent(ctx context.Context, e lifeline.Event) error {
	if err := r.refuse(); err != nil {
		return err
	}
	return r.Store.AppendEvent(ctx, e)
}

// A node that another one took over from ends no workflow, however its work
// ends: the other node has the incident, and goes on with it.
func TestFencedNodeEndsNothing(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	lost := make(chan struct{})
	w.atStart = func() { close(lost) } // in the middle of the change
	db, err := w.store.OpenDB()
	if err != nil {
		t.Fatal(err)
	}
	cfg := respond.Config{
		DB: db, Door: w, ExecutorID: "anna", Node: place{lost},
		Store: refusing{w.store, func() error {
			select {
			case <-lost:
				return &lifeline.Error{Code: lifeline.CodeFenced, Message: "another node has taken over"}
			default:
				return nil
			}
		}},
		Responders: &responders{one: responder{site: w}},
	}
	late, err := respond.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := late.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	front, err := triage.New(triage.Config{Hosts: []string{"nexus"}}, w.store, late)
	if err != nil {
		t.Fatal(err)
	}
	id := (&service{site: w, t: t, svc: late, triage: front}).alert(lifeline.AlertFiring, "nexus", "web")
	select {
	case <-lost:
	case <-time.After(patience):
		t.Fatal("it never came to the change")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := late.Stop(ctx); err == nil {
		t.Error("its workflow has ended")
	}

	other := w.serve(t, responder{site: w}, func(c *respond.Config) { c.ExecutorID = "bert" })
	if err := other.svc.Recover(t.Context(), "anna"); err != nil {
		t.Fatal(err)
	}
	other.until(id, lifeline.StateVerifying)
	other.alert(lifeline.AlertResolved, "nexus", "web")
	other.ended(id)
	starts := 0
	for _, cmd := range w.ran {
		if cmd == "docker start web" {
			starts++
		}
	}
	if starts != 1 {
		t.Errorf("the change ran %d times: %v", starts, w.ran)
	}
}

// A database that is away when an incident is handed over is back some time: no
// incident stays where nobody works it.
func TestHandoverIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	var failures atomic.Int64
	failures.Store(2)
	s := w.serve(t, responder{site: w, try: func(context.Context, lifeline.Steps, lifeline.Case) (lifeline.Report, error) {
		return lifeline.Report{}, errors.New("a defect")
	}}, func(c *respond.Config) {
		c.Store = refusing{w.store, func() error {
			inc, err := w.store.Incidents(context.Background(), store.Filter{})
			if err == nil && len(inc) == 1 && inc[0].State == lifeline.StateInvestigating && failures.Add(-1) >= 0 {
				return &lifeline.Error{Code: lifeline.CodeStore, Message: "the database is away"}
			}
			return err
		}}
	})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateEscalated, "Lifeline itself failed: a defect", 0)
	if left := failures.Load(); left >= 0 {
		t.Errorf("the handover failed %d times too few", left+1)
	}
}

// A pinned host is worked by its node, and by another one only while that stands
// in for it; what is its node's own machine, by no other.
func TestPinnedHosts(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	s := w.serve(t, responder{site: w}, func(c *respond.Config) {
		c.ExecutorID, c.Node = "anna", place{make(chan struct{})}
		c.Pins = map[string]respond.Pin{"nexus": {Node: "bert"}, "bertha": {Node: "bert", Only: true}}
	})
	front, err := triage.New(triage.Config{Hosts: []string{"nexus", "bertha", "atlas"}}, w.store, s.svc)
	if err != nil {
		t.Fatal(err)
	}
	s.triage = front
	pinned := s.alert(lifeline.AlertFiring, "nexus", "web")
	machine := s.alert(lifeline.AlertFiring, "bertha", "web")
	everybody := s.alert(lifeline.AlertFiring, "atlas", "web")
	waits := func(id string) {
		t.Helper()
		if inc, err := s.store.Incident(t.Context(), id); err != nil || inc.State != lifeline.StateOpen {
			t.Errorf("the incident is %s, %v; want open", inc.State, err)
		}
	}
	s.until(everybody, lifeline.StateVerifying)
	waits(pinned)
	waits(machine)
	s.svc.StandIn("bert")
	s.until(pinned, lifeline.StateVerifying)
	waits(machine)
	s.alert(lifeline.AlertResolved, "atlas", "web")
	s.ended(everybody)
}
