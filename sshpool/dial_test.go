package sshpool

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"lifeline/sshpool/sshtest"
)

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A failed dial is remembered: what is asked meanwhile gets the error without a
// dial, and the pause grows.
func TestTheBreaker(t *testing.T) {
	for _, c := range []struct {
		name      string
		spoil     func(*Config)
		faults    sshtest.Faults
		kind      ErrorKind
		most      int // dials in 10 minutes of asking each second
		least     int
		hint, say string
	}{
		{
			name: "wrong key", kind: KindAuthentication, most: 9, least: 5,
			spoil: func(c *Config) {
				h := c.Hosts["nexus"]
				_, private, _ := ed25519.GenerateKey(rand.Reader)
				s, _ := ssh.NewSignerFromKey(private)
				h.Signers = []ssh.Signer{s}
				c.Hosts["nexus"] = h
			},
			say: `does not let "ann" in; offered: ssh-ed25519 SHA256:`, hint: "ssh-copy-id ann@nexus",
		},
		{
			name: "no key", kind: KindAuthentication, most: 9, least: 5,
			spoil: func(c *Config) {
				h := c.Hosts["nexus"]
				h.Signers = nil
				c.Hosts["nexus"] = h
			},
			say: "offered: no key", hint: "ssh-add",
		},
		{
			name: "unknown host key", kind: KindHostKey, most: 9, least: 5,
			spoil: func(c *Config) { c.KnownHosts = []string{"/nowhere/known_hosts"} },
			say:   "is not known: it is ssh-ed25519 SHA256:", hint: "ssh-keyscan nexus",
		},
		{
			name: "refused connection", kind: KindUnreachable, most: 25, least: 10, faults: sshtest.Faults{RefuseConnections: true},
			say: "connection refused", hint: "nc -vz nexus 22",
		},
		{
			name: "MaxStartups", kind: KindUnreachable, most: 8, least: 4, faults: sshtest.Faults{PreBanner: "Exceeded MaxStartups"},
			say: `said "Exceeded MaxStartups" and closed`, hint: "MaxStartups",
		},
		{
			name: "ban", kind: KindUnreachable, most: 8, least: 4, faults: sshtest.Faults{PreBanner: "Not allowed at this time\x1b[2J"},
			say: `said "Not allowed at this time?[2J" and closed`, hint: "PerSourcePenalties",
		},
		{
			name: "missing identity", kind: KindConfig, most: 60, least: 20,
			spoil: func(c *Config) {
				h := c.Hosts["nexus"]
				h.Signers, h.IdentityFiles = nil, []string{"/nowhere/key"}
				c.Hosts["nexus"] = h
			},
			say: "/nowhere/key", hint: "ssh-keygen",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sshtest.Config{}, c.spoil, func(t *testing.T, l lab) {
				l.server.SetFaults(c.faults)
				r, first := l.run(t, "exit 0")
				e, _ := errors.AsType[*Error](first)
				if kindOf(first) != c.kind || r.Outcome != NotStarted || !strings.Contains(first.Error(), c.say) || !strings.Contains(e.Hint, c.hint) {
					t.Fatalf("%s, %v\nhint: %s", r.Outcome, first, e.Hint)
				}
				_, second := l.run(t, "exit 0")
				e, _ = errors.AsType[*Error](second)
				if kindOf(second) != KindBackoff || kindOf(e.Err) != c.kind || !strings.Contains(second.Error(), c.say) || !strings.Contains(e.Hint, c.hint) {
					t.Errorf("%v\nhint: %s", second, e.Hint)
				}
				for range 600 {
					time.Sleep(time.Second)
					l.run(t, "exit 0")
				}
				if s := l.Stats()["nexus"]; int(s.Dials) > c.most || int(s.Dials) < c.least || s.DialFailures != s.Dials {
					t.Errorf("%d dials in 10 minutes, want %d to %d", s.Dials, c.least, c.most)
				}
				if n := l.server.Counts(); n.Commands != 0 {
					t.Errorf("the server has seen %+v", n)
				}
			})
		})
	}
}

func TestTheBreakerClosesAfterASuccess(t *testing.T) {
	inBubble(t, sshtest.Config{}, nil, func(t *testing.T, l lab) {
		l.server.SetFaults(sshtest.Faults{RefuseConnections: true})
		l.run(t, "exit 0")
		l.server.SetFaults(sshtest.Faults{})
		time.Sleep(time.Second)
		if _, err := l.run(t, "exit 0"); err != nil {
			t.Error(err)
		}
	})
}

