package storetest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
)

// damping is what the parts about storms and flapping run with.
func damping() lifeline.Damping {
	return lifeline.Damping{StormAfter: 3, StormWindow: time.Minute, FlapAfter: 3, FlapWindow: 30 * time.Minute}
}

// fault is an alert of that name about a container of that name on a host.
func fault(host, alert, container, severity string) lifeline.TriagedAlert {
	a := firing(alert+"|"+host+"|container|"+container, alert+host+container)
	a.Name, a.Target.Host, a.Target.Name = alert, host, container
	a.Labels = map[string]string{"alertname": alert, "severity": severity}
	a.Damping = damping()
	return a
}

func over(a lifeline.TriagedAlert) lifeline.TriagedAlert {
	a.Status = lifeline.AlertResolved
	return a
}

// wants checks a receipt and gives its incident.
func (s *suite) wants(a lifeline.TriagedAlert, result lifeline.ReceiptResult, incidentID string) string {
	s.t.Helper()
	r := s.receive(a)
	if r.Result != result || incidentID != "" && r.IncidentID != incidentID {
		s.t.Errorf("%s of %s: %s of %q (%s), want %s of %q", a.Status, a.Key, r.Result, r.IncidentID, r.Reason, result, incidentID)
	}
	return r.IncidentID
}

// fill opens as many incidents on a host as a storm needs before it is one.
func (s *suite) fill(host string) (ids []string) {
	s.t.Helper()
	for i := range damping().StormAfter {
		ids = append(ids, s.wants(fault(host, "ContainerDown", name("c", i), "info"), lifeline.ReceiptOpened, ""))
	}
	return ids
}

// storm: what comes beyond so many incidents of a host is one case.
func storm(t *testing.T, open Open) {
	s := newSuite(t, open)
	s.wants(fault("borealis", "DiskFull", "x", "info"), lifeline.ReceiptOpened, "")
	own := s.fill("atlas")
	id := s.wants(fault("atlas", "DiskFull", "x", "warning"), lifeline.ReceiptMerged, "")
	want := lifeline.Incident{
		ID: id, Key: "storm|atlas", AlertName: "AlertStorm", Severity: "warning", Target: lifeline.Target{Host: "atlas", Kind: lifeline.TargetHost},
		Summary: "more than 3 faults on atlas within 1m0s", State: lifeline.StateOpen, Alerts: 1, AlertFiring: true, OpenedAt: at(4), UpdatedAt: at(4),
	}
	if diff := cmp.Diff(want, s.opened[len(s.opened)-1]); diff != "" || len(s.opened) != 5 {
		t.Errorf("told about %d, the last (-want +got):\n%s", len(s.opened), diff)
	}
	s.wants(fault("atlas", "ContainerDown", "y", "critical"), lifeline.ReceiptMerged, id)
	s.wants(fault("atlas", "ContainerDown", "z", "none"), lifeline.ReceiptMerged, id)
	s.wants(fault("atlas", "ContainerDown", "z", "none"), lifeline.ReceiptRepeat, id)
	s.wants(fault("atlas", "ContainerDown", "c-0", "info"), lifeline.ReceiptRepeat, own[0])
	s.wants(fault("borealis", "DiskFull", "y", "info"), lifeline.ReceiptOpened, "")
	lost := fault("", "DiskFull", "x", "info")
	s.wants(lost, lifeline.ReceiptOpened, "")
	want.Severity, want.Alerts, want.Summary = "critical", 4, "3 alerts on atlas: ContainerDown (2), DiskFull (1)"
	if diff := cmp.Diff(want, s.incident(id)); diff != "" {
		t.Errorf("the storm case (-want +got):\n%s", diff)
	}

	firing, err := s.FiringAlerts(t.Context(), id, 2)
	if err != nil || len(firing) != 2 || firing[0].Fingerprint != "ContainerDownatlasz" || firing[1].Fingerprint != "ContainerDownatlasy" {
		t.Errorf("firing: %+v, %v", firing, err)
	}
	s.wants(over(fault("atlas", "ContainerDown", "z", "none")), lifeline.ReceiptResolved, id)
	s.wants(over(fault("atlas", "ContainerDown", "y", "critical")), lifeline.ReceiptResolved, id)
	if inc := s.incident(id); !inc.AlertFiring || len(s.resolved) > 0 {
		t.Errorf("one of three still fires: %+v, told %d times", inc, len(s.resolved))
	}
	if firing, err := s.FiringAlerts(t.Context(), id, 0); err != nil || len(firing) != 1 || firing[0].Name != "DiskFull" {
		t.Errorf("firing: %+v, %v", firing, err)
	}
	s.wants(over(fault("atlas", "DiskFull", "x", "warning")), lifeline.ReceiptResolved, id)
	if inc := s.incident(id); inc.AlertFiring || len(s.resolved) != 1 || s.resolved[0].ID != id {
		t.Errorf("none fires: %+v, told about %+v", inc, s.resolved)
	}
	// Somebody works on it still: what comes now joins it.
	s.later(time.Hour)
	s.wants(fault("atlas", "DiskFull", "x", "warning"), lifeline.ReceiptMerged, id)
	s.wants(over(fault("atlas", "DiskFull", "x", "warning")), lifeline.ReceiptResolved, id)
	s.move(id, lifeline.StateSuperseded)
	s.wants(fault("atlas", "DiskFull", "x", "warning"), lifeline.ReceiptOpened, "")
	s.wants(over(fault("atlas", "Other", "x", "warning")), lifeline.ReceiptIgnored, "")
	s.handedOn(id, own[0])
	s.sound()
}

