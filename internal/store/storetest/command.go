package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lifeline"
)

// command is a change of an incident as the guard puts it on record.
func command(id, incident string) lifeline.Command {
	return lifeline.Command{
		CommandRequest: lifeline.CommandRequest{ID: id, IncidentID: incident, Host: "atlas", Command: "docker   start jukebox",
			Actor: "runbook:container-down", Purpose: "start it again", Timeout: 5 * time.Second},
		Canonical: "docker start jukebox", Class: "change", Decision: "allow", Rule: "catalogue", Reason: "it can be undone",
		Marks: []string{"sensitive"}, IntentAt: at(100),
	}
}

// read is a command that changes nothing.
func read(id, incident string) lifeline.Command {
	c := command(id, incident)
	c.Command, c.Canonical, c.Class = "docker ps", "docker ps", "read"
	return c
}

func finished(c lifeline.Command, outcome lifeline.Outcome) lifeline.Command {
	c.Outcome, c.FinishedAt = outcome, at(101)
	if outcome == lifeline.OutcomeExited {
		c.ExitStatus = new(0)
	}
	return c
}

func (s *suite) intend(c lifeline.Command, most int) *lifeline.Command {
	s.t.Helper()
	prior, err := s.RecordIntent(s.t.Context(), c, lifeline.Limits{PerIncident: most})
	if err != nil {
		s.t.Fatal(err)
	}
	return prior
}

func (s *suite) commands(incident string) []lifeline.Command {
	s.t.Helper()
	all, err := s.Commands(s.t.Context(), incident)
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

func intentAndResult(t *testing.T, open Open) {
	s := newSuite(t, open)
	c := command("c1", "") // a person at the terminal
	if prior := s.intend(c, 1); prior != nil {
		t.Fatalf("nothing was on record, got %+v", prior)
	}
	if diff := cmp.Diff([]lifeline.Command{c}, s.commands("")); diff != "" {
		t.Errorf("the intent (-want +got):\n%s", diff)
	}
	// The same request again, after a crash: what is on record comes back.
	again := c
	again.Canonical, again.IntentAt = "docker start other", at(200)
	if diff := cmp.Diff(&c, s.intend(again, 1)); diff != "" {
		t.Errorf("the prior intent (-want +got):\n%s", diff)
	}

	done := finished(c, lifeline.OutcomeExited)
	done.ExitStatus = new(3)
	done.Stdout, done.Stderr, done.Truncated = []byte("a\x00\xff\x1b[31m"), []byte("e"), true
	done.Kill, done.Reused, done.Error, done.Cause, done.Hint = "TERM", true, "why", lifeline.CodeFailed, "try"
	done.Queue, done.Connect, done.Run = time.Millisecond, 2*time.Second, 3*time.Nanosecond
	if err := s.RecordResult(t.Context(), done); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]lifeline.Command{done}, s.commands("")); diff != "" {
		t.Errorf("the result (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&done, s.intend(c, 1)); diff != "" {
		t.Errorf("the prior result (-want +got):\n%s", diff)
	}
	// What happened first is what happened.
	wantCode(t, s.RecordResult(t.Context(), finished(c, lifeline.OutcomeUnknown)), lifeline.CodeStore)
	wantCode(t, s.RecordResult(t.Context(), finished(command("c2", ""), lifeline.OutcomeExited)), lifeline.CodeStore)
	if diff := cmp.Diff([]lifeline.Command{done}, s.commands("")); diff != "" {
		t.Errorf("after a second result (-want +got):\n%s", diff)
	}

	// Times that the caller leaves out are the record's clock.
	bare := command("c3", "")
	bare.IntentAt = time.Time{}
	s.intend(bare, 1)
	if err := s.RecordResult(t.Context(), lifeline.Command{CommandRequest: bare.CommandRequest, Outcome: lifeline.OutcomeSignaled, Signal: "KILL"}); err != nil {
		t.Fatal(err)
	}
	if got := s.commands("")[1]; got.FinishedAt.IsZero() || got.Signal != "KILL" {
		t.Errorf("without times: %+v", got)
	}
	want := []lifeline.Event{
		{Kind: lifeline.EventCommandStarted, Actor: c.Actor, Text: "atlas: docker start jukebox"},
		{Kind: lifeline.EventCommandFinished, Actor: c.Actor, Text: "atlas: docker start jukebox: exited 3 in 0s"},
		{Kind: lifeline.EventCommandStarted, Actor: c.Actor, Text: "atlas: docker start jukebox"},
		{Kind: lifeline.EventCommandFinished, Actor: c.Actor, Text: "atlas: : ended by signal KILL after 0s"},
	}
	got, err := s.Events(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if strings.Contains(string(got[i].Data), "stdout") {
			t.Errorf("event %d holds the output's bytes: %s", i, got[i].Data)
		}
		got[i].Data = nil
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(lifeline.Event{}, "Seq", "At")); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
}

