// Package guard is the only door to a host. Every command, whoever asked for
// it, takes the same way: it is judged by the policy; a person is asked where
// the policy says so; the intent is put on record and committed, unless the kill
// switch is on or a limit is reached; it runs; the result is put on record. If
// the record cannot be written, nothing runs.
//
//	door, err := guard.New(guard.Config{Policies: policies, Pool: pool, Record: store})
//	cmd, err := door.Run(ctx, lifeline.CommandRequest{Host: "nexus", Command: "docker ps", Actor: "person:ann"})
//
// Guaranteed: what runs is the text that was judged; a change with the same
// request ID runs at most once, also across crashes of this process; an intent
// without a result is reported as unknown and not repeated.
//
// The policy is a filter, not the boundary. The boundary is the account on the
// host.
package guard

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"lifeline"
	"lifeline/internal/redact"
	"lifeline/shellpolicy"
	"lifeline/sshpool"
)

// Shell reads every command on every host: what was judged is POSIX shell, and
// the account's login shell may read it differently.
const Shell = "/bin/sh"

// environment is what every command runs in. A pager would wait for a key that
// nobody presses, and a locale would change what the output says.
var environment = map[string]string{
	"LC_ALL":        "C.UTF-8",
	"PAGER":         "cat",
	"SYSTEMD_PAGER": "cat",
	"TERM":          "dumb",
}

// Pool runs a command on a host. *sshpool.Pool is one.
type Pool interface {
	Run(ctx context.Context, host string, cmd sshpool.Command) (*sshpool.Result, error)
}

// Record keeps intents and results. *store.Store is one.
type Record interface {
	// RecordIntent commits the intent to run cmd. If a command with the same ID
	// is on record already, it is returned and nothing is written. What the kill
	// switch, a limit or the approval that cmd names does not let through is an
	// error with lifeline.CodeRefused.
	RecordIntent(ctx context.Context, cmd lifeline.Command, limits lifeline.Limits) (prior *lifeline.Command, err error)
	RecordResult(ctx context.Context, cmd lifeline.Command) error
	RecordRefusal(ctx context.Context, cmd lifeline.Command) error
	// RequestApproval puts on record that a person is asked about cmd, which
	// has its Digest, and gives cmd as it is on record: not run.
	RequestApproval(ctx context.Context, cmd lifeline.Command, valid time.Duration, limits lifeline.Limits) (lifeline.Command, error)
	Paused(ctx context.Context) (lifeline.Pause, error)
	// RefusedBefore lists an incident's requests that were refused as destructive
	// or unknown, in order, and reports whether a request has begun to run.
	RefusedBefore(ctx context.Context, incidentID, requestID string) (refused []lifeline.Command, begun bool, err error)
}

// Confirm asks a person about a command that the policy will not decide alone.
// No answer, an error and an ended context are all a no.
type Confirm func(ctx context.Context, cmd lifeline.Command) (bool, error)

// Config of a Guard. Every field without a default is required.
type Config struct {
	// Policies by host: a host that is not listed is refused.
	Policies map[string]shellpolicy.Policy
	Pool     Pool
	Record   Record
	// Identities by host say who a host is and with which account it is reached,
	// in any words that change with them: an approval is bound to it.
	Identities map[string]string
	// Confirm is asked when the verdict is ask. nil: a change of an incident
	// waits for an approval, and everything else is refused.
	Confirm Confirm
	// ApprovalTimeout is how long a person may take to approve a change of an
	// incident; 0: nobody is asked, it is refused.
	ApprovalTimeout time.Duration
	// MaxChanges is how many changes one incident may make; 0: 2.
	MaxChanges int
	// MaxChangesPerHostHour and MaxChangesPerDay bound the changes of all
	// incidents on one host and on all of them; 0: no bound.
	MaxChangesPerHostHour, MaxChangesPerDay int
	// AttemptWindow is the time in which MaxChanges also bounds the changes of all
	// incidents with the same key together; 0: each incident counts for itself.
	AttemptWindow time.Duration
	// Redact takes the secrets out of what hosts say before it is recorded or
	// given to anybody; nil: one that knows none of Lifeline's own.
	Redact *redact.Redactor
	// ContainAfter is how many requests of a model that the policy refuses as
	// destructive contain an incident, so that a person decides about every
	// further change of it; 0: 1. ContainAfterUnknown is how many do that are
	// refused as destructive or unknown: most unknown ones are a look with a
	// program or a flag that the policy does not know; 0: 3.
	ContainAfter, ContainAfterUnknown int
	// RecordWithin is how long a result is tried to be put on record while the
	// record cannot be written; 0: 2 min.
	RecordWithin time.Duration
	// OnVerdict, if set, sees every verdict, and OnResult every command that was
	// let through, at its end: for metrics.
	OnVerdict func(shellpolicy.Verdict)
	OnResult  func(lifeline.Command)
	// InForce, if set, is asked last before anything is sent to a host: an error
	// means that this process may not act any more, or not now.
	InForce func() error
	// Now is the clock of the record; nil: time.Now.
	Now func() time.Time
}

