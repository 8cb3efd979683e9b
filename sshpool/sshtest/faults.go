package sshtest

import "golang.org/x/crypto/ssh"

// DropPoint is a moment in the life of a command.
type DropPoint string

const (
	DropAtOpen    DropPoint = "open"    // instead of the answer to the opening of the session
	DropAtExec    DropPoint = "exec"    // when the exec request has arrived; nothing is started
	DropAtStart   DropPoint = "start"   // when the command has started, instead of the reply
	DropAfterExec DropPoint = "running" // after the reply
	DropAtOutput  DropPoint = "output"  // after the first output of the command
	DropAtExit    DropPoint = "exit"    // after the exit status, before the end of the output
)

// Faults are misbehaviours on request. The zero value has none.
type Faults struct {
	// RefuseConnections: Dial fails, and an accepted connection is closed.
	RefuseConnections bool
	// PreBanner is sent before the version line of a new connection, which is
	// then closed: "Exceeded MaxStartups", "Not allowed at this time".
	PreBanner string
	// StallHandshake: a new connection is accepted and nothing is said.
	StallHandshake bool
	// StallAuth: no question about a key is answered.
	StallAuth bool

	// RefuseSessions is the reason that every session is refused with; 0: none.
	RefuseSessions ssh.RejectionReason
	// StallSessions: the opening of a session is not answered.
	StallSessions bool
	// RefuseExec: the exec request is answered with a failure.
	RefuseExec bool
	// StallExec: the command starts, and the exec request is not answered.
	StallExec bool

	// DropAt closes the connection of a command at this point of its life, the
	// first DropTimes times; 0: every time.
	DropAt    DropPoint
	DropTimes int

	// IgnoreSignals: no signal is delivered or acknowledged.
	IgnoreSignals bool
	// LoseSignals: the first so many signals are not delivered or acknowledged,
	// as happens to one that comes before the process has its own group.
	LoseSignals int
	// StallSignals: no signal is delivered, and no request for one answered.
	StallSignals bool
}

// SetFaults changes the misbehaviour from now on. DropTimes and LoseSignals
// count from here.
func (s *Server) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
	s.dropped, s.lost = 0, 0
}

func (s *Server) currentFaults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

// drops reports whether a connection is to be dropped at this point, and
// counts it.
func (s *Server) drops(at DropPoint) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.faults
	if f.DropAt != at || f.DropTimes > 0 && s.dropped >= f.DropTimes {
		return false
	}
	s.dropped++
	return true
}

// losesSignal reports whether the signal that has come is to be lost.
func (s *Server) losesSignal() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Signals++
	if s.faults.IgnoreSignals {
		return true
	}
	if s.lost < s.faults.LoseSignals {
		s.lost++
		return true
	}
	return false
}
