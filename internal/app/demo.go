package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/guard"
	"lifeline/internal/timeline"
	"lifeline/sshpool"
)

// Watch gives every event that is put on record from now on, until stop is
// called. A reader that lags more than a thousand events behind misses some.
func (a *App) Watch() (events <-chan lifeline.Event, stop func()) {
	w := a.hub.Watch("")
	return w.Events(), w.Close
}

// EventLine is an event as one line for a terminal: the seconds since start,
// who, and what. Text from outside is escaped.
func EventLine(e lifeline.Event, start time.Time) string { return timeline.Line(e, start) }

// Case is an incident as it stands, with its commands in the order in which
// they were asked for.
func (a *App) Case(ctx context.Context, incidentID string) (lifeline.Incident, []lifeline.Command, error) {
	inc, err := a.store.Incident(ctx, incidentID)
	if err != nil {
		return inc, nil, err
	}
	commands, err := a.store.Commands(ctx, inc.ID)
	return inc, commands, err
}

// HostStats counts what the pool did on one host since New.
type HostStats struct {
	Opened, Reused, Timeouts int
}

// HostStats of a host that is not configured are zero.
func (a *App) HostStats(host string) HostStats {
	h := a.door.pool.Stats()[host]
	return HostStats{Opened: int(h.Established), Reused: int(h.Reused), Timeouts: int(h.Timeouts)}
}

// Replayed is what running commands once more took.
type Replayed struct {
	Commands int
	// Failed counts the commands that did not end with an exit status: no
	// connection, lost, timed out.
	Failed int
	// Cause is the first failure's; nil if nothing failed.
	Cause error
	Took  time.Duration
}

// Replay runs commands once more on one host, so many at once, to compare the
// ways of reaching it: over one connection that all share, which is opened and
// closed within the time that is measured; or each over a connection of its
// own, opened and closed by the same code. It exists for simulated hosts: there
// is no guard in front of it, so it refuses any host that is not on loopback.
func Replay(ctx context.Context, cfg *config.Config, host string, commands []string, parallel int, connectionEach bool) (Replayed, error) {
	h, known := cfg.Hosts[host]
	if address, _, err := net.SplitHostPort(h.Address); !known || err != nil || !isLoopback(address) {
		return Replayed{}, fmt.Errorf("replay on %s: only a host on a loopback address is replayed on", host)
	}
	pc := poolConfig(cfg, nil)
	only := pc.Hosts[host]
	only.AgentSocket = "none" // a person's own keys have no business here
	pc.Hosts = map[string]sshpool.Host{host: only}

	// The pools are made before the clock starts: reading known_hosts and the
	// key is not what is compared.
	pools := make([]*sshpool.Pool, len(commands))
	for i := range pools {
		if i > 0 && !connectionEach {
			pools[i] = pools[0]
			continue
		}
		pool, err := sshpool.New(pc)
		if err != nil {
			return Replayed{}, errors.Join(poolError(err), shutdown(ctx, pools[:i]))
		}
		pools[i] = pool
	}
	var (
		mu    sync.Mutex // guards out and closed
		out   = Replayed{Commands: len(commands)}
		all   errgroup.Group
		begun = time.Now()
	)
	all.SetLimit(max(parallel, 1))
	var closed []error
	for i, command := range commands {
		all.Go(func() error {
			result, err := pools[i].Run(ctx, host, sshpool.Command{Script: command, Shell: guard.Shell})
			var closing error
			if connectionEach {
				closing = shutdown(ctx, pools[i:i+1])
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil || result.Outcome != sshpool.Exited {
				out.Failed++
				out.Cause = cmp.Or(out.Cause, err, fmt.Errorf("%s: %s", result.Outcome, command))
			}
			closed = append(closed, closing)
			return nil
		})
	}
	_ = all.Wait() // no function of it fails
	if !connectionEach {
		closed = append(closed, shutdown(ctx, pools[:min(len(pools), 1)]))
	}
	out.Took = time.Since(begun)
	return out, errors.Join(closed...)
}

// shutdown closes pools, also if the caller has given up.
func shutdown(ctx context.Context, pools []*sshpool.Pool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var all []error
	for _, p := range pools {
		all = append(all, p.Shutdown(ctx))
	}
	return errors.Join(all...)
}

func isLoopback(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.IsLoopback()
}
