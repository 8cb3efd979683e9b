// Package timeline shows what happened, step by step, to whoever watches.
//
// The stored timeline is complete and ordered by Seq; the Hub only tells those
// who are watching now that it grew. Rendering is for a terminal and for the
// case that is handed over; text from outside is escaped here.
package timeline

import (
	"sync"

	"lifeline"
)

// buffered is how many events a watcher may lag behind before some are dropped
// for it.
const buffered = 1024

// Hub hands committed events to watchers. The zero value is not usable.
type Hub struct {
	mu       sync.Mutex
	watchers map[*Watcher]bool // guarded by mu
}

// NewHub returns a hub without watchers.
func NewHub() *Hub { return &Hub{watchers: map[*Watcher]bool{}} }

// Watcher receives events from the moment of its Watch on.
//
// Events of a watcher that lags behind are dropped for it, never for others,
// and never from the store: a gap in Seq shows it, and Store.Events fills it.
type Watcher struct {
	hub        *Hub
	incidentID string
	events     chan lifeline.Event
}

// Watch begins to watch one incident, or all for "".
func (h *Hub) Watch(incidentID string) *Watcher {
	w := &Watcher{hub: h, incidentID: incidentID, events: make(chan lifeline.Event, buffered)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchers[w] = true
	return w
}

// Events is closed by Close.
func (w *Watcher) Events() <-chan lifeline.Event { return w.events }

// Close stops watching. It is idempotent.
func (w *Watcher) Close() {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	if w.hub.watchers[w] {
		delete(w.hub.watchers, w)
		close(w.events)
	}
}

// Publish hands an event to its watchers. It never blocks.
func (h *Hub) Publish(e lifeline.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		if w.incidentID != "" && w.incidentID != e.IncidentID {
			continue
		}
		select {
		case w.events <- e:
		default: // the watcher lags behind: see Watcher
		}
	}
}
