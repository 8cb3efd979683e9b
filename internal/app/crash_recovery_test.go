package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"lifeline"
	"lifeline/internal/guard"
	"lifeline/internal/store"
	"lifeline/shellpolicy"
	"lifeline/sshpool"
)

// poolFunc is a pool that is a function.
type poolFunc func(host string, cmd sshpool.Command) (*sshpool.Result, error)

func (f poolFunc) Run(_ context.Context, host string, cmd sshpool.Command) (*sshpool.Result, error) {
	return f(host, cmd)
}

// held is a record whose write of a result waits until it is let go.
type held struct {
	*store.Store
	reached, release chan struct{}
}

func (h held) RecordResult(ctx context.Context, cmd lifeline.Command) error {
	close(h.reached)
	<-h.release
	return h.Store.RecordResult(ctx, cmd)
}

// A second process takes a change for lost, between its look at the record and
// its write the first one puts the result on record: done stays done, and both
// say so.
func TestRecoveryDoesNotOverwriteANewerResult(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "lifeline.db")
	open := func() *store.Store {
		s, err := store.Open(t.Context(), url, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	first, second := open(), held{open(), make(chan struct{}), make(chan struct{})}
	runs := 0
	running, finish := make(chan struct{}), make(chan struct{})
	door := func(record guard.Record) *guard.Guard {
		g, err := guard.New(guard.Config{Policies: map[string]shellpolicy.Policy{"nexus": {Mode: shellpolicy.Auto}}, Record: record,
			Pool: poolFunc(func(host string, _ sshpool.Command) (*sshpool.Result, error) {
				runs++
				close(running)
				<-finish
				return &sshpool.Result{Host: host, Outcome: sshpool.Exited, Stdout: sshpool.Output{Head: []byte("web\n")}}, nil
			})})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	type end struct {
		cmd lifeline.Command
		err error
	}
	run := func(g *guard.Guard) <-chan end {
		ended := make(chan end, 1)
		go func() {
			cmd, err := g.Run(t.Context(), lifeline.CommandRequest{ID: "inc.a1.f0", Host: "nexus", Command: "docker start web", Actor: "runbook:r"})
			ended <- end{cmd, err}
		}()
		return ended
	}
	one := run(door(first))
	<-running
	two := run(door(second)) // it finds an intent without a result
	<-second.reached
	close(finish)
	if got := <-one; got.err != nil || !got.cmd.Succeeded() {
		t.Errorf("the process that ran it: %+v, %v", got.cmd, got.err)
	}
	close(second.release)
	if got := <-two; got.err != nil || !got.cmd.Succeeded() || string(got.cmd.Stdout) != "web\n" {
		t.Errorf("the process that took it for lost: %s %s, %v", got.cmd.Outcome, got.cmd.Error, got.err)
	}
	commands, err := first.Commands(t.Context(), "")
	if err != nil || len(commands) != 1 || !commands[0].Succeeded() || runs != 1 {
		t.Errorf("on record: %+v, %v; it ran %d times", commands, err, runs)
	}
	if audit, err := first.VerifyAudit(t.Context(), store.AuditCheck{}); err != nil || audit.Bad != nil {
		t.Errorf("the record: %+v, %v", audit.Bad, err)
	}
}

// A database of the first version is migrated by a process that is killed right
// before any commit of it: the old version is there whole, or a newer one, and
// the next opening makes it the newest with all of its history.
func TestKilledWhileMigrating(t *testing.T) {
	for n := 1; ; n++ {
		if n > 40 {
			t.Fatal("the migration never ends")
		}
		s := newSite(t, auto, "")
		s.url = "sqlite:" + filepath.Join(s.dir, "old.db")
		old := oldDatabase(t, filepath.Join(s.dir, "old.db"))
		s.configure(strings.NewReplacer("lifeline.db", "old.db"))
		c := s.start(plan{Migrate: true, Commit: n, FromBoot: true})
		done := c.cmd.ProcessState.Success()
		if !done && !c.killed() {
			t.Fatalf("commit %d: the process ended with %s", n, c.cmd.ProcessState)
		}
		whole(t, filepath.Join(s.dir, "old.db"), n)
		record := s.open()
		events, err := record.Events(t.Context(), "inc_1", 0)
		if err != nil || len(events) != old {
			t.Errorf("commit %d: %d events of the old history, want %d: %v", n, len(events), old, err)
		}
		inc, err := record.Incident(t.Context(), "inc_1")
		if err != nil || inc.State != lifeline.StateOpen || inc.Summary != "it is down" {
			t.Errorf("commit %d: the incident is %+v, %v", n, inc, err)
		}
		if audit, err := record.VerifyAudit(t.Context(), store.AuditCheck{}); err != nil || audit.Bad != nil {
			t.Errorf("commit %d: the record: %+v, %v", n, audit.Bad, err)
		}
		if done {
			t.Logf("killed before each of %d commits", n-1)
			if n < 3 {
				t.Errorf("the migration has only %d commits", n-1)
			}
			return
		}
	}
}

// configure changes the configuration file.
func (s *site) configure(r *strings.Replacer) {
	s.t.Helper()
	text, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.config, []byte(r.Replace(string(text))), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// oldDatabase makes a database as the first version left it, with an incident,
// its alert and so many events.
func oldDatabase(t *testing.T, file string) (events int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("../store/migrations/sqlite"), goose.WithTableName("lifeline_migrations"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	const more = 40
	for _, statement := range []string{
		`INSERT INTO incidents VALUES ('inc_1', 'k', 'Down', 'none', 'it is down', 'nexus', 'container', 'web', 'open', '', 1, 5, 5)`,
		`INSERT INTO alerts (id, incident_id, fingerprint, status, received_at, alert) VALUES ('alr_1', 'inc_1', 'f', 'firing', 5, '{}')`,
		`INSERT INTO events (incident_id, at, kind, actor, text, data) VALUES ('inc_1', 5, 'alert_received', 'x', 't', '{}')`,
		`INSERT INTO events (incident_id, at, kind, actor, text, data) VALUES ('inc_1', 5, 'incident_opened', 'triage', 't',
			'{"id":"inc_1","key":"k","alert_name":"Down","severity":"none","summary":"it is down","target":{"host":"nexus","kind":"container","name":"web"},"state":"open","alerts":1,"alert_firing":true,"changes":0,"opened_at":"1970-01-01T00:00:00.000005Z","updated_at":"1970-01-01T00:00:00.000005Z"}')`,
		fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO events (incident_id, at, kind, actor, text) SELECT 'inc_1', 6 + i, 'note', 'x', 't' || i FROM n`, more),
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return more + 2
}

// whole looks at the database as the dead process left it: what its version
// promises is there, and nothing of the next one.
func whole(t *testing.T, file string, n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var version, chained, unchained, approvals int
	err = errors.Join(
		db.QueryRowContext(t.Context(), `SELECT max(version_id) FROM lifeline_migrations WHERE is_applied`).Scan(&version),
		db.QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_master WHERE name = 'approvals'`).Scan(&approvals))
	if version >= 2 {
		err = errors.Join(err, db.QueryRowContext(t.Context(), `SELECT count(*) FILTER (WHERE hash <> ''), count(*) FILTER (WHERE hash = '') FROM events`).Scan(&chained, &unchained))
	}
	if err != nil {
		t.Fatalf("commit %d: %v", n, err)
	}
	switch {
	case version < 2 && approvals != 0,
		version >= 2 && approvals != 1,
		version == 2 && chained != 0,
		version >= 3 && unchained != 0:
		t.Errorf("commit %d: version %d, with %d tables of approvals, %d chained events and %d others", n, version, approvals, chained, unchained)
	}
}

// The host goes silent in the middle of a change: the change is unknown or timed
// out on record in bounded time, is not repeated while nothing can be seen, and
// a person is told.
func TestHostGoesSilentInAChange(t *testing.T) {
	s := newSite(t, auto, "")
	s.configure(strings.NewReplacer("config: ssh_config", "config: ssh_config, keepalive_interval: 1s, keepalive_count: 2, connect_timeout: 1s, queue_timeout: 1s",
		"verify_timeout: 20s", "verify_timeout: 2s"))
	silence := make(chan struct{})
	s.begun = func() {
		s.host.Freeze()
		close(silence)
	}
	begun := time.Now()
	inc, _ := s.untilEnded(func() plan { return plan{} })
	<-silence
	s.honest(inc)
	commands, err := s.open().Commands(t.Context(), inc.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		if c.Class != "read" && c.Outcome != lifeline.OutcomeUnknown && c.Outcome != lifeline.OutcomeNotStarted && c.Outcome != lifeline.OutcomeTimedOut {
			t.Errorf("%q is %s on record", c.Canonical, c.Outcome)
		}
	}
	if inc.State != lifeline.StateEscalated || s.ran() != 1 {
		t.Errorf("the incident is %s (%s), and %d changes were begun", inc.State, inc.Reason, s.ran())
	}
	t.Logf("escalated after %s: %s", time.Since(begun).Round(time.Second), inc.Reason)
	s.stop()
}
