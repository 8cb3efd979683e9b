// Package triage decides what an alert is: new, a repeat, or the end of a
// fault. A new one opens an incident and enqueues its remediation in one
// transaction with the alert itself; only then may its sender be told that it
// was taken.
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
	return &Triage{targets: cfg.withDefaults(), store: store, respond: respond}, nil
}

// Receive stores the alerts and starts what they ask for, all or nothing.
func (t *Triage) Receive(ctx context.Context, alerts []lifeline.Alert) ([]lifeline.Receipt, error) {
	triaged := make([]lifeline.TriagedAlert, len(alerts))
	for i, a := range alerts {
		target := t.targets.Resolve(a)
		triaged[i] = lifeline.TriagedAlert{Alert: a, Key: Key(a, target), Target: target}
	}
	return t.store.ReceiveAlerts(ctx, triaged, t.respond.Enqueue, t.respond.AlertResolved)
}
