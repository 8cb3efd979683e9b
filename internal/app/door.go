package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/guard"
	"lifeline/internal/redact"
	"lifeline/internal/store"
	"lifeline/shellpolicy"
	"lifeline/sshpool"
)

// DoorOptions of a Door.
type DoorOptions struct {
	Logger *slog.Logger
	// Confirm is asked about what the policy does not decide alone; nil: such
	// commands are refused.
	Confirm func(ctx context.Context, cmd lifeline.Command) (bool, error)

	inForce func() error // see guard.Config.InForce
	seams   seams
}

// Door is the guard with the pool behind it.
type Door struct {
	*guard.Guard
	pool *sshpool.Pool
	// store is closed with the door if the door opened it.
	store *store.Store
}

// OpenDoor opens the record and the pool for commands that a person runs.
func OpenDoor(ctx context.Context, cfg *config.Config, opts DoorOptions) (*Door, error) {
	redact := newRedactor(cfg)
	opts.Logger = guardedLog(opts.Logger, redact)
	opened, err := storeOptions(cfg, opts.Logger)
	if err != nil {
		return nil, err
	}
	record, err := store.Open(ctx, cfg.Store.URL, opened)
	if err != nil {
		return nil, err
	}
	door, err := newDoor(cfg, record, newMetrics(), redact, opts)
	if err != nil {
		return nil, errors.Join(err, record.Close())
	}
	door.store = record
	return door, nil
}

// newDoor builds the pool and the guard in front of it.
func newDoor(cfg *config.Config, record guard.Record, m *metrics, redactor *redact.Redactor, opts DoorOptions) (*Door, error) {
	policies := make(map[string]shellpolicy.Policy, len(cfg.Hosts))
	identities := make(map[string]string, len(cfg.Hosts))
	for name := range cfg.Hosts {
		policies[name], identities[name] = Policy(cfg, name), identity(cfg, name)
	}
	pool, err := sshpool.New(poolConfig(cfg, m.poolEvents(opts.Logger)))
	if err != nil {
		return nil, poolError(err)
	}
	r := cfg.Respond
	door, err := guard.New(opts.seams.toDoor(guard.Config{
		Policies: policies, Pool: ownHosts{pool, cfg}, Record: record, InForce: opts.inForce, Identities: identities, Redact: redactor,
		Confirm: opts.Confirm, ApprovalTimeout: r.ApprovalTimeout.D(), ContainAfter: r.ContainAfter, ContainAfterUnknown: r.ContainAfterUnknown,
		MaxChanges: r.MaxChanges, AttemptWindow: r.AttemptWindow.D(), MaxChangesPerHostHour: r.MaxChangesPerHostHour, MaxChangesPerDay: r.MaxChangesPerDay,
		OnVerdict: m.verdict, OnResult: m.result,
	}))
	if err != nil {
		return nil, errors.Join(err, pool.Shutdown(context.Background()))
	}
	return &Door{Guard: door, pool: pool}, nil
}

// draining is the door of the service: a command that was let through may end
// when the service stops, until the pool's own end cuts it. What has not begun
// by then does not begin.
type draining struct{ *guard.Guard }

func (d draining) Run(ctx context.Context, req lifeline.CommandRequest) (lifeline.Command, error) {
	if ctx.Err() != nil {
		return lifeline.Command{}, context.Cause(ctx)
	}
	return d.Guard.Run(context.WithoutCancel(ctx), req)
}

// DoorStats counts what the pool did since the door was opened.
type DoorStats struct {
	Opened, Reused int
}

// Stats sums over all hosts.
func (d *Door) Stats() DoorStats {
	var s DoorStats
	for _, h := range d.pool.Stats() {
		s.Opened += int(h.Established)
		s.Reused += int(h.Reused)
	}
	return s
}

// Close waits for running commands, ends what is left at ctx's end, and closes
// every connection.
func (d *Door) Close(ctx context.Context) error {
	err := d.pool.Shutdown(ctx)
	if d.store != nil {
		err = errors.Join(err, d.store.Close())
	}
	return err
}

// poolConfig is the configuration in the pool's terms.
func poolConfig(cfg *config.Config, onEvent func(sshpool.Event)) sshpool.Config {
	pc := sshpool.Config{
		Hosts:             make(map[string]sshpool.Host, len(cfg.Hosts)),
		KnownHosts:        cfg.SSH.KnownHosts,
		SSHConfig:         cfg.SSH.Config,
		QueueTimeout:      cfg.SSH.QueueTimeout.D(),
		ConnectTimeout:    cfg.SSH.ConnectTimeout.D(),
		RunTimeout:        cfg.SSH.RunTimeout.D(),
		KillGrace:         cfg.SSH.KillGrace.D(),
		KeepaliveInterval: cfg.SSH.KeepaliveInterval.D(),
		KeepaliveCount:    cfg.SSH.KeepaliveCount,
		MaxSessions:       cfg.SSH.MaxSessions,
		MaxDials:          cfg.SSH.MaxDials,
		OnEvent:           onEvent,
	}
	for name, h := range cfg.Hosts {
		policy := cfg.SSH.HostKeys
		if h.HostKeys != "" {
			policy = h.HostKeys
		}
		host := sshpool.Host{
			Address: h.Address, User: h.User, Alias: h.SSHConfig, IdentityFiles: h.Identity,
			ProxyJump: h.ProxyJump, ForcedCommand: h.ForcedCommand, Local: h.Local,
		}
		if policy == "accept-new" {
			host.HostKeys = sshpool.HostKeysAcceptNew
		}
		pc.Hosts[name] = host
	}
	return pc
}

// poolError gives a configuration error of the pool its place in the file.
func poolError(err error) error {
	e, ok := errors.AsType[*sshpool.Error](err)
	if !ok {
		return err
	}
	return &lifeline.Error{Code: lifeline.CodeConfig, Message: "hosts", Err: err, Hint: e.Hint}
}

// Policy is the effective policy of a host. On the machine that Lifeline runs on
// it protects Lifeline itself.
func Policy(cfg *config.Config, host string) shellpolicy.Policy {
	return policyOf(cfg, host, thisProcess())
}

func policyOf(cfg *config.Config, host string, s self) shellpolicy.Policy {
	p := shellpolicy.Policy{Mode: shellpolicy.Mode(cfg.Hosts[host].Mode), Protected: s.protected(cfg, host)}
	for _, r := range cfg.Policy.Rules {
		if r.Host == "" || r.Host == host {
			p.Rules = append(p.Rules, shellpolicy.Rule{
				Program: r.Program, Args: r.Args, Decision: shellpolicy.Decision(r.Decision), Reason: r.Reason,
			})
		}
	}
	return p
}

// identity says which machine a host is, over which hops it is reached, and with
// which account. Key files and known_hosts are not in it: they change who may
// come in, not where one arrives.
func identity(cfg *config.Config, host string) string {
	h := cfg.Hosts[host]
	return fmt.Sprintf("%q %q %q %q %t", h.Address, h.User, h.SSHConfig, []string(h.ProxyJump), h.Local)
}

// digest is what an approval of the same command would be bound to under this
// configuration.
func digest(cfg *config.Config, a lifeline.Approval) string {
	return guard.Digest(a.Request.Host, identity(cfg, a.Request.Host), a.Canonical, a.Request.IncidentID, guard.PolicyVersion(Policy(cfg, a.Request.Host)))
}
