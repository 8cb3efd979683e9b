package respond

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lifeline"
	"lifeline/internal/tool"
)

// wellness is what was found out about a thing: the end of one verification, and
// the Data of EventVerified and EventVerifyFailed.
type wellness struct {
	OK bool `json:"ok"`
	// Detail says what was seen, or why it could not be seen.
	Detail string `json:"detail"`
	// Level is what the last look at the thing saw; "" if it could not look.
	Level level `json:"level,omitempty"`
	// Checks are the last tries of the owner's checks, if any was made.
	Checks []checked `json:"checks,omitempty"`
}

// level is how a thing is, as Lifeline's own look at it sees it.
type level string

const (
	levelDown level = "down" // it does not do what it is there for, and will not by waiting
	levelSick level = "sick" // on its way up, or sick and may recover
	levelWell level = "well"
)

func levelOf(h tool.Health) level {
	switch {
	case h.Well():
		return levelWell
	case h.Down():
		return levelDown
	}
	return levelSick
}

// rank orders levels; 0 is not known.
func (l level) rank() int {
	return map[level]int{levelDown: 1, levelSick: 2, levelWell: 3}[l]
}

// verify looks at the thing itself until it has been well for StableFor, and the
// owner's checks of it with it, in one step. What could not be looked at or
// checked is not a success.
func (w *work) verify(attempt int, target lifeline.Target, checks []lifeline.Check) (wellness, error) {
	return do(w.steps, fmt.Sprintf("verify.%d", attempt), func(ctx context.Context) (wellness, error) {
		well, err := w.watch(ctx, target, checks)
		if err != nil {
			return well, err
		}
		kind := lifeline.EventVerified
		if !well.OK {
			kind = lifeline.EventVerifyFailed
		}
		return well, w.event(ctx, kind, "respond", well.Detail, well)
	})
}

// look looks at the target once. The error is one of the record, or the end of
// the process.
func (w *work) look(ctx context.Context, target lifeline.Target) (tool.Health, wellness, error) {
	h, err := tool.Status(ctx, w.cfg.Door, tool.Probe{IncidentID: w.id, Actor: "verify", Target: target})
	switch {
	case err != nil && lifeline.CodeOf(err) == lifeline.CodeStore:
		return h, wellness{}, err
	case err != nil:
		return h, wellness{Detail: "could not check: " + err.Error()}, nil
	}
	return h, wellness{Detail: h.Detail, Level: levelOf(h)}, nil
}

// watch looks at the target every VerifyEvery. It is well when each look of
// StableFor found it well, it did not restart in between, and the owner's checks
// were good at the beginning of such a time and at its end. It is not well when
// it was down for as long, or when VerifyFor is over, counted from the first look,
// and no such time has begun. One that has begun may come to its end.
func (w *work) watch(ctx context.Context, target lifeline.Target, checks []lifeline.Check) (wellness, error) {
	var (
		begun time.Time
		// wellSince is the first of the looks without a bad one between, goodSince
		// the first of such rounds of checks, badFrom the first bad look of a row.
		wellSince, goodSince, badFrom time.Time
		last                          tool.Health
		results                       []checked
	)
	for {
		h, seen, err := w.look(ctx, target)
		if err != nil {
			return seen, err
		}
		now := time.Now()
		if begun.IsZero() {
			begun = now
		}
		stable := func(since time.Time) bool { return !since.IsZero() && now.Sub(since) >= w.cfg.StableFor }
		switch {
		case seen.Level != levelWell:
			wellSince, goodSince = time.Time{}, time.Time{}
		case wellSince.IsZero() || !h.SameRun(last):
			wellSince, goodSince, badFrom = now, time.Time{}, time.Time{}
		}
		if seen.Level != "" {
			last = h
		}
		proven := stable(wellSince) && (len(checks) == 0 || stable(goodSince))
		if len(checks) > 0 && !wellSince.IsZero() && (goodSince.IsZero() || proven) {
			if results, err = w.check(ctx, target.Host, checks); err != nil {
				return seen, err
			}
			switch good := notGood(results) == ""; {
			case !good:
				goodSince, proven = time.Time{}, false
			case goodSince.IsZero():
				goodSince = now
			}
		}
		seen.Checks = results
		if proven {
			seen.OK, seen.Detail = true, proof(seen, now.Sub(wellSince))
			return seen, nil
		}
		if wellSince.IsZero() && badFrom.IsZero() {
			badFrom = now
		}
		inTime := func(since time.Time) bool { return !since.IsZero() && since.Sub(begun) <= w.cfg.VerifyFor }
		underWay := inTime(wellSince) && (len(checks) == 0 || inTime(goodSince)) // it only has to stay so
		if seen.Level == levelDown && stable(badFrom) || now.Sub(begun) >= w.cfg.VerifyFor && !underWay {
			if bad := notGood(results); bad != "" && seen.Level == levelWell {
				seen.Detail += ", but " + bad
			}
			return seen, nil
		}
		select {
		case <-ctx.Done():
			return wellness{}, context.Cause(ctx)
		case <-time.After(w.cfg.VerifyEvery):
		}
	}
}

// proof says in a sentence what is good about a thing.
func proof(seen wellness, stable time.Duration) string {
	text := fmt.Sprintf("%s; stable for %s", seen.Detail, stable.Round(time.Second))
	var good []string
	for _, c := range seen.Checks {
		good = append(good, c.Check+" ("+c.Detail+")")
	}
	if len(good) > 0 {
		text += "; good: " + strings.Join(good, ", ")
	}
	return text
}
