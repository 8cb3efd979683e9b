package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
)

// used is what one answer used, with a price of its own.
func used(incident string, second int, price *int64) (lifeline.Usage, lifeline.Event) {
	return lifeline.Usage{IncidentID: incident, Attempt: 1, Model: "m", At: at(second), Input: 1, Output: 20, CacheRead: 300, CacheWrite: 4000, MicroUSD: price},
		lifeline.Event{IncidentID: incident, Kind: lifeline.EventModelAnswered, Actor: "model:m", Text: "an answer", Data: []byte(`{"turn":1}`)}
}

// What answers used is kept with the event that tells of them, summed by
// incident and by time, and never changed.
func usage(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := s.receive(firing("k", "f")).IncidentID
	record := func(u lifeline.Usage, e lifeline.Event) {
		t.Helper()
		if err := s.RecordUsage(t.Context(), u, e); err != nil {
			t.Fatal(err)
		}
	}
	before := len(s.events)
	record(used(id, 1000, new(int64(7))))
	free, event := used(id, 2000, new(int64(0)))
	free.Estimated = true
	record(free, event)
	record(used(id, 3000, nil))
	record(used("inc_other", 4000, new(int64(5))))

	all, err := s.Usage(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := used(id, 1000, new(int64(7)))
	last, _ := used(id, 3000, nil)
	if diff := cmp.Diff([]lifeline.Usage{first, free, last}, all); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	if n := len(s.events) - before; n != 4 || s.events[before].Kind != lifeline.EventModelAnswered {
		t.Errorf("%d events were handed on", n)
	}
	of := func(sum lifeline.Spent, err error) lifeline.Spent {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	want := lifeline.Spent{Answers: 3, Input: 3, Output: 60, CacheRead: 900, CacheWrite: 12000, MicroUSD: 7, Unpriced: 1, Estimated: 1}
	if diff := cmp.Diff(want, of(s.UsageOf(t.Context(), id))); diff != "" {
		t.Errorf("of the incident (-want +got):\n%s", diff)
	}
	want = lifeline.Spent{Answers: 2, Input: 2, Output: 40, CacheRead: 600, CacheWrite: 8000, MicroUSD: 5, Unpriced: 1}
	if diff := cmp.Diff(want, of(s.UsageSince(t.Context(), at(2000)))); diff != "" {
		t.Errorf("since (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(lifeline.Spent{}, of(s.UsageSince(t.Context(), at(5000)))); diff != "" {
		t.Errorf("since later (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(lifeline.Spent{}, of(s.UsageOf(t.Context(), "inc_none"))); diff != "" {
		t.Errorf("of no incident (-want +got):\n%s", diff)
	}
	// The sum by hand is the sum of the database.
	var sum lifeline.Spent
	for _, u := range all {
		sum = sum.Add(u)
	}
	if diff := cmp.Diff(of(s.UsageOf(t.Context(), id)), sum); diff != "" {
		t.Errorf("by hand (-database +hand):\n%s", diff)
	}
	for _, change := range []string{`UPDATE usage SET micro_usd = 0`, `DELETE FROM usage`} {
		if _, err := s.DB().ExecContext(t.Context(), change); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", change, err)
		}
	}
	// All or nothing.
	u, e := used(id, 6000, nil)
	e.Data = []byte("{")
	if err := s.RecordUsage(t.Context(), u, e); lifeline.CodeOf(err) != lifeline.CodeStore {
		t.Errorf("an event that is not JSON: %v", err)
	}
	if again := of(s.UsageOf(t.Context(), id)); again.Answers != 3 {
		t.Errorf("%d answers after one that was refused", again.Answers)
	}
	// Without a time it is the record's.
	now, e := used("inc_now", 0, nil)
	now.At = time.Time{}
	record(now, e)
	if all, err := s.Usage(t.Context(), "inc_now"); err != nil || len(all) != 1 || all[0].At.Before(at(0)) {
		t.Errorf("%+v, %v", all, err)
	}
}

// What a model was refused is told apart without the outputs of what ran.
func refusedBefore(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := s.receive(firing("k", "f")).IncidentID
	refuse := func(name, class string) lifeline.Command {
		t.Helper()
		c := command(name, id)
		c.IntentAt, c.FinishedAt = time.Time{}, at(101)
		c.Class, c.Outcome, c.Actor = class, lifeline.OutcomeRefused, "model:m"
		if err := s.RecordRefusal(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := refuse("c1", "unknown")
	refuse("c2", "change")
	refuse("c3", "read")
	last := refuse("c4", "destructive")
	s.intend(read("c5", id), 9)
	other := command("c6", "inc_other")
	other.IntentAt, other.Class, other.Outcome = time.Time{}, "destructive", lifeline.OutcomeRefused
	if err := s.RecordRefusal(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	for request, begun := range map[string]bool{"c5": true, "c4": false, "none": false} {
		got, ran, err := s.RefusedBefore(t.Context(), id, request)
		if err != nil || ran != begun {
			t.Errorf("%s has begun: %v, %v", request, ran, err)
		}
		if diff := cmp.Diff([]lifeline.Command{first, last}, got); diff != "" {
			t.Errorf("refused (-want +got):\n%s", diff)
		}
	}
}
