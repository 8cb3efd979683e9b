package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/agent"
	"lifeline/internal/llm"
	"lifeline/internal/tool"
)

// The budgets over several attempts are looked at before each question, by what
// is on record: what other attempts used counts.
func TestBudgetsOverAttempts(t *testing.T) {
	before := lifeline.Usage{IncidentID: "inc_1", Model: "other", Input: 1000, MicroUSD: new(int64(1000))}
	for name, tc := range map[string]struct {
		budget agent.Budget
		turns  int
		says   string
	}{
		"tokens of the incident": {agent.Budget{Incident: agent.Bound{Tokens: 1200}}, 2, "The budget of this incident is used up: 1220 of 1200 tokens (model.budget.incident_tokens). "},
		"money of the incident":  {agent.Budget{Incident: agent.Bound{MicroUSD: 1300}}, 3, "The budget of this incident is used up: $0.0014 of $0.0013 (model.budget.incident_usd). "},
		"tokens of the day":      {agent.Budget{Day: agent.Bound{Tokens: 1110}}, 1, "The budget of a day is used up: 1110 of 1110 tokens (model.budget.day_tokens). "},
		"money of the day":       {agent.Budget{Day: agent.Bound{MicroUSD: 1}}, 0, "The budget of a day is used up: $0.0010 of $0.0000 (model.budget.day_usd). Nothing had been looked at."},
		"the first of two":       {agent.Budget{Incident: agent.Bound{Tokens: 5000}, Day: agent.Bound{Tokens: 1100}}, 1, "The budget of a day is used up: "},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{usage: []lifeline.Usage{before}}
			m := &model{always: func(n int) llm.Response { return answerOf(logs(fmt.Sprint("c", n), fmt.Sprint("web", n))) }}
			// 100 tokens in at 1 and 10 out at 2: 120 millionths an answer.
			report, err := newPricedAgent(t, w, m, tc.budget, &llm.Price{Input: 1, Output: 2}).Work(t.Context(), engine{w}, theCase())
			if err != nil || report.Claim != lifeline.ClaimNotFixed || !strings.HasPrefix(report.Summary, tc.says) || !strings.Contains(report.Next, "raise the budget") {
				t.Fatalf("%+v, %v, want %q", report, err, tc.says)
			}
			if len(m.asked) != tc.turns || tc.turns > 0 && !strings.Contains(report.Summary, "docker logs") {
				t.Errorf("asked %d times, want %d: %q", len(m.asked), tc.turns, report.Summary)
			}
			questions := 0
			for _, e := range w.events {
				if e.Kind == lifeline.EventModelAsked {
					questions++
				}
			}
			if questions != tc.turns {
				t.Errorf("%d questions on the timeline, %d asked", questions, tc.turns)
			}
			// After a crash it ends the same, whatever was used meanwhile.
			w.usage = nil
			again, err := newPricedAgent(t, w, m, tc.budget, &llm.Price{Input: 1, Output: 2}).Work(t.Context(), engine{w}, theCase())
			if diff := cmp.Diff(report, again); err != nil || diff != "" {
				t.Errorf("again: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// ledgerThatFails cannot be read.
type ledgerThatFails struct{ *world }

func (ledgerThatFails) UsageOf(context.Context, string) (s lifeline.Spent, err error) {
	return s, &lifeline.Error{Code: lifeline.CodeStore, Message: "disk full"}
}

// A budget that cannot be counted is not taken for one that is left.
func TestStopsWithoutALedger(t *testing.T) {
	w := &world{kept: map[string]json.RawMessage{}}
	m := &model{turns: []turn{say(finish("a", "fixed"))}}
	a, err := agent.New(agent.Config{Model: m, Tools: noTools{}, Timeline: w, Ledger: ledgerThatFails{w}, Budget: agent.Budget{Incident: agent.Bound{Tokens: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Work(t.Context(), engine{w}, theCase()); lifeline.CodeOf(err) != lifeline.CodeStore || len(m.asked) != 0 {
		t.Errorf("error %v, asked %d times", err, len(m.asked))
	}
}

// What each answer used is on record with its event: priced, unpriced where
// nobody knows the price, estimated where the provider does not say.
func TestUsageIsOnRecord(t *testing.T) {
	silent := func(context.Context, llm.Request) (llm.Response, error) {
		r := answerOf(logs("b", "db"))
		r.Usage = llm.Usage{Unknown: true}
		return r, nil
	}
	fails := func(class llm.Class) turn {
		return func(context.Context, llm.Request) (llm.Response, error) {
			return llm.Response{}, &llm.Error{Class: class, Model: "test-model"}
		}
	}
	for name, tc := range map[string]struct {
		price *llm.Price
		last  turn
		want  []lifeline.Usage
	}{
		"with a price": {&llm.Price{Input: 1, Output: 2}, fails(llm.ClassOverloaded), []lifeline.Usage{
			{IncidentID: "inc_1", Attempt: 2, Model: "test-model", Input: 100, Output: 10, MicroUSD: new(int64(120))},
			{IncidentID: "inc_1", Attempt: 2, Model: "test-model", Estimated: true, MicroUSD: new(int64(0))},
		}},
		"without a price, and one that broke off": {nil, fails(llm.ClassBroken), []lifeline.Usage{
			{IncidentID: "inc_1", Attempt: 2, Model: "test-model", Input: 100, Output: 10},
			{IncidentID: "inc_1", Attempt: 2, Model: "test-model", Estimated: true},
			{IncidentID: "inc_1", Attempt: 2, Model: "test-model", Estimated: true},
		}},
	} {
		w := &world{}
		m := &model{turns: []turn{say(logs("a", "web")), silent, tc.last}}
		if _, err := newPricedAgent(t, w, m, agent.Budget{}, tc.price).Work(t.Context(), engine{w}, theCase()); err != nil {
			t.Fatal(err)
		}
		got := slices.Clone(w.usage)
		for i, u := range got {
			if !u.Estimated {
				continue
			}
			if u.Input < 500 || u.Input > 20_000 || tc.price != nil && *u.MicroUSD != u.Input+2*u.Output {
				t.Errorf("%s: estimate %+v", name, u)
			}
			got[i].Input, got[i].Output = 0, 0 // they depend on the prompt
			if tc.price != nil {
				got[i].MicroUSD = new(int64(0))
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		answers := 0
		for _, e := range w.events {
			if e.Kind == lifeline.EventModelAnswered {
				answers++
			}
		}
		if answers != 3 {
			t.Errorf("%s: %d answers on the timeline", name, answers)
		}
	}
}

// A model that does not say what it uses still comes to the end of its budget.
func TestUnknownUsageHasABudget(t *testing.T) {
	m := &model{always: func(n int) llm.Response {
		r := answerOf(logs(fmt.Sprint("c", n), fmt.Sprint("web", n)))
		r.Usage = llm.Usage{Unknown: true}
		return r
	}}
	report, err := work(t, &world{}, m, agent.Budget{Tokens: 10_000})
	if err != nil || !strings.Contains(report.Summary, "of 10000 tokens") || len(m.asked) > 10 {
		t.Errorf("%+v, %v, asked %d times", report, err, len(m.asked))
	}
}

// In a storm, attempts at the same time go over the budget of a day by at most
// one answer each, and those that come later ask nothing.
func TestStormStaysWithinTheBudget(t *testing.T) {
	const attempts, bound, answer = 20, 2000, 110
	ledger := &world{}
	attempt := func() (asked int) {
		w := &world{kept: map[string]json.RawMessage{}}
		m := &model{always: func(n int) llm.Response { return answerOf(logs(fmt.Sprint("c", n), fmt.Sprint("web", n))) }}
		tools, err := tool.New(w, tool.Config{Hosts: []string{"nexus"}})
		if err != nil {
			t.Error(err)
			return 0
		}
		a, err := agent.New(agent.Config{Model: m, Tools: tools, Timeline: w, Ledger: ledger, Budget: agent.Budget{Day: agent.Bound{Tokens: bound}}})
		if err != nil {
			t.Error(err)
			return 0
		}
		report, err := a.Work(t.Context(), engine{w}, theCase())
		if err != nil || !strings.Contains(report.Summary, "model.budget.day_tokens") {
			t.Errorf("%+v, %v", report, err)
		}
		return len(m.asked)
	}
	var wg sync.WaitGroup
	for range attempts {
		wg.Go(func() { attempt() })
	}
	wg.Wait()
	sum, err := ledger.UsageOf(t.Context(), "")
	if err != nil || sum.Tokens() < bound || sum.Tokens() > bound+attempts*answer {
		t.Errorf("%d tokens of %d, %v", sum.Tokens(), bound, err)
	}
	if n := attempt(); n != 0 {
		t.Errorf("an attempt afterwards asked %d times", n)
	}
}