// No more handshakes than MaxDials are in flight over all hosts.
func TestDialsAreCapped(t *testing.T) {
	var now, most atomic.Int32
	inBubble(t, sshtest.Config{Latency: 10 * time.Millisecond}, func(c *Config) {
		c.MaxDials = 3
		one := c.Hosts["nexus"]
		for _, name := range strings.Split("abcdefghijklmnop", "") {
			one.Address, one.HostKeys = name+":22", HostKeysAcceptNew // at one address only two dial at once
			c.Hosts[name] = one
		}
		dial := c.Dial
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for {
				old := most.Load()
				if n <= old || most.CompareAndSwap(old, n) {
					break
				}
			}
			time.Sleep(time.Second)
			return dial(ctx, network, address)
		}
	}, func(t *testing.T, l lab) {
		var callers sync.WaitGroup
		for name := range l.cfg.Hosts {
			callers.Go(func() {
				if _, err := l.Run(t.Context(), name, Command{Script: "exit 0"}); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		if got := most.Load(); got != 3 {
			t.Errorf("%d dials at once, want 3", got)
		}
	})
}

func TestAServerThatHangsUp(t *testing.T) {
	for name, speak := range map[string]struct {
		text string
		kind ErrorKind
		say  string
	}{
		"at once":                {"", KindUnreachable, "closed the connection at once"},
		"a web server":           {"HTTP/1.1 400 Bad Request\r\n\r\n", KindUnreachable, `said "HTTP/1.1 400 Bad Request"`},
		"after its version":      {"SSH-2.0-x\r\n", KindUnreachable, "the handshake with nexus:22 failed"},
		"with a lot of nonsense": {strings.Repeat("x", 5000) + "\n", KindUnreachable, `said "xxx`},
	} {
		inBubble(t, sshtest.Config{}, func(c *Config) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					buf := make([]byte, 1024)
					theirs.Read(buf)
					if speak.text != "" {
						theirs.Write([]byte(speak.text))
					}
					theirs.Close()
				}()
				return ours, nil
			}
		}, func(t *testing.T, l lab) {
			_, err := l.run(t, "exit 0")
			if kindOf(err) != speak.kind || !strings.Contains(err.Error(), speak.say) || len(err.Error()) > 1500 {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestBreakerPauses(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		err         error
		first, last time.Duration
	}{
		{&Error{Kind: KindAuthentication}, 15 * time.Second, 2 * time.Minute},
		{&Error{Kind: KindHostKey}, 15 * time.Second, 2 * time.Minute},
		{&Error{Kind: KindUnreachable}, 500 * time.Millisecond, time.Minute},
		{&Error{Kind: KindConnectTimeout}, 500 * time.Millisecond, time.Minute},
		{&Error{Kind: KindUnreachable, Err: errTurnedAway}, 15 * time.Second, 10 * time.Minute},
		{&Error{Kind: KindConfig}, 2 * time.Second, 15 * time.Second},
	} {
		var b breaker
		if b.open(now) != 0 {
			t.Error("a new breaker is open")
		}
		b.fail(c.err, now)
		if d := b.open(now); d < c.first || d > c.first*5/4 {
			t.Errorf("%v: first pause %v, want %v and at most a quarter more", c.err, d, c.first)
		}
		for range 100 {
			b.fail(c.err, now)
		}
		if d := b.open(now); d < c.last || d > c.last*5/4 {
			t.Errorf("%v: last pause %v, want %v and at most a quarter more", c.err, d, c.last)
		}
		if b.open(now.Add(c.last*5/4)) != 0 {
			t.Errorf("%v: the pause does not end", c.err)
		}
	}
}

func TestSlept(t *testing.T) {
	for _, c := range []struct{ wall, mono, want time.Duration }{
		{5 * time.Second, 5 * time.Second, 0},
		{8 * time.Second, 5 * time.Second, 0},
		{-time.Hour, 5 * time.Second, 0},
		{time.Hour + 5*time.Second, 5 * time.Second, time.Hour},
	} {
		if got := slept(c.wall, c.mono); got != c.want {
			t.Errorf("slept(%v, %v) = %v, want %v", c.wall, c.mono, got, c.want)
		}
	}
}
