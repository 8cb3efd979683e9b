package app

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/sshpool"
)

// The service itself refuses whoever has not the role, and then nothing is done.
func TestServiceNeedsTheRole(t *testing.T) {
	a := started(t)
	s := a.Service()
	escalated, worked := a.opened(t, "escalated", lifeline.StateEscalated), a.opened(t, "worked", lifeline.StateInvestigating)
	apr := a.asks(t, worked)
	window, err := s.AddMaintenance(t.Context(), lifeline.Person{Name: "ann", Role: lifeline.RoleAdmin}, lifeline.Maintenance{
		Scope: lifeline.MaintenanceScope{Host: "here"}, Until: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	before, err := a.store.LastEvent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	type deed struct {
		name string
		role lifeline.Role
		do   func(context.Context, lifeline.Person) error
	}
	deeds := []deed{
		{"decide", lifeline.RoleApprover, func(ctx context.Context, who lifeline.Person) error {
			_, err := s.Decide(ctx, who, apr.ID, false, "no")
			return err
		}},
		{"retry", lifeline.RoleApprover, func(ctx context.Context, who lifeline.Person) error {
			_, err := s.Retry(ctx, who, escalated)
			return err
		}},
		{"close", lifeline.RoleApprover, func(ctx context.Context, who lifeline.Person) error {
			_, err := s.Close(ctx, who, escalated, "done")
			return err
		}},
		{"hand over", lifeline.RoleApprover, func(ctx context.Context, who lifeline.Person) error {
			_, err := s.HandOver(ctx, who, worked, "mine")
			return err
		}},
		{"pause", lifeline.RoleAdmin, func(ctx context.Context, who lifeline.Person) error {
			_, err := s.Pause(ctx, who, "", false)
			return err
		}},
		{"resume", lifeline.RoleAdmin, func(ctx context.Context, who lifeline.Person) error {
			_, err := s.Resume(ctx, who, "")
			return err
		}},
		{"add a window", lifeline.RoleAdmin, func(ctx context.Context, who lifeline.Person) error {
			_, err := s.AddMaintenance(ctx, who, lifeline.Maintenance{Scope: lifeline.MaintenanceScope{Host: "here"}, Until: time.Now().Add(time.Hour)})
			return err
		}},
		{"end a window", lifeline.RoleAdmin, func(ctx context.Context, who lifeline.Person) error {
			_, err := s.EndMaintenance(ctx, who, window.ID)
			return err
		}},
	}
	for _, d := range deeds {
		for _, who := range []lifeline.Person{{}, {Name: "eve"}, {Name: "eve", Role: "root"}, {Role: lifeline.RoleAdmin}, {Name: "eve", Role: lifeline.RoleViewer}, {Name: "eve", Role: lifeline.RoleApprover}} {
			if who.Name != "" && who.Role.May(d.role) {
				continue
			}
			err := d.do(t.Context(), who)
			if e, ok := errors.AsType[*lifeline.Error](err); !ok || e.Code != lifeline.CodeRefused || e.Rule != lifeline.RuleRole {
				t.Errorf("%s as %+v: %v", d.name, who, err)
			}
		}
	}
	if after, err := a.store.LastEvent(t.Context()); err != nil || after != before {
		t.Errorf("refused, and %d events are on record: %v", after-before, err)
	}
	// With the role each is done, and on record under the name.
	who := lifeline.Person{Name: "ci", Role: lifeline.RoleAdmin, Via: "token"}
	for _, d := range deeds {
		if d.name == "close" { // it was retried
			continue
		}
		seq, err := a.store.LastEvent(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := d.do(t.Context(), who); err != nil {
			t.Errorf("%s: %v", d.name, err)
		}
		events, err := s.Events(t.Context(), "", seq, 0)
		by := false
		for _, e := range events {
			by = by || e.Actor == "token:ci"
		}
		if err != nil || !by {
			t.Errorf("%s: %v: not on record under the name: %+v", d.name, err, events)
		}
	}
	if _, err := s.Pause(t.Context(), who, strings.Repeat("x", maxWords+1), false); lifeline.CodeOf(err) != lifeline.CodeUsage {
		t.Errorf("a reason without end: %v", err)
	}
}

func TestServiceHosts(t *testing.T) {
	a := started(t)
	a.opened(t, "k")
	a.asks(t, a.opened(t, "q", lifeline.StateInvestigating))
	s := a.Service()
	// serve warms the line: the first dial fails soon.
	var v lifeline.HostView
	for deadline := time.Now().Add(time.Minute); ; {
		var err error
		if v, err = s.Host(t.Context(), "nexus"); err != nil {
			t.Fatal(err)
		}
		if v.Trouble != "" || time.Now().After(deadline) {
			break
		}
		<-time.After(5 * time.Millisecond)
	}
	if v.Trouble == "" || v.TriedAgain.IsZero() || v.Connected || v.Fingerprint != "" || v.Mode != lifeline.ModeSuggest || v.Incidents != 2 || v.ChangesMost != 6 ||
		v.Address != "127.0.0.1:1" || v.User != "ann" || len(v.Series) != lifeline.SeriesMost || len(v.Recent) != 1 || v.Recent[0].Canonical != "docker restart web" {
		t.Errorf("%+v", v)
	}
	all, err := s.Hosts(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "here" || !all[0].Local || all[0].Trouble != "" || all[1].Name != "nexus" || all[1].Series != nil {
		t.Errorf("%v: %+v", err, all)
	}
	if _, err := s.Host(t.Context(), "nowhere"); lifeline.CodeOf(err) != lifeline.CodeNotFound {
		t.Errorf("nowhere: %v", err)
	}
}

func TestTroubleWords(t *testing.T) {
	for kind, want := range map[sshpool.ErrorKind]string{
		sshpool.KindAuthentication: "the host does not let Lifeline in: said", sshpool.KindHostKey: "the host's key is not the one that is known: said",
		sshpool.KindConnectTimeout: "the host does not answer in time: said", "": "no connection comes about: said",
	} {
		if got := troubleWords(sshpool.HostStats{Failures: 1, FailureKind: kind, LastFailure: "said"}); got != want {
			t.Errorf("%s: %s", kind, got)
		}
	}
}

func TestServicePolicy(t *testing.T) {
	cfg, err := config.Parse("lifeline.yaml", []byte(`
hosts: {nexus: {address: 192.0.2.1, mode: suggest}, outpost: {address: 192.0.2.2, mode: auto}}
protect: {units: [db.service], containers: [vault]}
policy: {rules: [{program: docker, args: [restart, db], decision: deny, reason: it has a watchdog}, {program: docker, args: [ps], decision: deny, host: outpost}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{cfg: cfg}
	v, err := s.Policy(t.Context(), "nexus")
	if err != nil || v.Mode != lifeline.ModeSuggest || !strings.Contains(strings.Join(v.Protected, ","), "unit db.service") || !strings.Contains(strings.Join(v.Protected, ","), "container vault") || len(v.Programs) < 50 {
		t.Errorf("%v: %+v", err, v)
	}
	if diff := cmp.Diff([]lifeline.RuleView{{Program: "docker", Args: []string{"restart", "db"}, Decision: "deny", Reason: "it has a watchdog"}}, v.Rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		host          string
		mode          lifeline.Mode
		command       string
		decision, why string
	}{
		{"nexus", "", "docker restart web", "ask", ""},
		{"nexus", lifeline.ModeAuto, "docker restart web", "allow", ""},
		{"nexus", lifeline.ModeAuto, "docker ps; docker restart db", "deny", "docker restart db"},
		{"outpost", "", "docker ps", "deny", "docker ps"},
		{"", lifeline.ModeObserve, "docker ps", "allow", ""},
		{"", lifeline.ModeAuto, "docker logs -f web", "deny", "docker logs -f web"},
	} {
		x, err := s.Explain(t.Context(), c.host, c.mode, c.command)
		if err != nil || x.Decision != c.decision || x.Command != c.command || x.Rule == "" || x.Reason == "" || (x.Canonical == "") != (c.decision == "deny") ||
			c.why != "" && strings.Join(x.Words, "|") != c.why {
			t.Errorf("%+v: %v: %+v", c, err, x)
		}
	}
	for _, c := range []struct {
		host, mode, command string
		code                lifeline.Code
	}{
		{"nowhere", "", "uptime", lifeline.CodeNotFound}, {"", "", "uptime", lifeline.CodeUsage}, {"nexus", "", " ", lifeline.CodeUsage},
		{"nexus", "wild", "uptime", lifeline.CodeUsage}, {"nexus", "", strings.Repeat("x", commandMost+1), lifeline.CodeUsage},
	} {
		if _, err := s.Explain(t.Context(), c.host, lifeline.Mode(c.mode), c.command); lifeline.CodeOf(err) != c.code {
			t.Errorf("%+v: %v", c.host, err)
		}
	}
	if _, err := s.Policy(t.Context(), "nowhere"); lifeline.CodeOf(err) != lifeline.CodeNotFound {
		t.Errorf("nowhere: %v", err)
	}
}

// Samples are kept for six hours, in steps, and those without anything are there too.
func TestRecorder(t *testing.T) {
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := newRecorder()
	run := func(at time.Time, took time.Duration) {
		r.result(lifeline.Command{CommandRequest: lifeline.CommandRequest{Host: "nexus"}, Run: took}, at)
	}
	for _, ms := range []int{9, 1, 5} {
		run(begun, time.Duration(ms)*time.Millisecond)
	}
	r.event(sshpool.Event{Kind: sshpool.ConnectionEstablished, Host: "nexus", At: begun})
	r.event(sshpool.Event{Kind: sshpool.ConnectionReused, Host: "nexus", At: begun})
	r.event(sshpool.Event{Kind: sshpool.CommandTimeout, Host: "nexus", At: begun})
	later := begun.Add(17 * time.Minute)
	run(later, time.Second)
	want := map[time.Time]lifeline.HostSample{}
	first, last := begun.Truncate(lifeline.SeriesStep), later.Truncate(lifeline.SeriesStep)
	want[first] = lifeline.HostSample{At: first, Commands: 3, Opened: 1, Reused: 1, RunMedian: 5 * time.Millisecond, RunMost: 9 * time.Millisecond}
	want[last] = lifeline.HostSample{At: last, Commands: 1, RunMedian: time.Second, RunMost: time.Second}
	for _, now := range []time.Time{later, later.Add(time.Hour), later.Add(24 * time.Hour)} {
		series := r.series("nexus", now)
		if len(series) != lifeline.SeriesMost || series[len(series)-1].At != now.Truncate(lifeline.SeriesStep) {
			t.Fatalf("%d samples until %s", len(series), series[len(series)-1].At)
		}
		for i, s := range series {
			expect, known := want[s.At]
			if !known {
				expect = lifeline.HostSample{At: s.At}
			}
			if diff := cmp.Diff(expect, s); diff != "" {
				t.Errorf("sample %d (-want +got):\n%s", i, diff)
			}
			if i > 0 && s.At.Sub(series[i-1].At) != lifeline.SeriesStep {
				t.Errorf("sample %d is %s after the one before", i, s.At.Sub(series[i-1].At))
			}
		}
	}
	for i := range 10 * lifeline.SeriesMost {
		run(later.Add(time.Duration(i)*lifeline.SeriesStep), time.Second)
	}
	if n := len(r.hosts["nexus"].done); n > lifeline.SeriesMost {
		t.Errorf("%d samples are kept", n)
	}
	if s := r.series("quiet", later); len(s) != lifeline.SeriesMost || s[0].Commands != 0 {
		t.Errorf("a host without commands: %+v", s[0])
	}
}

// The record is verified once for all who ask at the same time, and for a minute.
func TestAuditIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var verifications atomic.Int64
		broken := atomic.Bool{}
		a := newAuditor(func(ctx context.Context) (lifeline.AuditView, error) {
			select {
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
				return lifeline.AuditView{}, ctx.Err()
			}
			n := verifications.Add(1)
			if broken.Load() {
				return lifeline.AuditView{}, errors.New("gone")
			}
			return lifeline.AuditView{OK: true, Events: n, CheckedAt: time.Now()}, nil
		})
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.look(hasty); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("whoever does not wait gets %v", err)
		}
		var asking sync.WaitGroup
		for range 10 {
			asking.Go(func() {
				if v, err := a.look(t.Context()); err != nil || v.Events != 1 {
					t.Errorf("%+v, %v", v, err)
				}
			})
		}
		asking.Wait()
		time.Sleep(59 * time.Second)
		if v, err := a.look(t.Context()); err != nil || v.Events != 1 {
			t.Errorf("within a minute: %+v, %v", v, err)
		}
		time.Sleep(time.Second)
		if v, err := a.look(t.Context()); err != nil || v.Events != 2 {
			t.Errorf("after a minute: %+v, %v", v, err)
		}
		broken.Store(true)
		time.Sleep(time.Minute)
		if _, err := a.look(t.Context()); err == nil {
			t.Error("an error is not told")
		}
		broken.Store(false)
		if v, err := a.look(t.Context()); err != nil || v.Events != 4 {
			t.Errorf("after an error: %+v, %v", v, err)
		}
		time.Sleep(time.Minute)
		asking.Go(func() {
			if _, err := a.look(t.Context()); !errors.Is(err, context.Canceled) {
				t.Errorf("at the end of the service: %v", err)
			}
		})
		synctest.Wait()
		if err := a.end(t.Context()); err != nil {
			t.Error(err)
		}
		asking.Wait()
	})
}

func TestExplainCase(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	inc := lifeline.Incident{ID: "inc_1", AlertName: "Down", Target: lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"}, OpenedAt: now.Add(-time.Minute)}
	for state, want := range map[lifeline.State]string{
		lifeline.StateOpen: "waits for its turn", lifeline.StateInvestigating: "looked at now", lifeline.StateAwaitingApproval: "waits for a person",
		lifeline.StateActing: "was let through", lifeline.StateVerifying: "really well again", lifeline.StateResolved: "well again", lifeline.StateSuperseded: "without Lifeline",
		lifeline.StateEscalated: "A person has it",
	} {
		c := lifeline.CaseFile{Incident: inc}
		c.Incident.State, c.Incident.Reason = state, "the disk is full."
		text := explainCase(c, now)
		if !strings.Contains(text, want) || !strings.Contains(text, "inc_1 (container web on nexus) was opened 1m0s ago, by the alert Down.") || !strings.Contains(text, "The reason: the disk is full.\n") {
			t.Errorf("%s: %s", state, text)
		}
	}
	c := lifeline.CaseFile{Incident: inc, Handover: &lifeline.Handover{Next: []string{"look at its log"}},
		Approvals: []lifeline.Approval{{ID: "apr_1", State: lifeline.ApprovalPending, ExpiresAt: now.Add(time.Hour), Canonical: "docker restart web", Request: lifeline.CommandRequest{Host: "nexus"}},
			{ID: "apr_2", State: lifeline.ApprovalPending, ExpiresAt: now}}}
	c.Incident.State, c.Incident.AlertFiring, c.Incident.Changes = lifeline.StateEscalated, true, 2
	text := explainCase(c, now)
	for _, want := range []string{"may `docker restart web` run on nexus? (lifeline approve apr_1", "Changes made so far: 2.", "Look at this next:\n- look at its log\n", "It can be retried"} {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "apr_2") {
		t.Errorf("it asks about what is over:\n%s", text)
	}
}
