package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/lab"
)

// Text from outside is shown and not obeyed, whatever colour its line has.
func TestDemoScreenEscapes(t *testing.T) {
	const hostile = "\x1b[2J\x07\u202eevil\r\n"
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	data, err := json.Marshal(lifeline.Command{Class: "read", Decision: "allow"})
	if err != nil {
		t.Fatal(err)
	}
	var out, figures bytes.Buffer
	s := &demoScreen{out: &out, colour: true, start: at}
	kinds := []lifeline.EventKind{
		lifeline.EventAlertReceived, lifeline.EventStateChanged, lifeline.EventCommandStarted, lifeline.EventCommandFinished,
		lifeline.EventModelAnswered, lifeline.EventVerified, lifeline.EventEscalated, lifeline.EventResponderEnded,
	}
	for _, kind := range kinds {
		s.event(lifeline.Event{Kind: kind, At: at.Add(1500 * time.Millisecond), Actor: hostile, Text: hostile, Data: data})
	}
	s.change(lab.Change{At: at, Target: lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: hostile}, To: "running"})
	if got, want := strings.Count(out.String(), "\n"), len(kinds)+1; got != want {
		t.Errorf("%d lines, want %d", got, want)
	}
	if err := s.end(demoFigures{State: lifeline.StateEscalated, Reason: hostile, Target: hostile,
		Comparison: demoComparison{OneConnection: demoReplay{Error: hostile}}}, ""); err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{"\x1b[2J", "\x07", "\u202e", "\r"} {
		if strings.Contains(out.String(), raw) {
			t.Errorf("%q reaches the terminal", raw)
		}
	}
	if !strings.Contains(out.String(), "\x1b[32m    1.50s  ") {
		t.Errorf("a verified line is not green:\n%q", out.String())
	}

	plainScreen := newDemoScreen(IO{Out: &figures, Err: &out}, true)
	out.Reset()
	if err := plainScreen.end(demoFigures{State: lifeline.StateResolved, Well: true, SecondsToRepair: new(1.25)}, ""); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "\x1b") || !json.Valid(figures.Bytes()) {
		t.Errorf("without a terminal: %q and %q", out.String(), figures.String())
	}
}

// The message is what a version 4 webhook message looks like.
func TestAlertmanagerMessage(t *testing.T) {
	for _, fault := range demoFaults() {
		sender := newAlertSender(fault)
		for _, status := range []lifeline.AlertStatus{lifeline.AlertFiring, lifeline.AlertResolved} {
			m := sender.message(status)
			a := m.Alerts[0]
			if m.Version != "4" || m.Status != string(status) || a.Status != string(status) || a.Labels["alertname"] == "" || len(a.Fingerprint) != 16 {
				t.Errorf("%s: %+v", fault.kind, m)
			}
			if a.EndsAt.IsZero() != (status == lifeline.AlertFiring) {
				t.Errorf("%s, %s: ends at %s", fault.kind, status, a.EndsAt)
			}
		}
	}
}

// Every fault of the demo is one that the lab can make.
func TestDemoFaultsCanBeMade(t *testing.T) {
	for _, fault := range demoFaults() {
		host := lab.NewHost(fault.target.Host, lab.Options{})
		simulated, err := lab.Start(t.Context(), host)
		if err != nil {
			t.Fatal(err)
		}
		if !fault.well(host) {
			t.Errorf("%s: not well before", fault.kind)
		}
		if err := host.Break(fault.kind, fault.target.Name); err != nil {
			t.Error(err)
		}
		if fault.well(host) {
			t.Errorf("%s: still well", fault.kind)
		}
		if err := simulated.Close(); err != nil {
			t.Error(err)
		}
	}
}
