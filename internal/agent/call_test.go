package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/agent"
	"lifeline/internal/llm"
)

// What models and gateways get wrong is put right or told; it never ends the
// work, and the conversation stays one that providers accept.
func TestOddAnswers(t *testing.T) {
	cut := func(parts ...llm.Part) turn {
		return func(context.Context, llm.Request) (llm.Response, error) {
			r := answerOf(parts...)
			r.Stop = llm.StopMaxTokens
			return r, nil
		}
	}
	var many []llm.Part
	for i := range 18 {
		many = append(many, logs(fmt.Sprint("m", i), fmt.Sprint("c", i)))
	}
	type result struct {
		ID, Says string
		IsError  bool
	}
	for name, tc := range map[string]struct {
		first    turn
		results  []result
		text     string // of the message after it
		commands int
	}{
		"two calls with one ID": {say(logs("a", "web"), logs("a", "db")),
			[]result{{"a", "timestamps web", false}, {"call_1_1", "timestamps db", false}}, "", 2},
		"no ID, and one that is none": {say(logs("", "web"), logs("a b", "db")),
			[]result{{"call_1_0", "timestamps web", false}, {"call_1_1", "timestamps db", false}}, "", 2},
		"input is a text": {say(call("a", "gather_logs", `"nexus"`), logs("b", "web")),
			[]result{{"a", `The input of this call is not a JSON object: "nexus"`, true}, {"b", "timestamps web", false}}, "", 1},
		"input is null":       {say(call("a", "gather_logs", `null`)), []result{{"a", "not a JSON object", true}}, "", 0},
		"host is missing":     {say(call("a", "gather_logs", `{"container":"web"}`)), []result{{"a", "host is missing", true}}, "", 0},
		"wrong type":          {say(call("a", "gather_logs", `{"host":"nexus","container":"web","lines":"many"}`)), []result{{"a", "want a whole number", true}}, "", 0},
		"unknown tool":        {say(call("a", "rm", `{}`)), []result{{"a", `There is no tool "rm". There are: gather_logs`, true}}, "", 0},
		"a tool without name": {say(call("a", "", `{}`)), []result{{"a", `There is no tool ""`, true}}, "", 0},
		"a name that is none": {say(call("a", "rm -rf\x1b", `{}`)), []result{{"a", `There is no tool "rm -rf\\x1b"`, true}}, "", 0},
		"the same twice at once": {say(restart("a", "web"), call("b", "restart_service", `{ "container":"web", "host":"nexus" }`)),
			[]result{{"a", "Exit status 0", false}, {"b", "the same call stands in this answer already", true}}, "", 1},
		"cut off in a call": {cut(logs("a", "web"), restart("b", "web")),
			[]result{{"a", "timestamps web", false}, {"b", "your answer was cut off", true}}, "", 1},
		"cut off in a text": {cut(text("I think that")), nil, "Your answer was cut off because it was too long.", 0},
		"nothing at all":    {say(), nil, "You called no tool.", 0},
		"only blanks":       {say(text(" \n")), nil, "You called no tool.", 0},
		"only reasoning":    {say(llm.Part{Opaque: json.RawMessage(`{"type":"thinking","signature":"s"}`)}), nil, "You called no tool.", 0},
		"only a text":       {say(text("All is well.")), nil, "You called no tool.", 0},
		"finish first":      {say(finish("a", "fixed"), logs("b", "web")), []result{{"a", "finish has to be alone or the last", true}, {"b", "timestamps web", false}}, "", 1},
		"finish twice":      {say(finish("a", "fixed"), finish("b", "not_fixed")), []result{{"a", "finish has to be alone or the last", true}, {"b", "another call of the same answer did not go well", true}}, "", 0},
		"finish, badly":     {say(call("a", "finish", `{"outcome":"great"}`)), []result{{"a", "summary is missing", true}}, "", 0},
		"finish after a mistake": {say(call("a", "gather_logs", `{}`), finish("b", "fixed")),
			[]result{{"a", "host is missing", true}, {"b", "another call of the same answer did not go well", true}}, "", 0},
		"more calls than one can need": {say(many...), func() []result {
			var out []result
			for i := range 16 {
				out = append(out, result{fmt.Sprint("m", i), fmt.Sprint("timestamps c", i), false})
			}
			return append(out, result{"m16", "at most 16 calls", true}, result{"m17", "at most 16 calls", true})
		}(), "", 16},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{}
			m := &model{turns: []turn{tc.first, say(finish("z", "not_fixed"))}}
			report, err := work(t, w, m, agent.Budget{})
			if err != nil || report.Claim != lifeline.ClaimNotFixed || report.Summary != "It was stopped." {
				t.Fatalf("%+v, %v", report, err)
			}
			next := m.asked[1]
			got := lastResults(next)
			if len(got) != len(tc.results) {
				t.Fatalf("results %+v, want %d", got, len(tc.results))
			}
			for i, want := range tc.results {
				if got[i].CallID != want.ID || got[i].IsError != want.IsError || !strings.Contains(got[i].Content, want.Says) {
					t.Errorf("result %d is %+v, want %+v", i, got[i], want)
				}
			}
			if len(w.asked) != tc.commands {
				t.Errorf("commands %q, want %d", w.commands(), tc.commands)
			}
			parts := next.Messages[len(next.Messages)-1].Parts
			if last := parts[len(parts)-1].Text; !strings.HasPrefix(last, tc.text) || tc.text == "" && last != "" {
				t.Errorf("text %q, want %q", last, tc.text)
			}
			checkConversation(t, next.Messages)
		})
	}
}

