package sshpool

import (
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"lifeline/sshpool/sshtest"
)

// jumps is a pool with hosts behind jump hosts: gate is reached directly, inner
// through gate, and nexus and outpost through both.
type jumps struct {
	*Pool
	gate, inner, nexus, outpost *sshtest.Server
}

func withJumps(t *testing.T, change func(*Config), test func(t *testing.T, j jumps)) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", "")
	synctest.Test(t, func(t *testing.T) {
		network := sshtest.Network{}
		any := func(string, ssh.PublicKey) bool { return true }
		server := func(forward sshtest.Network) *sshtest.Server {
			c := sshtest.Config{Handler: shell, Authorize: any, Latency: time.Millisecond}
			if forward != nil {
				c.Forward = func(ctx context.Context, address string) (net.Conn, error) { return forward.Dial(ctx, "tcp", address) }
			}
			s := sshtest.New(c)
			t.Cleanup(func() { s.Close() })
			return s
		}
		beyond, behind := sshtest.Network{}, sshtest.Network{}
		j := jumps{gate: server(behind), inner: server(beyond), nexus: server(nil), outpost: server(nil)}
		network["gate:22"], behind["inner:22"] = j.gate, j.inner
		beyond["nexus:22"], beyond["outpost:22"] = j.nexus, j.outpost

		file := home + "/known_hosts"
		lines := j.gate.KnownHostsLine("gate") + j.inner.KnownHostsLine("inner") + j.nexus.KnownHostsLine("nexus") + j.outpost.KnownHostsLine("outpost")
		if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		one := func(address string, jump ...string) Host {
			return Host{Address: address, User: "ann", Signers: []ssh.Signer{j.gate.ClientKey()}, AgentSocket: "none", ProxyJump: jump}
		}
		cfg := Config{
			Hosts: map[string]Host{
				"gate": one("gate"), "inner": one("inner", "gate"),
				"nexus": one("nexus", "gate", "inner"), "outpost": one("outpost", "inner"),
			},
			KnownHosts: []string{file}, Dial: network.Dial,
		}
		if change != nil {
			change(&cfg)
		}
		p, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		j.Pool = p
		test(t, j)
		if err := p.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		for _, s := range []*sshtest.Server{j.gate, j.inner, j.nexus, j.outpost} {
			s.Close()
		}
	})
}

func TestJumpHostsAreShared(t *testing.T) {
	withJumps(t, nil, func(t *testing.T, j jumps) {
		var callers sync.WaitGroup
		for range 5 {
			for _, name := range []string{"gate", "inner", "nexus", "outpost"} {
				callers.Go(func() {
					if r, err := j.Run(t.Context(), name, Command{Script: "say 0 hello"}); err != nil || string(r.Stdout.Bytes()) != "hello\n" {
						t.Errorf("%s: %+v, %v", name, r, err)
					}
				})
			}
		}
		callers.Wait()
		for name, s := range map[string]*sshtest.Server{"gate": j.gate, "inner": j.inner, "nexus": j.nexus, "outpost": j.outpost} {
			if c := s.Counts(); c.Connections != 1 || c.Commands != 5 {
				t.Errorf("%s has seen %+v", name, c)
			}
		}
	})
}

