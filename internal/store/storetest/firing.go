package storetest

import (
	"testing"

	"lifeline"
)

func firingAlerts(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := s.receive(firing("k", "f1")).IncidentID
	s.receive(firing("k", "f2"))
	s.receive(firing("k", "f1")) // again: the newest of its fingerprint counts
	s.receive(firing("other", "f3"))
	s.receive(firing("k", "f4"))
	s.receive(gone("k", "f4"))
	list := func(limit int) (fingerprints string) {
		t.Helper()
		alerts, err := s.FiringAlerts(t.Context(), id, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range alerts {
			fingerprints += a.Fingerprint + " "
		}
		return fingerprints
	}
	if got, want := list(10), "f1 f2 "; got != want {
		t.Errorf("firing: %s, want %s", got, want)
	}
	if got, want := list(1), "f1 "; got != want {
		t.Errorf("at most one: %s, want %s", got, want)
	}
	s.receive(gone("k", "f1"))
	s.receive(firing("k", "f4"))
	if got, want := list(10), "f4 f2 "; got != want {
		t.Errorf("after an end and a return: %s, want %s", got, want)
	}
}

// Alertmanager's word counts as the webhook's would, and what fires later is
// taken as ever.
func alertGone(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := s.receive(firing("k", "f")).IncidentID
	e := lifeline.Event{IncidentID: id, Kind: lifeline.EventAlertChecked, Actor: "respond", Text: "it is gone"}
	if err := s.AlertGone(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if inc := s.incident(id); inc.AlertFiring || inc.State != lifeline.StateOpen {
		t.Errorf("%+v", inc)
	}
	if kinds := s.kinds(id); kinds[len(kinds)-1] != lifeline.EventAlertChecked {
		t.Errorf("the timeline ends with %s", kinds[len(kinds)-1])
	}
	if r := s.receive(firing("k", "f")); r.IncidentID != id || !s.incident(id).AlertFiring {
		t.Errorf("fires again: %+v", r)
	}
	if _, err := s.MoveIncident(t.Context(), id, lifeline.StateEscalated, "respond", "no"); err != nil {
		t.Fatal(err)
	}
	if err := s.AlertGone(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if r := s.receive(firing("k", "f")); r.Result != lifeline.ReceiptOpened {
		t.Errorf("after its end and the alert's: %+v", r)
	}
}
