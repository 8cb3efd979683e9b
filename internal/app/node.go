package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/guard"
	"lifeline/internal/respond"
	"lifeline/internal/store"
	"lifeline/sshpool"
)

// storeOptions opens the database that the configuration names.
func storeOptions(cfg *config.Config, log *slog.Logger) (store.Options, error) {
	password, err := cfg.StorePassword()
	return store.Options{KeyFile: cfg.Store.KeyFile, Password: password, Logger: log}, err
}

// node is this process among those that work incidents on the database: it says
// again and again that it is there, looks whether the others are, and takes over
// from those that are gone.
type node struct {
	cfg    *config.Config
	log    *slog.Logger
	store  *store.Store
	member *store.Membership
	// beat is how often.
	beat time.Duration

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// soloName is the one process's name on SQLite. What an earlier version left
// unfinished is under it.
const soloName = "lifeline"

// joinNode takes this process's place and keeps it until leave.
func joinNode(ctx context.Context, cfg *config.Config, s *store.Store, opts Options) (*node, error) {
	name := soloName
	if cfg.Store.Postgres() {
		var err error
		if name, err = cfg.NodeName(); err != nil {
			return nil, err
		}
	}
	member, err := s.Join(ctx, store.NodeOptions{Name: name, Version: opts.Version, Lease: cfg.Node.Lease.D()})
	if err != nil {
		return nil, err
	}
	n := &node{cfg: cfg, log: opts.Logger, store: s, member: member, beat: cfg.Node.Heartbeat.D()}
	ctx, n.cancel = context.WithCancel(context.WithoutCancel(ctx)) // leave ends it
	if cfg.Store.Postgres() {
		n.log.Info("node_joined", "node", name, "lease_seconds", cfg.Node.Lease.D().Seconds())
		n.running.Go(func() { n.keep(ctx) })
	}
	return n, nil
}

// inForce is what the door asks last; nil where there is no other node.
func (n *node) inForce() func() error {
	if !n.cfg.Store.Postgres() {
		return nil
	}
	return n.member.InForce
}

// engine gives the workflow engine its own way to the database, and its place
// among the nodes.
func (n *node) engine(ctx context.Context, c *respond.Config) (err error) {
	if !n.cfg.Store.Postgres() {
		c.DB, err = n.store.OpenDB()
		return err
	}
	c.Pool, err = n.store.OpenPool(ctx)
	c.ExecutorID, c.Node, c.Pins = n.member.Name(), n.member, pins(n.cfg)
	return err
}

// leave gives the place back: the others take over at once what is unfinished.
func (n *node) leave(ctx context.Context) error {
	n.cancel()
	n.running.Wait()
	return n.member.Leave(ctx)
}

// keep renews the lease until ctx ends or another node has taken over.
func (n *node) keep(ctx context.Context) {
	n.every(ctx, func(ctx context.Context) error {
		// A question that is not answered must not use up the whole lease.
		ctx, cancel := context.WithTimeout(ctx, max(n.beat, n.cfg.Node.Lease.D()/3))
		defer cancel()
		return n.member.Renew(ctx)
	}, "lease_not_renewed")
}

// every does work at each heartbeat. What fails for several of them is logged
// once.
func (n *node) every(ctx context.Context, work func(context.Context) error, failed string) {
	tick := time.NewTicker(n.beat)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.member.Lost():
			return
		case <-tick.C:
		}
		err := work(ctx)
		if err != nil && !failing && ctx.Err() == nil && lifeline.CodeOf(err) != lifeline.CodeFenced {
			n.log.Error(failed, "node", n.member.Name(), "error", err)
		}
		failing = err != nil
	}
}

