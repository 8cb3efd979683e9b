package sshpool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// lossSettle bounds the wait, after the connection is lost, for what had
	// arrived before; see openSettle.
	lossSettle = time.Second
)

// session is one session channel with its command.
type session struct {
	c    *connection
	ch   ssh.Channel
	sink *sink // set by begin

	exited  chan struct{} // closed when exit is known
	exit    exit
	closed  chan struct{} // closed when the server has closed the channel, or the connection is gone
	eof     chan struct{} // closed when both outputs have ended
	replied chan error    // the answer to exec, once: nil, errExecRefused, or what broke

	// asking is held while a request with an answer is under way: x/crypto/ssh
	// would wait with the next one. It is only ever tried.
	asking sync.Mutex

	// broken is set before eof is closed: the outputs ended with the connection.
	broken bool
	// cut is set by drain: see Result.OutputCut.
	cut bool

	// Guarded by line.mu.
	used      bool // it has been given to a command
	freed     bool // the slot has been given back
	abandoned bool
}

// exit is how the server says a process ended.
type exit struct {
	status int
	signal string // "TERM"; "" if it ended with a status
}

// newSession takes over a session that the server has opened. When the server
// closes the channel, its slot is free.
func newSession(c *connection, o opened) *session {
	s := &session{
		c: c, ch: o.ch,
		exited: make(chan struct{}), closed: make(chan struct{}), eof: make(chan struct{}), replied: make(chan error, 1),
	}
	c.line.pool.wg.Go(func() { s.requests(o.requests) })
	return s
}

// begin gives the session to a command and starts the readers of its output.
func (s *session) begin(j *job) {
	l := s.c.line
	l.mu.Lock()
	s.used = true
	l.unlock()
	p := l.pool
	s.sink = newSink(p.cfg, j.cmd)
	var readers sync.WaitGroup
	readers.Go(func() { s.sink.copy(Stdout, s.ch) })
	readers.Go(func() { s.sink.copy(Stderr, s.ch.Stderr()) })
	p.wg.Go(func() {
		readers.Wait()
		s.broken = s.c.t.cause() != nil
		close(s.eof)
	})
}

// requests answers the server's requests until the channel is closed.
func (s *session) requests(in <-chan *ssh.Request) {
	done := false
	for r := range in {
		e, ok := parseExit(r)
		if ok && !done {
			done = true
			s.exit = e
			close(s.exited)
			if s.c.line.isAbandoned(s) {
				s.ch.Close() // nobody else would
			}
		}
		r.Reply(false, nil) // keepalive@openssh.com among others: any answer will do
	}
	close(s.closed)
	s.c.line.ended(s)
}

func parseExit(r *ssh.Request) (exit, bool) {
	switch r.Type {
	case "exit-status":
		if len(r.Payload) >= 4 {
			return exit{status: int(binary.BigEndian.Uint32(r.Payload))}, true
		}
	case "exit-signal":
		var m struct {
			Signal     string
			CoreDumped bool
			Message    string
			Lang       string
		}
		if err := ssh.Unmarshal(r.Payload, &m); err == nil {
			return exit{signal: m.Signal}, true
		}
	}
	return exit{}, false
}

// abandon lets the session go on without us: its output is thrown away, and its
// slot stays taken until the server says that it has ended.
func (s *session) abandon() {
	s.sink.detach()
	s.c.line.abandon(s)
	select {
	case <-s.exited: // between our last look and now
		s.close()
	default:
	}
}

// close ends our side of the session. It does not wait: the slot is free when
// the server has closed its side.
func (s *session) close() {
	if s.sink != nil {
		s.sink.detach()
	}
	s.c.line.pool.wg.Go(func() { s.ch.Close() })
}

func (s *session) hasExited() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

func (s *session) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// run sends the command and waits for its end. It consumes the session.
func (s *session) run(ctx context.Context, j *job, r *Result) error {
	begun := time.Now()
	s.begin(j)
	defer func() {
		r.Run = time.Since(begun)
		r.Stdout, r.Stderr = s.sink.outputs()
		r.OutputCut = s.cut
	}()
	l := s.c.line
	clock := time.NewTimer(j.run)
	defer clock.Stop()
	forced := l.pool.forced
	if j.helper {
		forced = nil
	}
	if err := l.calledOff(j); err != nil {
		s.close()
		return err
	}
	sent := s.send(j)
	select {
	case err := <-s.replied:
		if done, err := s.started(j, r, sent, err); done {
			return err
		}
	case <-s.exited:
	case <-s.closed:
		// What became of the request is known in a moment.
		select {
		case err := <-s.replied:
			if done, err := s.started(j, r, sent, err); done {
				return err
			}
		case <-clock.C:
			return s.timeout(j, r)
		}
	case <-s.c.dead():
		return s.lost(j, r, sent)
	case <-clock.C:
		return s.timeout(j, r)
	case <-ctx.Done():
		return s.give(j, r, l.canceled(ctx, "while it started"))
	case <-forced:
		return s.give(j, r, l.pool.closedError(l.target.name))
	}
	r.Outcome = Unknown // from here on it has started
	select {
	case <-s.exited:
		return s.finish(r)
	case <-s.closed:
		return s.ended(r)
	case <-s.c.dead():
		return s.lost(j, r, sent)
	case <-clock.C:
		return s.timeout(j, r)
	case <-ctx.Done():
		return s.give(j, r, l.canceled(ctx, "while it ran"))
	case <-forced:
		return s.give(j, r, l.pool.closedError(l.target.name))
	}
}

