package storetest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/store"
)

// ways lead from a new incident to every state.
func ways() map[lifeline.State][]lifeline.State {
	return map[lifeline.State][]lifeline.State{
		lifeline.StateOpen:             {},
		lifeline.StateInvestigating:    {lifeline.StateInvestigating},
		lifeline.StateAwaitingApproval: {lifeline.StateInvestigating, lifeline.StateAwaitingApproval},
		lifeline.StateActing:           {lifeline.StateInvestigating, lifeline.StateActing},
		lifeline.StateVerifying:        {lifeline.StateInvestigating, lifeline.StateVerifying},
		lifeline.StateResolved:         {lifeline.StateInvestigating, lifeline.StateVerifying, lifeline.StateResolved},
		lifeline.StateEscalated:        {lifeline.StateEscalated},
		lifeline.StateSuperseded:       {lifeline.StateSuperseded},
	}
}

// moves tries every state from every state.
func moves(t *testing.T, open Open) {
	s := newSuite(t, open)
	for from, way := range ways() {
		for to := range ways() {
			id := s.receive(firing(string(from+" "+to), "f")).IncidentID
			s.move(id, way...)
			before, events := s.incident(id), s.kinds(id)
			got, err := s.MoveIncident(t.Context(), id, to, "respond", "the reason")
			after := s.incident(id)
			switch {
			case from == to:
				if diff := cmp.Diff(before, got); err != nil || diff != "" {
					t.Errorf("%s again: %v (-before +got):\n%s", to, err, diff)
				}
			case !lifeline.CanMove(from, to):
				wantCode(t, err, lifeline.CodeStore)
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("%s to %s was refused and changed (-before +after):\n%s", from, to, diff)
				}
			default:
				want := before
				want.State, want.Reason, want.UpdatedAt = to, "the reason", after.UpdatedAt
				events = append(events, lifeline.EventStateChanged)
				if diff := cmp.Diff(want, after); err != nil || diff != "" || !after.UpdatedAt.After(before.UpdatedAt) {
					t.Errorf("%s to %s: %v (-want +after):\n%s", from, to, err, diff)
				}
				if diff := cmp.Diff(after, got); diff != "" {
					t.Errorf("%s to %s (-on record +given back):\n%s", from, to, diff)
				}
			}
			if diff := cmp.Diff(events, s.kinds(id)); diff != "" {
				t.Errorf("%s to %s: timeline (-want +got):\n%s", from, to, diff)
			}
		}
	}
}

func events(t *testing.T, open Open) {
	s := newSuite(t, open)
	when := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", -3600))
	for _, e := range []lifeline.Event{
		{IncidentID: "a", At: when, Kind: lifeline.EventNote, Actor: "person:ann", Text: "α\x1b[31m", Data: json.RawMessage(`{"a": [1, "\u0000"]}`)},
		{IncidentID: "b", Kind: lifeline.EventNote, Actor: "test", Text: "other"},
		{IncidentID: "a", Kind: lifeline.EventModelAsked, Actor: "model:m"},
	} {
		if err := s.AppendEvent(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Events(t.Context(), "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Seq >= got[1].Seq || got[0].Seq <= 0 {
		t.Fatalf("events %+v", got)
	}
	want := []lifeline.Event{
		{Seq: got[0].Seq, IncidentID: "a", At: when.UTC().Truncate(time.Microsecond), Kind: lifeline.EventNote, Actor: "person:ann",
			Text: "α\x1b[31m", Data: json.RawMessage(`{"a": [1, "\u0000"]}`)},
		{Seq: got[1].Seq, IncidentID: "a", At: at(2), Kind: lifeline.EventModelAsked, Actor: "model:m"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
	rest, err := s.Events(t.Context(), "a", got[0].Seq)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[1:], rest); diff != "" {
		t.Errorf("after the first (-want +got):\n%s", diff)
	}
	wantCode(t, s.AppendEvent(t.Context(), lifeline.Event{IncidentID: "a", Data: json.RawMessage(`{`)}), lifeline.CodeStore)
	s.handedOn("a", "b")
}

// handedOnInOrder looks at a second transaction while the event of the first is
// handed on: it must not overtake it.
func handedOnInOrder(t *testing.T, open Open) {
	var (
		s      *store.Store
		order  []string
		second = make(chan struct{})
	)
	note := func(text string) error {
		return s.AppendEvent(t.Context(), lifeline.Event{IncidentID: "a", Kind: lifeline.EventNote, Text: text})
	}
	s = open(t, store.Options{OnEvent: func(e lifeline.Event) {
		if e.Text == "first" {
			go func() {
				defer close(second)
				if err := note("second"); err != nil {
					t.Error(err)
				}
			}()
			// Time enough to overtake, for a store that lets it.
			select {
			case <-second:
			case <-time.After(100 * time.Millisecond):
			}
		}
		order = append(order, e.Text)
	}})
	if err := note("first"); err != nil {
		t.Fatal(err)
	}
	<-second
	if diff := cmp.Diff([]string{"first", "second"}, order); diff != "" {
		t.Errorf("handed on (-want +got):\n%s", diff)
	}
}

func incidents(t *testing.T, open Open) {
	s := newSuite(t, open)
	var ids []string
	for i := range 4 {
		ids = append(ids, s.receive(firing(name("k", i), "f")).IncidentID)
	}
	s.move(ids[1], lifeline.StateEscalated)
	s.move(ids[2], lifeline.StateSuperseded)
	for _, tc := range []struct {
		filter store.Filter
		want   []int
	}{
		{store.Filter{}, []int{3, 2, 1, 0}},
		{store.Filter{Limit: 2}, []int{3, 2}},
		{store.Filter{States: []lifeline.State{lifeline.StateOpen}}, []int{3, 0}},
		{store.Filter{States: []lifeline.State{lifeline.StateEscalated, lifeline.StateSuperseded}}, []int{2, 1}},
		{store.Filter{States: []lifeline.State{lifeline.StateOpen, lifeline.StateEscalated}, Limit: 2}, []int{3, 1}},
		{store.Filter{States: []lifeline.State{lifeline.StateResolved}}, nil},
	} {
		all, err := s.Incidents(t.Context(), tc.filter)
		if err != nil {
			t.Fatal(err)
		}
		var got, want []lifeline.Incident
		got = append(got, all...)
		for _, i := range tc.want {
			want = append(want, s.incident(ids[i]))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tc.filter, diff)
		}
	}
}

func incidentPrefix(t *testing.T, open Open) {
	s := newSuite(t, open)
	first := s.receive(firing("k1", "f")).IncidentID
	if inc := s.incident(first[:6]); inc.ID != first {
		t.Errorf("%s found %s", first[:6], inc.ID)
	}
	second := s.receive(firing("k2", "f")).IncidentID
	if second <= first {
		t.Errorf("%s was opened after %s and sorts before it", second, first)
	}
	common := 0
	for first[common] == second[common] {
		common++
	}
	if inc := s.incident(second[:common+1]); inc.ID != second {
		t.Errorf("%s found %s", second[:common+1], inc.ID)
	}
	_, err := s.Incident(t.Context(), first[:common])
	wantCode(t, err, lifeline.CodeNotFound)
	if err != nil && (!strings.Contains(err.Error(), first) || !strings.Contains(err.Error(), second)) {
		t.Errorf("what %q could mean is not said: %v", first[:common], err)
	}
	for _, none := range []string{first + "x", "INC", "%", "_nc", "inc\x00", "é"} {
		_, err := s.Incident(t.Context(), none)
		wantCode(t, err, lifeline.CodeNotFound)
	}
}
