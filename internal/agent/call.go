package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline"
	"lifeline/internal/llm"
)

// maxCalls is how many calls of one answer are run.
const maxCalls = 16

// call is one tool call as it is worked: with an ID that is its own, an input
// that is an object, and, if it is not to run, the reason.
type call struct {
	llm.ToolCall
	index int
	key   string
	// no is the text for the model if the call is not run.
	no string
}

// readCalls takes the calls out of an answer. Models and gateways give two
// calls one ID, none, or an input that is no object; providers refuse a
// conversation that has such a thing in it, so it is put right here.
func (w *work) readCalls(turn int, r llm.Response) []call {
	var calls []call
	for c := range r.Calls() {
		one := call{ToolCall: c, index: len(calls)}
		if !isID(c.ID) || w.ids[c.ID] {
			one.ID = fmt.Sprintf("call_%d_%d", turn, one.index)
		}
		w.ids[one.ID] = true
		var ok bool
		if one.key, ok = canonical(c.Input); !ok {
			one.no = "The input of this call is not a JSON object: " + llm.Line(string(c.Input[:min(len(c.Input), 200)]), 80)
			one.Input = json.RawMessage("{}")
		}
		one.key = c.Name + " " + one.key
		if !isID(c.Name) {
			one.Name = "unknown_tool"
			one.no = fmt.Sprintf("There is no tool %q.", llm.Line(c.Name, 60))
		}
		if one.index >= maxCalls {
			one.no = fmt.Sprintf("Not run: an answer can have at most %d calls. Ask again if you still need it.", maxCalls)
		}
		calls = append(calls, one)
	}
	if n := len(calls); n > 0 && r.Stop == llm.StopMaxTokens {
		calls[n-1].no = "Not run: your answer was cut off because it was too long, and this call may be incomplete. Say less, and call it again."
	}
	return calls
}

// isID reports whether providers take a text as an ID or as a tool's name.
func isID(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	})
}

// canonical is the input with its keys in order and every run of blanks as one,
// within its texts too, so that the same input is the same text: it is for
// comparing only, and never runs. ok is false if it is not an object.
func canonical(input json.RawMessage) (text string, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(input))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil || v == nil {
		return "", false
	}
	raw, err := json.Marshal(tidy(v))
	return string(raw), err == nil
}

