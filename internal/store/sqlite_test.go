package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"lifeline"
	"lifeline/internal/store"
	"lifeline/internal/store/storetest"
)

func openAt(t *testing.T, path string, opts store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite:"+path, opts)
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

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T, opts store.Options) *store.Store {
		return openAt(t, filepath.Join(t.TempDir(), "lifeline.db"), opts)
	})
}

func alert(key string) []lifeline.TriagedAlert {
	return []lifeline.TriagedAlert{{
		Alert: lifeline.Alert{Source: "alertmanager", Status: lifeline.AlertFiring, Name: "X", Fingerprint: "f"}, Key: key,
	}}
}

func nothing(context.Context, *sql.Tx, lifeline.Incident) error { return nil }

func count(t *testing.T, s *store.Store, table string) (n int) {
	t.Helper()
	if err := s.DB().QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// The record names hosts and holds logs: nobody but its owner reads it, not
// even what SQLite keeps beside it.
func TestFilesArePrivate(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, filepath.Join(dir, "a b%20.db"), store.Options{})
	if _, err := s.ReceiveAlerts(t.Context(), alert("k"), nothing, nothing); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, e.Name())
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o, want 0600", e.Name(), info.Mode().Perm())
		}
	}
	if got := strings.Join(names, ","); got != "a b%20.db,a b%20.db-shm,a b%20.db-wal,a b%20.db.key" {
		t.Errorf("files: %s", got)
	}
}

func TestRecordSurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lifeline.db")
	s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	receipts, err := s.ReceiveAlerts(t.Context(), alert("k"), nothing, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path, store.Options{})
	again, err := s.ReceiveAlerts(t.Context(), alert("k"), nothing, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if again[0].IncidentID != receipts[0].IncidentID || again[0].Result != lifeline.ReceiptRepeat {
		t.Errorf("first %+v, then %+v", receipts[0], again[0])
	}
}

// A commit is on disk when it returns: an intent that a power cut forgets
// could run twice.
func TestCommitsAreOnDisk(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "lifeline.db"), store.Options{})
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1"} {
		var got string
		if err := s.DB().QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", pragma, got, err, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Chdir(t.TempDir())
	for url, file := range map[string]string{"sqlite:a.db": "a.db", "sqlite:./b.db": "b.db", "sqlite://c.db": "c.db", "sqlite:" + filepath.Join(t.TempDir(), "d.db"): ""} {
		s, err := store.Open(t.Context(), url, store.Options{})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		s.Close()
		if _, err := os.Stat(file); file != "" && err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"", "lifeline.db", "sqlite:", "sqlite://", "sqlite:a?mode=memory", "sqlite:a#b", "mysql://x",
		"postgres://ann:hunter2@db.example.net/x", "postgres://ann:hunter2@db example net/%zz"} {
		_, err := store.Open(t.Context(), url, store.Options{})
		if lifeline.CodeOf(err) != lifeline.CodeConfig {
			t.Errorf("%q: %v (%s), want %s", url, err, lifeline.CodeOf(err), lifeline.CodeConfig)
			continue
		}
		if e, _ := errors.AsType[*lifeline.Error](err); strings.Contains(err.Error(), "hunter2") || e.Hint == "" {
			t.Errorf("%q: error %q, hint %q", url, err, e.Hint)
		}
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is not a database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none", "lifeline.db"): "no such file or directory",
		dir:  "is a directory",
		text: "not a database",
	} {
		_, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
		e, _ := errors.AsType[*lifeline.Error](err)
		if e == nil || e.Code != lifeline.CodeStore || e.Hint == "" || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if data, err := os.ReadFile(text); err != nil || !strings.HasPrefix(string(data), "this is not") {
		t.Errorf("the foreign file was changed: %v", err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lifeline.db")
	s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.DB().ExecContext(t.Context(), `INSERT INTO lifeline_migrations (version_id, is_applied) VALUES (9000, 1)`); err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err = store.Open(t.Context(), "sqlite:"+path, store.Options{})
	if lifeline.CodeOf(err) != lifeline.CodeStore || !strings.Contains(err.Error(), "version 9000") || !strings.Contains(err.Error(), "newer Lifeline") {
		t.Errorf("error %v", err)
	}
}

func TestRecordIsAppendOnly(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "lifeline.db"), store.Options{})
	ctx := t.Context()
	receipts, err := s.ReceiveAlerts(ctx, alert("k"), nothing, nothing)
	if err != nil {
		t.Fatal(err)
	}
	incident := receipts[0].IncidentID
	command := func(id string) lifeline.Command {
		return lifeline.Command{CommandRequest: lifeline.CommandRequest{ID: id, IncidentID: incident, Host: "atlas"}, Class: "read"}
	}
	for _, id := range []string{"waits", "done"} {
		if _, err := s.RecordIntent(ctx, command(id), lifeline.Limits{}); err != nil {
			t.Fatal(err)
		}
	}
	done := command("done")
	done.Outcome = lifeline.OutcomeExited
	if err := s.RecordResult(ctx, done); err != nil {
		t.Fatal(err)
	}
	no := command("refused")
	no.Outcome = lifeline.OutcomeRefused
	if err := s.RecordRefusal(ctx, no); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`UPDATE events SET text = 'x'`, `DELETE FROM events`,
		`UPDATE alerts SET alert = '{}'`, `DELETE FROM alerts`,
		`DELETE FROM incidents`, `DELETE FROM commands`,
		`UPDATE commands SET outcome = 'exited' WHERE id = 'done'`,
		`UPDATE commands SET finished_at = NULL WHERE id = 'done'`,
		`UPDATE commands SET outcome = 'exited', finished_at = 1 WHERE id = 'refused'`,
		`UPDATE commands SET record = '{}' WHERE id = 'waits'`,
		`UPDATE commands SET finished_at = 1, class = 'change' WHERE id = 'waits'`,
		`UPDATE commands SET finished_at = 1, intent_at = NULL WHERE id = 'waits'`,
		`UPDATE commands SET finished_at = 1, incident_id = '' WHERE id = 'waits'`,
		`UPDATE commands SET finished_at = 1, host = '' WHERE id = 'waits'`,
		`UPDATE commands SET finished_at = 1, id = 'x' WHERE id = 'waits'`,
		`UPDATE commands SET finished_at = 1, asked_at = 0 WHERE id = 'waits'`,
	} {
		if _, err := s.DB().ExecContext(ctx, statement); err == nil || !strings.Contains(err.Error(), "append-only") && !strings.Contains(err.Error(), "are kept") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if n := count(t, s, "commands WHERE id = 'waits' AND finished_at IS NULL AND class = 'read'"); n != 1 {
		t.Error("a statement went through")
	}
}