// stormCounts: what makes a storm, and what does not.
func stormCounts(t *testing.T, open Open) {
	next := fault("atlas", "DiskFull", "x", "info")
	for what, tc := range map[string]struct {
		then func(s *suite, own []string)
		want lifeline.ReceiptResult
	}{
		"all are open":          {func(*suite, []string) {}, lifeline.ReceiptMerged},
		"a person has them":     {func(s *suite, own []string) { s.move(own[0], lifeline.StateEscalated) }, lifeline.ReceiptMerged},
		"one is well again":     {func(s *suite, own []string) { s.move(own[0], lifeline.StateSuperseded) }, lifeline.ReceiptOpened},
		"the window is over":    {func(s *suite, _ []string) { s.later(time.Minute) }, lifeline.ReceiptOpened},
		"the clock is set back": {func(s *suite, _ []string) { s.later(-time.Hour) }, lifeline.ReceiptOpened},
		"the thing is in maintenance by itself": {func(s *suite, _ []string) {
			s.maintain(lifeline.MaintenanceScope{Host: "atlas", Kind: lifeline.TargetContainer, Name: "x"}, time.Hour)
		}, lifeline.ReceiptOpened},
		"the whole host is in maintenance": {func(s *suite, _ []string) { s.maintain(lifeline.MaintenanceScope{Host: "atlas"}, time.Hour) }, lifeline.ReceiptMerged},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSuite(t, open)
			tc.then(s, s.fill("atlas"))
			s.wants(next, tc.want, "")
		})
	}
	t.Run("storms are off", func(t *testing.T) {
		s := newSuite(t, open)
		s.fill("atlas")
		off := next
		off.Damping = lifeline.Damping{}
		s.wants(off, lifeline.ReceiptOpened, "")
	})
}

