package guard_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/guard"
	"lifeline/internal/store"
	"lifeline/shellpolicy"
	"lifeline/sshpool"
)

// journal is a pool whose hosts write down what really ran.
type journal struct {
	mu  sync.Mutex
	ran []sshpool.Command
	// run answers; nil: exit status 0 and "done\n".
	run func(ctx context.Context, host string, cmd sshpool.Command) (*sshpool.Result, error)
}

func (j *journal) Run(ctx context.Context, host string, cmd sshpool.Command) (*sshpool.Result, error) {
	j.mu.Lock()
	j.ran = append(j.ran, cmd)
	j.mu.Unlock()
	if j.run != nil {
		return j.run(ctx, host, cmd)
	}
	return &sshpool.Result{Host: host, Outcome: sshpool.Exited, Stdout: sshpool.Output{Head: []byte("done\n")}}, nil
}

func (j *journal) scripts() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	scripts := []string{}
	for _, c := range j.ran {
		scripts = append(scripts, c.Script)
	}
	return scripts
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "lifeline.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newGuard(t *testing.T, record guard.Record, pool guard.Pool, mode shellpolicy.Mode, change ...func(*guard.Config)) *guard.Guard {
	t.Helper()
	cfg := guard.Config{
		Policies: map[string]shellpolicy.Policy{"nexus": {Mode: mode}, "outpost": {Mode: mode}},
		Pool:     pool, Record: record,
	}
	for _, c := range change {
		c(&cfg)
	}
	g, err := guard.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// opened gives an incident that is being investigated.
func opened(t *testing.T, s *store.Store) lifeline.Incident {
	t.Helper()
	nothing := func(context.Context, *sql.Tx, lifeline.Incident) error { return nil }
	receipts, err := s.ReceiveAlerts(t.Context(), []lifeline.TriagedAlert{{
		Alert: lifeline.Alert{Source: "alertmanager", Status: lifeline.AlertFiring, Name: "ContainerDown", Fingerprint: "f1"},
		Key:   "ContainerDown|nexus|container|web", Target: lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"},
	}}, nothing, nothing)
	if err != nil {
		t.Fatal(err)
	}
	inc, err := s.MoveIncident(t.Context(), receipts[0].IncidentID, lifeline.StateInvestigating, "test", "attempt 1")
	if err != nil {
		t.Fatal(err)
	}
	return inc
}

