package timeline_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/timeline"
)

// Money that nobody knows is never shown as none.
func TestSpent(t *testing.T) {
	for want, s := range map[string]lifeline.Spent{
		"no model was asked": {},
		"1110 tokens in 2 answers (1000 in, 100 out, 10 read from and 0 written to the cache), $0.0012": {
			Answers: 2, Input: 1000, Output: 100, CacheRead: 10, MicroUSD: 1200},
		"5 tokens in 1 answer (0 in, 0 out, 0 read from and 5 written to the cache), $12.35": {Answers: 1, CacheWrite: 5, MicroUSD: 12_345_678},
		"1 tokens in 1 answer (1 in, 0 out, 0 read from and 0 written to the cache), $0":     {Answers: 1, Input: 1},
		"1 tokens in 1 answer (1 in, 0 out, 0 read from and 0 written to the cache), price unknown (model.prices)": {
			Answers: 1, Input: 1, Unpriced: 1},
		"about 3 tokens in 3 answers (3 in, 0 out, 0 read from and 0 written to the cache), about $0.0001 and 1 answer of unknown price": {
			Answers: 3, Input: 3, MicroUSD: 100, Unpriced: 1, Estimated: 1},
	} {
		if got := timeline.Spent(s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestUsageSections(t *testing.T) {
	usage := []lifeline.Usage{
		{Model: "b*\x1b", Input: 1, MicroUSD: new(int64(1))},
		{Model: "a", Input: 2},
		{Model: "b*\x1b", Input: 3, MicroUSD: new(int64(2))},
	}
	text := "\nModels\n" +
		`  b*\x1b: 4 tokens in 2 answers (4 in, 0 out, 0 read from and 0 written to the cache), less than $0.0001` + "\n" +
		"  a: 2 tokens in 1 answer (2 in, 0 out, 0 read from and 0 written to the cache), price unknown (model.prices)\n"
	if diff := cmp.Diff(text, timeline.UsageText(usage)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	markdown := "\n## Models\n\n" +
		`- b\*\\x1b: 4 tokens in 2 answers (4 in, 0 out, 0 read from and 0 written to the cache), less than $0.0001` + "\n" +
		"- a: 2 tokens in 1 answer (2 in, 0 out, 0 read from and 0 written to the cache), price unknown (model.prices)\n"
	if diff := cmp.Diff(markdown, timeline.UsageMarkdown(usage)); diff != "" {
		t.Errorf("Markdown (-want +got):\n%s", diff)
	}
	if timeline.UsageText(nil)+timeline.UsageMarkdown(nil) != "" {
		t.Error("a section about nothing")
	}
}
