package respond_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"lifeline/internal/respond"
	"lifeline/internal/store"
)

// newDatabase gives the address of a new database with all its tables.
func newDatabase(t *testing.T) string {
	t.Helper()
	made, err := emptyDatabase()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "lifeline.db")
	for end, data := range made {
		if err := os.WriteFile(file+end, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return "sqlite:" + file
}

// emptyDatabase is the files of a database that a service was started on once,
// by the end of their names: to make the tables takes longer than most tests.
var emptyDatabase = sync.OnceValues(func() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "lifeline-empty-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ctx, file := context.Background(), filepath.Join(dir, "lifeline.db")
	s, err := store.Open(ctx, "sqlite:"+file, store.Options{})
	if err != nil {
		return nil, err
	}
	db, err := s.OpenDB()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	svc, err := respond.New(ctx, respond.Config{DB: db, Store: s, Approvals: s, Door: &site{}, Responders: &responders{}})
	if err == nil {
		err = errors.Join(svc.Start(ctx), svc.Stop(ctx))
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, end := range []string{"", ".key"} {
		if files[end], err = os.ReadFile(file + end); err != nil {
			return nil, err
		}
	}
	return files, nil
})
