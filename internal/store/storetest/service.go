package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/store"
)

// found pages through a query and gives the IDs, checking that each page is full
// but the last.
func (s *suite) found(q lifeline.IncidentQuery) []string {
	s.t.Helper()
	ids := []string{}
	for {
		page, err := s.FindIncidents(s.t.Context(), q)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, inc := range page.Incidents {
			ids = append(ids, inc.ID)
			if diff := cmp.Diff(s.incident(inc.ID), inc); diff != "" {
				s.t.Errorf("%s (-by its ID +in the list):\n%s", inc.ID, diff)
			}
		}
		if page.Next == "" {
			return ids
		}
		if len(page.Incidents) != q.Limit {
			s.t.Fatalf("a page of %d with another behind it, want %d", len(page.Incidents), q.Limit)
		}
		q.After = page.Next
	}
}

func findIncidents(t *testing.T, open Open) {
	s := newSuite(t, open)
	var alerts []lifeline.TriagedAlert
	for i := range 7 {
		a := firing(name("key", i), name("f", i))
		a.Target.Name = name("box", i)
		switch i {
		case 2:
			a.Target.Host = "nexus"
		case 3:
			a.Name = "Disk_Full"
		case 4:
			a.Annotations = map[string]string{"summary": "100% of SOMETHING"}
		}
		alerts = append(alerts, a)
	}
	// The first five in one transaction, at one moment: their order is that of the IDs.
	receipts, err := s.ReceiveAlerts(t.Context(), alerts[:5], s.onOpened, s.onResolved)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts[5:] {
		receipts = append(receipts, s.receive(a))
	}
	id := func(i int) string { return receipts[i].IncidentID }
	s.move(id(5), lifeline.StateEscalated)
	s.move(id(6), lifeline.StateInvestigating)
	s.intend(read("r1", id(6)), 5)
	all := s.found(lifeline.IncidentQuery{Limit: 200})
	if len(all) != 7 || all[0] != id(6) || all[1] != id(5) {
		t.Fatalf("newest first: %v", all)
	}
	for limit := 1; limit < 9; limit++ {
		if diff := cmp.Diff(all, s.found(lifeline.IncidentQuery{Limit: limit})); diff != "" {
			t.Errorf("in pages of %d (-whole +paged):\n%s", limit, diff)
		}
	}
	opened5 := s.incident(id(5)).OpenedAt
	for what, c := range map[string]struct {
		q    lifeline.IncidentQuery
		want []string
	}{
		"state":              {lifeline.IncidentQuery{States: []lifeline.State{lifeline.StateEscalated}}, []string{id(5)}},
		"two states":         {lifeline.IncidentQuery{States: []lifeline.State{lifeline.StateEscalated, lifeline.StateOpen}}, all[1:]},
		"host":               {lifeline.IncidentQuery{Host: "nexus"}, []string{id(2)}},
		"thing":              {lifeline.IncidentQuery{Thing: "box-1"}, []string{id(1)}},
		"alert":              {lifeline.IncidentQuery{Alert: "Disk_Full"}, []string{id(3)}},
		"text of an alert":   {lifeline.IncidentQuery{Text: "disk_f"}, []string{id(3)}},
		"text of a summary":  {lifeline.IncidentQuery{Text: "100% of some"}, []string{id(4)}},
		"text of a reason":   {lifeline.IncidentQuery{Text: "BECAUSE"}, []string{id(6), id(5)}},
		"text of a host":     {lifeline.IncidentQuery{Text: "exu"}, []string{id(2)}},
		"no pattern":         {lifeline.IncidentQuery{Text: "100%something"}, []string{}},
		"an underline":       {lifeline.IncidentQuery{Text: "Disk.Full"}, []string{}},
		"from":               {lifeline.IncidentQuery{From: opened5}, []string{id(6), id(5)}},
		"until":              {lifeline.IncidentQuery{Until: opened5}, all[2:]},
		"all of it together": {lifeline.IncidentQuery{From: opened5, Text: "jukebox", States: []lifeline.State{lifeline.StateEscalated}, Host: "atlas"}, []string{id(5)}},
	} {
		c.q.Limit = 3
		if diff := cmp.Diff(c.want, s.found(c.q)); diff != "" {
			t.Errorf("%s (-want +found):\n%s", what, diff)
		}
	}
	for _, q := range []lifeline.IncidentQuery{{Limit: 201}, {Limit: -1}, {After: "x"}, {After: "12"}, {After: "12."}} {
		_, err := s.FindIncidents(t.Context(), q)
		wantCode(t, err, lifeline.CodeUsage)
	}
}

