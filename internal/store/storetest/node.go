package storetest

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/store"
)

// nodes: a place is one process's, and is given back.
func nodes(t *testing.T, open Open) {
	s := newSuite(t, open)
	if all, err := s.Nodes(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("before anybody joined: %+v, %v", all, err)
	}
	_, err := s.Join(t.Context(), store.NodeOptions{})
	wantCode(t, err, lifeline.CodeConfig)

	m, err := s.Join(t.Context(), store.NodeOptions{Name: "anna", Version: "v1", Lease: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{m.Renew(t.Context()), m.InForce(), m.Err()} {
		if err != nil {
			t.Error(err)
		}
	}
	all, err := s.Nodes(t.Context())
	if err != nil || len(all) != 1 || all[0].Name != "anna" || all[0].Epoch != 1 || all[0].Version != "v1" || !all[0].Alive || all[0].FencedBy != "" {
		t.Errorf("the nodes: %+v, %v", all, err)
	}
	s.receive(firing("k", "f")) // a node in force writes
	if _, err := s.Paused(t.Context()); err != nil {
		t.Error(err)
	}
	if dead, err := m.Dead(t.Context()); err != nil || len(dead) != 0 {
		t.Errorf("dead: %+v, %v", dead, err)
	}
	if err := errors.Join(m.Leave(t.Context()), m.Leave(t.Context())); err != nil {
		t.Errorf("left twice: %v", err)
	}
	if m, err = s.Join(t.Context(), store.NodeOptions{Name: "anna", Lease: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Nodes(t.Context()); err != nil || len(all) != 1 || all[0].Epoch != 2 {
		t.Errorf("after it came back: %+v, %v", all, err)
	}
	if err := m.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	s.sound()
}

// oddTexts: what a model or a sender made up, bytes that are no text among it,
// is on record and the record is whole.
func oddTexts(t *testing.T, open Open) {
	const odd = "a\x00b\xffc\u202e"
	s := newSuite(t, open)
	id := s.receive(firing("k", "f")).IncidentID
	for _, e := range []lifeline.Event{
		{IncidentID: id, Kind: lifeline.EventNote, Actor: "model:" + odd, Text: odd},
		{IncidentID: id, Kind: lifeline.EventNote, Actor: "test", Text: "data", Data: []byte("{\"a\": \"\xff\\u0000\"}")},
	} {
		if err := s.AppendEvent(t.Context(), e); err != nil {
			t.Errorf("%q: %v", e.Text, err)
		}
	}
	no := command("call-"+odd, id)
	no.Host, no.Command, no.Purpose, no.Reason, no.Outcome = odd, odd, odd, odd, lifeline.OutcomeRefused
	if err := s.RecordRefusal(t.Context(), no); err != nil {
		t.Error(err)
	}
	done := read("r-1", id)
	s.intend(done, 1)
	done = finished(done, lifeline.OutcomeExited)
	done.Stdout, done.Error = []byte(odd), odd
	if err := s.RecordResult(t.Context(), done); err != nil {
		t.Error(err)
	}
	for _, find := range []func() error{
		func() error { _, err := s.Incident(t.Context(), odd); return err },
		func() error { _, err := s.Approval(t.Context(), odd); return err },
	} {
		wantCode(t, find(), lifeline.CodeNotFound)
	}
	commands, err := s.Commands(t.Context(), id)
	if err != nil || len(commands) != 2 || string(commands[1].Stdout) != odd && string(commands[0].Stdout) != odd {
		t.Errorf("commands: %+v, %v", commands, err)
	}
	s.sound()
}

// longKeys: a label may be 8 KiB long, and a key is made of several; an index has
// room for less.
func longKeys(t *testing.T, open Open) {
	s := newSuite(t, open)
	// Not to be made shorter by packing it.
	random := rand.New(rand.NewPCG(1, 2))
	long := make([]byte, 0, 24<<10)
	for len(long) < cap(long) {
		long = append(long, byte('a'+random.IntN(26)))
	}
	first, again, other := s.receive(firing(string(long)+"1", "f")), s.receive(firing(string(long)+"1", "f")), s.receive(firing(string(long)+"2", "g"))
	if first.Result != lifeline.ReceiptOpened || again.Result != lifeline.ReceiptRepeat || again.IncidentID != first.IncidentID || other.Result != lifeline.ReceiptOpened {
		t.Errorf("%+v, %+v, %+v", first, again, other)
	}
	s.sound()
}
