package sshpool

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// line is everything about one host: its connections, its session slots and
// who waits for them.
type line struct {
	pool   *Pool
	target *target
	hop    *line // the jump host before it; nil if there is none
	ledger *ledger

	mu      sync.Mutex // guards what follows
	conns   []*connection
	dialing *dial // in flight; nil if none is
	waiters []*waiter
	tickets uint64
	changed chan struct{} // closed and replaced when waiters must look again
	breaker breaker
	limit   limit
	warm    bool
	closed  bool
	lastUse time.Time // of a session by a command; zero if there was none
	// No spare is opened before spareAfter; spareLosses is how often the server
	// has closed one.
	spareAfter  time.Time
	spareLosses int
	peak        int // most commands at once on one connection in the last use
	stats       HostStats
	events      []Event // not yet told

	telling sync.Mutex // held while OnEvent is called; taken before mu
}

// waiter is a command on its way to a session. It keeps its place if the
// server has no session for it.
type waiter struct {
	ticket  uint64
	granted chan struct{} // closed when conn or err is set
	conn    *connection
	spare   *session // of conn, if there is one that is open
	err     error

	queued    time.Duration // spent waiting for a slot
	connected time.Duration // spent waiting for a connection
	waited    bool          // for a dial
	counted   bool          // in HostStats.Waits
}

func newLine(p *Pool, t *target) *line {
	l := &line{pool: p, target: t, ledger: p.ledgerOf(t), changed: make(chan struct{}), limit: newLimit(p.cfg.MaxSessions)}
	if t.local {
		l.conns = []*connection{{line: l, opened: time.Now()}}
	}
	return l
}

// unlock lets go of l.mu and tells what has happened, in order.
func (l *line) unlock() {
	pending := len(l.events) > 0
	l.mu.Unlock()
	if !pending {
		return
	}
	l.telling.Lock()
	defer l.telling.Unlock()
	for {
		l.mu.Lock()
		events := l.events
		l.events = nil
		l.mu.Unlock()
		if len(events) == 0 {
			return
		}
		for _, e := range events {
			l.pool.cfg.OnEvent(e)
		}
	}
}

// noteLocked queues an event; unlock tells it.
func (l *line) noteLocked(e Event) {
	if l.pool.cfg.OnEvent != nil {
		e.Host, e.At = l.target.name, time.Now()
		l.events = append(l.events, e)
	}
}

// changedLocked makes everybody who waits look again.
func (l *line) changedLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// acquire takes a session slot on an open connection, in order of arrival. The
// caller must give it back with release, or hand it to a session.
func (l *line) acquire(ctx context.Context, j *job, w *waiter) (*connection, error) {
	l.mu.Lock()
	if w.ticket == 0 {
		l.tickets++
		w.ticket = l.tickets
	}
	w.granted, w.conn, w.spare, w.err = make(chan struct{}), nil, nil, nil
	at, _ := slices.BinarySearchFunc(l.waiters, w, func(a, b *waiter) int { return cmp.Compare(a.ticket, b.ticket) })
	l.waiters = slices.Insert(l.waiters, at, w)
	l.provideLocked(j.connect)
	l.lastUse = time.Now()
	for {
		select {
		case <-w.granted:
			l.unlock()
			return w.conn, w.err
		default:
		}
		connecting := len(l.conns) == 0
		if connecting {
			w.waited = true
		} else if !w.counted {
			w.counted = true
			l.stats.Waits++
		}
		changed, d := l.changed, l.dialing
		l.unlock()
		err := l.wait(ctx, j, w, connecting, changed, d)
		l.mu.Lock()
		if err == nil {
			continue
		}
		select {
		case <-w.granted: // at the same moment
			l.unlock()
			if w.err == nil && ctx.Err() != nil {
				l.refund(w)
				return nil, err
			}
			return w.conn, w.err
		default:
		}
		l.waiters = slices.DeleteFunc(l.waiters, func(o *waiter) bool { return o == w })
		l.unlock()
		return nil, err
	}
}

// wait is one turn of waiting, on one of the two clocks.
func (l *line) wait(ctx context.Context, j *job, w *waiter, connecting bool, changed <-chan struct{}, d *dial) error {
	spent, bound := &w.queued, j.queue
	if connecting {
		spent, bound = &w.connected, j.connect
	}
	begun := time.Now()
	timer := time.NewTimer(bound - *spent)
	defer timer.Stop()
	defer func() { *spent += time.Since(begun) }()
	select {
	case <-w.granted:
		return nil
	case <-changed:
		return nil
	case <-ctx.Done():
		return l.canceled(ctx, "while it waited; it did not start")
	case <-l.pool.stopping:
		return l.pool.closedError(l.target.name)
	case <-timer.C:
	}
	if connecting && d != nil {
		return d.timeout(l, bound)
	}
	return l.queueTimeout(bound)
}

