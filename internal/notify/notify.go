// Package notify tells people what happened: events of the record become
// messages in an outbox, and the outbox is emptied into chats, phones and mail.
//
//	n, err := notify.New(notify.Config{Store: store, Send: sender.Send, Question: question, Channels: channels})
//	err = n.Start(ctx)
//	defer n.Stop(ctx)
//
// What it guarantees: each event that a route wants becomes a message in the same
// transaction that moves on the place up to which events were read, so none is
// lost and none is told twice by a restart. A message is tried until it is
// delivered, is not needed any more, or was given up, which is an event itself:
// nothing is lost in silence. One process at a time sends to a channel.
//
// What it does not do: a message that was delivered while its confirmation got
// lost is sent again. Nothing is edited in place afterwards: the services behind
// shoutrrr cannot do that alike.
package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"lifeline"
)

// Record is what is told, and how far it was told. *store.Store is one.
type Record interface {
	NotificationCursor(ctx context.Context) (int64, error)
	EventsAfter(ctx context.Context, seq int64, limit int) ([]lifeline.Event, error)
	QueueNotifications(ctx context.Context, from, to int64, ns []lifeline.Notification) (bool, error)
	Incident(ctx context.Context, id string) (lifeline.Incident, error)
	Commands(ctx context.Context, incidentID string) ([]lifeline.Command, error)
}

// Outbox holds the messages until their end. *store.Store is one.
type Outbox interface {
	LeaseChannel(ctx context.Context, channel, node string, lease time.Duration) (bool, error)
	WaitingNotifications(ctx context.Context, channel string, limit int) ([]lifeline.Notification, error)
	EndNotifications(ctx context.Context, fate string, ids ...string) error
	FailNotifications(ctx context.Context, cause string, next time.Time, ids ...string) error
}

// Shelf is what is kept of the outbox. *store.Store is one.
type Shelf interface {
	CountNotifications(ctx context.Context) (map[string]lifeline.NotificationCount, error)
	PruneNotifications(ctx context.Context, before time.Time) (int64, error)
}

// Store is all that a Notifier reads and writes.
type Store interface {
	Record
	Outbox
	Shelf
}

// Message is what is sent. Texts from outside in it are escaped already.
type Message struct {
	// Title is one short line, Body follows it; Code is a command, to be shown
	// letter by letter, and Foot says what to do next.
	Title, Body, Code, Foot string
}

// Question is how an approval stands when its message is about to be sent.
type Question struct {
	// Open: a person can still decide.
	Open bool
	// Expired: nobody decided in time.
	Expired bool
	// Link opens the page to decide on; "": there is none, and the command to
	// type is told instead.
	Link string
}

// Config of a Notifier. Store, Send and Question are required.
type Config struct {
	Store Store
	// Send delivers a message or says why not: see Permanent. It holds to ctx.
	Send func(ctx context.Context, channel string, m Message) error
	// Question looks up an approval.
	Question func(ctx context.Context, approvalID string) (Question, error)
	// Channels by name.
	Channels map[string]Channel
	// Routes say who is told what; none: see Route.
	Routes []Route
	// DigestAfter is how many messages of a channel may wait before they become
	// one; 0: 10. DigestEvery lies between two such; 0: 5 min.
	DigestAfter int
	DigestEvery time.Duration
	// Node names this process among those that share the database; "": a random
	// name.
	Node string
	// Every lies between two looks at the record and at the outbox; 0: 1 s.
	Every time.Duration
	// OnResult, if set, is told what became of messages: sent, merged, dropped,
	// failed (and tried again), given_up. For metrics.
	OnResult func(channel, result string)
	Logger   *slog.Logger
}

const (
	sendTimeout = 45 * time.Second
	stopGrace   = 5 * time.Second
	leaseFor    = 3 * time.Minute
	firstRetry  = 30 * time.Second
	lastRetry   = 30 * time.Minute
	askEvery    = 5 * time.Second
	// giveUpAfter is how long a message is tried: who has not looked at a chat for
	// a day has other means to see that it is down.
	giveUpAfter = 24 * time.Hour
	// keepFor is how long messages that ended are kept for lifeline notify list.
	keepFor = 30 * 24 * time.Hour
	// batch is how many events are turned into messages in one transaction, and
	// most how many waiting messages are looked at together.
	batch = 500
	most  = 2000
)

