package runbook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/runbook"
)

const restartWeb = `---
name: web-down
title: T
match: {target: container}
diagnose:
  - look at {{container}}
  - read {{container}}
healthy_if:
  - healthy {{container}}
fix:
  - start {{container}}
  - reload {{container}}
verify:
  - probe {{container}}
next: Read the log.
---
`

// world is a door, a timeline and a workflow engine that keeps what was done.
type world struct {
	mu     sync.Mutex
	answer map[string]lifeline.Command // by command; otherwise exit status 0
	err    error                       // of the record
	slow   time.Duration
	asked  []lifeline.CommandRequest
	events []lifeline.Event
	kept   map[string]json.RawMessage
	sizes  []int // of each call of Run with commands
}

func exit(status int, stdout string) lifeline.Command {
	return lifeline.Command{Outcome: lifeline.OutcomeExited, ExitStatus: &status, Stdout: []byte(stdout)}
}

func (w *world) Run(_ context.Context, req lifeline.CommandRequest) (lifeline.Command, error) {
	time.Sleep(w.slow)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, req)
	if w.err != nil {
		return lifeline.Command{}, w.err
	}
	cmd, ok := w.answer[req.Command]
	if !ok {
		cmd = exit(0, "")
	}
	cmd.CommandRequest = req
	return cmd, nil
}

func (w *world) AppendEvent(_ context.Context, e lifeline.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	return nil
}

// engine runs steps as the workflow engine does: at the same time, and each
// only once for the same world.
type engine struct{ *world }

func (e engine) Run(ctx context.Context, steps ...lifeline.Step) []lifeline.StepResult {
	out := make([]lifeline.StepResult, len(steps))
	var wg sync.WaitGroup
	e.mu.Lock()
	e.sizes = append(e.sizes, len(steps))
	e.mu.Unlock()
	for i, s := range steps {
		wg.Go(func() {
			e.mu.Lock()
			kept, ok := e.kept[s.Name]
			e.mu.Unlock()
			if ok {
				out[i].Value = kept
				return
			}
			out[i].Value, out[i].Err = s.Do(ctx)
			if out[i].Err == nil {
				e.mu.Lock()
				e.kept[s.Name] = out[i].Value
				e.mu.Unlock()
			}
		})
	}
	wg.Wait()
	return out
}

func (w *world) commands() []string {
	var out []string
	for _, r := range w.asked {
		out = append(out, r.Command)
	}
	return out
}

