package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"lifeline"
	"lifeline/internal/llm"
)

// Ledger is where answers are put on record, and what the budgets over several
// attempts are counted by, so that they hold across restarts and nodes.
// *store.Store is one.
type Ledger interface {
	// RecordUsage puts on record what an answer used, with the event that tells
	// of the answer.
	RecordUsage(ctx context.Context, u lifeline.Usage, e lifeline.Event) error
	// UsageOf sums what all models used for one incident, UsageSince what they
	// used after a time for all incidents.
	UsageOf(ctx context.Context, incidentID string) (lifeline.Spent, error)
	UsageSince(ctx context.Context, after time.Time) (lifeline.Spent, error)
}

// Budget bounds one attempt, all attempts at an incident, and a day.
type Budget struct {
	// Turns is how often the model is asked in one attempt; 0: 20.
	Turns int
	// Tokens used by questions and answers of one attempt together, cached ones
	// in full; 0: 200,000. The answer that goes over it is the last.
	Tokens int
	// Time of one attempt spent in the model and in tools, as the steps' results
	// have it; 0: 10 minutes. Time in which Lifeline did not run does not count.
	Time time.Duration
	// Incident bounds all attempts at one incident, Day everything within 24
	// hours over all incidents. They are looked at before each question: attempts
	// that run at the same time may each go over them by one answer.
	Incident, Day Bound
}

// Bound is a bound on what the Ledger has; 0: none.
type Bound struct{ Tokens, MicroUSD int64 }

// day is the window of Budget.Day.
const day = 24 * time.Hour

// spentBefore says which of the budgets over several attempts is used up; "" for none.
func (w *work) spentBefore(ctx context.Context) (why string, err error) {
	for _, b := range []struct {
		of, key string
		Bound
		sum func() (lifeline.Spent, error)
	}{
		{"this incident", "incident", w.Budget.Incident, func() (lifeline.Spent, error) { return w.Ledger.UsageOf(ctx, w.c.Incident.ID) }},
		{"a day", "day", w.Budget.Day, func() (lifeline.Spent, error) { return w.Ledger.UsageSince(ctx, time.Now().Add(-day)) }},
	} {
		if b.Bound == (Bound{}) {
			continue
		}
		sum, err := b.sum()
		switch {
		case err != nil:
			return "", err
		case b.Tokens > 0 && sum.Tokens() >= b.Tokens:
			return fmt.Sprintf("The budget of %s is used up: %d of %d tokens (model.budget.%s_tokens)", b.of, sum.Tokens(), b.Tokens, b.key), nil
		case b.MicroUSD > 0 && sum.MicroUSD >= b.MicroUSD:
			return fmt.Sprintf("The budget of %s is used up: $%.4f of $%.4f (model.budget.%s_usd)", b.of, float64(sum.MicroUSD)/1e6, float64(b.MicroUSD)/1e6, b.key), nil
		}
	}
	return "", nil
}

// usage is what an answer is put on record with; ok is false if nothing was
// used. A failure in the middle of an answer is paid too, as far as anybody
// knows: the question is counted.
func (w *work) usage(a answered, req llm.Request) (u lifeline.Usage, ok bool) {
	used := a.Response.Usage
	if f := a.Failure; f != nil {
		if f.Class != llm.ClassTimeout && f.Class != llm.ClassBroken {
			return u, false
		}
		used = llm.Usage{InputTokens: estimate(req), Unknown: true}
	}
	u = lifeline.Usage{
		IncidentID: w.c.Incident.ID, Attempt: w.c.Attempt, Model: w.Model.Name(),
		Input: int64(used.InputTokens), Output: int64(used.OutputTokens),
		CacheRead: int64(used.CacheReadTokens), CacheWrite: int64(used.CacheWriteTokens), Estimated: used.Unknown,
	}
	if w.Price != nil {
		u.MicroUSD = new(w.Price.MicroUSD(used))
	}
	return u, true
}

// estimate is how many tokens a value probably has where its provider does not
// say: 4 bytes each, the usual rule of thumb for English text and JSON. Without
// it a server that says nothing would have a budget without an end.
func estimate(v any) int {
	raw, err := json.Marshal(v)
	if err != nil { // it was sent as JSON, or came as such
		return 0
	}
	return 1 + len(raw)/4
}
