package app

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"modernc.org/sqlite"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/guard"
	"lifeline/internal/respond"
	"lifeline/internal/store"
	"lifeline/internal/triage"
	"lifeline/sshpool"
)

// childVariable, in the environment, makes the test binary the service itself,
// with everything real inside, that ends as its plan says. Its value is a plan.
const childVariable = "LIFELINE_CRASH_CHILD"

// plan says where the service ends itself with SIGKILL, or what fails in it.
type plan struct {
	Config string `json:"config"`
	// Point and Nth: at the Nth time that it comes to the point; Nth 0: never.
	Point string `json:"point,omitempty"`
	Nth   int    `json:"nth,omitempty"`
	// Commit: right before the database would commit so many transactions, those
	// of the workflow engine too; 0: never.
	Commit int `json:"commit,omitempty"`
	// Fail and FailFor: from the commit Fail on, so many commits fail.
	Fail    int `json:"fail,omitempty"`
	FailFor int `json:"fail_for,omitempty"`
	// FromBoot counts commits from the opening of the database; otherwise they
	// are counted from when the service listens.
	FromBoot bool `json:"from_boot,omitempty"`
	// Migrate: it opens the database and ends.
	Migrate bool `json:"migrate,omitempty"`
}

func TestMain(m *testing.M) {
	if raw := os.Getenv(childVariable); raw != "" {
		os.Exit(child(raw))
	}
	os.Exit(m.Run())
}