// stormHandedOver: a person has the case; it does not take in for ever what
// comes to the host later.
func stormHandedOver(t *testing.T, open Open) {
	s := newSuite(t, open)
	s.fill("atlas")
	id := s.wants(fault("atlas", "DiskFull", "x", "info"), lifeline.ReceiptMerged, "")
	s.move(id, lifeline.StateEscalated)
	s.later(30 * time.Second)
	s.wants(fault("atlas", "DiskFull", "y", "info"), lifeline.ReceiptMerged, id)
	s.later(45 * time.Second) // since the first have been opened, not since the last has joined
	s.wants(fault("atlas", "DiskFull", "z", "info"), lifeline.ReceiptMerged, id)
	s.later(2 * time.Minute)
	s.wants(fault("atlas", "DiskFull", "later", "info"), lifeline.ReceiptOpened, "")
	// What has joined stays there until it is over.
	s.wants(fault("atlas", "DiskFull", "x", "info"), lifeline.ReceiptRepeat, id)
	for _, c := range []string{"x", "y"} {
		s.wants(over(fault("atlas", "DiskFull", c, "info")), lifeline.ReceiptResolved, id)
	}
	if !s.incident(id).AlertFiring {
		t.Error("the case does not fire, and one of its alerts does")
	}
	s.wants(over(fault("atlas", "DiskFull", "z", "info")), lifeline.ReceiptResolved, id)
	if s.incident(id).AlertFiring || len(s.resolved) > 0 {
		t.Errorf("the case fires, or a workflow that has ended was told %d times", len(s.resolved))
	}
	s.wants(fault("atlas", "DiskFull", "x", "info"), lifeline.ReceiptOpened, "")
	s.sound()
}

// stormSummary stays short, whatever alerts are called.
func stormSummary(t *testing.T, open Open) {
	s := newSuite(t, open)
	s.fill("atlas")
	var alerts []lifeline.TriagedAlert
	for i := range 100 {
		for range 2 {
			alerts = append(alerts, fault("atlas", fmt.Sprintf("%03d%s", i, strings.Repeat("é", 100)), "x", "odd"))
		}
	}
	alerts = append(alerts, fault("atlas", "", "x", "page"))
	receipts, err := s.ReceiveAlerts(t.Context(), alerts, s.onOpened, s.onResolved)
	if err != nil {
		t.Fatal(err)
	}
	inc := s.incident(receipts[0].IncidentID)
	if len(s.opened) != 4 || inc.Alerts != 201 || inc.Severity != "page" || len(inc.Summary) > 1000 ||
		!strings.HasPrefix(inc.Summary, "101 alerts on atlas: 000é") || !strings.HasSuffix(inc.Summary, "…, 95 others") && !strings.HasSuffix(inc.Summary, "(1), 95 others") {
		t.Errorf("%d opened; %d alerts, severity %s, summary of %d bytes: %s", len(s.opened), inc.Alerts, inc.Severity, len(inc.Summary), inc.Summary)
	}
	s.sound()
}

// flap opens and ends as many incidents of a key as flapping needs.
func (s *suite) flap(a lifeline.TriagedAlert) {
	s.t.Helper()
	for range damping().FlapAfter {
		id := s.wants(a, lifeline.ReceiptOpened, "")
		s.wants(over(a), lifeline.ReceiptResolved, id)
		s.move(id, lifeline.StateSuperseded)
	}
}

// flapping: a fault that comes and goes is held for a person, who is told once.
func flapping(t *testing.T, open Open) {
	s := newSuite(t, open)
	a := fault("atlas", "ContainerDown", "web", "critical")
	s.flap(a)
	id := s.wants(a, lifeline.ReceiptOpened, "")
	if inc := s.incident(id); !inc.Flapping || !cmp.Equal(inc, s.opened[3]) {
		t.Errorf("held for a person: %+v, told about %+v", inc, s.opened[3])
	}
	s.move(id, lifeline.StateEscalated)
	for range 5 {
		s.later(20 * time.Minute) // longer than the window in all, and quiet for less than it
		s.wants(over(a), lifeline.ReceiptResolved, id)
		if s.incident(id).AlertFiring {
			t.Error("it fires after its end")
		}
		s.later(20 * time.Minute)
		s.wants(a, lifeline.ReceiptRepeat, id)
		if !s.incident(id).AlertFiring {
			t.Error("it does not fire and has come back")
		}
	}
	s.wants(over(a), lifeline.ReceiptResolved, id)
	if len(s.opened) != 4 || len(s.resolved) != 3 {
		t.Errorf("told about %d and the end of %d", len(s.opened), len(s.resolved))
	}
	s.later(29 * time.Minute)
	s.wants(over(a), lifeline.ReceiptResolved, id) // still, and so it is quiet from now on
	s.later(30 * time.Minute)
	s.wants(over(a), lifeline.ReceiptIgnored, "")
	next := s.wants(a, lifeline.ReceiptOpened, "")
	if next == id || s.incident(next).Flapping || !s.incident(id).Flapping {
		t.Errorf("after a quiet time: %+v, before: %+v", s.incident(next), s.incident(id))
	}
	s.sound()
}

