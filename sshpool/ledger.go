package sshpool

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A server bans an address for what all of its users do. The breaker of one host
// cannot see that three accounts at one server are wrong, so all hosts that are
// reached at one address share a ledger, which keeps the account that OpenSSH
// keeps of us, at its defaults: PerSourcePenalties in sshd_config(5).
const (
	penaltyAuth   = 5 * time.Second  // a failed authentication
	penaltyNoAuth = time.Second      // a handshake that was broken off
	penaltyBan    = 15 * time.Second // the sum from which on the address is banned
	// penaltyMargin keeps us off the sum: the server's clock counts in seconds.
	penaltyMargin = 2 * time.Second
)

// ledger is what a server may hold against us.
type ledger struct {
	mu      sync.Mutex // guards what follows
	until   time.Time  // when all of it is forgiven: every second forgives one
	flights int        // dials that have not ended, each of which may fail
	changed chan struct{}
}

func newLedger() *ledger { return &ledger{changed: make(chan struct{})} }

// begin waits until a dial that fails cannot lead to a ban, and books it; end
// must follow. It gives up with ctx.
func (g *ledger) begin(ctx context.Context) error {
	for {
		g.mu.Lock()
		owed := max(0, time.Until(g.until)) + time.Duration(g.flights)*penaltyAuth
		over := owed + penaltyAuth + penaltyMargin - penaltyBan
		if over < 0 {
			g.flights++
			g.mu.Unlock()
			return nil
		}
		changed := g.changed
		g.mu.Unlock()
		wait := time.NewTimer(over + time.Millisecond)
		select {
		case <-wait.C:
		case <-changed:
		case <-ctx.Done():
			wait.Stop()
			return context.Cause(ctx)
		}
		wait.Stop()
	}
}

// end books what a dial came to.
func (g *ledger) end(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.flights--
	if now := time.Now(); g.until.Before(now) {
		g.until = now
	}
	g.until = g.until.Add(penalty(err))
	close(g.changed)
	g.changed = make(chan struct{})
}

// penalty is what the server adds for a dial with this end.
func penalty(err error) time.Duration {
	e, ok := errors.AsType[*Error](err)
	switch {
	case err == nil:
		return 0
	case ok && e.Kind == KindAuthentication:
		return penaltyAuth
	case ok && e.Kind == KindConfig: // nothing was sent
		return 0
	}
	return penaltyNoAuth
}