// tidy is a JSON value with every run of blanks in its texts as one.
func tidy(v any) any {
	switch v := v.(type) {
	case string:
		return strings.Join(strings.Fields(v), " ")
	case []any:
		for i := range v {
			v[i] = tidy(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = tidy(v[name])
		}
	}
	return v
}

// called is the kept result of one tool call.
type called struct {
	Result llm.ToolResult `json:"result"`
	// Fact is one sentence for the report.
	Fact string `json:"fact"`
	// Good means that it ran and ended as it should.
	Good bool `json:"good"`
	// Changed means that it was let through and was more than a read.
	Changed bool `json:"changed,omitempty"`
	// Unsure means that it may have changed something, and nobody knows.
	Unsure bool      `json:"unsure,omitempty"`
	Begun  time.Time `json:"begun"`
	Ended  time.Time `json:"ended"`
}

// call runs all calls of one answer at the same time and gives their results in
// order; or the report, if the model finished. A call that ends the work counts
// only as the last of its answer, and not if another call of the answer did not
// go well: the model has not seen that yet.
func (w *work) call(ctx context.Context, turn int, calls []call) ([]llm.ToolResult, *lifeline.Report, error) {
	if err := w.calledEvents(ctx, turn, calls); err != nil {
		return nil, nil, err
	}
	results := make([]llm.ToolResult, len(calls))
	var batch []lifeline.Step
	var running []call
	var report *lifeline.Report
	w.history.begin()
	for i := range calls {
		c := &calls[i]
		if c.no == "" && w.Tools.Finishes(c.Name) {
			report, c.no = w.finish(*c, i == len(calls)-1)
		} else if c.no == "" {
			c.no = w.history.refuse(c.key)
		}
		switch {
		case c.no != "":
			results[i] = llm.ToolResult{CallID: c.ID, Content: c.no, IsError: true}
		case !w.Tools.Finishes(c.Name):
			batch = append(batch, w.toolStep(turn, *c))
			running = append(running, *c)
		}
	}
	good := true
	if len(batch) > 0 {
		done, err := w.runBatch(ctx, batch)
		if err != nil {
			return nil, nil, err
		}
		for i, d := range done {
			c := running[i]
			results[c.index] = d.Result
			good = good && d.Good
			w.history.add(c.key, d)
			if d.Fact != "" {
				w.facts = append(w.facts, d.Fact)
			}
		}
	}
	unrun := slices.ContainsFunc(calls, func(c call) bool { return c.no != "" })
	switch {
	case report != nil && good && !unrun:
		return nil, report, nil
	case report != nil:
		last := calls[len(calls)-1]
		results[last.index] = llm.ToolResult{CallID: last.ID, IsError: true,
			Content: "Not taken: another call of the same answer did not go well. Look at its result, then finish."}
	}
	return results, nil, nil
}

// finish reads a call that ends the work.
func (w *work) finish(c call, isLast bool) (*lifeline.Report, string) {
	if !isLast {
		return nil, "Not taken: finish has to be alone or the last call of an answer, once. Look at the other results first."
	}
	report, err := w.Tools.Finish(c.ToolCall)
	if err != nil {
		return nil, "Not taken: " + err.Error()
	}
	return &report, ""
}

// toolStep is the durable step of one call. Its name and the command's ID
// depend on nothing but its place.
func (w *work) toolStep(turn int, c call) lifeline.Step {
	place := fmt.Sprintf("t%d.c%d", turn, c.index)
	as := lifeline.CommandRequest{
		ID:         fmt.Sprintf("%s.a%d.%s", w.c.Incident.ID, w.c.Attempt, place),
		IncidentID: w.c.Incident.ID,
		Actor:      w.actor,
	}
	return w.step("tool", place, func(ctx context.Context) (any, error) {
		started := time.Now()
		result, cmd, err := w.Tools.Call(ctx, as, c.ToolCall)
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil { // the process stops: the guard knows what ran when the step runs again
			return nil, context.Cause(ctx)
		}
		change := cmd.Changed()
		unsure := cmd.Outcome != lifeline.OutcomeExited && cmd.Outcome != lifeline.OutcomeRefused
		return called{
			Result: result, Fact: fact(cmd), Good: !result.IsError && (!change || cmd.Succeeded()),
			Changed: change, Unsure: change && unsure, Begun: started, Ended: time.Now(),
		}, nil
	})
}

// runBatch runs the steps of one answer and counts the time they took together.
func (w *work) runBatch(ctx context.Context, batch []lifeline.Step) ([]called, error) {
	done := make([]called, len(batch))
	var first, last time.Time
	var failed error
	for i, r := range w.steps.Run(ctx, batch...) {
		var err error
		if done[i], err = kept[called](batch[i].Name, r); err != nil {
			failed = firstOf(failed, err)
			continue
		}
		if first.IsZero() || done[i].Begun.Before(first) {
			first = done[i].Begun
		}
		if done[i].Ended.After(last) {
			last = done[i].Ended
		}
	}
	w.spent += last.Sub(first)
	return done, failed
}

// firstOf keeps the first error; one of the record goes before all others, as
// the caller branches on it.
func firstOf(a, b error) error {
	if a == nil || lifeline.CodeOf(a) != lifeline.CodeStore && lifeline.CodeOf(b) == lifeline.CodeStore {
		return b
	}
	return a
}

// calledEvents puts the calls on the timeline, in order, before they run.
func (w *work) calledEvents(ctx context.Context, turn int, calls []call) error {
	_, err := do(ctx, w, fmt.Sprintf("t%d.calls", turn), func(ctx context.Context) (bool, error) {
		for _, c := range calls {
			data := map[string]any{"turn": turn, "index": c.index, "call_id": c.ID, "tool": c.Name, "input": shown(c.Input)}
			if err := w.event(ctx, lifeline.EventToolCalled, describe(c.ToolCall), data); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	return err
}

// shown is an input as an event keeps it: itself, or its beginning as a text.
func shown(input json.RawMessage) any {
	if len(input) <= textKept {
		return input
	}
	return clip(string(input), textKept)
}

// describe is a call for a person: gather_logs container=web host=nexus.
func describe(c llm.ToolCall) string {
	var fields map[string]any
	dec := json.NewDecoder(bytes.NewReader(c.Input))
	dec.UseNumber()
	if err := dec.Decode(&fields); err != nil {
		return c.Name
	}
	text := c.Name
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text += fmt.Sprintf(" %s=%v", name, fields[name])
	}
	return llm.Line(text, textShown)
}