// child is the service. It stops, in order, at the end of its standard input,
// so that it does not outlive the test.
func child(raw string) int {
	t := &trap{ids: map[string]string{}}
	if err := json.Unmarshal([]byte(raw), &t.plan); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	t.counting = t.plan.FromBoot
	sqlite.RegisterConnectionHook(func(c sqlite.ExecQuerierContext, _ string) error {
		c.(sqlite.HookRegisterer).RegisterCommitHook(t.commit)
		return nil
	})
	if err := t.serve(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (t *trap) serve(ctx context.Context) error {
	cfg, err := config.Load(t.plan.Config)
	if err != nil {
		return err
	}
	if t.plan.Migrate {
		s, err := store.Open(ctx, cfg.Store.URL, store.Options{})
		if err != nil {
			return err
		}
		return s.Close()
	}
	if t.plan.Commit > 0 && isPostgres(cfg.Store.URL) {
		if cfg.Store.URL, err = t.onTheWay(cfg.Store.URL); err != nil {
			return err
		}
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	a, err := New(ctx, cfg, Options{Logger: log, seams: seams{door: t.door, respond: t.respond, alerts: t.alerts}})
	if err != nil {
		return err
	}
	if err := a.Start(ctx); err != nil {
		return err
	}
	t.count(true)
	fmt.Println("listening", a.Address())
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		if orders.Text() == "mend" {
			t.count(false)
			fmt.Println("mended")
		}
	}
	stopping, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return a.Stop(stopping)
}

// trap stands between the parts and ends the process as planned.
type trap struct {
	plan plan

	mu       sync.Mutex // guards what follows
	times    int        // it came to the point
	counting bool       // commits
	commits  int
	// ids are the request IDs of changes by their host and text, from their
	// intents: they travel with the command, so that the host's journal knows
	// them.
	ids map[string]string
}

// die is the end that nobody can prepare for.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// at is called when the process comes to a point.
func (t *trap) at(point string) {
	if point != t.plan.Point {
		return
	}
	t.mu.Lock()
	t.times++
	hit := t.times == t.plan.Nth
	t.mu.Unlock()
	if hit {
		die()
	}
}

func (t *trap) count(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counting = on
}

// commit is asked before each commit. SQLite makes it a rollback by an answer
// other than 0.
func (t *trap) commit() int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.counting {
		return 0
	}
	t.commits++
	if t.commits == t.plan.Commit {
		die()
	}
	if from := t.plan.Fail; from > 0 && t.commits >= from && t.commits < from+t.plan.FailFor {
		return 1
	}
	return 0
}

func (t *trap) door(c guard.Config) guard.Config {
	c.Record = trappedStore{c.Record.(*store.Store), t}
	c.Pool = trappedPool{c.Pool, t}
	return c
}

func (t *trap) respond(c respond.Config) respond.Config {
	s := trappedStore{c.Store.(*store.Store), t}
	c.Store, c.Approvals = s, s
	c.Responders = trappedResponders{c.Responders, t}
	c.VerifyEvery = 20 * time.Millisecond
	return c
}

func (t *trap) alerts(to triage.Store) triage.Store { return trappedStore{to.(*store.Store), t} }

// trappedStore is the store with points around each call. Those of changes are
// named apart from those of reads.
type trappedStore struct {
	*store.Store
	trap *trap
}

// around is a call between its two points.
func (s trappedStore) around(name string, call func() error) error {
	s.trap.at(name + ".before")
	err := call()
	s.trap.at(name + ".after")
	return err
}

func (s trappedStore) ReceiveAlerts(ctx context.Context, alerts []lifeline.TriagedAlert,
	opened, resolved func(context.Context, *sql.Tx, lifeline.Incident) error,
) (out []lifeline.Receipt, err error) {
	err = s.around("receive", func() error {
		out, err = s.Store.ReceiveAlerts(ctx, alerts, func(ctx context.Context, tx *sql.Tx, inc lifeline.Incident) error {
			s.trap.at("inserted")
			return opened(ctx, tx, inc)
		}, resolved)
		return err
	})
	return out, err
}

func (s trappedStore) Incident(ctx context.Context, id string) (out lifeline.Incident, err error) {
	err = s.around("incident", func() error { out, err = s.Store.Incident(ctx, id); return err })
	return out, err
}

func (s trappedStore) LatestAlert(ctx context.Context, id string) (out lifeline.Alert, err error) {
	err = s.around("alert", func() error { out, err = s.Store.LatestAlert(ctx, id); return err })
	return out, err
}

func (s trappedStore) MoveIncident(ctx context.Context, id string, to lifeline.State, actor, reason string) (out lifeline.Incident, err error) {
	err = s.around("move "+string(to), func() error { out, err = s.Store.MoveIncident(ctx, id, to, actor, reason); return err })
	return out, err
}

func (s trappedStore) AppendEvent(ctx context.Context, e lifeline.Event) error {
	return s.around("event "+string(e.Kind), func() error { return s.Store.AppendEvent(ctx, e) })
}

func (s trappedStore) AppendEventOnce(ctx context.Context, key string, e lifeline.Event) error {
	return s.around("event "+string(e.Kind), func() error { return s.Store.AppendEventOnce(ctx, key, e) })
}

func (s trappedStore) RecordIntent(ctx context.Context, cmd lifeline.Command, limits lifeline.Limits) (prior *lifeline.Command, err error) {
	name := "read intent"
	if cmd.Class != "read" {
		name = "intent"
		s.trap.mu.Lock()
		s.trap.ids[cmd.Host+" "+cmd.Canonical] = cmd.ID
		s.trap.mu.Unlock()
	}
	err = s.around(name, func() error { prior, err = s.Store.RecordIntent(ctx, cmd, limits); return err })
	return prior, err
}

func (s trappedStore) RecordResult(ctx context.Context, cmd lifeline.Command) error {
	name := "result"
	if cmd.Class == "read" {
		name = "read result"
	}
	return s.around(name, func() error { return s.Store.RecordResult(ctx, cmd) })
}

func (s trappedStore) RequestApproval(ctx context.Context, cmd lifeline.Command, valid time.Duration, limits lifeline.Limits) (out lifeline.Command, err error) {
	err = s.around("ask", func() error { out, err = s.Store.RequestApproval(ctx, cmd, valid, limits); return err })
	return out, err
}

func (s trappedStore) Approvals(ctx context.Context, id string) (out []lifeline.Approval, err error) {
	err = s.around("approvals", func() error { out, err = s.Store.Approvals(ctx, id); return err })
	return out, err
}

// trappedPool is the pool with points around what it does for a change. The
// change carries the ID of its request to the host.
type trappedPool struct {
	guard.Pool
	trap *trap
}

// journalVariable is the request's ID in the environment of a change.
const journalVariable = "LIFELINE_TEST_REQUEST"

func (p trappedPool) Run(ctx context.Context, host string, cmd sshpool.Command) (*sshpool.Result, error) {
	p.trap.mu.Lock()
	id, change := p.trap.ids[host+" "+cmd.Script]
	p.trap.mu.Unlock()
	if !change {
		p.trap.at("read run")
		return p.Pool.Run(ctx, host, cmd)
	}
	cmd.Env = maps.Clone(cmd.Env)
	cmd.Env[journalVariable] = id
	allowed := cmd.BeforeStart
	cmd.BeforeStart = func() error {
		p.trap.at("send")
		return allowed()
	}
	cmd.OnOutput = func(sshpool.Stream, []byte) { p.trap.at("output") }
	p.trap.at("dial")
	result, err := p.Pool.Run(ctx, host, cmd)
	p.trap.at("exit")
	return result, err
}

// trappedResponders has points around the choice and around each attempt.
type trappedResponders struct {
	respond.Responders
	trap *trap
}

func (r trappedResponders) Choose(alert lifeline.Alert, target lifeline.Target, attempt int) lifeline.Choice {
	r.trap.at("choose.before")
	defer r.trap.at("choose.after")
	return r.Responders.Choose(alert, target, attempt)
}

func (r trappedResponders) Responder(name string) (respond.Responder, bool) {
	found, ok := r.Responders.Responder(name)
	return trappedResponder{found, r.trap}, ok
}

type trappedResponder struct {
	respond.Responder
	trap *trap
}

func (r trappedResponder) Work(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
	r.trap.at("work.before")
	report, err := r.Responder.Work(ctx, steps, c)
	r.trap.at("work.after")
	return report, err
}
