//go:build e2e

package e2e

import (
	"path/filepath"
	"testing"

	"lifeline/internal/store"
	"lifeline/internal/store/storetest"
)

// Postgres does what SQLite does: the same suite, on a real server.
func TestPostgresStore(t *testing.T) {
	server := startPostgres(t)
	storetest.Run(t, func(t *testing.T, opts store.Options) *store.Store {
		return openPostgres(t, server.url(t), opts)
	})
}

// openPostgres opens a database with a key of its own, for the test's time.
func openPostgres(t *testing.T, url string, opts store.Options) *store.Store {
	t.Helper()
	if opts.KeyFile == "" {
		opts.KeyFile = filepath.Join(t.TempDir(), "record.key")
	}
	s, err := store.Open(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
