// Package sshtest is an SSH server in memory, for the tests of programs that
// run commands over SSH.
//
//	server := sshtest.New(sshtest.Config{
//		Handler: func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
//			fmt.Fprintln(c.Stdout, "ran", c.Text)
//			return sshtest.Exit{}
//		},
//	})
//	defer server.Close()
//	conn, err := server.Dial(ctx, "tcp", "nexus:22") // or server.Serve(listener)
//
// The remote side is a Go function, the Handler. Keys, authentication and the
// protocol are real. Where it matters to a client the server does as OpenSSH
// does: a session takes one of MaxSessions slots from the opening of its
// channel until the channel is closed and the process has ended; closing a
// channel or a connection does not end the process; a signal is acknowledged
// only if it was delivered.
//
// It misbehaves on request, and the request can change while it runs: see
// Faults, Drop, Freeze and SetHostKey. What a server does all its life is part of
// its Config: the ban of OpenSSH 9.8 and later (Penalties), slots that are freed
// late, sessions or connections that are closed when nothing runs on them.
//
// Dial needs no socket and works in a testing/synctest bubble, where a Latency
// costs no time. Not provided: terminals, subsystems such as SFTP, passwords.
package sshtest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Config of a Server. The zero value accepts ClientKey and answers every
// command with status 0 and no output.
type Config struct {
	// HostKey proves who the server is; nil: a new ed25519 key.
	HostKey ssh.Signer
	// Authorize decides about a user's key; nil: every user with ClientKey.
	Authorize func(user string, key ssh.PublicKey) bool
	// Handler plays the remote side; nil: Exit{} for every command.
	Handler Handler
	// MaxSessions per connection, as in sshd_config; 0: 10, OpenSSH's default;
	// negative: none, every session is refused.
	MaxSessions int
	// SlotDelay is how long a slot stays taken after its session has ended.
	// OpenSSH frees it late, too: a client that is as fast as its own limit
	// meets refusals.
	SlotDelay time.Duration
	// Latency is how long a byte is under way in each direction: half a round
	// trip. It applies to connections made by Dial.
	Latency time.Duration
	// DanglingTimeout closes a session that runs nothing for so long, as old
	// versions of Dropbear do; 0: never.
	DanglingTimeout time.Duration
	// UnusedTimeout closes a connection on which nothing has run for so long, as
	// sshd's UnusedConnectionTimeout, for which a session that runs nothing does
	// not count; 0: never.
	UnusedTimeout time.Duration
	// ClientAlive asks on a session whether the client still lives, as sshd's
	// ClientAliveInterval; one that has not answered before the next question is
	// cut off. 0: never.
	ClientAlive time.Duration
	// Penalties, if set, bans client addresses as OpenSSH does since 9.8; see
	// OpenSSHPenalties.
	Penalties *Penalties
	// Forward opens the connections that a client asks for when it uses this
	// server as a jump host; nil: refused, as with AllowTcpForwarding no.
	Forward func(ctx context.Context, address string) (net.Conn, error)
}

// Counts of what a server has seen.
type Counts struct {
	Connections   int // accepted, whatever became of them
	Banned        int // of those, turned away because of Penalties
	Authenticated int // connections that were let in
	OpenNow       int // authenticated connections open now
	Sessions      int // session channels accepted
	Refused       int // session channels refused
	SessionsNow   int // slots taken now, over all connections
	MaxSlots      int // most slots taken at once on one connection
	Commands      int // commands started
	RunningNow    int // commands running now
	Signals       int // signal requests received
	Forwards      int // forwarded connections opened
	Keepalives    int // global requests received
	Alive         int // answers to ClientAlive
}

// Server is an SSH server. It is safe for concurrent use.
type Server struct {
	cfg       Config
	clientKey ed25519.PrivateKey
	client    ssh.Signer
	wg        sync.WaitGroup
	stopped   chan struct{} // closed by Close

	mu        sync.Mutex // guards what follows
	hostKey   ssh.Signer
	faults    Faults
	sources   map[string]*source // by client address
	dropped   int                // times that Faults.DropAt was used
	lost      int                // signals lost on request
	counts    Counts
	conns     map[*serverConn]bool
	listeners map[net.Listener]bool
	lives     map[int]context.CancelFunc // of what ends with the server
	nextLife  int
	dials     int
	closed    bool
}

// New returns a server that is ready for Dial and Serve.
func New(cfg Config) *Server {
	if cfg.HostKey == nil {
		cfg.HostKey, _ = newKey()
	}
	switch {
	case cfg.MaxSessions == 0:
		cfg.MaxSessions = 10
	case cfg.MaxSessions < 0:
		cfg.MaxSessions = 0
	}
	if cfg.Handler == nil {
		cfg.Handler = func(context.Context, *Command) Exit { return Exit{} }
	}
	client, private := newKey()
	if cfg.Authorize == nil {
		want := client.PublicKey().Marshal()
		cfg.Authorize = func(_ string, key ssh.PublicKey) bool { return bytes.Equal(key.Marshal(), want) }
	}
	return &Server{
		cfg: cfg, hostKey: cfg.HostKey, client: client, clientKey: private,
		conns: map[*serverConn]bool{}, listeners: map[net.Listener]bool{},
		stopped: make(chan struct{}), lives: map[int]context.CancelFunc{}, sources: map[string]*source{},
	}
}

