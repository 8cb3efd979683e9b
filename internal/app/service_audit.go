package app

import (
	"context"
	"sync"
	"time"

	"lifeline"
	"lifeline/internal/store"
)

// auditKept is how long the end of a verification is good for.
const auditKept = time.Minute

// auditMost bounds one verification.
const auditMost = 10 * time.Minute

// auditor verifies the record, one verification at a time: each reads all of it.
type auditor struct {
	verify func(context.Context) (lifeline.AuditView, error)

	ending  chan struct{} // closed by end
	stop    func()        // closes ending
	working sync.WaitGroup

	mu      sync.Mutex // guards what follows
	last    lifeline.AuditView
	running *verification // nil if none is
}

// verification is one that several wait for.
type verification struct {
	done chan struct{} // closed at its end
	view lifeline.AuditView
	err  error
}

func newAuditor(verify func(context.Context) (lifeline.AuditView, error)) *auditor {
	a := &auditor{verify: verify, ending: make(chan struct{})}
	a.stop = sync.OnceFunc(func() { close(a.ending) })
	return a
}

// verifying verifies a record.
func verifying(record *store.Store) func(context.Context) (lifeline.AuditView, error) {
	return func(ctx context.Context) (lifeline.AuditView, error) {
		a, err := record.VerifyAudit(ctx, store.AuditCheck{})
		return auditView(a, time.Now()), err
	}
}

// end ends a verification that runs, and waits for it: the record is closed next.
func (a *auditor) end(context.Context) error {
	a.stop()
	a.working.Wait()
	return nil
}

// look gives the end of a verification that is at most auditKept old. Whoever gives
// up waiting does not end it for the others.
func (a *auditor) look(ctx context.Context) (lifeline.AuditView, error) {
	a.mu.Lock()
	if !a.last.CheckedAt.IsZero() && time.Since(a.last.CheckedAt) < auditKept {
		defer a.mu.Unlock()
		return a.last, nil
	}
	v := a.running
	if v == nil {
		v = &verification{done: make(chan struct{})}
		a.running = v
		a.working.Go(func() { a.run(context.WithoutCancel(ctx), v) })
	}
	a.mu.Unlock()
	select {
	case <-v.done:
		return v.view, v.err
	case <-ctx.Done():
		return lifeline.AuditView{}, context.Cause(ctx)
	}
}

func (a *auditor) run(ctx context.Context, v *verification) {
	ctx, cancel := context.WithTimeout(ctx, auditMost)
	defer cancel()
	a.working.Go(func() {
		select {
		case <-a.ending:
			cancel()
		case <-ctx.Done():
		}
	})
	v.view, v.err = a.verify(ctx)
	a.mu.Lock()
	a.running = nil
	if v.err == nil {
		a.last = v.view
	}
	a.mu.Unlock()
	close(v.done)
}

// auditView is the end of a verification as people see it.
func auditView(a store.Audit, at time.Time) lifeline.AuditView {
	v := lifeline.AuditView{OK: a.Bad == nil, Events: a.Events, CheckedAt: at.UTC()}
	if a.Head.Seq > 0 {
		v.Head = a.Head.String()
	}
	if a.Bad != nil {
		v.BadRow, v.What = a.Bad.Row, a.Bad.What
	}
	return v
}
