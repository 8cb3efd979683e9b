package sshpool

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"lifeline/sshpool/sshtest"
)

// An hour of a hundred callers who all try again costs a server that bans like
// OpenSSH 9.8 and later a bounded number of dials, and never a ban: whatever is
// wrong, also with several accounts at the one server.
func TestNobodyIsBanned(t *testing.T) {
	for _, c := range []struct {
		name   string
		hosts  int
		spoil  func(c *Config, h *Host)
		faults sshtest.Faults
		kind   ErrorKind
		most   int // dials in an hour
	}{
		{name: "a wrong key", hosts: 1, kind: KindAuthentication, most: 40,
			spoil: func(_ *Config, h *Host) { h.Signers = []ssh.Signer{sshtest.New(sshtest.Config{}).ClientKey()} }},
		{name: "a wrong key for each of six accounts", hosts: 6, kind: KindAuthentication, most: 6 * 40,
			spoil: func(_ *Config, h *Host) { h.Signers = []ssh.Signer{sshtest.New(sshtest.Config{}).ClientKey()} }},
		{name: "a wrong host key", hosts: 1, kind: KindHostKey, most: 40,
			spoil: func(c *Config, _ *Host) { c.KnownHosts = []string{"/nowhere/known_hosts"} }},
		{name: "a wrong host key for twenty accounts", hosts: 20, kind: KindHostKey, most: 20 * 40,
			spoil: func(c *Config, _ *Host) { c.KnownHosts = []string{"/nowhere/known_hosts"} }},
		{name: "a dead host", hosts: 1, kind: KindUnreachable, most: 80, faults: sshtest.Faults{RefuseConnections: true}},
		{name: "a silent host", hosts: 1, kind: KindConnectTimeout, most: 70, faults: sshtest.Faults{StallHandshake: true}},
		{name: "six silent hosts", hosts: 6, kind: KindConnectTimeout, most: 6 * 70, faults: sshtest.Faults{StallHandshake: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sshtest.Config{Penalties: sshtest.OpenSSHPenalties()}, func(cfg *Config) {
				cfg.OnEvent = nil
				h := cfg.Hosts["nexus"]
				if c.spoil != nil {
					c.spoil(cfg, &h)
				}
				cfg.Hosts = map[string]Host{}
				for i := range c.hosts {
					h.User = fmt.Sprint("ann", i)
					cfg.Hosts[fmt.Sprint("nexus", i)] = h
				}
			}, func(t *testing.T, l lab) {
				l.server.SetFaults(c.faults)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				var callers sync.WaitGroup
				for i := range 100 {
					callers.Go(func() {
						for ctx.Err() == nil {
							r, err := l.Run(ctx, fmt.Sprint("nexus", i%c.hosts), Command{Script: "exit 0", ConnectTimeout: 10 * time.Second})
							honest := kindOf(err) == c.kind || kindOf(err) == KindBackoff || kindOf(err) == KindCanceled || kindOf(err) == KindConnectTimeout
							if r.Outcome != NotStarted || !honest {
								t.Errorf("%s, %v", r.Outcome, err)
							}
							time.Sleep(20 * time.Second)
						}
					})
				}
				callers.Wait()
				dials := 0
				for _, s := range l.Stats() {
					dials += int(s.Dials)
				}
				n := l.server.Counts()
				t.Logf("%d dials, the server has seen %+v", dials, n)
				if n.Banned > 0 || dials > c.most || dials < 10 || n.Commands > 0 {
					t.Errorf("%d dials, want at most %d and no ban; the server has seen %+v", dials, c.most, n)
				}
			})
		})
	}
}

// The penalties of the server in memory are those that were recorded: a client
// without our care is banned, and what the server says first reaches the error.
func TestABanIsNamed(t *testing.T) {
	inBubble(t, sshtest.Config{Penalties: sshtest.OpenSSHPenalties()}, nil, func(t *testing.T, l lab) {
		for range 20 { // probes of the port, each from the same address
			conn, err := l.server.Dial(t.Context(), "tcp", "nexus:22")
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
			time.Sleep(10 * time.Millisecond)
		}
		probes := l.server.Counts().Banned
		r, err := l.run(t, "exit 0")
		if kindOf(err) != KindUnreachable || r.Outcome != NotStarted || !strings.Contains(err.Error(), `said "Not allowed at this time"`) {
			t.Errorf("%+v, %v", r, err)
		}
		for range 100 {
			time.Sleep(time.Second)
			l.run(t, "exit 0")
		}
		if r, err := l.run(t, "exit 0"); err != nil || r.Outcome != Exited {
			t.Errorf("after the ban: %+v, %v", r, err)
		}
		if n := l.server.Counts(); n.Banned == probes || n.Banned > probes+3 {
			t.Errorf("the server has seen %+v", n)
		}
	})
}

// Accounts at one address that are all right wait for each other a moment, and
// none is refused.
func TestALedgerHoldsNobodyUpWhoIsRight(t *testing.T) {
	inBubble(t, sshtest.Config{Penalties: sshtest.OpenSSHPenalties(), Latency: time.Millisecond}, func(c *Config) {
		h := c.Hosts["nexus"]
		for i := range 30 {
			c.Hosts[fmt.Sprint("nexus", i)] = h
		}
	}, func(t *testing.T, l lab) {
		begun := time.Now()
		var callers sync.WaitGroup
		for i := range 30 {
			callers.Go(func() {
				if r, err := l.Run(t.Context(), fmt.Sprint("nexus", i), Command{Script: "exit 0"}); err != nil {
					t.Errorf("%+v, %v", r, err)
				}
			})
		}
		callers.Wait()
		if took := time.Since(begun); took > time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestLedger(t *testing.T) {
	inBubble(t, sshtest.Config{}, nil, func(t *testing.T, l lab) {
		g := newLedger()
		begun := time.Now()
		for range 20 {
			if err := g.begin(t.Context()); err != nil {
				t.Fatal(err)
			}
			g.end(&Error{Kind: KindAuthentication})
			if owed := time.Until(g.until); owed >= penaltyBan-penaltyMargin/2 {
				t.Fatalf("%v owed", owed)
			}
		}
		// 5 s for each, but for what may be owed at the end.
		if took := time.Since(begun); took < 80*time.Second || took > 100*time.Second {
			t.Errorf("20 failures in %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := g.begin(ctx); err == nil {
			t.Error("a dial that could lead to a ban was let through")
		}
	})
	for _, c := range []struct {
		err  error
		want time.Duration
	}{
		{nil, 0}, {&Error{Kind: KindConfig}, 0}, {&Error{Kind: KindAuthentication}, penaltyAuth}, {&Error{Kind: KindHostKey}, penaltyNoAuth}, {net.ErrClosed, penaltyNoAuth},
	} {
		if got := penalty(c.err); got != c.want {
			t.Errorf("penalty(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}
