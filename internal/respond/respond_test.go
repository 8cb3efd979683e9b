package respond_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/respond"
	"lifeline/internal/store"
	"lifeline/internal/triage"
)

// patience bounds a hang; it measures nothing.
const patience = 3 * time.Minute

// site is a host with containers, behind a door that keeps the record as the
// guard does.
type site struct {
	store *store.Store
	ahead atomic.Int64 // how far the record's clock is ahead, in nanoseconds

	mu         sync.Mutex
	containers map[string]*container
	ran        []string // what really ran, looks of the verification left out
	gone       bool     // the host cannot be reached
	atStart    func()   // called while a container is started
	loses      int      // how many starts run, but lose the connection before they are known to have ended
	// asks: a person is asked before a container is started, for so long.
	asks time.Duration
}

type container struct {
	running bool
	starts  int
	// crashes: it ends at once after every start.
	crashes bool
}

func newSite(t *testing.T, names ...string) *site {
	t.Helper()
	w := &site{containers: map[string]*container{}}
	s, err := store.Open(t.Context(), newDatabase(t), store.Options{
		Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w.store = s
	for _, n := range names {
		w.containers[n] = &container{}
	}
	return w
}

// Run is the door.
func (w *site) Run(ctx context.Context, req lifeline.CommandRequest) (lifeline.Command, error) {
	cmd := lifeline.Command{CommandRequest: req, Canonical: req.Command, Class: "read", Decision: "allow"}
	if strings.HasPrefix(req.Command, "docker start") {
		cmd.Class = "change"
	}
	if cmd.ID == "" {
		cmd.ID = fmt.Sprintf("look_%d_%s", time.Now().UnixNano(), req.Command)
	}
	w.mu.Lock()
	asks := w.asks
	w.mu.Unlock()
	if asks > 0 && cmd.Class == "change" {
		cmd.Digest = fmt.Sprintf("%s %s %s", cmd.Host, cmd.Canonical, cmd.IncidentID)
		if cmd.ApprovalID == "" {
			asked, err := w.store.RequestApproval(ctx, cmd, asks, limits)
			if lifeline.CodeOf(err) == lifeline.CodeRefused {
				return w.refuse(ctx, cmd, err)
			}
			return asked, err
		}
	}
	cmd.IntentAt = time.Now()
	prior, err := w.store.RecordIntent(ctx, cmd, limits)
	switch {
	case lifeline.CodeOf(err) == lifeline.CodeRefused:
		return w.refuse(ctx, cmd, err)
	case err != nil:
		return cmd, err
	case prior != nil && !prior.FinishedAt.IsZero():
		return *prior, nil
	case prior != nil && prior.Class != "read":
		prior.Outcome = lifeline.OutcomeUnknown
		return *prior, w.store.RecordResult(ctx, *prior)
	}
	w.execute(&cmd)
	return cmd, w.store.RecordResult(context.WithoutCancel(ctx), cmd)
}

// limits are what the door holds every change against.
var limits = lifeline.Limits{PerIncident: 2, PerKey: 2, PerKeyWindow: 6 * time.Hour}

// refuse puts a refusal of the record on record, as the guard does.
func (w *site) refuse(ctx context.Context, cmd lifeline.Command, err error) (lifeline.Command, error) {
	cmd.Outcome, cmd.Reason, cmd.IntentAt = lifeline.OutcomeRefused, err.Error(), time.Time{}
	if e, ok := errors.AsType[*lifeline.Error](err); ok {
		cmd.Rule, cmd.Hint = e.Rule, e.Hint
	}
	return cmd, w.store.RecordRefusal(ctx, cmd)
}

func (w *site) asksFrom(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asks = d
}

func (w *site) execute(cmd *lifeline.Command) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		cmd.Outcome, cmd.Cause, cmd.Error = lifeline.OutcomeNotStarted, lifeline.CodeUnreachable, "connection refused"
		return
	}
	cmd.Outcome, cmd.ExitStatus = lifeline.OutcomeExited, new(0)
	words := strings.Fields(cmd.Command)
	c := w.containers[strings.Trim(words[len(words)-1], "'")]
	if cmd.Actor != "verify" && cmd.Actor != "respond" {
		w.ran = append(w.ran, cmd.Command)
	}
	switch {
	case strings.HasPrefix(cmd.Command, "docker start"):
		if w.atStart != nil {
			w.atStart()
		}
		c.starts++
		c.running = !c.crashes
		if w.loses > 0 {
			w.loses--
			cmd.Outcome, cmd.ExitStatus, cmd.Cause, cmd.Error = lifeline.OutcomeUnknown, nil, lifeline.CodeUnknown, "connection reset by peer"
		}
	case strings.HasPrefix(cmd.Command, "docker inspect"):
		status := "exited"
		if c.running {
			status = "running"
		}
		cmd.Stdout = fmt.Appendf(nil, `/web web:1 0 {"Status":%q,"StartedAt":"start %d","Pid":%d}`+"\n", status, c.starts, c.starts)
	case strings.HasPrefix(cmd.Command, "docker logs"):
		cmd.Stdout = fmt.Appendf(nil, "it ended after start %d\n", c.starts)
	case cmd.Command == "false":
		cmd.ExitStatus = new(1)
	}
}

