package notify_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lifeline"
	"lifeline/internal/notify"
)

// record is a store in memory.
type record struct {
	mu        sync.Mutex // guards what follows
	events    []lifeline.Event
	cursor    int64
	begun     bool
	outbox    []lifeline.Notification
	leases    map[string]string
	until     map[string]time.Time
	incidents map[string]lifeline.Incident
	commands  map[string][]lifeline.Command
	broken    error // what every call gives, if set
}

func newRecord() *record {
	return &record{leases: map[string]string{}, until: map[string]time.Time{}, incidents: map[string]lifeline.Incident{}, commands: map[string][]lifeline.Command{}}
}

func (r *record) lock() func() { r.mu.Lock(); return r.mu.Unlock }

func (r *record) NotificationCursor(context.Context) (int64, error) {
	defer r.lock()()
	if !r.begun {
		r.begun, r.cursor = true, int64(len(r.events))
	}
	return r.cursor, r.broken
}

func (r *record) EventsAfter(_ context.Context, seq int64, limit int) ([]lifeline.Event, error) {
	defer r.lock()()
	after := r.events[seq:]
	return slices.Clone(after[:min(len(after), limit)]), r.broken
}

func (r *record) QueueNotifications(_ context.Context, from, to int64, ns []lifeline.Notification) (bool, error) {
	defer r.lock()()
	if r.broken != nil || r.cursor != from {
		return false, r.broken
	}
	r.cursor = to
	for _, n := range ns {
		n.ID, n.CreatedAt = fmt.Sprintf("ntf_%d", len(r.outbox)+1), time.Now()
		r.outbox = append(r.outbox, n)
	}
	return true, nil
}

func (r *record) Incident(_ context.Context, id string) (lifeline.Incident, error) {
	defer r.lock()()
	inc, ok := r.incidents[id]
	if !ok {
		return inc, &lifeline.Error{Code: lifeline.CodeNotFound, Message: "no incident " + id}
	}
	return inc, nil
}

func (r *record) Commands(_ context.Context, id string) ([]lifeline.Command, error) {
	defer r.lock()()
	return r.commands[id], nil
}

func (r *record) LeaseChannel(_ context.Context, channel, node string, lease time.Duration) (bool, error) {
	defer r.lock()()
	if r.leases[channel] != node && time.Now().Before(r.until[channel]) {
		return false, nil
	}
	r.leases[channel], r.until[channel] = node, time.Now().Add(lease)
	return true, nil
}

func (r *record) WaitingNotifications(_ context.Context, channel string, limit int) ([]lifeline.Notification, error) {
	defer r.lock()()
	var all []lifeline.Notification
	for _, n := range r.outbox {
		if n.Channel == channel && n.Waits() {
			all = append(all, n)
		}
	}
	slices.SortStableFunc(all, func(a, b lifeline.Notification) int {
		if a.Urgent != b.Urgent {
			return map[bool]int{true: -1, false: 1}[a.Urgent]
		}
		return cmp.Or(cmp.Compare(a.Attempts, b.Attempts), cmp.Compare(a.Seq, b.Seq))
	})
	return all[:min(len(all), limit)], nil
}

func (r *record) each(ids []string, do func(*lifeline.Notification)) {
	for i := range r.outbox {
		if slices.Contains(ids, r.outbox[i].ID) && r.outbox[i].Waits() {
			do(&r.outbox[i])
		}
	}
}

func (r *record) EndNotifications(_ context.Context, fate string, ids ...string) error {
	defer r.lock()()
	r.each(ids, func(n *lifeline.Notification) { n.SentAt, n.Fate = time.Now(), fate })
	return nil
}

func (r *record) FailNotifications(_ context.Context, cause string, next time.Time, ids ...string) error {
	defer r.lock()()
	r.each(ids, func(n *lifeline.Notification) {
		n.Attempts++
		n.LastError, n.NotBefore = cause, next
		if next.IsZero() {
			n.GivenUpAt = time.Now()
			r.add(lifeline.EventNotificationFailed, n.IncidentID, "nobody was told by "+n.Channel, n)
		}
	})
	return nil
}

func (r *record) CountNotifications(context.Context) (map[string]lifeline.NotificationCount, error) {
	defer r.lock()()
	all := map[string]lifeline.NotificationCount{}
	for _, n := range r.outbox {
		if n.Waits() {
			c := all[n.Channel]
			c.Waiting++
			all[n.Channel] = c
		}
	}
	return all, nil
}