// checkConversation checks what providers ask of a conversation.
func checkConversation(t *testing.T, messages []llm.Message) {
	t.Helper()
	ids := map[string]bool{}
	var open []string
	for i, m := range messages {
		if want := []llm.Role{llm.User, llm.Assistant}[i%2]; m.Role != want || len(m.Parts) == 0 {
			t.Errorf("message %d is by the %s with %d parts", i, m.Role, len(m.Parts))
		}
		var calls []string
		for _, p := range m.Parts {
			switch {
			case p.Call != nil:
				if ids[p.Call.ID] || p.Call.ID == "" || p.Call.Name == "" || !strings.HasPrefix(string(p.Call.Input), "{") {
					t.Errorf("message %d has the call %+v", i, p.Call)
				}
				ids[p.Call.ID] = true
				calls = append(calls, p.Call.ID)
			case p.Result != nil:
				if len(open) == 0 || open[0] != p.Result.CallID {
					t.Fatalf("message %d answers %s, open are %v", i, p.Result.CallID, open)
				}
				open = open[1:]
			}
		}
		if len(open) > 0 {
			t.Errorf("message %d leaves %v unanswered", i, open)
		}
		open = calls
	}
}

func TestFinishAsTheLastCall(t *testing.T) {
	for name, tc := range map[string]struct {
		restart lifeline.Command
		taken   bool
	}{
		"the others went well":   {changed(lifeline.CommandRequest{}, lifeline.OutcomeExited, 0), true},
		"the change failed":      {changed(lifeline.CommandRequest{}, lifeline.OutcomeExited, 1), false},
		"the change is unknown":  {changed(lifeline.CommandRequest{}, lifeline.OutcomeUnknown, 0), false},
		"the change was refused": {lifeline.Command{Outcome: lifeline.OutcomeRefused}, false},
	} {
		w := &world{answer: func(lifeline.CommandRequest) (lifeline.Command, error) { return tc.restart, nil }}
		m := &model{turns: []turn{say(restart("a", "web"), finish("b", "fixed")), say(finish("c", "not_fixed"))}}
		report, err := work(t, w, m, agent.Budget{})
		if err != nil || (report.Claim == lifeline.ClaimFixed) != tc.taken || len(w.asked) != 1 {
			t.Errorf("%s: %+v, %v, commands %q", name, report, err, w.commands())
		}
	}
}

// A model that talks and does nothing is told once.
func TestStopsWithoutAConclusion(t *testing.T) {
	m := &model{always: func(n int) llm.Response { return answerOf(text(fmt.Sprintf("I would say\nthis is fine %d.", n))) }}
	report, err := work(t, &world{}, m, agent.Budget{})
	want := lifeline.Report{Responder: "model:test-model", Claim: lifeline.ClaimNotFixed,
		Summary: "The model stopped without a conclusion. Its last words: I would say this is fine 1. Nothing had been looked at."}
	if diff := cmp.Diff(want, report); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if len(m.asked) != 2 {
		t.Errorf("asked %d times", len(m.asked))
	}
}

func TestModelDeclines(t *testing.T) {
	for stop, want := range map[llm.Stop]string{
		llm.StopRefused: "The model declined to go on. Its words: I cannot.",
		llm.StopContext: "The conversation has become too long for the model.",
	} {
		m := &model{turns: []turn{say(logs("a", "web")), func(context.Context, llm.Request) (llm.Response, error) {
			return llm.Response{Parts: []llm.Part{text("I cannot.")}, Stop: stop}, nil
		}}}
		report, err := work(t, &world{}, m, agent.Budget{})
		if err != nil || report.Claim != lifeline.ClaimNotFixed || !strings.HasPrefix(report.Summary, want) || !strings.Contains(report.Summary, "docker logs") {
			t.Errorf("%s: %+v, %v", stop, report, err)
		}
	}
}

