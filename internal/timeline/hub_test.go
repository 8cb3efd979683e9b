package timeline_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/timeline"
)

// drain takes what a watcher has got so far.
func drain(w *timeline.Watcher) (seqs []int64) {
	for {
		select {
		case e, open := <-w.Events():
			if !open {
				return seqs
			}
			seqs = append(seqs, e.Seq)
		default:
			return seqs
		}
	}
}

func event(seq int64, incident string) lifeline.Event {
	return lifeline.Event{Seq: seq, IncidentID: incident, Kind: lifeline.EventNote}
}

func TestHub(t *testing.T) {
	hub := timeline.NewHub()
	hub.Publish(event(1, "a")) // nobody watches
	one, all := hub.Watch("a"), hub.Watch("")
	hub.Publish(event(2, "a"))
	hub.Publish(event(3, "b"))
	hub.Publish(event(4, "a"))
	if diff := cmp.Diff([]int64{2, 4}, drain(one)); diff != "" {
		t.Errorf("watcher of a (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{2, 3, 4}, drain(all)); diff != "" {
		t.Errorf("watcher of all (-want +got):\n%s", diff)
	}
	hub.Publish(event(5, "a"))
	one.Close()
	one.Close()
	hub.Publish(event(6, "a"))
	// What came before Close is still there to be read, and then the end.
	if diff := cmp.Diff([]int64{5}, drain(one)); diff != "" {
		t.Errorf("after Close (-want +got):\n%s", diff)
	}
	if _, open := <-one.Events(); open {
		t.Error("Events is not closed")
	}
	if diff := cmp.Diff([]int64{5, 6}, drain(all)); diff != "" {
		t.Errorf("the other watcher (-want +got):\n%s", diff)
	}
}

// A watcher that lags behind loses the newest events, for itself alone, and
// never makes Publish wait.
func TestHubDropsForTheSlowOnly(t *testing.T) {
	hub := timeline.NewHub()
	slow, quick := hub.Watch(""), hub.Watch("")
	room := int64(cap(slow.Events()))
	if room < 100 {
		t.Fatalf("a watcher may lag behind %d events: too few for one page", room)
	}
	var got []int64
	for seq := range room + 50 {
		hub.Publish(event(seq, "a"))
		got = append(got, drain(quick)...)
	}
	if int64(len(got)) != room+50 {
		t.Errorf("the quick watcher got %d of %d events", len(got), room+50)
	}
	lagged := drain(slow)
	if int64(len(lagged)) != room || lagged[0] != 0 || lagged[room-1] != room-1 {
		t.Errorf("the slow watcher got %d events, %d to %d", len(lagged), lagged[0], lagged[len(lagged)-1])
	}
	// It goes on, and the gap in Seq shows what it missed.
	hub.Publish(event(9_000, "a"))
	if diff := cmp.Diff([]int64{9_000}, drain(slow)); diff != "" {
		t.Errorf("afterwards (-want +got):\n%s", diff)
	}
}

func TestHubAtTheSameTime(t *testing.T) {
	hub := timeline.NewHub()
	steady := hub.Watch("")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 50 {
				hub.Publish(event(int64(i*50+n), "a"))
			}
		})
		wg.Go(func() {
			for range 50 {
				w := hub.Watch("a")
				drain(w)
				w.Close()
			}
		})
	}
	wg.Wait()
	steady.Close()
	seen := map[int64]bool{}
	last := map[int64]int64{} // of each publisher
	for e := range steady.Events() {
		seen[e.Seq] = true
		if before, ok := last[e.Seq/50]; ok && e.Seq <= before {
			t.Errorf("%d came after %d", e.Seq, before)
		}
		last[e.Seq/50] = e.Seq
	}
	if len(seen) != 200 {
		t.Errorf("%d of 200 events arrived", len(seen))
	}
}
