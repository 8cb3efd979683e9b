// Package triage decides what an alert is: new, a repeat, or the end of a
// fault. A new one opens an incident and enqueues its remediation in one
// transaction with the alert itself; only then may its sender be told that it
// was taken. What it finds out about an alert is pure and looks at nothing but
// the alert and the configuration; what is open already, and whether a host is
// in a storm or a fault is flapping, the store knows.
//
//	t, err := triage.New(triage.Config{Hosts: names}, store, responder)
//	receipts, err := t.Receive(ctx, alerts)
package triage

import (
	"context"
	"database/sql"
	"errors"

	"lifeline"
)

// Store keeps alerts and incidents. *store.Store is one.
type Store interface {
	ReceiveAlerts(ctx context.Context, alerts []lifeline.TriagedAlert,
		opened, resolved func(context.Context, *sql.Tx, lifeline.Incident) error) ([]lifeline.Receipt, error)
}

// Enqueuer starts and tells remediations when the transaction commits.
// *respond.Service is one.
type Enqueuer interface {
	Enqueue(ctx context.Context, tx *sql.Tx, inc lifeline.Incident) error
	AlertResolved(ctx context.Context, tx *sql.Tx, inc lifeline.Incident) error
}

// Triage receives alerts. It is safe for concurrent use.
type Triage struct {
	targets Config
	routes  []route
	store   Store
	respond Enqueuer
}

// New checks the configuration.
func New(cfg Config, store Store, respond Enqueuer) (*Triage, error) {
	if store == nil || respond == nil {
		return nil, errors.New("triage: a store and an enqueuer are needed")
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	routes, err := cfg.routes()
	if err != nil {
		return nil, err
	}
	return &Triage{targets: cfg.withDefaults(), routes: routes, store: store, respond: respond}, nil
}

// triage finds out what an alert is about.
func (t *Triage) triage(a lifeline.Alert) lifeline.TriagedAlert {
	target := t.targets.Resolve(a)
	found := lifeline.TriagedAlert{Alert: a, Target: target, Damping: t.targets.Damping}
	r := routeOf(t.routes, a)
	if r == nil {
		found.Key = Key(a, target)
		return found
	}
	found.Target = r.target(&t.targets, a, target)
	found.Key = r.keyOf(a, found.Target)
	if r.Ignore {
		found.Ignore = r.name() + " says that it is ignored"
	}
	return found
}

// Receive stores the alerts and starts what they ask for, all or nothing.
func (t *Triage) Receive(ctx context.Context, alerts []lifeline.Alert) ([]lifeline.Receipt, error) {
	triaged := make([]lifeline.TriagedAlert, len(alerts))
	for i, a := range alerts {
		triaged[i] = t.triage(a)
	}
	return t.store.ReceiveAlerts(ctx, triaged, t.respond.Enqueue, t.respond.AlertResolved)
}
