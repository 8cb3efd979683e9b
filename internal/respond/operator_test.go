package respond_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/respond"
)

// takenByAnn checks that an incident ended by a person's hand, once, and that its
// workflow has ended too.
func (s *service) takenByAnn(id string, changes int) {
	s.t.Helper()
	inc := s.ended(id)
	s.expect(inc, lifeline.StateEscalated, "mine", changes)
	events, err := s.store.Events(s.t.Context(), id, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	handovers := 0
	for _, e := range events {
		if e.Kind == lifeline.EventEscalated {
			handovers++
			var h lifeline.Handover
			if err := json.Unmarshal(e.Data, &h); err != nil || h.Reason != "mine" || e.Actor != "person:ann" {
				s.t.Errorf("%v: handed over by %s with %s", err, e.Actor, e.Data)
			}
		}
	}
	if handovers != 1 {
		s.t.Errorf("handed over %d times", handovers)
	}
	// The next incident of the same target begins once the work on this one has ended.
	next, err := s.store.RetryIncident(s.t.Context(), id, "person:ann", s.svc.Enqueue)
	if err != nil {
		s.t.Fatal(err)
	}
	s.until(next.ID, lifeline.StateInvestigating, lifeline.StateAwaitingApproval, lifeline.StateActing, lifeline.StateVerifying, lifeline.StateResolved)
}

// A person takes an incident over during a step: the step ends, no other begins, and
// no change is let through.
func TestHandOverDuringAnAttempt(t *testing.T) {
	w := newSite(t, "web")
	looked, goOn := make(chan bool), make(chan bool)
	first := true
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		if first {
			first = false
			steps.Run(ctx, lifeline.Step{Name: "model", Do: func(context.Context) (json.RawMessage, error) {
				looked <- true
				<-goOn
				return json.RawMessage("1"), nil
			}})
		}
		return w.start(ctx, steps, c)
	}})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	<-looked
	if _, err := s.svc.HandOver(t.Context(), id, "person:ann", "mine"); err != nil {
		t.Fatal(err)
	}
	goOn <- true
	s.takenByAnn(id, 0)
	if _, err := s.svc.HandOver(t.Context(), id, "person:ann", "again"); lifeline.CodeOf(err) != lifeline.CodeRefused || !strings.Contains(err.Error(), "is escalated already") {
		t.Errorf("again: %v", err)
	}
}

func TestHandOverWhileItWaits(t *testing.T) {
	for name, c := range map[string]struct {
		asks    time.Duration
		state   lifeline.State
		changes int
	}{
		"for a person":  {asks: time.Hour, state: lifeline.StateAwaitingApproval},
		"for its alert": {state: lifeline.StateVerifying, changes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSite(t, "web")
			w.asks = c.asks
			s := w.serve(t, responder{site: w}, func(c *respond.Config) { c.AlertWithin = time.Hour })
			id := s.alert(lifeline.AlertFiring, "nexus", "web")
			s.until(id, c.state)
			if _, err := s.svc.HandOver(t.Context(), id, "person:ann", "mine"); err != nil {
				t.Fatal(err)
			}
			s.takenByAnn(id, c.changes)
		})
	}
}
