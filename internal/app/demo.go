package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/store"
	"lifeline/internal/timeline"
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
	// connection, lost, timed out, refused.
	Failed int
	// Cause says why the first of them failed; "" if none did.
	Cause string
	Took  time.Duration
}

// Replay runs commands once more on one host, so many at once, to compare the
// ways of reaching it: over one connection that all share, which is opened and
// closed within the time that is measured; or each over a connection of its
// own, opened and closed by the same code. They go through the door like any
// others. Since a change would be made twice, it refuses any host that is not
// on loopback: it exists for simulated ones.
func Replay(ctx context.Context, cfg *config.Config, host string, commands []string, parallel int, connectionEach bool) (_ Replayed, err error) {
	h, known := cfg.Hosts[host]
	if address, _, err := net.SplitHostPort(h.Address); !known || err != nil || !isLoopback(address) {
		return Replayed{}, fmt.Errorf("replay on %s: only a host on a loopback address is replayed on", host)
	}
	record, err := store.Open(ctx, cfg.Store.URL, store.Options{})
	if err != nil {
		return Replayed{}, err
	}
	defer func() { err = errors.Join(err, record.Close()) }()
	requests := make([]lifeline.CommandRequest, len(commands))
	for i, command := range commands {
		requests[i] = lifeline.CommandRequest{Host: host, Command: command, Actor: "demo", Purpose: "to compare"}
	}
	var way *way
	if connectionEach {
		way, err = connectionForEach(cfg, host, record, len(commands))
	} else {
		way, err = oneConnection(cfg, host, record)
	}
	if err != nil {
		return Replayed{}, err
	}
	defer func() { err = errors.Join(err, way.close(ctx)) }()
	begun := time.Now()
	ends, err := way.run(ctx, requests, parallel, nil)
	err = errors.Join(err, way.close(ctx))
	out := Replayed{Commands: len(commands), Took: time.Since(begun)}
	for _, end := range ends {
		if end.Outcome != lifeline.OutcomeExited {
			out.Failed++
			out.Cause = cmp.Or(out.Cause, end.Error, end.Reason, string(end.Outcome))
		}
	}
	return out, err
}

func isLoopback(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.IsLoopback()
}
