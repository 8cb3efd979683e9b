package respond

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"lifeline"
)

// durable makes the steps of one workflow's run durable. It holds the
// workflow's context because that context is the workflow's identity to DBOS;
// it lives as long as the run.
type durable struct {
	wf   dbos.Context
	host string
	log  *slog.Logger
	// stay does not return once another node has taken over from this one.
	stay func()
}

// A step whose record cannot be written or read runs again, after 0.2 s, 0.4 s
// and so on up to 10 s, for some five minutes: a database that is away for a
// while is not the incident's failure.
const (
	retries    = 32
	retryFirst = 200 * time.Millisecond
	retryMost  = 10 * time.Second
)

// passes reports an error that may be gone at the next try: one of the database,
// and not of what was asked of it.
func passes(err error) bool {
	return lifeline.CodeOf(err) == lifeline.CodeStore && !errors.Is(err, lifeline.ErrNoMove) && !errors.Is(err, context.Canceled)
}

// Run implements lifeline.Steps. DBOS numbers steps in the order in which they
// are started, so starting them in the order of the call makes a replay match.
func (d durable) Run(_ context.Context, steps ...lifeline.Step) []lifeline.StepResult {
	started := time.Now()
	running := make([]<-chan dbos.StepOutcome[string], len(steps))
	results := make([]lifeline.StepResult, len(steps))
	for i, step := range steps {
		outcome, err := dbos.Go(d.wf, guarded(step, d.stay), dbos.WithStepName(step.Name), dbos.WithStepMaxRetries(retries),
			dbos.WithStepBaseInterval(retryFirst), dbos.WithStepMaxInterval(retryMost), dbos.WithStepRetryPredicate(passes))
		if err != nil {
			results[i].Err = fmt.Errorf("start step %s: %w", step.Name, err)
			continue
		}
		running[i] = outcome
	}
	for i, outcome := range running {
		if outcome == nil {
			continue
		}
		o := <-outcome
		results[i] = lifeline.StepResult{Value: json.RawMessage(o.Result), Err: o.Err}
	}
	if len(steps) > 1 {
		d.log.Info("command_batch_completed", "host", d.host, "commands", len(steps),
			"duration_seconds", time.Since(started).Seconds())
	}
	return results
}

// guarded is the step's work with its panic turned into an error: one
// incident's defect must not take the others down. Its context knows which step
// it is, for the events that the step appends: see Once. What it ends with is not
// kept once another node has taken over: that node does the step itself.
func guarded(step lifeline.Step, stay func()) dbos.Step[string] {
	return func(ctx context.Context) (out string, err error) {
		defer stay()
		defer func() {
			if p := recover(); p != nil {
				err = panicked("step "+step.Name, p)
			}
		}()
		place, err := placeOf(ctx)
		if err != nil {
			return "", err
		}
		value, err := step.Do(context.WithValue(ctx, placeKey{}, place))
		return string(value), err
	}
}

// panicked is the error for a defect of ours: its first line says what, the
// rest where.
func panicked(what string, p any) error {
	return fmt.Errorf("%s panicked: %v\n%s", what, p, debug.Stack())
}

// do runs one step whose result is a T.
func do[T any](d durable, name string, work func(context.Context) (T, error)) (T, error) {
	var out T
	r := d.Run(d.wf, lifeline.Step{Name: name, Do: func(ctx context.Context) (json.RawMessage, error) {
		v, err := work(ctx)
		if err != nil {
			return nil, err
		}
		return json.Marshal(v)
	}})[0]
	if r.Err != nil {
		return out, r.Err
	}
	if err := json.Unmarshal(r.Value, &out); err != nil {
		return out, fmt.Errorf("read the kept result of step %s: %w", name, err)
	}
	return out, nil
}
