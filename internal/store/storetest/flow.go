package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
)

// What is appended under a key is appended once, whoever tries and how often.
func onceEvents(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := s.receive(firing("k", "f")).IncidentID
	before := len(s.kinds(id))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			e := lifeline.Event{IncidentID: id, Kind: lifeline.EventNote, Actor: "test", Text: fmt.Sprint(i)}
			if err := s.AppendEventOnce(t.Context(), "the key", e); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(s.kinds(id)) - before; n != 1 {
		t.Errorf("appended %d times", n)
	}
	if err := s.AppendEventOnce(t.Context(), "another key", lifeline.Event{IncidentID: id, Kind: lifeline.EventNote}); err != nil || len(s.kinds(id)) != before+2 {
		t.Errorf("under another key: %v, %d events", err, len(s.kinds(id))-before)
	}
	// What is refused uses up no key.
	bad := lifeline.Event{IncidentID: id, Kind: lifeline.EventNote, Data: []byte("{")}
	wantCode(t, s.AppendEventOnce(t.Context(), "third", bad), lifeline.CodeStore)
	bad.Data = nil
	if err := s.AppendEventOnce(t.Context(), "third", bad); err != nil || len(s.kinds(id)) != before+3 {
		t.Errorf("after a refused one: %v, %d events", err, len(s.kinds(id))-before)
	}
	s.handedOn(id)
	s.sound()
}

func explained(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := s.receive(firing("k", "f")).IncidentID
	for range 3 {
		if err := s.ExplainIncident(t.Context(), id, "respond", "held until noon"); err != nil {
			t.Fatal(err)
		}
	}
	inc := s.incident(id)
	if inc.State != lifeline.StateOpen || inc.Reason != "held until noon" {
		t.Errorf("it is %s: %s", inc.State, inc.Reason)
	}
	want := []lifeline.EventKind{lifeline.EventAlertReceived, lifeline.EventIncidentOpened, lifeline.EventNote}
	if diff := cmp.Diff(want, s.kinds(id)); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
	s.move(id, lifeline.StateSuperseded)
	if err := s.ExplainIncident(t.Context(), id, "respond", "held until evening"); err != nil || s.incident(id).Reason != "because" {
		t.Errorf("an ended incident: %v, %s", err, s.incident(id).Reason)
	}
	wantCode(t, s.ExplainIncident(t.Context(), "inc_none", "respond", "x"), lifeline.CodeNotFound)
	s.sound()
}

// Whoever asks: an incident whose alert is gone, or that has ended, is not
// changed any more. Looking stays possible.
func unchangedAfter(t *testing.T, open Open) {
	s := newSuite(t, open)
	gonePart := s.receive(firing("gone", "f")).IncidentID
	s.move(gonePart, lifeline.StateInvestigating)
	s.receive(gone("gone", "f"))
	ended := s.receive(firing("ended", "f")).IncidentID
	s.move(ended, lifeline.StateEscalated)
	for id, says := range map[string]string{gonePart: "the alert has resolved", ended: "the incident is escalated"} {
		before := s.incident(id)
		_, err := s.RecordIntent(t.Context(), command("c "+id, id), lifeline.Limits{})
		wantRefused(t, err, lifeline.RuleResolved, says)
		if _, err := s.RequestApproval(t.Context(), asks("a "+id, id), time.Hour, lifeline.Limits{}); lifeline.CodeOf(err) != lifeline.CodeRefused {
			t.Errorf("a person is asked about an incident that is %s: %v", before.State, err)
		}
		s.intend(read("r "+id, id), 1)
		if diff := cmp.Diff(before, s.incident(id)); diff != "" || len(s.commands(id)) != 1 {
			t.Errorf("refused, and %d commands (-before +after):\n%s", len(s.commands(id)), diff)
		}
	}
	s.receive(firing("gone", "f")) // it fires again
	s.intend(command("again", gonePart), 1)
	s.sound()
}

// The changes of all incidents of a key count together within the window.
func keyLimit(t *testing.T, open Open) {
	s := newSuite(t, open)
	most := lifeline.Limits{PerIncident: 2, PerKey: 2, PerKeyWindow: 6 * time.Hour}
	next := 0
	change := func(key string, outcome lifeline.Outcome) error {
		next++
		id := s.receive(firing(key, "f")).IncidentID
		s.move(id, lifeline.StateInvestigating)
		c := command(name("c", next), id)
		c.IntentAt = time.Time{}
		_, err := s.RecordIntent(t.Context(), c, most)
		if err == nil {
			if err := s.RecordResult(t.Context(), finished(c, outcome)); err != nil {
				t.Fatal(err)
			}
			s.move(id, lifeline.StateVerifying, lifeline.StateResolved)
		} else {
			s.move(id, lifeline.StateVerifying, lifeline.StateSuperseded)
		}
		return err
	}
	for _, outcome := range []lifeline.Outcome{lifeline.OutcomeNotStarted, lifeline.OutcomeExited, lifeline.OutcomeExited} {
		if err := change("k", outcome); err != nil {
			t.Fatal(err)
		}
	}
	wantRefused(t, change("k", lifeline.OutcomeExited), lifeline.RuleBudget, "2 of 2 changes were made for the same thing within 6h (respond.max_changes, respond.attempt_window)")
	if err := change("another", lifeline.OutcomeExited); err != nil {
		t.Errorf("another key: %v", err)
	}
	s.later(-24 * time.Hour) // a clock that was set back frees nothing
	wantRefused(t, change("k", lifeline.OutcomeExited), lifeline.RuleBudget, "2 of 2 changes")
	s.later(24*time.Hour + 6*time.Hour)
	if err := change("k", lifeline.OutcomeExited); err != nil {
		t.Errorf("after the window: %v", err)
	}
	s.sound()
}

