package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/agent"
	"lifeline/internal/config"
	"lifeline/internal/llm"
)

func withModel(t *testing.T, model string) *config.Config {
	t.Helper()
	return parsed(t, "hosts: {nexus: {local: true}}\nmodel: {"+model+"}\n")
}

// The first attempt is the first model's, every later one the second's; what
// was chosen is found again by its name.
func TestChooseByAttempt(t *testing.T) {
	t.Setenv(config.EnvModelKey, "k")
	t.Setenv(config.EnvOpenAIKey, "")
	alert := lifeline.Alert{Name: "SomethingOdd"}
	target := lifeline.Target{Host: "nexus", Kind: lifeline.TargetHost}
	for name, tc := range map[string]struct {
		model string
		want  []string // of the attempts 0, 1, 2, 3
	}{
		"one":  {"", []string{"model:claude-haiku-5-5", "model:claude-haiku-5-5", "model:claude-haiku-5-5", "model:claude-haiku-5-5"}},
		"two":  {"second: {name: claude-opus-5}", []string{"model:claude-haiku-5-5", "model:claude-haiku-5-5", "model:claude-opus-5", "model:claude-opus-5"}},
		"none": {"provider: openai, name: gpt-9", []string{"", "", "", ""}},
	} {
		r, err := newResponders(withModel(t, tc.model), draining{}, nil, newMetrics())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for attempt := range 4 {
			c := r.Choose(alert, target, attempt)
			got = append(got, c.Responder)
			if _, found := r.Responder(c.Responder); found != (c.Responder != "") {
				t.Errorf("%s: %q is found: %v", name, c.Responder, found)
			}
			if c.Responder == "" && !strings.Contains(c.Why, "set OPENAI_API_KEY or model.api_key_file") {
				t.Errorf("%s: why %q", name, c.Why)
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What cannot be kept is not promised.
func TestModelsThatAreRefused(t *testing.T) {
	t.Setenv(config.EnvModelKey, "k")
	t.Setenv(config.EnvOpenAIKey, "")
	const local = "provider: openai, name: qwen3, base_url: 'http://127.0.0.1:11434/v1'"
	for model, want := range map[string]string{
		local + ", budget: {day_usd: 1}":                                           "nobody knows what qwen3 costs",
		"budget: {incident_usd: 1}, base_url: 'https://gateway.example.net'":       "nobody knows what claude-haiku-5-5 costs",
		"budget: {day_usd: 1}, second: {name: claude-next}":                        "nobody knows what claude-next costs",
		"second: {provider: openai, name: gpt-9}":                                  "there is no key for it",
		"budget: {day_usd: 1}, second: {name: claude-opus-5}":                      "",
		local + ", budget: {day_usd: 1}, prices: {qwen3: {input: 0, output: 0.5}}": "",
	} {
		_, err := newResponders(withModel(t, model), draining{}, nil, newMetrics())
		if want == "" && err != nil || want != "" && (lifeline.CodeOf(err) != lifeline.CodeConfig || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", model, err, want)
		}
	}
	cfg := withModel(t, "provider: openai, name: gpt-9")
	cfg.Responder = "model"
	if _, err := newResponders(cfg, draining{}, nil, newMetrics()); lifeline.CodeOf(err) != lifeline.CodeConfig || !strings.Contains(err.Error(), "no key") {
		t.Errorf("without a key: %v", err)
	}
	cfg.Responder = "runbook"
	if r, err := newResponders(cfg, draining{}, nil, newMetrics()); err != nil || len(r.models) != 0 {
		t.Errorf("runbooks only: %v", err)
	}
}

func TestPricesAndBudgets(t *testing.T) {
	cfg := withModel(t, "prices: {claude-haiku-5-5: {input: 2, output: 4}, free: {input: 0, output: 0}}, budget: {day_usd: 0.0000001, incident_tokens: 5}")
	at := func(provider, name, url string) *llm.Price {
		return priceOf(cfg, config.ModelAccess{Provider: provider, Name: name, BaseURL: url})
	}
	if p := at("anthropic", "claude-haiku-5-5", ""); p == nil || *p != (llm.Price{Input: 2, Output: 4, CacheRead: 2, CacheWrite: 2}) {
		t.Errorf("the owner's price is %+v", p)
	}
	if p := at("openai", "free", "http://x/v1"); p == nil || p.MicroUSD(llm.Usage{InputTokens: 9}) != 0 {
		t.Errorf("what is free costs %+v", p)
	}
	if p := at("anthropic", "claude-opus-5", ""); p == nil || p.Output != 25 {
		t.Errorf("a known price is %+v", p)
	}
	for _, unknown := range []*llm.Price{at("openai", "claude-opus-5", ""), at("anthropic", "claude-opus-5", "https://gateway.example.net"), at("anthropic", "claude-next", "")} {
		if unknown != nil {
			t.Errorf("a price that nobody knows is %+v", unknown)
		}
	}
	want := agent.Budget{Turns: 20, Tokens: 200_000, Time: cfg.Model.Budget.Time.D(), Incident: agent.Bound{Tokens: 5}, Day: agent.Bound{Tokens: 5_000_000, MicroUSD: 1}}
	if diff := cmp.Diff(want, modelBudget(cfg)); diff != "" {
		t.Errorf("budget (-want +got):\n%s", diff)
	}
}
