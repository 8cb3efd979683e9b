// Package respond works incidents: one durable workflow for each, from the
// stored alert to resolved, escalated or superseded. workflow.go is the whole
// of it on one screen.
//
//	r, err := respond.New(ctx, respond.Config{DB: db, Store: store, Door: guard, ...})
//	err = r.Start(ctx)   // also takes up what an earlier process left
//	defer r.Stop(ctx)    // drains: running commands end first
//
// Every step of a workflow is kept when it has finished, so a crash repeats
// only what was under way. Reads may run again. A change does not: its intent
// was committed by the guard before it ran, and an intent without a result is
// reported as unknown.
package respond

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	_ "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite" // DBOS's SQLite dialect

	"lifeline"
)

// workflowVersion is DBOS's application version. Its default is a hash of the
// binary, with which an upgrade would strand running incidents. It changes
// only when the steps of the workflow change in a way that dbos.Patch cannot
// bridge.
const workflowVersion = "1"

// maxWaiting is how many incidents may wait for a person or for their alert
// besides those that are worked; more wait in the queue.
const maxWaiting = 256

const (
	queueName     = "incidents"
	workflowName  = "remediate"
	resolvedTopic = "alert_resolved" // wakes a workflow that waits: it looks for itself what has happened
)

// Door runs commands; internal/guard is one. See tool.Runner.
type Door interface {
	Run(ctx context.Context, req lifeline.CommandRequest) (lifeline.Command, error)
}

// Store is what the workflow reads and writes. *store.Store is one.
type Store interface {
	Incident(ctx context.Context, id string) (lifeline.Incident, error)
	LatestAlert(ctx context.Context, incidentID string) (lifeline.Alert, error)
	MoveIncident(ctx context.Context, id string, to lifeline.State, actor, reason string) (lifeline.Incident, error)
	AppendEvent(ctx context.Context, e lifeline.Event) error
	Commands(ctx context.Context, incidentID string) ([]lifeline.Command, error)
}

// Responder makes one attempt at an incident.
type Responder interface {
	Work(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error)
}

// Responders know who can work incidents.
type Responders interface {
	// Choose picks who makes an attempt, counted from 1. The choice is kept: a
	// configuration that changes afterwards does not change it.
	Choose(alert lifeline.Alert, target lifeline.Target, attempt int) lifeline.Choice
	// Responder finds a chosen one by Choice.Responder; false if the
	// configuration has it no more.
	Responder(name string) (Responder, bool)
}

// Config of a Service. Every field without a default is required.
type Config struct {
	// DB is a handle of the Service's own on the store's database, which New
	// and Stop close: DBOS keeps its tables there too, so that an incident and
	// its workflow are committed together.
	DB    *sql.DB
	Store Store
	// Approvals are where the door puts its questions to a person; nil: it asks
	// none.
	Approvals Approvals
	// Door is the guard. Close to shutdown, commands under way may finish.
	Door       Door
	Responders Responders

	MaxChanges  int           // changes per incident; 0: 2
	MaxAttempts int           // attempts per incident, with or without a change; 0: 3
	Workers     int           // incidents worked at the same time, without those that only wait; 0: 8
	StableFor   time.Duration // how long a repaired thing must stay well; 0: 10 s
	VerifyFor   time.Duration // how long it may take to become well; 0: 60 s
	VerifyEvery time.Duration // between two looks at it; 0: 2 s
	AlertWithin time.Duration // how long the alert may take to resolve; 0: 5 min
	// ExecutorID names this node in the database; "": "lifeline".
	ExecutorID string
	// OnEnd, if set, is told of each incident that ended: for metrics.
	OnEnd  func(lifeline.Incident)
	Logger *slog.Logger
}

