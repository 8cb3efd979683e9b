package respond_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/respond"
)

// alertmanager answers the n-th question, counted from 1, and keeps silences.
type alertmanager struct {
	mu     sync.Mutex
	asked  int
	firing func(n int) (bool, error)

	made     []string // by whom: incident and container
	active   map[string]bool
	silences error
	removes  error
}

func (a *alertmanager) Firing(_ context.Context, alerts []lifeline.Alert) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(alerts) != 1 || alerts[0].Labels["container"] != "web" {
		return false, fmt.Errorf("asked about %v", alerts)
	}
	a.asked++
	return a.firing(a.asked)
}

func (a *alertmanager) Silence(_ context.Context, inc lifeline.Incident, alerts []lifeline.Alert) (ids []string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.silences != nil {
		return nil, a.silences
	}
	for _, alert := range alerts {
		id := "silence of " + alert.Labels["container"]
		if !a.active[id] {
			a.made = append(a.made, inc.ID)
		}
		a.active[id] = true
		ids = append(ids, id)
	}
	return ids, nil
}

func (a *alertmanager) Unsilence(_ context.Context, ids []string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		delete(a.active, id)
	}
	return a.removes
}

func (a *alertmanager) state() (made, active int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.made), len(a.active)
}

func alertsFrom(firing func(n int) (bool, error)) (*alertmanager, func(*respond.Config)) {
	a := &alertmanager{firing: firing, active: map[string]bool{}}
	return a, func(c *respond.Config) { c.Alerts, c.AlertEvery = a, time.Millisecond }
}

func TestAlertmanagerSaysThatItIsGone(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	a, with := alertsFrom(func(n int) (bool, error) { return n < 3, nil })
	s := w.serve(t, responder{site: w}, with)
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	inc := s.ended(id)
	s.expect(inc, lifeline.StateResolved, "the probe is well, and Alertmanager says that the alert is gone", 1)
	if inc.AlertFiring || a.asked != 3 {
		t.Errorf("on record as firing: %v; asked %d times", inc.AlertFiring, a.asked)
	}
	var now struct{ By string }
	if e := s.event(id, lifeline.EventAlertChecked, &now); now.By != "alertmanager" || e.Text != "Alertmanager says that the alert does not fire any more" {
		t.Errorf("on the timeline: %s %s", e.Text, e.Data)
	}
}

// Where Alertmanager cannot be asked, its webhook decides, and the timeline says
// so once.
func TestAlertmanagerCannotBeAsked(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	again := make(chan bool, 100)
	_, with := alertsFrom(func(n int) (bool, error) {
		if n > 3 {
			select {
			case again <- true:
			default:
			}
		}
		return false, errors.New("ask Alertmanager: connection refused")
	})
	s := w.serve(t, responder{site: w}, with)
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	<-again
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateResolved, "the probe is well and the alert is gone", 1)
	if e := s.event(id, lifeline.EventAlertChecked, nil); e.Text != "ask Alertmanager: connection refused: its webhook decides" {
		t.Errorf("on the timeline: %s", e.Text)
	}

	w = newSite(t, "web")
	s = w.serve(t, responder{site: w}, with, func(c *respond.Config) { c.AlertWithin = 50 * time.Millisecond })
	s.expect(s.ended(s.alert(lifeline.AlertFiring, "nexus", "web")), lifeline.StateEscalated,
		"nobody has said within 50ms that the alert is gone, and ask Alertmanager: connection refused", 1)
}

// Only alerts of Alertmanager are asked about there.
func TestAnotherSendersAlert(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	a, with := alertsFrom(func(int) (bool, error) { return false, nil })
	s := w.serve(t, responder{site: w}, with, func(c *respond.Config) { c.AlertWithin = 50 * time.Millisecond })
	s.expect(s.ended(s.receive(func(a *lifeline.Alert) { a.Source = "grafana" })), lifeline.StateEscalated, "the alert still fires", 1)
	if a.asked > 0 {
		t.Error("asked about an alert of another sender")
	}
}

// Nobody says when an alert of some senders is over: the probe decides alone.
func TestAnAlertThatIsSentOnce(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	s := w.serve(t, responder{site: w})
	id := s.receive(func(a *lifeline.Alert) { a.Source, a.Once = "generic:backup", true })
	inc := s.ended(id)
	s.expect(inc, lifeline.StateResolved, "the alert's sender never says that it is over", 1)
	if inc.AlertFiring {
		t.Error("the incident is on record as firing")
	}
	s.event(id, lifeline.EventAlertChecked, nil)
}

