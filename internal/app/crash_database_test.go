package app

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeline"
)

// mend ends the failures of the service's database.
func (s *site) mend() {
	s.t.Helper()
	if _, err := io.WriteString(s.service.orders, "mend\n"); err != nil {
		s.t.Fatal(err)
	}
	if said := <-s.service.said; said != "mended" {
		s.t.Fatalf("the service says %q", said)
	}
}

// ready asks the service whether it can work.
func (s *site) ready() int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.service.address+"/readyz", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// The Nth write fails, for every N: at most one change, never one without its
// intent on record, and the incident comes to its end.
func TestAnyWriteFails(t *testing.T) {
	const most = 66
	writes := []int{2, 17, 28, 36, 44, 52} // some of each kind
	if rounds(t, 1) > 1 {
		writes = nil
		for n := range most + 10 {
			writes = append(writes, n+1)
		}
	}
	for _, n := range writes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, auto, "")
			inc, restarts := s.untilEnded(once(plan{Fail: n, FailFor: 1}))
			s.honest(inc)
			if restarts != 0 {
				t.Errorf("the service died %d times", restarts)
			}
			s.stop()
		})
	}
}

// Every write fails from the Nth on, as on a full disk, until it is mended: no
// change without its intent on record, the readiness is red and senders are told
// to come again. Mended, the incident comes to its end without a restart.
func TestEveryWriteFails(t *testing.T) {
	writes := []int{1, 20, 30, 38, 46, 54}
	if rounds(t, 1) > 1 {
		writes = nil
		for n := range 70 {
			writes = append(writes, n+1)
		}
	}
	var red atomic.Int64
	t.Run("rounds", func(t *testing.T) {
		for _, n := range writes {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, auto, "")
				s.start(plan{Fail: n, FailFor: 1 << 30})
				s.until("the readiness is red, or the incident is at its end", func() bool {
					s.alertmanager()
					return s.ready() == http.StatusServiceUnavailable
				})
				red.Add(1)
				status, header := s.post(message(lifeline.AlertFiring, "late"))
				if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
					t.Errorf("the webhook answered %d, Retry-After %q", status, header.Get("Retry-After"))
				}
				// What was under way has found out by now.
				begun := s.ran()
				s.until("the workflow has met the failure", func() bool { return s.settled() })
				if n := s.ran(); n != begun && n > 1 {
					t.Errorf("%d changes were begun while nothing could be written", n-begun)
				}
				s.mend()
				inc, restarts := s.untilEnded(func() plan { return plan{} })
				s.honest(inc)
				if restarts != 0 {
					t.Errorf("the service was started again %d times", restarts)
				}
				s.stop()
			})
		}
	})
	if red.Load() == 0 {
		t.Error("no service met the failure")
	}
}

// settled reports whether the host has been quiet for a while.
func (s *site) settled() bool {
	before := s.ran()
	<-time.After(300 * time.Millisecond)
	return s.ran() == before
}

// Another program holds the database's write lock, from the moment at which the
// host has begun a change: senders are told to come again, the readiness is red,
// and the result of the change is on record once it can be.
func TestBusyDatabase(t *testing.T) {
	if isPostgres(os.Getenv(databaseVariable)) {
		t.Log("Postgres has no lock on the whole database")
		return
	}
	s := newSite(t, auto, "")
	s.open()
	var (
		lock *sql.Tx
		once sync.Once
		busy = make(chan error, 1)
	)
	s.begun = func() {
		once.Do(func() {
			var err error
			lock, err = s.record.DB().BeginTx(context.Background(), nil)
			busy <- err
		})
	}
	s.start(plan{})
	s.until("the alert is taken", func() bool { s.alertmanager(); return s.told })
	if err := <-busy; err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	// The readiness answers at once, while others wait for the lock for as long
	// as SQLite is told to, 10 s.
	if status := s.ready(); status != http.StatusServiceUnavailable {
		t.Errorf("the readiness is %d", status)
	}
	if status, header := s.post(message(lifeline.AlertFiring, "late")); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("the webhook answered %d, Retry-After %q", status, header.Get("Retry-After"))
	}
	if rounds(t, 1) > 1 { // longer than a result is tried to be put on record
		<-time.After(60 * time.Second)
	}
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	t.Logf("the lock was held for %s", time.Since(begun).Round(time.Second))
	inc, restarts := s.untilEnded(func() plan { return plan{} })
	s.honest(inc)
	if restarts != 0 || s.ran() != 1 {
		t.Errorf("%d restarts, %d changes", restarts, s.ran())
	}
	s.stop()
}

// The database's file is overwritten with rubbish while the service runs: no
// change is begun, the readiness is red, and no sender is told that its alert
// was taken.
func TestCorruptDatabase(t *testing.T) {
	if isPostgres(os.Getenv(databaseVariable)) {
		t.Log("there is no file")
		return
	}
	s := newSite(t, auto, "")
	s.start(plan{})
	file, err := os.OpenFile(strings.TrimPrefix(s.url, "sqlite:"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(bytes.Repeat([]byte("rubbish "), int(info.Size())/8), 0); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if status, header := s.post(message(lifeline.AlertFiring, "web")); status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
			t.Errorf("the webhook answered %d, Retry-After %q", status, header.Get("Retry-After"))
		}
	}
	if status := s.ready(); status != http.StatusServiceUnavailable {
		t.Errorf("the readiness is %d", status)
	}
	if n := s.ran(); n != 0 {
		t.Errorf("%d changes were begun", n)
	}
	s.service.kill()
	// It does not start on it either, and says why.
	if c := s.start(plan{}); c.address != "" {
		t.Error("the service has started on a corrupt database")
	} else if text, err := os.ReadFile(c.log); err != nil || !strings.Contains(string(text), "is not a database") {
		t.Errorf("it says %s, %v", text, err)
	}
}
