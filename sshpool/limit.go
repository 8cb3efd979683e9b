package sshpool

import "time"

// refusalsToLearn is how often one session must be refused in a row until that
// is the server's limit. OpenSSH frees a slot a moment after the end of its
// session, so that one refusal may mean nothing: at a limit of our own that is
// equal to its MaxSessions 4 in 10 openings are refused, and asked again after
// a millisecond they succeed at the third try at the latest (measured against
// OpenSSH 9.2 and 10.5).
const refusalsToLearn = 3

// refusalsToBelieve is how often until the server is believed to hold fewer than
// it was seen to hold before. Until then its slots may only be freed late, and
// what it holds at that moment says nothing.
const refusalsToBelieve = 2 * refusalsToLearn

// maxLimit is where the search for a higher limit ends.
const maxLimit = 128

// limit is the number of sessions at once on one connection. It starts at
// OpenSSH's default, falls to what the server was seen to hold, and is tried
// one higher after a row of successes at the limit: the more rarely, the more
// often that has failed.
type limit struct {
	value    int
	streak   int // sessions opened at the limit since it last changed, or one was refused
	patience int // streak that is needed to try one more
	raised   bool

	// A spare is tried above the limit, where it harms nobody, no sooner than
	// probe; pause is what the next failure adds.
	probe time.Time
	pause time.Duration
}

const (
	firstPatience, lastPatience     = 50, 3200
	firstProbePause, lastProbePause = time.Minute, time.Hour
)

func newLimit(start int) limit {
	return limit{value: start, patience: firstPatience, pause: firstProbePause}
}

// holds notes that the server was seen to hold so many sessions at once.
func (l *limit) holds(sessions int) {
	if sessions > l.value {
		l.value, l.streak, l.raised = min(sessions, maxLimit), 0, true
	}
}

// mayProbe reports whether a spare may be tried above the limit.
func (l *limit) mayProbe(now time.Time) bool { return l.value < maxLimit && !now.Before(l.probe) }

// probed notes that a session above the limit was refused.
func (l *limit) probed(now time.Time) {
	l.probe = now.Add(l.pause)
	l.pause = min(2*l.pause, lastProbePause)
}

// succeeded notes an opened session while so many slots were taken. It reports
// whether the limit has risen.
func (l *limit) succeeded(slots int) bool {
	if slots < l.value || l.value >= maxLimit {
		return false
	}
	if l.streak++; l.streak < l.patience {
		return false
	}
	l.value, l.streak, l.raised = l.value+1, 0, true
	return true
}

// refused ends the row of successes.
func (l *limit) refused() { l.streak = 0 }

// lower sets the limit to what the server holds now, which is at least one.
func (l *limit) lower(held int) {
	if held >= l.value {
		return
	}
	if l.raised {
		l.patience = min(2*l.patience, lastPatience)
	}
	l.value, l.streak, l.raised = max(1, held), 0, false
	l.probed(time.Now())
}
