package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
)

// pause: no change is let through, whoever asks for it; reads are.
func pause(t *testing.T, open Open) {
	s := newSuite(t, open)
	if p, err := s.Paused(t.Context()); err != nil || p.On {
		t.Fatalf("at the beginning: %+v, %v", p, err)
	}
	id := s.receive(firing("k", "f")).IncidentID
	s.move(id, lifeline.StateInvestigating)
	first, err := s.Pause(t.Context(), "person:ann", "the disk is being replaced", false)
	if err != nil || !first.On || first.Now {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := s.Pause(t.Context(), "person:bob", "", true)
	if err != nil || !again.Now || again.By != "person:bob" || !again.Since.Equal(first.Since) {
		t.Errorf("again: %+v, %v; since %s", again, err, first.Since)
	}
	if p, err := s.Paused(t.Context()); err != nil || !cmp.Equal(again, p) {
		t.Errorf("it is %+v, %v", p, err)
	}
	for _, incident := range []string{id, ""} {
		_, err := s.RecordIntent(t.Context(), command(name("c", len(incident)), incident), lifeline.Limits{})
		wantRefused(t, err, lifeline.RulePaused, "paused since")
	}
	_, err = s.RequestApproval(t.Context(), asks("a", id), time.Hour, lifeline.Limits{})
	wantRefused(t, err, lifeline.RulePaused, "paused since")
	s.intend(read("r1", id), 1)
	if err := s.RecordResult(t.Context(), finished(read("r1", id), lifeline.OutcomeExited)); err != nil {
		t.Errorf("a result while it is paused: %v", err)
	}
	if p, err := s.Resume(t.Context(), "person:ann", ""); err != nil || p.On {
		t.Errorf("resumed: %+v, %v", p, err)
	}
	if _, err := s.Resume(t.Context(), "person:ann", ""); err != nil { // there is nothing to say
		t.Error(err)
	}
	s.intend(command("c9", id), 1)
	want := []lifeline.EventKind{lifeline.EventPaused, lifeline.EventPaused, lifeline.EventResumed}
	if diff := cmp.Diff(want, s.kinds("")); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}
	s.sound()
}

// limits count over incidents, by host and by time.
func limits(t *testing.T, open Open) {
	s := newSuite(t, open)
	most := lifeline.Limits{PerHostHour: 2, PerDay: 3}
	next := 0
	change := func(host string) error {
		next++
		id := s.receive(firing(name("k", next), "f")).IncidentID
		s.move(id, lifeline.StateInvestigating)
		c := command(name("c", next), id)
		c.Host, c.IntentAt = host, time.Time{}
		_, err := s.RecordIntent(t.Context(), c, most)
		return err
	}
	later := func(d time.Duration) { s.now = s.now.Add(d) }
	for range 2 {
		if err := change("atlas"); err != nil {
			t.Fatal(err)
		}
	}
	wantRefused(t, change("atlas"), lifeline.RuleBudget, "2 of 2 changes were made on atlas within an hour (respond.max_changes_per_host_hour)")
	if c, err := s.Changes(t.Context(), "atlas"); err != nil || c.HostHour != 2 || c.Day != 2 {
		t.Errorf("counted %+v, %v", c, err)
	}
	s.intend(command("person", ""), 1) // a person's own change does not count
	if err := change("borealis"); err != nil {
		t.Errorf("another host: %v", err)
	}
	wantRefused(t, change("borealis"), lifeline.RuleBudget, "3 of 3 changes were made on all hosts within a day (respond.max_changes_per_day)")
	later(time.Hour)
	wantRefused(t, change("atlas"), lifeline.RuleBudget, "within a day")
	later(-48 * time.Hour) // a clock that was set back frees nothing
	wantRefused(t, change("atlas"), lifeline.RuleBudget, "within an hour")
	later(48*time.Hour + 23*time.Hour)
	if err := change("atlas"); err != nil {
		t.Errorf("a day later: %v", err)
	}
	s.sound()
}

// wantRefused checks a refusal: its rule and a part of what it says.
func wantRefused(t *testing.T, err error, rule, says string) {
	t.Helper()
	wantCode(t, err, lifeline.CodeRefused)
	if e, ok := err.(*lifeline.Error); ok && (e.Rule != rule || !strings.Contains(e.Error(), says)) {
		t.Errorf("refused by %s: %v; want %s: …%s…", e.Rule, e, rule, says)
	}
}
