package tool

import (
	"context"

	"lifeline"
)

// Runner is the door to the hosts: internal/guard, and nothing else, is one.
//
// Run judges the request and, if it may run, runs it. A refusal is a Command
// with OutcomeRefused and a Reason, not an error; so is a host that cannot be
// reached (OutcomeNotStarted with Error). The error is for a record that could
// not be written: then nothing ran, and the caller must stop.
type Runner interface {
	Run(ctx context.Context, req lifeline.CommandRequest) (lifeline.Command, error)
}
