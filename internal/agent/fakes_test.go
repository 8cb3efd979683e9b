package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/agent"
	"lifeline/internal/llm"
	"lifeline/internal/tool"
)

// world is the store, the door and what the workflow engine keeps: everything
// that survives a crash.
type world struct {
	mu     sync.Mutex
	slow   time.Duration
	answer func(lifeline.CommandRequest) (lifeline.Command, error) // nil: exit status 0
	asked  []lifeline.CommandRequest
	events []lifeline.Event
	usage  []lifeline.Usage
	kept   map[string]json.RawMessage
	sizes  []int // of each batch of tools
	// crashAt is the step, counted over the whole life of the world, before or
	// after which the process dies; 0: never.
	crashAt     int
	crashBefore bool
	done        int
}

var errCrash = errors.New("crashed")

func (w *world) Run(ctx context.Context, req lifeline.CommandRequest) (lifeline.Command, error) {
	if w.slow > 0 {
		time.Sleep(w.slow)
	}
	w.mu.Lock()
	w.asked = append(w.asked, req)
	w.mu.Unlock()
	if w.answer != nil {
		cmd, err := w.answer(req)
		cmd.CommandRequest = req
		return cmd, err
	}
	return read(req, 0, "fine"), nil
}

func read(req lifeline.CommandRequest, status int, stdout string) lifeline.Command {
	return lifeline.Command{CommandRequest: req, Outcome: lifeline.OutcomeExited, ExitStatus: &status, Class: "read",
		IntentAt: time.Unix(1, 0), Stdout: []byte(stdout)}
}

func changed(req lifeline.CommandRequest, o lifeline.Outcome, status int) lifeline.Command {
	cmd := lifeline.Command{CommandRequest: req, Outcome: o, Class: "change", IntentAt: time.Unix(1, 0)}
	if o == lifeline.OutcomeExited {
		cmd.ExitStatus = &status
	}
	return cmd
}

func (w *world) AppendEvent(_ context.Context, e lifeline.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	return nil
}

func (w *world) RecordUsage(_ context.Context, u lifeline.Usage, e lifeline.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.usage, w.events = append(w.usage, u), append(w.events, e)
	return nil
}

// UsageOf sums what stands in the world: it has one incident.
func (w *world) UsageOf(context.Context, string) (sum lifeline.Spent, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, u := range w.usage {
		sum = sum.Add(u)
	}
	return sum, nil
}

func (w *world) UsageSince(ctx context.Context, _ time.Time) (lifeline.Spent, error) {
	return w.UsageOf(ctx, "")
}

func (w *world) commands() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, r := range w.asked {
		out = append(out, r.Command)
	}
	return out
}

func (w *world) kinds() []string {
	var out []string
	for _, e := range w.events {
		out = append(out, string(e.Kind))
	}
	return out
}

// engine runs steps as the workflow engine does: those of one call at the same
// time, and each only once for the same world. A crash is an error of the step
// whose result is not kept.
type engine struct{ *world }

func (e engine) Run(ctx context.Context, steps ...lifeline.Step) []lifeline.StepResult {
	out := make([]lifeline.StepResult, len(steps))
	e.mu.Lock()
	if steps[0].Name[:5] == "tool." {
		e.sizes = append(e.sizes, len(steps))
	}
	e.mu.Unlock()
	var wg sync.WaitGroup
	for i, s := range steps {
		wg.Go(func() { out[i].Value, out[i].Err = e.one(ctx, s) })
	}
	wg.Wait()
	return out
}

func (e engine) one(ctx context.Context, s lifeline.Step) (json.RawMessage, error) {
	e.mu.Lock()
	kept, ok := e.kept[s.Name]
	if ok {
		e.mu.Unlock()
		return slices.Clone(kept), nil
	}
	e.done++
	dies := e.done == e.crashAt
	e.mu.Unlock()
	if dies && e.crashBefore {
		return nil, errCrash
	}
	value, err := s.Do(ctx)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kept[s.Name] = slices.Clone(value)
	if dies {
		return nil, errCrash
	}
	return value, nil
}

