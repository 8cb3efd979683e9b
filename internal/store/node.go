package store

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"lifeline"
)

// NodeOptions say which node this process is.
type NodeOptions struct {
	Name    string
	Version string
	// Lease is how long the node may work without having renewed it. Another node
	// may take over from it after that, so every node has the same.
	Lease time.Duration
}

// Join takes this process's place among those that work incidents on the
// database, until Leave. Two processes cannot have the same place: on SQLite
// there is one in all, on Postgres one for each name; the later one is refused
// with lifeline.CodeConfig.
//
// From then on the store writes only while the place is this process's: what
// another node took over is an error with lifeline.CodeFenced, and nothing is
// written.
func (s *Store) Join(ctx context.Context, o NodeOptions) (*Membership, error) {
	m := &Membership{store: s, name: o.Name, version: o.Version, lease: cmp.Or(o.Lease, DefaultLease), lost: make(chan struct{}), suspects: map[string]int64{}}
	if o.Name == "" {
		return nil, &lifeline.Error{Code: lifeline.CodeConfig, Message: "a node needs a name", Hint: "set node: {name: …} in lifeline.yaml"}
	}
	if err := s.dialect.join(ctx, s, m); err != nil {
		return nil, wrapHint(fmt.Sprintf("take the place of the node %s", o.Name), err, "")
	}
	s.member.Store(m)
	return m, nil
}

// DefaultLease is NodeOptions.Lease where there is none.
const DefaultLease = 10 * time.Second

const nodeColumns = `SELECT name, epoch, version, started_at, lease_until, fenced_by, recovered FROM nodes`

func scanNode(row scanner) (n lifeline.Node, err error) {
	var started, lease int64
	var recovered int
	err = row.Scan(&n.Name, &n.Epoch, &n.Version, &started, &lease, &n.FencedBy, &recovered)
	n.StartedAt, n.LeaseUntil, n.Recovered = fromMicros(started), fromMicros(lease), recovered == 1
	return n, err
}

// Nodes lists the nodes that ever worked on the database, by name.
func (s *Store) Nodes(ctx context.Context) ([]lifeline.Node, error) {
	tx, err := s.snapshot(ctx)
	if err != nil {
		return nil, failed("list the nodes", err, "")
	}
	defer tx.Rollback()
	now, err := s.dialect.clock(ctx, tx, s.opts.Now)
	if err != nil {
		return nil, failed("list the nodes", err, "")
	}
	nodes, err := list(ctx, tx, "list the nodes", nodeColumns+` ORDER BY name`, scanNode)
	for i, n := range nodes {
		nodes[i].Alive = n.FencedBy == "" && n.LeaseUntil.After(now)
	}
	return nodes, err
}

// enter writes the node's row with a new epoch and gives it.
func (s *Store) enter(ctx context.Context, m *Membership) (epoch int64, err error) {
	err = s.write(ctx, "take the place of the node "+m.name, func(tx *writeTx) error {
		now, err := s.dialect.clock(ctx, tx, s.opts.Now)
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `INSERT INTO nodes (name, epoch, version, started_at, lease_until, fenced_by, recovered)
			VALUES ($1, 1, $2, $3, $4, '', 1)
			ON CONFLICT (name) DO UPDATE SET epoch = nodes.epoch + 1, version = excluded.version, started_at = excluded.started_at,
				lease_until = excluded.lease_until, fenced_by = '', recovered = 1
			RETURNING epoch`, m.name, m.version, micros(now), micros(now.Add(m.lease))).Scan(&epoch)
	})
	return epoch, err
}

// inForce refuses what a node does that another one has taken over from. It is
// asked in the transaction that would write: nothing can come between.
func (s *Store) inForce(ctx context.Context, q querier) error {
	m := s.member.Load()
	if m == nil || m.alone {
		return nil
	}
	if err := m.Err(); err != nil {
		return err
	}
	var epoch int64
	var by string
	if err := q.QueryRowContext(ctx, `SELECT epoch, fenced_by FROM nodes WHERE name = $1`, m.name).Scan(&epoch, &by); err != nil {
		return fmt.Errorf("look whether this is still the node %s: %w", m.name, err)
	}
	if epoch != m.epoch || by != "" {
		m.fence(by)
		return m.Err()
	}
	return nil
}

// fenced is the error for a node that another one took over from.
func fenced(name, by string) error {
	who := "another process with its name"
	if by != "" {
		who = "the node " + by
	}
	return &lifeline.Error{Code: lifeline.CodeFenced,
		Message: fmt.Sprintf("%s has taken over from this node, %s: it was not heard of for longer than its lease, or its session at the database ended", who, name),
		Hint:    "start it again: it takes part again, with a new lease"}
}
