package sshpool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// firstRetry and lastRetry bound the pause before a refused session is
	// asked for again; it doubles.
	firstRetry = time.Millisecond
	lastRetry  = 64 * time.Millisecond
	// maxRefusals is when a server that refuses a session although none is in
	// use is believed: after about half a second.
	maxRefusals = 14
)

// errDied marks a try that provably did not start because the connection died
// before the exec request: it may be made again.
var errDied = errors.New("the connection was lost before the command was sent")

// run runs a job on a remote host and fills in the result.
func (l *line) run(ctx context.Context, j *job, r *Result) error {
	w := &waiter{}
	defer func() { r.Queue, r.Connect = w.queued, w.connected }()
	for {
		err := l.try(ctx, j, w, r)
		if !errors.Is(err, errDied) {
			return err
		}
		if r.Tries >= 2 {
			return &Error{Kind: KindLost, Host: l.target.name, Message: "it did not start, twice", Err: err}
		}
		l.mu.Lock()
		l.stats.Retries++
		l.mu.Unlock()
	}
}

// try is one try of a job. An error that wraps errDied means that nothing was
// started.
func (l *line) try(ctx context.Context, j *job, w *waiter, r *Result) error {
	r.Reused = false
	s, err := l.openSession(ctx, j, w, r)
	if err != nil {
		return err
	}
	return s.run(ctx, j, r)
}

// openSession takes a slot and opens a session in it, unless a spare is open.
// The queue clock covers both, and so does the caller's right to give up.
func (l *line) openSession(ctx context.Context, j *job, w *waiter, r *Result) (*session, error) {
	asked := false
	for {
		c, err := l.acquire(ctx, j, w)
		if err != nil {
			return nil, err
		}
		if !asked {
			asked = true
			r.Tries++
		}
		s := w.spare
		if s == nil {
			begun := time.Now()
			s, err = l.ask(ctx, j, w, c)
			w.queued += time.Since(begun)
		}
		if s != nil {
			r.Reused = l.reused(w, w.spare != nil)
		}
		if err != nil || s != nil {
			return s, err
		}
	}
}

// refusal tells the server's no from an opening that came to nothing.
func refusal(err error) (*ssh.OpenChannelError, bool) {
	return errors.AsType[*ssh.OpenChannelError](err)
}

// ask asks the server for a session until it has one. Neither a session nor an
// error means that the slot was given back, and another has to end first.
func (l *line) ask(ctx context.Context, j *job, w *waiter, c *connection) (*session, error) {
	clock := time.NewTimer(j.queue - w.queued)
	defer clock.Stop()
	pause := firstRetry
	for tries := 1; ; tries++ {
		o, answered, err := l.answer(ctx, j, w, c, clock.C)
		if !answered {
			return nil, err // the slot is freed when the answer comes
		}
		if o.err == nil {
			return o.s, nil
		}
		refused, ok := refusal(o.err)
		if !ok {
			l.release(c)
			return nil, fmt.Errorf("%w: %w", errDied, o.err)
		}
		full := refused.Reason != ssh.UnknownChannelType
		wait := l.refused(c, tries, o.err)
		if !full || tries >= maxRefusals && l.alone(c) {
			l.release(c)
			return nil, &Error{
				Kind: KindRefused, Host: l.target.name, Err: errors.New(printable(refused.Message)),
				Message: fmt.Sprintf("the server refuses every session (%s); it did not start", refused.Reason),
				Hint:    "MaxSessions in the host's sshd_config must be 1 or more, and the account must be allowed to run commands",
			}
		}
		if wait {
			l.release(c)
			return nil, nil
		}
		retry := time.NewTimer(pause)
		select {
		case <-retry.C:
			pause = min(2*pause, lastRetry)
			if s := l.instead(c); s != nil {
				return s, nil
			}
			continue
		case <-clock.C:
			err = l.queueTimeout(j.queue)
		case <-ctx.Done():
			err = l.canceled(ctx, "while the server had no session for it; it did not start")
		case <-l.pool.stopping:
			err = l.pool.closedError(l.target.name)
		}
		retry.Stop()
		l.release(c)
		return nil, err
	}
}

// instead takes a spare that has come meanwhile, and gives the slot back.
func (l *line) instead(c *connection) *session {
	l.mu.Lock()
	defer l.unlock()
	s := c.takeSpareLocked()
	if s != nil {
		c.slots--
		l.provideLocked(l.pool.cfg.ConnectTimeout)
	}
	return s
}

// alone reports whether no session of ours is open on the connection.
func (l *line) alone(c *connection) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return c.established == 0
}

// answer asks once. If there is no answer in time, the slot stays taken until
// one comes or the connection ends.
func (l *line) answer(ctx context.Context, j *job, w *waiter, c *connection, clock <-chan time.Time) (o opening, answered bool, err error) {
	a := &asker{ticket: w.ticket, got: make(chan opening, 1)}
	c.ask(a)
	select {
	case o = <-a.got:
		return o, true, nil
	case <-c.dead():
		// Its opener is released a little later; nobody needs the slot.
		err = fmt.Errorf("%w: %w", errDied, c.t.cause())
	case <-clock:
		err = &Error{
			Kind: KindQueueTimeout, Host: l.target.name,
			Message: fmt.Sprintf("the server did not answer the request for a session within the queue clock of %v; it did not start", j.queue),
			Hint:    "ssh " + l.target.login() + " true shows whether the host still answers",
		}
	case <-ctx.Done():
		err = l.canceled(ctx, "while the server was asked for a session; it did not start")
	case <-l.pool.stopping:
		err = l.pool.closedError(l.target.name)
	}
	l.mu.Lock()
	waiting := c.withdrawLocked(a)
	l.unlock()
	if waiting {
		return o, false, err
	}
	if o = <-a.got; o.s != nil { // at the same moment
		l.putBack(o.s)
	} else {
		l.release(c)
	}
	return opening{}, false, err
}

// calledOff asks the caller, at the last moment, whether the command may start.
func (l *line) calledOff(j *job) error {
	if j.cmd.BeforeStart == nil {
		return nil
	}
	if err := j.cmd.BeforeStart(); err != nil {
		return &Error{Kind: KindCanceled, Host: l.target.name, Message: "called off before it was sent; it did not start", Err: err}
	}
	return nil
}