// Guard is the door. It is safe for concurrent use.
type Guard struct {
	cfg    Config
	limits lifeline.Limits
}

// New checks the configuration and returns the door.
func New(cfg Config) (*Guard, error) {
	switch {
	case cfg.Pool == nil:
		return nil, errors.New("guard: Config.Pool is not set")
	case cfg.Record == nil:
		return nil, errors.New("guard: Config.Record is not set: without a record nothing may run")
	case cfg.MaxChanges < 0:
		return nil, fmt.Errorf("guard: Config.MaxChanges is %d, want 0 or more", cfg.MaxChanges)
	case cfg.MaxChangesPerHostHour < 0 || cfg.MaxChangesPerDay < 0:
		return nil, fmt.Errorf("guard: Config.MaxChangesPerHostHour is %d and Config.MaxChangesPerDay %d, want 0 or more", cfg.MaxChangesPerHostHour, cfg.MaxChangesPerDay)
	case cfg.ApprovalTimeout < 0:
		return nil, fmt.Errorf("guard: Config.ApprovalTimeout is %s, want 0 or more", cfg.ApprovalTimeout)
	case cfg.AttemptWindow < 0:
		return nil, fmt.Errorf("guard: Config.AttemptWindow is %s, want 0 or more", cfg.AttemptWindow)
	case cfg.ContainAfter < 0 || cfg.ContainAfterUnknown < 0:
		return nil, fmt.Errorf("guard: Config.ContainAfter is %d and Config.ContainAfterUnknown %d, want 0 or more", cfg.ContainAfter, cfg.ContainAfterUnknown)
	case cfg.RecordWithin < 0:
		return nil, fmt.Errorf("guard: Config.RecordWithin is %s, want 0 or more", cfg.RecordWithin)
	}
	cfg.RecordWithin = cmp.Or(cfg.RecordWithin, 2*time.Minute)
	cfg.MaxChanges = cmp.Or(cfg.MaxChanges, 2)
	cfg.ContainAfter, cfg.ContainAfterUnknown = cmp.Or(cfg.ContainAfter, 1), cmp.Or(cfg.ContainAfterUnknown, 3)
	if cfg.Redact == nil {
		cfg.Redact = redact.New()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.OnVerdict == nil {
		cfg.OnVerdict = func(shellpolicy.Verdict) {}
	}
	if cfg.OnResult == nil {
		cfg.OnResult = func(lifeline.Command) {}
	}
	limits := lifeline.Limits{
		PerIncident: cfg.MaxChanges, PerKey: cfg.MaxChanges, PerKeyWindow: cfg.AttemptWindow,
		PerHostHour: cfg.MaxChangesPerHostHour, PerDay: cfg.MaxChangesPerDay,
	}
	return &Guard{cfg: cfg, limits: limits}, nil
}

// Run judges the request and, if it may run, runs it.
//
// A refusal is a Command with OutcomeRefused and a Reason, and an unreachable
// host one with OutcomeNotStarted: neither is an error. The error is for a
// record that could not be written. If that was the intent, nothing ran; if it
// was the result, the command stays on record as unknown.
func (g *Guard) Run(ctx context.Context, req lifeline.CommandRequest) (lifeline.Command, error) {
	cmd := lifeline.Command{CommandRequest: req}
	if cmd.ID == "" {
		cmd.ID = "cmd_" + rand.Text()
	}
	policy, known := g.cfg.Policies[req.Host]
	if !known {
		cmd.Rule = "host"
		return g.refuse(ctx, cmd, fmt.Sprintf("host %q is not configured", req.Host))
	}
	verdict, err := g.contained(ctx, req, policy, shellpolicy.Judge(req.Command, policy))
	if err != nil {
		return cmd, err
	}
	g.cfg.OnVerdict(verdict)
	cmd.Canonical = verdict.Canonical
	cmd.Class = string(verdict.Class)
	cmd.Decision = string(verdict.Decision)
	cmd.Rule = verdict.Rule
	cmd.Reason = verdict.Reason
	for _, m := range verdict.Marks {
		cmd.Marks = append(cmd.Marks, string(m))
	}
	switch verdict.Decision {
	case shellpolicy.Allow:
	case shellpolicy.Ask:
		if done, err := g.ask(ctx, &cmd); done != nil || err != nil {
			return *done, err
		}
	default: // no verdict means no
		return g.refuse(ctx, cmd, verdict.Reason)
	}
	if cmd.Canonical == "" {
		return g.refuse(ctx, cmd, "the policy gave no text to run")
	}
	return g.execute(ctx, cmd)
}

// execute puts the intent on record, runs the command and records its result.
func (g *Guard) execute(ctx context.Context, cmd lifeline.Command) (lifeline.Command, error) {
	if cmd.ApprovalID != "" {
		cmd.Digest = g.digest(cmd)
	}
	cmd.IntentAt = g.cfg.Now()
	prior, err := g.cfg.Record.RecordIntent(ctx, cmd, g.limits)
	if err != nil {
		if lifeline.CodeOf(err) == lifeline.CodeRefused {
			return g.refuseBy(ctx, cmd, err)
		}
		return cmd, fmt.Errorf("record the intent to run %q on %s: nothing ran: %w", cmd.Canonical, cmd.Host, err)
	}
	if prior != nil {
		if done, again := g.resume(*prior, cmd); !again {
			return g.finish(ctx, done, *prior)
		}
	}
	running, stop := g.underSwitch(ctx, cmd)
	defer stop()
	result, runErr := g.cfg.Pool.Run(running, cmd.Host, sshpool.Command{
		Script:      cmd.Canonical,
		Shell:       Shell,
		Env:         environment,
		RunTimeout:  cmd.Timeout,
		BeforeStart: g.stillAllowed(running, cmd),
	})
	describe(&cmd, result, runErr)
	redactOutput(&cmd, result, g.cfg.Redact)
	g.cfg.OnResult(cmd)
	return g.finish(ctx, cmd, lifeline.Command{})
}

// resume decides about a request that is on record already. It gives the
// command to report, or again = true for a read that may simply be repeated.
func (g *Guard) resume(prior, cmd lifeline.Command) (done lifeline.Command, again bool) {
	switch {
	case prior.Host != cmd.Host || prior.Outcome != lifeline.OutcomeRefused && prior.Canonical != cmd.Canonical:
		prior.Outcome = lifeline.OutcomeRefused
		prior.Reason = fmt.Sprintf("request %s is on record for another command", cmd.ID)
		return prior, false
	case !prior.FinishedAt.IsZero() || prior.Outcome == lifeline.OutcomeRefused:
		return prior, false
	case prior.Class == string(shellpolicy.Read):
		return prior, true
	}
	prior.Outcome = lifeline.OutcomeUnknown
	prior.Cause = lifeline.CodeUnknown
	prior.Error = "Lifeline stopped after this was let through and before its result was recorded; it may have run and is not repeated"
	return prior, false
}

// finish puts a result on record, unless prior shows that it is there already.
// It does so even if the caller has given up: what ran must be on record.
func (g *Guard) finish(ctx context.Context, cmd, prior lifeline.Command) (lifeline.Command, error) {
	if cmd.Outcome == lifeline.OutcomeRefused || !prior.FinishedAt.IsZero() {
		return cmd, nil
	}
	cmd.FinishedAt = g.cfg.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.RecordWithin+30*time.Second)
	defer cancel()
	begun := time.Now()
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		err := g.cfg.Record.RecordResult(ctx, cmd)
		if err == nil {
			return cmd, nil
		}
		// What is on record already stays: another process has been here, or this
		// one, whose commit was not confirmed.
		if there, err := g.cfg.Record.RecordIntent(ctx, cmd, g.limits); err == nil && there != nil && !there.FinishedAt.IsZero() {
			return *there, nil
		}
		if time.Since(begun)+wait > g.cfg.RecordWithin {
			return cmd, fmt.Errorf("record the result of %q on %s (%s): %w", cmd.Canonical, cmd.Host, cmd.Outcome, err)
		}
		time.Sleep(wait)
	}
}