// The intent of a change, and of nothing else, moves its incident to acting, in
// the same transaction.
func intentMoves(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := s.receive(firing("k", "f")).IncidentID
	s.move(id, lifeline.StateInvestigating)
	s.intend(read("c1", id), 5)
	if inc := s.incident(id); inc.State != lifeline.StateInvestigating || inc.Changes != 0 {
		t.Errorf("after a read: %s, %d changes", inc.State, inc.Changes)
	}
	s.intend(command("c2", id), 5)
	if inc := s.incident(id); inc.State != lifeline.StateActing || inc.Changes != 1 {
		t.Errorf("after a change: %s, %d changes", inc.State, inc.Changes)
	}
	s.intend(command("c3", id), 5)
	if inc := s.incident(id); inc.State != lifeline.StateActing || inc.Changes != 2 {
		t.Errorf("after another: %s, %d changes", inc.State, inc.Changes)
	}
	s.intend(command("c2", id), 5) // a replay counts once
	if inc := s.incident(id); inc.Changes != 2 {
		t.Errorf("after a replay: %d changes", inc.Changes)
	}

	s.move(id, lifeline.StateVerifying)
	before := s.kinds(id)
	_, err := s.RecordIntent(t.Context(), command("c4", id), lifeline.Limits{PerIncident: 5})
	wantCode(t, err, lifeline.CodeStore)
	_, err = s.RecordIntent(t.Context(), command("c5", "inc_none"), lifeline.Limits{PerIncident: 5})
	wantCode(t, err, lifeline.CodeNotFound)
	if inc := s.incident(id); inc.State != lifeline.StateVerifying || len(s.commands(id)) != 3 || len(s.commands("inc_none")) != 0 {
		t.Errorf("a change where none is possible left %s and %d commands", inc.State, len(s.commands(id)))
	}
	if diff := cmp.Diff(before, s.kinds(id)); diff != "" {
		t.Errorf("and a timeline (-want +got):\n%s", diff)
	}
	s.intend(read("c6", id), 5) // looking is possible at any time
	s.handedOn(id)
}

// budget counts what was let through and may have happened.
func budget(t *testing.T, open Open) {
	for outcome, counts := range map[lifeline.Outcome]bool{
		"":                         true, // its result was lost
		lifeline.OutcomeExited:     true,
		lifeline.OutcomeSignaled:   true,
		lifeline.OutcomeTimedOut:   true,
		lifeline.OutcomeUnknown:    true,
		lifeline.OutcomeNotStarted: false,
	} {
		t.Run("outcome "+string(outcome), func(t *testing.T) {
			s := newSuite(t, open)
			id := s.receive(firing("k", "f")).IncidentID
			s.move(id, lifeline.StateInvestigating)
			s.intend(command("c1", id), 1)
			if outcome != "" {
				if err := s.RecordResult(t.Context(), finished(command("c1", id), outcome)); err != nil {
					t.Fatal(err)
				}
			}
			prior, err := s.RecordIntent(t.Context(), command("c2", id), lifeline.Limits{PerIncident: 1})
			if !counts {
				if err != nil || prior != nil || len(s.commands(id)) != 2 {
					t.Errorf("a change that never began counted: %v", err)
				}
				return
			}
			wantCode(t, err, lifeline.CodeRefused)
			if got := fmt.Sprint(err); !strings.Contains(got, "1 of its 1 changes") || !strings.Contains(got, "respond.max_changes") {
				t.Errorf("the refusal says %q", got)
			}
			if n := len(s.commands(id)); n != 1 || s.incident(id).Changes != 1 {
				t.Errorf("%d commands, %d changes", n, s.incident(id).Changes)
			}
			// Reads, replays, other incidents and persons are not bounded by it.
			s.intend(read("r1", id), 1)
			if prior := s.intend(command("c1", id), 1); prior == nil {
				t.Error("a replay found nothing")
			}
			other := s.receive(firing("other", "f")).IncidentID
			s.move(other, lifeline.StateInvestigating)
			s.intend(command("c3", other), 1)
			s.intend(command("c4", ""), 1)
			s.intend(command("c5", ""), 1)
		})
	}
}

func refusal(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := s.receive(firing("k", "f")).IncidentID
	no := command("c1", id)
	no.IntentAt, no.FinishedAt = time.Time{}, at(101)
	no.Canonical, no.Decision, no.Outcome, no.Cause, no.Reason = "", "deny", lifeline.OutcomeRefused, lifeline.CodeRefused, "not in the catalogue"
	for range 2 { // a refusal that is recorded again is the same one
		if err := s.RecordRefusal(t.Context(), no); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]lifeline.Command{no}, s.commands(id)); diff != "" {
		t.Errorf("the refusal (-want +got):\n%s", diff)
	}
	if inc := s.incident(id); inc.Changes != 0 || inc.State != lifeline.StateOpen {
		t.Errorf("a refusal counts as %d changes and moved the incident to %s", inc.Changes, inc.State)
	}
	want := []lifeline.EventKind{lifeline.EventAlertReceived, lifeline.EventIncidentOpened, lifeline.EventCommandRefused}
	if diff := cmp.Diff(want, s.kinds(id)); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
	// What was refused has no result, and asking again under its ID finds it.
	wantCode(t, s.RecordResult(t.Context(), finished(command("c1", id), lifeline.OutcomeExited)), lifeline.CodeStore)
	if diff := cmp.Diff(&no, s.intend(command("c1", id), 5)); diff != "" {
		t.Errorf("the prior refusal (-want +got):\n%s", diff)
	}
}
