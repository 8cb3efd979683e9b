package sshpool

import (
	"cmp"
	"slices"
	"time"
)

// A session costs a round trip to open and another for its command. Openings
// are therefore made apart from the commands that need them: whichever session
// comes first goes to the command that has waited longest, and one that nobody
// waits for is kept as a spare, so that the next command costs one round trip.

const (
	// spareRest is how long no spare is kept after the server closed one that
	// was not used, as old versions of Dropbear do; it doubles each time.
	spareRest, spareRestMost = time.Minute, time.Hour
	// spareRetry is the pause after the server refused a spare; it doubles. The
	// first is as short as the time in which OpenSSH frees the slot of a session
	// that has ended.
	spareRetry, spareRetryMost = 2 * time.Millisecond, time.Hour
	// spareQuiet without a command and a refusal is the server's limit, and not
	// a slot that it frees late.
	spareQuiet = time.Second
	// spareIdle without a command leaves one spare: more are for a line in use.
	spareIdle = 10 * time.Minute
	// reserve is how many slots idle spares leave free: what ends a process that
	// the server sends no signal to needs one.
	reserve = 2
)

// asker is a command that waits for a session to be opened. It has begun one
// opening itself, and takes whichever session comes first: there are always at
// least as many openings of commands on the way as commands that wait.
type asker struct {
	ticket uint64
	got    chan opening // the answer; room for one
}

// opening is the answer to the opening of a session.
type opening struct {
	s   *session
	err error
}

// ask begins an opening for an asker, in a slot that is taken.
func (c *connection) ask(a *asker) {
	l := c.line
	l.mu.Lock()
	at, _ := slices.BinarySearchFunc(c.askers, a, func(x, y *asker) int { return cmp.Compare(x.ticket, y.ticket) })
	c.askers = slices.Insert(c.askers, at, a)
	c.beginLocked(a)
	l.unlock()
}

// withdrawLocked takes an asker out of the row; false: it has its answer.
func (c *connection) withdrawLocked(a *asker) bool {
	before := len(c.askers)
	c.askers = slices.DeleteFunc(c.askers, func(o *asker) bool { return o == a })
	return len(c.askers) < before
}

// beginLocked begins to open a session; a is nil for a spare. It never blocks,
// and the goroutine behind it ends with the connection at the latest.
func (c *connection) beginLocked(a *asker) {
	l := c.line
	c.opening++
	if a == nil {
		c.openingSpares++
	}
	if err := c.t.beginOpen(); err != nil {
		l.pool.wg.Go(func() { l.arrived(c, a, opened{err: err}) })
		return
	}
	l.pool.wg.Go(func() {
		ch, requests, err := c.ssh.OpenChannel("session", nil)
		c.t.endOpen()
		l.arrived(c, a, opened{ch, requests, err})
	})
}

// arrived takes the answer to an opening that was begun for a.
func (l *line) arrived(c *connection, a *asker, o opened) {
	l.mu.Lock()
	defer l.unlock()
	c.opening--
	if a == nil {
		c.openingSpares--
	}
	if o.err != nil {
		if a != nil && !c.withdrawLocked(a) {
			// Another's session went to a, perhaps: then this is the other's answer.
			a = nil
			if n := len(c.askers); n > c.opening-c.openingSpares {
				a = c.askers[n-1]
				c.askers = c.askers[:n-1]
			}
		}
		if a != nil {
			a.got <- opening{err: o.err} // and it still has the slot
			return
		}
		c.slots--
		if _, refused := refusal(o.err); refused && !c.gone {
			l.spareRefusedLocked(c, o.err)
		}
		l.provideLocked(l.pool.cfg.ConnectTimeout)
		return
	}
	s := newSession(c, o)
	c.established++
	c.seen = max(c.seen, min(c.established, l.limit.value))
	c.spareTries = 0
	l.limit.succeeded(c.slots)
	if c.usedLocked() == 1 && len(c.askers) == 0 {
		// All are spares, this one included. While commands run the count says
		// less: the server may have ended some, and we have yet to read it.
		l.limit.holds(len(c.spares) + 1)
	}
	if len(c.askers) > 0 {
		first := c.askers[0]
		c.askers = c.askers[1:]
		first.got <- opening{s: s}
	} else {
		c.spares = append(c.spares, s)
		l.trimLocked(c, time.Now())
	}
	l.provideLocked(l.pool.cfg.ConnectTimeout)
}

// spareRefusedLocked notes that the server had no slot for a spare.
func (l *line) spareRefusedLocked(c *connection, err error) {
	now := time.Now()
	l.stats.Refusals++
	l.limit.refused()
	l.noteLocked(Event{Kind: SessionRefused, Err: err})
	l.spareAfter = now.Add(min(spareRetryMost, spareRetry<<min(c.spareTries, 30)))
	c.spareTries++
	if c.slots >= l.limit.value {
		l.limit.probed(now)
		l.trimLocked(c, now)
	} else if c.established > 0 && c.usedLocked() == 0 && c.opening == 0 && now.Sub(l.lastUse) >= spareQuiet {
		l.limit.lower(c.established)
		l.trimLocked(c, now)
	}
}

