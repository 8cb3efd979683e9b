package timeline_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/timeline"
)

func opened() time.Time { return time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC) }

func incident() lifeline.Incident {
	return lifeline.Incident{
		ID: "inc_01", AlertName: "ContainerDown", Severity: "critical", Summary: "jukebox is down",
		Target: lifeline.Target{Host: "atlas", Kind: lifeline.TargetContainer, Name: "jukebox"},
		State:  lifeline.StateEscalated, Reason: "still not well", Alerts: 2, Changes: 1,
		OpenedAt: opened(), UpdatedAt: opened().Add(90 * time.Second),
	}
}

// commands are a read, a change whose result was lost, and a refusal.
func commands() []lifeline.Command {
	read := lifeline.Command{
		CommandRequest: lifeline.CommandRequest{Host: "atlas", Command: "docker  ps", Actor: "model:m"},
		Canonical:      "docker ps", Class: "read", Decision: "allow", Rule: "catalogue", Reason: "it only reads",
		IntentAt: opened(), FinishedAt: opened(), Outcome: lifeline.OutcomeExited, ExitStatus: new(0),
		Stdout: []byte("NAMES\njukebox\x1b[2J\n\n"), Stderr: []byte("warning: \xff\n"),
		Queue: time.Millisecond, Connect: 20 * time.Millisecond, Run: 1500 * time.Microsecond,
	}
	lost := lifeline.Command{
		CommandRequest: lifeline.CommandRequest{Host: "atlas", Command: "docker start jukebox", Actor: "runbook:container-down"},
		Canonical:      "docker start jukebox", Class: "change", Decision: "allow", Rule: "catalogue", Reason: "it can be undone", IntentAt: opened(),
	}
	refused := lifeline.Command{
		CommandRequest: lifeline.CommandRequest{Host: "atlas", Command: "rm -rf /*_[x](y)", Actor: "model:m"},
		Class:          "destructive", Decision: "deny", Rule: "catalogue", Reason: "rm <deletes>", Outcome: lifeline.OutcomeRefused, FinishedAt: opened(),
	}
	return []lifeline.Command{read, lost, refused}
}

