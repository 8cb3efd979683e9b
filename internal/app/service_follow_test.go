package app

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/store"
)

// script is a record that grows, and counts who reads it.
type script struct {
	mu     sync.Mutex // guards events
	events []lifeline.Event
	reads  atomic.Int64
	err    atomic.Pointer[error]
}

// grow appends one event of each incident and gives the last Seq.
func (r *script) grow(incidents ...string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range incidents {
		seq := int64(len(r.events) + 1)
		r.events = append(r.events, lifeline.Event{Seq: seq, IncidentID: id, Text: fmt.Sprint(seq)})
	}
	return int64(len(r.events))
}

func (r *script) EventsPage(_ context.Context, incidentID string, after int64, limit int) ([]lifeline.Event, error) {
	r.reads.Add(1)
	if err := r.err.Load(); err != nil {
		return nil, *err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var page []lifeline.Event
	for _, e := range r.events[min(after, int64(len(r.events))):] {
		if (incidentID == "" || e.IncidentID == incidentID) && len(page) < limit {
			page = append(page, e)
		}
	}
	return page, nil
}

func (r *script) LastEvent(context.Context) (int64, error) {
	r.reads.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	return int64(len(r.events)), nil
}

// inTail runs work in a bubble with a tail on a record.
func inTail(t *testing.T, work func(t *testing.T, r *script, tail *tail)) {
	synctest.Test(t, func(t *testing.T) {
		r := &script{}
		tail := newTail(slog.New(slog.DiscardHandler))
		tail.source = r
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { tail.run(ctx) })
		work(t, r, tail)
		tail.end()
		cancel()
		running.Wait()
	})
}

// Followers that begin at any time, of one incident or of all, quick or slow, get
// every event after theirs, each once and in order, and together they hardly read.
func TestFollowersMissNothing(t *testing.T) {
	inTail(t, func(t *testing.T, r *script, tail *tail) {
		const followers, rounds = 200, 300
		var (
			running sync.WaitGroup
			mu      sync.Mutex
			got     = make([][]int64, followers)
		)
		ctx, cancel := context.WithCancel(t.Context())
		of := func(i int) (incident string, after int64) {
			return []string{"", "a", "b"}[i%3], int64(i % 7 * 10)
		}
		r.grow("a", "b", "a", "a", "b")
		for i := range followers {
			running.Go(func() {
				time.Sleep(time.Duration(i) * 3 * time.Millisecond)
				incident, after := of(i)
				for e, err := range tail.follow(ctx, incident, after) {
					if err != nil {
						t.Error(err)
					}
					if i == 5 {
						time.Sleep(time.Millisecond)
					}
					mu.Lock()
					got[i] = append(got[i], e.Seq)
					mu.Unlock()
				}
			})
		}
		for i := range rounds {
			r.grow("a", "b", "c", "b")
			if i%2 == 0 { // every other one is another process's
				tail.look()
			}
			time.Sleep(7 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		reads := r.reads.Load()
		for i := range followers {
			incident, after := of(i)
			var want []int64
			for _, e := range r.events {
				if e.Seq > after && (incident == "" || e.IncidentID == incident) {
					want = append(want, e.Seq)
				}
			}
			if diff := cmp.Diff(want, got[i]); diff != "" {
				t.Fatalf("follower %d, of %q after %d (-want +got):\n%s", i, incident, after, diff)
			}
		}
		if most := int64(2*followers + 2*rounds + 100); reads > most {
			t.Errorf("the record was read %d times, want at most %d", reads, most)
		}
		time.Sleep(time.Minute)
		if quiet := r.reads.Load() - reads; quiet > 130 {
			t.Errorf("in a quiet minute the record was read %d times by %d followers, want twice a second", quiet, followers)
		}
		cancel()
		running.Wait()
		time.Sleep(time.Second)
		reads = r.reads.Load()
		time.Sleep(time.Minute)
		if after := r.reads.Load(); after != reads {
			t.Errorf("nobody follows, and the record was read %d times", after-reads)
		}
	})
}

// Who lags behind the ring goes on from the record, without a gap.
func TestFollowerLags(t *testing.T) {
	inTail(t, func(t *testing.T, r *script, tail *tail) {
		r.grow("a")
		var got []int64
		for e, err := range tail.follow(t.Context(), "a", 0) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, e.Seq); len(got) == 1 {
				for range 2*tailEvents/2 + 3000 {
					r.grow("a", "b")
				}
				time.Sleep(time.Second) // the tail reads it all, and forgets the oldest
				if base := func() int64 { tail.mu.Lock(); defer tail.mu.Unlock(); return tail.base }(); base < 100 {
					t.Fatalf("the ring begins after %d: nobody lags", base)
				}
			}
			if e.Seq >= int64(len(r.events))-1 {
				break
			}
		}
		for i, seq := range got {
			if want := int64(max(1, 2*i)); seq != want {
				t.Fatalf("event %d is %d, want %d", i, seq, want)
			}
		}
		if len(tail.ring) > 2*tailEvents {
			t.Errorf("the ring has %d events", len(tail.ring))
		}
	})
}

func TestFollowEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(cancel func(), tail *tail, r *script)
		want error
	}{
		"with its context":  {end: func(cancel func(), _ *tail, _ *script) { cancel() }},
		"with the service":  {end: func(_ func(), tail *tail, _ *script) { tail.end() }},
		"with its consumer": {},
	} {
		t.Run(name, func(t *testing.T) {
			inTail(t, func(t *testing.T, r *script, tail *tail) {
				r.grow("a", "a")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				n := 0
				for _, err := range tail.follow(ctx, "", 0) {
					if err != nil {
						t.Fatal(err)
					}
					if n++; n == 2 {
						if c.end == nil {
							break
						}
						time.AfterFunc(time.Second, func() { c.end(cancel, tail, r) })
					}
				}
				if n != 2 || tail.followers != 0 {
					t.Errorf("%d events, and %d still follow", n, tail.followers)
				}
			})
		})
	}
	t.Run("with an error of the record", func(t *testing.T) {
		inTail(t, func(t *testing.T, r *script, tail *tail) {
			r.grow("a")
			gone := errors.New("gone")
			var last error
			for _, err := range tail.follow(t.Context(), "", 0) {
				if last = err; err == nil {
					r.err.Store(&gone)
					tail.mu.Lock() // as if it had gone on without this one
					tail.base, tail.last = 9, 9
					tail.mu.Unlock()
				}
			}
			if !errors.Is(last, gone) {
				t.Errorf("it ended with %v", last)
			}
		})
	})
}

// Two processes on one database: what either writes comes to whoever follows either.
func TestFollowSeesOtherProcesses(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "lifeline.db")
	tl := newTail(slog.New(slog.DiscardHandler))
	here, err := store.Open(t.Context(), url, store.Options{OnEvent: func(lifeline.Event) { tl.look() }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close() })
	there, err := store.Open(t.Context(), url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { there.Close() })
	tl.source = here
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { tl.run(ctx) })
	defer running.Wait()
	defer cancel()
	receipts, err := here.ReceiveAlerts(ctx, []lifeline.TriagedAlert{{Alert: lifeline.Alert{Name: "X", Status: lifeline.AlertFiring, Fingerprint: "f"}, Key: "k"}},
		func(context.Context, *sql.Tx, lifeline.Incident) error { return nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	id := receipts[0].IncidentID
	var writing sync.WaitGroup
	defer writing.Wait()
	const each = 50
	for _, s := range []*store.Store{here, there} {
		writing.Go(func() {
			for range each {
				if err := s.AppendEvent(ctx, lifeline.Event{IncidentID: id, Kind: lifeline.EventNote, Actor: "test"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var got []int64
	for e, err := range tl.follow(ctx, id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e.Seq); len(got) == 2*each+2 { // with those of the opening
			break
		}
	}
	for i, seq := range got {
		if seq != int64(i+1) {
			t.Fatalf("event %d is %d", i, seq)
		}
	}
}