// ended brings an incident of a key to its end after a series of changes.
func (s *suite) ended(key string, end lifeline.State, canonical ...string) string {
	s.t.Helper()
	id := s.receive(firing(key, "f")).IncidentID
	s.move(id, lifeline.StateInvestigating)
	s.intend(read(id+" r", id), 9)
	for i, text := range canonical {
		c := command(name(id, i), id)
		c.Canonical, c.IntentAt = text, time.Time{}
		s.intend(c, 9)
		if err := s.RecordResult(s.t.Context(), finished(c, lifeline.OutcomeExited)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.move(id, lifeline.StateVerifying, end)
	s.receive(gone(key, "f")) // an escalated one takes no more alerts
	return id
}

func history(t *testing.T, open Open) {
	s := newSuite(t, open)
	if past, err := s.History(t.Context(), "k", 9); err != nil || len(past) != 0 {
		t.Errorf("of a new key: %+v, %v", past, err)
	}
	first := s.ended("k", lifeline.StateResolved, "docker start a", "docker restart a")
	second := s.ended("k", lifeline.StateEscalated)
	s.ended("other", lifeline.StateResolved, "docker start a")
	third := s.receive(firing("k", "f")).IncidentID
	past, err := s.History(t.Context(), "k", 9)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range past {
		if diff := cmp.Diff(s.incident(p.Incident.ID), p.Incident); diff != "" {
			t.Errorf("its incident (-on record +got):\n%s", diff)
		}
		line := p.Incident.ID
		for _, c := range p.Changes {
			line += " " + c.Canonical + "=" + string(c.Outcome)
		}
		got = append(got, line)
	}
	want := []string{third, second, first + " docker start a=exited docker restart a=exited"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if past, err := s.History(t.Context(), "k", 2); err != nil || len(past) != 2 || past[1].Incident.ID != second {
		t.Errorf("the newest two: %+v, %v", past, err)
	}
}

func remedies(t *testing.T, open Open) {
	s := newSuite(t, open)
	s.ended("k", lifeline.StateResolved, "docker start a")
	s.ended("k", lifeline.StateResolved, "docker start a", "docker restart b")
	s.ended("k", lifeline.StateEscalated, "docker start a")
	s.ended("k", lifeline.StateResolved, "docker start a")
	s.ended("k", lifeline.StateEscalated, "docker restart c")
	last := s.ended("k", lifeline.StateEscalated, "docker restart c")
	s.ended("k", lifeline.StateSuperseded, "docker restart d") // says nothing
	s.ended("k", lifeline.StateEscalated)                      // nothing was tried
	s.ended("other", lifeline.StateResolved, "docker restart e")
	s.receive(firing("k", "f")) // not at its end
	got, err := s.Remedies(t.Context(), "k", 9)
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	if !got[2].LastAt.Equal(s.incident(last).UpdatedAt) {
		t.Errorf("last at %s, want %s", got[2].LastAt, s.incident(last).UpdatedAt)
	}
	for i := range got {
		got[i].LastAt = time.Time{}
	}
	want := []lifeline.Remedy{
		{Commands: []string{"docker start a"}, Worked: 2, Failed: 1},
		{Commands: []string{"docker start a", "docker restart b"}, Worked: 1},
		{Commands: []string{"docker restart c"}, Failed: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := s.Remedies(t.Context(), "k", 1); err != nil || len(got) != 1 || got[0].Worked != 2 {
		t.Errorf("the best: %+v, %v", got, err)
	}
}

func openIncidents(t *testing.T, open Open) {
	s := newSuite(t, open)
	a, approval := s.waiting("a")
	s.ended("b", lifeline.StateResolved)
	c := s.receive(firing("c", "f")).IncidentID
	got, err := s.OpenIncidents(t.Context())
	if diff := cmp.Diff([]string{a, c}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if stray, err := s.StrayApprovals(t.Context()); err != nil || len(stray) != 0 {
		t.Errorf("stray: %+v, %v", stray, err)
	}
	// As no version of Lifeline leaves it.
	if _, err := s.DB().ExecContext(t.Context(), `UPDATE incidents SET state = 'escalated' WHERE id = $1`, a); err != nil {
		t.Fatal(err)
	}
	stray, err := s.StrayApprovals(t.Context())
	if diff := cmp.Diff([]lifeline.Approval{approval}, stray); err != nil || diff != "" {
		t.Errorf("stray: %v (-want +got):\n%s", err, diff)
	}
	no := read("no", c)
	no.Outcome, no.Reason, no.Rule, no.IntentAt = lifeline.OutcomeRefused, "not now", lifeline.RulePaused, time.Time{}
	if err := s.RecordRefusal(t.Context(), no); err != nil {
		t.Fatal(err)
	}
	s.intend(read("yes", c), 1)
	refusals, err := s.Refusals(t.Context(), c)
	if diff := cmp.Diff([]lifeline.Command{no}, refusals); err != nil || diff != "" {
		t.Errorf("refused: %v (-want +got):\n%s", err, diff)
	}
}
