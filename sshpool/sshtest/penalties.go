package sshtest

import (
	"net"
	"time"
)

// Penalties play PerSourcePenalties of sshd_config(5): each failure adds to what
// the client's address owes, a second forgives one, and from Min on the address
// is turned away with "Not allowed at this time" until nothing is owed any more.
type Penalties struct {
	AuthFail time.Duration // for a client whose authentication failed
	NoAuth   time.Duration // for one that left before it tried
	Min      time.Duration // what is owed when the address is banned
	Max      time.Duration // the most that can be owed
}

// OpenSSHPenalties are the defaults of OpenSSH 9.8 to 10.
func OpenSSHPenalties() *Penalties {
	return &Penalties{AuthFail: 5 * time.Second, NoAuth: time.Second, Min: 15 * time.Second, Max: 10 * time.Minute}
}

// source is what one client address owes.
type source struct {
	until  time.Time
	banned bool
}

// banned reports whether a connection's address is turned away, and counts it.
func (s *Server) banned(conn net.Conn) bool {
	if s.cfg.Penalties == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from, ok := s.sources[address(conn)]
	if !ok || !time.Now().Before(from.until) {
		delete(s.sources, address(conn))
		return false
	}
	if from.banned {
		s.counts.Banned++
	}
	return from.banned
}

// punish adds to what a connection's address owes.
func (s *Server) punish(conn net.Conn, tried bool) {
	p := s.cfg.Penalties
	if p == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from, ok := s.sources[address(conn)]
	if !ok {
		from = &source{}
		s.sources[address(conn)] = from
	}
	now := time.Now()
	if from.until.Before(now) {
		*from = source{until: now}
	}
	add := p.NoAuth
	if tried {
		add = p.AuthFail
	}
	from.until = from.until.Add(add)
	if most := now.Add(p.Max); from.until.After(most) {
		from.until = most
	}
	from.banned = from.banned || from.until.Sub(now) >= p.Min
}

func address(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String()
	}
	return host
}
