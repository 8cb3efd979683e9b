package store

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// dialect is what differs between the databases. Everything else is the same
// SQL on both.
type dialect interface {
	// name of the database for people, without a password.
	name() string
	// create makes an empty database where that is ours to do.
	create() error
	// openHint is what to look at when it cannot be opened.
	openHint() string
	// openDB gives a new handle. It need not connect.
	openDB() (*sql.DB, error)
	// earlyKey reads or makes the key before the database is opened; nil without
	// an error: the database knows which key is its own, see sharedKey.
	earlyKey(file string) (key, error)
	// lockOpening lets one process at a time migrate.
	lockOpening(ctx context.Context, db *sql.DB, keyFile string) (unlock func(), err error)
	migrations(s *Store) (kind goose.Dialect, folder string, more []goose.ProviderOption)
	// takeTurn makes the transaction that begins here the only one that writes.
	takeTurn(ctx context.Context, tx *sql.Tx) error
	// perhapsCommitted reports whether the error of a commit leaves open whether
	// it was one.
	perhapsCommitted(ctx context.Context, err error) bool
	// broken reports whether an error, from before a commit, is that the
	// connection broke: another one may do better.
	broken(err error) bool
	// opened is told that the database was opened well.
	opened()
	// snapshot are the options of a transaction that reads at one moment.
	snapshot() *sql.TxOptions
	// clock is now on the clock that leases are on; now is the record's.
	clock(ctx context.Context, q querier, now func() time.Time) (time.Time, error)
	// join takes this process's place among those that work incidents.
	join(ctx context.Context, s *Store, m *Membership) error
}

// dialectOf reads a database's address and says where its key lies.
func dialectOf(url string, opts Options) (dialect, string, error) {
	if strings.HasPrefix(url, "postgres:") || strings.HasPrefix(url, "postgresql:") {
		d, err := newPostgres(url, opts)
		return d, opts.KeyFile, err
	}
	path, err := sqlitePath(url)
	if err != nil {
		return nil, "", err
	}
	file := opts.KeyFile
	if file == "" {
		file = path + ".key"
	}
	return sqlite{path}, file, nil
}