// send sends the exec request, and then the standard input. It gives back the
// number of writes to the connection before that: if there was none since, the
// request never left.
func (s *session) send(j *job) (writes int64) {
	p := s.c.line.pool
	writes = s.c.t.writes.Load()
	if s.isClosed() { // a spare that the server has closed meanwhile
		s.replied <- errUnused
		return writes
	}
	s.asking.TryLock()
	p.wg.Go(func() {
		ok, err := s.ch.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{j.text}))
		s.asking.Unlock()
		if err == nil && !ok {
			err = errExecRefused
		}
		s.replied <- err
		if err != nil {
			return
		}
		if len(j.stdin) > 0 {
			s.ch.Write(j.stdin) // a command need not read all of it
		}
		s.ch.CloseWrite()
	})
	return writes
}

var (
	errExecRefused = errors.New("the server refused to run it")
	errUnused      = errors.New("the server closed the session before it was used")
)

// started judges the answer to the exec request. done means that this was the
// end.
func (s *session) started(j *job, r *Result, writes int64, err error) (done bool, _ error) {
	l := s.c.line
	switch {
	case err == nil:
		return false, nil
	case err == errExecRefused:
		s.close()
		return true, &Error{
			Kind: KindRefused, Host: l.target.name, Message: "the server refused to run the command; it did not start",
			Hint: "the account may be restricted to one command, or to file transfer: see command= in its authorized_keys and ForceCommand in sshd_config",
		}
	case err == errUnused, s.c.t.writes.Load() == writes:
		s.close()
		return true, fmt.Errorf("%w: %w", errDied, err)
	case s.c.t.cause() == nil && s.isClosed():
		return true, s.ended(r)
	}
	return true, s.lost(j, r, writes)
}

// finish reports a process that has ended.
func (s *session) finish(r *Result) error {
	s.drain()
	s.close()
	s.report(r)
	return nil
}

// report says how the process ended.
func (s *session) report(r *Result) {
	if s.exit.signal != "" {
		r.Outcome, r.Signal = Signaled, s.exit.signal
		return
	}
	r.Outcome, r.ExitStatus = Exited, s.exit.status
}

// drain waits for the rest of the output after the exit. It reports whether
// all of it has come.
func (s *session) drain() bool {
	complete := drain(s.sink, s.eof, s.closed)
	s.cut = !complete || s.broken
	return complete
}

// ended reports a session that the server closed while the connection lives.
func (s *session) ended(r *Result) error {
	if s.hasExited() {
		return s.finish(r)
	}
	<-s.eof
	s.close()
	r.Outcome = Unknown
	l := s.c.line
	e := &Error{
		Kind: KindLost, Host: l.target.name,
		Message: "the server closed the session without an exit status; the command may have run, and may still run",
		Hint:    "ChannelTimeout in the host's sshd_config does this, and so does the end of its sshd process",
	}
	if cause := s.c.t.cause(); cause != nil {
		e.Message, e.Hint, e.Err = lostMessage, "", cause
	}
	return e
}

const lostMessage = "the connection was lost while the command ran; it may have run, and may still run"

// lost waits for what had arrived before the connection was lost, and judges.
func (s *session) lost(j *job, r *Result, writes int64) error {
	settle := time.NewTimer(lossSettle)
	defer settle.Stop()
	select {
	case <-s.closed:
	case <-settle.C:
	}
	if s.hasExited() {
		return s.finish(r)
	}
	cause := s.c.t.cause()
	if r.Outcome != Unknown && s.c.t.writes.Load() == writes {
		s.close()
		return fmt.Errorf("%w: %w", errDied, cause)
	}
	r.Outcome = Unknown
	s.close()
	if cause == nil {
		cause = io.ErrUnexpectedEOF
	}
	return &Error{Kind: KindLost, Host: s.c.line.target.name, Message: lostMessage, Err: cause}
}

// timeout ends a process whose clock has run out.
func (s *session) timeout(j *job, r *Result) error {
	if s.hasExited() { // at the same moment
		return s.finish(r)
	}
	r.Outcome = TimedOut
	r.Kill = s.kill(j)
	return &Error{
		Kind: KindRunTimeout, Host: s.c.line.target.name,
		Message: fmt.Sprintf("not ended within the run clock of %v; %s", j.run, r.Kill.Note),
		Hint:    "look at the state before running it again; a longer run clock may be all it needs",
	}
}

// give ends a process because its caller, or the pool, gives it up. It is nil
// if the process was seen to end.
func (s *session) give(j *job, r *Result, why *Error) error {
	if s.hasExited() { // at the same moment
		return s.finish(r)
	}
	r.Outcome = Unknown
	r.Kill = s.kill(j)
	if !r.Kill.Confirmed || !s.hasExited() {
		why.Message += "; " + r.Kill.Note
		return why
	}
	s.report(r)
	if r.Outcome == Exited {
		// A shell reports a child that was ended by a signal as a status.
		names := r.Kill.Signals
		if r.Kill.Found > 0 {
			names = append(slices.Clone(names), "TERM", "KILL")
		}
		for _, name := range names {
			if r.ExitStatus == 128+signalNumber(name) {
				r.Outcome, r.Signal, r.ExitStatus = Signaled, name, 0
			}
		}
	}
	return nil
}
