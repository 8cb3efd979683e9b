package respond

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"lifeline"
)

// Approvals are the questions to a person that the door puts on record.
// *store.Store keeps them.
type Approvals interface {
	// Approvals of an incident, in the order in which they were asked for.
	Approvals(ctx context.Context, incidentID string) ([]lifeline.Approval, error)
	// AwaitedApprovals are those of the incidents that wait for a decision.
	AwaitedApprovals(ctx context.Context) ([]lifeline.Approval, error)
	// ExpireApproval ends an approval that is open without a yes.
	ExpireApproval(ctx context.Context, id, by, why string) error
}

// nobody is why an approval ends that no person has decided about.
const nobody = "nobody has decided in time"

// questions are what a person was asked about an incident, answered or not,
// without what was run already.
func (s *Service) questions(ctx context.Context, incidentID string) ([]lifeline.Approval, error) {
	if s.cfg.Approvals == nil {
		return nil, nil
	}
	all, err := s.cfg.Approvals.Approvals(ctx, incidentID)
	return slices.DeleteFunc(all, func(a lifeline.Approval) bool { return a.State == lifeline.ApprovalUsed }), err
}

// answered is how the wait for a person has ended.
type answered struct {
	// Resolved: the alert is gone, and nothing more was run.
	Resolved bool
	// Ran are the approved changes that were let through, as sentences.
	Ran []string
	// No says why the next one was not run, or how it failed; "" if all ran well.
	// Denied: a person has said no. Expired: nobody has said anything.
	No              string
	Denied, Expired bool
}

func (a answered) String() string { return strings.Join(append(a.Ran, a.No), " ") }

// approval waits until a person has decided about what the responder asked for,
// time is up or the alert has resolved, and then runs what was approved, in
// order, up to the first that does not exit 0. It waits in the workflow and not
// in a step, so that it goes on after a restart where it was.
func (w *work) approval(attempt int, asked []lifeline.Approval) (answered, error) {
	if _, err := w.move(lifeline.StateAwaitingApproval, waits(len(asked))); err != nil {
		return answered{}, err
	}
	for _, a := range asked {
		w.cfg.Logger.Warn("approval_needed", "incident", w.id, "host", a.Request.Host, "approval", a.ID, "command", a.Canonical,
			"until", a.ExpiresAt.Format(time.RFC3339))
	}
	w.leave()
	all, resolved, err := w.await(attempt, asked)
	if err != nil {
		return answered{}, err
	}
	if err := w.enter(); err != nil {
		return answered{}, err
	}
	if resolved {
		return answered{Resolved: true}, nil
	}
	var out answered
	for _, a := range all {
		switch a.State {
		case lifeline.ApprovalApproved:
			ran, err := w.runApproved(attempt, a)
			if err != nil {
				return out, err
			}
			if ran.Resolved {
				out.Resolved = true
				return out, nil
			}
			if ran.LetThrough {
				out.Ran = append(out.Ran, ran.Says)
			} else {
				out.No = ran.Says
			}
			if !ran.OK {
				return out, nil
			}
		case lifeline.ApprovalDenied:
			out.No, out.Denied = fmt.Sprintf("%s has denied `%s`%s.", a.DecidedBy, a.Canonical, because(a.Decision)), true
			return out, nil
		default:
			out.No, out.Expired = fmt.Sprintf("Nobody has approved `%s`%s.", a.Canonical, because(a.Decision)), true
			return out, nil
		}
	}
	return out, nil
}

// waits says what a person is asked about.
func waits(changes int) string {
	if changes == 1 {
		return "a change waits for the decision of a person"
	}
	return fmt.Sprintf("%d changes wait for the decision of a person", changes)
}

// decided is how an attempt goes on after a person was asked.
type decided struct {
	then  next
	state lifeline.State
	inc   lifeline.Incident // as it is then
	says  string            // what was run and what was not, for the next attempt
}

