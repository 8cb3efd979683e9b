package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"lifeline"
)

// sqlite is a database in one file, for one machine.
type sqlite struct{ path string }

// sqlitePath reads "sqlite:PATH".
func sqlitePath(raw string) (string, error) {
	path, ok := strings.CutPrefix(raw, "sqlite:")
	path = strings.TrimPrefix(path, "//")
	if !ok || path == "" || strings.ContainsAny(path, "?#") {
		return "", &lifeline.Error{Code: lifeline.CodeConfig,
			Message: fmt.Sprintf("store.url %q is not a database that Lifeline can open", redactURL(raw)),
			Hint:    "write it as sqlite:/var/lib/lifeline/lifeline.db or postgres://lifeline@db.example.net/lifeline?sslmode=verify-full"}
	}
	return path, nil
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

func (d sqlite) name() string { return d.path }

func (d sqlite) create() error { return createPrivate(d.path) }

func (sqlite) openHint() string {
	return "is it a database of Lifeline, of this version or an older one, and is the disk writable?"
}

// earlyKey: the key is there before the database is looked into, since a
// migration chains what an older version wrote.
func (sqlite) earlyKey(file string) (key, error) { return loadKey(file) }

func (d sqlite) openDB() (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(d.path))
	if err != nil {
		return nil, err
	}
	// Readers do not wait for each other; writers take turns in any case.
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	return db, nil
}

func (sqlite) lockOpening(ctx context.Context, _ *sql.DB, keyFile string) (func(), error) {
	return lockFile(ctx, keyFile)
}

func (sqlite) migrations(s *Store) (goose.Dialect, string, []goose.ProviderOption) {
	return goose.DialectSQLite3, "sqlite", []goose.ProviderOption{
		goose.WithGoMigrations(goose.NewGoMigration(3, &goose.GoFunc{RunTx: backfill(s.key, s.opts.Now)}, nil)),
	}
}

// takeTurn has nothing to do: every transaction begins as a writer (see dsn).
func (sqlite) takeTurn(context.Context, *sql.Tx) error { return nil }

// perhapsCommitted: the database is in this process, and says what it did.
func (sqlite) perhapsCommitted(context.Context, error) bool { return false }

func (sqlite) broken(error) bool { return false }

func (sqlite) opened() {}

// snapshot: with a log, every reader sees one moment.
func (sqlite) snapshot() *sql.TxOptions { return &sql.TxOptions{ReadOnly: true} }

// join implements dialect: one process works the incidents of a file. The lock
// lies on a file beside it and ends with the process at the latest.
func (d sqlite) join(ctx context.Context, s *Store, m *Membership) error {
	path := d.path + ".serving"
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		f.Close()
		return &lifeline.Error{Code: lifeline.CodeConfig, Message: "another lifeline serve works on the database " + d.path,
			Hint: "stop it first, or set another store.url; several nodes need Postgres: docs/nodes.md"}
	case err != nil:
		f.Close()
		return fmt.Errorf("lock %s: %w", path, err)
	}
	m.alone, m.release = true, sync.OnceValue(f.Close)
	if m.epoch, err = s.enter(ctx, m); err != nil {
		return errors.Join(err, f.Close())
	}
	return nil
}
