package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeline"
	"lifeline/internal/llm"
)

// answered is the kept result of asking the model.
type answered struct {
	Response llm.Response `json:"response"`
	// Failure is set if no answer came. It is a result, not an error of the step:
	// after a crash the work goes the same way.
	Failure *llm.Error    `json:"failure,omitempty"`
	Took    time.Duration `json:"took_ns"`

	// spent says which budget over several attempts let no question be asked.
	spent string
}

// asked is the kept result of putting a question on the timeline.
type asked struct {
	// Spent says which budget is used up, so that nothing is asked; "" for none.
	Spent string `json:"spent,omitempty"`
}

// UnmarshalJSON reads what earlier versions kept, too: true.
func (q *asked) UnmarshalJSON(data []byte) error {
	if string(data) == "true" {
		return nil
	}
	type plain asked
	return json.Unmarshal(data, (*plain)(q))
}

// errTime is the cause when the attempt's time ends while the model is asked.
var errTime = errors.New("the time of the attempt is over")

// ask has the model answer the conversation so far. The question is put on the
// timeline in a step of its own: the long wait for the answer is where a crash
// is likely, and the question is not to appear twice.
func (w *work) ask(ctx context.Context, turn int) (answered, error) {
	q, err := do(ctx, w, fmt.Sprintf("t%d.asked", turn), func(ctx context.Context) (q asked, err error) {
		if q.Spent, err = w.spentBefore(ctx); err != nil || q.Spent != "" {
			return q, err
		}
		return q, w.event(ctx, lifeline.EventModelAsked,
			fmt.Sprintf("asks %s, turn %d of at most %d", w.Model.Name(), turn, w.Budget.Turns),
			map[string]any{"turn": turn, "tokens_so_far": w.used.Total(), "spent_seconds": w.spent.Seconds()})
	})
	if err != nil || q.Spent != "" {
		return answered{spent: q.Spent}, err
	}
	req := llm.Request{System: w.systemPrompt(), Messages: w.messages, Tools: w.Tools.Definitions()}
	left := w.Budget.Time - w.spent
	a, err := do(ctx, w, fmt.Sprintf("t%d", turn), func(ctx context.Context) (answered, error) {
		started := time.Now()
		bounded, cancel := context.WithTimeoutCause(ctx, left, errTime)
		defer cancel()
		resp, err := w.Model.Complete(bounded, req)
		if ctx.Err() != nil { // the process stops: no result, so that the step runs again
			return answered{}, fmt.Errorf("ask %s: %w", w.Model.Name(), context.Cause(ctx))
		}
		a := answered{Response: resp, Took: time.Since(started)}
		if err != nil {
			a.Response, a.Failure = llm.Response{}, asFailure(w.Model.Name(), err)
			if bounded.Err() != nil {
				a.Failure.Message = strings.TrimPrefix(a.Failure.Message+"; "+errTime.Error(), "; ")
			}
		}
		if a.Failure == nil && a.Response.Usage.Unknown {
			a.Response.Usage.InputTokens, a.Response.Usage.OutputTokens = estimate(req), estimate(resp.Parts)
		}
		return a, w.recordAnswer(ctx, turn, a, req)
	})
	w.used = w.used.Add(a.Response.Usage)
	w.spent += a.Took
	return a, err
}

func asFailure(model string, err error) *llm.Error {
	if e, ok := errors.AsType[*llm.Error](err); ok {
		copied := *e
		return &copied
	}
	return &llm.Error{Class: llm.ClassBroken, Model: model, Message: llm.Line(err.Error(), 300)}
}

// The most of a model's words that an event holds, in characters.
const (
	textShown = 300
	textKept  = 4000
)

// recordAnswer puts an answer on the timeline, together with what it used.
func (w *work) recordAnswer(ctx context.Context, turn int, a answered, req llm.Request) error {
	used, ok := w.usage(a, req)
	text, data := answerText(turn, a)
	if !ok {
		return w.event(ctx, lifeline.EventModelAnswered, text, data)
	}
	data["micro_usd"] = used.MicroUSD
	e, err := w.newEvent(lifeline.EventModelAnswered, text, data)
	if err != nil {
		return err
	}
	return w.Ledger.RecordUsage(ctx, used, e)
}

// answerText is an answer for the timeline.
func answerText(turn int, a answered) (text string, data map[string]any) {
	data = map[string]any{"turn": turn, "seconds": a.Took.Seconds()}
	if a.Failure != nil {
		data["failure"] = a.Failure
		return "no answer: " + a.Failure.Error(), data
	}
	var names []string
	for c := range a.Response.Calls() {
		names = append(names, llm.Line(c.Name, 60))
	}
	data["text"], data["calls"] = clip(a.Response.Text(), textKept), names
	data["stop"], data["usage"] = a.Response.Stop, a.Response.Usage
	text = llm.Line(a.Response.Text(), textShown)
	if len(names) > 0 {
		text = strings.TrimSpace(text + " → " + strings.Join(names, ", "))
	}
	about := ""
	if a.Response.Usage.Unknown {
		about = "about "
	}
	return fmt.Sprintf("%s (%s%d tokens in, %d out)", orNothing(text), about, a.Response.Usage.Asked(), a.Response.Usage.OutputTokens), data
}

// event appends one entry to the incident's timeline. It is called in steps
// only, so that a workflow that runs again does not say it twice.
func (w *work) event(ctx context.Context, kind lifeline.EventKind, text string, data any) error {
	e, err := w.newEvent(kind, text, data)
	if err != nil {
		return err
	}
	return w.Timeline.AppendEvent(ctx, e)
}

func (w *work) newEvent(kind lifeline.EventKind, text string, data any) (lifeline.Event, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return lifeline.Event{}, fmt.Errorf("encode the details of %s: %w", kind, err)
	}
	return lifeline.Event{IncidentID: w.c.Incident.ID, Kind: kind, Actor: w.actor, Text: text, Data: raw}, nil
}

// do runs one durable step of the attempt.
func do[T any](ctx context.Context, w *work, name string, f func(context.Context) (T, error)) (T, error) {
	step := w.step("model", name, func(ctx context.Context) (any, error) { return f(ctx) })
	return kept[T](step.Name, w.steps.Run(ctx, step)[0])
}

func (w *work) step(kind, name string, f func(context.Context) (any, error)) lifeline.Step {
	return lifeline.Step{Name: fmt.Sprintf("%s.a%d.%s", kind, w.c.Attempt, name), Do: func(ctx context.Context) (json.RawMessage, error) {
		v, err := f(ctx)
		if err != nil {
			return nil, err
		}
		return json.Marshal(v)
	}}
}

// kept reads the result of a step.
func kept[T any](name string, r lifeline.StepResult) (T, error) {
	var out T
	if r.Err != nil {
		return out, r.Err
	}
	if err := json.Unmarshal(r.Value, &out); err != nil {
		return out, fmt.Errorf("read the kept result of step %s: %w", name, err)
	}
	return out, nil
}

// clip bounds a text to max characters.
func clip(s string, max int) string {
	if r := []rune(s); len(r) > max {
		return string(r[:max]) + "…"
	}
	return s
}
