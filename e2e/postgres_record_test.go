//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"lifeline"
	"lifeline/internal/respond"
	"lifeline/internal/store"
)

func firingAlert(key string) []lifeline.TriagedAlert {
	return []lifeline.TriagedAlert{{
		Alert: lifeline.Alert{Source: "alertmanager", Status: lifeline.AlertFiring, Name: "X", Fingerprint: "f"}, Key: key,
		Target: lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"},
	}}
}

func noCallback(context.Context, *sql.Tx, lifeline.Incident) error { return nil }

func mustReceive(t *testing.T, s *store.Store, key string) string {
	t.Helper()
	receipts, err := s.ReceiveAlerts(t.Context(), firingAlert(key), noCallback, noCallback)
	if err != nil {
		t.Fatal(err)
	}
	return receipts[0].IncidentID
}

// Whoever has the database's account cannot quietly change what is on record.
func TestPostgresRecordIsAppendOnly(t *testing.T) {
	s := openPostgres(t, startPostgres(t).url(t), store.Options{})
	id := mustReceive(t, s, "k")
	cmd := lifeline.Command{CommandRequest: lifeline.CommandRequest{ID: "waits", IncidentID: id, Host: "nexus"}, Class: "read"}
	if _, err := s.RecordIntent(t.Context(), cmd, lifeline.Limits{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pause(t.Context(), "person:ann", "", false); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`UPDATE events SET text = 'x'`, `DELETE FROM events`, `TRUNCATE events`,
		`UPDATE alerts SET alert = '{}'`, `DELETE FROM alerts`, `TRUNCATE alerts`,
		`DELETE FROM incidents`, `TRUNCATE incidents CASCADE`, `DELETE FROM commands`, `TRUNCATE commands`,
		`UPDATE pauses SET record = '{}'`, `DELETE FROM pauses`, `TRUNCATE pauses`,
		`TRUNCATE maintenances`, `TRUNCATE usage`,
		`UPDATE commands SET record = '{}' WHERE id = 'waits'`,
		`UPDATE commands SET finished_at = 1, intent_at = NULL WHERE id = 'waits'`,
		`UPDATE commands SET finished_at = 1, host = '' WHERE id = 'waits'`,
		`INSERT INTO events (seq, incident_id, at, kind, actor, text, hash) VALUES (99, '', 1, 'note', '', '', '')`,
	} {
		if _, err := s.DB().ExecContext(t.Context(), statement); err == nil {
			t.Errorf("%s went through", statement)
		}
	}
	if audit, err := s.VerifyAudit(t.Context(), store.AuditCheck{}); err != nil || audit.Bad != nil || audit.Events == 0 {
		t.Errorf("the record: %+v, %v", audit, err)
	}
}

// Every node has the same key, and none goes on with another one.
func TestPostgresKey(t *testing.T) {
	url, dir := startPostgres(t).url(t), t.TempDir()
	key := filepath.Join(dir, "record.key")
	openPostgres(t, url, store.Options{KeyFile: key}) // makes it
	openPostgres(t, url, store.Options{KeyFile: key})

	other := filepath.Join(dir, "other.key")
	_, err := store.Open(t.Context(), url, store.Options{KeyFile: other})
	if lifeline.CodeOf(err) != lifeline.CodeConfig || !strings.Contains(err.Error(), "is not there") {
		t.Errorf("without the key: %v", err)
	}
	writeFile(t, other, strings.Repeat("ab", 32)+"\n")
	_, err = store.Open(t.Context(), url, store.Options{KeyFile: other})
	if lifeline.CodeOf(err) != lifeline.CodeConfig || !strings.Contains(err.Error(), "not the one") {
		t.Errorf("with another key: %v", err)
	}
}

// A record whose mark of the key was deleted still does not take another key: the
// seal says whose it is.
func TestPostgresKeyAgainstTheSeal(t *testing.T) {
	server := startPostgres(t)
	url, dir := server.url(t), t.TempDir()
	mustReceive(t, openPostgres(t, url, store.Options{KeyFile: filepath.Join(dir, "record.key")}), "k")
	server.query(t, url, `DELETE FROM record_key`)
	_, err := store.Open(t.Context(), url, store.Options{KeyFile: filepath.Join(dir, "other.key")})
	if lifeline.CodeOf(err) != lifeline.CodeConfig || !strings.Contains(err.Error(), "did not seal") {
		t.Errorf("with another key: %v", err)
	}
	openPostgres(t, url, store.Options{KeyFile: filepath.Join(dir, "record.key")})
}

// Processes that write at the same time make one chain.
func TestPostgresWritesTakeTurns(t *testing.T) {
	url, key := startPostgres(t).url(t), filepath.Join(t.TempDir(), "record.key")
	const stores, rounds = 4, 15
	var opened atomic.Int64
	var wg sync.WaitGroup
	for range stores {
		wg.Go(func() {
			s, err := store.Open(t.Context(), url, store.Options{KeyFile: key})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for i := range rounds {
				receipts, err := s.ReceiveAlerts(t.Context(), firingAlert(string(rune('a'+i))), noCallback, noCallback)
				if err != nil {
					t.Error(err)
				} else if receipts[0].Result == lifeline.ReceiptOpened {
					opened.Add(1)
				}
			}
		})
	}
	wg.Wait()
	s := openPostgres(t, url, store.Options{KeyFile: key})
	if n := opened.Load(); n != rounds {
		t.Errorf("%d incidents were opened, want %d", n, rounds)
	}
	if audit, err := s.VerifyAudit(t.Context(), store.AuditCheck{}); err != nil || audit.Bad != nil || audit.Events != rounds+stores*rounds {
		t.Errorf("the record: %+v, %v", audit, err)
	}
}

// The server is started anew: what uses it goes on.
func TestPostgresRestart(t *testing.T) {
	server := startPostgres(t)
	s := openPostgres(t, server.url(t), store.Options{})
	id := mustReceive(t, s, "k")
	for range 2 {
		server.restart(t)
		if _, err := s.Incident(t.Context(), id); err != nil {
			t.Errorf("read after the restart: %v", err)
		}
		server.restart(t)
		if got := mustReceive(t, s, "k"); got != id {
			t.Errorf("the incident is %s, and was %s", got, id)
		}
	}
}

// A connection that is lost while a commit is asked for: nobody knows, and the
// error says so.
func TestPostgresUnknownCommit(t *testing.T) {
	server := startPostgres(t)
	var armed atomic.Bool
	address := cutAtCommit(t, net.JoinHostPort("127.0.0.1", server.port), &armed)
	server.url(t)
	s := openPostgres(t, "postgres://lifeline@"+address+"/lifeline1?sslmode=disable", store.Options{})
	id := mustReceive(t, s, "k")
	armed.Store(true)
	err := s.AppendEvent(t.Context(), lifeline.Event{IncidentID: id, Kind: lifeline.EventNote, Actor: "test", Text: "once"})
	if lifeline.CodeOf(err) != lifeline.CodeStore || !strings.Contains(err.Error(), "not known") {
		t.Errorf("the commit: %v (%s)", err, lifeline.CodeOf(err))
	}
	armed.Store(false)
	eventually(t, "the server is done with it", func() error {
		events, err := s.Events(t.Context(), id, 0)
		if err == nil && events[len(events)-1].Text != "once" {
			err = errors.New("it is not there")
		}
		return err
	})
	if audit, err := s.VerifyAudit(t.Context(), store.AuditCheck{}); err != nil || audit.Bad != nil {
		t.Errorf("the record: %+v, %v", audit, err)
	}
}

// cutAtCommit is a way to the server that, while armed, hands a commit over and
// ends the connection without an answer.
func cutAtCommit(t *testing.T, server string, armed *atomic.Bool) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	pass := func(to, from net.Conn, asks bool) {
		defer to.Close()
		defer from.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if n > 0 {
				if !asks && armed.Load() && bytes.Contains(buf[:n], []byte("COMMIT")) {
					return // the answer is lost
				}
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			conn, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			wg.Go(func() { pass(conn, client, true) })
			wg.Go(func() { pass(client, conn, false) })
		}
	})
	return l.Addr().String()
}

