//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/llm/llmtest"
)

const modelKey = "key-of-the-scripted-model"

// The founding story: a model that calls its tools several at a time once opened
// 24 SSH connections in five minutes and ran into timeouts, although the
// container had come back. Here the same happens with everything real but the
// model's far end, which plays a script: docker stop, Prometheus sees it,
// Alertmanager fires, Lifeline repairs, the alert resolves.
func TestFoundingStory(t *testing.T) {
	// Each prints two reports, one second apart.
	oneSecond := []string{"vmstat 1 2", "vmstat -a 1 2", "vmstat -w 1 2"}
	model, err := llmtest.Start(llmtest.Config{APIKey: modelKey, Turns: []llmtest.Turn{
		llmtest.Say(
			llmtest.Text("The container may have stopped or crashed. I look at it and at the host."),
			call("gather_logs", "container", scrypted, "lines", 200),
			call("check_service_status", "container", scrypted),
			call("execute_safe_command", "command", "docker ps --all --filter name="+scrypted),
			call("execute_safe_command", "command", "df -h"),
			call("execute_safe_command", "command", "free -m"),
		),
		llmtest.Say(
			llmtest.Text("It was stopped and exited 0. Before I start it: is the host under load?"),
			call("execute_safe_command", "command", "uptime"),
			call("execute_safe_command", "command", "docker inspect --format '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}' "+scrypted),
			call("gather_logs", "container", scrypted, "lines", 50),
		),
		llmtest.Say(
			call("execute_safe_command", "command", oneSecond[0]),
			call("execute_safe_command", "command", oneSecond[1]),
			call("execute_safe_command", "command", oneSecond[2]),
		),
		llmtest.Say(call("restart_service", "container", scrypted)),
		llmtest.Say(
			llmtest.Text("Does it stay up? And a clean-up would do no harm."), // from here on it may change nothing
			call("check_service_status", "container", scrypted),
			call("gather_logs", "container", scrypted, "lines", 20),
			call("execute_safe_command", "command", "docker ps --filter name="+scrypted),
			call("execute_safe_command", "command", "docker system prune --all --force --volumes"),
		),
		llmtest.Say(llmtest.Call("finish", map[string]any{
			"outcome": "fixed",
			"summary": "The container had been stopped; it was restarted and runs.",
			"next":    "Find out who stopped it.",
		})),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { model.Close() })
	w := newWorld(t, fmt.Sprintf("model: {base_url: %q}\n", model.URL), "ANTHROPIC_API_KEY="+modelKey)

	w.docker.docker(t, "stop", scrypted)
	c := w.lifeline.ended(t)

	assertRepaired(t, w, c)
	if got := c.find(t, lifeline.EventResponderEnded).Actor; !strings.HasPrefix(got, "model:") {
		t.Errorf("%s worked the incident, want the model", got)
	}
	if diff := cmp.Diff([]string{"docker restart " + scrypted}, c.changes()); diff != "" {
		t.Errorf("changes made to nexus (-want +got):\n%s", diff)
	}
	assertConversation(t, model)
	assertNothingPruned(t, c)
	assertAtTheSameTime(t, c, oneSecond)
	w.shutDown(t)
	assertFewConnections(t, w)
}

// call is a tool call about nexus.
func call(tool string, input ...any) llmtest.Block {
	fields := map[string]any{"host": "nexus"}
	for pair := range slices.Chunk(input, 2) {
		fields[pair[0].(string)] = pair[1]
	}
	return llmtest.Call(tool, fields)
}

// assertConversation looks at what the model was told. That the requests keep
// the API's rules, each result in the order of the calls among them, the
// scripted server has judged already.
func assertConversation(t *testing.T, model *llmtest.Server) {
	t.Helper()
	if v := model.Violations(); len(v) > 0 {
		t.Errorf("requests that the API would have refused: %q", v)
	}
	requests := model.Requests()
	if left := model.Left(); left > 0 || len(requests) != 6 {
		t.Fatalf("%d requests, and %d turns of the script were not played", len(requests), left)
	}
	if first := requests[0].UserText(); !strings.Contains(first, scrypted) || !strings.Contains(first, "ContainerDown") {
		t.Errorf("the first question does not tell what happened:\n%s", first)
	}
	var got [][]llmtest.In
	calls := 0
	for _, r := range requests[1:] {
		got = append(got, r.LastResults())
		calls += len(r.LastResults())
	}
	if calls < 10 {
		t.Errorf("%d tool calls were answered, want 10 or more", calls)
	}
	for _, want := range []struct {
		turn, result int
		text         string
		isError      bool
	}{
		{0, 0, "12 cameras connected", false}, // the container's own log
		{0, 1, "exited", false},
		{0, 2, scrypted, false},
		{1, 1, "exited 0 false", false},
		{4, 0, "running", false},
		{4, 3, "prune", true}, // refused, and told why
	} {
		if want.turn >= len(got) || want.result >= len(got[want.turn]) {
			t.Fatalf("answer %d of the model got %d results", want.turn+1, len(got[want.turn]))
		}
		in := got[want.turn][want.result]
		if !strings.Contains(in.Text, want.text) || in.IsError != want.isError {
			t.Errorf("result %d of answer %d: error: %v, want %v with %q:\n%s", want.result+1, want.turn+1, in.IsError, want.isError, want.text, in.Text)
		}
	}
}

// assertNothingPruned: what the model asked for and may not do was refused, is
// on record, and did not happen.
func assertNothingPruned(t *testing.T, c caseFile) {
	t.Helper()
	var refused []string
	for _, cmd := range c.Commands {
		if cmd.Outcome == lifeline.OutcomeRefused {
			refused = append(refused, cmd.Command)
		}
	}
	if diff := cmp.Diff([]string{"docker system prune --all --force --volumes"}, refused); diff != "" {
		t.Errorf("refused commands on record (-want +got):\n%s", diff)
	}
}

// assertAtTheSameTime: three tool calls of one second each, in one answer of the
// model, take about one second, and not as long as one after another.
func assertAtTheSameTime(t *testing.T, c caseFile, commands []string) {
	t.Helper()
	var (
		first, last time.Time
		oneByOne    time.Duration
		found       int
	)
	for _, cmd := range c.Commands {
		if !slices.Contains(commands, cmd.Command) {
			continue
		}
		found++
		oneByOne += cmd.Run
		if first.IsZero() || cmd.IntentAt.Before(first) {
			first = cmd.IntentAt
		}
		if cmd.FinishedAt.After(last) {
			last = cmd.FinishedAt
		}
	}
	took := last.Sub(first)
	t.Logf("%d tool calls of one second took %.2f s, one by one %.2f s", found, took.Seconds(), oneByOne.Seconds())
	if found != len(commands) || took >= oneByOne {
		t.Errorf("%d tool calls took %s, one by one they take %s", found, took, oneByOne)
	}
}