func TestLine(t *testing.T) {
	e := lifeline.Event{At: opened().Add(12345 * time.Millisecond), Actor: "guard", Text: "atlas: docker ps\n\x1b[2Jx"}
	want := `   12.35s  guard                  atlas: docker ps\n\x1b[2Jx`
	if got := timeline.Line(e, opened()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWriteIncidents(t *testing.T) {
	evil := incident()
	evil.AlertName, evil.Reason, evil.Target.Name = "a\tb", "x\ny\x1b[2J", "c\u202ed"
	var b strings.Builder
	if err := timeline.WriteIncidents(&b, []lifeline.Incident{incident(), evil}); err != nil {
		t.Fatal(err)
	}
	when := opened().Local().Format(time.DateTime)
	want := `ID      OPENED               STATE      ALERT          TARGET                          CHANGES  REASON
inc_01  ` + when + `  escalated  ContainerDown  container jukebox on atlas      1        still not well
inc_01  ` + when + `  escalated  a\tb           container c\u{202e}d on atlas  1        x\ny\x1b[2J
`
	// The columns are aligned by runes: compare the words.
	if diff := cmp.Diff(words(want), words(b.String())); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if err := timeline.WriteIncidents(full{}, []lifeline.Incident{incident()}); err == nil {
		t.Error("a writer that fails was not noticed")
	}
}

func words(s string) (lines [][]string) {
	for line := range strings.Lines(s) {
		lines = append(lines, strings.Fields(line))
	}
	return lines
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestWriteIncident(t *testing.T) {
	events := []lifeline.Event{
		{At: opened(), Actor: "alertmanager", Text: "ContainerDown is firing"},
		{At: opened().Add(2 * time.Second), Actor: "respond", Text: "open → escalated"},
	}
	var b strings.Builder
	if err := timeline.WriteIncident(&b, incident(), events, commands()); err != nil {
		t.Fatal(err)
	}
	want := `inc_01  escalated  ContainerDown
  container jukebox on atlas
  jukebox is down
  still not well
  opened ` + opened().Local().Format(time.DateTime) + `, 2 alerts, 1 changes

Timeline
    0.00s  alertmanager           ContainerDown is firing
    2.00s  respond                open → escalated

Commands
atlas: docker ps
    by model:m; allow by catalogue: it only reads
    exited 0 (queue 1ms, connect 20ms, run 2ms)
      NAMES
      jukebox\x1b[2J
      warning: \xff
atlas: docker start jukebox
    by runbook:container-down; allow by catalogue: it can be undone
    unknown: it was let through, and no result is on record
atlas: rm -rf /*_[x](y)
    by model:m; deny by catalogue: rm <deletes>
    refused
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("incident (-want +got):\n%s", diff)
	}
	b.Reset()
	if err := timeline.WriteIncident(&b, lifeline.Incident{}, nil, nil); err != nil || !strings.HasSuffix(b.String(), "Commands\n  none\n") {
		t.Errorf("without commands: %v\n%s", err, b.String())
	}
	if err := timeline.WriteIncident(full{}, incident(), events, nil); err == nil {
		t.Error("a writer that fails was not noticed")
	}
}

// The newest lines of an output are the ones that matter.
func TestLongOutputShowsItsEnd(t *testing.T) {
	c := commands()[0]
	var lines []string
	for i := range 40 {
		lines = append(lines, fmt.Sprintf("line %d", i))
	}
	c.Stdout, c.Stderr = []byte(strings.Join(lines, "\n")+"\n"), nil
	var b strings.Builder
	if err := timeline.WriteIncident(&b, incident(), nil, []lifeline.Command{c}); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(b.String(), "run 2ms)\n")
	want := "      … 28 lines before\n      " + strings.Join(lines[28:], "\n      ") + "\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestOutcome(t *testing.T) {
	began := func(c lifeline.Command) lifeline.Command {
		c.IntentAt = opened()
		return c
	}
	const clocks = " (queue 0s, connect 0s, run 0s)"
	for want, c := range map[string]lifeline.Command{
		"exited 0" + clocks:                                       began(lifeline.Command{Outcome: lifeline.OutcomeExited, ExitStatus: new(0)}),
		"ended by signal SEGV" + clocks:                           began(lifeline.Command{Outcome: lifeline.OutcomeSignaled, Signal: "SEGV"}),
		"timed out" + clocks + "; too slow; TERM sent":            began(lifeline.Command{Outcome: lifeline.OutcomeTimedOut, Error: "too slow", Kill: "TERM sent"}),
		"not started" + clocks + "; no route":                     began(lifeline.Command{Outcome: lifeline.OutcomeNotStarted, Error: "no route"}),
		"refused":                                                 {Outcome: lifeline.OutcomeRefused},
		"unknown: it was let through, and no result is on record": began(lifeline.Command{}),
	} {
		if got := timeline.Outcome(c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func handover(t *testing.T, v any) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestCaseMarkdown(t *testing.T) {
	alert := lifeline.Alert{Source: "alertmanager", Status: "firing", Name: "ContainerDown", Labels: map[string]string{"name": "juke```box\u202e\u009b"}, Fingerprint: "f"}
	events := []lifeline.Event{
		{At: opened(), Actor: "alertmanager", Kind: lifeline.EventAlertReceived, Text: "firing"},
		{At: opened(), Kind: lifeline.EventEscalated, Data: handover(t, map[string]any{"next": []string{"an older case"}})},
		{At: opened().Add(time.Minute), Actor: "respond", Kind: lifeline.EventEscalated, Text: "handed over", Data: handover(t, map[string]any{
			"reason": "still not well", "next": []string{"- look at `docker logs`"},
			"reports":      []lifeline.Report{{Responder: "model:m", Claim: "fi*ed", Summary: "I [did](http://x) &#8238; it"}},
			"verification": "after attempt 1: not well: <exited>", "seen": []string{"after attempt 1: not well: <exited>", "atlas: docker logs jukebox (exit status 0):\nit ended\n```\x1b[2J"},
			"unknown": []string{"atlas: docker start jukebox (no result on record)"},
			"past":    []string{"inc_0: resolved: `docker start jukebox`"},
		})},
	}
	got := timeline.CaseMarkdown(incident(), []lifeline.Alert{{Name: "older"}, alert}, events, commands())
	want := "# ContainerDown: container jukebox on atlas\n" + `
- incident inc_01, **escalated** since 2026-05-06T07:09:39Z
- jukebox is down
- severity critical, opened 2026-05-06T07:08:09Z, 2 alerts, 1 changes made
- why it stands here: still not well

## Look at this next

- \- look at \` + "`docker logs\\`" + `

## The newest verification

after attempt 1: not well: \<exited\>

## What was seen

- after attempt 1: not well: \<exited\>
- atlas: docker logs jukebox (exit status 0):
` + "````" + `
it ended
` + "```\\x1b[2J\n````" + `

## Nobody knows how these ended

- atlas: docker start jukebox (no result on record)

## What the responders say

1. model:m claims fi\*ed: I \[did\](http://x) \&\#8238; it

## Tried: changes that were let through

- atlas: ` + "`docker start jukebox`" + `, asked by runbook:container-down: unknown: it was let through, and no result is on record

## Refused

- atlas: ` + "`rm -rf /*_[x](y)`" + `, asked by model:m: refused (rm \<deletes\>; rule catalogue)

## Earlier incidents of the same thing

- inc\_0: resolved: \` + "`docker start jukebox\\`" + `

## Every read, with what it showed

- atlas: ` + "`docker ps`" + `, asked by model:m: exited 0 (queue 1ms, connect 20ms, run 2ms)
` + "```" + `
      NAMES
      jukebox\x1b[2J
      warning: \xff
` + "```" + `

## Newest alert of 2

` + "````" + `
{
  "source": "alertmanager",
  "status": "firing",
  "name": "ContainerDown",
  "labels": {
    "name": "juke` + "```" + `box\u{202e}\u{9b}"
  },
  "fingerprint": "f"
}
` + "````" + `

## Timeline

- 07:08:09 **alertmanager** firing
- 07:08:09 **** 
- 07:09:09 **respond** handed over
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("case (-want +got):\n%s", diff)
	}
}

// A case of which nearly nothing is known is a case all the same.
func TestBareCaseMarkdown(t *testing.T) {
	got := timeline.CaseMarkdown(lifeline.Incident{State: lifeline.StateOpen}, nil,
		[]lifeline.Event{{Kind: lifeline.EventEscalated, Data: json.RawMessage(`{"next": ["x"], "reports": 7}`)}}, nil)
	for _, heading := range []string{"Look at this next", "Refused", "Newest alert", "Every read", "What was seen", "verification", "Nobody knows", "Earlier incidents"} {
		if strings.Contains(got, heading) {
			t.Errorf("a section without content: %s", heading)
		}
	}
	if !strings.HasPrefix(got, "# : no known target\n") || !strings.Contains(got, "## Timeline") {
		t.Errorf("case:\n%s", got)
	}
}

// Whatever a host says, it stays inside its block.
func TestOutputCannotEndItsBlock(t *testing.T) {
	c := commands()[0]
	c.Stderr = nil
	for _, out := range []string{"```\n# owned", "````\n```\n# owned", "~~~\n```", strings.Repeat("`", 50)} {
		c.Stdout = []byte(out)
		got := timeline.CaseMarkdown(incident(), nil, nil, []lifeline.Command{c})
		lines := strings.Split(got, "\n")
		fence, inside, blocks := "", false, 0
		for _, l := range lines {
			ticks := l[:len(l)-len(strings.TrimLeft(l, "`"))]
			switch {
			case !inside && len(ticks) >= 3:
				fence, inside, blocks = ticks, true, blocks+1
			case inside && strings.TrimLeft(strings.TrimSpace(l), "`") == "" && len(strings.TrimSpace(l)) >= len(fence):
				inside = false
			case !inside && strings.Contains(l, "owned"):
				t.Errorf("%q is outside of its block:\n%s", out, got)
			}
		}
		if inside || blocks != 1 {
			t.Errorf("%q: %d blocks, open at the end: %v\n%s", out, blocks, inside, got)
		}
	}
}
