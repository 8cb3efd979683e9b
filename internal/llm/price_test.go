package llm_test

import (
	"testing"

	"lifeline/internal/llm"
)

func TestPrice(t *testing.T) {
	for name, tc := range map[string]struct {
		model string
		used  llm.Usage
		want  int64 // millionths of a dollar; -1: not known
	}{
		"a million in and out":             {"claude-opus-5", llm.Usage{InputTokens: 1e6, OutputTokens: 1e6}, 30_000_000},
		"from and to the cache":            {"claude-opus-4-8", llm.Usage{CacheReadTokens: 2e6, CacheWriteTokens: 1e6}, 7_250_000},
		"a name with a date":               {"claude-haiku-4-5-20251001", llm.Usage{InputTokens: 10, OutputTokens: 10}, 60},
		"rounded up":                       {"claude-haiku-5-5", llm.Usage{InputTokens: 11}, 2},
		"a whole number stays one":         {"claude-haiku-5-5", llm.Usage{InputTokens: 30}, 3},
		"up to the size":                   {"claude-haiku-5-5", llm.Usage{InputTokens: 50_000, CacheReadTokens: 50_000, OutputTokens: 1000}, 5000 + 500 + 500},
		"a long question, answer and all":  {"claude-haiku-5-5", llm.Usage{InputTokens: 50_001, CacheReadTokens: 50_000, OutputTokens: 1000}, 30_001},
		"nothing":                          {"claude-opus-5", llm.Usage{}, 0},
		"another model":                    {"gpt-9", llm.Usage{InputTokens: 1}, -1},
		"a name that only begins alike":    {"claude-opus-5-turbo", llm.Usage{InputTokens: 1}, -1},
		"a number behind that is no date":  {"claude-opus-5-99999999", llm.Usage{InputTokens: 1}, -1},
		"a model whose price nobody wrote": {"claude-next", llm.Usage{InputTokens: 1}, -1},
	} {
		got := int64(-1)
		if p, ok := llm.KnownPrice(tc.model); ok {
			got = p.MicroUSD(tc.used)
		}
		if got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}
