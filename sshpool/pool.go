package sshpool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Pool runs commands on hosts. It is safe for concurrent use.
type Pool struct {
	cfg   Config
	lines map[string]*line // by name; jump hosts that are not configured among them
	dials chan struct{}    // one for each handshake in flight
	// ledgers by address; complete when New returns.
	ledgers    map[string]*ledger
	knownHosts hostKeyFiles

	stopping chan struct{} // closed when no new work is taken
	forced   chan struct{} // closed when running commands are ended
	finished chan struct{} // closed when Shutdown is over
	runs     sync.WaitGroup
	wg       sync.WaitGroup // every goroutine of the pool

	mu      sync.Mutex // guards what follows
	running int
	ended   int   // commands that Shutdown ended
	leaked  error // what Shutdown had to leave behind
}

// New checks the configuration and returns a pool. It reads ssh_config where a
// host needs it, and opens no connection. The error is an *Error.
func New(cfg Config) (*Pool, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Pool{
		cfg: cfg, lines: map[string]*line{}, ledgers: map[string]*ledger{}, dials: make(chan struct{}, cfg.MaxDials),
		stopping: make(chan struct{}), forced: make(chan struct{}), finished: make(chan struct{}),
	}
	r := newResolver(cfg)
	for _, name := range slices.Sorted(maps.Keys(cfg.Hosts)) {
		if name == "" {
			return nil, configError("", "Config.Hosts holds a host without a name")
		}
		t, err := r.target(name, cfg.Hosts[name])
		if err != nil {
			return nil, err
		}
		p.lines[name] = newLine(p, t)
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Hosts)) {
		if err := p.connectHops(r, p.lines[name], nil); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// ledgerOf is the account of a target's server. The same address behind other
// jump hosts may be another server.
func (p *Pool) ledgerOf(t *target) *ledger {
	if t.local {
		return nil
	}
	key := t.address() + " " + strings.Join(t.jump, ",")
	g, ok := p.ledgers[key]
	if !ok {
		g = newLedger()
		p.ledgers[key] = g
	}
	return g
}

// connectHops finds the lines of a host's jump hosts, and makes those that are
// missing. path holds the hosts on the way here, to find a circle.
func (p *Pool) connectHops(r *resolver, l *line, path []string) error {
	name := l.target.name
	if slices.Contains(path, name) {
		return configError(path[0], "ProxyJump goes in a circle: %s", strings.Join(append(path, name), " -> "))
	}
	if l.hop != nil || len(l.target.jump) == 0 {
		return nil
	}
	path = append(slices.Clone(path), name)
	var before *line
	for i, spec := range l.target.jump {
		hop, known := p.lines[spec]
		switch {
		case known && hop.target.local:
			return configError(name, "ProxyJump %q is a local host", spec)
		case known && i > 0 && !slices.Equal(hop.target.jump, l.target.jump[:i]):
			// The same host, reached another way: a connection of its own.
			other := *hop.target
			other.name, other.jump = spec+" via "+strings.Join(l.target.jump[:i], ","), l.target.jump[:i]
			if hop, known = p.lines[other.name]; !known {
				hop = newLine(p, &other)
			}
		case !known:
			t, err := r.hop(spec)
			if err != nil {
				return named(err, name)
			}
			if i > 0 {
				t.jump = l.target.jump[:i]
				t.name += " via " + strings.Join(t.jump, ",")
			}
			if hop, known = p.lines[t.name]; !known {
				hop = newLine(p, t)
			}
		}
		p.lines[hop.target.name] = hop
		if i > 0 && hop.hop == nil {
			hop.hop = before
		}
		if err := p.connectHops(r, hop, path); err != nil {
			return err
		}
		before = hop
	}
	l.hop = before
	return nil
}

// named puts the host's name on an error that has none.
func named(err error, host string) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Host != "" {
		return err
	}
	copied := *e
	copied.Host = host
	return &copied
}

// Run runs cmd on host. The Result is never nil, whatever happened; the error
// is nil if and only if the Outcome is Exited or Signaled, and an *Error
// otherwise. A non-zero exit status is not an error.
//
// ctx ends the command: one that runs is ended as by a run timeout. If it was
// seen to end, the result says how, without an error; otherwise its Outcome is
// Unknown and Kill says what was done. The answer comes in bounded time on any
// link: at most twice the KillGrace, or a second for a short one, after a
// clock or ctx ended; and as long again and 4 seconds for the look for what has
// left the process group, if the command has a Shell.
func (p *Pool) Run(ctx context.Context, host string, cmd Command) (*Result, error) {
	r := &Result{Host: host, Outcome: NotStarted}
	l, ok := p.lines[host]
	if !ok || !p.configured(host) {
		return r, &Error{Kind: KindUnknownHost, Host: host, Message: "no host of that name is configured; there are: " + p.names()}
	}
	begun := time.Now()
	err := p.runOn(ctx, l, cmd, r)
	l.account(cmd, r, err, time.Since(begun))
	return r, err
}