// watch takes over from the nodes that are gone, and stands in for those that
// hosts are pinned to. It begins once the service works incidents itself.
func (n *node) watch(ctx context.Context, r *respond.Service) {
	if !n.cfg.Store.Postgres() {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := n.cancel
	n.cancel = func() { cancel(); stop() }
	var standing []string
	n.running.Go(func() {
		n.every(ctx, func(ctx context.Context) error {
			return errors.Join(n.takeOver(ctx, r), n.standIn(ctx, r, &standing))
		}, "nodes_not_watched")
	})
}

// takeOverMost bounds one takeover.
const takeOverMost = 30 * time.Second

func (n *node) takeOver(ctx context.Context, r *respond.Service) error {
	look, cancel := context.WithTimeout(ctx, max(n.beat, n.cfg.Node.Lease.D()/3))
	defer cancel()
	gone, err := n.member.Dead(look)
	if err != nil {
		return err
	}
	for _, dead := range gone {
		begun := time.Now()
		ctx, cancel := context.WithTimeout(ctx, takeOverMost)
		done, err := n.member.TakeOver(ctx, dead, func(ctx context.Context) error { return r.Recover(ctx, dead.Name) })
		cancel()
		if err != nil {
			return err
		}
		if done {
			n.log.Warn("node_taken_over", "node", n.member.Name(), "from", dead.Name, "version", dead.Version, "seconds", time.Since(begun).Seconds())
		}
	}
	return nil
}

// standIn has the first of the living nodes, by name, work the hosts that are
// pinned to nodes that are not there. standing is for whom it does so far.
func (n *node) standIn(ctx context.Context, r *respond.Service, standing *[]string) error {
	ctx, cancel := context.WithTimeout(ctx, max(n.beat, n.cfg.Node.Lease.D()/3))
	defer cancel()
	nodes, err := n.store.Nodes(ctx)
	if err != nil {
		return err
	}
	whom := absent(n.cfg.PinnedNodes(), nodes, n.member.Name())
	if slices.Equal(whom, *standing) {
		return nil
	}
	r.StandIn(whom...)
	*standing = whom
	n.log.Warn("standing_in", "node", n.member.Name(), "for", whom)
	return nil
}

// absent lists the pinned nodes that are not alive, if it is on me to stand in for
// them: the first of those alive does, by name.
func absent(pinned []string, nodes []lifeline.Node, me string) []string {
	first := me
	alive := map[string]bool{me: true}
	for _, n := range nodes {
		if n.Alive {
			alive[n.Name] = true
			first = min(first, n.Name)
		}
	}
	if first != me {
		return nil
	}
	var list []string
	for _, p := range pinned {
		if !alive[p] {
			list = append(list, p)
		}
	}
	return list
}

// pins says which node works which host.
func pins(cfg *config.Config) map[string]respond.Pin {
	all := map[string]respond.Pin{}
	for name, h := range cfg.Hosts {
		if h.Node != "" {
			all[name] = respond.Pin{Node: h.Node, Only: h.Local}
		}
	}
	return all
}

// warmed lists the hosts whose connection a node opens before it is needed: not
// those that are pinned to another one.
func warmed(cfg *config.Config, node string) []string {
	return slices.DeleteFunc(cfg.HostNames(), func(host string) bool {
		pinned := cfg.Hosts[host].Node
		return pinned != "" && pinned != node
	})
}

// ownHosts is a pool that refuses the local hosts of other nodes: here, local
// would be another machine than there.
type ownHosts struct {
	guard.Pool
	cfg *config.Config
}

func (p ownHosts) Run(ctx context.Context, host string, cmd sshpool.Command) (*sshpool.Result, error) {
	h := p.cfg.Hosts[host]
	if h.Local && h.Node != "" {
		me, err := p.cfg.NodeName()
		if err != nil || me != h.Node {
			return &sshpool.Result{Outcome: sshpool.NotStarted}, &sshpool.Error{Kind: sshpool.KindConfig, Host: host, Err: err,
				Message: "it is the machine of the node " + h.Node + ", and this is another one", Hint: "run it there"}
		}
	}
	return p.Pool.Run(ctx, host, cmd)
}
