package lab

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"lifeline/sshpool/sshtest"
)

// Options of a Host. The zero value is a host like a real one.
type Options struct {
	// User is the account that may log in; "": lifeline.
	User string
	// World fills the host's empty world; nil: the world that Worlds has for the
	// host's name, or a small one.
	World func(*World)
	// Pace scales how long programs and daemons take, compared to a real host:
	// 0.1 is ten times as fast; 0: 1. It does not scale what is told to be slow.
	Pace float64
	// MaxSessions is the server's limit on sessions of one connection; 0: 10, as
	// OpenSSH has it.
	MaxSessions int
	// Now is the host's clock; nil: time.Now.
	Now func() time.Time
	// Around, if set, stands around the host: it is given what plays the commands
	// and plays them itself, to count them or to misbehave.
	Around func(sshtest.Handler) sshtest.Handler
}

// Host is one simulated machine. Its methods are safe for concurrent use.
type Host struct {
	name, user string
	pace       float64
	world      *World
	server     *sshtest.Server
	identity   ed25519.PrivateKey

	mu       sync.Mutex // guards what follows
	slowness map[string]time.Duration
	address  string
	closed   bool
	// closing ends what daemons do; background is everything that outlives the
	// command which began it. Nothing is added once closed is set.
	closing    chan struct{}
	background sync.WaitGroup
}

// NewHost makes a host that nobody can reach yet: see Start.
func NewHost(name string, opts Options) *Host {
	h := &Host{name: name, user: opts.User, pace: opts.Pace, slowness: map[string]time.Duration{}, closing: make(chan struct{})}
	if h.user == "" {
		h.user = "lifeline"
	}
	if h.pace == 0 {
		h.pace = 1
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	h.world = newWorld(name, opts.Now)
	fill := opts.World
	if fill == nil {
		fill = defaultWorld(name)
	}
	fill(h.world)
	var hostKey ed25519.PrivateKey
	hostKey, h.identity = newKey(), newKey()
	handler := sshtest.Handler(h.handle)
	if opts.Around != nil {
		handler = opts.Around(handler)
	}
	authorized := signer(h.identity).PublicKey().Marshal()
	h.server = sshtest.New(sshtest.Config{
		HostKey: signer(hostKey),
		Authorize: func(user string, key ssh.PublicKey) bool {
			return user == h.user && string(key.Marshal()) == string(authorized)
		},
		Handler:     handler,
		MaxSessions: opts.MaxSessions,
	})
	return h
}

func newKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic("lab: the system has no random numbers: " + err.Error())
	}
	return key
}

func signer(key ed25519.PrivateKey) ssh.Signer {
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		panic("lab: an ed25519 key signs: " + err.Error())
	}
	return s
}

// Name is the host's own name.
func (h *Host) Name() string { return h.name }

// User is the account that may log in, with the key of WriteIdentity.
func (h *Host) User() string { return h.user }

// World is what exists on the host.
func (h *Host) World() *World { return h.world }

// Address is the host's IP address and port, once started; "" before.
func (h *Host) Address() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.address
}

// Connections counts the connections whose client logged in since the start,
// as the server saw them.
func (h *Host) Connections() int { return h.server.Counts().Authenticated }

// Freeze lets no byte through from now on, in either direction, on what is
// connected at this moment, and lets nobody else in: as after a cable was pulled.
func (h *Host) Freeze() {
	h.server.SetFaults(sshtest.Faults{StallHandshake: true})
	h.server.Freeze()
}

// KnownHosts is the line of known_hosts that names the host's key, without a
// line end. The host must have been started.
func (h *Host) KnownHosts() string {
	return strings.TrimRight(h.server.KnownHostsLine(h.Address()), "\n")
}

// WriteKnownHosts adds the host's line to a known_hosts file, which it creates
// where there is none.
func (h *Host) WriteKnownHosts(file string) error {
	if h.Address() == "" {
		return fmt.Errorf("lab: host %s has no address before lab.Start", h.name)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("lab: write known_hosts: %w", err)
	}
	_, err = io.WriteString(f, h.KnownHosts()+"\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("lab: write known_hosts: %w", err)
	}
	return nil
}