func (l *line) queueTimeout(bound time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	slots, abandoned := 0, 0
	for _, c := range l.conns {
		slots, abandoned = slots+c.slots, abandoned+c.abandoned
	}
	message := fmt.Sprintf("no free session within the queue clock of %v: %d of %d in use", bound, slots, l.limit.value*max(1, len(l.conns)))
	if abandoned > 0 {
		message += fmt.Sprintf(", %d of them by processes that could not be ended", abandoned)
	}
	return &Error{
		Kind: KindQueueTimeout, Host: l.target.name, Message: message + "; it did not start",
		Hint: "run less at once, or raise MaxSessions in the host's sshd_config",
	}
}

func (l *line) canceled(ctx context.Context, when string) *Error {
	return &Error{Kind: KindCanceled, Host: l.target.name, Message: "canceled " + when, Err: context.Cause(ctx)}
}

// provideLocked gives free slots to the first waiters, and sees to it that a
// connection comes if there is none, or too few.
func (l *line) provideLocked(bound time.Duration) {
	l.retireLocked()
	for len(l.waiters) > 0 {
		if s := l.spareLocked(); s != nil {
			l.peakLocked(s.c, time.Now())
			l.grantLocked(s.c, s, nil)
			continue
		}
		c := l.freeLocked()
		if c == nil {
			break
		}
		c.slots++
		l.peakLocked(c, time.Now())
		l.grantLocked(c, nil, nil)
	}
	l.replenishLocked()
	if len(l.waiters) == 0 || l.dialing != nil || l.target.local {
		return
	}
	if len(l.conns) < l.pool.cfg.MaxConnections {
		if err := l.dialLocked(bound); err != nil && len(l.conns) == 0 {
			for len(l.waiters) > 0 {
				l.grantLocked(nil, nil, err)
			}
		}
	}
}

func (l *line) grantLocked(c *connection, spare *session, err error) {
	w := l.waiters[0]
	l.waiters = l.waiters[1:]
	w.conn, w.spare, w.err = c, spare, err
	close(w.granted)
}

// refund gives back what a waiter was granted and does not use.
func (l *line) refund(w *waiter) {
	if w.spare != nil {
		l.putBack(w.spare)
		return
	}
	l.release(w.conn)
}

// freeLocked is the connection with the most room; nil if none has any.
func (l *line) freeLocked() *connection {
	var best *connection
	for _, c := range l.conns {
		if c.slots < l.limit.value && (best == nil || c.slots < best.slots) {
			best = c
		}
	}
	return best
}

// retireLocked takes dead connections out of use, and gives up one whose every
// slot is held by a process that could not be ended: nobody else uses it, and
// nothing would ever run again.
func (l *line) retireLocked() {
	for _, c := range slices.Clone(l.conns) {
		if c.t == nil {
			continue
		}
		if cause := c.t.cause(); cause != nil {
			l.removeLocked(c, cause) // lost is about to be called
			continue
		}
		if len(l.waiters) > 0 && c.abandoned == c.slots && c.slots >= l.limit.value {
			l.removeLocked(c, fmt.Errorf("its %d sessions are held by processes that could not be ended", c.slots))
		}
	}
}

