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
}

// errTime is the cause when the attempt's time ends while the model is asked.
var errTime = errors.New("the time of the attempt is over")

// ask has the model answer the conversation so far. The question is put on the
// timeline in a step of its own: the long wait for the answer is where a crash
// is likely, and the question is not to appear twice.
func (w *work) ask(ctx context.Context, turn int) (answered, error) {
	_, err := do(ctx, w, fmt.Sprintf("t%d.asked", turn), func(ctx context.Context) (bool, error) {
		return true, w.event(ctx, lifeline.EventModelAsked,
			fmt.Sprintf("asks %s, turn %d of at most %d", w.Model.Name(), turn, w.Budget.Turns),
			map[string]any{"turn": turn, "tokens_so_far": w.used.Total(), "spent_seconds": w.spent.Seconds()})
	})
	if err != nil {
		return answered{}, err
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
		return a, w.answeredEvent(ctx, turn, a)
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

func (w *work) answeredEvent(ctx context.Context, turn int, a answered) error {
	data := map[string]any{"turn": turn, "seconds": a.Took.Seconds()}
	if a.Failure != nil {
		data["failure"] = a.Failure
		return w.event(ctx, lifeline.EventModelAnswered, "no answer: "+a.Failure.Error(), data)
	}
	var names []string
	for c := range a.Response.Calls() {
		names = append(names, llm.Line(c.Name, 60))
	}
	data["text"], data["calls"] = clip(a.Response.Text(), textKept), names
	data["stop"], data["usage"] = a.Response.Stop, a.Response.Usage
	text := llm.Line(a.Response.Text(), textShown)
	if len(names) > 0 {
		text = strings.TrimSpace(text + " → " + strings.Join(names, ", "))
	}
	return w.event(ctx, lifeline.EventModelAnswered,
		fmt.Sprintf("%s (%d tokens in, %d out)", orNothing(text), a.Response.Usage.Asked(), a.Response.Usage.OutputTokens), data)
}

// event appends one entry to the incident's timeline. It is called in steps
// only, so that a workflow that runs again does not say it twice.
func (w *work) event(ctx context.Context, kind lifeline.EventKind, text string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode the details of %s: %w", kind, err)
	}
	return w.Timeline.AppendEvent(ctx, lifeline.Event{IncidentID: w.c.Incident.ID, Kind: kind, Actor: w.actor, Text: text, Data: raw})
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
