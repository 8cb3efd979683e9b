package notify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/notify"
)

const needed = "A person is needed: ContainerDown, container web-%s on atlas"

func wantTitles(t *testing.T, w *world, channel string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.titles(channel)); diff != "" {
		t.Errorf("arrived at %s (-want +got):\n%s", channel, diff)
	}
}

func wantFates(t *testing.T, w *world, channel string, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, w.record.fates(channel)); diff != "" {
		t.Errorf("the outbox of %s (-want +got):\n%s", channel, diff)
	}
}

// The first start tells nothing of what was before; the next one goes on where
// the last one ended, and tells nothing twice.
func TestWhatIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.record.escalates("old", "critical")
		n := w.starts(w.config("phone", "chat"))
		w.passes(3 * time.Second)
		wantTitles(t, w, "phone")
		w.record.escalates("a", "critical")
		w.passes(2 * time.Second)
		wantTitles(t, w, "phone", fmt.Sprintf(needed, "a"))
		wantTitles(t, w, "chat", fmt.Sprintf(needed, "a"))
		if err := n.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := n.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		w.record.escalates("b", "critical")
		w.passes(time.Hour)
		wantTitles(t, w, "phone")
		w.starts(w.config("phone", "chat"))
		w.passes(2 * time.Second)
		wantTitles(t, w, "phone", fmt.Sprintf(needed, "b"))
	})
}

// Promise 24: a chat that is down for an hour loses nothing; the failure is seen
// meanwhile, and everything arrives when it is back.
func TestDownForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cfg := w.config("chat")
		results := map[string]int{}
		cfg.OnResult = func(channel, result string) { w.mu.Lock(); defer w.mu.Unlock(); results[channel+" "+result]++ }
		w.starts(cfg)
		w.breaks("chat", errDown)
		w.record.escalates("a", "critical")
		w.passes(30 * time.Minute)
		w.record.escalates("b", "warning")
		w.passes(30 * time.Minute)
		wantFates(t, w, "chat", map[string]int{"waits": 2})
		w.mu.Lock()
		tries := w.tries
		w.mu.Unlock()
		if tries < 4 || tries > 20 {
			t.Errorf("tried %d times in an hour", tries)
		}
		w.breaks("chat", nil)
		w.passes(40 * time.Minute) // the longest time between two attempts
		wantTitles(t, w, "chat", fmt.Sprintf(needed, "a"), fmt.Sprintf(needed, "b"))
		wantFates(t, w, "chat", map[string]int{"sent": 2})
		if results["chat sent"] != 2 || results["chat failed"] != tries || results["chat given_up"] != 0 {
			t.Errorf("counted %v of %d tries", results, tries)
		}
	})
}

// What is never delivered is given up after a day: on record, and told by the
// other channel. That in turn is told to nobody else.
func TestGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.starts(w.config("chat", "phone"))
		w.breaks("chat", errDown)
		w.record.escalates("a", "critical")
		w.passes(23 * time.Hour)
		wantFates(t, w, "chat", map[string]int{"waits": 1})
		w.passes(2 * time.Hour)
		wantFates(t, w, "chat", map[string]int{"given up: connection refused": 1})
		wantTitles(t, w, "phone", fmt.Sprintf(needed, "a"), "The channel chat does not deliver")
		// Both are down: it ends.
		w.breaks("phone", errDown)
		w.record.escalates("b", "critical")
		w.passes(100 * time.Hour)
		wantFates(t, w, "chat", map[string]int{"given up: connection refused": 3}) // a, b, and that phone did not deliver b
		wantFates(t, w, "phone", map[string]int{"given up: connection refused": 2, "sent": 2})
	})
}

// What the service refuses for good is not tried again, and does not keep back
// what follows.
func TestPermanent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.starts(w.config("chat"))
		w.breaks("chat", notify.Permanent{Err: errors.New("401 Unauthorized")})
		w.record.escalates("a", "critical")
		w.passes(2 * time.Second)
		wantFates(t, w, "chat", map[string]int{"given up: 401 Unauthorized": 1})
		w.breaks("chat", nil)
		w.record.escalates("b", "critical")
		w.passes(2 * time.Second)
		wantTitles(t, w, "chat", fmt.Sprintf(needed, "b"))
	})
}