func TestGoesInCircles(t *testing.T) {
	w := &world{}
	m := &model{always: func(n int) llm.Response {
		// The same in different words, which is no difference.
		inputs := []string{`{"host":"nexus","container":"web"}`, `{"container": "web", "host": "nexus"}`}
		return answerOf(call(fmt.Sprint("c", n), "gather_logs", inputs[n%2]))
	}}
	report, err := work(t, w, m, agent.Budget{})
	if err != nil || report.Claim != lifeline.ClaimNotFixed || !strings.HasPrefix(report.Summary, "The model went in circles: ") {
		t.Errorf("%+v, %v", report, err)
	}
	if len(w.asked) != 3 || len(m.asked) != 6 {
		t.Errorf("%d commands and %d questions, want 3 and 6", len(w.asked), len(m.asked))
	}
	if got := lastResults(m.asked[4])[0]; !got.IsError || !strings.Contains(got.Content, "you have asked exactly this 3 times, and nothing was changed in between") {
		t.Errorf("the model was told %+v", got)
	}
}

// After a change the same look is another look.
func TestLooksAgainAfterAChange(t *testing.T) {
	w := &world{answer: func(req lifeline.CommandRequest) (lifeline.Command, error) {
		if strings.HasPrefix(req.Command, "docker restart") {
			return changed(req, lifeline.OutcomeExited, 0), nil
		}
		return read(req, 0, ""), nil
	}}
	var turns []turn
	for i := range 9 {
		if i == 3 || i == 6 {
			turns = append(turns, say(restart(fmt.Sprint("r", i), "web")))
		}
		turns = append(turns, say(logs(fmt.Sprint("l", i), "web")))
	}
	m := &model{turns: append(turns, say(finish("z", "fixed")))}
	report, err := work(t, w, m, agent.Budget{})
	if err != nil || report.Claim != lifeline.ClaimFixed || len(w.asked) != 11 {
		t.Errorf("%+v, %v, %d commands", report, err, len(w.asked))
	}
}

// A change whose outcome is unknown is not run again, however often it is asked for.
func TestNeverRepeatsAnUnknownChange(t *testing.T) {
	for _, outcome := range []lifeline.Outcome{lifeline.OutcomeUnknown, lifeline.OutcomeTimedOut, lifeline.OutcomeSignaled} {
		w := &world{answer: func(req lifeline.CommandRequest) (lifeline.Command, error) {
			if strings.HasPrefix(req.Command, "docker restart") {
				return changed(req, outcome, 0), nil
			}
			return read(req, 0, ""), nil
		}}
		m := &model{turns: []turn{say(restart("a", "web")), say(restart("b", "web")), say(logs("c", "web")), say(restart("d", "web")), say(finish("e", "not_fixed"))}}
		if _, err := work(t, w, m, agent.Budget{}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"docker restart web", "docker logs --tail 100 --timestamps web"}, w.commands()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", outcome, diff)
		}
		if got := lastResults(m.asked[2])[0]; !got.IsError || !strings.Contains(got.Content, "the outcome of the same call before is unknown") {
			t.Errorf("%s: the model was told %+v", outcome, got)
		}
	}
}

// A refusal is a result that the model can read; the work goes on.
func TestRefusalIsAResult(t *testing.T) {
	w := &world{answer: func(lifeline.CommandRequest) (lifeline.Command, error) {
		return lifeline.Command{Outcome: lifeline.OutcomeRefused, Rule: "docker rm", Reason: "it loses data"}, nil
	}}
	m := &model{turns: []turn{say(call("a", "execute_safe_command", `{"host":"nexus","command":"docker rm web"}`)), say(text("well"))}, always: func(int) llm.Response { return answerOf(text("well")) }}
	report, err := work(t, w, m, agent.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	if got := lastResults(m.asked[1])[0]; !got.IsError || !strings.Contains(got.Content, "Refused on nexus by docker rm: it loses data") {
		t.Errorf("the model was told %+v", got)
	}
	if !strings.Contains(report.Summary, "`docker rm web` on nexus: refused, it loses data.") {
		t.Errorf("summary %q", report.Summary)
	}
}

// The facts of a long attempt are bounded, the newest stay.
func TestFactsAreBounded(t *testing.T) {
	long := strings.Repeat("y", 5000)
	w := &world{answer: func(req lifeline.CommandRequest) (lifeline.Command, error) { return read(req, 0, long+"\x1b"), nil }}
	m := &model{always: func(n int) llm.Response { return answerOf(logs(fmt.Sprint("c", n), fmt.Sprint("web", n))) }}
	report, err := work(t, w, m, agent.Budget{Turns: 30})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(report.Summary); n > 6000 || !strings.Contains(report.Summary, "(the newest 12 of 30)") ||
		!strings.Contains(report.Summary, "web29`") || strings.Contains(report.Summary, "web17`") || strings.Contains(report.Summary, "\x1b") {
		t.Errorf("%d bytes: %q", n, report.Summary)
	}
}