func (p *Pool) runOn(ctx context.Context, l *line, cmd Command, r *Result) error {
	j, err := newJob(l.target.name, cmd, p.cfg, l.target.local)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return l.canceled(ctx, "before it began; it did not start")
	}
	if !p.enter() {
		return p.closedError(l.target.name)
	}
	defer p.leave()
	if l.target.local {
		return l.runLocal(ctx, j, r)
	}
	return l.run(ctx, j, r)
}

func (p *Pool) configured(host string) bool {
	_, ok := p.cfg.Hosts[host]
	return ok
}

func (p *Pool) names() string {
	if len(p.cfg.Hosts) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(p.cfg.Hosts)), ", ")
}

// enter counts a command in, unless the pool takes no more.
func (p *Pool) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.stopping:
		return false
	default:
	}
	p.running++
	p.runs.Add(1)
	return true
}

func (p *Pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	p.runs.Done()
}

func (p *Pool) closedError(host string) *Error {
	return &Error{Kind: KindClosed, Host: host, Message: "the pool is shut down"}
}

// account counts a command that has ended, and tells of it.
func (l *line) account(cmd Command, r *Result, err error, took time.Duration) {
	l.mu.Lock()
	defer l.unlock()
	note := func(kind EventKind) {
		l.noteLocked(Event{Kind: kind, Command: cmd.Script, Duration: took, Err: err})
	}
	l.stats.Commands++
	if e, ok := errors.AsType[*Error](err); ok {
		switch e.Kind {
		case KindQueueTimeout, KindConnectTimeout, KindRunTimeout:
			l.stats.Timeouts++
			note(CommandTimeout)
		}
	}
	if r.Kill != nil {
		l.stats.Kills++
		note(CommandKilled)
	}
	if r.Outcome == Unknown {
		l.stats.Unknown++
		note(CommandUnknown)
	}
}

// Warm connects to the hosts in the background, and connects again when the
// connection is lost, as often as the backoff allows. It ends with Shutdown. A
// name that is not configured panics: it is a mistake of the program.
func (p *Pool) Warm(hosts ...string) {
	for _, host := range hosts {
		l, ok := p.lines[host]
		if !ok || !p.configured(host) {
			panic(fmt.Sprintf("sshpool: Warm(%q): no host of that name is configured", host))
		}
		if l.target.local || !p.enter() {
			continue
		}
		l.mu.Lock()
		already := l.warm
		l.warm = true
		l.mu.Unlock()
		if !already {
			p.wg.Go(l.keepWarm)
		}
		p.leave()
	}
}

// keepWarm is the life of a warm line.
func (l *line) keepWarm() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l.pool.wg.Go(func() {
		select {
		case <-l.pool.stopping:
			cancel()
		case <-ctx.Done():
		}
	})
	for ctx.Err() == nil {
		c, err := l.connected(ctx, l.pool.cfg.ConnectTimeout)
		var gone <-chan struct{}
		var again <-chan time.Time
		if err == nil {
			gone = c.dead()
		} else {
			l.mu.Lock()
			pause := l.breaker.open(time.Now())
			l.mu.Unlock()
			again = time.After(max(pause, 100*time.Millisecond))
		}
		select {
		case <-gone:
		case <-again:
		case <-ctx.Done():
		}
	}
}

// Stats counts what happened, by host. A jump host that is not configured
// counts under its name in ProxyJump.
func (p *Pool) Stats() map[string]HostStats {
	all := make(map[string]HostStats, len(p.lines))
	for name, l := range p.lines {
		all[name] = l.snapshot()
	}
	return all
}

func (l *line) snapshot() HostStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	for _, c := range l.conns {
		s.SessionsInUse += c.usedLocked()
		s.SpareSessions += len(c.spares)
	}
	if !l.target.local {
		s.OpenConnections = len(l.conns)
	}
	s.Waiting, s.SessionLimit = len(l.waiters), l.limit.value
	if len(l.conns) > 0 && !l.target.local {
		c := l.conns[0]
		s.ConnectedSince, s.HostKey, s.RoundTrip = c.opened, c.hostKey, c.roundTrip
	}
	if b := l.breaker; b.failures > 0 {
		s.Failures, s.NextDial = b.failures, b.until
		if e, ok := errors.AsType[*Error](b.last); ok {
			bare := *e // the host is known
			bare.Host = ""
			s.FailureKind, s.LastFailure = e.Kind, bare.Error()
		} else {
			s.LastFailure = b.last.Error()
		}
	}
	return s
}