// decide waits for a person and says how the attempt goes on: with a
// verification if something was run, in it or under an approval; with the next
// attempt after a no, so that other ways are tried; at its end otherwise.
func (w *work) decide(attempt int, asked []lifeline.Approval, changesBefore int, reports []lifeline.Report) (d decided, err error) {
	end, err := w.approval(attempt, asked)
	if err != nil {
		return d, err
	}
	d.says = end.String()
	if d.inc, err = w.incident(fmt.Sprintf("approval.%d.after", attempt)); err != nil {
		return d, err
	}
	d.state, d.then = d.inc.State, stop
	switch {
	case len(end.Ran) > 0:
		d.then = verifyNow
	case d.inc.Changes > changesBefore || end.Resolved && d.inc.Changes > 0: // what was done before may have sufficed
		d.then = verifyNow
		d.state, err = w.move(lifeline.StateInvestigating, "nothing more is run: does it work?")
	case end.Resolved:
		d.state, err = w.move(lifeline.StateSuperseded, "the alert resolved while a person was asked; nothing was changed")
	case end.Denied && attempt < w.cfg.MaxAttempts:
		d.then = tryAgain
	default:
		d.state, err = w.escalate(strings.TrimRight(end.No, "."), reports)
	}
	return d, err
}

// next is how an attempt goes on.
type next int