// While a channel waits, what it gets is the newest state of each incident.
func TestCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cfg := w.config("chat")
		cfg.Routes = []notify.Route{{Events: []lifeline.NotificationKind{"opened", "approval", "repaired", "escalated"}, Channels: []string{"chat", "chat"}}}
		w.starts(cfg)
		w.breaks("chat", errDown)
		w.record.opens("a", "warning")
		w.record.happens(lifeline.EventIncidentOpened, "a", "", nil)
		w.passes(2 * time.Second)
		w.record.asks("a", "apr_1")
		w.record.asks("a", "apr_2")
		w.record.happens(lifeline.EventStateChanged, "a", "", map[string]string{"to": "resolved", "reason": "the probe is well"})
		w.record.escalates("b", "warning")
		w.mu.Lock()
		w.question["apr_1"], w.question["apr_2"] = notify.Question{}, notify.Question{Open: true, Link: "https://l.example.net/approve/x"}
		w.mu.Unlock()
		w.breaks("chat", nil)
		w.passes(time.Minute)
		w.mu.Lock()
		if len(w.arrived) != 3 || w.arrived[0].Foot != "look and decide: https://l.example.net/approve/x" {
			t.Errorf("arrived: %+v", w.arrived)
		}
		w.mu.Unlock()
		wantTitles(t, w, "chat", "Approval needed: ContainerDown, container web-a on atlas", fmt.Sprintf(needed, "b"), "Repaired: ContainerDown, container web-a on atlas")
		wantFates(t, w, "chat", map[string]int{"sent": 3, "merged into a newer message": 1, "not needed any more: it is decided": 1})
	})
}

// A question that nobody could be told of in time is a failure that is seen.
func TestQuestionTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.starts(w.config("chat", "phone"))
		w.breaks("chat", errDown)
		w.record.asks("a", "apr_1")
		w.passes(10 * time.Second)
		w.mu.Lock()
		w.question["apr_1"] = notify.Question{Expired: true}
		w.mu.Unlock()
		w.passes(5 * time.Minute)
		wantFates(t, w, "chat", map[string]int{"given up: its time was over before it could be sent: connection refused": 1})
		wantTitles(t, w, "phone", "Approval needed: ContainerDown, container web-a on atlas", "The channel chat does not deliver")
	})
}

// A storm is one message, then one every so often; what is urgent comes first and
// does not wait.
func TestDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cfg := w.config("chat")
		cfg.DigestAfter, cfg.DigestEvery = 5, 5*time.Minute
		w.starts(cfg)
		for i := range 300 {
			w.record.escalates(fmt.Sprint(i), "warning")
		}
		w.record.asks("x", "apr_1")
		w.passes(10 * time.Second)
		w.mu.Lock()
		if len(w.arrived) != 1 || w.arrived[0].Title != "301 messages: 1 approval, 300 escalated" ||
			!strings.HasPrefix(w.arrived[0].Body, "1. Approval needed: ") || !strings.Contains(w.arrived[0].Body, "… and 291 more") ||
			!strings.HasPrefix(w.arrived[0].Foot, "1. lifeline approve apr_1") {
			t.Errorf("arrived: %+v", w.arrived)
		}
		w.mu.Unlock()
		w.titles("chat")
		wantFates(t, w, "chat", map[string]int{"sent in a digest": 301})
		w.record.escalates("late", "warning")
		w.record.asks("y", "apr_2")
		w.passes(10 * time.Second)
		wantTitles(t, w, "chat", "Approval needed: ContainerDown, container web-y on atlas")
		w.passes(5 * time.Minute)
		wantTitles(t, w, "chat", fmt.Sprintf(needed, "late"))
	})
}

// A rate is held to, and what waits for it is put together.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cfg := w.config("chat")
		cfg.Channels["chat"] = notify.Channel{Rate: notify.Rate{Number: 2, Per: time.Minute}}
		w.starts(cfg)
		for range 3 {
			for _, id := range []string{"a", "b", "c"} {
				w.record.escalates(id, "warning")
				w.passes(2 * time.Second)
			}
		}
		wantTitles(t, w, "chat", fmt.Sprintf(needed, "a"), fmt.Sprintf(needed, "b"))
		w.passes(time.Minute)
		w.passes(time.Minute)
		wantTitles(t, w, "chat", fmt.Sprintf(needed, "a"), fmt.Sprintf(needed, "b"), fmt.Sprintf(needed, "c"))
		wantFates(t, w, "chat", map[string]int{"sent": 5, "merged into a newer message": 4})
	})
}

// At night only what is urgent is sent; the rest comes in the morning.
func TestQuietHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cfg := w.config("phone")
		// A bubble begins at midnight UTC.
		cfg.Channels["phone"] = notify.Channel{Rate: notify.Rate{Number: 10, Per: time.Minute},
			Quiet: notify.Quiet{From: 22 * time.Hour, To: 7 * time.Hour, Except: []string{"page"}}}
		w.starts(cfg)
		w.record.escalates("a", "warning")
		w.record.escalates("b", "critical")
		w.record.escalates("c", "PAGE")
		w.record.asks("d", "apr_1")
		w.passes(3 * time.Second)
		wantTitles(t, w, "phone", "Approval needed: ContainerDown, container web-d on atlas", fmt.Sprintf(needed, "b"), fmt.Sprintf(needed, "c"))
		w.passes(6*time.Hour + 59*time.Minute)
		wantTitles(t, w, "phone")
		w.passes(2 * time.Minute)
		wantTitles(t, w, "phone", fmt.Sprintf(needed, "a"))
	})
}

