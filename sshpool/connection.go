package sshpool

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

// connection is one SSH connection to a host.
type connection struct {
	line   *line
	t      *transport // nil on a local host
	ssh    ssh.Conn
	opened time.Time
	// hostKey is the fingerprint of the server's key; "" on a local host.
	hostKey string

	// Guarded by line.mu.
	slots       int // session slots taken: opening, open, spare, or of a process that may still run
	established int // of those, sessions that the server has confirmed
	abandoned   int // of those, sessions whose Run has returned while the process may still run
	gone        bool

	askers        []*asker   // waiting for a session, first come first served
	spares        []*session // open and not used
	opening       int        // sessions asked for and not answered
	openingSpares int        // of those, for nobody in particular
	seen          int        // most sessions that the server was seen to hold at once
	spareTries    int        // refused spares in a row

	roundTrip time.Duration // see HostStats.RoundTrip
}

// dead is closed when the connection is lost; nil, for ever open, on a local host.
func (c *connection) dead() <-chan struct{} {
	if c.t == nil {
		return nil
	}
	return c.t.dead
}

// watch starts what a connection needs for its life.
func (c *connection) watch(channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	p := c.line.pool
	p.wg.Go(func() {
		for r := range requests {
			r.Reply(false, nil) // as OpenSSH answers; a server asks to see whether we live
		}
	})
	p.wg.Go(func() {
		for ch := range channels {
			ch.Reject(ssh.Prohibited, "nothing is forwarded")
		}
	})
	p.wg.Go(func() { c.keepalive(p.cfg.KeepaliveInterval, p.cfg.liveness()) })
	p.wg.Go(func() {
		<-c.t.dead
		c.t.Conn.Close() // what hangs on it is released
		c.line.lost(c)
		c.ssh.Wait()
	})
}

// open begins to open a channel. The answer comes on the channel that is
// returned, unless giveUp is closed before: then a channel that is opened after
// all is passed to late. It never blocks, and the goroutine behind it ends with
// the connection at the latest.
func (c *connection) open(kind string, extra []byte, giveUp <-chan struct{}, late func(opened)) <-chan opened {
	answer := make(chan opened)
	p := c.line.pool
	deliver := func(o opened) {
		select {
		case answer <- o:
		case <-giveUp:
			late(o)
		}
	}
	if err := c.t.beginOpen(); err != nil {
		p.wg.Go(func() { deliver(opened{err: err}) })
		return answer
	}
	p.wg.Go(func() {
		ch, requests, err := c.ssh.OpenChannel(kind, extra)
		c.t.endOpen()
		deliver(opened{ch, requests, err})
	})
	return answer
}

// opened is the answer to the opening of a channel.
type opened struct {
	ch       ssh.Channel
	requests <-chan *ssh.Request
	err      error
}

// discard closes a channel that nobody wants any more, and waits for its end.
func (o opened) discard() {
	if o.err == nil {
		o.ch.Close()
		ssh.DiscardRequests(o.requests)
	}
}

// napCheck is how often a connection looks whether the machine was suspended.
const napCheck = 5 * time.Second

// keepaliveTick is how often a connection looks at its peer's silence.
func keepaliveTick(interval time.Duration) time.Duration { return min(interval, napCheck) }

// keepalive finds out in the background whether the peer still lives, so that
// no command has to ask first. Whatever the peer sends counts as life; only
// into a silence of one interval is a keepalive sent. A silence of limit after
// that ends the connection. Nothing waits for the keepalive itself: it may
// block for as long as the connection exists.
func (c *connection) keepalive(interval, limit time.Duration) {
	tick := time.NewTicker(keepaliveTick(interval))
	defer tick.Stop()
	answered := make(chan struct{}, 1)
	var asked time.Time // when the outstanding keepalive was sent; zero if none is
	patience := limit
	last := time.Now()
	for {
		select {
		case <-c.t.dead:
			return
		case <-answered:
			asked = time.Time{}
			patience = limit
			continue
		case <-tick.C:
		}
		c.line.tendSpares()
		now := time.Now()
		// The monotonic clock stands still while the machine sleeps; the wall
		// clock does not. Whoever was at the other end has long given up.
		nap := slept(now.Round(0).Sub(last.Round(0)), now.Sub(last))
		last = now
		if nap > 0 {
			patience = keepaliveTick(interval)
		}
		silence := c.t.silence()
		switch {
		case asked.IsZero() && (silence >= interval || nap > 0):
			asked = now
			c.line.pool.wg.Go(func() {
				// The answer is a refusal: any answer is one.
				sent := time.Now()
				if _, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil); err == nil {
					c.line.mu.Lock()
					c.roundTrip = time.Since(sent)
					c.line.mu.Unlock()
					answered <- struct{}{}
				}
			})
		case !asked.IsZero() && silence < now.Sub(asked):
			// Something came after the question, if not its answer yet.
			patience = limit
			if silence >= limit {
				c.t.end(fmt.Errorf("%w for %v", errSilent, silence.Round(time.Second)))
			}
		case !asked.IsZero() && now.Sub(asked) >= patience:
			c.t.end(fmt.Errorf("%w for %v", errSilent, silence.Round(time.Second)))
		}
	}
}

// errSilent ends a connection whose peer does not answer.
var errSilent = errors.New("the peer has not answered")

// slept tells how long the machine was suspended, from what the wall clock and
// the monotonic clock measured. Small differences are corrections of the clock.
func slept(wall, monotonic time.Duration) time.Duration {
	if gap := wall - monotonic; gap > 10*time.Second {
		return gap
	}
	return 0
}
