package sshtest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

// dial connects with x/crypto/ssh's own client: the server is tested without
// the pool.
func dial(t *testing.T, s *Server) (*ssh.Client, error) {
	t.Helper()
	conn, err := s.Dial(t.Context(), "tcp", "nexus:22")
	if err != nil {
		return nil, err
	}
	return handshake(conn, s)
}

func handshake(conn net.Conn, s *Server) (*ssh.Client, error) {
	c, channels, requests, err := ssh.NewClientConn(conn, "nexus:22", &ssh.ClientConfig{
		User: "ann", Auth: []ssh.AuthMethod{ssh.PublicKeys(s.ClientKey())}, HostKeyCallback: ssh.FixedHostKey(s.HostKey()),
	})
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

// inBubble runs a test with a server and one client.
func inBubble(t *testing.T, cfg Config, test func(t *testing.T, s *Server, c *ssh.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := New(cfg)
		defer s.Close()
		c, err := dial(t, s)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		test(t, s, c)
	})
}

func TestACommand(t *testing.T) {
	handler := func(ctx context.Context, c *Command) Exit {
		input, _ := io.ReadAll(c.Stdin)
		fmt.Fprintf(c.Stdout, "%s %s %s %s", c.User, c.Text, c.Env["A"], input)
		fmt.Fprint(c.Stderr, "err")
		return Exit{Status: 3}
	}
	inBubble(t, Config{Handler: handler}, func(t *testing.T, s *Server, c *ssh.Client) {
		session, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Setenv("A", "b"); err != nil {
			t.Error(err)
		}
		in, _ := session.StdinPipe()
		go func() {
			in.Write([]byte("in"))
			in.Close()
		}()
		out, err := session.Output("do it")
		e, ok := err.(*ssh.ExitError)
		if !ok || e.ExitStatus() != 3 || string(out) != "ann do it b in" {
			t.Errorf("%q, %v", out, err)
		}
		synctest.Wait()
		want := Counts{Connections: 1, Authenticated: 1, OpenNow: 1, Sessions: 1, MaxSlots: 1, Commands: 1}
		if diff := cmp.Diff(want, s.Counts()); diff != "" {
			t.Error(diff)
		}
	})
}

// A slot is taken until the process has ended and the channel is closed.
func TestSlotsAreHeldAsByOpenSSH(t *testing.T) {
	handler := func(ctx context.Context, c *Command) Exit {
		time.Sleep(10 * time.Second)
		return Exit{}
	}
	inBubble(t, Config{Handler: handler, MaxSessions: 2, SlotDelay: time.Second}, func(t *testing.T, s *Server, c *ssh.Client) {
		for range 2 {
			session, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			if err := session.Start("x"); err != nil {
				t.Fatal(err)
			}
			session.Close() // does not end the process
		}
		refused := func() bool {
			session, err := c.NewSession()
			if e, ok := err.(*ssh.OpenChannelError); ok {
				return e.Reason == ssh.ConnectionFailed && e.Message == "open failed"
			}
			session.Close()
			return false
		}
		for _, c := range []struct {
			at   time.Duration
			want bool
		}{{0, true}, {9 * time.Second, true}, {10500 * time.Millisecond, true}, {12 * time.Second, false}} {
			time.Sleep(c.at - time.Since(start(t)))
			if got := refused(); got != c.want {
				t.Errorf("after %v: refused %v, want %v", c.at, got, c.want)
			}
		}
	})
}

// start is when a bubble's clock begins.
func start(t *testing.T) time.Time {
	t.Helper()
	return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
}

func TestSignals(t *testing.T) {
	handler := func(ctx context.Context, c *Command) Exit {
		trapped := c.Trap("USR1", "KILL")
		for {
			select {
			case name := <-trapped:
				fmt.Fprint(c.Stdout, name)
			case <-ctx.Done():
				return Exit{Status: 9}
			}
		}
	}
	inBubble(t, Config{Handler: handler}, func(t *testing.T, s *Server, c *ssh.Client) {
		for _, f := range []Faults{{}, {LoseSignals: 1}, {IgnoreSignals: true}} {
			s.SetFaults(f)
			session, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			ask := func(name string) bool {
				ok, err := session.SendRequest("signal", true, ssh.Marshal(struct{ Name string }{name}))
				if err != nil {
					t.Error(err)
				}
				return ok
			}
			if ask("TERM") {
				t.Error("a signal was acknowledged before there was a process")
			}
			out, _ := session.StdoutPipe()
			if err := session.Start("x"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got, want := ask("USR1"), !f.IgnoreSignals; got != want {
				t.Errorf("%+v: USR1 acknowledged: %v", f, got)
			}
			if ask("WINCH") {
				t.Error("WINCH is no signal of SSH's servers")
			}
			if got, want := ask("KILL"), !f.IgnoreSignals; got != want {
				t.Errorf("%+v: KILL acknowledged: %v", f, got)
			}
			if f.IgnoreSignals {
				session.Close()
				continue
			}
			text, _ := io.ReadAll(out)
			e, ok := session.Wait().(*ssh.ExitError)
			if !ok || e.Signal() != "KILL" || string(text) != "USR1" {
				t.Errorf("%+v: %q, %v", f, text, e)
			}
		}
	})
}

func TestFaultsBeforeTheLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		defer s.Close()
		s.SetFaults(Faults{RefuseConnections: true})
		if _, err := dial(t, s); err == nil {
			t.Error("a refused connection was opened")
		}
		s.SetFaults(Faults{PreBanner: "Not allowed at this time"})
		conn, err := s.Dial(t.Context(), "tcp", "nexus:22")
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(conn); string(text) != "Not allowed at this time\r\n" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		for _, f := range []Faults{{StallHandshake: true}, {StallAuth: true}} {
			s.SetFaults(f)
			conn, err := s.Dial(t.Context(), "tcp", "nexus:22")
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			time.AfterFunc(time.Hour, func() { conn.Close() })
			if _, err := handshake(conn, s); err == nil || time.Since(begun) != time.Hour {
				t.Errorf("%+v: %v after %v", f, err, time.Since(begun))
			}
		}
		s.SetFaults(Faults{})
		was := s.HostKey()
		s.SetHostKey(nil)
		if cmp.Equal(was.Marshal(), s.HostKey().Marshal()) {
			t.Error("the host key has not changed")
		}
		if c, err := dial(t, s); err != nil {
			t.Error(err)
		} else {
			c.Close()
		}
	})
}