const (
	verifyNow next = iota
	tryAgain
	stop
)

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// await waits until none of the approvals is pending and gives them as they
// are then. The wait is bounded by what is left of the approvals on the wall's
// clock at its beginning, and in one process by the time that really passes: a
// clock that is set back does not make it longer. What is pending at its end,
// nobody has decided.
func (w *work) await(attempt int, asked []lifeline.Approval) (_ []lifeline.Approval, resolved bool, err error) {
	begun, most := time.Now(), time.Duration(0)
	for _, a := range asked {
		most = max(most, a.ExpiresAt.Sub(a.CreatedAt))
	}
	for look := 1; ; look++ {
		now, err := do(w.steps, fmt.Sprintf("approval.%d.look.%d", attempt, look), func(ctx context.Context) (approvalsNow, error) {
			inc, err := w.cfg.Store.Incident(ctx, w.id)
			if err != nil {
				return approvalsNow{}, err
			}
			all, err := w.cfg.Approvals.Approvals(ctx, w.id)
			return approvalsNow{Firing: inc.AlertFiring, At: time.Now(), Approvals: only(all, asked)}, err
		})
		if err != nil {
			return nil, false, err
		}
		left := time.Duration(0)
		for _, a := range now.Approvals {
			if a.State == lifeline.ApprovalPending {
				left = max(left, a.ExpiresAt.Sub(now.At), time.Millisecond)
			}
		}
		if !now.Firing || left == 0 {
			return now.Approvals, !now.Firing, nil
		}
		left = min(left, max(most-time.Since(begun), time.Millisecond))
		_, err = dbos.Recv[string](w.wf, resolvedTopic, left)
		if errors.Is(err, dbos.ErrTimeout) {
			err = w.expire(attempt, look, asked)
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// approvalsNow is one look at what a person has decided so far.
type approvalsNow struct {
	Firing    bool                `json:"firing"`
	At        time.Time           `json:"at"`
	Approvals []lifeline.Approval `json:"approvals"`
}

// only are the approvals that are among those that were asked for.
func only(all, asked []lifeline.Approval) []lifeline.Approval {
	return slices.DeleteFunc(all, func(a lifeline.Approval) bool {
		return !slices.ContainsFunc(asked, func(b lifeline.Approval) bool { return a.ID == b.ID })
	})
}

// expire ends what nobody has decided about.
func (w *work) expire(attempt, look int, asked []lifeline.Approval) error {
	_, err := do(w.steps, fmt.Sprintf("approval.%d.expire.%d", attempt, look), func(ctx context.Context) (bool, error) {
		all, err := w.cfg.Approvals.Approvals(ctx, w.id)
		if err != nil {
			return false, err
		}
		for _, a := range only(all, asked) {
			if a.State == lifeline.ApprovalPending {
				if err := w.cfg.Approvals.ExpireApproval(ctx, a.ID, "respond", nobody); err != nil {
					return false, err
				}
			}
		}
		return true, nil
	})
	return err
}

// ranApproved is the kept result of an approved change.
type ranApproved struct {
	// LetThrough means that its intent is on record.
	LetThrough bool   `json:"let_through"`
	OK         bool   `json:"ok"`
	Says       string `json:"says"`
	// Resolved: the alert was gone by the time it would have run.
	Resolved bool `json:"resolved,omitempty"`
}

// runApproved runs the command of an approval through the door like any other:
// it is judged again, and the door holds the approval against what it would run.
// Its request ID depends on nothing but the approval, so that it runs once.
func (w *work) runApproved(attempt int, a lifeline.Approval) (ranApproved, error) {
	return do(w.steps, fmt.Sprintf("approval.%d.run.%s", attempt, a.ID), func(ctx context.Context) (ranApproved, error) {
		req := a.Request
		req.ID, req.ApprovalID = w.id+"."+a.ID, a.ID
		cmd, err := w.cfg.Door.Run(ctx, req)
		if err != nil {
			return ranApproved{}, err
		}
		if ctx.Err() != nil { // the process stops: the door knows what ran when the step runs again
			return ranApproved{}, context.Cause(ctx)
		}
		out := ranApproved{LetThrough: !cmd.IntentAt.IsZero(), OK: cmd.Succeeded()}
		switch {
		case cmd.Outcome == lifeline.OutcomeRefused && cmd.Rule == lifeline.RuleResolved:
			out.Resolved = true
		case cmd.Outcome == lifeline.OutcomeRefused:
			out.Says = fmt.Sprintf("`%s` was approved by %s and not run: %s.", a.Canonical, a.DecidedBy, cmd.Reason)
		case cmd.ExitStatus != nil:
			out.Says = fmt.Sprintf("`%s`, approved by %s: exit status %d.", a.Canonical, a.DecidedBy, *cmd.ExitStatus)
		default:
			out.Says = fmt.Sprintf("`%s`, approved by %s: %s%s.", a.Canonical, a.DecidedBy, cmd.Outcome, because(cmd.Error))
		}
		return out, nil
	})
}

// clerkEvery is how often the clerk looks: whoever decides in another process
// should see it taken up within a second.
const clerkEvery = 300 * time.Millisecond

// clerk tells the workflows that wait for a person what was decided, in whatever
// process that was, and ends what nobody decides about. It holds nothing that
// counts: a message only makes a workflow look, and a restart sends it again.
type clerk struct {
	*Service
	// told is what was last told to an incident's workflow, and seen when an
	// approval was first seen here, on the clock that nobody can set.
	told map[string]string
	seen map[string]time.Time
}

// run works until ctx ends.
func (c *clerk) run(ctx context.Context) {
	c.again(ctx, clerkEvery, "approvals_not_read", c.look)
}

func (c *clerk) look(ctx context.Context) error {
	all, err := c.cfg.Approvals.AwaitedApprovals(ctx)
	if err != nil {
		return err
	}
	// decided says by incident what was decided; only what waits stays known.
	decided, seen := map[string]string{}, map[string]time.Time{}
	for _, a := range all {
		if a.State == lifeline.ApprovalPending {
			if seen[a.ID] = c.seen[a.ID]; seen[a.ID].IsZero() {
				seen[a.ID] = time.Now()
			}
			if time.Now().Before(a.ExpiresAt) && time.Since(seen[a.ID]) < a.ExpiresAt.Sub(a.CreatedAt) {
				continue
			}
			if err := c.cfg.Approvals.ExpireApproval(ctx, a.ID, "respond", nobody); err != nil {
				return err
			}
			a.State = lifeline.ApprovalExpired
		}
		if a.State != lifeline.ApprovalUsed {
			decided[a.Request.IncidentID] += a.ID + "=" + string(a.State) + " "
		}
	}
	c.seen = seen
	maps.DeleteFunc(c.told, func(id, _ string) bool { return decided[id] == "" })
	for _, id := range slices.Sorted(maps.Keys(decided)) {
		if c.told[id] == decided[id] {
			continue
		}
		if err := dbos.Send(c.dbos, id, "decided", resolvedTopic); err != nil {
			return fmt.Errorf("tell the remediation of %s what was decided: %w", id, err)
		}
		c.told[id] = decided[id]
	}
	return nil
}
