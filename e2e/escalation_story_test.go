//go:build e2e

package e2e

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lifeline"
)

// A container that ends at once after each start cannot be repaired by starting
// it. Lifeline tries as often as it may, no more, and hands over the whole case.
func TestEscalationStory(t *testing.T) {
	w := newWorld(t, "responder: runbook\n")

	startsBefore := w.docker.starts(t, scrypted)
	w.service.fault(t)
	w.docker.docker(t, "stop", scrypted)
	c := w.lifeline.ended(t)

	if c.Incident.State != lifeline.StateEscalated {
		t.Fatalf("the incident is %s (%s), want escalated", c.Incident.State, c.Incident.Reason)
	}
	const maxChanges = 2 // as newWorld configures it
	starts := w.docker.starts(t, scrypted) - startsBefore
	if starts < 1 || starts > maxChanges || starts != len(c.changes()) {
		t.Errorf("docker started the container %d times, the record has the changes %q, and %d are allowed", starts, c.changes(), maxChanges)
	}
	assertCompleteCase(t, w, c)

	// It stays with a person: the alert goes on firing, and nothing more happens.
	if firing, err := w.monitoring.firing(t); err != nil || !slices.Contains(firing, scrypted) {
		t.Errorf("the alert must go on firing; firing: %v, %v", firing, err)
	}
	w.shutDown(t)
	if after := w.docker.starts(t, scrypted) - startsBefore; after != starts {
		t.Errorf("the container was started %d more times after the hand-over", after-starts)
	}
	if opened := w.sshd.accepted(t); opened > 2 {
		t.Errorf("sshd accepted %d connections, want at most 2", opened)
	}
}

// assertCompleteCase wants what a person needs who takes over: why, what was
// seen and tried, and where to look next, in the record and on the page that
// is handed over.
func assertCompleteCase(t *testing.T, w *world, c caseFile) {
	t.Helper()
	handedOver := c.find(t, lifeline.EventEscalated)
	var handover struct {
		Reason  string            `json:"reason"`
		Next    []string          `json:"next"`
		Reports []lifeline.Report `json:"reports"`
	}
	if err := json.Unmarshal(handedOver.Data, &handover); err != nil {
		t.Fatal(err)
	}
	switch {
	case handover.Reason == "" || handover.Reason != c.Incident.Reason:
		t.Errorf("the hand-over's reason is %q, the incident's %q", handover.Reason, c.Incident.Reason)
	case !strings.Contains(handover.Reason, "exited"):
		t.Errorf("the reason does not say how the container is: %q", handover.Reason)
	case len(handover.Next) == 0 || handover.Next[0] == "":
		t.Error("the hand-over does not say where to look next")
	case len(handover.Reports) == 0:
		t.Error("the hand-over has no report of an attempt")
	}
	// The reason of the fault is among what was read from the host.
	if !slices.ContainsFunc(c.Commands, func(cmd lifeline.Command) bool {
		return strings.Contains(string(cmd.Stdout)+string(cmd.Stderr), "plugin database is corrupt")
	}) {
		t.Error("no command on record has the line of the container's log that names the fault")
	}
	page := w.lifeline.command(t, "incidents", "show", c.Incident.ID, "--markdown")
	if page.status != 0 {
		t.Fatalf("incidents show --markdown: exit status %d: %s", page.status, page.stderr)
	}
	text := regexp.MustCompile(`\\([[:punct:]])`).ReplaceAllString(page.stdout, "$1") // Markdown's escapes
	for _, want := range append([]string{"ContainerDown", handover.Reason, "docker start " + scrypted}, handover.Next...) {
		if !strings.Contains(text, want) {
			t.Errorf("the case that is handed over lacks %q:\n%s", want, text)
		}
	}
}
