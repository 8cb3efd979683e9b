package app

import (
	"context"
	"fmt"
	"os"
	"strings"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/respond"
	"lifeline/internal/runbook"
	"lifeline/internal/store"
	"lifeline/runbooks"
)

// responders decides who works an incident: the model where one is set up,
// with the matching runbook as its guidance; otherwise the runbook itself.
type responders struct {
	cfg    *config.Config
	door   draining
	record *store.Store
	books  *runbook.Set
	// own are the checks of the configuration.
	own []ownCheck
	// models are the first and, if there is one, the second; empty without a model.
	models []namedModel
}

// namedModel is a model that works incidents.
type namedModel struct {
	name string
	respond.Responder
}

func newResponders(cfg *config.Config, door draining, record *store.Store, m *metrics) (*responders, error) {
	r := &responders{cfg: cfg, door: door, record: record}
	shipped, err := runbook.Load(runbooks.FS())
	if err != nil {
		return nil, fmt.Errorf("the shipped runbooks: %w", err)
	}
	r.books = shipped
	if cfg.Runbooks != "" {
		own, err := runbook.Load(os.DirFS(cfg.Runbooks))
		if err != nil {
			return nil, &lifeline.Error{Code: lifeline.CodeConfig, Message: "runbooks: " + cfg.Runbooks, Err: err}
		}
		r.books = runbook.Merge(shipped, own)
	}
	r.books = r.books.WithAddresses(cfg.AddressOf)
	if r.own, err = newOwnChecks(cfg); err != nil {
		return nil, err
	}
	if r.models, err = modelResponders(cfg, door, record, m); err != nil {
		return nil, err
	}
	return r, nil
}

// Choose implements respond.Responders. An attempt after one that did not help
// is the second model's, where there is one.
func (r *responders) Choose(alert lifeline.Alert, target lifeline.Target, attempt int) lifeline.Choice {
	var c lifeline.Choice
	book, found := r.books.Match(alert, target)
	if found {
		c.Guidance = book.Guidance()
		checks, err := book.Checks(target)
		if err != nil { // what cannot be checked cannot be repaired with proof
			return lifeline.Choice{Why: err.Error()}
		}
		c.Checks = checks
	}
	own, err := r.ownChecks(alert.Name, target)
	if err != nil {
		return lifeline.Choice{Why: err.Error()}
	}
	c.Checks = append(c.Checks, own...)
	switch {
	case len(r.models) > 0:
		c.Responder = modelPrefix + r.models[min(max(attempt, 1), len(r.models))-1].name
	case found:
		c.Responder = bookPrefix + book.Name
	default:
		c.Why = fmt.Sprintf("no runbook matches the alert %s for the %s, and no model is set up: write one under runbooks, or %s", alert.Name, target, r.cfg.ModelKeyHint())
	}
	return c
}

// What the names of responders begin with.
const (
	modelPrefix = "model:"
	bookPrefix  = "runbook:"
)

// Responder implements respond.Responders.
func (r *responders) Responder(name string) (respond.Responder, bool) {
	for _, m := range r.models {
		if name == modelPrefix+m.name {
			return m.Responder, true
		}
	}
	if book, ok := r.books.Get(strings.TrimPrefix(name, bookPrefix)); ok && strings.HasPrefix(name, bookPrefix) {
		return bookResponder{book: book, door: r.door, record: r.record}, true
	}
	return nil, false
}

// bookResponder works incidents by a runbook.
type bookResponder struct {
	book   *runbook.Runbook
	door   draining
	record *store.Store
}

func (b bookResponder) Work(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
	return b.book.Work(ctx, steps, b.door, respond.Once{Record: b.record}, c)
}
