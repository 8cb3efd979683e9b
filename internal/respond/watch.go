package respond

import (
	"context"
	"encoding/json"
	"fmt"

	"lifeline"
)

// halt is why an attempt ends before its responder has finished.
type halt struct {
	// Why is a sentence without a final full stop.
	Why string `json:"why"`
	// Paused: a change was refused because of the kill switch. Held: a maintenance
	// window has begun. Otherwise the alert has resolved, or the incident has ended.
	Paused bool `json:"paused,omitempty"`
	Held   bool `json:"held,omitempty"`
}

func (h *halt) Error() string { return "the attempt has to end: " + h.Why }

// watched are the steps of a responder. With the result of each it is kept
// whether the alert still fired at its end, whether the kill switch had refused a
// change and whether a maintenance window held the incident. After that no further step begins: the responder gets a
// *halt as the error of each. What is looked at is kept, so that a replay ends
// at the same place.
//
// A change that is under way between its look and its intent is the store's to
// refuse: see lifeline.RuleResolved.
type watched struct {
	*work
	halt *halt
}

// kept is the result of a responder's step.
type kept struct {
	Value json.RawMessage `json:"value,omitempty"`
	Halt  *halt           `json:"halt,omitempty"`
}

// Run implements lifeline.Steps.
func (w *watched) Run(ctx context.Context, steps ...lifeline.Step) []lifeline.StepResult {
	if w.halt != nil {
		results := make([]lifeline.StepResult, len(steps))
		for i := range results {
			results[i].Err = w.halt
		}
		return results
	}
	looking := make([]lifeline.Step, len(steps))
	for i, step := range steps {
		looking[i] = lifeline.Step{Name: step.Name, Do: func(ctx context.Context) (json.RawMessage, error) {
			value, err := step.Do(ctx)
			if err != nil {
				return nil, err
			}
			halt, err := w.haltNow(ctx)
			if err != nil {
				return nil, err
			}
			return json.Marshal(kept{Value: value, Halt: halt})
		}}
	}
	results := w.steps.Run(ctx, looking...)
	for i, r := range results {
		if r.Err != nil {
			continue
		}
		var k kept
		if err := json.Unmarshal(r.Value, &k); err != nil {
			results[i] = lifeline.StepResult{Err: fmt.Errorf("read the kept result of step %s: %w", steps[i].Name, err)}
			continue
		}
		results[i].Value = k.Value
		if w.halt == nil || k.Halt != nil && k.Halt.Paused { // a pause goes before: it is what a person has to know
			w.halt = k.Halt
		}
	}
	return results
}

// haltNow says why nothing more should be done for the incident; nil if it may
// go on.
func (w *work) haltNow(ctx context.Context) (*halt, error) {
	inc, err := w.cfg.Store.Incident(ctx, w.id)
	if err != nil {
		return nil, err
	}
	if inc.State.Ended() {
		return &halt{Why: "the incident is " + string(inc.State) + ": " + inc.Reason}, nil
	}
	refusals, err := w.cfg.Store.Refusals(ctx, w.id)
	if err != nil {
		return nil, err
	}
	for _, c := range refusals {
		if c.Rule == lifeline.RulePaused {
			return &halt{Why: c.Reason, Paused: true}, nil
		}
	}
	if !inc.AlertFiring {
		return &halt{Why: "the alert has resolved"}, nil
	}
	window, held, err := w.cfg.Store.MaintenanceFor(ctx, inc)
	if err != nil || !held {
		return nil, err
	}
	return &halt{Why: heldWords(window), Held: true}, nil
}
