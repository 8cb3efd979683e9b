package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/agent"
	"lifeline/internal/llm"
	"lifeline/internal/llm/anthropic"
	"lifeline/internal/llm/llmtest"
)

// The whole way over the provider's wire format: look at three things at once,
// restart, look again, finish.
func TestWorkOverTheWire(t *testing.T) {
	server, err := llmtest.Start(llmtest.Config{APIKey: "k", Turns: []llmtest.Turn{
		llmtest.Overloaded(),
		llmtest.Say(llmtest.Thinking("hm", "sig"), llmtest.Text("I look."),
			llmtest.Call("gather_logs", map[string]any{"host": "nexus", "container": "web", "lines": 50}),
			llmtest.Call("check_service_status", map[string]any{"host": "nexus", "container": "web"}),
			llmtest.Call("execute_safe_command", map[string]any{"host": "nexus", "command": "df -h"})),
		llmtest.Say(llmtest.Call("restart_service", map[string]any{"host": "nexus", "container": "web"})),
		func(r *llmtest.Request) llmtest.Reply {
			if got := r.LastResults()[0].Text; !strings.Contains(got, "Exit status 0 on nexus") {
				return llmtest.Fail(400, "invalid_request_error", "no restart seen: "+got)(r)
			}
			return llmtest.Say(llmtest.Call("finish", map[string]any{"outcome": "fixed", "summary": "It was stopped; I started it.", "next": "Ask who stopped it."}))(r)
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := anthropic.New(anthropic.Config{APIKey: "k", BaseURL: server.URL, Model: "claude-haiku-5-5"})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{answer: func(req lifeline.CommandRequest) (lifeline.Command, error) {
		if strings.HasPrefix(req.Command, "docker restart") {
			return changed(req, lifeline.OutcomeExited, 0), nil
		}
		return read(req, 0, "output of "+req.Command), nil
	}}
	report, err := work(t, w, client, agent.Budget{})
	if err != nil {
		t.Fatal(err)
	}
	want := lifeline.Report{Responder: "model:claude-haiku-5-5", Claim: lifeline.ClaimFixed, Summary: "It was stopped; I started it.", Next: "Ask who stopped it."}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if len(server.Violations()) != 0 || server.Left() != 0 {
		t.Errorf("violations %q, %d turns left", server.Violations(), server.Left())
	}
	if diff := cmp.Diff([]int{3, 1}, w.sizes); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
	ids := map[string]string{}
	for _, r := range w.asked {
		ids[r.ID], _, _ = strings.Cut(r.Command, " --")
		if r.IncidentID != "inc_1" || r.Actor != "model:claude-haiku-5-5" || r.Host != "nexus" {
			t.Errorf("request %+v", r)
		}
	}
	wantIDs := map[string]string{"inc_1.a2.t1.c0": "docker logs", "inc_1.a2.t1.c1": "docker inspect", "inc_1.a2.t1.c2": "df -h", "inc_1.a2.t2.c0": "docker restart web"}
	if diff := cmp.Diff(wantIDs, ids); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	// The results are in the order of the calls, each with its own output.
	for i, r := range server.Requests()[2].LastResults() {
		if want := []string{"docker logs --tail 50", "docker inspect", "df -h"}[i]; !strings.Contains(r.Text, "output of "+want) {
			t.Errorf("result %d is not that of %s:\n%s", i, want, r.Text)
		}
	}
	var lines []string
	for _, e := range w.events {
		if e.IncidentID != "inc_1" || e.Actor != "model:claude-haiku-5-5" || !json.Valid(e.Data) {
			t.Errorf("event %+v", e)
		}
		lines = append(lines, string(e.Kind)+": "+e.Text[:min(len(e.Text), 46)])
	}
	wantLines := []string{
		"model_asked: asks claude-haiku-5-5, turn 1 of at most 20",
		"model_answered: I look. → gather_logs, check_service_status",
		"tool_called: gather_logs container=web host=nexus lines=50",
		"tool_called: check_service_status container=web host=nexus",
		"tool_called: execute_safe_command command=df -h host=nexus",
		"model_asked: asks claude-haiku-5-5, turn 2 of at most 20",
		"model_answered: → restart_service (",
		"tool_called: restart_service container=web host=nexus",
		"model_asked: asks claude-haiku-5-5, turn 3 of at most 20",
		"model_answered: → finish (",
		"tool_called: finish next=Ask who stopped it. outcome=fix",
	}
	for i, want := range wantLines {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) && !strings.HasPrefix(want, lines[i]) {
			t.Errorf("timeline is\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(wantLines, "\n"))
			break
		}
	}
	if len(lines) != len(wantLines) {
		t.Errorf("%d events, want %d", len(lines), len(wantLines))
	}
}

// Three tool calls of one second each take one second.
func TestToolCallsRunAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{slow: time.Second}
		m := &model{turns: []turn{say(logs("a", "web"), logs("b", "db"), logs("c", "cache")), say(finish("d", "healthy"))}}
		start := time.Now()
		report, err := work(t, w, m, agent.Budget{})
		if err != nil || report.Claim != lifeline.ClaimHealthy {
			t.Fatalf("%+v, %v", report, err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("three calls of 1 s took %s", took)
		}
		for i, r := range lastResults(m.asked[1]) {
			want := []string{"web", "db", "cache"}[i]
			if r.CallID != []string{"a", "b", "c"}[i] || !strings.Contains(r.Content, "--timestamps "+want) {
				t.Errorf("result %d is %q for %s", i, r.Content, r.CallID)
			}
		}
	})
}

// The process dies before or after each step in turn, and the work goes on in
// another: it ends the same, and nothing is asked, run or said twice.
func TestAgainAfterACrash(t *testing.T) {
	script := func() *model {
		return &model{turns: []turn{
			say(text("I look."), logs("a", "web"), logs("b", "db")),
			say(text("No tool.")),
			say(call("c", "no_such_tool", `{}`), call("c", "gather_logs", `[]`), restart("d", "web")),
			say(logs("e", "web"), finish("f", "fixed")),
		}}
	}
	answer := func(req lifeline.CommandRequest) (lifeline.Command, error) {
		if strings.HasPrefix(req.Command, "docker restart") {
			return changed(req, lifeline.OutcomeExited, 0), nil
		}
		return read(req, 0, "x"), nil
	}
	whole := &world{answer: answer}
	wholeModel := script()
	want, err := work(t, whole, wholeModel, agent.Budget{})
	if err != nil || want.Claim != lifeline.ClaimFixed {
		t.Fatalf("%+v, %v", want, err)
	}
	wantRequests, wantKinds := requestTexts(t, wholeModel.asked), whole.kinds()
	for step := 1; step <= whole.done; step++ {
		for _, before := range []bool{true, false} {
			w, m := &world{answer: answer, crashAt: step, crashBefore: before}, script()
			if _, err := work(t, w, m, agent.Budget{}); !errors.Is(err, errCrash) {
				t.Fatalf("step %d: %v, want the crash", step, err)
			}
			report, err := work(t, w, m, agent.Budget{})
			if err != nil {
				t.Fatalf("step %d, before %v: %v", step, before, err)
			}
			if diff := cmp.Diff(want, report); diff != "" {
				t.Errorf("step %d, before %v: report (-want +got):\n%s", step, before, diff)
			}
			if diff := cmp.Diff(wantKinds, w.kinds()); diff != "" {
				t.Errorf("step %d, before %v: events (-want +got):\n%s", step, before, diff)
			}
			if len(w.asked) != len(whole.asked) {
				t.Errorf("step %d, before %v: commands %q", step, before, w.commands())
			}
			if diff := cmp.Diff(wantRequests, requestTexts(t, m.asked)); diff != "" {
				t.Errorf("step %d, before %v: conversation (-want +got):\n%s", step, before, diff)
			}
		}
	}
}

// requestTexts are requests without the markers, which differ between two runs.
func requestTexts(t *testing.T, reqs []llm.Request) []string {
	t.Helper()
	marked := regexp.MustCompile(`begin ([A-Z2-7]{26})`)
	var out []string
	for _, r := range reqs {
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		s := string(raw)
		for _, marker := range marked.FindAllStringSubmatch(s, -1) {
			s = strings.ReplaceAll(s, marker[1], "MARKER")
		}
		out = append(out, s)
	}
	return out
}

// The budgets end an attempt with a report that names the budget and the facts.
func TestBudgets(t *testing.T) {
	look := func(n int) llm.Response { return answerOf(logs(fmt.Sprint("c", n), fmt.Sprint("web", n))) }
	for name, tc := range map[string]struct {
		budget agent.Budget
		slow   time.Duration
		turns  int
		says   string
		last   string // in the last message that the model got
	}{
		"turns":  {agent.Budget{Turns: 3}, 0, 3, "the model was asked 3 times. ", "this is the last answer that you can give"},
		"tokens": {agent.Budget{Tokens: 500}, 0, 5, "550 of 500 tokens. ", "the budget of this attempt is almost used up"},
		"time":   {agent.Budget{Time: 50 * time.Second}, 10 * time.Second, 5, "50s of 50s. ", "the budget of this attempt is almost used up"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, m := &world{slow: tc.slow}, &model{always: look}
				report, err := work(t, w, m, tc.budget)
				if err != nil {
					t.Fatal(err)
				}
				if report.Claim != lifeline.ClaimNotFixed || !strings.HasPrefix(report.Summary, "The budget of this attempt is used up: "+tc.says+"What was seen and done until then: ") {
					t.Errorf("report %+v", report)
				}
				if !strings.Contains(report.Summary, "`docker logs --tail 100 --timestamps web0` on nexus: exit status 0 (fine).") {
					t.Errorf("the facts are not in %q", report.Summary)
				}
				if len(m.asked) != tc.turns {
					t.Errorf("asked %d times, want %d", len(m.asked), tc.turns)
				}
				final := m.asked[len(m.asked)-1].Messages
				if parts := final[len(final)-1].Parts; !strings.Contains(parts[len(parts)-1].Text, tc.last) {
					t.Errorf("the model was not warned: %+v", parts)
				}
			})
		})
	}
}