// responder works a case; each call of try is one attempt.
type responder struct {
	site *site
	try  func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error)
}

func (r responder) Work(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
	if r.try != nil {
		return r.try(ctx, steps, c)
	}
	return r.site.start(ctx, steps, c)
}

// start looks and starts the container, as a runbook does.
func (w *site) start(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
	for _, r := range steps.Run(ctx, w.step(c, "d0", "uptime"), w.step(c, "d1", "docker ps")) {
		if r.Err != nil {
			return lifeline.Report{}, r.Err
		}
	}
	r := steps.Run(ctx, w.step(c, "f0", "docker start "+c.Incident.Target.Name))[0]
	return lifeline.Report{Responder: "runbook:test", Claim: lifeline.ClaimFixed, Summary: "started it", Next: "read its log"}, r.Err
}

func (w *site) step(c lifeline.Case, place, command string) lifeline.Step {
	return lifeline.Step{Name: "test." + place, Do: func(ctx context.Context) (json.RawMessage, error) {
		cmd, err := w.Run(ctx, lifeline.CommandRequest{
			ID: fmt.Sprintf("%s.a%d.%s", c.Incident.ID, c.Attempt, place), IncidentID: c.Incident.ID,
			Host: c.Incident.Target.Host, Command: command, Actor: "runbook:test",
		})
		if err != nil {
			return nil, err
		}
		return json.Marshal(cmd.Outcome)
	}}
}

// responders knows one responder, or none.
type responders struct {
	one    respond.Responder
	checks []lifeline.Check
}

func (r *responders) Choose(lifeline.Alert, lifeline.Target, int) lifeline.Choice {
	if r.one == nil {
		return lifeline.Choice{Why: "no runbook matches"}
	}
	return lifeline.Choice{Responder: "runbook:test", Checks: r.checks}
}

func (r *responders) Responder(name string) (respond.Responder, bool) {
	return r.one, name == "runbook:test"
}

// service is a running respond.Service with triage in front of it.
type service struct {
	*site
	t      *testing.T
	svc    *respond.Service
	triage *triage.Triage
}

func (w *site) serve(t *testing.T, r respond.Responder, change ...func(*respond.Config)) *service {
	t.Helper()
	db, err := w.store.OpenDB()
	if err != nil {
		t.Fatal(err)
	}
	cfg := respond.Config{
		DB: db, Store: w.store, Approvals: w.store, Door: w,
		Responders: &responders{one: r},
		StableFor:  30 * time.Millisecond, VerifyFor: 200 * time.Millisecond, VerifyEvery: 5 * time.Millisecond, AlertWithin: 10 * time.Minute,
	}
	for _, c := range change {
		c(&cfg)
	}
	svc, err := respond.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{site: w, t: t, svc: svc}
	t.Cleanup(func() { s.stop() })
	if err := svc.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.triage, err = triage.New(triage.Config{Hosts: []string{"nexus", "outpost"}}, w.store, svc)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *service) stop() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), patience)
	defer cancel()
	if err := s.svc.Stop(ctx); err != nil {
		s.t.Errorf("stop: %v", err)
	}
}

