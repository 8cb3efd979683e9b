package sshpool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"lifeline/sshpool/sshtest"
)

// shell plays a few commands:
//
//	exit N        ends with the status N
//	sleep D       waits; every signal ends it
//	stubborn D    waits; only KILL ends it
//	undead D      waits; nothing ends it
//	say N TEXT    prints TEXT and ends with the status N
//	cat           copies its input
//	daemon D      ends at once; a child holds the output open
//	spew N        prints N bytes
func shell(ctx context.Context, c *sshtest.Command) sshtest.Exit {
	verb, rest, _ := strings.Cut(c.Text, " ")
	wait, _ := time.ParseDuration(rest)
	switch verb {
	case "exit":
		n, _ := strconv.Atoi(rest)
		return sshtest.Exit{Status: n}
	case "sleep":
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	case "stubborn":
		c.Trap("TERM", "INT", "HUP")
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	case "undead":
		time.Sleep(wait)
	case "say":
		status, text, _ := strings.Cut(rest, " ")
		n, _ := strconv.Atoi(status)
		fmt.Fprintln(c.Stdout, text)
		fmt.Fprintln(c.Stderr, "to stderr: "+text)
		return sshtest.Exit{Status: n}
	case "cat":
		io.Copy(c.Stdout, c.Stdin)
	case "daemon":
		fmt.Fprintln(c.Stdout, "started")
		return sshtest.Exit{Background: func(ctx context.Context) {
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}}
	case "spew":
		n, _ := strconv.Atoi(rest)
		io.Copy(c.Stdout, io.LimitReader(pattern{}, int64(n)))
	default:
		return sshtest.Exit{Status: 127}
	}
	return sshtest.Exit{}
}

// pattern is an endless stream of a's.
type pattern struct{}

func (pattern) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// recorder keeps the events of a pool.
type recorder struct {
	mu     sync.Mutex
	events []Event
}

func (r *recorder) record(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) kinds() []EventKind {
	r.mu.Lock()
	defer r.mu.Unlock()
	kinds := []EventKind{}
	for _, e := range r.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// host is a Host of a server, with its own key as the only credential.
func host(s *sshtest.Server) Host {
	return Host{Address: "nexus:22", User: "ann", Signers: []ssh.Signer{s.ClientKey()}, AgentSocket: "none"}
}

// knownHosts writes a known_hosts file.
func knownHosts(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// lab is a pool with one host "nexus" behind one server.
type lab struct {
	*Pool
	server *sshtest.Server
	events *recorder
}

// inBubble runs a test with a server and a pool in a bubble, where time costs
// nothing, and fails if a goroutine is left behind.
func inBubble(t *testing.T, server sshtest.Config, change func(*Config), test func(t *testing.T, l lab)) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", "")
	if server.Handler == nil {
		server.Handler = shell
	}
	synctest.Test(t, func(t *testing.T) {
		s := sshtest.New(server)
		defer s.Close()
		events := &recorder{}
		file := filepath.Join(home, "known_hosts")
		if err := os.WriteFile(file, []byte(s.KnownHostsLine("nexus")), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := Config{
			Hosts: map[string]Host{"nexus": host(s)}, KnownHosts: []string{file},
			Dial: s.Dial, OnEvent: events.record,
		}
		if change != nil {
			change(&cfg)
		}
		p, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
			defer cancel()
			select {
			case <-p.finished: // the test looks at Shutdown itself
				return
			default:
			}
			if err := p.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		}()
		test(t, lab{p, s, events})
	})
}

// noSpares is a configuration in which every command opens its own session.
func noSpares(c *Config) { c.SpareSessions = -1 }

// run runs a script on nexus.
func (l lab) run(t *testing.T, script string) (*Result, error) {
	return l.Run(t.Context(), "nexus", Command{Script: script})
}

// kindOf is the kind of an error of the pool; "" for nil.
func kindOf(err error) ErrorKind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ErrorKind("not an *Error: " + err.Error())
}

// stuckConn is a connection whose writes block once the handshake is over.
type stuckConn struct {
	net.Conn
	stuck  chan struct{} // closed when writes are to block
	closed chan struct{}
	once   sync.Once
}

func (c *stuckConn) Write(p []byte) (int, error) {
	select {
	case <-c.stuck:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return c.Conn.Write(p)
	}
}

func (c *stuckConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// isDied reports whether a try may be made again.
func isDied(err error) bool { return errors.Is(err, errDied) }