func (w *world) work(t *testing.T, attempt int) (lifeline.Report, error) {
	t.Helper()
	if w.kept == nil {
		w.kept = map[string]json.RawMessage{}
	}
	b, _ := load(t, restartWeb).Get("web-down")
	return b.Work(t.Context(), engine{w}, w, w, lifeline.Case{
		Incident: lifeline.Incident{ID: "inc_1", Target: lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"}},
		Attempt:  attempt,
	})
}

var _ runbook.Runner = (*world)(nil)

func TestWorkFixes(t *testing.T) {
	w := &world{answer: map[string]lifeline.Command{
		"look at web": exit(0, "status=exited"), "healthy web": exit(1, ""),
	}}
	report, err := w.work(t, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := lifeline.Report{
		Responder: "runbook:web-down", Claim: lifeline.ClaimFixed, Next: "Read the log.",
		Summary: "`start web`: exit status 0. `reload web`: exit status 0. " +
			"`look at web`: exit status 0 (status=exited). `read web`: exit status 0. `healthy web`: exit status 1.",
	}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	ids := map[string]string{}
	for _, r := range w.asked {
		ids[r.Command] = r.ID
		if r.Host != "nexus" || r.IncidentID != "inc_1" || r.Actor != "runbook:web-down" || r.Purpose == "" {
			t.Errorf("request %+v: host, incident, actor or purpose is wrong", r)
		}
	}
	wantIDs := map[string]string{
		"look at web": "inc_1.a2.d0", "read web": "inc_1.a2.d1", "healthy web": "inc_1.a2.h0",
		"start web": "inc_1.a2.f0", "reload web": "inc_1.a2.f1",
	}
	if diff := cmp.Diff(wantIDs, ids); diff != "" {
		t.Errorf("request IDs (-want +got):\n%s", diff)
	}
	// A note; one batch to look; each fix alone.
	if diff := cmp.Diff([]int{1, 3, 1, 1}, w.sizes); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
	if len(w.events) != 1 || w.events[0].IncidentID != "inc_1" || !strings.Contains(w.events[0].Text, "container web on nexus") {
		t.Errorf("events: %+v", w.events)
	}
}

func TestWorkEnds(t *testing.T) {
	refused := lifeline.Command{Outcome: lifeline.OutcomeRefused, Reason: "a person has to decide"}
	noHost := lifeline.Command{Outcome: lifeline.OutcomeNotStarted, Error: "dial tcp: connection refused"}
	sick := exit(1, "")
	for name, tc := range map[string]struct {
		answer  map[string]lifeline.Command
		claim   lifeline.Claim
		fixes   []string
		summary string
		next    string
	}{
		"well already": {nil, lifeline.ClaimHealthy, nil, "the fix was left out", "Read the log."},
		"fix refused": {map[string]lifeline.Command{"healthy web": sick, "start web": refused}, lifeline.ClaimNotFixed,
			[]string{"start web"}, "refused, a person has to decide", "Decide about `start web`, which was refused: a person has to decide. Read the log."},
		"first fix fails": {map[string]lifeline.Command{"healthy web": sick, "start web": {Outcome: lifeline.OutcomeExited, ExitStatus: new(125),
			Stderr: []byte("Error: no such container\n")}}, lifeline.ClaimNotFixed,
			[]string{"start web"}, "`start web`: exit status 125 (Error: no such container).", "Read the log."},
		"second fix fails": {map[string]lifeline.Command{"healthy web": sick, "reload web": exit(1, "")}, lifeline.ClaimNotFixed,
			[]string{"start web", "reload web"}, "`reload web`: exit status 1.", "Read the log."},
		"fix timed out": {map[string]lifeline.Command{"healthy web": sick, "start web": {Outcome: lifeline.OutcomeTimedOut, Error: "60s are over"}},
			lifeline.ClaimNotFixed, []string{"start web"}, "outcome is unknown: it may have worked", "Read the log."},
		"fix unknown": {map[string]lifeline.Command{"healthy web": sick, "start web": {Outcome: lifeline.OutcomeUnknown}},
			lifeline.ClaimNotFixed, []string{"start web"}, "outcome is unknown: it may have worked", "Read the log."},
		"unreachable": {map[string]lifeline.Command{"look at web": noHost, "read web": noHost, "healthy web": noHost},
			lifeline.ClaimNotFixed, nil, "Nothing could be looked at, so nothing was changed: dial tcp: connection refused.", "Read the log."},
		"the check itself is unknown": {map[string]lifeline.Command{"healthy web": {Outcome: lifeline.OutcomeUnknown}},
			lifeline.ClaimFixed, []string{"start web", "reload web"}, "`healthy web`: unknown.", "Read the log."},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{answer: tc.answer}
			report, err := w.work(t, 1)
			if err != nil {
				t.Fatal(err)
			}
			if report.Claim != tc.claim {
				t.Errorf("claim = %s, want %s", report.Claim, tc.claim)
			}
			if !strings.Contains(report.Summary, tc.summary) {
				t.Errorf("summary = %q\nwant it to hold %q", report.Summary, tc.summary)
			}
			if report.Next != tc.next {
				t.Errorf("next = %q, want %q", report.Next, tc.next)
			}
			if diff := cmp.Diff(tc.fixes, w.commands()[3:], cmp.Transformer("len0", func(s []string) string { return strings.Join(s, "\n") })); diff != "" {
				t.Errorf("fixes (-want +got):\n%s", diff)
			}
		})
	}
}

