package respond

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"lifeline"
)

// Prober makes the checks that are made from this process. The error means that
// a check could not be made. *probe.Prober is one.
type Prober interface {
	Check(ctx context.Context, c lifeline.Check) (detail string, ok bool, err error)
}

// checked is one try of one of the owner's checks.
type checked struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	// CouldNot: it could not be made, which says nothing about the thing, and is
	// no success.
	CouldNot bool `json:"could_not_check,omitempty"`
}

func (c checked) String() string {
	how := "is not good"
	switch {
	case c.OK:
		how = "is good"
	case c.CouldNot:
		how = "could not be made"
	}
	return fmt.Sprintf("the check %s %s: %s", c.Check, how, c.Detail)
}

// check makes each check once, all at the same time. The error is one of the
// record, or the end of the process.
func (w *work) check(ctx context.Context, host string, checks []lifeline.Check) ([]checked, error) {
	out, errs := make([]checked, len(checks)), make([]error, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					errs[i] = panicked("the check "+c.String(), p)
				}
			}()
			out[i], errs[i] = w.checkOne(ctx, host, c)
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return out, nil
}

func (w *work) checkOne(ctx context.Context, host string, c lifeline.Check) (checked, error) {
	out := checked{Check: c.String()}
	if c.Command != "" {
		return w.checkCommand(ctx, host, c, out)
	}
	if w.cfg.Prober == nil {
		out.CouldNot, out.Detail = true, "nothing here makes such checks"
		return out, nil
	}
	detail, ok, err := w.cfg.Prober.Check(ctx, c)
	out.Detail, out.OK = detail, ok && err == nil
	if err != nil {
		out.Detail, out.CouldNot = err.Error(), true
	}
	return out, nil
}

// checkCommand runs a check's command through the door.
func (w *work) checkCommand(ctx context.Context, host string, c lifeline.Check, out checked) (checked, error) {
	cmd, err := w.cfg.Door.Run(ctx, lifeline.CommandRequest{
		IncidentID: w.id, Host: host, Command: c.Command, Actor: "verify", Purpose: "the owner's check",
		Timeout: cmp.Or(c.Timeout, lifeline.CheckTimeout),
	})
	if err != nil {
		return out, err
	}
	said := oneLine(string(cmd.Stdout) + " " + string(cmd.Stderr))
	switch {
	case cmd.Outcome == lifeline.OutcomeRefused:
		out.CouldNot, out.Detail = true, "refused: "+cmd.Reason
	case cmd.Outcome != lifeline.OutcomeExited || cmd.ExitStatus == nil:
		out.CouldNot, out.Detail = true, strings.TrimRight(fmt.Sprintf("%s: %s", cmp.Or(cmd.Outcome, lifeline.OutcomeUnknown), oneLine(cmd.Error)), ": ")
	case *cmd.ExitStatus != 0:
		out.Detail = strings.TrimSpace(fmt.Sprintf("exit status %d %s", *cmd.ExitStatus, said))
	default:
		out.OK, out.Detail = true, "exit status 0"
		if c.Expect == "" {
			break
		}
		want, err := regexp.Compile(c.Expect)
		if err != nil {
			out.OK, out.CouldNot, out.Detail = false, true, err.Error()
		} else if !want.Match(cmd.Stdout) {
			out.OK, out.Detail = false, fmt.Sprintf("exit status 0, but nothing matches /%s/ in %q", c.Expect, said)
		}
	}
	return out, nil
}

// oneLine bounds what a command said for a line of text.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	if short := []rune(s); len(short) > 200 {
		return string(short[:200]) + "…"
	}
	return s
}

// notGood says which checks are not good; "" if all are.
func notGood(checks []checked) string {
	var bad []string
	for _, c := range checks {
		if !c.OK {
			bad = append(bad, c.String())
		}
	}
	return strings.Join(bad, "; ")
}

// quick gives each check a timeout of at most d: for a first look, which must
// not keep a repair waiting.
func quick(checks []lifeline.Check, d time.Duration) []lifeline.Check {
	out := make([]lifeline.Check, len(checks))
	for i, c := range checks {
		c.Timeout = min(cmp.Or(c.Timeout, lifeline.CheckTimeout), d)
		out[i] = c
	}
	return out
}
