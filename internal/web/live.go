package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"lifeline"
)

// Clocks of a stream: how long it may be silent, how long one write may take,
// and after how long a reader that lost it asks again, in milliseconds.
const (
	keepAlive  = 15 * time.Second
	writeMost  = 20 * time.Second
	againAfter = 2000
)

// step is what a page is told about an event: that there is one. What it says is
// rendered by the server, with the rest of the page.
type step struct {
	Seq      int64              `json:"seq"`
	Incident string             `json:"incident"`
	Kind     lifeline.EventKind `json:"kind"`
}

// live tells a page of every event after ?after=, or after the one that a reader
// had before it lost the stream, as server-sent events.
func (s *server) live(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseInt(r.FormValue("after"), 10, 64)
	if had := r.Header.Get("Last-Event-ID"); had != "" {
		after, err = strconv.ParseInt(had, 10, 64)
	}
	if err != nil || after < 0 {
		http.Error(w, "after is the number of an event: /live?after=0", http.StatusBadRequest)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // a proxy that buffers would hold everything back
	stream := &stream{w: w, control: http.NewResponseController(w)}
	if stream.write(fmt.Sprintf("retry: %d\n\n", againAfter)) != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	steps := make(chan step)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(steps)
		for e, err := range s.Service.Follow(ctx, r.FormValue("incident"), after) {
			if err != nil {
				if ctx.Err() == nil {
					s.Logger.Error("events_not_read", "error", err)
				}
				return // the reader asks again, from where it is
			}
			select {
			case steps <- step{e.Seq, e.IncidentID, e.Kind}:
			case <-ctx.Done():
				return
			}
		}
	})
	defer reading.Wait()
	defer cancel()
	silent := time.NewTicker(keepAlive)
	defer silent.Stop()
	for {
		select {
		case st, more := <-steps:
			if !more {
				return
			}
			data, err := json.Marshal(st)
			if err != nil || stream.write(fmt.Sprintf("id: %d\ndata: %s\n\n", st.Seq, data)) != nil {
				return
			}
			silent.Reset(keepAlive)
		case <-silent.C:
			if stream.write(": here\n\n") != nil {
				return
			}
		case <-ctx.Done():
			return
		case <-s.closing:
			return
		}
	}
}

// stream writes at once, and gives up on a reader that takes nothing. Its
// deadline is its own: that of the server is for whole answers.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s *stream) write(text string) error {
	// Not every writer has deadlines; one without is bounded by its reader.
	_ = s.control.SetWriteDeadline(time.Now().Add(writeMost))
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}

// head finds the number of the newest event, which pages over all incidents
// follow on from. Events are numbered without gaps, so a few questions suffice.
type head struct {
	mu  sync.Mutex // guards what follows; held while asking: others wait for the same answer
	seq int64
}

// find asks from the newest event that is known: by steps that double, and back
// by halves.
func (h *head) find(ctx context.Context, l Live) (int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	beyond := func(seq int64) (bool, error) {
		events, err := l.Events(ctx, "", seq, 1)
		return len(events) > 0, err
	}
	low, stride := h.seq, int64(1)
	for {
		more, err := beyond(low)
		if err != nil {
			return 0, err
		}
		if !more {
			break
		}
		// Beyond low there is at least one: low+1 is a lower bound.
		h.seq = low + 1
		low, stride = low+stride, stride*2
	}
	// The newest is in h.seq … low.
	for h.seq < low {
		middle := h.seq + (low-h.seq)/2
		more, err := beyond(middle)
		if err != nil {
			return 0, err
		}
		if more {
			h.seq = middle + 1
		} else {
			low = middle
		}
	}
	return h.seq, nil
}

// Bounds of lastSteps: how many incidents it knows, and how many events it reads
// at once.
const (
	maxSteps  = 1000
	stepsRead = 200
)

// lastSteps knows the newest event of incidents, so that a list of them reads
// only what is new.
type lastSteps struct {
	mu    sync.Mutex // guards known
	known map[string]lifeline.Event
}

func newLastSteps() *lastSteps { return &lastSteps{known: map[string]lifeline.Event{}} }

// of is the newest event of an incident; the zero event if it has none.
func (l *lastSteps) of(ctx context.Context, live Live, id string) (lifeline.Event, error) {
	l.mu.Lock()
	last := l.known[id]
	l.mu.Unlock()
	for {
		events, err := live.Events(ctx, id, last.Seq, stepsRead)
		if err != nil {
			return last, err
		}
		if len(events) > 0 {
			last = events[len(events)-1]
			last.Data = nil // only its line is shown
		}
		if len(events) < stepsRead {
			break
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.known) >= maxSteps {
		clear(l.known)
	}
	if l.known[id].Seq <= last.Seq {
		l.known[id] = last
	}
	return last, nil
}
