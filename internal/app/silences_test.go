package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/alertmanager"
	"lifeline/internal/redact"
	"lifeline/internal/triage"
)

// silences is an Alertmanager and the windows that were made of it.
type silences struct {
	mu      sync.Mutex // guards what follows
	all     []alertmanager.Silence
	err     error
	expired []string
	synced  [][]lifeline.Maintenance
}

func (s *silences) Silences(context.Context) ([]alertmanager.Silence, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all, s.err
}

func (s *silences) Expire(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expired = append(s.expired, id)
	return nil
}

func (s *silences) SyncMaintenance(_ context.Context, source string, windows []lifeline.Maintenance) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if source != "alertmanager" {
		return errors.New("source " + source)
	}
	s.synced = append(s.synced, windows)
	return nil
}

func (s *silences) follower(log *strings.Builder) *follower {
	return &follower{
		client: s, windows: s, redact: redact.New("hunter22"),
		log:     slog.New(slog.NewTextHandler(log, nil)),
		targets: triage.Config{Hosts: []string{"nexus", "outpost"}, HostMap: map[string]string{"10.0.0.1": "nexus"}},
		incident: func(_ context.Context, id string) (lifeline.Incident, error) {
			switch id {
			case "inc_open":
				return lifeline.Incident{ID: id, State: lifeline.StateActing}, nil
			case "inc_done":
				return lifeline.Incident{ID: id, State: lifeline.StateResolved}, nil
			}
			return lifeline.Incident{}, &lifeline.Error{Code: lifeline.CodeNotFound, Message: "there is none"}
		},
	}
}

// silence is one of a person's for two hours; matchers are NAME=VALUE.
func silence(id string, matchers ...string) alertmanager.Silence {
	s := alertmanager.Silence{ID: id, CreatedBy: "ann", Comment: "new disks hunter22",
		StartsAt: time.Now().Add(-time.Hour), EndsAt: time.Now().Add(time.Hour)}
	for _, m := range matchers {
		name, value, _ := strings.Cut(m, "=")
		s.Matchers = append(s.Matchers, alertmanager.Matcher{Name: name, Value: value})
	}
	return s
}

