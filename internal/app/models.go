package app

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"lifeline"
	"lifeline/internal/agent"
	"lifeline/internal/config"
	"lifeline/internal/llm"
	"lifeline/internal/llm/anthropic"
	"lifeline/internal/llm/openai"
	"lifeline/internal/respond"
	"lifeline/internal/store"
	"lifeline/internal/tool"
)

// modelResponders are the models that work incidents: none if the configuration
// wants none or has no key for one.
func modelResponders(cfg *config.Config, door draining, record *store.Store, m *metrics) ([]namedModel, error) {
	if cfg.Responder == "runbook" {
		return nil, nil
	}
	models, err := cfg.Models()
	if err != nil {
		return nil, err
	}
	if len(models) == 0 && cfg.Responder == "model" {
		return nil, &lifeline.Error{Code: lifeline.CodeConfig, Message: "responder is model, but there is no key for one",
			Hint: cfg.ModelKeyHint() + ", or responder: runbook"}
	}
	tools, err := tool.New(door, tool.Config{Hosts: cfg.HostNames()})
	if err != nil {
		return nil, err
	}
	var list []namedModel
	for _, access := range models {
		price := priceOf(cfg, access)
		if price == nil && (cfg.Model.Budget.IncidentUSD > 0 || cfg.Model.Budget.DayUSD > 0) {
			return nil, &lifeline.Error{Code: lifeline.CodeConfig, Message: "model.budget has a bound in US dollars, and nobody knows what " + access.Name + " costs",
				Hint: fmt.Sprintf("model: {prices: {%q: {input: …, output: …}}}, or bound the tokens only: model.budget.day_tokens", access.Name)}
		}
		client, err := modelClient(access)
		if err != nil {
			return nil, err
		}
		worker, err := agent.New(agent.Config{
			Model: countedModel{client, m, price}, Tools: tools, Timeline: respond.Once{Record: record}, Ledger: record,
			Budget: modelBudget(cfg), Price: price,
		})
		if err != nil {
			return nil, err
		}
		list = append(list, namedModel{access.Name, worker})
	}
	return list, nil
}

// modelClient is the client of a model's provider.
func modelClient(a config.ModelAccess) (llm.Model, error) {
	if a.Provider == config.OpenAI {
		return openai.New(openai.Config{APIKey: a.Key, BaseURL: a.BaseURL, Model: a.Name, MaxTokens: a.MaxTokens, Timeout: a.RequestTimeout})
	}
	return anthropic.New(anthropic.Config{APIKey: a.Key, BaseURL: a.BaseURL, Model: a.Name, MaxTokens: a.MaxTokens, Timeout: a.RequestTimeout})
}

func modelBudget(cfg *config.Config) agent.Budget {
	b := cfg.Model.Budget
	return agent.Budget{
		Turns: b.Turns, Tokens: b.Tokens, Time: b.Time.D(),
		Incident: agent.Bound{Tokens: int64(b.IncidentTokens), MicroUSD: microUSD(b.IncidentUSD)},
		Day:      agent.Bound{Tokens: int64(b.DayTokens), MicroUSD: microUSD(b.DayUSD)},
	}
}

// microUSD is an amount in millionths of a dollar. What is more than nothing
// stays more than nothing, which would mean no bound.
func microUSD(usd float64) int64 { return int64(math.Ceil(usd * 1e6)) }

// priceOf is what a model costs: what the owner wrote, otherwise what is known
// of Claude at its own address. nil: nobody knows.
func priceOf(cfg *config.Config, a config.ModelAccess) *llm.Price {
	if p, ok := cfg.Model.Prices[a.Name]; ok {
		return &llm.Price{Input: p.Input, Output: p.Output, CacheRead: cmp.Or(p.CacheRead, p.Input), CacheWrite: cmp.Or(p.CacheWrite, p.Input)}
	}
	if a.Provider == config.Anthropic && a.BaseURL == "" {
		if p, ok := llm.KnownPrice(a.Name); ok {
			return &p
		}
	}
	return nil
}

// countedModel counts the tokens and the money that a model uses, as far as they
// are told.
type countedModel struct {
	llm.Model
	m     *metrics
	price *llm.Price
}

func (c countedModel) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	resp, err := c.Model.Complete(ctx, req)
	for kind, n := range map[string]int{
		"input": resp.Usage.InputTokens, "output": resp.Usage.OutputTokens,
		"cache_read": resp.Usage.CacheReadTokens, "cache_write": resp.Usage.CacheWriteTokens,
	} {
		c.m.tokens.WithLabelValues(c.Name(), kind).Add(float64(n))
	}
	if c.price != nil { // without a price there is no series: 0 would be a lie
		c.m.cost.WithLabelValues(c.Name()).Add(float64(c.price.MicroUSD(resp.Usage)) / 1e6)
	}
	return resp, err
}