// The record cannot be written: nothing more is asked for, and the caller knows.
func TestWorkStopsWithoutARecord(t *testing.T) {
	full := errors.New("disk full")
	w := &world{err: full}
	if _, err := w.work(t, 1); !errors.Is(err, full) {
		t.Errorf("error = %v, want %v", err, full)
	}
	for _, c := range w.commands() {
		if strings.HasPrefix(c, "start") {
			t.Error("the fix was asked for although the record cannot be written")
		}
	}
}

// A workflow that runs again after a crash repeats nothing that was kept.
func TestWorkAgainAfterACrash(t *testing.T) {
	w := &world{answer: map[string]lifeline.Command{"healthy web": exit(1, "")}}
	before, err := w.work(t, 1)
	if err != nil {
		t.Fatal(err)
	}
	asked := len(w.asked)
	after, err := w.work(t, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the report changed (-before +after):\n%s", diff)
	}
	if len(w.asked) != asked || len(w.events) != 1 {
		t.Errorf("%d commands and %d events, want %d and 1", len(w.asked), len(w.events), asked)
	}
}

func TestWorkLooksAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{slow: time.Second}
		start := time.Now()
		if _, err := w.work(t, 1); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("three looks of 1 s took %s", took)
		}
	})
}

func TestWorkKeepsLittle(t *testing.T) {
	w := &world{answer: map[string]lifeline.Command{
		"read web": exit(0, strings.Repeat("x\xff", 1<<20)+"\nthe\x1b[31m end \u202e of it"),
	}}
	report, err := w.work(t, 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range w.kept {
		if len(value) > 16<<10 {
			t.Errorf("step %s keeps %d bytes", name, len(value))
		}
	}
	if !strings.Contains(report.Summary, "(the [31m end of it)") {
		t.Errorf("summary = %q, want the last line without control characters", report.Summary)
	}
}

func TestWorkRefusesAHostileName(t *testing.T) {
	w := &world{kept: map[string]json.RawMessage{}}
	b, _ := load(t, restartWeb).Get("web-down")
	report, err := b.Work(t.Context(), engine{w}, w, w, lifeline.Case{Attempt: 1,
		Incident: lifeline.Incident{ID: "i", Target: lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "x; reboot"}}})
	if err != nil || report.Claim != lifeline.ClaimNotFixed || len(w.asked) != 0 {
		t.Errorf("report %+v, error %v, commands %v: want a report and no command", report, err, w.commands())
	}
	if !strings.Contains(report.Summary, fmt.Sprintf("%q", "x; reboot")) {
		t.Errorf("summary = %q does not name the container", report.Summary)
	}
}

// What takes the fix back is handed over once something of the fix was begun, or
// may be: the caller judges whether it made things worse.
func TestWorkGivesTheUndo(t *testing.T) {
	text := strings.Replace(restartWeb, "verify:", "undo:\n  - unload {{container}}\n  - stop {{container}}\nverify:", 1)
	undo := []string{"unload web", "stop web"}
	for name, tc := range map[string]struct {
		start lifeline.Command
		want  []string
	}{
		"it ran":      {exit(0, ""), undo},
		"it failed":   {exit(1, ""), undo},
		"it may have": {lifeline.Command{Outcome: lifeline.OutcomeUnknown}, undo},
		"it waits":    {lifeline.Command{Outcome: lifeline.OutcomeRefused, Cause: lifeline.CodeWaits}, undo},
		"refused":     {lifeline.Command{Outcome: lifeline.OutcomeRefused, Cause: lifeline.CodeRefused}, nil},
		"not started": {lifeline.Command{Outcome: lifeline.OutcomeNotStarted}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{kept: map[string]json.RawMessage{}, answer: map[string]lifeline.Command{"healthy web": exit(1, ""), "start web": tc.start}}
			b, _ := load(t, text).Get("web-down")
			report, err := b.Work(t.Context(), engine{w}, w, w, lifeline.Case{
				Incident: lifeline.Incident{ID: "inc_1", Target: lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"}}, Attempt: 1,
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, report.Undo); diff != "" {
				t.Errorf("undo (-want +got):\n%s", diff)
			}
		})
	}
}
