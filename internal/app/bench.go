package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/guard"
	"lifeline/internal/store"
	"lifeline/shellpolicy"
	"lifeline/sshpool"
)

// What Bench asks of a host is bounded by these, whatever the configuration
// says: it never floods. sshd starts to turn unauthenticated connections away
// at the 11th (MaxStartups).
const (
	// BenchCommand is what it runs: a read that every Linux machine has.
	BenchCommand = "uptime"
	// BenchCommands is how often it runs that in each way, and so how many
	// connections the way with a connection for each opens at most.
	BenchCommands = 24
	// BenchParallel is how many run at once, and so how many of those
	// connections are open at once at most.
	BenchParallel = 8

	benchLimit   = time.Minute
	benchTimeout = 10 * time.Second // of one command
)

// BenchWay is what one way of running the commands came to.
type BenchWay struct {
	Connections int     `json:"connections"` // opened meanwhile
	Failures    int     `json:"failures"`    // commands that did not exit with 0
	NotRun      int     `json:"not_run"`     // commands that were not begun because one before had failed
	Seconds     float64 `json:"seconds"`
	Error       string  `json:"error,omitempty"` // of the first failure
	Hint        string  `json:"hint,omitempty"`
	// Code is the first failure's cause; "" if there was none.
	Code lifeline.Code `json:"cause,omitempty"`
}

// BenchReport compares the ways. A way is nil if it was not tried, because one
// before it had failed.
type BenchReport struct {
	Host     string `json:"host"`
	Command  string `json:"command"`
	Commands int    `json:"commands"` // in each way
	Parallel int    `json:"parallel"`
	// OneConnection is opened within its time; OpenLine is the same connection
	// once more, which is what commands of the running service find.
	OneConnection        *BenchWay `json:"one_connection"`
	OpenLine             *BenchWay `json:"open_line"`
	ConnectionPerCommand *BenchWay `json:"connection_per_command"`
}

// Failure is the first way that failed; nil if none did.
func (r BenchReport) Failure() *BenchWay {
	for _, w := range []*BenchWay{r.OneConnection, r.OpenLine, r.ConnectionPerCommand} {
		if w != nil && w.Failures > 0 {
			return w
		}
	}
	return nil
}

// Bench compares one shared connection with a connection for each command on a
// configured host, through the door like anything else. It ends within a
// minute, and begins no further command and no further way after a failure: a
// host that turns us away is not asked again. What failed is in the report;
// the error is for what could not be tried.
func Bench(ctx context.Context, cfg *config.Config, host, actor string) (_ BenchReport, err error) {
	report := BenchReport{Host: host, Command: BenchCommand, Commands: BenchCommands, Parallel: BenchParallel}
	if err := mayBench(cfg, host); err != nil {
		return report, err
	}
	record, err := store.Open(ctx, cfg.Store.URL, store.Options{})
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, record.Close()) }()
	ctx, cancel := context.WithTimeoutCause(ctx, benchLimit, &lifeline.Error{
		Code: lifeline.CodeTimeout, Message: fmt.Sprintf("the comparison on %s did not end within %v", host, benchLimit),
		Hint: fmt.Sprintf("lifeline exec %s -- %s shows how long one command takes", host, BenchCommand),
	})
	defer cancel()
	requests := make([]lifeline.CommandRequest, BenchCommands)
	for i := range requests {
		requests[i] = lifeline.CommandRequest{Host: host, Command: BenchCommand, Actor: actor, Purpose: "to compare", Timeout: benchTimeout}
	}
	shared, err := oneConnection(cfg, host, record)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, shared.close(ctx)) }()
	if report.OneConnection, err = shared.measure(ctx, requests, false); err != nil || report.Failure() != nil {
		return report, err
	}
	if report.OpenLine, err = shared.measure(ctx, requests, false); err != nil || report.Failure() != nil {
		return report, err
	}
	if err := shared.close(ctx); err != nil {
		return report, err
	}
	each, err := connectionForEach(cfg, host, record, len(requests))
	if err != nil {
		return report, err
	}
	report.ConnectionPerCommand, err = each.measure(ctx, requests, true)
	return report, err
}

// mayBench refuses before anything is opened.
func mayBench(cfg *config.Config, host string) error {
	h, known := cfg.Hosts[host]
	switch {
	case !known:
		return &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("host %q is not configured", host)}
	case h.Local:
		return &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("host %s is local: there is no connection to compare", host),
			Hint: "lifeline bench with a host that is reached over SSH"}
	}
	v := shellpolicy.Judge(BenchCommand, Policy(cfg, host))
	if v.Class != shellpolicy.Read || v.Decision != shellpolicy.Allow {
		return &lifeline.Error{Code: lifeline.CodeRefused, Message: fmt.Sprintf("the policy of %s does not allow %s: %s", host, BenchCommand, v.Reason),
			Hint: "lifeline policy explain -- " + BenchCommand}
	}
	return nil
}

