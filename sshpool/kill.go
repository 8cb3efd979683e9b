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
	// refusedSignals is how long a server says that it delivered no signal until
	// it is believed: one that comes too early is delivered at the fifth try at
	// the latest (measured under load), after 150 ms.
	refusedSignals = time.Second
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

// kill ends the remote process: TERM, which sudo passes on, then KILL, both to
// its process group; then what has left the group is looked for and ended in the
// same way (see sweep). It takes at most twice the grace for each of both (no
// less than leastGrace for KILL, and sweepSlack for the look), on any connection,
// and consumes the session: one whose process may still run keeps its slot.
func (s *session) kill(j *job) *Kill {
	k := &Kill{}
	unanswered := !s.step(k, "TERM", j.grace)
	refused := !unanswered && len(k.Signals) == 0 && j.grace >= refusedSignals // KILL would be, too
	// KILL would end sudo and not what sudo runs: that is left to the sweep, which
	// is root, too.
	if !s.over() && !refused && !(j.cmd.Sudo && s.maySweep(j)) {
		unanswered = !s.step(k, "KILL", max(j.grace, leastGrace)) || unanswered
	}
	var w *sweep
	if s.maySweep(j) && s.c.t.cause() == nil {
		w = s.sweep(j)
		k.Found, k.Left = w.found, w.left
		if !s.over() && !w.ran() && j.cmd.Sudo {
			unanswered = !s.step(k, "KILL", max(j.grace, leastGrace)) || unanswered
		}
		if w.clean() && w.found > 0 {
			s.awaitExit(leastGrace)
		}
	}
	s.judge(k, unanswered, w)
	return k
}

// step is one signal with its time. answered is false if the server never said
// whether it delivered it.
func (s *session) step(k *Kill, name string, bound time.Duration) (answered bool) {
	acked, answered := s.signal(name, bound)
	if acked {
		k.Signals = append(k.Signals, name)
	}
	return answered
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

func (s *session) awaitExit(bound time.Duration) {
	wait := time.NewTimer(bound)
	defer wait.Stop()
	select {
	case <-s.exited:
	case <-s.closed:
	case <-s.c.dead():
	case <-wait.C:
	}
}

// judge says what is known of the process, and lets go of the session.
func (s *session) judge(k *Kill, unanswered bool, w *sweep) {
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
		s.judgeExit(k, w)
		return
	default:
	}
	switch {
	case s.c.t.cause() != nil:
		k.Note = "the connection was lost before its end was seen; it may still run"
		s.close()
		return
	case w.clean() && w.found > 0:
		k.Confirmed = true
		k.Note = "the server has not said that it ended, but it is gone" + w.note()
	case s.isClosed():
		k.Note = "the server closed the session without saying that it ended; it may still run" + w.note()
	case unanswered && len(k.Signals) == 0:
		k.Note = "the server did not answer the signals; it may still run" + w.note()
	case len(k.Signals) == 0:
		k.Note = "the server delivered no signal to it, as with OpenSSH for forced commands, and before 9.9 for root; it may still run" + w.note()
	default:
		k.Note = "its end was not seen; it may still run" + w.note()
	}
	if s.isClosed() {
		s.close()
		return
	}
	s.abandon()
}

// judgeExit says what is known of a process whose exit was seen.
func (s *session) judgeExit(k *Kill, w *sweep) {
	complete := s.drain()
	s.close()
	how := fmt.Sprintf("it ended with status %d", s.exit.status)
	if s.exit.signal != "" {
		how = "it ended by signal " + s.exit.signal
	}
	if len(k.Signals) > 0 {
		how += " after " + strings.Join(k.Signals, " and ")
	}
	if !complete {
		how += ", but something that it started holds its output open and may still run"
	}
	k.Confirmed = complete && (w == nil || w.left == 0)
	k.Note = how + w.note()
}

// signal sends a signal until it is acknowledged, and waits for the end of the
// process, both for at most the given time. A server that keeps saying no is
// believed sooner.
func (s *session) signal(name string, bound time.Duration) (acked, answered bool) {
	over := time.NewTimer(bound)
	defer over.Stop()
	var answer <-chan bool // of the request under way
	again := time.After(0)
	pause := firstSignalRetry
	begun := time.Now()
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
				if time.Since(begun) >= refusedSignals {
					return acked, answered
				}
				again, pause = time.After(pause), min(2*pause, lastSignalRetry)
			}
		case <-s.exited:
			return s.lastAnswer(answer, acked, answered)
		case <-s.closed: // it has exited, too, perhaps
			return s.lastAnswer(answer, acked, answered)
		case <-s.c.dead():
			return acked, answered
		case <-over.C:
			return acked, answered
		}
	}
}

// lastAnswer takes the answer to a signal from a session that has ended: it came
// before the end, or never comes.
func (s *session) lastAnswer(answer <-chan bool, acked, answered bool) (bool, bool) {
	if answer == nil {
		return acked, answered
	}
	select {
	case delivered, ok := <-answer:
		return acked || delivered, answered || ok
	case <-time.After(lastAnswer):
		return acked, answered
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