// receive receives an alert about the container web that differs from the usual
// one, and gives its incident.
func (s *service) receive(differs func(*lifeline.Alert)) string {
	s.t.Helper()
	a := lifeline.Alert{Source: "alertmanager", Status: lifeline.AlertFiring, Name: "ContainerDown", Fingerprint: "nexusweb",
		Labels: map[string]string{"alertname": "ContainerDown", "host": "nexus", "container": "web"}}
	differs(&a)
	receipts, err := s.triage.Receive(s.t.Context(), []lifeline.Alert{a})
	if err != nil {
		s.t.Fatal(err)
	}
	return receipts[0].IncidentID
}

func silencing(a *alertmanager, with func(*respond.Config)) func(*respond.Config) {
	return func(c *respond.Config) {
		with(c)
		c.Silences = a
	}
}

func TestSilencedDuringTheRepair(t *testing.T) {
	for name, tc := range map[string]struct {
		crashes bool
		state   lifeline.State
	}{"repaired": {false, lifeline.StateResolved}, "escalated": {true, lifeline.StateEscalated}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSite(t, "web")
			w.containers["web"].crashes = tc.crashes
			a, with := alertsFrom(func(int) (bool, error) { return false, nil })
			active := 0
			w.atStart = func() { _, active = a.state() }
			s := w.serve(t, responder{site: w}, silencing(a, with))
			id := s.alert(lifeline.AlertFiring, "nexus", "web")
			if inc := s.ended(id); inc.State != tc.state {
				t.Errorf("%s: %s", inc.State, inc.Reason)
			}
			made, left := a.state()
			if made != 1 || active != 1 || left != 0 {
				t.Errorf("silences made %d, in force during the change %d, left %d; want 1, 1, 0", made, active, left)
			}
			s.event(id, lifeline.EventUnsilenced, nil)
		})
	}
}

// A silence that cannot be made or removed stops no repair, and is not hidden.
func TestSilencesThatFail(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	a, with := alertsFrom(func(int) (bool, error) { return false, nil })
	a.silences = errors.New("status 403: no")
	s := w.serve(t, responder{site: w}, silencing(a, with))
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateResolved, "", 1)
	if e := s.event(id, lifeline.EventSilenced, nil); e.Text != "the alert could not be silenced: status 403: no" {
		t.Errorf("on the timeline: %s", e.Text)
	}

	w = newSite(t, "web")
	a, with = alertsFrom(func(int) (bool, error) { return false, nil })
	a.removes = errors.New("status 502: no")
	s = w.serve(t, responder{site: w}, silencing(a, with))
	id = s.alert(lifeline.AlertFiring, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateResolved, "", 1)
	if e := s.event(id, lifeline.EventUnsilenced, nil); e.Text != "the silence could not be removed, and ends by itself: status 502: no" {
		t.Errorf("on the timeline: %s", e.Text)
	}
}

// A process that ends in the middle leaves the silence, and the next one removes
// it with the incident's end.
func TestASilenceIsRemovedAfterARestart(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	a, with := alertsFrom(func(int) (bool, error) { return false, nil })
	blocked := make(chan bool)
	wait := func(block bool) responder {
		return responder{site: w, try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
			report, err := w.start(ctx, steps, c)
			if err != nil {
				return report, err
			}
			r := steps.Run(ctx, lifeline.Step{Name: "test.wait", Do: func(ctx context.Context) (json.RawMessage, error) {
				if !block {
					return json.RawMessage("1"), nil
				}
				close(blocked)
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}})[0]
			return report, r.Err
		}}
	}
	s := w.serve(t, wait(true), silencing(a, with))
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	<-blocked
	s.stop()
	if made, left := a.state(); made != 1 || left != 1 {
		t.Fatalf("after the stop: %d silences made, %d left", made, left)
	}
	s = w.serve(t, wait(false), silencing(a, with))
	s.expect(s.ended(id), lifeline.StateResolved, "", 1)
	if made, left := a.state(); made != 1 || left != 0 || !slices.Equal(a.made, []string{id}) {
		t.Errorf("at the end: %d silences made, %d left", made, left)
	}
}

func TestSilencesNeedAlertmanagersWord(t *testing.T) {
	t.Parallel()
	w := newSite(t)
	db, err := w.store.OpenDB()
	if err != nil {
		t.Fatal(err)
	}
	_, err = respond.New(t.Context(), respond.Config{DB: db, Store: w.store, Door: w, Responders: &responders{}, Silences: &alertmanager{}})
	if err == nil || !strings.Contains(err.Error(), "Config.Silences needs Config.Alerts") {
		t.Errorf("%v", err)
	}
}