func TestAJumpHostDies(t *testing.T) {
	withJumps(t, nil, func(t *testing.T, j jumps) {
		var callers sync.WaitGroup
		for _, name := range []string{"nexus", "outpost"} {
			callers.Go(func() {
				r, err := j.Run(t.Context(), name, Command{Script: "sleep 30s"})
				if kindOf(err) != KindLost || r.Outcome != Unknown {
					t.Errorf("%s: %+v, %v", name, r, err)
				}
			})
		}
		time.Sleep(time.Second)
		j.gate.Drop()
		callers.Wait()
		time.Sleep(time.Second)
		if r, err := j.Run(t.Context(), "nexus", Command{Script: "exit 0"}); err != nil || r.Reused {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestAJumpHostFreezes(t *testing.T) {
	withJumps(t, func(c *Config) { c.RunTimeout, c.KillGrace = 5*time.Second, 2*time.Second }, func(t *testing.T, j jumps) {
		begun := time.Now()
		var caller sync.WaitGroup
		caller.Go(func() {
			r, err := j.Run(t.Context(), "nexus", Command{Script: "sleep 1h"})
			if kindOf(err) != KindRunTimeout || r.Outcome != TimedOut || r.Kill.Confirmed {
				t.Errorf("%+v, %v", r, err)
			}
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
		time.Sleep(time.Second)
		j.gate.Freeze()
		caller.Wait()
		// A host that is not connected yet waits for its connect clock only.
		r, err := j.Run(t.Context(), "outpost", Command{Script: "exit 0", ConnectTimeout: 3 * time.Second})
		if kindOf(err) != KindConnectTimeout || r.Connect != 3*time.Second || r.Outcome != NotStarted {
			t.Errorf("%+v, %v", r, err)
		}
		time.Sleep(2 * time.Minute)
		if s := j.Stats()["nexus"]; s.OpenConnections != 0 {
			t.Errorf("the dead connection is still there: %+v", s)
		}
	})
}

func TestNoWayThroughAJumpHost(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*Config)
		host  string
		kind  ErrorKind
		want  string
	}{
		{"no such host behind it", func(c *Config) { c.Hosts["x"] = with(c.Hosts["nexus"], "nowhere") }, "x", KindUnreachable, "no connection from the jump host inner to nowhere:22"},
		{"forwarding is forbidden", func(c *Config) {
			h := c.Hosts["nexus"]
			h.ProxyJump = []string{"gate", "inner", "nexus"}
			c.Hosts["x"] = with(h, "outpost")
		}, "x", KindUnreachable, "no connection from the jump host nexus to outpost:22: open failed"},
		{"it is down", func(c *Config) {
			h := c.Hosts["gate"]
			h.Address = "nowhere"
			c.Hosts["gate"] = h
		}, "nexus", KindUnreachable, "nexus: no way through the jump host: inner: no way through the jump host: gate: no connection to nowhere:22"},
		{"its key is not known", func(c *Config) { c.KnownHosts = []string{"/nowhere"} }, "nexus", KindHostKey, "gate: the host key of gate:22 is not known"},
	} {
		t.Run(c.name, func(t *testing.T) {
			withJumps(t, c.spoil, func(t *testing.T, j jumps) {
				r, err := j.Run(t.Context(), c.host, Command{Script: "exit 0"})
				if kindOf(err) != c.kind || r.Outcome != NotStarted || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
			})
		})
	}
}

// with is a host at another address.
func with(h Host, address string) Host {
	h.Address = address
	return h
}

func TestJumpHostsThatAreNotConfigured(t *testing.T) {
	withJumps(t, func(c *Config) {
		t.Setenv("USER", "ann")
		key := t.TempDir() + "/key"
		keyFile(t, key, "")
		config := t.TempDir() + "/config"
		os.WriteFile(config, []byte("Host gate inner\n\tIdentityFile "+key+"\nHost gate\n\tHostName gate\n"), 0o600)
		c.SSHConfig = []string{config}
		h := c.Hosts["nexus"]
		h.ProxyJump = []string{"bob@gate:22", "inner"}
		o := c.Hosts["outpost"]
		o.ProxyJump = []string{"bob@gate:22", "inner"}
		c.Hosts = map[string]Host{"nexus": h, "outpost": o}
	}, func(t *testing.T, j jumps) {
		for _, name := range []string{"nexus", "outpost"} {
			if r, err := j.Run(t.Context(), name, Command{Script: "exit 0"}); err != nil {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
		}
		if g, i := j.gate.Counts(), j.inner.Counts(); g.Connections != 1 || i.Connections != 1 {
			t.Errorf("gate has seen %+v, inner %+v", g, i)
		}
		if _, err := j.Run(t.Context(), "inner via bob@gate:22", Command{Script: "exit 0"}); kindOf(err) != KindUnknownHost {
			t.Errorf("a command on a jump host that is not configured: %v", err)
		}
	})
}