func statistics(t *testing.T, open Open) {
	s := newSuite(t, open)
	well := s.receive(firing("well", "a")).IncidentID
	s.move(well, lifeline.StateInvestigating, lifeline.StateVerifying, lifeline.StateResolved)
	asked, a := s.waiting("asked")
	if err := s.decide(a, true); err != nil {
		t.Fatal(err)
	}
	s.move(asked, lifeline.StateInvestigating, lifeline.StateVerifying)
	s.later(time.Hour)
	s.move(asked, lifeline.StateResolved)
	other := firing("other", "c")
	other.Target.Name = "radio"
	last := s.receive(other).IncidentID
	price := int64(7)
	for _, id := range []string{asked, last} {
		if err := s.RecordUsage(t.Context(), lifeline.Usage{IncidentID: id, Attempt: 1, Model: "m", Input: 10, MicroUSD: &price},
			lifeline.Event{IncidentID: id, Kind: lifeline.EventModelAnswered, Actor: "model:m"}); err != nil {
			t.Fatal(err)
		}
	}
	took := func(id string) time.Duration { inc := s.incident(id); return inc.UpdatedAt.Sub(inc.OpenedAt) }
	cause := func(name string, n int) lifeline.Cause {
		return lifeline.Cause{AlertName: "ContainerDown", Target: lifeline.Target{Host: "atlas", Kind: lifeline.TargetContainer, Name: name}, Incidents: n}
	}
	got, err := s.Statistics(t.Context(), time.Time{}, time.Time{})
	want := lifeline.Statistics{
		Incidents: map[lifeline.State]int{lifeline.StateResolved: 2, lifeline.StateOpen: 1}, Alone: 1,
		RepairMedian: (took(well) + took(asked)) / 2, RepairSlowest: took(asked),
		Causes: []lifeline.Cause{cause("jukebox", 2), cause("radio", 1)},
		Spent:  lifeline.Spent{Answers: 2, Input: 20, MicroUSD: 14},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("of all: %v (-want +got):\n%s", err, diff)
	}
	from, until := s.incident(last).OpenedAt, s.incident(last).OpenedAt.Add(time.Second)
	got, err = s.Statistics(t.Context(), from, until)
	want = lifeline.Statistics{From: from, Until: until, Incidents: map[lifeline.State]int{lifeline.StateOpen: 1},
		Causes: []lifeline.Cause{cause("radio", 1)}, Spent: lifeline.Spent{Answers: 1, Input: 10, MicroUSD: 7}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("of the last one: %v (-want +got):\n%s", err, diff)
	}
	open1, err := s.OpenByHost(t.Context())
	if diff := cmp.Diff(map[string]int{"atlas": 1}, open1); err != nil || diff != "" {
		t.Errorf("open by host: %v\n%s", err, diff)
	}
}