// WriteIdentity writes the private key that the host lets in, in OpenSSH's
// form, readable by its owner only. A file that exists is replaced.
func (h *Host) WriteIdentity(file string) error {
	block, err := ssh.MarshalPrivateKey(h.identity, h.user+"@lab")
	if err != nil {
		return fmt.Errorf("lab: encode the identity: %w", err)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("lab: replace the identity: %w", err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		return fmt.Errorf("lab: write the identity: %w", err)
	}
	return nil
}

// begin runs f in the background, unless the host is closed.
func (h *Host) begin(f func()) (ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.background.Go(f)
	return true
}

// handle plays one command of an SSH session. A signal ends it at once, even if
// its output is stuck; the script then ends in the background.
func (h *Host) handle(ctx context.Context, c *sshtest.Command) sshtest.Exit {
	// Programs read a pipe of the system: a read of it ends with its shell.
	in, feed, err := os.Pipe()
	if err != nil {
		fmt.Fprintf(c.Stderr, "lab: %v\n", err)
		return sshtest.Exit{Status: 255}
	}
	ended := make(chan int, 1)
	begun := h.begin(func() {
		io.Copy(feed, c.Stdin) // ends with the session at the latest
		feed.Close()
	}) && h.begin(func() {
		defer in.Close()
		ended <- h.shell(ctx, h.user, c.Text, []string{"sh"}, h.login(), "/home/"+h.user, shellIO{in, c.Stdout, c.Stderr})
	})
	if !begun { // the host is being closed; its files are closed twice at most
		in.Close()
		feed.Close()
		return sshtest.Exit{Signal: "KILL"}
	}
	select {
	case status := <-ended:
		return sshtest.Exit{Status: status}
	case <-ctx.Done():
		return sshtest.Exit{Signal: "TERM"}
	}
}

// login is the environment that sshd gives a command.
func (h *Host) login() []string {
	return []string{"HOME=/home/" + h.user, "LOGNAME=" + h.user, "PATH=/usr/local/bin:/usr/bin:/bin", "PWD=/home/" + h.user,
		"SHELL=/bin/sh", "SSH_CONNECTION=127.0.0.1 51044 127.0.0.1 22", "USER=" + h.user}
}

// Lab is a set of hosts that can be reached.
type Lab struct {
	hosts  []*Host
	serves sync.WaitGroup
	mu     sync.Mutex // guards failed
	failed error
}

// Start lets every host listen on a port of its own on 127.0.0.1. A host is
// started once.
func Start(ctx context.Context, hosts ...*Host) (*Lab, error) {
	l := &Lab{}
	for _, h := range hosts {
		if h.Address() != "" {
			return nil, errors.Join(fmt.Errorf("lab: host %s was started before", h.name), l.Close())
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lab: host %s: %w", h.name, err), l.Close())
		}
		h.mu.Lock()
		h.address = listener.Addr().String()
		h.mu.Unlock()
		l.hosts = append(l.hosts, h)
		l.serves.Go(func() {
			if err := h.server.Serve(listener); err != nil && !errors.Is(err, net.ErrClosed) {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.failed = errors.Join(l.failed, fmt.Errorf("lab: host %s: %w", h.name, err))
			}
		})
	}
	return l, nil
}

// Hosts are the hosts in the order of Start.
func (l *Lab) Hosts() []*Host { return l.hosts }

// Close ends every connection, every script and whatever daemons were doing,
// and waits for them. It is idempotent. Its error says what went wrong while
// the hosts listened.
func (l *Lab) Close() error {
	var closed []error
	for _, h := range l.hosts {
		closed = append(closed, h.close())
	}
	l.serves.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(append(closed, l.failed)...)
}

func (h *Host) close() error {
	h.mu.Lock()
	first := !h.closed
	h.closed = true
	if first {
		close(h.closing)
	}
	h.mu.Unlock()
	if !first {
		return nil
	}
	err := h.server.Close()
	h.background.Wait()
	h.world.close()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("lab: close host %s: %w", h.name, err)
	}
	return nil
}
