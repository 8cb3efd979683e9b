package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"lifeline"
)

// postgres is a database that several nodes share.
type postgres struct {
	shown  string // the address without a password
	config *pgx.ConnConfig
	// patient is whether a server that is away is waited for: once it was there.
	patient *atomic.Bool
}

const (
	// oldestPostgres has the settings that a session asks for here.
	oldestPostgres = 13
	// turnMost is how long a write waits for its turn, as on SQLite.
	turnMost = 10 * time.Second
	// idleMost ends a session that holds the turn of all and does nothing: its
	// process was stopped in the middle of a transaction.
	idleMost = 5 * time.Second
	// postgresConns are the record's connections of one process. Writes take
	// turns, so more would only help readers.
	postgresConns = 8
	// enginePoolConns are the workflow engine's: 20 is its own default.
	enginePoolConns = 20
)

// newPostgres reads the address. What libpq's environment and files say (PGUSER,
// .pgpass, …) counts where the address says nothing.
func newPostgres(raw string, opts Options) (postgres, error) {
	d := postgres{shown: redactURL(raw), patient: new(atomic.Bool)}
	no := func(hint, format string, args ...any) (postgres, error) {
		return d, &lifeline.Error{Code: lifeline.CodeConfig, Message: fmt.Sprintf(format, args...), Hint: hint}
	}
	if _, err := url.Parse(raw); err != nil { // its text may have the password in it
		return no("write it as postgres://lifeline@db.example.net/lifeline?sslmode=verify-full", "store.url %q is not an address", d.shown)
	}
	if opts.KeyFile == "" {
		return no("add to lifeline.yaml: store: {key_file: /var/lib/lifeline/record.key}, the same file on every node",
			"store.key_file is not set: the key of the record is not kept in the database that it seals")
	}
	config, err := pgx.ParseConfig(raw)
	if err != nil {
		cause := errors.Unwrap(err)
		if cause == nil {
			cause = errors.New("it is not an address of Postgres")
		}
		return no("write it as postgres://lifeline@db.example.net/lifeline?sslmode=verify-full", "store.url %q: %v", d.shown, cause)
	}
	if opts.Password != "" {
		config.Password = opts.Password
	}
	set := config.RuntimeParams
	switch wanted := set["synchronous_commit"]; wanted {
	case "", "on", "remote_apply", "remote_write", "local":
		if wanted == "" {
			set["synchronous_commit"] = "on"
		}
	default:
		return no("leave synchronous_commit out of store.url",
			"store.url has synchronous_commit=%s: an intent that a power cut forgets could run twice", wanted)
	}
	set["application_name"] = applicationName(opts.Node)
	set["lock_timeout"] = fmt.Sprint(turnMost.Milliseconds())
	set["idle_in_transaction_session_timeout"] = fmt.Sprint(idleMost.Milliseconds())
	// A peer that lost its power is noticed, and its locks end. Ignored on a
	// socket of the same machine.
	set["tcp_keepalives_idle"], set["tcp_keepalives_interval"], set["tcp_keepalives_count"] = "5", "2", "3"
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	d.config = config
	return d, nil
}

// applicationName is what a node's sessions are called at the server: whoever
// takes over from a node ends its sessions by this name. The server cuts it at
// 63 bytes.
func applicationName(node string) string {
	if node == "" {
		return "lifeline"
	}
	if sum := sha256.Sum256([]byte(node)); len(node) > 50 {
		node = node[:40] + hex.EncodeToString(sum[:5])
	}
	return "lifeline:" + node
}

func (d postgres) name() string { return d.shown }

// create: a database is its administrator's to make.
func (postgres) create() error { return nil }

func (postgres) openHint() string {
	return "does the server run, may this account come in (psql with the same address), and is the database of this version of Lifeline or an older one?"
}

func (postgres) earlyKey(string) (key, error) { return nil, nil }

// openDB gives a pool of database/sql: the store's SQL is the same on both
// databases.
func (d postgres) openDB() (*sql.DB, error) {
	db := sql.OpenDB(patientConnector{
		Connector: stdlib.GetConnector(*d.config.Copy(), stdlib.OptionAfterConnect(plainTexts)), patient: d.patient,
	})
	db.SetMaxOpenConns(postgresConns)
	db.SetMaxIdleConns(postgresConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db, nil
}

// lockOpening takes a lock of the session, which ends with it at the latest, and
// looks at whether the server keeps what it is given.
func (d postgres) lockOpening(ctx context.Context, db *sql.DB, _ string) (unlock func(), err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	if err := checkServer(ctx, conn); err != nil {
		return nil, err
	}
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		var locked bool
		if err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, lockKey("open")).Scan(&locked); err != nil {
			return nil, err
		}
		if locked {
			return func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
				defer cancel()
				if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, lockKey("open")); err != nil {
					// The lock must not stay with a session that goes back into the pool.
					_ = conn.Raw(func(c any) error { return c.(*stdlib.Conn).Conn().Close(ctx) })
				}
				conn.Close()
			}, nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("another process is opening it: %w", context.Cause(ctx))
		}
	}
}

// checkServer refuses a server that may forget a commit or cannot keep every
// text.
func checkServer(ctx context.Context, conn *sql.Conn) error {
	var version int
	var encoding, fsync, sync string
	err := conn.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding'),
		current_setting('fsync'), current_setting('synchronous_commit')`).Scan(&version, &encoding, &fsync, &sync)
	switch {
	case err != nil:
		return err
	case version < oldestPostgres:
		return fmt.Errorf("the server is Postgres %d: want %d or newer", version, oldestPostgres)
	case encoding != "UTF8":
		return fmt.Errorf("its encoding is %s: want UTF8 (createdb --encoding UTF8 --template template0)", encoding)
	case fsync != "on" || sync == "off":
		return fmt.Errorf("the server may forget what it has committed (fsync is %s, synchronous_commit %s): an intent that a power cut forgets could run twice", fsync, sync)
	}
	return nil
}

func (postgres) migrations(*Store) (goose.Dialect, string, []goose.ProviderOption) {
	return goose.DialectPostgres, "postgres", nil
}

// takeTurn waits until no other transaction writes, on any node, as SQLite does
// by itself: the chain of the record has one end, and the rules that are looked
// at in one statement and relied on in the next hold for all nodes.
//
// READ COMMITTED is enough under this lock, and more than that would be wrong:
// each statement sees all that was committed when it began, so everything after
// this one sees every write before it. A snapshot for the whole transaction
// would be taken here, before the wait, and miss what was written during it.
func (postgres) takeTurn(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, lockKey("write"))
	return err
}

// perhapsCommitted: what the server says about a commit holds; a connection that
// breaks while it is asked says nothing.
func (postgres) perhapsCommitted(ctx context.Context, err error) bool {
	_, said := errors.AsType[*pgconn.PgError](err)
	notAsked := errors.Is(err, sql.ErrTxDone) || errors.Is(err, pgx.ErrTxCommitRollback) || err == ctx.Err()
	return !said && !notAsked
}

func (postgres) snapshot() *sql.TxOptions {
	return &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
}

// lockKey numbers an advisory lock of this database: its name is hashed.
func lockKey(parts ...string) int64 {
	h := sha256.New()
	for _, p := range append([]string{"lifeline/lock/1"}, parts...) {
		writePart(h, p)
	}
	return int64(binary.BigEndian.Uint64(h.Sum(nil)))
}
