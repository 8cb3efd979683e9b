package respond_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/respond"
)

// engine runs a statement on the workflow engine's tables, while nothing runs.
func (w *site) engine(t *testing.T, query string, args ...any) {
	t.Helper()
	r, err := w.store.DB().ExecContext(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%s changed %d rows: %v", query, n, err)
	}
}

// No state is one that only a living process can leave.
func TestTheJanitor(t *testing.T) {
	for name, tt := range map[string]struct{ query, reason string }{
		"failed":          {`UPDATE workflow_status SET status = 'ERROR' WHERE workflow_uuid = $1`, "its work failed"},
		"cancelled":       {`UPDATE workflow_status SET status = 'CANCELLED' WHERE workflow_uuid = $1`, "its work was cancelled"},
		"ended early":     {`UPDATE workflow_status SET status = 'SUCCESS' WHERE workflow_uuid = $1`, "its work ended (SUCCESS) and left it"},
		"gave up":         {`UPDATE workflow_status SET status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED' WHERE workflow_uuid = $1`, "Lifeline ended more than 100 times"},
		"restarted often": {`UPDATE workflow_status SET recovery_attempts = 200 WHERE workflow_uuid = $1`, "Lifeline ended more than 100 times"},
		"missing":         {`DELETE FROM workflow_status WHERE workflow_uuid = $1`, "does not know its work"},
		"another version": {`UPDATE workflow_status SET application_version = '1' WHERE workflow_uuid = $1`, "another version of Lifeline began its work (workflow version 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := asking(t, "web")
			var ends atomic.Int32
			change := func(c *respond.Config) {
				c.TidyEvery = 20 * time.Millisecond
				c.OnEnd = func(lifeline.Incident) { ends.Add(1) }
			}
			s := w.serve(t, responder{site: w}, change)
			id := s.alert(lifeline.AlertFiring, "nexus", "web")
			a := s.question(id)
			s.stop()
			w.engine(t, tt.query, id)
			s = w.serve(t, responder{site: w}, change)
			s.expect(s.ended(id), lifeline.StateEscalated, tt.reason, 0)
			if a, err := w.store.Approval(t.Context(), a.ID); err != nil || a.Open() {
				t.Errorf("its question is %s: %v", a.State, err)
			}
			if h := s.handedOver(id); !strings.Contains(h.Reason, tt.reason) || len(h.Refused) != 1 {
				t.Errorf("handed over: %s", mustJSON(h))
			}
			// Its target is free for the next incident.
			s.alert(lifeline.AlertResolved, "nexus", "web")
			w.asksFrom(0)
			next := s.alert(lifeline.AlertFiring, "nexus", "web")
			s.until(next, lifeline.StateVerifying)
			if n := ends.Load(); n != 1 {
				t.Errorf("told of %d ends", n)
			}
		})
	}
}

// A question that outlived its incident is closed.
func TestTheJanitorClosesQuestions(t *testing.T) {
	t.Parallel()
	w := asking(t, "web")
	s := w.serve(t, responder{site: w})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	a := s.question(id)
	s.stop()
	w.engine(t, `UPDATE incidents SET state = 'escalated' WHERE id = $1`, id)
	w.serve(t, responder{site: w}, func(c *respond.Config) { c.TidyEvery = 20 * time.Millisecond })
	deadline := time.After(patience)
	for {
		now, err := w.store.Approval(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		if now.State == lifeline.ApprovalExpired {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("it is %s", now.State)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// What works is left alone by the janitor.
func TestTheJanitorLeavesWhatWorks(t *testing.T) {
	t.Parallel()
	w := asking(t, "web")
	s := w.serve(t, responder{site: w}, func(c *respond.Config) { c.TidyEvery = time.Millisecond })
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	w.decide(t, s.question(id), true)
	s.until(id, lifeline.StateVerifying)
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateResolved, "", 1)
}

// stale is a record whose list of open incidents is an old one.
type stale struct {
	changed
	id    string
	asked chan bool
}

func (s *stale) OpenIncidents(context.Context) ([]string, error) {
	s.asked <- true
	return []string{s.id}, nil
}

// An incident that ends while the janitor looks is no stranded one.
func TestTheJanitorIsLate(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	s := w.serve(t, responder{site: w})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.until(id, lifeline.StateVerifying)
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.ended(id)
	s.stop()
	w.engine(t, `UPDATE workflow_status SET status = 'SUCCESS' WHERE workflow_uuid = $1`, id)

	var log bytes.Buffer
	old := &stale{changed: changed{Store: w.store}, id: id, asked: make(chan bool)}
	s = w.serve(t, responder{site: w}, func(c *respond.Config) {
		c.Store, c.TidyEvery, c.Logger = old, time.Millisecond, slog.New(slog.NewTextHandler(&log, nil))
	})
	<-old.asked
	<-old.asked // it has looked once
	go func() {
		for range old.asked { // until nobody asks any more
		}
	}()
	s.stop() // the janitor has ended
	close(old.asked)
	if strings.Contains(log.String(), "incident_stranded") {
		t.Errorf("the log says %s", &log)
	}
}