func TestSilencesBecomeWindows(t *testing.T) {
	f := (&silences{}).follower(&strings.Builder{})
	for _, tc := range []struct {
		matchers string
		want     lifeline.MaintenanceScope // the zero one: it cannot be translated
	}{
		{"alertname=DiskFull", lifeline.MaintenanceScope{Alert: "DiskFull"}},
		{"host=nexus", lifeline.MaintenanceScope{Host: "nexus"}},
		{"instance=10.0.0.1:9100", lifeline.MaintenanceScope{Host: "nexus"}},
		{"host=nexus container=web", lifeline.MaintenanceScope{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"}},
		{"alertname=UnitFailed host=outpost unit=web.service", lifeline.MaintenanceScope{Host: "outpost", Kind: lifeline.TargetUnit, Name: "web.service", Alert: "UnitFailed"}},
		{"alertname=ContainerDown host=nexus name=web", lifeline.MaintenanceScope{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web", Alert: "ContainerDown"}},
		{"host=elsewhere", lifeline.MaintenanceScope{}},
		{"host=nexus severity=warning", lifeline.MaintenanceScope{}}, // the window would be wider
		{"severity=warning", lifeline.MaintenanceScope{}},
		{"host=nexus instance=nexus:9100", lifeline.MaintenanceScope{}},
		{"host=nexus container=", lifeline.MaintenanceScope{}},
		{"host=nexus container=-v", lifeline.MaintenanceScope{}},
		{"host=nexus host=outpost", lifeline.MaintenanceScope{}},
		{"", lifeline.MaintenanceScope{}},
	} {
		got, ok := f.translate(silence("s", strings.Fields(tc.matchers)...), time.Now())
		if diff := cmp.Diff(tc.want, got.Scope); diff != "" || ok == (tc.want == lifeline.MaintenanceScope{}) {
			t.Errorf("%s: %v (-want +got):\n%s", tc.matchers, ok, diff)
		}
	}
	for name, m := range map[string]alertmanager.Matcher{
		"an expression": {Name: "host", Value: "nexus", IsRegex: true},
		"not equal":     {Name: "host", Value: "nexus", IsEqual: new(false)},
	} {
		s := silence("s")
		s.Matchers = []alertmanager.Matcher{m}
		if got, ok := f.translate(s, time.Now()); ok {
			t.Errorf("%s became %+v", name, got)
		}
	}
}

func TestAWindowOfASilence(t *testing.T) {
	f := (&silences{}).follower(&strings.Builder{})
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	s := silence("s-1", "host=nexus")
	day := 24 * time.Hour
	for _, tc := range []struct{ starts, ends time.Duration }{ // from now
		{-time.Hour, time.Hour},
		{-70 * day, 100 * day},
		{day, 2 * day},
	} {
		s.StartsAt, s.EndsAt = now.Add(tc.starts), now.Add(tc.ends)
		got, ok := f.translate(s, now)
		want := lifeline.Maintenance{Scope: lifeline.MaintenanceScope{Host: "nexus"}, From: s.StartsAt, Until: s.EndsAt,
			By: "ann", Reason: got.Reason, Source: "alertmanager", ExternalID: "s-1"}
		if diff := cmp.Diff(want, got); diff != "" || !ok {
			t.Errorf("%s to %s: %v (-want +got):\n%s", tc.starts, tc.ends, ok, diff)
		}
	}
	if got, ok := f.translate(s, now); !ok || !strings.HasPrefix(got.Reason, "new disks [redacted: ") {
		t.Errorf("the reason is %s", got.Reason)
	}
	s.EndsAt = now
	if _, ok := f.translate(s, now); ok {
		t.Error("a silence that has ended became a window")
	}
}

func TestSilencesAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours := func(id string) alertmanager.Silence {
			s := silence("of "+id, "host=nexus")
			s.CreatedBy, s.Comment = alertmanager.Owner, silenceComment(id)
			return s
		}
		regex := silence("regex", "host=nexus")
		regex.Matchers[0].IsRegex = true
		am := &silences{all: []alertmanager.Silence{silence("a", "host=nexus"), regex, ours("inc_open"), ours("inc_done"), ours("inc_elsewhere")}}
		var log strings.Builder
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan bool)
		go func() {
			am.follower(&log).run(ctx)
			close(ended)
		}()
		// after looks at what there is once so much time has passed.
		after := func(d time.Duration, look func()) {
			time.Sleep(d)
			synctest.Wait()
			am.mu.Lock()
			defer am.mu.Unlock()
			look()
		}
		after(0, func() {
			if len(am.synced) != 1 || len(am.synced[0]) != 1 || am.synced[0][0].ExternalID != "a" {
				t.Errorf("windows %+v", am.synced)
			}
			if diff := cmp.Diff([]string{"of inc_done"}, am.expired); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
			am.all = nil
		})
		after(3*followEvery, func() {
			if last := am.synced[len(am.synced)-1]; len(am.synced) != 4 || last == nil || len(last) != 0 {
				t.Errorf("after their end: %+v", am.synced)
			}
			am.err = errors.New("connection refused")
		})
		after(3*followEvery, func() { am.err = nil })
		after(followEvery, func() {
			if len(am.synced) != 5 { // what could not be read ends no window
				t.Errorf("synced %d times, want 5", len(am.synced))
			}
		})
		cancel()
		<-ended
		for event, want := range map[string]int{"silences_not_read": 1, "silences_read_again": 1, "silences_not_followed": 2, "silence_removed": 1} {
			if got := strings.Count(log.String(), "msg="+event); got != want {
				t.Errorf("%s %d times, want %d:\n%s", event, got, want, log.String())
			}
		}
	})
}