// Time in which nothing ran, between a crash and the next start, does not count.
func TestTimeOutsideOfStepsDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{slow: 10 * time.Second, crashAt: 6}
		m := &model{turns: []turn{say(logs("a", "web")), say(logs("b", "db")), say(finish("c", "healthy"))}}
		if _, err := work(t, w, m, agent.Budget{Time: time.Minute}); !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		report, err := work(t, w, m, agent.Budget{Time: time.Minute})
		if err != nil || report.Claim != lifeline.ClaimHealthy {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// A model that hangs costs the rest of the attempt's time, and no more.
func TestModelHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{slow: 20 * time.Second}
		m := &model{turns: []turn{say(logs("a", "web")), func(ctx context.Context, _ llm.Request) (llm.Response, error) {
			<-ctx.Done()
			return llm.Response{}, &llm.Error{Class: llm.ClassTimeout, Model: "test-model", Err: ctx.Err()}
		}}}
		start := time.Now()
		report, err := work(t, w, m, agent.Budget{Time: time.Minute})
		if err != nil || report.Claim != lifeline.ClaimNotFixed {
			t.Fatalf("%+v, %v", report, err)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("took %s", took)
		}
		for _, want := range []string{"model test-model: timeout: the time of the attempt is over", "docker logs"} {
			if !strings.Contains(report.Summary, want) {
				t.Errorf("%q is not in %q", want, report.Summary)
			}
		}
	})
}

