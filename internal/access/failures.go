package access

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"lifeline"
)

// What the record has of sign-ins that failed: each of the first within a time,
// and then one event for all the others.
const (
	failuresTold   = 10
	failuresWithin = 10 * time.Minute
)

// failures puts sign-ins that failed on record without filling it.
type failures struct {
	record Record
	log    *slog.Logger
	now    func() time.Time

	mu     sync.Mutex // guards what follows
	begun  time.Time
	told   int
	hidden int
	from   string // the address of the last of the hidden ones
	timer  *time.Timer
	// telling are the writes under way that the timer began.
	telling sync.WaitGroup
	closed  bool
}

// failure is the data of a login_failed event. Name is that of a user of the
// configuration, or "": what was typed there may be a password.
type failure struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address,omitempty"`
	Why     string `json:"why"`
	Times   int    `json:"times"`
}

// add notes one in the log and on the record.
func (f *failures) add(ctx context.Context, v failure) {
	v.Times = 1
	f.log.Warn("login_failed", "user", v.Name, "address", v.Address, "reason", v.Why)
	if !f.hide(v.Address) {
		f.tell(ctx, v)
	}
}

// hide counts one that gets no event of its own; false: it gets one.
func (f *failures) hide(address string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if now.Sub(f.begun) >= failuresWithin || now.Before(f.begun) {
		f.begun, f.told = now, 0
	}
	if f.told < failuresTold || f.closed {
		f.told++
		return false
	}
	f.hidden++
	f.from = address
	if f.timer == nil {
		f.timer = time.AfterFunc(failuresWithin-now.Sub(f.begun), func() {
			f.mu.Lock()
			tells := !f.closed
			if tells {
				f.telling.Add(1)
			}
			f.mu.Unlock()
			if !tells {
				return // close tells it
			}
			defer f.telling.Done()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			f.flush(ctx)
		})
	}
	return true
}

// flush tells of the hidden ones in one event.
func (f *failures) flush(ctx context.Context) {
	f.mu.Lock()
	n, from := f.hidden, f.from
	f.hidden = 0
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	f.mu.Unlock()
	if n > 0 {
		f.tell(ctx, failure{Address: from, Why: "more of the same, the last from this address", Times: n})
	}
}

func (f *failures) close(ctx context.Context) {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.telling.Wait()
	f.flush(ctx)
}

// tell appends an event. That it cannot is in the log: nobody was let in.
func (f *failures) tell(ctx context.Context, v failure) {
	who := "somebody"
	if v.Name != "" {
		who = v.Name
	}
	text := fmt.Sprintf("a sign-in of %s from %s failed: %s", who, v.Address, v.Why)
	if v.Times > 1 {
		text = fmt.Sprintf("%d sign-ins failed besides those before, the last from %s", v.Times, v.Address)
	}
	data, err := json.Marshal(v)
	if err == nil {
		err = f.record.AppendEvent(context.WithoutCancel(ctx), lifeline.Event{Kind: lifeline.EventLoginFailed, Actor: "access", Text: text, Data: data})
	}
	if err != nil {
		f.log.Error("login_failure_not_recorded", "error", err)
	}
}
