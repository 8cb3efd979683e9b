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

	mu    sync.Mutex // guards slots
	slots int
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
	case f.PreBanner != "":
		io.WriteString(c.gate, f.PreBanner+"\r\n")
		return
	case f.StallHandshake:
		io.Copy(io.Discard, c.gate)
		return
	}
	conn, channels, requests, err := ssh.NewServerConn(c.gate, c.config())
	if err != nil {
		return
	}
	s.count(func(n *Counts) { n.Authenticated++; n.OpenNow++ })
	defer s.count(func(n *Counts) { n.OpenNow-- })
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
	session := &session{conn: c, user: user, ch: ch, closed: make(chan struct{})}
	s.wg.Go(func() { session.serve(requests) })
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
