package triage_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/store"
	"lifeline/internal/triage"
)

// enqueuer keeps what it is told, in the database too: what is enqueued must
// be in the same transaction as the incident.
type enqueuer struct {
	mu   sync.Mutex
	told []string // guarded by mu
	fail error
}

func (e *enqueuer) tell(ctx context.Context, tx *sql.Tx, what string, inc lifeline.Incident) error {
	if e.fail != nil {
		return e.fail
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO enqueued VALUES ($1)`, inc.ID); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, fmt.Sprintf("%s %s: %s", what, inc.AlertName, inc.Target))
	return nil
}

func (e *enqueuer) Enqueue(ctx context.Context, tx *sql.Tx, inc lifeline.Incident) error {
	return e.tell(ctx, tx, "open", inc)
}

func (e *enqueuer) AlertResolved(ctx context.Context, tx *sql.Tx, inc lifeline.Incident) error {
	return e.tell(ctx, tx, "gone", inc)
}

func setUp(t *testing.T) (*triage.Triage, *store.Store, *enqueuer) {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "lifeline.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if _, err := s.DB().ExecContext(t.Context(), `CREATE TABLE enqueued (id TEXT)`); err != nil {
		t.Fatal(err)
	}
	e := &enqueuer{}
	tr, err := triage.New(triage.Config{Hosts: []string{"atlas", "borealis"}}, s, e)
	if err != nil {
		t.Fatal(err)
	}
	return tr, s, e
}

func rows(t *testing.T, s *store.Store, table string) (n int) {
	t.Helper()
	if err := s.DB().QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func gone(a lifeline.Alert) lifeline.Alert {
	a.Status = lifeline.AlertResolved
	return a
}

func results(receipts []lifeline.Receipt) string {
	var list []string
	for _, r := range receipts {
		list = append(list, string(r.Result))
	}
	return strings.Join(list, " ")
}

func TestReceive(t *testing.T) {
	tr, s, e := setUp(t)
	jukebox := alert("ContainerDown", "host=atlas", "container=jukebox")
	radio := alert("ContainerDown", "host=atlas", "container=radio")
	worse := alert("ContainerDown", "host=atlas", "container=jukebox", "severity=critical")
	lost := alert("HostDown", "host=nowhere")
	test := alert("TestAlert", "host=atlas")
	test.Test = true
	for _, tc := range []struct {
		name   string
		alerts []lifeline.Alert
		want   string
		told   []string
	}{
		// One group of alerts about two containers and a machine that nobody knows.
		{"a storm", []lifeline.Alert{jukebox, radio, lost}, "opened opened opened", []string{
			"open ContainerDown: container jukebox on atlas", "open ContainerDown: container radio on atlas", "open HostDown: no known target"}},
		{"the same message again", []lifeline.Alert{jukebox, radio, lost}, "repeat repeat repeat", nil},
		{"one twice in a message, and more severe", []lifeline.Alert{jukebox, jukebox, worse}, "repeat repeat repeat", nil},
		{"a test", []lifeline.Alert{test}, "test", nil},
		{"one is gone", []lifeline.Alert{gone(radio)}, "resolved", []string{"gone ContainerDown: container radio on atlas"}},
		{"one of two alerts is gone", []lifeline.Alert{gone(jukebox)}, "resolved", nil},
		{"and the other", []lifeline.Alert{gone(worse)}, "resolved", []string{"gone ContainerDown: container jukebox on atlas"}},
		{"what never was is gone", []lifeline.Alert{gone(alert("Other", "host=atlas"))}, "ignored", nil},
		{"up and down in one message", []lifeline.Alert{alert("Flap", "host=borealis"), gone(alert("Flap", "host=borealis"))}, "opened resolved",
			[]string{"open Flap: host borealis", "gone Flap: host borealis"}},
		{"nothing", nil, "", nil},
	} {
		e.told = nil
		receipts, err := tr.Receive(t.Context(), tc.alerts)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if got := results(receipts); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if diff := cmp.Diff(tc.told, e.told); diff != "" {
			t.Errorf("%s: told (-want +got):\n%s", tc.name, diff)
		}
	}
	// Every alert that was taken is a row, whatever became of it.
	if got := rows(t, s, "alerts"); got != 3+3+3+1+1+1+1+1+2 {
		t.Errorf("%d alerts are stored", got)
	}
	incidents, err := s.Incidents(t.Context(), store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if len(incidents) != 4 || rows(t, s, "enqueued") != 4+3 {
		t.Errorf("%d incidents, %d rows of the enqueuer", len(incidents), rows(t, s, "enqueued"))
	}
	for _, inc := range incidents {
		if inc.Key == "" || inc.State != lifeline.StateOpen {
			t.Errorf("incident %+v", inc)
		}
	}
}

func TestNothingIsStoredThatCannotBeStarted(t *testing.T) {
	tr, s, e := setUp(t)
	e.fail = errors.New("no queue")
	receipts, err := tr.Receive(t.Context(), []lifeline.Alert{alert("A", "host=atlas"), alert("B", "host=atlas")})
	if !errors.Is(err, e.fail) || lifeline.CodeOf(err) != lifeline.CodeStore || receipts != nil {
		t.Errorf("%v, %v", receipts, err)
	}
	for _, table := range []string{"alerts", "incidents", "events", "enqueued"} {
		if n := rows(t, s, table); n != 0 {
			t.Errorf("%s has %d rows", table, n)
		}
	}
	e.fail = nil
	receipts, err = tr.Receive(t.Context(), []lifeline.Alert{alert("A", "host=atlas")})
	if err != nil || results(receipts) != "opened" {
		t.Errorf("the sender comes again: %s, %v", results(receipts), err)
	}
}

// A sender and its twin of a high-availability pair post at the same time.
func TestReceiveAtTheSameTime(t *testing.T) {
	tr, s, e := setUp(t)
	const senders = 8
	all := make([]string, senders)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			<-start
			receipts, err := tr.Receive(t.Context(), []lifeline.Alert{alert("A", "host=atlas"), alert("A", "host=borealis")})
			if err != nil {
				t.Error(err)
			}
			all[i] = results(receipts)
		})
	}
	close(start)
	wg.Wait()
	opened := strings.Count(strings.Join(all, " "), "opened")
	if opened != 2 || len(e.told) != 2 || rows(t, s, "incidents") != 2 || rows(t, s, "alerts") != 2*senders {
		t.Errorf("opened %d, told %d times, %d incidents, %d alerts", opened, len(e.told), rows(t, s, "incidents"), rows(t, s, "alerts"))
	}
}

func TestNewChecksItsConfig(t *testing.T) {
	_, s, e := setUp(t)
	if _, err := triage.New(triage.Config{}, nil, e); err == nil {
		t.Error("no store was taken")
	}
	if _, err := triage.New(triage.Config{}, s, nil); err == nil {
		t.Error("no enqueuer was taken")
	}
	_, err := triage.New(triage.Config{Hosts: []string{"atlas"}, HostMap: map[string]string{"10.0.0.1": "atlass"}}, s, e)
	got, _ := errors.AsType[*lifeline.Error](err)
	if got == nil || got.Code != lifeline.CodeConfig || !strings.Contains(got.Message, `"10.0.0.1" to "atlass"`) || !strings.Contains(got.Hint, "atlas") {
		t.Errorf("a mapping to an unknown host: %v", err)
	}
}
