package respond_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/respond"
)

// window is a maintenance window that can be ended.
type window struct{ until, looks atomic.Int64 }

func (m *window) now() (lifeline.Maintenance, bool) {
	m.looks.Add(1)
	until := time.Unix(0, m.until.Load())
	return lifeline.Maintenance{ID: "mnt_1", Until: until, By: "person:ann", Reason: "new disks"}, time.Now().Before(until)
}

// held waits until the reason says that the incident is held.
func (s *service) held(id string) {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		inc, err := s.store.Incident(s.t.Context(), id)
		if err != nil {
			s.t.Fatal(err)
		}
		if strings.HasPrefix(inc.Reason, "held by a maintenance window until ") && strings.HasSuffix(inc.Reason, " by person:ann: new disks") {
			if inc.State != lifeline.StateOpen {
				s.t.Fatalf("held, and %s", inc.State)
			}
			return
		}
		select {
		case <-deadline:
			s.t.Fatalf("the incident is %s (%s)", inc.State, inc.Reason)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func TestMaintenanceHolds(t *testing.T) {
	for name, tt := range map[string]struct {
		meantime func(*service, *window)
		want     lifeline.State
		reason   string
		changes  int
	}{
		"it is ended, and the alert still fires": {func(_ *service, m *window) { m.until.Store(0) }, lifeline.StateVerifying, "", 1},
		"the alert resolves in it": {func(s *service, _ *window) { s.alert(lifeline.AlertResolved, "nexus", "web") },
			lifeline.StateSuperseded, "the alert resolved during a maintenance window", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, m := newSite(t, "web"), &window{}
			m.until.Store(time.Now().Add(time.Hour).UnixNano())
			s := w.serve(t, responder{site: w}, func(c *respond.Config) {
				c.Store, c.HeldLook = changed{Store: w.store, maintenance: m.now}, 20*time.Millisecond
				c.AlertWithin = time.Hour
			})
			id := s.alert(lifeline.AlertFiring, "nexus", "web")
			s.held(id)
			tt.meantime(s, m)
			s.expect(s.until(id, tt.want), tt.want, tt.reason, tt.changes)
		})
	}
}

// A window's own end ends the hold, without a further look.
func TestMaintenanceEnds(t *testing.T) {
	t.Parallel()
	w, m := newSite(t, "web"), &window{}
	m.until.Store(time.Now().Add(time.Second).UnixNano())
	s := w.serve(t, responder{site: w}, func(c *respond.Config) {
		c.Store, c.HeldLook, c.AlertWithin = changed{Store: w.store, maintenance: m.now}, time.Hour, time.Hour
	})
	s.until(s.alert(lifeline.AlertFiring, "nexus", "web"), lifeline.StateVerifying)
}

// A window that begins during an attempt ends it between two steps; the next
// attempt begins when it has ended.
func TestMaintenanceBegins(t *testing.T) {
	t.Parallel()
	w, m := newSite(t, "web"), &window{}
	looked, goOn := make(chan bool), make(chan bool)
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		if c.Attempt == 1 {
			steps.Run(ctx, lifeline.Step{Name: "model", Do: func(context.Context) (json.RawMessage, error) {
				looked <- true
				<-goOn
				return json.RawMessage("1"), nil
			}})
		}
		return w.start(ctx, steps, c)
	}}, func(c *respond.Config) {
		c.Store, c.HeldLook = changed{Store: w.store, maintenance: m.now}, 10*time.Millisecond
	})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	<-looked
	m.until.Store(time.Now().Add(time.Hour).UnixNano())
	before := m.looks.Load()
	goOn <- true
	for deadline := time.After(patience); m.looks.Load() < before+4; { // once at the step's end, then while it is held
		select {
		case <-deadline:
			t.Fatal("nobody looks whether the window has ended")
		case <-time.After(2 * time.Millisecond):
		}
	}
	if inc := s.until(id, lifeline.StateInvestigating); len(w.changes()) != 0 || !strings.HasPrefix(inc.Reason, "held by a maintenance window") {
		t.Errorf("held: %s; ran %v", inc.Reason, w.changes())
	}
	m.until.Store(0)
	s.until(id, lifeline.StateVerifying)
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateResolved, "", 1)
}

// An incident that is held goes on being held after a restart.
func TestMaintenanceHoldsAcrossARestart(t *testing.T) {
	t.Parallel()
	w, m := newSite(t, "web"), &window{}
	m.until.Store(time.Now().Add(time.Hour).UnixNano())
	change := func(c *respond.Config) {
		c.Store, c.HeldLook = changed{Store: w.store, maintenance: m.now}, 10*time.Millisecond
	}
	s := w.serve(t, responder{site: w}, change)
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.held(id)
	s.stop()
	before := m.looks.Load()
	s = w.serve(t, responder{site: w}, change)
	for deadline := time.After(patience); m.looks.Load() < before+3; {
		select {
		case <-deadline:
			t.Fatal("nobody looks any more whether the window has ended")
		case <-time.After(2 * time.Millisecond):
		}
	}
	s.held(id)
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateSuperseded, "the alert resolved during a maintenance window", 0)
}
