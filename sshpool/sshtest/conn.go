package sshtest

import (
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// serverConn is one connection, from its acceptance to its end.
type serverConn struct {
	server *Server
	gate   *gate
	tried  bool // a key that is not authorized; known when the handshake has ended

	mu       sync.Mutex // guards what follows
	slots    int
	running  int       // processes
	idle     time.Time // since when there are none
	sessions map[*session]bool
}

// serve is the connection's life. The commands it started may live longer.
func (c *serverConn) serve() {
	s := c.server
	defer func() {
		c.gate.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	}()
	f := s.currentFaults()
	switch {
	case f.RefuseConnections:
		return
	case s.banned(c.gate):
		io.WriteString(c.gate, "Not allowed at this time\r\n")
		return
	case f.PreBanner != "":
		io.WriteString(c.gate, f.PreBanner+"\r\n")
		return
	case f.StallHandshake:
		io.Copy(io.Discard, c.gate)
		s.punish(c.gate, false)
		return
	}
	conn, channels, requests, err := ssh.NewServerConn(c.gate, c.config())
	if err != nil {
		s.punish(c.gate, c.tried)
		return
	}
	s.count(func(n *Counts) { n.Authenticated++; n.OpenNow++ })
	defer s.count(func(n *Counts) { n.OpenNow-- })
	ended := make(chan struct{})
	defer close(ended)
	s.wg.Go(func() { c.closeUnused(ended) })
	s.wg.Go(func() { c.askAlive(ended) })
	s.wg.Go(func() {
		for r := range requests {
			s.count(func(n *Counts) { n.Keepalives++ })
			r.Reply(false, nil)
		}
	})
	for channel := range channels {
		switch channel.ChannelType() {
		case "session":
			c.session(conn.User(), channel)
		case "direct-tcpip":
			s.wg.Go(func() { c.forward(channel) })
		default:
			channel.Reject(ssh.UnknownChannelType, "unknown channel type")
		}
	}
}

func (c *serverConn) config() *ssh.ServerConfig {
	s := c.server
	cfg := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-sshtest",
		MaxAuthTries:  6,
		PublicKeyCallback: func(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if s.currentFaults().StallAuth {
				select {
				case <-c.gate.closed:
				case <-s.stopped:
				}
				return nil, errors.New("stalled on request")
			}
			if !s.cfg.Authorize(conn.User(), key) {
				c.tried = true
				return nil, errors.New("key not authorized")
			}
			return nil, nil
		},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg.AddHostKey(s.hostKey)
	return cfg
}

// session opens a session channel, or refuses it as OpenSSH does.
func (c *serverConn) session(user string, channel ssh.NewChannel) {
	s := c.server
	f := s.currentFaults()
	if s.drops(DropAtOpen) {
		c.gate.Close()
		return
	}
	switch {
	case f.StallSessions:
		return // the channel stays undecided
	case f.RefuseSessions != 0:
		s.count(func(n *Counts) { n.Refused++ })
		channel.Reject(f.RefuseSessions, "refused on request")
		return
	case !c.takeSlot():
		s.count(func(n *Counts) { n.Refused++ })
		channel.Reject(ssh.ConnectionFailed, "open failed")
		return
	}
	ch, requests, err := channel.Accept()
	if err != nil {
		c.freeSlot()
		return
	}
	s.count(func(n *Counts) { n.Sessions++ })
	session := &session{conn: c, user: user, ch: ch, closed: make(chan struct{}), used: make(chan struct{})}
	c.mu.Lock()
	c.sessions[session] = true
	c.mu.Unlock()
	s.wg.Go(func() { session.serve(requests) })
	if s.cfg.DanglingTimeout > 0 {
		s.wg.Go(session.closeDangling)
	}
}

// ran notes that a process has begun (1) or ended (-1).
func (c *serverConn) ran(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running += n
	c.idle = time.Now()
}

// closeUnused plays UnusedConnectionTimeout.
func (c *serverConn) closeUnused(ended <-chan struct{}) {
	bound := c.server.cfg.UnusedTimeout
	if bound <= 0 {
		return
	}
	for wait := bound; ; {
		select {
		case <-ended:
			return
		case <-time.After(wait):
		}
		c.mu.Lock()
		wait = bound
		if c.running == 0 {
			wait = bound - time.Since(c.idle)
		}
		c.mu.Unlock()
		if wait <= 0 {
			c.gate.Close()
			return
		}
	}
}

// askAlive plays ClientAliveInterval with a ClientAliveCountMax of 1.
func (c *serverConn) askAlive(ended <-chan struct{}) {
	interval := c.server.cfg.ClientAlive
	if interval <= 0 {
		return
	}
	for {
		select {
		case <-ended:
			return
		case <-time.After(interval):
		}
		var asked *session
		c.mu.Lock()
		for s := range c.sessions {
			asked = s
			break
		}
		c.mu.Unlock()
		if asked == nil {
			continue
		}
		late := time.AfterFunc(interval, func() { c.gate.Close() })
		if _, err := asked.ch.SendRequest("keepalive@openssh.com", true, nil); err == nil {
			c.server.count(func(n *Counts) { n.Alive++ })
		}
		late.Stop()
	}
}

func (c *serverConn) takeSlot() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots >= c.server.cfg.MaxSessions {
		return false
	}
	c.slots++
	c.server.count(func(n *Counts) { n.SessionsNow++; n.MaxSlots = max(n.MaxSlots, c.slots) })
	return true
}

func (c *serverConn) freeSlot() {
	if d := c.server.cfg.SlotDelay; d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.server.stopped:
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slots--
	c.server.count(func(n *Counts) { n.SessionsNow-- })
}

// forward plays a jump host.
func (c *serverConn) forward(channel ssh.NewChannel) {
	s := c.server
	var to struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(channel.ExtraData(), &to); err != nil {
		channel.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	if s.cfg.Forward == nil {
		channel.Reject(ssh.Prohibited, "open failed")
		return
	}
	ctx, end := s.life()
	defer end()
	address := net.JoinHostPort(to.Host, strconv.FormatUint(uint64(to.Port), 10))
	target, err := s.cfg.Forward(ctx, address)
	if err != nil {
		channel.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer target.Close()
	ch, requests, err := channel.Accept()
	if err != nil {
		return
	}
	s.count(func(n *Counts) { n.Forwards++ })
	s.wg.Go(func() { ssh.DiscardRequests(requests) })
	s.wg.Go(func() {
		io.Copy(target, ch)
		target.Close() // the client is gone: so is its connection
	})
	io.Copy(ch, target)
	ch.Close()
}