// spareClosedLocked notes that the server has closed a session that was not used.
func (l *line) spareClosedLocked(s *session) {
	c := s.c
	before := len(c.spares)
	c.spares = slices.DeleteFunc(c.spares, func(o *session) bool { return o == s })
	if len(c.spares) == before || c.gone || c.t.cause() != nil {
		return
	}
	l.stats.SparesLost++
	l.noteLocked(Event{Kind: SpareLost})
	now := time.Now()
	if now.After(l.spareAfter) { // the others of the same moment are the same loss
		l.spareAfter = now.Add(min(spareRestMost, spareRest<<min(l.spareLosses, 10)))
		l.spareLosses++
	}
}

// usedLocked is how many slots are taken by commands.
func (c *connection) usedLocked() int { return c.slots - len(c.spares) - c.openingSpares }

// sparesWantedLocked is how many spares are to be open or on the way. A line that
// is quiet after several commands at once looks with spares for a limit at which
// the next as many would find one each, and one more while they run.
func (c *connection) sparesWantedLocked(now time.Time) int {
	l := c.line
	most := l.pool.cfg.SpareSessions
	switch idle := now.Sub(l.lastUse) > spareIdle; {
	case most == 0 || c.gone || l.closed:
		return 0
	case idle && now.Sub(c.opened) > spareIdle:
		return max(0, min(1, l.limit.value-reserve))
	case !idle && l.peak > 1 && c.usedLocked() == 0 && l.limit.value < min(maxLimit, l.peak+most) && l.limit.mayProbe(now):
		return l.limit.value + 1
	}
	return max(0, min(most, l.limit.value-reserve))
}

// peakLocked notes how many commands a connection has at once.
func (l *line) peakLocked(c *connection, now time.Time) {
	if now.Sub(l.lastUse) > spareIdle {
		l.peak = 0
	}
	l.peak = max(l.peak, c.usedLocked())
}

// replenishLocked opens spares where they are wanted and nobody waits.
func (l *line) replenishLocked() {
	if l.pool.cfg.SpareSessions == 0 || l.target.local || len(l.waiters) > 0 || l.closed || l.lastUse.IsZero() && !l.warm {
		return
	}
	now := time.Now()
	if now.Before(l.spareAfter) {
		return
	}
	for _, c := range l.conns {
		// What is being opened and not waited for becomes a spare, too.
		for len(c.spares)+c.opening-len(c.askers) < c.sparesWantedLocked(now) {
			beyond := c.slots - c.seen // what the server was not seen to hold, on the way
			if beyond >= max(1, c.seen) || beyond > 0 && c.spareTries > 0 {
				break
			}
			if c.slots >= l.limit.value && (c.openingSpares > 0 || !l.limit.mayProbe(now)) {
				break
			}
			c.slots++
			c.beginLocked(nil)
		}
	}
}

// trimLocked closes the spares that are too many, unless somebody waits for one.
func (l *line) trimLocked(c *connection, now time.Time) {
	if len(l.waiters) > 0 {
		return
	}
	want := c.sparesWantedLocked(now)
	for n := len(c.spares); n > want; n = len(c.spares) {
		c.spares[n-1].close()
		c.spares = c.spares[:n-1]
	}
}

// tendSpares is called now and then.
func (l *line) tendSpares() {
	l.mu.Lock()
	defer l.unlock()
	now := time.Now()
	for _, c := range l.conns {
		if c.t != nil {
			l.trimLocked(c, now)
		}
	}
	l.replenishLocked()
}

// takeSpareLocked gives the oldest spare of a connection; nil if it has none that
// can be used. A connection that has been silent for longer than a healthy one
// is may be dead, and there a command that asks for a session learns that it did
// not start, while one that was sent does not.
func (c *connection) takeSpareLocked() *session {
	if c.t == nil || c.gone || c.t.silence() > c.line.pool.cfg.healthySilence() {
		return nil
	}
	for len(c.spares) > 0 {
		s := c.spares[0]
		c.spares = c.spares[1:]
		if !s.isClosed() {
			return s
		}
	}
	return nil
}

// spareLocked gives a spare of any connection; nil if there is none.
func (l *line) spareLocked() *session {
	for _, c := range l.conns {
		if s := c.takeSpareLocked(); s != nil {
			return s
		}
	}
	return nil
}

// putBack makes a spare of a session that was not used.
func (l *line) putBack(s *session) {
	l.mu.Lock()
	defer l.unlock()
	if s.c.gone || s.isClosed() {
		s.close()
		return
	}
	s.c.spares = append(s.c.spares, s)
	l.trimLocked(s.c, time.Now())
	l.provideLocked(l.pool.cfg.ConnectTimeout)
}
