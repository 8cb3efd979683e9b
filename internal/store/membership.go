package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lifeline"
)

// Membership is this process's place among the nodes. On Postgres it is held by
// a session of its own, which has a lock named after the node, so that the death
// of the process is what the server sees and not what a timer guesses; and by a
// lease, for a node that is stopped or cut off while its session stands.
// It is safe for concurrent use.
type Membership struct {
	store         *Store
	name, version string
	lease         time.Duration
	epoch         int64
	// alone: nobody can take over, and release gives the place back.
	alone   bool
	release func() error

	// session guards conn, held and suspects: one thing at a time is asked.
	session sync.Mutex
	conn    *pgx.Conn
	// held is since when conn has the lock; zero if it has not.
	held time.Time
	// suspects are the nodes, with their epochs, that looked dead at the last look.
	suspects map[string]int64

	mu    sync.Mutex // guards what follows
	until time.Time  // the end of the lease, on this process's monotonic clock
	why   error
	lost  chan struct{} // closed once why is set
}

// Name of the node.
func (m *Membership) Name() string { return m.name }

// Lost is closed once another node has taken over from this one, which is for
// ever: the process has to end.
func (m *Membership) Lost() <-chan struct{} { return m.lost }

// Err is nil until Lost is closed, and then an error with lifeline.CodeFenced.
func (m *Membership) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.why
}

func (m *Membership) fence(by string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.why == nil {
		m.why = fenced(m.name, by)
		close(m.lost)
	}
}

// InForce is nil while the node may act: nobody took over, and its lease has not
// run out on a clock that nobody can set. It asks nobody. While the lease has run
// out another node may be about to take over, so nothing is begun.
func (m *Membership) InForce() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.why != nil || m.alone {
		return m.why
	}
	if over := time.Since(m.until); over >= 0 {
		return &lifeline.Error{Code: lifeline.CodeFenced, Hint: "is the database reachable and well?",
			Message: fmt.Sprintf("the lease of this node, %s, has run out %s ago: another node may take over", m.name, over.Round(time.Millisecond))}
	}
	return nil
}

// await waits while the lease has run out, until it is renewed or ctx ends.
func (m *Membership) await(ctx context.Context) error {
	err := m.InForce()
	if err == nil {
		return nil
	}
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for err != nil {
		select {
		case <-m.lost:
			return m.Err()
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-look.C:
			err = m.InForce()
		}
	}
	return nil
}

// joinMost is how long a node waits for its own name: the server may need a
// moment to notice that the process before it is gone.
const joinMost = 5 * time.Second

// join implements dialect: it takes the lock that is named after the node, and
// then the node's row.
func (d postgres) join(ctx context.Context, s *Store, m *Membership) error {
	m.session.Lock()
	defer m.session.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, 3*joinMost, errors.New("the database did not answer in time"))
	defer cancel()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	begun := time.Now()
	for {
		if err := m.connect(ctx, d); err != nil {
			return err
		}
		if !m.held.IsZero() {
			break
		}
		if time.Since(begun) > joinMost {
			m.disconnect()
			return &lifeline.Error{Code: lifeline.CodeConfig, Message: fmt.Sprintf("another process works on this database as the node %s", m.name),
				Hint: "stop it, or give this one a name of its own in lifeline.yaml: node: {name: …}"}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			m.disconnect()
			return context.Cause(ctx)
		}
	}
	sent := time.Now()
	epoch, err := s.enter(ctx, m)
	if err != nil {
		m.disconnect()
		return err
	}
	m.epoch, m.until = epoch, sent.Add(m.lease)
	return nil
}

// connect makes sure of a session, and asks for the lock if it has not got it.
// session is held.
func (m *Membership) connect(ctx context.Context, d postgres) error {
	if m.conn == nil || m.conn.IsClosed() {
		m.disconnect()
		conn, err := pgx.ConnectConfig(ctx, d.config.Copy())
		if err != nil {
			return err
		}
		m.conn = conn
	}
	if !m.held.IsZero() {
		return nil
	}
	var got bool
	if err := m.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, lockKey("node", m.name)).Scan(&got); err != nil {
		m.disconnect()
		return err
	}
	if got {
		m.held = time.Now()
	}
	return nil
}

// disconnect ends the session, and with it the lock. session is held.
func (m *Membership) disconnect() {
	if m.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = m.conn.Close(ctx) // the server sees its end in any case
	}
	m.conn, m.held = nil, time.Time{}
}

// Renew renews the lease; to be called several times within one. An error that
// is not of lifeline.CodeFenced is one of the connection: the next call makes
// another, and the node goes on if nobody took over meanwhile.
func (m *Membership) Renew(ctx context.Context) error {
	if m.alone {
		return nil
	}
	if err := m.Err(); err != nil {
		return err
	}
	m.session.Lock()
	defer m.session.Unlock()
	d, _ := m.store.dialect.(postgres) // the only one that is not alone
	if err := m.connect(ctx, d); err != nil {
		return failed("renew the lease of the node "+m.name, err, "")
	}
	// From before it was sent: this clock must not run longer than the database's.
	sent := time.Now()
	tag, err := m.conn.Exec(ctx, `UPDATE nodes SET lease_until = `+pgMicros+` + $3 WHERE name = $1 AND epoch = $2 AND fenced_by = ''`,
		m.name, m.epoch, m.lease.Microseconds())
	if err != nil {
		if _, said := errors.AsType[*pgconn.PgError](err); !said || m.conn.IsClosed() {
			m.disconnect()
		}
		return failed("renew the lease of the node "+m.name, err, "")
	}
	if tag.RowsAffected() == 0 {
		var by string
		_ = m.conn.QueryRow(ctx, `SELECT fenced_by FROM nodes WHERE name = $1`, m.name).Scan(&by) // only who it was
		m.fence(by)
		return m.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.until = sent.Add(m.lease)
	return nil
}

// Leave gives the place back: the others take over what is unfinished at once.
// It is idempotent. The store writes nothing as this node any more.
func (m *Membership) Leave(ctx context.Context) error {
	if m.alone {
		return m.release()
	}
	m.session.Lock()
	defer m.session.Unlock()
	if m.conn == nil {
		return nil
	}
	defer m.disconnect()
	if m.Err() != nil {
		return nil
	}
	_, err := m.conn.Exec(ctx, `UPDATE nodes SET lease_until = 0 WHERE name = $1 AND epoch = $2 AND fenced_by = ''`, m.name, m.epoch)
	return wrap("leave as the node "+m.name, err)
}