// Notifier is the reader of the record and a sender for each channel.
type Notifier struct {
	cfg  Config
	stop context.CancelFunc
	done sync.WaitGroup
}

// New checks the configuration.
func New(cfg Config) (*Notifier, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("notify: Config.Store is not set")
	case cfg.Send == nil:
		return nil, errors.New("notify: Config.Send is not set")
	case cfg.Question == nil:
		return nil, errors.New("notify: Config.Question is not set")
	}
	for name, ch := range cfg.Channels {
		if ch.Rate.Number < 1 || ch.Rate.Per <= 0 {
			return nil, fmt.Errorf("notify: Config.Channels[%q].Rate is not set", name)
		}
	}
	for i, r := range cfg.Routes {
		for _, name := range r.Channels {
			if _, ok := cfg.Channels[name]; !ok {
				return nil, fmt.Errorf("notify: Config.Routes[%d] names the channel %q, which is not there", i, name)
			}
		}
	}
	cfg.DigestAfter = cmp.Or(cfg.DigestAfter, 10)
	cfg.DigestEvery = cmp.Or(cfg.DigestEvery, 5*time.Minute)
	cfg.Every = cmp.Or(cfg.Every, time.Second)
	if cfg.Node == "" {
		cfg.Node = fmt.Sprintf("node-%016x", rand.Uint64())
	}
	if cfg.OnResult == nil {
		cfg.OnResult = func(string, string) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Notifier{cfg: cfg}, nil
}

// Start begins to read the record where an earlier process left off, and to
// send. At the very first start nobody is told about what was before.
func (n *Notifier) Start(ctx context.Context) error {
	cursor, err := n.cfg.Store.NotificationCursor(ctx)
	if err != nil {
		return err
	}
	if err := n.orphans(ctx); err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stop = stop
	r := &reader{Config: n.cfg, cursor: cursor}
	n.done.Go(func() { n.loop(running, "notifications_not_queued", r.every(), r.look) })
	n.done.Go(func() { n.loop(running, "notifications_not_removed", time.Hour, n.prune) })
	for name, ch := range n.cfg.Channels {
		s := &sender{Config: n.cfg, name: name, channel: ch}
		n.done.Go(func() { n.loop(running, "notifications_not_sent", n.cfg.Every, s.look) })
	}
	return nil
}

// Stop ends the reader and the senders; a message that is being sent may end
// within 5 s, and at most until ctx does. It is idempotent. What waits is sent
// after the next Start.
func (n *Notifier) Stop(ctx context.Context) error {
	if n.stop == nil {
		return nil
	}
	n.stop()
	ended := make(chan struct{})
	go func() { n.done.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a message is still being sent: %w", context.Cause(ctx))
	}
}

// loop calls look until ctx ends. An error is logged once, not at every look.
func (n *Notifier) loop(ctx context.Context, event string, every time.Duration, look func(context.Context) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	failing := false
	for ctx.Err() == nil {
		err := look(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			n.cfg.Logger.Error(event, "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// orphans gives up the messages of channels that the configuration has no more:
// nobody would ever send them, and nobody would see that.
func (n *Notifier) orphans(ctx context.Context) error {
	counts, err := n.cfg.Store.CountNotifications(ctx)
	if err != nil {
		return err
	}
	for name, c := range counts {
		if _, ok := n.cfg.Channels[name]; ok || c.Waiting == 0 {
			continue
		}
		for {
			rows, err := n.cfg.Store.WaitingNotifications(ctx, name, most)
			if err != nil {
				return err
			}
			if len(rows) == 0 {
				break
			}
			if err := n.cfg.Store.FailNotifications(ctx, "the channel is not configured any more", time.Time{}, ids(rows)...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *Notifier) prune(ctx context.Context) error {
	_, err := n.cfg.Store.PruneNotifications(ctx, time.Now().Add(-keepFor))
	return err
}

func ids(rows []lifeline.Notification) []string {
	all := make([]string, 0, len(rows))
	for _, r := range rows {
		if !slices.Contains(all, r.ID) {
			all = append(all, r.ID)
		}
	}
	return all
}
