package app

import (
	"context"
	"iter"
	"log/slog"
	"sort"
	"sync"
	"time"

	"lifeline"
)

// The bounds of the tail.
const (
	tailEvents = 4096    // that it keeps, and at most twice as many
	tailBytes  = 8 << 20 // of their texts and details, and at most twice as many
	tailRead   = 1000    // at a time
	tailEvery  = 500 * time.Millisecond
	// tailPause is the least time between two looks: what comes in a storm is read
	// together.
	tailPause = 10 * time.Millisecond
)

// tailSource is the record that a tail reads. *store.Store is one.
type tailSource interface {
	EventsPage(ctx context.Context, incidentID string, after int64, limit int) ([]lifeline.Event, error)
	LastEvent(ctx context.Context) (int64, error)
}

// tail reads the timeline of all incidents as it grows, once for everybody who
// follows: it looks when an event is appended here, and every tailEvery for those of
// other processes. Its ring has every event of the newest ones; who lags behind it
// reads the record. It looks at nothing while nobody follows.
type tail struct {
	source tailSource // set before run
	log    *slog.Logger
	wake   chan struct{} // an event was appended, or somebody has begun to follow
	ended  chan struct{} // closed once nobody is told any more
	end    func()        // closes ended

	mu        sync.Mutex // guards what follows
	followers int
	// ring has every event after base up to last, in order.
	ring       []lifeline.Event
	base, last int64
	bytes      int
	known      bool          // last is what the record had while somebody followed
	changed    chan struct{} // closed and replaced when the ring has grown
}

func newTail(log *slog.Logger) *tail {
	t := &tail{log: log, wake: make(chan struct{}, 1), ended: make(chan struct{}), changed: make(chan struct{})}
	t.end = sync.OnceFunc(func() { close(t.ended) })
	return t
}

// look makes run read at once. It never blocks.
func (t *tail) look() {
	select {
	case t.wake <- struct{}{}:
	default: // a look is to come already
	}
}

// run reads until ctx ends.
func (t *tail) run(ctx context.Context) {
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-tick.C:
		}
		more := true
		for more && ctx.Err() == nil {
			var err error
			more, err = t.read(ctx)
			if err != nil && !failing && ctx.Err() == nil { // once, not twice a second
				t.log.Error("timeline_not_read", "error", err)
			}
			failing = err != nil
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(tailPause):
		}
	}
}

// read takes in what is new and reports whether there may be more.
func (t *tail) read(ctx context.Context) (more bool, err error) {
	t.mu.Lock()
	if t.followers == 0 {
		t.ring, t.bytes, t.known = nil, 0, false
		t.mu.Unlock()
		return false, nil
	}
	after, known := t.last, t.known
	t.mu.Unlock()
	if !known {
		last, err := t.source.LastEvent(ctx)
		if err != nil {
			return false, err
		}
		t.mu.Lock()
		t.ring, t.bytes, t.base, t.last, t.known = nil, 0, last, last, true
		t.tellLocked()
		t.mu.Unlock()
		return true, nil
	}
	events, err := t.source.EventsPage(ctx, "", after, tailRead)
	if err != nil || len(events) == 0 {
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ring = append(t.ring, events...)
	t.last = events[len(events)-1].Seq
	for _, e := range events {
		t.bytes += size(e)
	}
	if len(t.ring) > 2*tailEvents || t.bytes > 2*tailBytes { // seldom: what is left is copied
		t.cutLocked()
	}
	t.tellLocked()
	return len(events) == tailRead, nil
}

// cutLocked forgets the oldest events, down to the bounds. What is left has a new
// array: the old one is free once nobody reads it.
func (t *tail) cutLocked() {
	drop := 0
	for drop < len(t.ring) && (len(t.ring)-drop > tailEvents || t.bytes > tailBytes) {
		t.bytes -= size(t.ring[drop])
		t.base = t.ring[drop].Seq
		drop++
	}
	t.ring = append([]lifeline.Event(nil), t.ring[drop:]...)
}

func size(e lifeline.Event) int { return len(e.Text) + len(e.Data) + len(e.Actor) + 128 }

// tellLocked wakes everybody who follows.
func (t *tail) tellLocked() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// since is what the ring has after a Seq. lags means that events after it are not in
// the ring any more, or not yet known. last is the newest event that the tail has
// read, and changed is closed when there are more.
func (t *tail) since(after int64) (events []lifeline.Event, last int64, lags bool, changed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.known {
		return nil, 0, false, t.changed
	}
	if after < t.base {
		return nil, t.last, true, t.changed
	}
	i := sort.Search(len(t.ring), func(i int) bool { return t.ring[i].Seq > after })
	// The slice is never written again: read appends behind it, or moves to a new one.
	return t.ring[i:len(t.ring):len(t.ring)], t.last, false, t.changed
}

// follow gives every event after a Seq, of one incident or of all for "", in order,
// each once, first those on record and then as they come, until ctx or the tail ends.
func (t *tail) follow(ctx context.Context, incidentID string, after int64) iter.Seq2[lifeline.Event, error] {
	return func(yield func(lifeline.Event, error) bool) {
		t.mu.Lock()
		t.followers++
		t.mu.Unlock()
		defer func() {
			t.mu.Lock()
			t.followers--
			t.mu.Unlock()
		}()
		t.look()
		after := max(after, 0)
		for {
			if ctx.Err() != nil || t.isEnded() {
				return
			}
			events, last, lags, changed := t.since(after)
			upTo := last
			if lags {
				var err error
				if events, err = t.source.EventsPage(ctx, incidentID, after, tailRead); err != nil {
					if ctx.Err() == nil {
						yield(lifeline.Event{}, err)
					}
					return
				}
				// A page that is not full has all there was up to last, which was read
				// before: events become visible in the order of Seq.
				if len(events) == tailRead {
					upTo = 0
				}
			}
			for _, e := range events {
				if incidentID != "" && e.IncidentID != incidentID {
					continue
				}
				if ctx.Err() != nil || t.isEnded() || !yield(e, nil) {
					return
				}
				after = e.Seq
			}
			after = max(after, upTo)
			if len(events) > 0 || lags {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
			case <-t.ended:
			}
		}
	}
}

func (t *tail) isEnded() bool {
	select {
	case <-t.ended:
		return true
	default:
		return false
	}
}

// Follow gives every event after a Seq, of one incident or of all for "", in order:
// first those on record, then each as it is committed, here or in another process.
// None is missing and none comes twice. It ends with ctx, with the service, and with
// an error of the record, which is its last element.
func (s *Service) Follow(ctx context.Context, incidentID string, after int64) iter.Seq2[lifeline.Event, error] {
	return func(yield func(lifeline.Event, error) bool) {
		id, err := s.fullID(ctx, incidentID)
		if err != nil {
			yield(lifeline.Event{}, err)
			return
		}
		for e, err := range s.tail.follow(ctx, id, after) {
			if !yield(e, err) {
				return
			}
		}
	}
}

// startTail begins to read the timeline for those who follow it.
func (a *App) startTail(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { a.tail.run(ctx) })
	a.ends = append(a.ends, func(context.Context) error {
		a.tail.end()
		cancel()
		running.Wait()
		return nil
	})
}