func eventPages(t *testing.T, open Open) {
	s := newSuite(t, open)
	if last, err := s.LastEvent(t.Context()); err != nil || last != 0 {
		t.Errorf("an empty record ends with %d, %v", last, err)
	}
	for i := range 9 {
		if err := s.AppendEvent(t.Context(), lifeline.Event{IncidentID: name("inc", i%2), Kind: lifeline.EventNote, Actor: "test", Text: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, incident := range []string{"", "inc-0", "inc-1"} {
		var want, got []lifeline.Event
		for _, e := range s.events {
			if incident == "" || e.IncidentID == incident {
				want = append(want, e)
			}
		}
		after := int64(0)
		for {
			page, err := s.EventsPage(t.Context(), incident, after, 2)
			if err != nil || len(page) > 2 {
				t.Fatalf("%d events, %v", len(page), err)
			}
			if len(page) == 0 {
				break
			}
			got, after = append(got, page...), page[len(page)-1].Seq
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("of %q (-handed on +paged):\n%s", incident, diff)
		}
	}
	if last, err := s.LastEvent(t.Context()); err != nil || last != s.events[8].Seq {
		t.Errorf("the record ends with %d, %v", last, err)
	}
}

func retried(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := s.receive(firing("k", "f1")).IncidentID
	s.receive(firing("k", "f2"))
	newest := firing("k", "f1")
	newest.Annotations = map[string]string{"summary": "the newest"}
	s.receive(newest)
	_, err := s.RetryIncident(t.Context(), id, "person:ann", s.onOpened)
	wantRefused(t, err, lifeline.RuleResolved, "only one that a person was handed is retried")
	s.move(id, lifeline.StateEscalated)
	before := s.incident(id)
	if _, err := s.RetryIncident(t.Context(), id, "person:ann", s.refuses); err == nil {
		t.Error("it was retried although it could not be enqueued")
	}
	if diff := cmp.Diff(before, s.incident(id)); diff != "" {
		t.Errorf("a retry that failed has changed it:\n%s", diff)
	}
	s.opened = nil
	next, err := s.RetryIncident(t.Context(), id, "person:ann", s.onOpened)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.opened) != 1 || s.opened[0].ID != next.ID || next.ID == id || next.State != lifeline.StateOpen || next.Key != "k" || !next.AlertFiring || next.Alerts != 2 {
		t.Errorf("the new one: %+v, told of %d", next, len(s.opened))
	}
	if old := s.incident(id); old.AlertFiring || old.State != lifeline.StateEscalated {
		t.Errorf("the old one: %+v", old)
	}
	latest, err := s.LatestAlert(t.Context(), next.ID)
	if err != nil || latest.Summary() != "the newest" {
		t.Errorf("it is worked with %q, %v", latest.Summary(), err)
	}
	for _, e := range []struct{ id, says string }{{id, "retried as " + next.ID + " by person:ann"}, {next.ID, "retry of " + id + " by person:ann"}} {
		events, err := s.Events(t.Context(), e.id, 0)
		last := events[len(events)-1]
		if err != nil || last.Kind != lifeline.EventRetried || last.Text != e.says || last.Actor != "person:ann" {
			t.Errorf("%v: %+v", err, last)
		}
	}
	// The new one takes the alerts, and their ends.
	if r := s.receive(firing("k", "f2")); r.Result != lifeline.ReceiptRepeat || r.IncidentID != next.ID {
		t.Errorf("the next alert: %+v", r)
	}
	s.receive(gone("k", "f1"))
	s.receive(gone("k", "f2"))
	if s.incident(next.ID).AlertFiring {
		t.Error("both alerts are gone, and it still fires")
	}
	_, err = s.RetryIncident(t.Context(), id, "person:ann", s.onOpened)
	wantRefused(t, err, lifeline.RuleResolved, "does not fire any more")
	_, err = s.RetryIncident(t.Context(), "inc_nothing", "person:ann", s.onOpened)
	wantCode(t, err, lifeline.CodeNotFound)
	s.sound()
}

// A storm case that is retried is the same storm case.
func retriedStorm(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := ""
	for i := range 12 {
		a := fault("atlas", name("Alert", i), name("box", i), "critical")
		if r := s.receive(a); r.Result == lifeline.ReceiptMerged {
			id = r.IncidentID
		}
	}
	if id == "" {
		t.Fatal("there is no storm")
	}
	s.move(id, lifeline.StateEscalated)
	old := s.incident(id)
	next, err := s.RetryIncident(t.Context(), id, "person:ann", s.onOpened)
	if err != nil || next.Summary != old.Summary || next.Severity != old.Severity || next.Alerts < 2 {
		t.Errorf("%v: %+v\nwas %+v", err, next, old)
	}
	if r := s.receive(fault("atlas", "New", "new", "critical")); r.IncidentID != next.ID || r.Result != lifeline.ReceiptMerged {
		t.Errorf("a new fault: %+v", r)
	}
	s.sound()
}

func handedOver(t *testing.T, open Open) {
	s := newSuite(t, open)
	data := json.RawMessage(`{"reason":"mine"}`)
	for state, way := range ways() {
		id := s.receive(firing("over "+string(state), "f")).IncidentID
		s.move(id, way...)
		inc, err := s.HandOverIncident(t.Context(), id, "person:ann", "mine", data)
		if state.Ended() {
			wantRefused(t, err, lifeline.RuleResolved, "is "+string(state)+" already")
			continue
		}
		if err != nil || inc.State != lifeline.StateEscalated || inc.Reason != "mine" {
			t.Errorf("from %s: %+v, %v", state, inc, err)
		}
		kinds := s.kinds(id)
		if got := kinds[len(kinds)-2:]; got[0] != lifeline.EventEscalated || got[1] != lifeline.EventStateChanged {
			t.Errorf("from %s: %v", state, got)
		}
		_, err = s.RecordIntent(t.Context(), command("c "+id, id), lifeline.Limits{})
		wantRefused(t, err, lifeline.RuleResolved, "is escalated")
	}
	_, a := s.waiting("waits")
	if _, err := s.HandOverIncident(t.Context(), a.Request.IncidentID, "person:ann", "mine", data); err != nil {
		t.Fatal(err)
	}
	if got := s.approval(a.ID); got.State != lifeline.ApprovalExpired || !strings.Contains(got.Decision, "escalated") {
		t.Errorf("what waited is %+v", got)
	}
	s.sound()
}

func closedIncident(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := s.receive(firing("k", "f")).IncidentID
	_, err := s.CloseIncident(t.Context(), id, "person:ann", "done")
	wantRefused(t, err, lifeline.RuleResolved, "only one that a person was handed is closed")
	s.move(id, lifeline.StateEscalated)
	inc, err := s.CloseIncident(t.Context(), id, "person:ann", "new disk")
	if err != nil || inc.AlertFiring || s.incident(id).AlertFiring {
		t.Errorf("closed: %+v, %v", inc, err)
	}
	events, err := s.Events(t.Context(), id, 0)
	if last := events[len(events)-1]; err != nil || last.Kind != lifeline.EventClosed || last.Text != "closed by person:ann: new disk" {
		t.Errorf("%v: %+v", err, last)
	}
	_, err = s.CloseIncident(t.Context(), id, "person:bob", "")
	wantRefused(t, err, lifeline.RuleResolved, "was closed already")
	if r := s.receive(firing("k", "f")); r.Result != lifeline.ReceiptOpened || r.IncidentID == id {
		t.Errorf("the next alert: %+v", r)
	}
	s.sound()
}

func recentCommands(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := s.receive(firing("k", "f")).IncidentID
	s.move(id, lifeline.StateInvestigating)
	for i := range 4 {
		s.intend(read(name("c", i), id), 9)
	}
	got, err := s.RecentCommands(t.Context(), command("", "").Host, 3)
	ids := []string{}
	for _, c := range got {
		ids = append(ids, c.ID)
	}
	if diff := cmp.Diff([]string{"c-3", "c-2", "c-1"}, ids); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	long := lifeline.Command{CommandRequest: lifeline.CommandRequest{ID: "long", IncidentID: id, Host: strings.Repeat("what a model says ", 2000)}, Outcome: lifeline.OutcomeRefused}
	if err := s.RecordRefusal(t.Context(), long); err != nil {
		t.Errorf("a host without end: %v", err)
	}
	if got, err := s.RecentCommands(t.Context(), long.Host, 3); err != nil || len(got) != 1 || got[0].ID != "long" {
		t.Errorf("a host without end: %d commands, %v", len(got), err)
	}
	if got, err := s.RecentCommands(t.Context(), "elsewhere", 3); err != nil || len(got) != 0 {
		t.Errorf("elsewhere: %v, %v", got, err)
	}
}

func answers(t *testing.T, open Open) {
	s := newSuite(t, open)
	claim := func(id, digest string) (store.Answer, bool, bool) {
		t.Helper()
		a, same, known, err := s.ClaimAnswer(t.Context(), id, digest)
		if err != nil {
			t.Fatal(err)
		}
		return a, same, known
	}
	if _, _, known := claim("a", "1"); known {
		t.Error("it is known before it was there")
	}
	if a, same, known := claim("a", "1"); !known || !same || a.Status != 0 {
		t.Errorf("under way: %+v, %v, %v", a, same, known)
	}
	want := store.Answer{Status: 409, Type: "application/json", Body: []byte("{\"ä\": 1}\n")}
	if err := s.KeepAnswer(t.Context(), "a", want); err != nil {
		t.Fatal(err)
	}
	a, same, known := claim("a", "1")
	if diff := cmp.Diff(want, a); diff != "" || !same || !known {
		t.Errorf("answered: %v, %v (-want +got):\n%s", same, known, diff)
	}
	if _, same, known := claim("a", "2"); same || !known {
		t.Error("another content is the same")
	}
	if err := s.DropAnswer(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, _, known := claim("a", "1"); !known {
		t.Error("an answer was forgotten")
	}
	claim("b", "1")
	if err := s.DropAnswer(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if _, _, known := claim("b", "2"); known {
		t.Error("what came to nothing is known")
	}
	s.later(25 * time.Hour)
	if _, _, known := claim("a", "3"); known {
		t.Error("it is known after a day")
	}
}