// Of two processes on one database one sends; when it is gone the other goes on.
func TestTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		one := w.starts(w.config("chat"))
		w.passes(time.Second)
		two := w.config("chat")
		two.Node = "two"
		w.starts(two)
		for i := range 20 {
			w.record.escalates(fmt.Sprint(i), "warning")
			w.passes(3 * time.Second)
		}
		if got := w.titles("chat"); len(got) != 20 {
			t.Errorf("%d messages arrived of 20", len(got))
		}
		if err := one.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.record.escalates("last", "warning")
		w.passes(5 * time.Minute)
		wantTitles(t, w, "chat", fmt.Sprintf(needed, "last"))
	})
}

// A channel that is not configured any more tells nobody, and that is seen.
func TestOrphans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.breaks("chat", errDown)
		n := w.starts(w.config("chat"))
		w.record.escalates("a", "warning")
		w.passes(3 * time.Second)
		if err := n.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.starts(w.config("phone"))
		w.passes(3 * time.Second)
		wantFates(t, w, "chat", map[string]int{"given up: the channel is not configured any more": 1})
		wantTitles(t, w, "phone", "The channel chat does not deliver")
	})
}

// A record that cannot be read stops nothing for good.
func TestRecordComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.starts(w.config("chat"))
		w.passes(time.Second)
		w.record.mu.Lock()
		w.record.broken = errors.New("disk I/O error")
		w.record.mu.Unlock()
		w.record.escalates("a", "warning")
		w.passes(time.Minute)
		wantTitles(t, w, "chat")
		w.record.mu.Lock()
		w.record.broken = nil
		w.record.mu.Unlock()
		w.passes(3 * time.Second)
		wantTitles(t, w, "chat", fmt.Sprintf(needed, "a"))
	})
}

func TestNew(t *testing.T) {
	w := newWorld(t)
	for want, change := range map[string]func(*notify.Config){
		"Config.Store is not set":                                       func(c *notify.Config) { c.Store = nil },
		"Config.Send is not set":                                        func(c *notify.Config) { c.Send = nil },
		"Config.Question is not set":                                    func(c *notify.Config) { c.Question = nil },
		`Config.Channels["a"].Rate is not set`:                          func(c *notify.Config) { c.Channels["a"] = notify.Channel{} },
		`Config.Routes[0] names the channel "none", which is not there`: func(c *notify.Config) { c.Routes = []notify.Route{{Channels: []string{"none"}}} },
	} {
		cfg := w.config("a")
		change(&cfg)
		if _, err := notify.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	n, err := notify.New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Stop(context.Background()); err != nil {
		t.Errorf("stopped before it was started: %v", err)
	}
}

// A message that is under way when the process stops may end, and is then not
// sent again; one that hangs does not keep the process.
func TestStopWhileSending(t *testing.T) {
	for what, tt := range map[string]struct {
		takes time.Duration
		waits time.Duration
		fates map[string]int
	}{
		"it ends":  {2 * time.Second, 2 * time.Second, map[string]int{"sent": 1}},
		"it hangs": {time.Hour, 5 * time.Second, map[string]int{"waits": 1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			cfg := w.config("chat")
			begun := make(chan struct{}, 1)
			cfg.Send = func(ctx context.Context, _ string, _ notify.Message) error {
				begun <- struct{}{}
				select {
				case <-time.After(tt.takes):
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			n := w.starts(cfg)
			w.record.escalates("a", "critical")
			<-begun
			stopping := time.Now()
			if err := n.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if took := time.Since(stopping); took != tt.waits {
				t.Errorf("%s: it stops after %s", what, took)
			}
			wantFates(t, w, "chat", tt.fates)
		})
	}
}

// One that does not answer is tried again.
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cfg := w.config("chat")
		cfg.Send = func(ctx context.Context, _ string, _ notify.Message) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		w.starts(cfg)
		w.record.escalates("a", "critical")
		w.passes(50 * time.Second)
		w.record.mu.Lock()
		defer w.record.mu.Unlock()
		if n := w.record.outbox[0]; n.Attempts != 1 || n.LastError != "no answer within 45s" || !n.Waits() {
			t.Errorf("%+v", n)
		}
	})
}

// Who has repaired a channel need not wait for its next attempt.
func TestRetryAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.starts(w.config("chat"))
		w.breaks("chat", errDown)
		w.record.escalates("a", "critical")
		w.record.escalates("b", "critical")
		w.passes(3 * time.Hour)
		w.breaks("chat", nil)
		w.record.mu.Lock()
		for i := range w.record.outbox { // as lifeline notify retry --all does
			n := &w.record.outbox[i]
			n.Attempts, n.NotBefore, n.CreatedAt = 0, time.Time{}, time.Now()
		}
		w.record.mu.Unlock()
		w.passes(10 * time.Second)
		wantTitles(t, w, "chat", fmt.Sprintf(needed, "a"), fmt.Sprintf(needed, "b"))
	})
}
