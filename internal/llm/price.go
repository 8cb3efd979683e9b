package llm

import (
	"math"
	"strings"
)

// Price is what a model costs, in US dollars per million tokens, which is the
// same number as millionths of a dollar per token.
type Price struct {
	Input, Output         float64
	CacheRead, CacheWrite float64
	// LongAbove is the size of a question, in tokens, above which all of its
	// tokens and those of its answer cost Long times as much; 0: there is no such
	// size.
	LongAbove int
	Long      float64
}

// MicroUSD is the price of one answer in millionths of a US dollar, rounded up.
func (p Price) MicroUSD(u Usage) int64 {
	sum := p.Input*float64(u.InputTokens) + p.Output*float64(u.OutputTokens) +
		p.CacheRead*float64(u.CacheReadTokens) + p.CacheWrite*float64(u.CacheWriteTokens)
	if p.LongAbove > 0 && u.Asked() > p.LongAbove {
		sum *= p.Long
	}
	// A sum of decimal fractions may lie a hair above a whole number.
	return int64(math.Ceil(sum - 1e-6))
}

// KnownPrice is the price of a model of Anthropic at Anthropic's own address. A
// name with a date behind it is the same model. ok is false where no price is
// known: then nobody knows what an answer costs, and it is not 0.
//
// Source: https://platform.claude.com/docs/en/about-claude/pricing, read on
// 2026-11-24, with cache writes of 5 minutes. Haiku 5.5 costs five times as much
// where the question has more than 100,000 tokens. Prices change:
// model.prices in the configuration goes before these.
func KnownPrice(model string) (p Price, ok bool) {
	opus := Price{Input: 5, Output: 25, CacheRead: 0.50, CacheWrite: 6.25}
	sonnet := Price{Input: 3, Output: 15, CacheRead: 0.30, CacheWrite: 3.75}
	known := map[string]Price{
		"claude-opus-5":     opus,
		"claude-opus-4-8":   opus,
		"claude-opus-4-7":   opus,
		"claude-opus-4-6":   opus,
		"claude-opus-4-5":   opus,
		"claude-sonnet-4-6": sonnet,
		"claude-sonnet-4-5": sonnet,
		"claude-haiku-5-5":  {Input: 0.10, Output: 0.50, CacheRead: 0.01, CacheWrite: 0.125, LongAbove: 100_000, Long: 5},
		"claude-haiku-4-5":  {Input: 1, Output: 5, CacheRead: 0.10, CacheWrite: 1.25},
	}
	if p, ok = known[model]; ok {
		return p, true
	}
	if i := strings.LastIndexByte(model, '-'); i > 0 && isDate(model[i+1:]) {
		p, ok = known[model[:i]]
	}
	return p, ok
}

// isDate reports whether a text can be YYYYMMDD.
func isDate(s string) bool {
	return len(s) == 8 && strings.HasPrefix(s, "20") && strings.Trim(s, "0123456789") == ""
}