// dialLocked starts a dial unless the breaker forbids it.
func (l *line) dialLocked(bound time.Duration) error {
	if l.closed {
		return l.pool.closedError(l.target.name)
	}
	now := time.Now()
	if l.breaker.open(now) > 0 {
		return l.breaker.refusal(l.target.name, now)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	d := &dial{cancel: cancel, begun: now, done: make(chan struct{})}
	l.dialing = d
	l.stats.Dials++
	l.pool.wg.Go(func() { d.run(ctx, l, max(bound, l.pool.cfg.ConnectTimeout)) })
	return nil
}

// dialed is called once by each dial, with its result.
func (l *line) dialed(d *dial, c *connection, err error) {
	d.cancel(nil)
	l.mu.Lock()
	l.dialing = nil
	took := time.Since(d.begun)
	if err == nil && l.closed {
		err = l.pool.closedError(l.target.name)
		c.t.Close()
	}
	if err == nil && c.t.cause() == nil {
		d.conn = c
		l.conns = append(l.conns, c)
		l.breaker.succeed()
		l.stats.Established++
		l.noteLocked(Event{Kind: ConnectionEstablished, Duration: took})
	} else {
		if err == nil { // it died before anybody could use it
			err = &Error{Kind: KindUnreachable, Host: l.target.name, Message: "the connection was lost at once", Err: c.t.cause()}
		}
		d.err = err
		l.stats.DialFailures++
		if !l.closed {
			l.breaker.fail(err, time.Now())
		}
		l.noteLocked(Event{Kind: DialFailed, Duration: took, Err: err})
		for len(l.waiters) > 0 && len(l.conns) == 0 {
			l.grantLocked(nil, nil, err)
		}
	}
	close(d.done)
	l.provideLocked(l.pool.cfg.ConnectTimeout)
	l.changedLocked()
	l.unlock()
}

// connected waits for an open connection without taking a slot: for tunnels
// and to keep the line warm.
func (l *line) connected(ctx context.Context, bound time.Duration) (*connection, error) {
	for {
		l.mu.Lock()
		l.retireLocked()
		if len(l.conns) > 0 {
			c := l.conns[0]
			l.unlock()
			return c, nil
		}
		if l.dialing == nil {
			if err := l.dialLocked(bound); err != nil {
				l.unlock()
				return nil, err
			}
		}
		d := l.dialing
		l.unlock()
		select {
		case <-d.done:
			if d.err != nil {
				return nil, d.err
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// lost takes a dead connection out of use.
func (l *line) lost(c *connection) {
	l.mu.Lock()
	l.removeLocked(c, c.t.cause())
	l.provideLocked(l.pool.cfg.ConnectTimeout)
	l.changedLocked()
	l.unlock()
}

// removeLocked ends a connection for a reason; its slots are of no account any more.
func (l *line) removeLocked(c *connection, cause error) {
	if c.gone {
		return
	}
	c.gone = true
	c.t.fail(cause)
	before := len(l.conns)
	l.conns = slices.DeleteFunc(l.conns, func(o *connection) bool { return o == c })
	if len(l.conns) < before {
		l.noteLocked(Event{Kind: ConnectionClosed, Duration: time.Since(c.opened), Err: cause})
	}
}

// release gives a slot back that no session of the server stands behind.
func (l *line) release(c *connection) {
	l.mu.Lock()
	c.slots--
	l.provideLocked(l.pool.cfg.ConnectTimeout)
	l.unlock()
}

// reused notes that a command has its session, and reports whether it found the
// connection open.
func (l *line) reused(w *waiter, spare bool) bool {
	l.mu.Lock()
	defer l.unlock()
	if spare {
		l.stats.SparesUsed++
	}
	if !w.waited {
		l.stats.Reused++
		l.noteLocked(Event{Kind: ConnectionReused})
		return true
	}
	return false
}

// abandon notes that nobody waits for a session's end any more. Its slot stays
// taken.
func (l *line) abandon(s *session) {
	l.mu.Lock()
	defer l.unlock()
	if !s.freed {
		s.abandoned = true
		s.c.abandoned++
		l.provideLocked(l.pool.cfg.ConnectTimeout)
	}
}

func (l *line) isAbandoned(s *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.abandoned
}

// ended gives back the slot of a session that the server has closed, or that
// went with its connection.
func (l *line) ended(s *session) {
	l.mu.Lock()
	defer l.unlock()
	s.freed = true
	l.spareClosedLocked(s)
	if s.used {
		l.lastUse = time.Now()
	}
	s.c.slots--
	s.c.established--
	if s.abandoned {
		s.c.abandoned--
	}
	l.provideLocked(l.pool.cfg.ConnectTimeout)
}

// refused notes that the server had no session for a slot. It reports whether
// the command has to wait for another session to end; if not, it should ask
// again soon.
func (l *line) refused(c *connection, tries int, err error) (wait bool) {
	l.mu.Lock()
	defer l.unlock()
	l.stats.Refusals++
	l.limit.refused()
	l.noteLocked(Event{Kind: SessionRefused, Err: err})
	if tries < refusalsToLearn || c.established == 0 || c.gone {
		return false
	}
	if tries >= refusalsToBelieve {
		c.seen = c.established
	}
	l.limit.lower(max(c.established, c.seen))
	return c.slots > l.limit.value
}