func run(t *testing.T, g *guard.Guard, req lifeline.CommandRequest) lifeline.Command {
	t.Helper()
	cmd, err := g.Run(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestWhatRunsIsWhatWasJudged(t *testing.T) {
	s, pool := openStore(t), &journal{}
	g := newGuard(t, s, pool, shellpolicy.Observe)
	cmd := run(t, g, lifeline.CommandRequest{Host: "nexus", Command: `docker   ps --filter "name=web"  2>&1`, Actor: "person:ann", Timeout: 7 * time.Second})
	if !cmd.Succeeded() || string(cmd.Stdout) != "done\n" || cmd.Class != "read" || cmd.Decision != "allow" {
		t.Errorf("the command: %+v", cmd)
	}
	if len(pool.ran) != 1 {
		t.Fatalf("%d commands ran, want 1", len(pool.ran))
	}
	got := pool.ran[0]
	if got.Script != cmd.Canonical || got.Script == "" || strings.Contains(got.Script, "docker   ps") {
		t.Errorf("ran %q, canonical %q", got.Script, cmd.Canonical)
	}
	if got.Shell != "/bin/sh" || got.RunTimeout != 7*time.Second {
		t.Errorf("shell %q, timeout %s", got.Shell, got.RunTimeout)
	}
	want := map[string]string{"LC_ALL": "C.UTF-8", "PAGER": "cat", "SYSTEMD_PAGER": "cat", "TERM": "dumb"}
	if diff := cmp.Diff(want, got.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	kept, err := s.Commands(t.Context(), "")
	if err != nil || len(kept) != 1 {
		t.Fatalf("on record: %v, %v", kept, err)
	}
	if kept[0].IntentAt.IsZero() || kept[0].FinishedAt.IsZero() || kept[0].Actor != "person:ann" || kept[0].Outcome != lifeline.OutcomeExited {
		t.Errorf("on record: %+v", kept[0])
	}
}

func TestRefusals(t *testing.T) {
	yes := func(context.Context, lifeline.Command) (bool, error) { return true, nil }
	no := func(context.Context, lifeline.Command) (bool, error) { return false, nil }
	broken := func(context.Context, lifeline.Command) (bool, error) { return true, errors.New("the terminal is gone") }
	for _, tt := range []struct {
		name, host, command string
		mode                shellpolicy.Mode
		confirm             guard.Confirm
		runs                bool
		reason              string
	}{
		{name: "a host that is not configured", host: "elsewhere", command: "uptime", mode: shellpolicy.Auto, reason: `host "elsewhere" is not configured`},
		{name: "a destructive command", host: "nexus", command: "rm -rf /data", mode: shellpolicy.Auto, confirm: yes, reason: "rm"},
		{name: "a program nobody knows", host: "nexus", command: "frobnicate now", mode: shellpolicy.Auto, confirm: yes, reason: "frobnicate"},
		{name: "no command at all", host: "nexus", command: "", mode: shellpolicy.Auto, confirm: yes, reason: " "},
		{name: "a change where changes are not allowed", host: "nexus", command: "docker restart web", mode: shellpolicy.Observe, confirm: yes, reason: "observe"},
		{name: "a change that needs a person, without one", host: "nexus", command: "docker restart web", mode: shellpolicy.Suggest, reason: "a person has to decide"},
		{name: "a change that a person denies", host: "nexus", command: "docker restart web", mode: shellpolicy.Suggest, confirm: no, reason: "not confirmed"},
		{name: "a person who cannot be asked", host: "nexus", command: "docker restart web", mode: shellpolicy.Suggest, confirm: broken, reason: "not confirmed"},
		{name: "a change that a person confirms", host: "nexus", command: "docker restart web", mode: shellpolicy.Suggest, confirm: yes, runs: true},
		{name: "a change in auto", host: "nexus", command: "docker restart web", mode: shellpolicy.Auto, runs: true},
		{name: "a policy without a mode", host: "nexus", command: "uptime", mode: "", confirm: yes, reason: " "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, pool := openStore(t), &journal{}
			g := newGuard(t, s, pool, tt.mode, func(c *guard.Config) { c.Confirm = tt.confirm })
			cmd := run(t, g, lifeline.CommandRequest{Host: tt.host, Command: tt.command, Actor: "model:m"})
			if ran := len(pool.ran) == 1; ran != tt.runs {
				t.Fatalf("ran %v, want %v: %+v", pool.scripts(), tt.runs, cmd)
			}
			kept, err := s.Commands(t.Context(), "")
			if err != nil || len(kept) != 1 || kept[0].Outcome != cmd.Outcome {
				t.Errorf("on record: %+v, %v", kept, err)
			}
			if tt.runs {
				return
			}
			if cmd.Outcome != lifeline.OutcomeRefused || cmd.Cause != lifeline.CodeRefused || !cmd.IntentAt.IsZero() {
				t.Errorf("outcome %s, cause %s, intent at %s", cmd.Outcome, cmd.Cause, cmd.IntentAt)
			}
			if !strings.Contains(cmd.Reason, strings.TrimSpace(tt.reason)) || cmd.Reason == "" {
				t.Errorf("reason %q does not say %q", cmd.Reason, tt.reason)
			}
		})
	}
}

// The intent is committed before anything runs, and a person sees it there.
func TestIntentBeforeRun(t *testing.T) {
	s := openStore(t)
	inc := opened(t, s)
	pool := &journal{run: func(ctx context.Context, host string, _ sshpool.Command) (*sshpool.Result, error) {
		kept, err := s.Commands(ctx, inc.ID)
		if err != nil || len(kept) != 1 || kept[0].IntentAt.IsZero() || kept[0].Outcome != "" {
			t.Errorf("on record while it runs: %+v, %v", kept, err)
		}
		now, err := s.Incident(ctx, inc.ID)
		if err != nil || now.State != lifeline.StateActing {
			t.Errorf("the incident is %s while a change runs, want acting: %v", now.State, err)
		}
		return &sshpool.Result{Host: host, Outcome: sshpool.Exited}, nil
	}}
	g := newGuard(t, s, pool, shellpolicy.Auto)
	run(t, g, lifeline.CommandRequest{IncidentID: inc.ID, Host: "nexus", Command: "docker start web", Actor: "runbook:r"})
	if len(pool.ran) != 1 {
		t.Errorf("%d commands ran, want 1", len(pool.ran))
	}
}

func TestWithoutARecordNothingRuns(t *testing.T) {
	for _, command := range []string{"docker start web", "uptime", "rm -rf /"} {
		s, pool := openStore(t), &journal{}
		g := newGuard(t, s, pool, shellpolicy.Auto)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := g.Run(t.Context(), lifeline.CommandRequest{Host: "nexus", Command: command, Actor: "person:ann"})
		if lifeline.CodeOf(err) != lifeline.CodeStore {
			t.Errorf("%s: error %v, want one of the record", command, err)
		}
		if len(pool.ran) != 0 {
			t.Errorf("%s ran without a record", command)
		}
	}
}

func TestTheSameRequestRunsOnce(t *testing.T) {
	s, pool := openStore(t), &journal{}
	g := newGuard(t, s, pool, shellpolicy.Auto)
	req := lifeline.CommandRequest{ID: "inc.a1.f0", Host: "nexus", Command: "docker restart web", Actor: "runbook:r"}
	first, second := run(t, g, req), run(t, g, req)
	if len(pool.ran) != 1 {
		t.Fatalf("ran %d times, want once", len(pool.ran))
	}
	if diff := cmp.Diff(first.Stdout, second.Stdout); diff != "" || !second.Succeeded() {
		t.Errorf("the second answer is not the first (%+v):\n%s", second, diff)
	}
	req.Command = "docker restart db"
	if other := run(t, g, req); other.Outcome != lifeline.OutcomeRefused || len(pool.ran) != 1 {
		t.Errorf("another command under the same ID: %+v", other)
	}
	req.Command, req.Host = "docker restart web", "outpost"
	if other := run(t, g, req); other.Outcome != lifeline.OutcomeRefused || len(pool.ran) != 1 {
		t.Errorf("another host under the same ID: %+v", other)
	}
}

// A process that dies between intent and result leaves an intent. The next one
// repeats reads, and never a change.
func TestAfterACrash(t *testing.T) {
	s := openStore(t)
	inc := opened(t, s)
	died := &journal{run: func(context.Context, string, sshpool.Command) (*sshpool.Result, error) { panic("the process dies") }}
	for _, tt := range []struct {
		id, command string
		runs        bool
		outcome     lifeline.Outcome
	}{
		{"r", "docker ps", true, lifeline.OutcomeExited},
		{"c", "docker restart web", false, lifeline.OutcomeUnknown},
	} {
		req := lifeline.CommandRequest{ID: inc.ID + "." + tt.id, IncidentID: inc.ID, Host: "nexus", Command: tt.command, Actor: "runbook:r"}
		func() {
			defer func() { _ = recover() }()
			_, _ = newGuard(t, s, died, shellpolicy.Auto).Run(t.Context(), req)
			t.Error("the process did not die")
		}()
		pool := &journal{}
		g := newGuard(t, s, pool, shellpolicy.Auto)
		for range 2 { // and it stays so
			cmd := run(t, g, req)
			if cmd.Outcome != tt.outcome {
				t.Errorf("%s: outcome %s, want %s", tt.command, cmd.Outcome, tt.outcome)
			}
		}
		if ran := len(pool.ran) == 1; ran != tt.runs {
			t.Errorf("%s: ran %v after the crash, want %v", tt.command, pool.scripts(), tt.runs)
		}
		kept, err := s.Commands(t.Context(), inc.ID)
		if err != nil || kept[len(kept)-1].Outcome != tt.outcome {
			t.Errorf("%s: on record %+v, %v", tt.command, kept, err)
		}
	}
}

func TestChangesAreBudgeted(t *testing.T) {
	s, pool := openStore(t), &journal{}
	inc := opened(t, s)
	g := newGuard(t, s, pool, shellpolicy.Auto, func(c *guard.Config) { c.MaxChanges = 2 })
	ask := func(command string) lifeline.Command {
		return run(t, g, lifeline.CommandRequest{IncidentID: inc.ID, Host: "nexus", Command: command, Actor: "model:m"})
	}
	for range 5 {
		if cmd := ask("docker ps"); !cmd.Succeeded() {
			t.Fatalf("a read: %+v", cmd)
		}
	}
	for range 2 {
		if cmd := ask("docker restart web"); !cmd.Succeeded() {
			t.Fatalf("a change within the budget: %+v", cmd)
		}
	}
	third := ask("docker restart web")
	if third.Outcome != lifeline.OutcomeRefused || third.Rule != "budget" || !strings.Contains(third.Reason, "2 of its 2 changes") {
		t.Errorf("the third change: %+v", third)
	}
	if cmd := ask("docker ps"); !cmd.Succeeded() {
		t.Errorf("a read after the budget: %+v", cmd)
	}
	// A person at the terminal works outside of incidents.
	if cmd := run(t, g, lifeline.CommandRequest{Host: "nexus", Command: "docker restart web", Actor: "person:ann"}); !cmd.Succeeded() {
		t.Errorf("a person's change: %+v", cmd)
	}
}

func TestTheResultIsKeptWhenTheCallerIsGone(t *testing.T) {
	s := openStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	pool := &journal{run: func(context.Context, string, sshpool.Command) (*sshpool.Result, error) {
		cancel()
		return &sshpool.Result{Outcome: sshpool.Unknown}, &sshpool.Error{Kind: sshpool.KindCanceled, Host: "nexus", Message: "canceled"}
	}}
	if _, err := newGuard(t, s, pool, shellpolicy.Auto).Run(ctx, lifeline.CommandRequest{Host: "nexus", Command: "docker restart web", Actor: "person:ann"}); err != nil {
		t.Fatal(err)
	}
	kept, err := s.Commands(t.Context(), "")
	if err != nil || len(kept) != 1 || kept[0].Outcome != lifeline.OutcomeUnknown || kept[0].Cause != lifeline.CodeUnknown || kept[0].FinishedAt.IsZero() {
		t.Errorf("on record: %+v, %v", kept, err)
	}
}

func TestNew(t *testing.T) {
	s := openStore(t)
	for want, cfg := range map[string]guard.Config{
		"Config.Pool":       {Record: s},
		"Config.Record":     {Pool: &journal{}},
		"Config.MaxChanges": {Pool: &journal{}, Record: s, MaxChanges: -1},

		"Config.MaxChangesPerHostHour": {Pool: &journal{}, Record: s, MaxChangesPerHostHour: -1},
		"Config.MaxChangesPerDay":      {Pool: &journal{}, Record: s, MaxChangesPerDay: -1},
		"Config.ApprovalTimeout":       {Pool: &journal{}, Record: s, ApprovalTimeout: -1},
		"Config.AttemptWindow":         {Pool: &journal{}, Record: s, AttemptWindow: -1},
		"Config.ContainAfter":          {Pool: &journal{}, Record: s, ContainAfter: -1},
		"Config.ContainAfterUnknown":   {Pool: &journal{}, Record: s, ContainAfterUnknown: -1},
	} {
		if _, err := guard.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
}

// A change is refused once the alert is gone, and once the changes of its key
// within the window are used up, whoever asks.
func TestChangesOfAnIncident(t *testing.T) {
	resolve := func(t *testing.T, s *store.Store) {
		t.Helper()
		nothing := func(context.Context, *sql.Tx, lifeline.Incident) error { return nil }
		_, err := s.ReceiveAlerts(t.Context(), []lifeline.TriagedAlert{{
			Alert: lifeline.Alert{Source: "alertmanager", Status: lifeline.AlertResolved, Name: "ContainerDown", Fingerprint: "f1"},
			Key:   "ContainerDown|nexus|container|web",
		}}, nothing, nothing)
		if err != nil {
			t.Fatal(err)
		}
	}
	change := func(inc lifeline.Incident, id string) lifeline.CommandRequest {
		return lifeline.CommandRequest{ID: id, IncidentID: inc.ID, Host: "nexus", Command: "docker restart web", Actor: "runbook:r"}
	}
	s, pool := openStore(t), &journal{}
	g := newGuard(t, s, pool, shellpolicy.Auto, func(c *guard.Config) { c.MaxChanges, c.AttemptWindow = 1, time.Hour })
	first := opened(t, s)
	if cmd := run(t, g, change(first, "c1")); !cmd.Succeeded() {
		t.Fatalf("%+v", cmd)
	}
	resolve(t, s)
	if cmd := run(t, g, change(first, "c2")); cmd.Outcome != lifeline.OutcomeRefused || cmd.Rule != lifeline.RuleResolved {
		t.Errorf("after its alert: %+v", cmd)
	}
	for _, state := range []lifeline.State{lifeline.StateVerifying, lifeline.StateResolved} {
		if _, err := s.MoveIncident(t.Context(), first.ID, state, "test", "well"); err != nil {
			t.Fatal(err)
		}
	}
	second := opened(t, s)
	if cmd := run(t, g, change(second, "c3")); cmd.Rule != lifeline.RuleBudget || !strings.Contains(cmd.Reason, "1 of 1 changes were made for the same thing within 1h") {
		t.Errorf("the next incident: %+v", cmd)
	}
	if len(pool.ran) != 1 {
		t.Errorf("ran %v", pool.scripts())
	}
}
