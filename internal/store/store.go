package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"

	"lifeline"
)

//go:embed migrations/*/*.sql
var migrations embed.FS

// Options of a Store.
type Options struct {
	// KeyFile holds the key of the record. On SQLite "" is the file beside the
	// database, PATH.key; Postgres needs one, the same on every node.
	KeyFile string
	// Password for Postgres, if the address has none; "": what libpq's files and
	// environment say.
	Password string
	// Node is this process's name among those on one Postgres, for whoever looks
	// at the server's sessions; "" for a command that is none: see Join.
	Node string
	// OnEvent is called with every appended event after its commit, in the
	// order of Seq. It must not block and must not call the store. Events of
	// other processes on the same database do not come here.
	OnEvent func(lifeline.Event)
	// Now is the clock of the record; nil: time.Now.
	Now    func() time.Time
	Logger *slog.Logger
}

// Store is an open database. It is safe for concurrent use.
type Store struct {
	dialect dialect
	db      *sql.DB
	key     key
	keyFile string
	opts    Options
	// writing, of one place, serialises this process's write transactions, which
	// the database would do anyway, so that OnEvent sees events in the order of
	// their commits. Whoever waits for it can give up.
	writing    chan struct{}
	deliveries deliveries
	// member is what Join gave: nothing is written that it does not let through.
	member atomic.Pointer[Membership]
}

// Open opens the database that url names: "sqlite:PATH", which is created where
// there is none and then readable by its owner only, or
// "postgres://USER@HOST/DATABASE". Errors are *lifeline.Error.
func Open(ctx context.Context, url string, opts Options) (*Store, error) {
	if opts.OnEvent == nil {
		opts.OnEvent = func(lifeline.Event) {}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{opts: opts, writing: make(chan struct{}, 1)}
	var err error
	if s.dialect, s.keyFile, err = dialectOf(url, opts); err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		if s.db != nil {
			s.db.Close()
		}
		return nil, err
	}
	s.dialect.opened()
	return s, nil
}

// open reads the key, connects and migrates, while no other process does.
func (s *Store) open(ctx context.Context) error {
	if err := s.dialect.create(); err != nil {
		return failed("create the database "+s.dialect.name(), err, "check that the folder exists and can be written, or set store.url")
	}
	var err error
	if s.key, err = s.dialect.earlyKey(s.keyFile); err != nil {
		return keyError(s.keyFile, err)
	}
	opening, cancel := context.WithTimeoutCause(ctx, openMost, fmt.Errorf("it did not end within %s", openMost))
	defer cancel()
	if s.db, err = s.OpenDB(); err != nil {
		return err
	}
	unlock, err := s.dialect.lockOpening(opening, s.db, s.keyFile)
	if err != nil {
		return failed("open the database "+s.dialect.name(), err, s.dialect.openHint())
	}
	defer unlock()
	if err := s.migrate(ctx); err != nil {
		return failed("open the database "+s.dialect.name(), err, s.dialect.openHint())
	}
	if s.key == nil {
		if s.key, err = s.sharedKey(ctx); err != nil {
			return keyError(s.keyFile, err)
		}
	}
	return nil
}

func keyError(file string, err error) error {
	return wrapHint("read the key of the record, "+file, err, "it belongs to the database: keep and restore both together")
}

// openMost bounds the wait for another process that is opening the database: the
// longest migration chains the events of an old one.
const openMost = 2 * time.Minute

// redactURL takes a password out of a database's address.
func redactURL(raw string) string {
	if u, err := url.Parse(raw); err == nil {
		return u.Redacted()
	}
	scheme, _, _ := strings.Cut(raw, ":")
	return scheme + ":…"
}

// migrate brings the tables to this version's form, under the lock of the
// opening. A database of a newer version is refused: what it means is not known
// here.
func (s *Store) migrate(ctx context.Context) error {
	kind, folder, more := s.dialect.migrations(s)
	files, err := fs.Sub(migrations, "migrations/"+folder)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(kind, s.db, files, append(more, goose.WithTableName("lifeline_migrations"))...)
	if err != nil {
		return err
	}
	before, target, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if before > target {
		return fmt.Errorf("its schema has version %d and this Lifeline knows only %d: install the newer Lifeline again", before, target)
	}
	_, err = provider.Up(ctx)
	return err
}

