package respond

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"lifeline"
)

// tidyBatch is how many workflows the engine is asked about at a time.
const tidyBatch = 500

// tidyUp is the janitor: at once and every TidyEvery, until ctx ends, it looks
// for what no workflow will end any more. It holds nothing: whatever a process
// leaves, the next one's janitor finds.
func (s *Service) tidyUp(ctx context.Context) {
	s.again(ctx, s.cfg.TidyEvery, "janitor_failed", func(ctx context.Context) error {
		return errors.Join(s.tidyIncidents(ctx), s.tidyApprovals(ctx))
	})
}

// again does work at once and then at each interval, until ctx ends. Work that
// fails is logged as event, once and not each time until it succeeds again.
func (s *Service) again(ctx context.Context, interval time.Duration, event string, work func(context.Context) error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	failing := false
	for {
		err := work(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.cfg.Logger.Error(event, "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tidyIncidents hands the incidents to a person whose work does not go on. An
// incident and its workflow are committed together, so that one which is on
// record has a workflow unless somebody took it away.
func (s *Service) tidyIncidents(ctx context.Context) error {
	open, err := s.cfg.Store.OpenIncidents(ctx)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(open, tidyBatch) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		found, err := dbos.ListWorkflows(s.dbos, dbos.WithFilterWorkflowIDs(batch...), dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(true))
		if err != nil {
			return fmt.Errorf("ask the workflow engine about %d incidents: %w", len(batch), err)
		}
		known := map[string]dbos.WorkflowStatus{}
		for _, f := range found {
			known[f.ID] = f
		}
		for _, id := range batch {
			status, ok := known[id]
			why := stranded(status, ok)
			if why == "" {
				continue
			}
			// Its work may have ended it after the list was made.
			if inc, err := s.cfg.Store.Incident(ctx, id); err != nil {
				return err
			} else if inc.State.Ended() {
				continue
			}
			if ok && active(status) { // or it would keep its target's turn, and could go on
				if err := dbos.CancelWorkflow(s.dbos, id); err != nil {
					return fmt.Errorf("take the work of %s back: %w", id, err)
				}
			}
			s.cfg.Logger.Warn("incident_stranded", "incident", id, "reason", why)
			if _, err := s.giveUp(ctx, id, "janitor", why, notes{}, nil); err != nil {
				return fmt.Errorf("hand %s to a person: %w", id, err)
			}
		}
	}
	return nil
}

// active reports a workflow that runs, or is going to.
func active(w dbos.WorkflowStatus) bool {
	return w.Status == dbos.WorkflowStatusPending || w.Status == dbos.WorkflowStatusEnqueued || w.Status == dbos.WorkflowStatusDelayed
}

// stranded says why the work of an incident does not go on; "" if it does. What
// has no version yet is taken by the newest.
func stranded(w dbos.WorkflowStatus, known bool) string {
	switch {
	case !known:
		return "the workflow engine does not know its work: it was taken away or lost"
	case active(w) && w.ApplicationVersion != "" && w.ApplicationVersion != workflowVersion:
		return fmt.Sprintf("another version of Lifeline began its work (workflow version %s, this is %s), which this one cannot go on with", w.ApplicationVersion, workflowVersion)
	case active(w):
		return ""
	}
	switch w.Status {
	case dbos.WorkflowStatusMaxRecoveryAttemptsExceeded:
		return fmt.Sprintf("Lifeline ended more than %d times while it worked this, so it does not try again: look at its log for what ended it", maxRestarts)
	case dbos.WorkflowStatusCancelled:
		return "its work was cancelled in the workflow engine"
	case dbos.WorkflowStatusError:
		return fmt.Sprintf("its work failed: %.300s", fmt.Sprint(w.Error))
	}
	return fmt.Sprintf("its work ended (%s) and left it where it was", w.Status)
}

// tidyApprovals closes the questions that outlived their incidents.
func (s *Service) tidyApprovals(ctx context.Context) error {
	if s.cfg.Approvals == nil {
		return nil
	}
	stray, err := s.cfg.Store.StrayApprovals(ctx)
	if err != nil {
		return err
	}
	for _, a := range stray {
		if err := s.cfg.Approvals.ExpireApproval(ctx, a.ID, "janitor", "its incident has ended"); err != nil {
			return err
		}
	}
	return nil
}

// insist repeats work until it succeeds or ctx ends, after 0.1 s, 0.2 s and so on
// up to 10 s. What fails is logged once.
func (s *Service) insist(ctx context.Context, what string, work func() (lifeline.State, error)) (lifeline.State, error) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, retryMost) {
		state, err := safely("the handover", work)
		s.stayIfLost()
		if err == nil {
			return state, nil
		}
		if wait == 100*time.Millisecond {
			s.cfg.Logger.Error("not_handed_over", "work", what, "error", err)
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-s.lost():
		case <-time.After(wait):
		}
	}
}

// safely is work with its panic turned into an error.
func safely(what string, work func() (lifeline.State, error)) (state lifeline.State, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(what, p)
		}
	}()
	return work()
}