// alert receives an alert about a container and gives its incident.
func (s *service) alert(status lifeline.AlertStatus, host, name string) string {
	s.t.Helper()
	receipts, err := s.triage.Receive(s.t.Context(), []lifeline.Alert{{
		Source: "alertmanager", Status: status, Name: "ContainerDown", Fingerprint: host + name,
		Labels: map[string]string{"alertname": "ContainerDown", "host": host, "container": name},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	return receipts[0].IncidentID
}

// until waits until the incident is in one of the states.
func (s *service) until(id string, states ...lifeline.State) lifeline.Incident {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		inc, err := s.store.Incident(s.t.Context(), id)
		if err != nil {
			s.t.Fatal(err)
		}
		if slices.Contains(states, inc.State) {
			return inc
		}
		select {
		case <-deadline:
			s.t.Fatalf("the incident is %s (%s), want one of %v", inc.State, inc.Reason, states)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (s *service) ended(id string) lifeline.Incident {
	s.t.Helper()
	return s.until(id, lifeline.StateResolved, lifeline.StateEscalated, lifeline.StateSuperseded)
}

func (s *service) states(id string) string {
	s.t.Helper()
	events, err := s.store.Events(s.t.Context(), id, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	states := []string{"open"}
	for _, e := range events {
		var move struct{ To string }
		if e.Kind == lifeline.EventStateChanged && json.Unmarshal(e.Data, &move) == nil {
			states = append(states, move.To)
		}
	}
	return strings.Join(states, " ")
}

func (s *service) expect(inc lifeline.Incident, state lifeline.State, reason string, changes int) {
	s.t.Helper()
	if inc.State != state || !strings.Contains(inc.Reason, reason) || inc.Changes != changes {
		s.t.Errorf("the incident is %s after %d changes: %s\nwant %s after %d: …%s…", inc.State, inc.Changes, inc.Reason, state, changes, reason)
	}
}

func TestRepaired(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	s := w.serve(t, responder{site: w})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.until(id, lifeline.StateVerifying)
	// The probe alone is not enough: the alert has to be gone too.
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateResolved, "the probe is well and the alert is gone", 1)
	if got, want := s.states(id), "open investigating acting verifying resolved"; got != want {
		t.Errorf("states %s, want %s", got, want)
	}
	if !slices.Equal(w.ran[2:], []string{"docker start web"}) || len(w.ran) != 3 {
		t.Errorf("ran %v", w.ran)
	}
}

func TestTheAlertMustAgree(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	s := w.serve(t, responder{site: w}, func(c *respond.Config) { c.AlertWithin = 300 * time.Millisecond })
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateEscalated, "the alert still fires", 1)
}

func TestCrashesAgainAndAgain(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	w.containers["web"].crashes = true
	s := w.serve(t, responder{site: w})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	inc := s.ended(id)
	s.expect(inc, lifeline.StateEscalated, "still not well after 2 of 2 allowed changes: container web on nexus: exited", 2)
	if w.containers["web"].starts != 2 {
		t.Errorf("started %d times, want 2", w.containers["web"].starts)
	}
	// The case is complete.
	events, err := w.store.Events(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(events, func(e lifeline.Event) bool { return e.Kind == lifeline.EventEscalated })
	if i < 0 || strings.Count(string(events[i].Data), "read its log") != 3 || strings.Count(string(events[i].Data), "started it") != 2 {
		t.Errorf("handed over: %s", events[max(i, 0)].Data) // each report has its own next, and the case each once
	}
	commands, err := w.store.Commands(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if last := commands[len(commands)-1]; string(last.Stdout) != "it ended after start 2\n" {
		t.Errorf("the case ends with %s: %s", last.Command, last.Stdout)
	}
}

// A second attempt is told what the first did.
func TestPreviousAttempts(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	w.containers["web"].crashes = true
	var previous []string
	var mu sync.Mutex
	r := responder{site: w, try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		mu.Lock()
		previous = append(previous, c.Previous)
		mu.Unlock()
		return w.start(ctx, steps, c)
	}}
	s := w.serve(t, r)
	s.ended(s.alert(lifeline.AlertFiring, "nexus", "web"))
	if len(previous) != 2 || previous[0] != "" || !strings.Contains(previous[1], "started it Afterwards: container web on nexus: exited") {
		t.Errorf("told %q", previous)
	}
}

func TestNobodyCanWorkIt(t *testing.T) {
	t.Parallel()
	w := newSite(t)
	asked := false
	s := w.serve(t, responder{try: func(context.Context, lifeline.Steps, lifeline.Case) (lifeline.Report, error) {
		asked = true
		return lifeline.Report{}, nil
	}})
	s.expect(s.ended(s.alert(lifeline.AlertFiring, "elsewhere", "web")), lifeline.StateEscalated, `its label host is "elsewhere"`, 0)
	if asked {
		t.Error("a responder was asked about a host that nobody knows")
	}
	s = newSite(t).serve(t, nil)
	s.expect(s.ended(s.alert(lifeline.AlertFiring, "nexus", "web")), lifeline.StateEscalated, "no runbook matches", 0)
}

func TestNothingSafeIsLeft(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	s := w.serve(t, responder{try: func(context.Context, lifeline.Steps, lifeline.Case) (lifeline.Report, error) {
		return lifeline.Report{Responder: "model:m", Claim: lifeline.ClaimFixed, Summary: "I repaired it"}, nil // it did not
	}})
	s.expect(s.ended(s.alert(lifeline.AlertFiring, "nexus", "web")), lifeline.StateEscalated, "no safe step is left: container web on nexus: exited", 0)
}

// A look that could not be made is not a success.
func TestCouldNotCheck(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		report, err := w.start(ctx, steps, c)
		w.mu.Lock()
		w.gone = true
		w.mu.Unlock()
		return report, err
	}}, func(c *respond.Config) { c.MaxAttempts = 1 })
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateEscalated, "could not check: look at the container web on nexus: connection refused", 1)
}

func TestTheRunbooksOwnCheck(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		report, err := w.start(ctx, steps, c)
		return report, err
	}}, func(c *respond.Config) {
		c.MaxAttempts = 1
		c.Responders.(*responders).checks = []lifeline.Check{{Command: "true"}, {Command: "false"}}
	})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateEscalated, "container web on nexus: running, restarts 0, started start 1, but the check `false` is not good: exit status 1", 1)
}