// model is a scripted model in memory.
type model struct {
	mu     sync.Mutex
	turns  []func(ctx context.Context, req llm.Request) (llm.Response, error)
	asked  []llm.Request
	always func(n int) llm.Response
}

func (*model) Name() string { return "test-model" }

func (m *model) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	m.mu.Lock()
	n := len(m.asked)
	// A copy as a provider gets it: what is changed later must not show in it.
	raw, err := json.Marshal(req)
	if err != nil {
		m.mu.Unlock()
		return llm.Response{}, err
	}
	var copied llm.Request
	if err := json.Unmarshal(raw, &copied); err != nil {
		m.mu.Unlock()
		return llm.Response{}, err
	}
	m.asked = append(m.asked, copied)
	m.mu.Unlock()
	switch {
	case n < len(m.turns):
		return m.turns[n](ctx, req)
	case m.always != nil:
		return m.always(n), nil
	}
	return llm.Response{}, fmt.Errorf("the script has no turn %d", n+1)
}

type turn = func(context.Context, llm.Request) (llm.Response, error)

// say answers with parts; a call among them makes it a wait for tools.
func say(parts ...llm.Part) turn {
	return func(context.Context, llm.Request) (llm.Response, error) { return answerOf(parts...), nil }
}

func answerOf(parts ...llm.Part) llm.Response {
	r := llm.Response{Parts: parts, Stop: llm.StopEnd, Usage: llm.Usage{InputTokens: 100, OutputTokens: 10}}
	for range r.Calls() {
		r.Stop = llm.StopTools
	}
	return r
}

func text(s string) llm.Part { return llm.Part{Text: s} }

func call(id, name, input string) llm.Part {
	return llm.Part{Call: &llm.ToolCall{ID: id, Name: name, Input: json.RawMessage(input)}}
}

func logs(id, container string) llm.Part {
	return call(id, "gather_logs", fmt.Sprintf(`{"host":"nexus","container":%q}`, container))
}

func restart(id, container string) llm.Part {
	return call(id, "restart_service", fmt.Sprintf(`{"host":"nexus","container":%q}`, container))
}

func finish(id, outcome string) llm.Part {
	return call(id, "finish", fmt.Sprintf(`{"outcome":%q,"summary":"It was stopped.","next":"Ask who stopped it."}`, outcome))
}

func theCase() lifeline.Case {
	return lifeline.Case{
		Incident: lifeline.Incident{ID: "inc_1", Target: lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"}},
		Alert: lifeline.Alert{Name: "ContainerDown", Status: lifeline.AlertFiring,
			Labels: map[string]string{"alertname": "ContainerDown", "container": "web"}, Annotations: map[string]string{"summary": "web is down"}},
		Attempt: 2,
	}
}

// newAgent builds an agent with the real tools in front of the world's door.
func newAgent(t testing.TB, w *world, m llm.Model, b agent.Budget) *agent.Agent {
	t.Helper()
	return newPricedAgent(t, w, m, b, nil)
}

func newPricedAgent(t testing.TB, w *world, m llm.Model, b agent.Budget, p *llm.Price) *agent.Agent {
	t.Helper()
	if w.kept == nil {
		w.kept = map[string]json.RawMessage{}
	}
	tools, err := tool.New(w, tool.Config{Hosts: []string{"nexus", "outpost"}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(agent.Config{Model: m, Tools: tools, Timeline: w, Ledger: w, Budget: b, Price: p})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func work(t testing.TB, w *world, m llm.Model, b agent.Budget) (lifeline.Report, error) {
	t.Helper()
	return newAgent(t, w, m, b).Work(t.Context(), engine{w}, theCase())
}

// lastResults are the results in the newest message of a request.
func lastResults(req llm.Request) []llm.ToolResult {
	var out []llm.ToolResult
	for _, p := range req.Messages[len(req.Messages)-1].Parts {
		if p.Result != nil {
			out = append(out, *p.Result)
		}
	}
	return out
}