// measure runs the requests and counts. closing includes the connections' end
// in what is measured: it is part of a connection for each command.
func (w *way) measure(ctx context.Context, requests []lifeline.CommandRequest, closing bool) (*BenchWay, error) {
	before := w.opened()
	begun := time.Now()
	ends, err := w.run(ctx, requests, BenchParallel, func(c lifeline.Command) bool { return !c.Succeeded() })
	if closing {
		err = errors.Join(err, w.close(ctx))
	}
	out := &BenchWay{Seconds: time.Since(begun).Seconds(), Connections: w.opened() - before}
	if cause := context.Cause(ctx); cause != nil {
		return nil, errors.Join(err, cause)
	}
	for _, end := range ends {
		switch {
		case end.Outcome == "":
			out.NotRun++
		case !end.Succeeded():
			out.Failures++
			if out.Code == "" {
				out.Code, out.Error, out.Hint = failure(end)
			}
		}
	}
	return out, err
}

// failure says why a command did not succeed.
func failure(c lifeline.Command) (code lifeline.Code, why, hint string) {
	switch c.Outcome {
	case lifeline.OutcomeExited:
		return lifeline.CodeFailed, fmt.Sprintf("%s exited with status %d", c.Command, *c.ExitStatus), ""
	case lifeline.OutcomeSignaled:
		return lifeline.CodeFailed, fmt.Sprintf("%s was ended by signal %s", c.Command, c.Signal), ""
	}
	return cmp.Or(c.Cause, lifeline.CodeUnknown), cmp.Or(c.Error, c.Reason, string(c.Outcome)), c.Hint
}

// way is a way of reaching a host, with a door in front of it. It is made
// before anything is measured: reading the configuration is not what is
// compared.
type way struct {
	host  string
	pools []*sshpool.Pool
	door  *guard.Guard
}

// oneConnection is the way over a pool that all commands share.
func oneConnection(cfg *config.Config, host string, record guard.Record) (*way, error) {
	pool, err := sshpool.New(poolConfig(cfg, nil))
	if err != nil {
		return nil, poolError(err)
	}
	return newWay(cfg, host, record, pool, pool)
}

// connectionForEach is the way with a connection for each of n commands, opened
// and closed by the same code. More than n cannot be run.
func connectionForEach(cfg *config.Config, host string, record guard.Record, n int) (*way, error) {
	pc := poolConfig(cfg, nil)
	pc.SpareSessions = -1 // no other command will come
	var all onePoolEach
	for range n {
		pool, err := sshpool.New(pc)
		if err != nil {
			return nil, errors.Join(poolError(err), (&way{pools: all.pools}).close(context.Background()))
		}
		all.pools = append(all.pools, pool)
	}
	return newWay(cfg, host, record, &all, all.pools...)
}

func newWay(cfg *config.Config, host string, record guard.Record, through guard.Pool, pools ...*sshpool.Pool) (*way, error) {
	w := &way{host: host, pools: pools}
	var err error
	w.door, err = guard.New(guard.Config{
		Policies: map[string]shellpolicy.Policy{host: Policy(cfg, host)}, Pool: through, Record: record, Redact: newRedactor(cfg),
	})
	if err != nil {
		return nil, errors.Join(err, w.close(context.Background()))
	}
	return w, nil
}

// run runs the requests, so many at once, and gives their ends in order. After
// an end that stop, if it is set, says is one, no more are begun: the ends of
// those have no outcome.
func (w *way) run(ctx context.Context, requests []lifeline.CommandRequest, parallel int, stop func(lifeline.Command) bool) ([]lifeline.Command, error) {
	var (
		ends    = make([]lifeline.Command, len(requests))
		stopped atomic.Bool
		all     errgroup.Group
	)
	all.SetLimit(max(parallel, 1))
	for i, request := range requests {
		all.Go(func() (err error) {
			if stopped.Load() {
				return nil
			}
			ends[i], err = w.door.Run(ctx, request)
			if err != nil || stop != nil && stop(ends[i]) {
				stopped.Store(stop != nil)
			}
			return err
		})
	}
	return ends, all.Wait()
}

// opened counts the connections to the host so far.
func (w *way) opened() int {
	n := 0
	for _, pool := range w.pools {
		n += int(pool.Stats()[w.host].Established)
	}
	return n
}

// close closes every connection; it may be called again.
func (w *way) close(ctx context.Context) error {
	var all []error
	for _, pool := range w.pools {
		all = append(all, shutdown(ctx, pool))
	}
	return errors.Join(all...)
}

// onePoolEach runs one command on each of its pools: a connection per command.
type onePoolEach struct {
	pools []*sshpool.Pool
	next  atomic.Int64
}

// Run takes the next pool, and closes its connection afterwards.
func (p *onePoolEach) Run(ctx context.Context, host string, cmd sshpool.Command) (*sshpool.Result, error) {
	pool := p.pools[p.next.Add(1)-1]
	result, err := pool.Run(ctx, host, cmd)
	return result, errors.Join(err, shutdown(ctx, pool))
}

// shutdown closes a pool, also if the caller has given up.
func shutdown(ctx context.Context, pool *sshpool.Pool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return pool.Shutdown(ctx)
}