func (c *Config) validate() error {
	switch {
	case c.DB == nil:
		return errors.New("respond: Config.DB is not set")
	case c.Store == nil:
		return errors.New("respond: Config.Store is not set")
	case c.Door == nil:
		return errors.New("respond: Config.Door is not set")
	case c.Responders == nil:
		return errors.New("respond: Config.Responders is not set")
	}
	c.MaxChanges = cmp.Or(c.MaxChanges, 2)
	c.MaxAttempts = cmp.Or(c.MaxAttempts, 3)
	c.Workers = cmp.Or(c.Workers, 8)
	c.StableFor = cmp.Or(c.StableFor, 10*time.Second)
	c.VerifyFor = cmp.Or(c.VerifyFor, 60*time.Second)
	c.VerifyEvery = cmp.Or(c.VerifyEvery, 2*time.Second)
	c.AlertWithin = cmp.Or(c.AlertWithin, 5*time.Minute)
	c.ExecutorID = cmp.Or(c.ExecutorID, "lifeline")
	if c.OnEnd == nil {
		c.OnEnd = func(lifeline.Incident) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Service works incidents.
type Service struct {
	cfg  Config
	dbos dbos.Context
	// places are taken by the incidents that are worked.
	places chan struct{}
	// stopClerk ends the clerk and waits for it; set by Start.
	stopClerk func()
}

// New prepares the workflow engine in the store's database. Nothing runs
// before Start. A failed New leaves nothing to stop and closes Config.DB.
func New(ctx context.Context, cfg Config) (*Service, error) {
	if err := cfg.validate(); err != nil {
		if cfg.DB != nil {
			err = errors.Join(err, cfg.DB.Close())
		}
		return nil, err
	}
	// The engine outlives ctx: Stop ends it, in order.
	engine, err := dbos.NewContext(context.WithoutCancel(ctx), dbos.Config{
		AppName:            "lifeline",
		SQLiteSystemDB:     cfg.DB,
		ApplicationVersion: workflowVersion,
		ExecutorID:         cfg.ExecutorID,
		Logger:             slog.New(warnings{cfg.Logger.Handler()}),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("respond: open the workflow engine: %w", err), cfg.DB.Close())
	}
	s := &Service{cfg: cfg, dbos: engine, places: make(chan struct{}, cfg.Workers), stopClerk: func() {}}
	dbos.RegisterWorkflow(engine, s.remediate, dbos.WithWorkflowName(workflowName))
	_, err = dbos.RegisterQueue(engine, queueName,
		dbos.WithWorkerConcurrency(cfg.Workers+maxWaiting),
		dbos.WithPartitionConcurrency(1), // one remediation per target
		dbos.WithQueueBasePollingInterval(100*time.Millisecond),
	)
	if err != nil {
		dbos.Shutdown(engine, time.Second)
		return nil, fmt.Errorf("respond: register the queue of incidents: %w", err)
	}
	return s, nil
}

// Start takes up the incidents that an earlier process left, then new ones.
func (s *Service) Start(ctx context.Context) error {
	if err := dbos.Launch(s.dbos); err != nil {
		return fmt.Errorf("respond: start the workflow engine: %w", err)
	}
	if s.cfg.Approvals == nil {
		return nil
	}
	c := &clerk{Service: s, told: map[string]string{}, seen: map[string]time.Time{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // Stop ends it
	var running sync.WaitGroup
	running.Go(func() { c.run(ctx) })
	s.stopClerk = func() {
		cancel()
		running.Wait()
	}
	return nil
}

// Stop takes no new work and waits, until ctx ends, for the steps under way.
// Incidents that are not at their end go on at the next Start.
func (s *Service) Stop(ctx context.Context) error {
	s.stopClerk()
	timeout := 30 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), time.Millisecond)
	}
	if err := dbos.Shutdown(s.dbos, timeout); err != nil {
		return fmt.Errorf("respond: stop the workflow engine: %w", err)
	}
	return nil
}

// Enqueue starts the incident's workflow when, and only if, tx commits.
func (s *Service) Enqueue(_ context.Context, tx *sql.Tx, inc lifeline.Incident) error {
	_, err := dbos.Enqueue[string](s.dbos, queueName, workflowName, inc.ID,
		dbos.WithEnqueueWorkflowID(inc.ID),
		dbos.WithEnqueueQueuePartitionKey(partition(inc)),
		dbos.WithEnqueueTransaction(tx))
	if err != nil {
		return fmt.Errorf("enqueue the remediation of %s: %w", inc.ID, err)
	}
	return nil
}

// partition is the target's name: incidents with the same one take turns. An
// incident without a target waits for nobody.
func partition(inc lifeline.Incident) string {
	if inc.Target.Host == "" {
		return inc.ID
	}
	return inc.Target.String()
}

// AlertResolved tells the incident's workflow, when tx commits, that no alert
// of it fires any more.
func (s *Service) AlertResolved(_ context.Context, tx *sql.Tx, inc lifeline.Incident) error {
	err := dbos.Send(s.dbos, inc.ID, "resolved", resolvedTopic, dbos.WithSendTransaction(tx))
	if err != nil {
		return fmt.Errorf("tell the remediation of %s that its alert resolved: %w", inc.ID, err)
	}
	return nil
}

// warnings lets only warnings and errors of the workflow engine through: its
// own progress is not news to whoever reads Lifeline's log.
type warnings struct{ slog.Handler }

func (h warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

func (h warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{h.Handler.WithAttrs(attrs)}
}

func (h warnings) WithGroup(name string) slog.Handler {
	return warnings{h.Handler.WithGroup(name)}
}
