package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"lifeline"
)

// maxTogether bounds the alerts of the calls that share a transaction: everybody
// else who writes waits for it. A call with more alerts has one of its own.
const maxTogether = 2000

// togetherMost bounds a shared transaction: nobody who waits for it can.
const togetherMost = time.Minute

// delivery is one call of ReceiveAlerts.
type delivery struct {
	ctx              context.Context // of the call, which waits for its end
	alerts           []lifeline.TriagedAlert
	opened, resolved tell
	// lead is closed when it is the call's turn to commit.
	lead chan struct{}
	// done is closed when the delivery has its receipts or its error.
	done     chan struct{}
	receipts []lifeline.Receipt
	err      error
}

func (d *delivery) what() string { return fmt.Sprintf("store %d alerts", len(d.alerts)) }

func (d *delivery) end(receipts []lifeline.Receipt, err error) {
	if err == nil {
		d.receipts = receipts
	}
	d.err = err
	close(d.done)
}

// deliveries lets calls of ReceiveAlerts share a transaction: whoever comes
// first commits, and who comes meanwhile rides together in the next one. There
// is no goroutine of its own, and no call waits for others to come.
type deliveries struct {
	mu sync.Mutex // guards what follows
	// leading says that a call commits, or has been told to.
	leading bool
	// waiting are the calls that nobody commits yet, in their order.
	waiting []*delivery
}

// deliver gives the delivery's end. A caller that gives up before anybody has
// begun with its alerts leaves nothing stored; after that, it waits.
func (s *Store) deliver(ctx context.Context, d *delivery) ([]lifeline.Receipt, error) {
	q := &s.deliveries
	q.mu.Lock()
	q.waiting = append(q.waiting, d)
	if !q.leading {
		q.appointLocked()
	}
	q.mu.Unlock()
	select {
	case <-d.done:
	case <-d.lead:
		s.commit(q.next())
	case <-ctx.Done():
		if q.leave(d) {
			return nil, failed(d.what(), context.Cause(ctx), "")
		}
		<-d.done
	}
	return d.receipts, d.err
}

// appointLocked tells the first of those who wait to commit.
func (q *deliveries) appointLocked() {
	if q.leading = len(q.waiting) > 0; q.leading {
		close(q.waiting[0].lead)
	}
}

// leave takes a delivery back if nobody has begun with it. One that was to
// commit passes that on.
func (q *deliveries) leave(d *delivery) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, d)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	select {
	case <-d.lead:
		q.appointLocked()
	default:
	}
	return true
}

// next takes the calls that share the next transaction off the list: the one
// that commits is the first of them.
func (q *deliveries) next() []*delivery {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, alerts := 0, 0
	for n < len(q.waiting) {
		if alerts += len(q.waiting[n].alerts); n > 0 && alerts > maxTogether {
			break
		}
		n++
	}
	batch := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return batch
}

// commit takes in a batch and lets the next call commit.
func (s *Store) commit(batch []*delivery) {
	defer func() {
		for _, d := range batch { // after a panic somebody still waits
			select {
			case <-d.done:
			default:
				d.end(nil, failed(d.what(), errors.New("a defect of Lifeline ended it"), ""))
			}
		}
		s.deliveries.mu.Lock()
		defer s.deliveries.mu.Unlock()
		s.deliveries.appointLocked()
	}()
	if len(batch) > 1 && s.together(batch) {
		return
	}
	for _, d := range batch {
		receipts, _, err := s.receiveAll(d.ctx, d)
		d.end(receipts[d], err)
	}
}

// together takes in several deliveries in one transaction and ends them. It is
// false, and nothing is stored, if one of them cannot be taken: each has to be
// tried by itself then, so that it spoils nothing for the others. A database that
// does not begin or commit is the same for all of them.
func (s *Store) together(batch []*delivery) bool {
	// Who gives up meanwhile gives up for itself only.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(batch[0].ctx), togetherMost,
		fmt.Errorf("it did not end within %s", togetherMost))
	defer cancel()
	receipts, worked, err := s.receiveAll(ctx, batch...)
	if err != nil && !worked {
		return false
	}
	for _, d := range batch {
		d.end(receipts[d], err)
	}
	return true
}

// receiveAll takes in deliveries in one transaction, all or nothing. worked says
// that each of them could be taken, whatever became of the transaction.
func (s *Store) receiveAll(ctx context.Context, batch ...*delivery) (receipts map[*delivery][]lifeline.Receipt, worked bool, err error) {
	what, alerts := batch[0].what(), 0
	for _, d := range batch {
		alerts += len(d.alerts)
	}
	if len(batch) > 1 {
		what = fmt.Sprintf("store the alerts of %d senders", len(batch))
	}
	receipts, worked = map[*delivery][]lifeline.Receipt{}, true
	err = s.write(ctx, what, func(tx *writeTx) error {
		worked = false
		if alerts >= prepareFrom {
			tx.repeats()
		}
		r := &reception{writeTx: tx, storms: map[string]*stormCase{}}
		for _, d := range batch {
			r.opened, r.resolved = d.opened, d.resolved
			receipts[d] = make([]lifeline.Receipt, 0, len(d.alerts))
			for _, a := range d.alerts {
				receipt, err := r.receive(ctx, a)
				if err != nil {
					return fmt.Errorf("alert %s: %w", a.Name, err)
				}
				receipts[d] = append(receipts[d], receipt)
			}
		}
		if err := r.flush(ctx); err != nil {
			return err
		}
		worked = true
		return nil
	})
	return receipts, worked, err
}