func (r *record) PruneNotifications(context.Context, time.Time) (int64, error) { return 0, nil }

// add appends an event; the caller holds the lock.
func (r *record) add(kind lifeline.EventKind, incident, text string, data any) {
	raw, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	r.events = append(r.events, lifeline.Event{Seq: int64(len(r.events) + 1), IncidentID: incident, At: time.Now(), Kind: kind, Actor: "test", Text: text, Data: raw})
}

// happens appends an event.
func (r *record) happens(kind lifeline.EventKind, incident, text string, data any) {
	defer r.lock()()
	r.add(kind, incident, text, data)
}

// escalates hands an incident of a severity to a person.
func (r *record) escalates(id, severity string) {
	r.opens(id, severity)
	r.happens(lifeline.EventEscalated, id, "nothing safe is left", map[string]any{"reason": "nothing safe is left"})
}

// opens makes an incident known, without an event.
func (r *record) opens(id, severity string) {
	defer r.lock()()
	r.incidents[id] = lifeline.Incident{ID: id, AlertName: "ContainerDown", Severity: severity, Summary: "it is down",
		Target: lifeline.Target{Host: "atlas", Kind: lifeline.TargetContainer, Name: "web-" + id}, OpenedAt: time.Now()}
}

func (r *record) asks(id, approval string) {
	r.opens(id, "warning")
	r.happens(lifeline.EventApprovalRequested, id, "may this run?", lifeline.Approval{ID: approval, Canonical: "docker restart web",
		Request: lifeline.CommandRequest{Host: "atlas", Actor: "model:m"}, Reason: "it changes something", ExpiresAt: time.Now().Add(30 * time.Minute)})
}

// fates counts the messages of a channel by their end.
func (r *record) fates(channel string) map[string]int {
	defer r.lock()()
	all := map[string]int{}
	for _, n := range r.outbox {
		switch {
		case n.Channel != channel:
		case !n.GivenUpAt.IsZero():
			all["given up: "+n.LastError]++
		case n.Waits():
			all["waits"]++
		default:
			all[n.Fate]++
		}
	}
	return all
}

// sent is a message that arrived.
type sent struct {
	channel string
	at      time.Duration // since the beginning
	notify.Message
}

// world is a Notifier with a far end that can be broken.
type world struct {
	t      *testing.T
	record *record
	begun  time.Time

	mu       sync.Mutex // guards what follows
	arrived  []sent
	tries    int
	down     map[string]error
	question map[string]notify.Question
}

func newWorld(t *testing.T) *world {
	return &world{t: t, record: newRecord(), begun: time.Now(), down: map[string]error{}, question: map[string]notify.Question{}}
}

func (w *world) send(_ context.Context, channel string, m notify.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tries++
	if err := w.down[channel]; err != nil {
		return err
	}
	w.arrived = append(w.arrived, sent{channel, time.Since(w.begun), m})
	return nil
}

func (w *world) breaks(channel string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down[channel] = err
}

func (w *world) config(names ...string) notify.Config {
	cfg := notify.Config{Store: w.record, Send: w.send, Channels: map[string]notify.Channel{}, Node: "one",
		Question: func(_ context.Context, id string) (notify.Question, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if q, ok := w.question[id]; ok {
				return q, nil
			}
			return notify.Question{Open: true}, nil
		}}
	for _, name := range names {
		cfg.Channels[name] = notify.Channel{Rate: notify.Rate{Number: 100, Per: time.Minute}}
	}
	return cfg
}

// starts runs a Notifier until the end of the test.
func (w *world) starts(cfg notify.Config) *notify.Notifier {
	w.t.Helper()
	n, err := notify.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := n.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := n.Stop(context.Background()); err != nil {
			w.t.Error(err)
		}
	})
	w.passes(500 * time.Millisecond) // between two looks: what a test does next is seen as one
	return n
}

// passes lets time pass in the bubble.
func (w *world) passes(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// titles of what arrived, and forgets it.
func (w *world) titles(channel string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, s := range w.arrived {
		if s.channel == channel {
			all = append(all, s.Title)
		}
	}
	w.arrived = slices.DeleteFunc(w.arrived, func(s sent) bool { return s.channel == channel })
	return all
}

var errDown = errors.New("connection refused")