// A model's failure is not the incident's: it is a report with the facts so far.
func TestModelFails(t *testing.T) {
	for _, class := range []llm.Class{llm.ClassUnavailable, llm.ClassOverloaded, llm.ClassRateLimited, llm.ClassSpendingLimit,
		llm.ClassAuthentication, llm.ClassInvalidRequest, llm.ClassTimeout, llm.ClassBroken} {
		fails := func(context.Context, llm.Request) (llm.Response, error) {
			return llm.Response{}, &llm.Error{Class: class, Model: "test-model", Message: "because", Err: errors.New("x")}
		}
		w := &world{}
		report, err := work(t, w, &model{turns: []turn{say(logs("a", "web")), fails}}, agent.Budget{})
		if err != nil || report.Claim != lifeline.ClaimNotFixed || report.Responder != "model:test-model" {
			t.Errorf("%s: %+v, %v", class, report, err)
		}
		want := "The model could not be asked: model test-model: " + strings.ReplaceAll(string(class), "_", " ") + ": because. What was seen and done until then: `docker logs"
		if !strings.HasPrefix(report.Summary, want) {
			t.Errorf("%s: %q, want %q", class, report.Summary, want)
		}
		if report.Next != "For the model: "+class.Hint()+"." {
			t.Errorf("%s: next %q", class, report.Next)
		}
		if last := w.events[len(w.events)-1]; last.Kind != lifeline.EventModelAnswered || !strings.HasPrefix(last.Text, "no answer: ") {
			t.Errorf("%s: last event %+v", class, last)
		}
	}
	// At the first question there are no facts; an error of any type will do.
	report, err := work(t, &world{}, &model{}, agent.Budget{})
	if err != nil || !strings.Contains(report.Summary, "broken: the script has no turn 1. Nothing had been looked at.") {
		t.Errorf("%+v, %v", report, err)
	}
}

// A failure that was kept is what the work goes by after a crash too.
func TestFailureIsKept(t *testing.T) {
	fails := func(context.Context, llm.Request) (llm.Response, error) {
		return llm.Response{}, &llm.Error{Class: llm.ClassOverloaded, Model: "test-model"}
	}
	w := &world{crashAt: 3}
	if _, err := work(t, w, &model{turns: []turn{fails}}, agent.Budget{}); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	m := &model{turns: []turn{say(finish("a", "fixed"))}}
	report, err := work(t, w, m, agent.Budget{})
	if err != nil || report.Claim != lifeline.ClaimNotFixed || len(m.asked) != 0 {
		t.Errorf("%+v, %v, asked %d times", report, err, len(m.asked))
	}
}