type noDoor struct{}

func (noDoor) Run(context.Context, lifeline.CommandRequest) (lifeline.Command, error) {
	return lifeline.Command{}, errors.New("nothing runs here")
}

type nobodyResponds struct{}

func (nobodyResponds) Choose(lifeline.Alert, lifeline.Target, int) lifeline.Choice {
	return lifeline.Choice{Why: "nobody is there"}
}

func (nobodyResponds) Responder(string) (respond.Responder, bool) { return nil, false }

// An incident and its workflow are committed together, or neither is.
func TestPostgresEnqueueIsOfTheTransaction(t *testing.T) {
	server := startPostgres(t)
	url := server.url(t)
	s := openPostgres(t, url, store.Options{})
	pool, err := s.OpenPool(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	svc, err := respond.New(t.Context(), respond.Config{Pool: pool, Store: s, Door: noDoor{}, Responders: nobodyResponds{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := svc.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	no := errors.New("no")
	_, err = s.ReceiveAlerts(t.Context(), firingAlert("lost"), func(ctx context.Context, tx *sql.Tx, inc lifeline.Incident) error {
		return errors.Join(svc.Enqueue(ctx, tx, inc), no)
	}, svc.AlertResolved)
	if !errors.Is(err, no) || strings.Contains(err.Error(), "enqueue") {
		t.Errorf("a transaction that fails: %v", err)
	}
	if rows := server.query(t, url, `SELECT workflow_uuid FROM dbos.workflow_status`); len(rows) != 0 {
		t.Errorf("it left a workflow: %v", rows)
	}
	receipts, err := s.ReceiveAlerts(t.Context(), firingAlert("kept"), svc.Enqueue, svc.AlertResolved)
	if err != nil {
		t.Fatal(err)
	}
	if err := svc.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the incident is handed over", func() error {
		inc, err := s.Incident(t.Context(), receipts[0].IncidentID)
		if err == nil && inc.State != lifeline.StateEscalated {
			err = errors.New("it is " + string(inc.State))
		}
		return err
	})
}
