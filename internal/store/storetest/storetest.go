// Package storetest is what every database under internal/store has to do
// alike. A test of a database runs the whole of it:
//
//	storetest.Run(t, func(t *testing.T, opts store.Options) *store.Store { … })
//
// What only one kind of database has, such as the mode of a file, is tested
// beside that database.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/store"
)

// Open opens a new, empty database and closes it at the end of the test.
type Open func(t *testing.T, opts store.Options) *store.Store

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, Open)
	}{
		{"receive", receive},
		{"receive several alerts of one incident", severalAlerts},
		{"receive for an escalated incident", escalated},
		{"receive all or nothing", allOrNothing},
		{"receive at the same time", concurrentReceives},
		{"firing alerts", firingAlerts},
		{"an alert is gone on other knowledge", alertGone},
		{"moves", moves},
		{"intent and result", intentAndResult},
		{"result of a read that ran again", readAgain},
		{"writers give up", writersGiveUp},
		{"intent moves the incident", intentMoves},
		{"intent of a change is bounded", budget},
		{"refusal", refusal},
		{"timeline", events},
		{"events are handed on one transaction after another", handedOnInOrder},
		{"incidents", incidents},
		{"incident by the beginning of its ID", incidentPrefix},
		{"pause", pause},
		{"limits", limits},
		{"approve", approve},
		{"deny", deny},
		{"an approval is bound to what was asked", approvalIsBound},
		{"an approval ends", approvalEnds},
		{"an approval after its alert resolved", approvalAfterResolved},
		{"an approval is decided and used once", approvalOnce},
		{"approvals", approvalLists},
		{"links to approvals", approvalLink},
		{"storm", storm},
		{"what makes a storm", stormCounts},
		{"storm that a person has", stormHandedOver},
		{"summary of a storm", stormSummary},
		{"flapping", flapping},
		{"what does not flap", flapsNot},
		{"flapping at the same time", flappingAtOnce},
		{"ignored", ignored},
		{"maintenance", maintenance},
		{"what is no maintenance", maintenanceRefused},
		{"maintenance holds changes", maintenanceHolds},
		{"maintenance of a source", maintenanceOfSource},
		{"usage of models", usage},
		{"what was refused before", refusedBefore},
		{"the place of the notifications", notificationCursor},
		{"the outbox", outbox},
		{"an outbox that fails", outboxFails},
		{"one process sends to a channel", channelLease},
		{"the outbox at the same time", outboxConcurrent},
		{"events that are appended once", onceEvents},
		{"an incident that waits says why", explained},
		{"an incident is not changed after its alert", unchangedAfter},
		{"intent of a change is bounded by its key", keyLimit},
		{"history", history},
		{"remedies", remedies},
		{"open incidents and stray approvals", openIncidents},
		{"find incidents", findIncidents},
		{"statistics", statistics},
		{"events page by page", eventPages},
		{"an escalated incident is retried", retried},
		{"a storm is retried", retriedStorm},
		{"an incident is handed over", handedOver},
		{"an incident is closed", closedIncident},
		{"the newest commands on a host", recentCommands},
		{"answers to requests", answers},
		{"texts that no database keeps", oddTexts},
		{"long keys", longKeys},
		{"nodes", nodes},
		{"sessions", sessions},
		{"sessions that Lifeline did not write", forgedSessions},
		{"tokens", tokens},
		{"tokens that Lifeline did not write", forgedTokens},
		{"nothing there", nothingThere},
		{"closed", closed},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.run(t, open)
		})
	}
}

// suite is a store with what it handed on and a clock of its own.
type suite struct {
	*store.Store
	t  *testing.T
	mu sync.Mutex // guards what follows
	// now is what the clock shows next; each look moves it on by a second.
	now    time.Time
	events []lifeline.Event
	// opened and resolved are the incidents that the callbacks were told about.
	opened, resolved []lifeline.Incident
}

// began is the first time on the suite's clock. It has parts below a
// microsecond, which no database keeps.
func began() time.Time { return time.Date(2026, 5, 6, 7, 8, 9, 123456789, time.FixedZone("", 3600)) }

