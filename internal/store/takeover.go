package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeline"
)

// pgMicros is the server's clock now, as times are kept.
const pgMicros = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`

// clock implements dialect: leases are on the server's clock, the same for all.
func (postgres) clock(ctx context.Context, q querier, _ func() time.Time) (time.Time, error) {
	var now int64
	err := q.QueryRowContext(ctx, `SELECT `+pgMicros).Scan(&now)
	return fromMicros(now), err
}

// clock implements dialect: there is one process, and its clock is the record's.
func (sqlite) clock(_ context.Context, _ querier, now func() time.Time) (time.Time, error) {
	return now(), nil
}

// Dead lists the nodes that this one may take over from: those whose session
// ended, those whose lease ran out, and those that somebody took over from
// without having come to the end of it.
//
// A node must look dead twice in a row, since one whose connection broke is back
// in a moment. And it must do so to a node whose own session has stood for a
// lease: when the server itself was started anew, everybody's session ended, and
// nobody is dead.
func (m *Membership) Dead(ctx context.Context) ([]lifeline.Node, error) {
	if m.alone {
		return nil, nil
	}
	m.session.Lock()
	defer m.session.Unlock()
	if m.conn == nil || m.held.IsZero() || time.Since(m.held) < m.lease {
		clear(m.suspects)
		return nil, nil
	}
	nodes, err := m.look(ctx)
	if err != nil {
		if m.conn.IsClosed() {
			m.disconnect()
		}
		return nil, failed("look at the other nodes", err, "")
	}
	suspects := map[string]int64{}
	var dead []lifeline.Node
	for _, n := range nodes {
		unfinished := n.FencedBy != "" && !n.Recovered
		if n.Name == m.name || !unfinished && (n.FencedBy != "" || n.HasSession && n.Alive) {
			continue
		}
		if epoch, before := m.suspects[n.Name]; before && epoch == n.Epoch {
			dead = append(dead, n)
		}
		suspects[n.Name] = n.Epoch
	}
	m.suspects = suspects
	return dead, nil
}

// look reads the nodes, and which of them have a session with their lock.
// session is held.
func (m *Membership) look(ctx context.Context) ([]lifeline.Node, error) {
	rows, err := m.conn.Query(ctx, `SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks
		WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	if err != nil {
		return nil, err
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, err
	}
	locked := map[int64]bool{}
	for _, k := range keys {
		locked[k] = true
	}
	if rows, err = m.conn.Query(ctx, `SELECT name, epoch, lease_until > `+pgMicros+`, lease_until, fenced_by, recovered = 1 FROM nodes ORDER BY name`); err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (n lifeline.Node, err error) {
		var lease int64
		err = row.Scan(&n.Name, &n.Epoch, &n.Alive, &lease, &n.FencedBy, &n.Recovered)
		n.LeaseUntil, n.HasSession = fromMicros(lease), locked[lockKey("node", n.Name)]
		return n, err
	})
}

