package app

import (
	"context"
	"fmt"
	"os"
	"strings"

	"lifeline"
	"lifeline/internal/agent"
	"lifeline/internal/config"
	"lifeline/internal/llm"
	"lifeline/internal/llm/anthropic"
	"lifeline/internal/respond"
	"lifeline/internal/runbook"
	"lifeline/internal/store"
	"lifeline/internal/tool"
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
	// model is nil if there is none.
	model respond.Responder
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
	if r.model, err = modelResponder(cfg, door, record, m); err != nil {
		return nil, err
	}
	return r, nil
}

// Choose implements respond.Responders.
func (r *responders) Choose(alert lifeline.Alert, target lifeline.Target, _ int) lifeline.Choice {
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
	case r.model != nil:
		c.Responder = modelPrefix + r.cfg.Model.Name
	case found:
		c.Responder = bookPrefix + book.Name
	default:
		c.Why = fmt.Sprintf("no runbook matches the alert %s for the %s, and no model is set up: write one under runbooks, or set ANTHROPIC_API_KEY", alert.Name, target)
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
	if name == modelPrefix+r.cfg.Model.Name && r.model != nil {
		return r.model, true
	}
	if book, ok := r.books.Get(strings.TrimPrefix(name, bookPrefix)); ok && strings.HasPrefix(name, bookPrefix) {
		return bookResponder{book: book, door: r.door, record: r.record}, true
	}
	return nil, false
}

// modelResponder is nil if the configuration wants no model or has no key for one.
func modelResponder(cfg *config.Config, door draining, record *store.Store, m *metrics) (respond.Responder, error) {
	if cfg.Responder == "runbook" {
		return nil, nil
	}
	key, err := cfg.ModelKey()
	if err != nil {
		return nil, err
	}
	if key == "" {
		if cfg.Responder == "model" {
			return nil, &lifeline.Error{Code: lifeline.CodeConfig, Message: "responder is model, but there is no key for one",
				Hint: "set ANTHROPIC_API_KEY or model.api_key_file, or responder: runbook"}
		}
		return nil, nil
	}
	client, err := anthropic.New(anthropic.Config{
		APIKey: key, BaseURL: cfg.Model.BaseURL, Model: cfg.Model.Name,
		MaxTokens: cfg.Model.MaxTokens, Timeout: cfg.Model.RequestTimeout.D(),
	})
	if err != nil {
		return nil, err
	}
	tools, err := tool.New(door, tool.Config{Hosts: cfg.HostNames()})
	if err != nil {
		return nil, err
	}
	b := cfg.Model.Budget
	return agent.New(agent.Config{
		Model: countedModel{client, m}, Tools: tools, Timeline: record,
		Budget: agent.Budget{Turns: b.Turns, Tokens: b.Tokens, Time: b.Time.D()},
	})
}

// countedModel counts the tokens that a model uses.
type countedModel struct {
	llm.Model
	m *metrics
}

func (c countedModel) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	resp, err := c.Model.Complete(ctx, req)
	for kind, n := range map[string]int{
		"input": resp.Usage.InputTokens, "output": resp.Usage.OutputTokens,
		"cache_read": resp.Usage.CacheReadTokens, "cache_write": resp.Usage.CacheWriteTokens,
	} {
		c.m.tokens.WithLabelValues(c.Name(), kind).Add(float64(n))
	}
	return resp, err
}

// bookResponder works incidents by a runbook.
type bookResponder struct {
	book   *runbook.Runbook
	door   draining
	record *store.Store
}

func (b bookResponder) Work(ctx context.Context, steps lifeline.Steps, c lifeline.Case) (lifeline.Report, error) {
	return b.book.Work(ctx, steps, b.door, b.record, c)
}
