package sshpool

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// A signal can come before the process has its own group, and is lost then
	// (measured: up to 15 of 200 under load): it is repeated until the server
	// acknowledges it.
	firstSignalRetry = 10 * time.Millisecond
	lastSignalRetry  = 250 * time.Millisecond
	// lastAnswer is waited for the answer to a signal when the exit is known.
	lastAnswer = 100 * time.Millisecond
	// leastGrace is waited for the end after KILL, whatever the grace is.
	leastGrace = time.Second
)

// signalNumber as a shell adds it to 128.
func signalNumber(name string) int {
	switch name {
	case "TERM":
		return int(syscall.SIGTERM)
	case "KILL":
		return int(syscall.SIGKILL)
	}
	return 0
}

// kill ends the remote process: TERM, which sudo passes on, then KILL. It takes
// at most twice the grace (and no less than leastGrace for KILL), on any
// connection, and consumes the session: one whose process may still run keeps
// its slot.
func (s *session) kill(grace time.Duration) *Kill {
	k := &Kill{}
	unanswered := false
	for _, step := range []struct {
		name string
		time time.Duration
	}{{"TERM", grace}, {"KILL", max(grace, leastGrace)}} {
		acked, answered := s.signal(step.name, step.time)
		if acked {
			k.Signals = append(k.Signals, step.name)
		}
		unanswered = unanswered || !answered
		if s.over() {
			break
		}
	}
	s.judge(k, unanswered)
	return k
}

// over reports whether nothing more can be done for the session.
func (s *session) over() bool {
	select {
	case <-s.exited:
	case <-s.closed:
	case <-s.c.dead():
	default:
		return false
	}
	return true
}

// judge says what is known of the process, and lets go of the session.
func (s *session) judge(k *Kill, unanswered bool) {
	select {
	case <-s.c.dead():
		select {
		case <-s.closed: // what had arrived before is known now
		case <-time.After(lossSettle):
		}
	default:
	}
	select {
	case <-s.exited:
	default:
		switch {
		case s.c.t.cause() != nil:
			k.Note = "the connection was lost before its end was seen; it may still run"
			s.close()
		case s.isClosed():
			k.Note = "the server closed the session without saying that it ended; it may still run"
			s.close()
		default:
			k.Note = "its end was not seen; it may still run"
			if unanswered && len(k.Signals) == 0 {
				k.Note = "the server did not answer the signals; it may still run"
			} else if len(k.Signals) == 0 {
				k.Note = "the server delivered no signal to it, as with OpenSSH for forced commands, and before 9.9 for root; it may still run"
			}
			s.abandon()
		}
		return
	}
	complete := s.drain()
	s.close()
	how := fmt.Sprintf("it ended with status %d", s.exit.status)
	if s.exit.signal != "" {
		how = "it ended by signal " + s.exit.signal
	}
	if len(k.Signals) > 0 {
		how += " after " + strings.Join(k.Signals, " and ")
	}
	if k.Confirmed = complete; !complete {
		how += ", but something that it started holds its output open and may still run"
	}
	k.Note = how
}

// signal sends a signal until it is acknowledged, and waits for the end of the
// process, both for at most the given time.
func (s *session) signal(name string, bound time.Duration) (acked, answered bool) {
	over := time.NewTimer(bound)
	defer over.Stop()
	var answer <-chan bool // of the request under way
	again := time.After(0)
	pause := firstSignalRetry
	blind := false // sent without asking for an answer
	for {
		select {
		case <-again:
			again = nil
			if answer = s.askSignal(name); answer != nil {
				continue
			}
			if !blind { // an earlier request is not answered yet; this one cannot be
				blind = true
				s.c.line.pool.wg.Go(func() { s.ch.SendRequest("signal", false, signalPayload(name)) })
			}
			again, pause = time.After(pause), min(2*pause, lastSignalRetry)
		case delivered, ok := <-answer:
			answer = nil
			if !ok {
				continue // the session is about to end, or the connection
			}
			if acked, answered = delivered, true; !acked {
				again, pause = time.After(pause), min(2*pause, lastSignalRetry)
			}
		case <-s.exited:
			if answer != nil { // it came before the exit, or never comes
				select {
				case delivered, ok := <-answer:
					acked, answered = delivered, answered || ok
				case <-time.After(lastAnswer):
				}
			}
			return acked, answered
		case <-s.closed:
			return acked, answered
		case <-s.c.dead():
			return acked, answered
		case <-over.C:
			return acked, answered
		}
	}
}

// askSignal asks the server to send a signal to the session's process group;
// the answer says whether it did, and is closed without one if the session or
// the connection ends first. It is nil while an earlier request of the
// session waits for its answer.
func (s *session) askSignal(name string) <-chan bool {
	if !s.asking.TryLock() {
		return nil
	}
	answer := make(chan bool, 1)
	s.c.line.pool.wg.Go(func() {
		defer close(answer)
		ok, err := s.ch.SendRequest("signal", true, signalPayload(name))
		s.asking.Unlock()
		if err == nil {
			answer <- ok
		}
	})
	return answer
}

func signalPayload(name string) []byte { return ssh.Marshal(struct{ Name string }{name}) }