func newSuite(t *testing.T, open Open) *suite {
	s := &suite{t: t, now: began()}
	s.Store = open(t, store.Options{
		Now: func() time.Time {
			s.mu.Lock()
			defer s.mu.Unlock()
			now := s.now
			s.now = s.now.Add(time.Second)
			return now
		},
		OnEvent: func(e lifeline.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
		},
	})
	return s
}

// at is a time of the suite's clock as it comes back.
func at(second int) time.Time {
	return began().Add(time.Duration(second) * time.Second).UTC().Truncate(time.Microsecond)
}

func (s *suite) onOpened(_ context.Context, _ *sql.Tx, inc lifeline.Incident) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, inc)
	return nil
}

// refuses is a callback that does not want.
func (s *suite) refuses(context.Context, *sql.Tx, lifeline.Incident) error { return errNo }

func (s *suite) onResolved(_ context.Context, _ *sql.Tx, inc lifeline.Incident) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resolved = append(s.resolved, inc)
	return nil
}

// receive stores one alert and gives its receipt.
func (s *suite) receive(a lifeline.TriagedAlert) lifeline.Receipt {
	s.t.Helper()
	receipts, err := s.ReceiveAlerts(s.t.Context(), []lifeline.TriagedAlert{a}, s.onOpened, s.onResolved)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(receipts) != 1 {
		s.t.Fatalf("%d receipts for one alert", len(receipts))
	}
	return receipts[0]
}

// incident gives an incident as it is on record.
func (s *suite) incident(id string) lifeline.Incident {
	s.t.Helper()
	inc, err := s.Incident(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return inc
}

func (s *suite) move(id string, to ...lifeline.State) {
	s.t.Helper()
	for _, state := range to {
		if _, err := s.MoveIncident(s.t.Context(), id, state, "test", "because"); err != nil {
			s.t.Fatal(err)
		}
	}
}

// kinds lists the kinds of an incident's events.
func (s *suite) kinds(id string) []lifeline.EventKind {
	s.t.Helper()
	events, err := s.Events(s.t.Context(), id, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	var kinds []lifeline.EventKind
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// handedOn compares what OnEvent saw with the record.
func (s *suite) handedOn(ids ...string) {
	s.t.Helper()
	byIncident := map[string][]lifeline.Event{}
	last := int64(0)
	for _, e := range s.events {
		if e.Seq <= last {
			s.t.Errorf("event %d was handed on after %d", e.Seq, last)
		}
		last = e.Seq
		byIncident[e.IncidentID] = append(byIncident[e.IncidentID], e)
	}
	for _, id := range ids {
		stored, err := s.Events(s.t.Context(), id, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		if diff := cmp.Diff(stored, byIncident[id]); diff != "" {
			s.t.Errorf("events of %q (-stored +handed on):\n%s", id, diff)
		}
	}
}

// firing is an alert about a container, of the incident that key names.
func firing(key, fingerprint string) lifeline.TriagedAlert {
	return lifeline.TriagedAlert{
		Alert: lifeline.Alert{
			Source: "alertmanager", Status: lifeline.AlertFiring, Name: "ContainerDown",
			Labels:      map[string]string{"alertname": "ContainerDown", "name": "jukebox", "severity": "critical"},
			Annotations: map[string]string{"summary": "jukebox is down"},
			StartsAt:    time.Date(2026, 5, 6, 7, 0, 0, 0, time.UTC), Fingerprint: fingerprint,
		},
		Key:    key,
		Target: lifeline.Target{Host: "atlas", Kind: lifeline.TargetContainer, Name: "jukebox"},
	}
}

func gone(key, fingerprint string) lifeline.TriagedAlert {
	a := firing(key, fingerprint)
	a.Status = lifeline.AlertResolved
	return a
}

// wantCode checks the cause of an error.
func wantCode(t *testing.T, err error, code lifeline.Code) {
	t.Helper()
	if err == nil || lifeline.CodeOf(err) != code {
		t.Errorf("error %v (%s), want %s", err, lifeline.CodeOf(err), code)
	}
}

// errNo is the error of a callback that does not want.
var errNo = errors.New("no")

// name numbers things of a test.
func name(kind string, i int) string { return fmt.Sprintf("%s-%d", kind, i) }