// TakeOver takes over from a node that Dead gave: from its commit on the node
// writes nothing any more, then its sessions are ended, and then its unfinished
// work is given to all by recover. Of several nodes that try, one does it; false
// means that it was another one, or that the node is back. What fails half-way,
// Dead gives again, to every node.
func (m *Membership) TakeOver(ctx context.Context, dead lifeline.Node, recover func(context.Context) error) (bool, error) {
	d, ok := m.store.dialect.(postgres)
	if !ok {
		return false, nil
	}
	what := "take over from the node " + dead.Name
	if err := m.InForce(); err != nil {
		return false, err
	}
	// A session of its own: the lock of the dead node is held until its work is
	// given away, so that the node cannot start again in the middle of that.
	conn, err := pgx.ConnectConfig(ctx, d.config.Copy())
	if err != nil {
		return false, failed(what, err, "")
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // and with it the lock
	}()
	held, err := tryLock(ctx, conn, dead.Name)
	if err != nil {
		return false, failed(what, err, "")
	}
	if dead.FencedBy == "" {
		won, err := m.raiseEpoch(ctx, &dead, held)
		if err != nil || !won {
			return false, err
		}
	} else if again, err := m.store.node(ctx, dead.Name); err != nil || again.Epoch != dead.Epoch || again.Recovered {
		return false, wrap(what, err)
	}
	// Whatever it has under way at the server ends, the turn to write above all:
	// a stopped process may have it.
	_, err = conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE application_name = $1 AND datname = current_database() AND pid <> pg_backend_pid()`, applicationName(dead.Name))
	if err != nil {
		return false, failed(what, err, "the nodes have to use the same account of the database")
	}
	for wait := 0; !held; wait++ {
		if wait == 50 {
			return false, failed(what, errors.New("its session does not end, or another node is taking over"), "")
		}
		select {
		case <-ctx.Done():
			return false, failed(what, context.Cause(ctx), "")
		case <-time.After(100 * time.Millisecond):
		}
		if held, err = tryLock(ctx, conn, dead.Name); err != nil {
			return false, failed(what, err, "")
		}
	}
	// It may have come back, or another node may have been here, before the lock.
	now, err := m.store.node(ctx, dead.Name)
	if err != nil || now.Epoch != dead.Epoch || now.FencedBy == "" || now.Recovered {
		return false, wrap(what, err)
	}
	if err := recover(ctx); err != nil {
		return false, failed(what, err, "")
	}
	err = m.store.write(ctx, what, func(tx *writeTx) error {
		_, err := tx.ExecContext(ctx, `UPDATE nodes SET recovered = 1 WHERE name = $1 AND epoch = $2`, dead.Name, dead.Epoch)
		return err
	})
	return err == nil, err
}

func tryLock(ctx context.Context, conn *pgx.Conn, node string) (held bool, err error) {
	err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, lockKey("node", node)).Scan(&held)
	return held, err
}

// raiseEpoch fences a dead node, if it is still as it was seen; dead gets its new
// epoch. held means that its session has ended: otherwise its lease must have.
func (m *Membership) raiseEpoch(ctx context.Context, dead *lifeline.Node, held bool) (won bool, err error) {
	err = m.store.write(ctx, "take over from the node "+dead.Name, func(tx *writeTx) error {
		now, err := m.store.dialect.clock(ctx, tx, m.store.opts.Now)
		if err != nil {
			return err
		}
		n, err := scanNode(tx.QueryRowContext(ctx, nodeColumns+` WHERE name = $1`, dead.Name))
		if err != nil {
			return err
		}
		if won = n.Epoch == dead.Epoch && n.FencedBy == "" && (held || !n.LeaseUntil.After(now)); !won {
			return nil
		}
		if _, err := tx.ExecContext(ctx, `UPDATE nodes SET epoch = epoch + 1, fenced_by = $1, recovered = 0 WHERE name = $2`, m.name, dead.Name); err != nil {
			return err
		}
		dead.Epoch, dead.FencedBy = dead.Epoch+1, m.name
		text := fmt.Sprintf("the node %s is gone", dead.Name)
		switch {
		case n.LeaseUntil.IsZero():
			text = fmt.Sprintf("the node %s has stopped", dead.Name)
		case !held:
			text = fmt.Sprintf("the node %s has not been heard of since its lease ended at %s", dead.Name, n.LeaseUntil.Format(time.RFC3339))
		}
		return tx.append(ctx, lifeline.Event{Kind: lifeline.EventNodeLost, Actor: "node:" + m.name, Text: text + ": " + m.name + " takes over",
			Data: jsonOf(map[string]any{"node": dead.Name, "epoch": dead.Epoch, "by": m.name, "session_ended": held})})
	})
	return won, err
}

// node reads one node.
func (s *Store) node(ctx context.Context, name string) (lifeline.Node, error) {
	n, err := scanNode(s.db.QueryRowContext(ctx, nodeColumns+` WHERE name = $1`, name))
	if errors.Is(err, sql.ErrNoRows) {
		return n, &lifeline.Error{Code: lifeline.CodeNotFound, Message: fmt.Sprintf("there is no node %q", name)}
	}
	return n, err
}