// DB is the store's own handle.
func (s *Store) DB() *sql.DB { return s.db }

// OpenDB opens another handle on the same database: who opens it closes it.
func (s *Store) OpenDB() (*sql.DB, error) {
	db, err := s.dialect.openDB()
	if err != nil {
		return nil, failed("open the database "+s.dialect.name(), err, "")
	}
	return db, nil
}

// Close closes the database.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return failed("close the database", err, "")
	}
	return nil
}

// Ping writes, and gives the write lock back: the service is of no use when it
// cannot write its record. It changes the end of the chain and changes it back,
// because a database on a full disk still takes what changes nothing.
func (s *Store) Ping(ctx context.Context) error {
	return s.write(ctx, "probe the database", func(tx *writeTx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE chain_head SET mac = mac || '.' WHERE id = 1`); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE chain_head SET mac = substr(mac, 1, length(mac) - 1) WHERE id = 1`)
		return err
	})
}

// writeTx is a write transaction with the events that it appends.
type writeTx struct {
	*sql.Tx
	now    time.Time
	events []lifeline.Event
	key    key
	// head is the end of the record so far, once begun.
	head  Head
	begun bool
	// prepared are the statements by their text; nil: none is prepared.
	prepared map[string]*sql.Stmt
}

// writeTries is how often a transaction is tried whose connection broke before
// its commit: nothing of it is there, and a server that was started anew has
// broken them all.
const writeTries = 3

// write runs work in one transaction, the only one that writes at its time in
// any process, and, after the commit, hands its events on. An *lifeline.Error of
// work is given back as it is. work may be run again from its beginning.
func (s *Store) write(ctx context.Context, what string, work func(*writeTx) error) error {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return failed(what, context.Cause(ctx), "")
	}
	for try := 1; ; try++ {
		committing, err := s.writeOnce(ctx, what, work)
		if err == nil || committing || try == writeTries || ctx.Err() != nil || !s.dialect.broken(err) {
			return err
		}
	}
}

// writeOnce is one try; committing means that it came to the commit.
func (s *Store) writeOnce(ctx context.Context, what string, work func(*writeTx) error) (committing bool, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return false, failed(what, err, "")
	}
	defer tx.Rollback() // after a commit this does nothing
	if err := s.dialect.takeTurn(ctx, tx); err != nil {
		return false, failed(what, err, "")
	}
	if err := s.inForce(ctx, tx); err != nil {
		return false, wrap(what, err)
	}
	// As the database keeps it, so that what is handed on is what is on record.
	w := &writeTx{Tx: tx, now: fromMicros(micros(s.opts.Now())), key: s.key}
	err = work(w)
	if err == nil {
		err = w.end(ctx)
	}
	if err != nil {
		return false, wrap(what, err)
	}
	if err := tx.Commit(); err != nil {
		if s.dialect.perhapsCommitted(ctx, err) {
			return true, &lifeline.Error{Code: lifeline.CodeStore, Err: err,
				Message: what + ": the connection was lost while it was committed, so whether it is on record is not known"}
		}
		return true, failed(what, err, "")
	}
	for _, e := range w.events {
		s.opts.OnEvent(e)
	}
	return true, nil
}

// snapshot begins a transaction that reads the database as it stands at one
// moment.
func (s *Store) snapshot(ctx context.Context) (*sql.Tx, error) {
	return s.db.BeginTx(ctx, s.dialect.snapshot())
}

// failed names the operation that the database did not do.
func failed(what string, err error, hint string) error {
	return &lifeline.Error{Code: lifeline.CodeStore, Message: what, Err: err, Hint: hint}
}

// idEncoding is Crockford's base 32 in lower case: it sorts like the bytes do
// and has no letters that are mistaken for digits.
const idEncoding = "0123456789abcdefghjkmnpqrstvwxyz"

// newID is prefix, 48 bits of time in milliseconds and 48 random bits, so that
// identifiers sort by time and a person can type the beginning of one.
func newID(prefix string, now time.Time) string {
	var b [14]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	rand.Read(b[6:12])
	return prefix + "_" + base32.NewEncoding(idEncoding).WithPadding(base32.NoPadding).EncodeToString(b[:12])
}

// micros is a time as the database keeps it; the zero time is kept as 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMicro(v).UTC()
}