// When the process stops, the work ends with an error and keeps nothing that
// would be taken for an answer.
func TestStopping(t *testing.T) {
	stopping := errors.New("stopping")
	ctx, cancel := context.WithCancelCause(t.Context())
	w := &world{}
	m := &model{turns: []turn{func(context.Context, llm.Request) (llm.Response, error) {
		cancel(stopping)
		return llm.Response{}, context.Canceled
	}}}
	if _, err := newAgent(t, w, m, agent.Budget{}).Work(ctx, engine{w}, theCase()); !errors.Is(err, stopping) {
		t.Errorf("in the model: %v", err)
	}
	if _, kept := w.kept["model.a2.t1"]; kept {
		t.Error("the cut answer was kept")
	}

	ctx, cancel = context.WithCancelCause(t.Context())
	w = &world{answer: func(req lifeline.CommandRequest) (lifeline.Command, error) {
		cancel(stopping)
		return lifeline.Command{Outcome: lifeline.OutcomeUnknown}, nil
	}}
	m = &model{turns: []turn{say(logs("a", "web"))}}
	if _, err := newAgent(t, w, m, agent.Budget{}).Work(ctx, engine{w}, theCase()); !errors.Is(err, stopping) {
		t.Errorf("in a tool: %v", err)
	}
}

// The record cannot be written: nothing more is asked, and the caller knows.
func TestStopsWithoutARecord(t *testing.T) {
	full := &lifeline.Error{Code: lifeline.CodeStore, Message: "disk full"}
	w := &world{answer: func(req lifeline.CommandRequest) (lifeline.Command, error) {
		if strings.Contains(req.Command, "web") {
			return lifeline.Command{}, full
		}
		return read(req, 0, ""), nil
	}}
	m := &model{turns: []turn{say(logs("a", "db"), logs("b", "web"))}}
	if _, err := work(t, w, m, agent.Budget{}); lifeline.CodeOf(err) != lifeline.CodeStore {
		t.Errorf("error %v", err)
	}
	if len(m.asked) != 1 {
		t.Errorf("asked %d times", len(m.asked))
	}
}

type noTimeline struct{ *world }

func (noTimeline) AppendEvent(context.Context, lifeline.Event) error {
	return &lifeline.Error{Code: lifeline.CodeStore, Message: "disk full"}
}

func TestStopsWithoutATimeline(t *testing.T) {
	w := &world{kept: map[string]json.RawMessage{}}
	m := &model{turns: []turn{say(restart("a", "web"))}}
	a, err := agent.New(agent.Config{Model: m, Tools: noTools{}, Timeline: noTimeline{w}, Ledger: w})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Work(t.Context(), engine{w}, theCase()); lifeline.CodeOf(err) != lifeline.CodeStore || len(m.asked) != 0 {
		t.Errorf("error %v, asked %d times", err, len(m.asked))
	}
}

type noTools struct{}

func (noTools) Hosts() []string                                  { return nil }
func (noTools) Definitions() []llm.Tool                          { return nil }
func (noTools) Finishes(string) bool                             { return false }
func (noTools) Finish(llm.ToolCall) (r lifeline.Report, e error) { return r, nil }
func (noTools) Call(context.Context, lifeline.CommandRequest, llm.ToolCall) (r llm.ToolResult, c lifeline.Command, e error) {
	return r, c, nil
}

func TestNew(t *testing.T) {
	w := &world{}
	for name, cfg := range map[string]agent.Config{
		"no model":      {Tools: noTools{}, Timeline: w, Ledger: w},
		"no tools":      {Model: &model{}, Timeline: w, Ledger: w},
		"no timeline":   {Model: &model{}, Tools: noTools{}, Ledger: w},
		"no ledger":     {Model: &model{}, Tools: noTools{}, Timeline: w},
		"bad budget":    {Model: &model{}, Tools: noTools{}, Timeline: w, Ledger: w, Budget: agent.Budget{Turns: -1}},
		"bad day":       {Model: &model{}, Tools: noTools{}, Timeline: w, Ledger: w, Budget: agent.Budget{Day: agent.Bound{Tokens: -1}}},
		"unknown price": {Model: &model{}, Tools: noTools{}, Timeline: w, Ledger: w, Budget: agent.Budget{Day: agent.Bound{MicroUSD: 1}}},
	} {
		if _, err := agent.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
