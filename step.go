package lifeline

import (
	"context"
	"encoding/json"
)

// Step is one piece of durable work: once it has finished, its result is kept,
// and a later run of the same workflow gets the kept result instead.
type Step struct {
	// Name is constant for the same place in the same workflow.
	Name string
	Do   func(context.Context) (json.RawMessage, error)
}

// StepResult is what one Step gave.
type StepResult struct {
	Value json.RawMessage
	Err   error
}

// Steps runs steps durably. Those of one call run at the same time; the
// results come back in the order of the calls, when all have ended.
type Steps interface {
	Run(ctx context.Context, steps ...Step) []StepResult
}
