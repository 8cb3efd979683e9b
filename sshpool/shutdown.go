package sshpool

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// leastWait is how long Shutdown waits for the pool's goroutines when every
// connection is closed. They need milliseconds; see transport for the one
// known way in which x/crypto/ssh could keep one.
const leastWait = 10 * time.Second

// Shutdown takes no new work, waits for running commands until ctx ends, then
// ends them as a run timeout does, closes every connection, and waits for all
// of the pool's goroutines. Commands that wait for a slot or a connection do
// not start.
//
// The error is nil if every command ended by itself. Called again, or by
// several at once, it waits for the same end; whichever ctx ends first counts.
func (p *Pool) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	first := false
	select {
	case <-p.stopping:
	default:
		close(p.stopping)
		first = true
	}
	p.mu.Unlock()
	if first {
		p.stopDials()
		go p.close()
	}
	select {
	case <-p.finished:
	case <-ctx.Done():
		p.force()
		<-p.finished // in bounded time: commands are being ended
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended == 0 {
		return p.leaked
	}
	return &Error{
		Kind: KindClosed, Err: p.leaked,
		Message: fmt.Sprintf("%d commands were still running at the deadline of the shutdown and were ended", p.ended),
	}
}

// force begins to end the running commands.
func (p *Pool) force() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.forced:
	default:
		p.ended = p.running
		close(p.forced)
	}
}

// stopDials ends the dials in flight: nobody will use their connections.
func (p *Pool) stopDials() {
	for _, l := range p.lines {
		l.mu.Lock()
		l.closed = true
		if d := l.dialing; d != nil {
			d.cancel(p.closedError(l.target.name))
		}
		l.mu.Unlock()
	}
}

// close is the end of the pool: it waits for the commands, then closes
// everything.
func (p *Pool) close() {
	defer close(p.finished)
	p.runs.Wait()
	// Hosts behind a jump host first: their goodbye goes through it.
	for _, behind := range []bool{true, false} {
		for _, l := range p.lines {
			if (l.hop != nil) == behind {
				l.hangUp()
			}
		}
	}
	done := make(chan struct{})
	go func() {
		p.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(leastWait):
		p.mu.Lock()
		defer p.mu.Unlock()
		p.leaked = &Error{Kind: KindLost, Message: "a goroutine of the pool did not end"}
	}
}

// hangUp closes the connections of a line.
func (l *line) hangUp() {
	l.mu.Lock()
	defer l.unlock()
	for len(l.conns) > 0 && !l.target.local {
		c := l.conns[0]
		l.removeLocked(c, errShutDown)
	}
	l.conns = nil
}

// errShutDown closes a connection at the end of the pool.
var errShutDown = errors.New("the pool was shut down")
