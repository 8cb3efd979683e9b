package respond

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"lifeline"
)

// Once is a timeline for responders: what a step appends is appended once, also
// when the step runs again after a crash. It keeps the interface of a timeline
// whose events may repeat.
type Once struct {
	Record interface {
		AppendEvent(ctx context.Context, e lifeline.Event) error
		AppendEventOnce(ctx context.Context, key string, e lifeline.Event) error
	}
}

// AppendEvent appends the event, once for each place in a step and each content:
// a step that runs again and says something else has happened twice, and both
// are told. Outside of a step every event is appended.
func (o Once) AppendEvent(ctx context.Context, e lifeline.Event) error {
	if key := onceKey(ctx, e); key != "" {
		return o.Record.AppendEventOnce(ctx, key, e)
	}
	return o.Record.AppendEvent(ctx, e)
}

// place is where in a workflow a step's run is, and how many events it has
// appended.
type place struct {
	step   string
	events atomic.Int64
}

type placeKey struct{}

// placeOf names the step that DBOS runs under ctx.
func placeOf(ctx context.Context) (*place, error) {
	step, ok := ctx.(dbos.Context)
	if !ok {
		return nil, fmt.Errorf("a step runs under %T, which is no context of the workflow engine", ctx)
	}
	workflow, err := dbos.GetWorkflowID(step)
	if err != nil {
		return nil, fmt.Errorf("name the step that runs: %w", err)
	}
	id, err := dbos.GetStepID(step)
	if err != nil {
		return nil, fmt.Errorf("name the step that runs: %w", err)
	}
	return &place{step: fmt.Sprintf("%s.%d", workflow, id)}, nil
}

// onceKey is the key of the next event of the step that runs under ctx; "" if
// none does.
func onceKey(ctx context.Context, e lifeline.Event) string {
	p, ok := ctx.Value(placeKey{}).(*place)
	if !ok {
		return ""
	}
	h := sha256.New()
	for _, part := range []string{string(e.Kind), e.Actor, e.Text, string(e.Data)} {
		fmt.Fprintf(h, "%d:", len(part))
		io.WriteString(h, part)
	}
	return fmt.Sprintf("%s.%d.%s", p.step, p.events.Add(1), hex.EncodeToString(h.Sum(nil)[:8]))
}
