package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"lifeline"
	"lifeline/internal/store"
)

// held is a store whose first call of ReceiveAlerts stands in its transaction
// until release, and counts the transactions.
type held struct {
	*store.Store
	transactions int
	release      chan struct{}
	first        chan error
}

// hold opens a store and begins the first call. It has to run in a bubble.
func hold(t *testing.T) *held {
	t.Helper()
	h := &held{release: make(chan struct{}), first: make(chan error, 1)}
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "lifeline.db"), store.Options{Now: func() time.Time {
		h.transactions++ // one look at the clock for each, one after another
		return time.Now()
	}})
	if err != nil {
		t.Fatal(err)
	}
	h.Store, h.transactions = s, 0
	go func() {
		_, err := s.ReceiveAlerts(t.Context(), alert("first"), func(context.Context, *sql.Tx, lifeline.Incident) error {
			<-h.release
			return nil
		}, nothing)
		h.first <- err
	}()
	synctest.Wait()
	return h
}

// call is a call of ReceiveAlerts that waits behind the first.
type call struct {
	receipts []lifeline.Receipt
	err      error
	done     bool
}

func (h *held) call(ctx context.Context, opened func(context.Context, *sql.Tx, lifeline.Incident) error, key string) *call {
	c := &call{}
	go func() {
		c.receipts, c.err = h.ReceiveAlerts(ctx, alert(key), opened, nothing)
		c.done = true
	}()
	synctest.Wait() // they wait in the order in which they came
	return c
}

func (h *held) end(t *testing.T) {
	t.Helper()
	close(h.release)
	synctest.Wait()
	if err := <-h.first; err != nil {
		t.Errorf("the first: %v", err)
	}
}

// Who comes while somebody commits shares the next transaction.
func TestCallsShareATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hold(t)
		defer h.Close()
		var calls []*call
		for i := range 20 {
			calls = append(calls, h.call(t.Context(), nothing, fmt.Sprintf("k%d", i%10)))
		}
		h.end(t)
		opened := 0
		for i, c := range calls {
			if !c.done || c.err != nil || len(c.receipts) != 1 {
				t.Fatalf("call %d: %+v", i, c)
			}
			if c.receipts[0].IncidentID != calls[i%10].receipts[0].IncidentID {
				t.Errorf("call %d has the receipt of another", i)
			}
			if c.receipts[0].Result == lifeline.ReceiptOpened {
				opened++
			}
		}
		if opened != 10 || h.transactions != 2 || count(t, h.Store, "alerts") != 21 {
			t.Errorf("%d opened in %d transactions, %d alerts", opened, h.transactions, count(t, h.Store, "alerts"))
		}
		if a := audit(t, h.Store, store.AuditCheck{}); a.Bad != nil {
			t.Errorf("%+v", a.Bad)
		}
	})
}

// One that cannot be taken fails for its own sender only.
func TestCallsDoNotShareAnError(t *testing.T) {
	no := errors.New("no queue")
	refuse := func(context.Context, *sql.Tx, lifeline.Incident) error { return no }
	synctest.Test(t, func(t *testing.T) {
		h := hold(t)
		defer h.Close()
		good, bad, after := h.call(t.Context(), nothing, "good"), h.call(t.Context(), refuse, "bad"), h.call(t.Context(), nothing, "after")
		h.end(t)
		if good.err != nil || after.err != nil || len(good.receipts) != 1 || len(after.receipts) != 1 {
			t.Errorf("before it: %+v, after it: %+v", good, after)
		}
		if !errors.Is(bad.err, no) || bad.receipts != nil || lifeline.CodeOf(bad.err) != lifeline.CodeStore {
			t.Errorf("%+v", bad)
		}
		if n := count(t, h.Store, "incidents"); n != 3 || count(t, h.Store, "alerts") != 3 {
			t.Errorf("%d incidents, %d alerts", n, count(t, h.Store, "alerts"))
		}
	})
}

// Who gives up while it waits leaves nothing stored, and stops nobody.
func TestACallGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hold(t)
		defer h.Close()
		ctx, cancel := context.WithCancel(t.Context())
		first, second := h.call(ctx, nothing, "gone"), h.call(t.Context(), nothing, "stays")
		cancel()
		synctest.Wait()
		if !first.done || !errors.Is(first.err, context.Canceled) || lifeline.CodeOf(first.err) != lifeline.CodeStore {
			t.Errorf("it waits on: %+v", first)
		}
		h.end(t)
		if !second.done || second.err != nil || count(t, h.Store, "incidents WHERE key = 'gone'") != 0 {
			t.Errorf("the other: %+v", second)
		}
		// The turn to commit is passed on: nobody waits for ever.
		if c := h.call(t.Context(), nothing, "later"); !c.done || c.err != nil {
			t.Errorf("afterwards: %+v", c)
		}
	})
}

// A panic of one is not the end of all.
func TestACallPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hold(t)
		defer h.Close()
		panicked := make(chan any, 1)
		go func() {
			defer func() { panicked <- recover() }()
			h.ReceiveAlerts(t.Context(), alert("bad"), func(context.Context, *sql.Tx, lifeline.Incident) error { panic("a defect") }, nothing)
		}()
		synctest.Wait()
		other := h.call(t.Context(), nothing, "other")
		h.end(t)
		if <-panicked != "a defect" || !other.done || other.err == nil && len(other.receipts) != 1 {
			t.Errorf("the other: %+v", other)
		}
		if c := h.call(t.Context(), nothing, "later"); !c.done || c.err != nil {
			t.Errorf("afterwards: %+v", c)
		}
	})
}

// A call that is larger than what shares a transaction has one of its own.
func TestLargeCallsDoNotShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hold(t)
		defer h.Close()
		many := make([]lifeline.TriagedAlert, 0, 1500)
		for i := range cap(many) {
			a := alert("many")[0]
			a.Fingerprint = fmt.Sprint(i)
			many = append(many, a)
		}
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := h.ReceiveAlerts(t.Context(), many, nothing, nothing)
				errs <- err
			}()
			synctest.Wait()
		}
		h.end(t)
		if err := errors.Join(<-errs, <-errs); err != nil || h.transactions != 3 {
			t.Errorf("%d transactions, %v", h.transactions, err)
		}
	})
}