func TestResolvedStopsTheWork(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	looked, goOn := make(chan bool), make(chan bool)
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		steps.Run(ctx, w.step(c, "d0", "uptime"))
		looked <- true
		<-goOn
		return lifeline.Report{Responder: "runbook:test", Claim: lifeline.ClaimNotFixed, Summary: "looked"}, nil
	}})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	<-looked
	s.alert(lifeline.AlertResolved, "nexus", "web")
	goOn <- true
	s.expect(s.ended(id), lifeline.StateSuperseded, "the alert resolved; nothing was changed", 0)

	// Before the work began: the queue is busy with the same target's first incident.
	other := s.alert(lifeline.AlertFiring, "nexus", "web")
	<-looked
	goOn <- true
	s.ended(other)
}

func TestADefectIsHandedOver(t *testing.T) {
	for name, try := range map[string]func(context.Context, lifeline.Steps, lifeline.Case) (lifeline.Report, error){
		"error": func(context.Context, lifeline.Steps, lifeline.Case) (lifeline.Report, error) {
			return lifeline.Report{}, errors.New("it broke")
		},
		"panic in a step": func(ctx context.Context, steps lifeline.Steps, _ lifeline.Case) (lifeline.Report, error) {
			return lifeline.Report{}, steps.Run(ctx, lifeline.Step{Name: "p", Do: func(context.Context) (json.RawMessage, error) { panic("it broke") }})[0].Err
		},
		"panic outside of steps": func(context.Context, lifeline.Steps, lifeline.Case) (lifeline.Report, error) { panic("it broke") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSite(t, "web")
			s := w.serve(t, responder{try: try})
			s.expect(s.ended(s.alert(lifeline.AlertFiring, "nexus", "web")), lifeline.StateEscalated, "it broke", 0)
		})
	}
}

// Incidents of different targets do not wait for each other.
func TestTargetsAreWorkedAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web", "db")
	both := make(chan string, 2)
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		both <- c.Incident.Target.Name
		for len(both) < 2 { // the other one is at work at the same time
			select {
			case <-ctx.Done():
				return lifeline.Report{}, ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
		return w.start(ctx, steps, c)
	}})
	first, second := s.alert(lifeline.AlertFiring, "nexus", "web"), s.alert(lifeline.AlertFiring, "nexus", "db")
	s.until(first, lifeline.StateVerifying)
	s.until(second, lifeline.StateVerifying)
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.alert(lifeline.AlertResolved, "nexus", "db")
	s.expect(s.ended(first), lifeline.StateResolved, "", 1)
	s.expect(s.ended(second), lifeline.StateResolved, "", 1)
}