// flapsNot: what looks like flapping and is not.
func flapsNot(t *testing.T, open Open) {
	a := fault("atlas", "ContainerDown", "web", "critical")
	for what, then := range map[string]func(*suite, *lifeline.TriagedAlert){
		"longer apart":          func(s *suite, _ *lifeline.TriagedAlert) { s.later(30 * time.Minute) },
		"another key":           func(_ *suite, a *lifeline.TriagedAlert) { a.Key = "other" },
		"it is off":             func(_ *suite, a *lifeline.TriagedAlert) { a.Damping = lifeline.Damping{} },
		"the clock is set back": func(s *suite, _ *lifeline.TriagedAlert) { s.later(-time.Hour) },
	} {
		t.Run(what, func(t *testing.T) {
			s := newSuite(t, open)
			s.flap(a)
			b := a
			then(s, &b)
			if id := s.wants(b, lifeline.ReceiptOpened, ""); s.incident(id).Flapping {
				t.Error("it flaps")
			}
		})
	}
	// A damping that was set by a clock a day ahead does not hold for a day.
	t.Run("the clock was ahead", func(t *testing.T) {
		s := newSuite(t, open)
		s.later(24 * time.Hour)
		s.flap(a)
		id := s.wants(a, lifeline.ReceiptOpened, "")
		s.move(id, lifeline.StateEscalated)
		s.wants(over(a), lifeline.ReceiptResolved, id)
		s.later(-24 * time.Hour)
		if next := s.wants(a, lifeline.ReceiptOpened, ""); next == id || s.incident(next).Flapping {
			t.Errorf("%+v", s.incident(next))
		}
	})
}

// flappingAtOnce: the end of the damping and the next alert, from many senders
// at the same time.
func flappingAtOnce(t *testing.T, open Open) {
	s := newSuite(t, open)
	a := fault("atlas", "ContainerDown", "web", "critical")
	s.flap(a)
	held := s.wants(a, lifeline.ReceiptOpened, "")
	s.move(held, lifeline.StateEscalated)
	s.wants(over(a), lifeline.ReceiptResolved, held)
	s.later(2 * time.Hour)
	const senders = 16
	ids := make([]string, senders)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			<-start
			receipts, err := s.ReceiveAlerts(t.Context(), []lifeline.TriagedAlert{a}, s.onOpened, s.onResolved)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = receipts[0].IncidentID
		})
	}
	close(start)
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || id == held {
			t.Errorf("%s and %s; %s was held before", ids[0], id, held)
		}
	}
	if len(s.opened) != 5 || s.incident(ids[0]).Alerts != senders {
		t.Errorf("%d opened, %d alerts", len(s.opened), s.incident(ids[0]).Alerts)
	}
	s.sound()
}

// ignored: stored, with why, and nothing started.
func ignored(t *testing.T, open Open) {
	s := newSuite(t, open)
	a := fault("atlas", "Watchdog", "x", "none")
	a.Ignore = "triage.routes[0] says that it is ignored"
	r := s.receive(a)
	if r.Result != lifeline.ReceiptIgnored || r.Reason != a.Ignore || r.IncidentID != "" || len(s.opened) > 0 {
		t.Errorf("%+v, told about %d", r, len(s.opened))
	}
	events, err := s.Events(t.Context(), "", 0)
	if err != nil || len(events) != 1 || !strings.Contains(events[0].Text, a.Ignore) {
		t.Errorf("%+v, %v", events, err)
	}
	// One that was opened before the route was written can still end.
	b := a
	b.Ignore = ""
	id := s.wants(b, lifeline.ReceiptOpened, "")
	s.wants(over(a), lifeline.ReceiptResolved, id)
	s.wants(over(a), lifeline.ReceiptResolved, id)
	s.sound()
}