// A store whose disk is full or that may not write says so, keeps nothing half,
// and goes on reading.
func TestFailedWrites(t *testing.T) {
	for name, breakIt := range map[string]string{
		"full":      "PRAGMA max_page_count = 1", // the smallest possible: what it has now
		"read-only": "PRAGMA query_only = ON",
		"defect":    "CREATE TRIGGER broken BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'the disk is on fire'); END",
	} {
		t.Run(name, func(t *testing.T) {
			handed := 0
			s := openAt(t, filepath.Join(t.TempDir(), "lifeline.db"), store.Options{OnEvent: func(lifeline.Event) { handed++ }})
			receipts, err := s.ReceiveAlerts(t.Context(), alert("k"), nothing, nothing)
			if err != nil {
				t.Fatal(err)
			}
			id, handedBefore := receipts[0].IncidentID, handed
			s.DB().SetMaxOpenConns(1) // a pragma is for one connection
			if _, err := s.DB().ExecContext(t.Context(), breakIt); err != nil {
				t.Fatal(err)
			}
			big := alert("new")
			big[0].Annotations = map[string]string{"summary": strings.Repeat("x", 1<<20)}
			_, err = s.ReceiveAlerts(t.Context(), big, nothing, nothing)
			if lifeline.CodeOf(err) != lifeline.CodeStore {
				t.Errorf("ReceiveAlerts: %v (%s)", err, lifeline.CodeOf(err))
			}
			cmd := lifeline.Command{CommandRequest: lifeline.CommandRequest{ID: "c", IncidentID: id, Command: strings.Repeat("x", 1<<20)}, Class: "read"}
			if _, err := s.RecordIntent(t.Context(), cmd, lifeline.Limits{}); lifeline.CodeOf(err) != lifeline.CodeStore {
				t.Errorf("RecordIntent: %v (%s)", err, lifeline.CodeOf(err))
			}
			if handed != handedBefore {
				t.Errorf("%d events were handed on that are not on record", handed-handedBefore)
			}
			all, err := s.Incidents(t.Context(), store.Filter{})
			if err != nil || len(all) != 1 || all[0].ID != id {
				t.Errorf("incidents afterwards: %+v, %v", all, err)
			}
			commands, err := s.Commands(t.Context(), id)
			if err != nil || len(commands) != 0 {
				t.Errorf("commands afterwards: %+v, %v", commands, err)
			}
			if err := s.Ping(t.Context()); name == "read-only" && lifeline.CodeOf(err) != lifeline.CodeStore {
				t.Errorf("Ping: %v", err)
			}
		})
	}
}

// Two processes on one file are two stores: lifeline exec beside lifeline serve.
func TestTwoStoresOnOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lifeline.db")
	const stores, rounds = 3, 5
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		opened = map[string]int{}
		start  = make(chan struct{})
	)
	for range stores {
		wg.Go(func() {
			<-start
			s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for i := range rounds {
				receipts, err := s.ReceiveAlerts(t.Context(), alert(string(rune('a'+i))), nothing, nothing)
				if err != nil {
					t.Error(err)
					return
				}
				if receipts[0].Result == lifeline.ReceiptOpened {
					mu.Lock()
					opened[receipts[0].IncidentID]++
					mu.Unlock()
				}
			}
		})
	}
	close(start)
	wg.Wait()
	s := openAt(t, path, store.Options{})
	if n := count(t, s, "incidents"); n != rounds || len(opened) != rounds || count(t, s, "alerts") != stores*rounds {
		t.Errorf("%d incidents, %d opened, want %d; %d alerts, want %d", n, len(opened), rounds, count(t, s, "alerts"), stores*rounds)
	}
}

// Two services on one file would work every incident twice: what the first has
// under way, the second would take for left over.
func TestOneServiceOnOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lifeline.db")
	first, second := openAt(t, path, store.Options{}), openAt(t, path, store.Options{})
	m, err := first.Join(t.Context(), store.NodeOptions{Name: "lifeline"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = second.Join(t.Context(), store.NodeOptions{Name: "lifeline"})
	if lifeline.CodeOf(err) != lifeline.CodeConfig || !strings.Contains(err.Error(), path) {
		t.Errorf("the second: %v (%s)", err, lifeline.CodeOf(err))
	}
	if _, err := second.ReceiveAlerts(t.Context(), alert("k"), nothing, nothing); err != nil {
		t.Errorf("what is no service may write: %v", err)
	}
	if info, err := os.Stat(path + ".serving"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the lock's file: %v, %v", info, err)
	}
	if err := m.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m, err = second.Join(t.Context(), store.NodeOptions{Name: "lifeline"}); err != nil {
		t.Fatalf("after the first has left: %v", err)
	}
	if err := m.Leave(t.Context()); err != nil {
		t.Error(err)
	}
}
