package guard_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/guard"
	"lifeline/internal/store"
	"lifeline/shellpolicy"
	"lifeline/sshpool"
)

func asking(c *guard.Config) {
	c.ApprovalTimeout = time.Hour
	c.Identities = map[string]string{"nexus": "lifeline@192.0.2.1:22"}
}

// wants is a change of an incident that the policy asks a person about.
func wants(inc lifeline.Incident) lifeline.CommandRequest {
	return lifeline.CommandRequest{ID: inc.ID + ".a1.f0", IncidentID: inc.ID, Host: "nexus", Command: "docker   restart web", Actor: "runbook:r"}
}

// approved lets a person say yes under the configuration of g.
func approved(t *testing.T, s *store.Store, id string) lifeline.Approval {
	t.Helper()
	a, err := s.Approval(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	a, err = s.DecideApproval(t.Context(), id, store.Decision{Approve: true, By: "person:ann", Digest: a.Digest})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// under is the request of an approval as it is run.
func under(a lifeline.Approval) lifeline.CommandRequest {
	req := a.Request
	req.ID, req.ApprovalID = a.ID, a.ID
	return req
}

func TestApproval(t *testing.T) {
	s, pool := openStore(t), &journal{}
	inc := opened(t, s)
	g := newGuard(t, s, pool, shellpolicy.Suggest, asking)
	for range 2 { // a step that runs again gets the same answer
		cmd := run(t, g, wants(inc))
		if !cmd.Waits() || cmd.Rule != lifeline.RuleApproval || cmd.ApprovalID == "" || cmd.Decision != "ask" || !strings.Contains(cmd.Hint, cmd.ApprovalID) {
			t.Fatalf("%+v", cmd)
		}
	}
	all, err := s.Approvals(t.Context(), inc.ID)
	if err != nil || len(all) != 1 || all[0].Canonical != "docker restart web" || len(pool.ran) != 0 {
		t.Fatalf("asked %+v, %v; ran %v", all, err, pool.scripts())
	}
	if cmd := run(t, g, under(all[0])); cmd.Outcome != lifeline.OutcomeRefused || cmd.Waits() || len(pool.ran) != 0 {
		t.Fatalf("nobody has approved it: %+v", cmd)
	}
	req := under(approved(t, s, all[0].ID))
	req.ID = "run" // the refusal above is on record under the other
	for range 2 {
		if cmd := run(t, g, req); !cmd.Succeeded() || len(pool.ran) != 1 || pool.ran[0].Script != "docker restart web" {
			t.Fatalf("approved: %+v; ran %v", cmd, pool.scripts())
		}
	}
	req.ID = "twice"
	if cmd := run(t, g, req); cmd.Outcome != lifeline.OutcomeRefused || !strings.Contains(cmd.Reason, "is used") || len(pool.ran) != 1 {
		t.Errorf("a second time: %+v", cmd)
	}
}

// What is approved is what runs: any other command, host, account, incident or
// policy is refused under the same approval, and so is a command that the
// policy denies by then.
func TestWhatIsApprovedIsWhatRuns(t *testing.T) {
	rule := shellpolicy.Rule{Program: "docker", Args: []string{"restart", "web"}, Decision: shellpolicy.Deny}
	for name, tt := range map[string]struct {
		request func(*lifeline.CommandRequest)
		config  func(*guard.Config)
		runs    bool
	}{
		"the same": {runs: true},
		"the same in other words": {request: func(r *lifeline.CommandRequest) {
			r.Command = "docker restart" + strings.Repeat(" ", 400) + `"web"`
		}, runs: true},
		"another command":     {request: func(r *lifeline.CommandRequest) { r.Command = "docker restart db" }},
		"more than it":        {request: func(r *lifeline.CommandRequest) { r.Command = "docker restart web && docker restart db" }},
		"a letter like it":    {request: func(r *lifeline.CommandRequest) { r.Command = "docker restart wеb" }},
		"bidi":                {request: func(r *lifeline.CommandRequest) { r.Command = "docker restart \u202ebew" }},
		"another host":        {request: func(r *lifeline.CommandRequest) { r.Host = "outpost" }},
		"no incident":         {request: func(r *lifeline.CommandRequest) { r.IncidentID = "" }},
		"another incident":    {request: func(r *lifeline.CommandRequest) { r.IncidentID = "inc_other" }},
		"another account":     {config: func(c *guard.Config) { c.Identities["nexus"] = "root@192.0.2.1:22" }},
		"another machine":     {config: func(c *guard.Config) { c.Identities["nexus"] = "lifeline@192.0.2.2:22" }},
		"another mode":        {config: func(c *guard.Config) { c.Policies["nexus"] = shellpolicy.Policy{Mode: shellpolicy.Auto} }},
		"a mode that forbids": {config: func(c *guard.Config) { c.Policies["nexus"] = shellpolicy.Policy{Mode: shellpolicy.Observe} }},
		"a rule that forbids": {config: func(c *guard.Config) {
			c.Policies["nexus"] = shellpolicy.Policy{Mode: shellpolicy.Suggest, Rules: []shellpolicy.Rule{rule}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s, pool := openStore(t), &journal{}
			inc := opened(t, s)
			g := newGuard(t, s, pool, shellpolicy.Suggest, asking)
			req := under(approved(t, s, run(t, g, wants(inc)).ApprovalID))
			if tt.request != nil {
				tt.request(&req)
			}
			if tt.config != nil {
				g = newGuard(t, s, pool, shellpolicy.Suggest, asking, tt.config)
			}
			cmd := run(t, g, req)
			if ran := len(pool.ran) == 1; ran != tt.runs {
				t.Errorf("ran %v, want %v: %+v", pool.scripts(), tt.runs, cmd)
			}
			if !tt.runs && (cmd.Outcome != lifeline.OutcomeRefused || cmd.Reason == "") {
				t.Errorf("%+v", cmd)
			}
		})
	}
}

func TestWhoIsAsked(t *testing.T) {
	yes := func(context.Context, lifeline.Command) (bool, error) { return true, nil }
	for name, tt := range map[string]struct {
		request func(*lifeline.CommandRequest)
		config  func(*guard.Config)
		waits   bool
		says    string
	}{
		"a change of an incident":            {waits: true, says: "a person is asked"},
		"without approvals":                  {config: func(c *guard.Config) { c.ApprovalTimeout = 0 }, says: "a person has to decide"},
		"the person at the terminal":         {config: func(c *guard.Config) { c.Confirm = yes }},
		"nobody's change":                    {request: func(r *lifeline.CommandRequest) { r.IncidentID = "" }, says: "a person has to decide"},
		"what is denied":                     {request: func(r *lifeline.CommandRequest) { r.Command = "rm -rf /data" }, says: "rm"},
		"a request that is for another host": {request: func(r *lifeline.CommandRequest) { r.Host = "elsewhere" }, says: "not configured"},
	} {
		t.Run(name, func(t *testing.T) {
			s, pool := openStore(t), &journal{}
			req := wants(opened(t, s))
			if tt.request != nil {
				tt.request(&req)
			}
			g := newGuard(t, s, pool, shellpolicy.Suggest, asking, func(c *guard.Config) {
				if tt.config != nil {
					tt.config(c)
				}
			})
			cmd := run(t, g, req)
			if cmd.Waits() != tt.waits || !strings.Contains(cmd.Reason, tt.says) || (len(pool.ran) == 1) != (tt.says == "") {
				t.Errorf("ran %v: %+v", pool.scripts(), cmd)
			}
			if all, err := s.Approvals(t.Context(), ""); err != nil || (len(all) == 1) != tt.waits {
				t.Errorf("asked %+v, %v", all, err)
			}
		})
	}
}

// The same ID for another command finds no approval of it.
func TestARequestForAnotherCommand(t *testing.T) {
	s, pool := openStore(t), &journal{}
	req := wants(opened(t, s))
	g := newGuard(t, s, pool, shellpolicy.Suggest, asking)
	run(t, g, req)
	req.Command = "docker restart db"
	if cmd := run(t, g, req); cmd.Waits() || cmd.Outcome != lifeline.OutcomeRefused || !strings.Contains(cmd.Reason, "another command") {
		t.Errorf("%+v", cmd)
	}
}

// Stop means stop: changes of everybody, reads of nobody.
func TestPause(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(dir, "lifeline.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	pool := &journal{}
	inc := opened(t, s)
	g := newGuard(t, s, pool, shellpolicy.Auto)
	file := filepath.Join(dir, store.PauseFile)
	for name, tt := range map[string]struct {
		on, off func() error
		says    string
	}{
		"by command": {
			func() error { _, err := s.Pause(t.Context(), "person:ann", "lunch", false); return err },
			func() error { _, err := s.Resume(t.Context(), "person:ann", ""); return err }, "by person:ann: no change is made: lunch"},
		"by file": {
			func() error { return os.WriteFile(file, nil, 0o600) }, func() error { return os.Remove(file) }, "paused by the file " + file},
		"by a link to nowhere": {
			func() error { return os.Symlink("/nowhere", file) }, func() error { return os.Remove(file) }, "paused by the file " + file},
	} {
		if err := tt.on(); err != nil {
			t.Fatal(err)
		}
		for _, incident := range []string{inc.ID, ""} {
			cmd := run(t, g, lifeline.CommandRequest{IncidentID: incident, Host: "nexus", Command: "docker restart web", Actor: "person:bob"})
			if cmd.Outcome != lifeline.OutcomeRefused || cmd.Rule != lifeline.RulePaused || !strings.Contains(cmd.Reason, tt.says) || cmd.Hint == "" {
				t.Errorf("%s: %+v", name, cmd)
			}
		}
		before := len(pool.ran)
		if cmd := run(t, g, lifeline.CommandRequest{IncidentID: inc.ID, Host: "nexus", Command: "docker ps", Actor: "model:m"}); !cmd.Succeeded() || before+1 != len(pool.ran) {
			t.Errorf("%s: a read: %+v", name, cmd)
		}
		if err := tt.off(); err != nil {
			t.Fatal(err)
		}
		if cmd := run(t, g, lifeline.CommandRequest{Host: "nexus", Command: "docker restart web", Actor: "person:bob"}); !cmd.Succeeded() {
			t.Errorf("%s: afterwards: %+v", name, cmd)
		}
	}
}

// A change under way goes on, unless the switch says that it ends too.
func TestPauseWhileAChangeRuns(t *testing.T) {
	s := openStore(t)
	started := make(chan struct{})
	pool := &journal{run: func(ctx context.Context, host string, _ sshpool.Command) (*sshpool.Result, error) {
		started <- struct{}{}
		<-ctx.Done()
		return &sshpool.Result{Host: host, Outcome: sshpool.Unknown}, &sshpool.Error{Kind: sshpool.KindCanceled, Host: host, Message: context.Cause(ctx).Error()}
	}}
	g := newGuard(t, s, pool, shellpolicy.Auto)
	ended := make(chan lifeline.Command, 1)
	go func() {
		cmd, err := g.Run(t.Context(), lifeline.CommandRequest{Host: "nexus", Command: "docker restart web", Actor: "person:ann"})
		if err != nil {
			t.Error(err)
		}
		ended <- cmd
	}()
	<-started
	if _, err := s.Pause(t.Context(), "person:bob", "", false); err != nil {
		t.Fatal(err)
	}
	if cmd := run(t, g, lifeline.CommandRequest{Host: "nexus", Command: "docker restart db", Actor: "person:ann"}); cmd.Rule != lifeline.RulePaused {
		t.Errorf("a new change: %+v", cmd)
	}
	select {
	case cmd := <-ended:
		t.Fatalf("it was cut off: %+v", cmd)
	default:
	}
	if _, err := s.Pause(t.Context(), "person:bob", "", true); err != nil {
		t.Fatal(err)
	}
	if cmd := <-ended; cmd.Outcome != lifeline.OutcomeUnknown || !strings.Contains(cmd.Error, "pause --now of person:bob") {
		t.Errorf("%+v", cmd)
	}
}

func TestBudgetsOverIncidents(t *testing.T) {
	s, pool := openStore(t), &journal{}
	inc := opened(t, s)
	g := newGuard(t, s, pool, shellpolicy.Auto, func(c *guard.Config) {
		c.MaxChanges, c.MaxChangesPerHostHour, c.MaxChangesPerDay = 9, 1, 2
	})
	change := func(host string) lifeline.Command {
		return run(t, g, lifeline.CommandRequest{IncidentID: inc.ID, Host: host, Command: "docker restart web", Actor: "model:m"})
	}
	for _, tt := range []struct{ host, says string }{
		{"nexus", ""},
		{"nexus", "1 of 1 changes were made on nexus within an hour (respond.max_changes_per_host_hour): wait, or make the change yourself"},
		{"outpost", ""},
		{"outpost", "on outpost within an hour"},
	} {
		cmd := change(tt.host)
		if cmd.Succeeded() != (tt.says == "") || tt.says != "" && (cmd.Rule != lifeline.RuleBudget || !strings.Contains(cmd.Reason, tt.says)) {
			t.Errorf("%s: %+v", tt.host, cmd)
		}
	}
}

// fail makes every write of the record fail once n of them were made. Writes
// that were rolled back were not made.
func fail(t *testing.T, s *store.Store, n int) {
	t.Helper()
	statements := []string{`CREATE TABLE fault (left INTEGER)`, fmt.Sprintf(`INSERT INTO fault VALUES (%d)`, n)}
	for _, table := range []string{"alerts", "approvals", "chain_head", "commands", "events", "incidents"} {
		for _, op := range []string{"INSERT", "UPDATE"} {
			statements = append(statements, fmt.Sprintf(`CREATE TRIGGER fault_%s_%s BEFORE %s ON %s BEGIN
				UPDATE fault SET left = left - 1;
				SELECT RAISE(ABORT, 'the disk is on fire') FROM fault WHERE left <= 0;
			END`, table, op, op, table))
		}
	}
	for _, statement := range statements {
		if _, err := s.DB().ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// Whichever write fails, nothing runs whose intent, and whose approval where it
// needs one, is not on disk; and what is on disk is sound.
func TestNoExecWithoutItsIntent(t *testing.T) {
	for name, mode := range map[string]shellpolicy.Mode{"allowed": shellpolicy.Auto, "approved": shellpolicy.Suggest} {
		t.Run(name, func(t *testing.T) {
			ran, failed := 0, 0
			for n := 1; ; n++ {
				if n > 100 {
					t.Fatal("it never goes well")
				}
				s := openStore(t)
				inc := opened(t, s)
				pool := &journal{run: func(ctx context.Context, host string, _ sshpool.Command) (*sshpool.Result, error) {
					ran++
					kept, err := s.Commands(ctx, inc.ID)
					if err != nil || len(kept) == 0 {
						t.Fatalf("write %d failed, and it ran without a record: %v", n, err)
					}
					if last := kept[len(kept)-1]; last.IntentAt.IsZero() || last.Class != "change" {
						t.Errorf("write %d failed, and it ran without an intent: %+v", n, last)
					}
					if all, err := s.Approvals(ctx, inc.ID); err != nil || mode == shellpolicy.Suggest && all[0].State != lifeline.ApprovalUsed {
						t.Errorf("write %d failed, and it ran under %+v, %v", n, all, err)
					}
					return &sshpool.Result{Host: host, Outcome: sshpool.Exited}, nil
				}}
				g := newGuard(t, s, pool, mode, asking, func(c *guard.Config) { c.RecordWithin = 1 })
				fail(t, s, n)
				cmd, err := wholeWay(t, s, g, inc)
				switch lifeline.CodeOf(err) {
				case lifeline.CodeStore:
					failed++
				default:
					if err != nil || !cmd.Succeeded() {
						t.Fatalf("write %d: %+v, %v", n, cmd, err)
					}
				}
				if audit, auditErr := s.VerifyAudit(t.Context(), store.AuditCheck{}); auditErr != nil || audit.Bad != nil {
					t.Errorf("write %d: the record: %+v, %v", n, audit.Bad, auditErr)
				}
				if err == nil {
					break
				}
			}
			if ran < 2 || failed < 8 { // the result's writes fail too, after it ran
				t.Errorf("it ran %d times, and %d writes failed: the faults are in the wrong place", ran, failed)
			}
		})
	}
}

// wholeWay asks for a change and, where a person is asked, approves it and runs it.
func wholeWay(t *testing.T, s *store.Store, g *guard.Guard, inc lifeline.Incident) (lifeline.Command, error) {
	t.Helper()
	cmd, err := g.Run(t.Context(), wants(inc))
	if err != nil || !cmd.Waits() {
		return cmd, err
	}
	a, err := s.Approval(t.Context(), cmd.ApprovalID)
	if err != nil {
		return cmd, err
	}
	if a, err = s.DecideApproval(t.Context(), a.ID, store.Decision{Approve: true, By: "person:ann", Digest: a.Digest}); err != nil {
		return cmd, err
	}
	return g.Run(t.Context(), under(a))
}

// Whoever else has the write lock, for as long as they have it: nothing runs.
func TestBusyRecord(t *testing.T) {
	s, pool := openStore(t), &journal{}
	inc := opened(t, s)
	g := newGuard(t, s, pool, shellpolicy.Auto)
	lock, err := s.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if cmd, err := g.Run(ctx, wants(inc)); lifeline.CodeOf(err) != lifeline.CodeStore || len(pool.ran) != 0 {
		t.Errorf("%+v, %v; ran %v", cmd, err, pool.scripts())
	}
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	if cmd := run(t, g, wants(inc)); !cmd.Succeeded() {
		t.Errorf("afterwards: %+v", cmd)
	}
}

func TestDigest(t *testing.T) {
	base := []string{"nexus", "ann@nexus", "docker start web", "inc_1", "v1"}
	of := func(p []string) string { return guard.Digest(p[0], p[1], p[2], p[3], p[4]) }
	seen := map[string]string{of(base): "base"}
	for i := range base {
		other := append([]string{}, base...)
		other[i] += "x"
		if was := seen[of(other)]; was != "" {
			t.Errorf("a change of part %d is like %s", i, was)
		}
		seen[of(other)] = fmt.Sprint(i)
	}
	if of([]string{"a", "b", "c", "d", "e"}) == of([]string{"ab", "", "c", "d", "e"}) {
		t.Error("the parts run together")
	}
	versions := map[string]bool{}
	for _, p := range []shellpolicy.Policy{
		{}, {Mode: shellpolicy.Auto}, {Rules: []shellpolicy.Rule{{Program: "docker"}}}, {Rules: []shellpolicy.Rule{{Program: "docker", Reason: "x"}}},
		{Protected: shellpolicy.Protected{Units: []string{"a"}}}, {Protected: shellpolicy.Protected{Containers: []string{"a"}}},
	} {
		versions[guard.PolicyVersion(p)] = true
	}
	if len(versions) != 6 || !versions[guard.PolicyVersion(shellpolicy.Policy{})] {
		t.Errorf("%d versions of 6 policies: %v", len(versions), versions)
	}
}

// A change whose intent was on record before the pause and that still waits for
// a connection or a slot is called off; a read is not asked about.
func TestPauseBeforeAChangeStarts(t *testing.T) {
	for _, tt := range []struct {
		command string
		runs    bool
	}{{"docker restart web", false}, {"docker ps", true}} {
		s := openStore(t)
		pool := &journal{run: func(ctx context.Context, host string, cmd sshpool.Command) (*sshpool.Result, error) {
			// What the pool does while it waits, and then.
			if _, err := s.Pause(ctx, "person:bob", "", false); err != nil {
				t.Error(err)
			}
			if cmd.BeforeStart != nil {
				if err := cmd.BeforeStart(); err != nil {
					return &sshpool.Result{Host: host, Outcome: sshpool.NotStarted}, &sshpool.Error{Kind: sshpool.KindCanceled, Host: host, Message: "called off", Err: err}
				}
			}
			return &sshpool.Result{Host: host, Outcome: sshpool.Exited}, nil
		}}
		cmd := run(t, newGuard(t, s, pool, shellpolicy.Auto), lifeline.CommandRequest{Host: "nexus", Command: tt.command, Actor: "person:ann"})
		if cmd.Succeeded() != tt.runs {
			t.Errorf("%s: %+v", tt.command, cmd)
		}
		if !tt.runs && (cmd.Outcome != lifeline.OutcomeNotStarted || !strings.Contains(cmd.Error, "paused meanwhile by person:bob") || cmd.Changed()) {
			t.Errorf("%s: %+v", tt.command, cmd)
		}
	}
}
