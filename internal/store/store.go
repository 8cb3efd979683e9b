package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"lifeline"
)

//go:embed migrations/*/*.sql
var migrations embed.FS

// Options of a Store.
type Options struct {
	// OnEvent is called with every appended event after its commit, in the
	// order of Seq. It must not block and must not call the store.
	OnEvent func(lifeline.Event)
	// Now is the clock of the record; nil: time.Now.
	Now    func() time.Time
	Logger *slog.Logger
}

// Store is an open database. It is safe for concurrent use.
type Store struct {
	path string
	db   *sql.DB
	key  key
	opts Options
	// writing, of one place, serialises this process's write transactions, which
	// SQLite would do anyway, so that OnEvent sees events in the order of their
	// commits. Whoever waits for it can give up.
	writing chan struct{}
}

// Open opens or creates the database that url names: "sqlite:PATH". A new file
// is readable by its owner only. Errors are *lifeline.Error.
func Open(ctx context.Context, url string, opts Options) (*Store, error) {
	path, err := sqlitePath(url)
	if err != nil {
		return nil, err
	}
	if opts.OnEvent == nil {
		opts.OnEvent = func(lifeline.Event) {}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if err := createPrivate(path); err != nil {
		return nil, failed("create the database "+path, err, "check that the folder exists and can be written, or set store.url")
	}
	s := &Store{path: path, opts: opts, writing: make(chan struct{}, 1)}
	if s.key, err = loadKey(path); err != nil {
		return nil, failed("read the key of the record, "+keyPath(path), err, "it belongs to the database beside it: keep and restore both together")
	}
	opening, cancel := context.WithTimeoutCause(ctx, openMost, fmt.Errorf("it did not end within %s", openMost))
	defer cancel()
	unlock, err := lockOpening(opening, path)
	if err != nil {
		return nil, failed("open the database "+path, err, "")
	}
	defer unlock()
	if s.db, err = s.OpenDB(); err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		s.db.Close()
		return nil, failed("open the database "+path, err, "is it a database of Lifeline, of this version or an older one, and is the disk writable?")
	}
	return s, nil
}

// openMost bounds the wait for another process that is opening the database: the
// longest migration chains the events of an old one.
const openMost = 2 * time.Minute

// sqlitePath reads "sqlite:PATH".
func sqlitePath(raw string) (string, error) {
	path, ok := strings.CutPrefix(raw, "sqlite:")
	path = strings.TrimPrefix(path, "//")
	if !ok || path == "" || strings.ContainsAny(path, "?#") {
		return "", &lifeline.Error{Code: lifeline.CodeConfig,
			Message: fmt.Sprintf("store.url %q is not a database that Lifeline can open", redactURL(raw)),
			Hint:    `write it as sqlite:/var/lib/lifeline/lifeline.db`}
	}
	return path, nil
}

// redactURL takes a password out of a database's address.
func redactURL(raw string) string {
	if u, err := url.Parse(raw); err == nil {
		return u.Redacted()
	}
	scheme, _, _ := strings.Cut(raw, ":")
	return scheme + ":…"
}

// createPrivate creates the file, with mode 0600, if there is none: SQLite
// itself would leave the mode to the umask.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// dsn sets every connection up alike. Transactions begin as writers, so that
// none fails half-way for a lock it could have waited for; a commit is on disk
// when it returns, since an intent that a power cut forgets could run twice.
func dsn(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "foreign_keys(ON)", "journal_mode(WAL)", "synchronous(FULL)",
	}}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String()
}

// migrate brings the tables to this version's form, under the lock of the
// opening. A database of a newer version is refused: what it means is not known
// here.
func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.db, files, goose.WithTableName("lifeline_migrations"),
		goose.WithGoMigrations(goose.NewGoMigration(3, &goose.GoFunc{RunTx: backfill(s.key, s.opts.Now)}, nil)))
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

// OpenDB opens another handle on the same database, for the workflow engine:
// who opens it closes it.
func (s *Store) OpenDB() (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(s.path))
	if err != nil {
		return nil, failed("open the database "+s.path, err, "")
	}
	// Readers do not wait for each other; writers take turns in any case.
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
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
}

// write runs work in one transaction and, after the commit, hands its events
// on. An *lifeline.Error of work is given back as it is.
func (s *Store) write(ctx context.Context, what string, work func(*writeTx) error) error {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return failed(what, context.Cause(ctx), "")
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return failed(what, err, "")
	}
	defer tx.Rollback() // after a commit this does nothing
	// As the database keeps it, so that what is handed on is what is on record.
	w := &writeTx{Tx: tx, now: fromMicros(micros(s.opts.Now())), key: s.key}
	err = work(w)
	if err == nil {
		err = w.end(ctx)
	}
	if err != nil {
		if _, ok := errors.AsType[*lifeline.Error](err); ok {
			return err
		}
		return failed(what, err, "")
	}
	if err := tx.Commit(); err != nil {
		return failed(what, err, "")
	}
	for _, e := range w.events {
		s.opts.OnEvent(e)
	}
	return nil
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