// Several incidents about one target are worked one after the other, however many
// places there are.
func TestOneRemediationPerTarget(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	var atWork, most, tries atomic.Int32
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		defer atWork.Add(-1)
		now := atWork.Add(1)
		tries.Add(1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		return lifeline.Report{Responder: "runbook:test", Claim: lifeline.ClaimNotFixed, Summary: "looked"}, steps.Run(ctx, w.step(c, "d0", "uptime"))[0].Err
	}})
	const incidents = 6
	alerts := make([]lifeline.Alert, incidents)
	for i := range alerts {
		alerts[i] = lifeline.Alert{Source: "alertmanager", Status: lifeline.AlertFiring, Name: fmt.Sprint("Fault", i), Fingerprint: fmt.Sprint("f", i),
			Labels: map[string]string{"host": "nexus", "container": "web"}}
	}
	receipts, err := s.triage.Receive(t.Context(), alerts)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range receipts {
		s.expect(s.ended(r.IncidentID), lifeline.StateEscalated, "no safe step is left", 0)
	}
	if most.Load() != 1 || tries.Load() != incidents {
		t.Errorf("%d at the same time in %d attempts, want 1 in %d", most.Load(), tries.Load(), incidents)
	}
}

// A service that stops in the middle of an incident goes on with it at its next
// start, and no finished step runs twice.
func TestGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	started := make(chan bool, 1)
	w.atStart = func() { started <- true }
	blocked := make(chan bool)
	s := w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		report, err := w.start(ctx, steps, c)
		if err != nil {
			return report, err
		}
		wait := steps.Run(ctx, lifeline.Step{Name: "test.wait", Do: func(ctx context.Context) (json.RawMessage, error) {
			close(blocked)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}})[0]
		return report, wait.Err
	}})
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	<-started
	<-blocked
	s.stop()
	if inc, err := w.store.Incident(t.Context(), id); err != nil || inc.State != lifeline.StateActing {
		t.Fatalf("after the stop the incident is %s: %v", inc.State, err)
	}
	w.atStart = nil
	s = w.serve(t, responder{try: func(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
		report, err := w.start(ctx, steps, c)
		if err != nil {
			return report, err
		}
		wait := steps.Run(ctx, lifeline.Step{Name: "test.wait", Do: func(context.Context) (json.RawMessage, error) { return json.RawMessage("1"), nil }})[0]
		return report, wait.Err
	}})
	s.until(id, lifeline.StateVerifying)
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.expect(s.ended(id), lifeline.StateResolved, "", 1)
	if w.containers["web"].starts != 1 || len(w.ran) != 3 {
		t.Errorf("started %d times, ran %v", w.containers["web"].starts, w.ran)
	}
}

// Nothing is enqueued that is not committed.
func TestEnqueuedWithTheAlert(t *testing.T) {
	t.Parallel()
	w := newSite(t, "web")
	s := w.serve(t, responder{site: w})
	var opened lifeline.Incident
	_, err := w.store.ReceiveAlerts(t.Context(), []lifeline.TriagedAlert{{
		Alert: lifeline.Alert{Status: lifeline.AlertFiring, Name: "ContainerDown", Fingerprint: "f"}, Key: "k",
		Target: lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"},
	}}, func(ctx context.Context, tx *sql.Tx, inc lifeline.Incident) error {
		opened = inc
		return errors.Join(s.svc.Enqueue(ctx, tx, inc), errors.New("the disk is full"))
	}, s.svc.AlertResolved)
	if err == nil {
		t.Fatal("stored in spite of the error")
	}
	if inc, err := w.store.Incident(t.Context(), opened.ID); lifeline.CodeOf(err) != lifeline.CodeNotFound {
		t.Errorf("%+v, %v", inc, err)
	}
	// The next incident is worked; had the first been enqueued, its target would
	// have kept the queue's only place for it.
	id := s.alert(lifeline.AlertFiring, "nexus", "web")
	s.until(id, lifeline.StateVerifying)
	s.alert(lifeline.AlertResolved, "nexus", "web")
	s.ended(id)
	if len(w.ran) != 3 {
		t.Errorf("ran %v", w.ran)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	w := newSite(t)
	for _, field := range []string{"DB", "Store", "Door", "Responders"} {
		db, err := w.store.OpenDB()
		if err != nil {
			t.Fatal(err)
		}
		cfg := respond.Config{DB: db, Store: w.store, Door: w,
			Responders: &responders{}}
		switch field {
		case "DB":
			cfg.DB = nil
			db.Close()
		case "Store":
			cfg.Store = nil
		case "Door":
			cfg.Door = nil
		case "Responders":
			cfg.Responders = nil
		}
		if _, err := respond.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("without %s: %v", field, err)
		}
		if err := db.PingContext(t.Context()); err == nil {
			t.Errorf("without %s: the handle was left open", field)
		}
	}
}
