//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
)

// The founding story with no model at all: the shipped runbook starts the
// container, and the proof is the same.
func TestRunbookStory(t *testing.T) {
	w := newWorld(t, "responder: runbook\n")

	w.docker.docker(t, "stop", scrypted)
	c := w.lifeline.ended(t)

	assertRepaired(t, w, c)
	if got := c.find(t, lifeline.EventResponderEnded).Actor; got != "runbook:container-down" {
		t.Errorf("%s worked the incident, want runbook:container-down", got)
	}
	if diff := cmp.Diff([]string{"docker start " + scrypted}, c.changes()); diff != "" {
		t.Errorf("changes made to nexus (-want +got):\n%s", diff)
	}
	w.shutDown(t)
	assertFewConnections(t, w)
}

// assertRepaired looks at a repair from all sides: the record, docker and the
// monitoring.
func assertRepaired(t *testing.T, w *world, c caseFile) {
	t.Helper()
	if c.Incident.State != lifeline.StateResolved {
		t.Errorf("the incident is %s (%s), want resolved", c.Incident.State, c.Incident.Reason)
	}
	if diff := cmp.Diff(lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: scrypted}, c.Incident.Target); diff != "" {
		t.Errorf("the target (-want +got):\n%s", diff)
	}
	if c.Incident.AlertFiring {
		t.Error("the incident is resolved, but its alert is on record as firing")
	}
	if err := w.service.well(t); err != nil {
		t.Errorf("the service is not well: %v", err)
	}
	w.quiet(t)
	received, verified := c.find(t, lifeline.EventAlertReceived).At, c.find(t, lifeline.EventVerified).At
	took := verified.Sub(received).Seconds()
	t.Logf("from the webhook to verified: %.1f s", took)
	if took <= 0 || took >= 60 {
		t.Errorf("from the webhook to verified it took %.1f s, want less than 60", took)
	}
	for _, cmd := range c.Commands {
		if cmd.Outcome != lifeline.OutcomeExited && cmd.Outcome != lifeline.OutcomeRefused {
			t.Errorf("%q ended as %q: %s", cmd.Command, cmd.Outcome, cmd.Error)
		}
	}
}

// assertFewConnections counts what the founding story counts, when the service
// has ended: connections in sshd's log, the rest in Lifeline's.
func assertFewConnections(t *testing.T, w *world) {
	t.Helper()
	opened, reused := w.sshd.accepted(t), w.lifeline.logged(t, "reusing_ssh_connection")
	t.Logf("connections that sshd accepted: %d; reuses: %d", opened, reused)
	if opened < 1 || opened > 2 {
		t.Errorf("sshd accepted %d connections, want 1 or 2", opened)
	}
	if logged := w.lifeline.logged(t, "ssh_connection_established"); logged != opened {
		t.Errorf("Lifeline's log tells of %d connections, sshd's of %d", logged, opened)
	}
	if reused < 10 {
		t.Errorf("%d commands found an open connection, want 10 or more", reused)
	}
	for _, event := range []string{"command_timeout", "command_unknown"} {
		if n := w.lifeline.logged(t, event); n > 0 {
			t.Errorf("Lifeline's log has %s %d times, want none", event, n)
		}
	}
	if n := w.lifeline.logged(t, "command_batch_completed"); n == 0 {
		t.Error("Lifeline's log has no command_batch_completed")
	}
	if log := w.lifeline.log(t); strings.Contains(log, "level=ERROR") {
		t.Error("Lifeline's log has errors")
	}
}
