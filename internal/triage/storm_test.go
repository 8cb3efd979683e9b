package triage_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/store"
	"lifeline/internal/triage"
)

// How large a storm is: 200 hosts, each with so many alerts.
const (
	stormHosts   = 200
	stormPerHost = stormAlerts / stormHosts
	stormAfter   = 5
)

// quiet takes what is enqueued.
type quiet struct{ enqueued atomic.Int64 }

func (q *quiet) Enqueue(context.Context, *sql.Tx, lifeline.Incident) error {
	q.enqueued.Add(1)
	return nil
}

func (q *quiet) AlertResolved(context.Context, *sql.Tx, lifeline.Incident) error { return nil }

// damped is triage of 200 hosts with storms and flapping.
func damped(t *testing.T, path string) (*triage.Triage, *store.Store, *quiet) {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	cfg := triage.Config{Damping: lifeline.Damping{StormAfter: stormAfter, StormWindow: time.Hour, FlapAfter: 3, FlapWindow: time.Hour}}
	for i := range stormHosts {
		cfg.Hosts = append(cfg.Hosts, fmt.Sprintf("h%d", i))
	}
	q := &quiet{}
	tr, err := triage.New(cfg, s, q)
	if err != nil {
		t.Fatal(err)
	}
	return tr, s, q
}

// stormOf makes the alerts of a storm, of every host one after the other.
func stormOf() []lifeline.Alert {
	alerts := make([]lifeline.Alert, 0, stormAlerts)
	for i := range stormPerHost {
		for h := range stormHosts {
			alerts = append(alerts, alert(fmt.Sprintf("Fault%d", i), fmt.Sprintf("host=h%d", h), "severity=critical"))
		}
	}
	return alerts
}

// leftovers looks at the heap and the goroutines; what it gives looks again, and
// finds what a storm has left in memory.
func leftovers(t *testing.T) func() {
	t.Helper()
	look := func() (heap int64, goroutines int) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc), runtime.NumGoroutine()
	}
	heap, goroutines := look()
	return func() {
		t.Helper()
		// Those of database/sql end a little after what they were for.
		for range 1000 {
			if runtime.NumGoroutine() <= goroutines+10 {
				break
			}
			runtime.Gosched()
		}
		if nowHeap, now := look(); now > goroutines+10 || nowHeap-heap > 32<<20 {
			t.Errorf("%d goroutines more, and %d MiB", now-goroutines, (nowHeap-heap)>>20)
		}
	}
}

// check looks at what a storm has left: every alert stored, most of them
// visibly merged, one case for each host besides the first few.
func check(t *testing.T, s *store.Store, q *quiet, results map[lifeline.ReceiptResult]int) {
	t.Helper()
	want := map[lifeline.ReceiptResult]int{lifeline.ReceiptOpened: stormHosts * stormAfter, lifeline.ReceiptMerged: stormHosts * (stormPerHost - stormAfter)}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Errorf("receipts (-want +got):\n%s", diff)
	}
	if n := rows(t, s, "alerts"); n != stormAlerts {
		t.Errorf("%d alerts are stored", n)
	}
	incidents, err := s.Incidents(t.Context(), store.Filter{})
	if err != nil || len(incidents) != stormHosts*(stormAfter+1) || q.enqueued.Load() != int64(len(incidents)) {
		t.Fatalf("%d incidents, %d enqueued, %v", len(incidents), q.enqueued.Load(), err)
	}
	cases, counted := 0, 0
	for _, inc := range incidents {
		counted += inc.Alerts
		if inc.AlertName == lifeline.StormAlert {
			cases++
			if says := fmt.Sprintf("%d alerts on %s: ", stormPerHost-stormAfter, inc.Target.Host); !strings.HasPrefix(inc.Summary, says) {
				t.Errorf("%q, want %q…", inc.Summary, says)
			}
		}
	}
	if cases != stormHosts || counted != stormAlerts {
		t.Errorf("%d storm cases; the incidents count %d alerts", cases, counted)
	}
}

func count(results map[lifeline.ReceiptResult]int, receipts []lifeline.Receipt) {
	for _, r := range receipts {
		results[r.Result]++
	}
}

func TestAStormInOneBody(t *testing.T) {
	tr, s, q := damped(t, filepath.Join(t.TempDir(), "lifeline.db"))
	left := leftovers(t)
	receipts, err := tr.Receive(t.Context(), stormOf())
	if err != nil {
		t.Fatal(err)
	}
	results := map[lifeline.ReceiptResult]int{}
	count(results, receipts)
	check(t, s, q, results)
	left()
}

func TestAStormInManyPosts(t *testing.T) {
	tr, s, q := damped(t, filepath.Join(t.TempDir(), "lifeline.db"))
	const senders = 64
	var (
		alerts  = stormOf()
		results = map[lifeline.ReceiptResult]int{}
		mu      sync.Mutex // guards results
		wg      sync.WaitGroup
		left    = leftovers(t)
	)
	for sender := range senders {
		wg.Go(func() {
			// Each has hosts of its own, so that those of one come in their order.
			for i := sender; i < len(alerts); i++ {
				if i%stormHosts%senders != sender {
					continue
				}
				receipts, err := tr.Receive(t.Context(), alerts[i:i+1])
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				count(results, receipts)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	check(t, s, q, results)
	left()
	runtime.KeepAlive(alerts)
}

// The same message again, from many at once, and after a restart, is one
// incident for each of its alerts, although a sender calls them one group.
func TestTheSameMessageOverAndOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lifeline.db")
	body := []lifeline.Alert{alert("ContainerDown", "host=h1", "container=web"), alert("ContainerDown", "host=h1", "container=db")}
	opened, rounds := 0, 0
	for range 2 { // the second is after a restart
		tr, s, _ := damped(t, path)
		const senders = 10
		var (
			mu sync.Mutex // guards opened and rounds
			wg sync.WaitGroup
		)
		for range senders {
			wg.Go(func() {
				for range 5 {
					receipts, err := tr.Receive(t.Context(), body)
					if err != nil {
						t.Error(err)
						return
					}
					results := map[lifeline.ReceiptResult]int{}
					count(results, receipts)
					mu.Lock()
					opened += results[lifeline.ReceiptOpened]
					rounds++
					mu.Unlock()
					if results[lifeline.ReceiptOpened]+results[lifeline.ReceiptRepeat] != len(body) {
						t.Errorf("%v", results)
					}
				}
			})
		}
		wg.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, s, _ := damped(t, path)
	if opened != 2 || rounds != 100 || rows(t, s, "incidents") != 2 || rows(t, s, "alerts") != 200 {
		t.Errorf("%d opened in %d rounds; %d incidents, %d alerts", opened, rounds, rows(t, s, "incidents"), rows(t, s, "alerts"))
	}
}