func TestFreezeAndDrop(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *Server, c *ssh.Client) {
		s.Freeze()
		answered := make(chan error, 1)
		go func() {
			_, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
			answered <- err
		}()
		select {
		case <-answered:
			t.Error("answered over a frozen link")
		case <-time.After(time.Hour):
		}
		s.Thaw()
		if err := <-answered; err != nil {
			t.Errorf("after the thaw: %v", err)
		}
		s.Drop()
		if err := c.Wait(); err != io.EOF {
			t.Errorf("after the drop: %v", err)
		}
	})
}

func TestLatency(t *testing.T) {
	inBubble(t, Config{Latency: 30 * time.Millisecond}, func(t *testing.T, s *Server, c *ssh.Client) {
		begun := time.Now()
		session, err := c.NewSession()
		if took := time.Since(begun); err != nil || took != 60*time.Millisecond {
			t.Errorf("a round trip took %v, %v", took, err)
		}
		session.Close()
	})
}

func TestForward(t *testing.T) {
	target := New(Config{Handler: func(ctx context.Context, c *Command) Exit {
		fmt.Fprint(c.Stdout, "beyond")
		return Exit{}
	}})
	defer target.Close()
	network := Network{"beyond:2222": target}
	gate := New(Config{Forward: func(ctx context.Context, address string) (net.Conn, error) { return network.Dial(ctx, "tcp", address) }})
	defer gate.Close()
	c, err := dial(t, gate)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Dial("tcp", "nowhere:22"); err == nil {
		t.Error("a way to nowhere")
	}
	conn, err := c.Dial("tcp", "beyond:2222")
	if err != nil {
		t.Fatal(err)
	}
	inner, err := handshake(conn, target)
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	session, err := inner.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := session.Output("x"); err != nil || string(out) != "beyond" {
		t.Errorf("%q, %v", out, err)
	}
	if n := gate.Counts().Forwards; n != 1 {
		t.Errorf("%d forwards, want 1", n)
	}
}

// Serve is the same over real sockets, and ends with Close.
func TestServe(t *testing.T) {
	s := New(Config{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.Serve(l); err != nil {
			t.Error(err)
		}
	})
	key, err := ssh.ParsePrivateKey(s.ClientKeyPEM())
	if err != nil || !cmp.Equal(key.PublicKey().Marshal(), s.ClientKey().PublicKey().Marshal()) {
		t.Errorf("ClientKeyPEM is another key: %v", err)
	}
	for range 3 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c, err := handshake(conn, s)
		if err != nil {
			t.Fatal(err)
		}
		session, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Run("x"); err != nil {
			t.Error(err)
		}
		c.Close()
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	serving.Wait()
	if c := s.Counts(); c.Connections != 3 || c.Commands != 3 || c.OpenNow != 0 || c.RunningNow != 0 {
		t.Errorf("%+v", c)
	}
	if err := s.Serve(l); err == nil {
		t.Error("a closed server serves")
	}
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(addr("a:1"), addr("b:1"), time.Second)
		defer a.Close()
		defer b.Close()
		b.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		a.Write([]byte("x"))
		if _, err := b.Read(make([]byte, 1)); err != os.ErrDeadlineExceeded {
			t.Errorf("got %v", err)
		}
		b.SetReadDeadline(time.Time{})
		if n, err := b.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	})
}

// A client that fails too often is banned as by OpenSSH 9.8 and later, and let in
// again when all is forgiven.
func TestPenalties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Penalties: OpenSSHPenalties()})
		defer s.Close()
		dial := func(key ssh.Signer) error {
			conn, err := s.Dial(t.Context(), "tcp", "nexus:22")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			c, channels, requests, err := ssh.NewClientConn(conn, "nexus:22", &ssh.ClientConfig{
				User: "ann", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(s.HostKey()),
			})
			if err != nil {
				return err
			}
			go ssh.DiscardRequests(requests)
			go func() {
				for range channels {
				}
			}()
			c.Close()
			return nil
		}
		wrong := New(Config{}).ClientKey()
		for i := range 3 { // 5 s each, and 15 s are a ban
			if err := dial(s.ClientKey()); err != nil {
				t.Errorf("after %d failures: %v", i, err)
			}
			if err := dial(wrong); err == nil {
				t.Error("a wrong key was let in")
			}
			synctest.Wait()
		}
		for range 14 {
			if err := dial(s.ClientKey()); err == nil {
				t.Error("a banned address was let in")
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second)
		if err := dial(s.ClientKey()); err != nil {
			t.Errorf("after the ban: %v", err)
		}
		if n := s.Counts(); n.Banned != 14 {
			t.Errorf("%d turned away, want 14", n.Banned)
		}
	})
}
