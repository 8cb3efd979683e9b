package respond

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lifeline"
	"lifeline/internal/tool"
)

// wellness is the end of one verification.
type wellness struct {
	OK bool `json:"ok"`
	// Detail says what was seen, or why it could not be seen.
	Detail string `json:"detail"`
}

// verify looks at the thing itself until it has been well for StableFor, in
// one step. A look that could not be made is not a success.
func (w *work) verify(attempt int, target lifeline.Target, checks []lifeline.Check) (wellness, error) {
	return do(w.steps, fmt.Sprintf("verify.%d", attempt), func(ctx context.Context) (wellness, error) {
		well, err := w.watch(ctx, target)
		if err == nil && well.OK {
			well, err = w.probe(ctx, target.Host, checks, well)
		}
		if err != nil {
			return well, err
		}
		kind := lifeline.EventVerified
		if !well.OK {
			kind = lifeline.EventVerifyFailed
		}
		return well, w.event(ctx, kind, "respond", well.Detail, well)
	})
}

// watch looks at the target every VerifyEvery. It is well when each look of
// StableFor found it well and it did not restart in between; it is not well
// when it was down for as long, or when VerifyFor is over.
func (w *work) watch(ctx context.Context, target lifeline.Target) (wellness, error) {
	var (
		begun              = time.Now()
		wellSince, badFrom time.Time
		last               tool.Health
	)
	for {
		h, err := tool.Status(ctx, w.cfg.Door, tool.Probe{IncidentID: w.id, Actor: "verify", Target: target})
		now := time.Now()
		detail := h.Detail
		switch {
		case err != nil && lifeline.CodeOf(err) == lifeline.CodeStore:
			return wellness{}, err
		case err != nil:
			wellSince = time.Time{}
			detail = "could not check: " + err.Error()
		case !h.Well():
			wellSince = time.Time{}
		case wellSince.IsZero() || !h.SameRun(last):
			wellSince, badFrom = now, time.Time{}
		}
		if err == nil {
			last = h
		}
		if !wellSince.IsZero() && now.Sub(wellSince) >= w.cfg.StableFor {
			return wellness{OK: true, Detail: fmt.Sprintf("%s; stable for %s", detail, now.Sub(wellSince).Round(time.Second))}, nil
		}
		if wellSince.IsZero() && badFrom.IsZero() {
			badFrom = now
		}
		down := err == nil && h.Down() && !badFrom.IsZero() && now.Sub(badFrom) >= w.cfg.StableFor
		if down || now.Sub(begun) >= w.cfg.VerifyFor+w.cfg.StableFor {
			return wellness{Detail: detail}, nil
		}
		select {
		case <-ctx.Done():
			return wellness{}, context.Cause(ctx)
		case <-time.After(w.cfg.VerifyEvery):
		}
	}
}

// probe runs the owner's checks besides ours.
func (w *work) probe(ctx context.Context, host string, checks []lifeline.Check, well wellness) (wellness, error) {
	for _, check := range checks {
		command := check.Command
		cmd, err := w.cfg.Door.Run(ctx, lifeline.CommandRequest{
			IncidentID: w.id, Host: host, Command: command, Actor: "verify", Purpose: "the runbook's check",
		})
		if err != nil {
			return wellness{}, err
		}
		if !cmd.Succeeded() {
			said := strings.TrimSpace(string(cmd.Stdout) + string(cmd.Stderr) + cmd.Error)
			if cmd.Outcome == lifeline.OutcomeRefused {
				said = cmd.Reason
			}
			return wellness{Detail: fmt.Sprintf("%s, but the runbook's check %q did not succeed (%s): %.300s", well.Detail, command, cmd.Outcome, said)}, nil
		}
	}
	return well, nil
}