func newKey() (ssh.Signer, ed25519.PrivateKey) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic("sshtest: no random numbers: " + err.Error())
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		panic("sshtest: an ed25519 key is no signer: " + err.Error())
	}
	return signer, private
}

// Dial connects in memory, to whatever address is named. It fits
// sshpool.Config.Dial.
func (s *Server) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.dials++
	client := addr(fmt.Sprintf("192.0.2.1:%d", 1024+s.dials%60000))
	refuse := s.closed || s.faults.RefuseConnections
	s.mu.Unlock()
	if refuse {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: addr(address), Err: syscall.ECONNREFUSED}
	}
	c, conn := pipe(client, addr(address), s.cfg.Latency)
	if !s.start(conn) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: addr(address), Err: syscall.ECONNREFUSED}
	}
	return c, nil
}

// addr is an address of a connection in memory.
type addr string

func (a addr) Network() string { return "tcp" }
func (a addr) String() string  { return string(a) }

// Serve accepts connections from l until Close, and then returns nil.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errors.Join(net.ErrClosed, l.Close())
	}
	s.listeners[l] = true
	s.mu.Unlock()
	for {
		conn, err := l.Accept()
		if err != nil {
			s.mu.Lock()
			closed := s.closed
			delete(s.listeners, l)
			s.mu.Unlock()
			if closed {
				return nil
			}
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		if !s.start(conn) {
			conn.Close()
		}
	}
}

// start serves a connection in the background, unless the server is closed.
func (s *Server) start(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.counts.Connections++
	c := &serverConn{server: s, gate: newGate(conn), idle: time.Now(), sessions: map[*session]bool{}}
	s.conns[c] = true
	s.wg.Go(c.serve)
	return true
}

// HostKey is the key that new connections get to see.
func (s *Server) HostKey() ssh.PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hostKey.PublicKey()
}

// SetHostKey changes the key for new connections; nil makes a new one.
func (s *Server) SetHostKey(key ssh.Signer) {
	if key == nil {
		key, _ = newKey()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hostKey = key
}

// KnownHostsLine is the line of a known_hosts file, with its end of line, that
// trusts the present host key for the addresses, each "host" or "host:port".
func (s *Server) KnownHostsLine(addresses ...string) string {
	return knownhosts.Line(addresses, s.HostKey()) + "\n"
}

// ClientKey is a key made for this server's clients. It is accepted unless
// Config.Authorize says otherwise.
func (s *Server) ClientKey() ssh.Signer { return s.client }

// ClientKeyPEM is ClientKey as the contents of an identity file.
func (s *Server) ClientKeyPEM() []byte {
	block, err := ssh.MarshalPrivateKey(s.clientKey, "sshtest")
	if err != nil {
		panic("sshtest: an ed25519 key cannot be written: " + err.Error())
	}
	return pem.EncodeToMemory(block)
}

// Counts gives a copy of the counters.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// count changes the counters.
func (s *Server) count(change func(*Counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.counts)
}

// Drop closes every connection at once. The commands run on.
func (s *Server) Drop() {
	for _, c := range s.open() {
		c.gate.Close()
	}
}

// Freeze stops all traffic on the connections of this moment: each is half
// open, as after a cable was pulled.
func (s *Server) Freeze() {
	for _, c := range s.open() {
		c.gate.freeze()
	}
}

// Thaw undoes Freeze; what was sent meanwhile arrives.
func (s *Server) Thaw() {
	for _, c := range s.open() {
		c.gate.thaw()
	}
}

func (s *Server) open() []*serverConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := make([]*serverConn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

// Close closes all listeners and connections, ends all commands as KILL does,
// and waits until every Handler has returned.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stopped)
	}
	for _, end := range s.lives {
		end()
	}
	var errs []error
	for l := range s.listeners {
		errs = append(errs, l.Close())
	}
	clear(s.listeners)
	s.mu.Unlock()
	s.Drop()
	s.wg.Wait()
	return errors.Join(errs...)
}

// life is a context that ends with the server or by end, which must be called.
func (s *Server) life() (ctx context.Context, end context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		cancel()
	}
	id := s.nextLife
	s.nextLife++
	s.lives[id] = cancel
	return ctx, func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.lives, id)
	}
}

// Network is several servers by their address, "host:port".
type Network map[string]*Server

// Dial connects to the server at the address. It fits sshpool.Config.Dial.
func (n Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	s, ok := n[address]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: addr(address), Err: syscall.EHOSTUNREACH}
	}
	return s.Dial(ctx, network, address)
}