// refuseBy refuses for a reason of the record: the kill switch, a limit, an
// approval.
func (g *Guard) refuseBy(ctx context.Context, cmd lifeline.Command, err error) (lifeline.Command, error) {
	cmd.IntentAt = time.Time{}
	cmd.Decision, cmd.Rule = string(shellpolicy.Deny), lifeline.RuleBudget
	if e, ok := errors.AsType[*lifeline.Error](err); ok {
		cmd.Rule, cmd.Hint = cmp.Or(e.Rule, cmd.Rule), e.Hint
	}
	return g.refuse(ctx, cmd, err.Error())
}

// refuse puts a refusal on record and gives it back.
func (g *Guard) refuse(ctx context.Context, cmd lifeline.Command, reason string) (lifeline.Command, error) {
	cmd.Outcome = lifeline.OutcomeRefused
	cmd.Cause = lifeline.CodeRefused
	cmd.Reason = reason
	if cmd.Decision == "" {
		cmd.Decision = string(shellpolicy.Deny)
	}
	cmd.FinishedAt = g.cfg.Now()
	if err := g.cfg.Record.RecordRefusal(ctx, cmd); err != nil {
		return cmd, fmt.Errorf("record the refusal of %q on %s: %w", cmd.Command, cmd.Host, err)
	}
	return cmd, nil
}
