package sshpool

// refusalsToLearn is how often one session must be refused in a row until that
// is the server's limit. OpenSSH frees a slot a moment after the end of its
// session, so that one refusal may mean nothing: at a limit of our own that is
// equal to its MaxSessions 4 in 10 openings are refused, and asked again after
// a millisecond they succeed at the third try at the latest (measured against
// OpenSSH 9.2 and 10.5).
const refusalsToLearn = 3

// maxLimit is where the search for a higher limit ends.
const maxLimit = 128

// limit is the number of sessions at once on one connection. It starts at
// OpenSSH's default, falls to what the server was seen to hold, and is tried
// one higher after a row of successes at the limit: the more rarely, the more
// often that has failed.
type limit struct {
	value    int
	streak   int // sessions opened at the limit since it last changed
	patience int // streak that is needed to try one more
	raised   bool
}

const firstPatience, lastPatience = 50, 3200

func newLimit(start int) limit { return limit{value: start, patience: firstPatience} }

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

// lower sets the limit to what the server holds now, which is at least one.
func (l *limit) lower(held int) {
	if held >= l.value {
		return
	}
	if l.raised {
		l.patience = min(2*l.patience, lastPatience)
	}
	l.value, l.streak, l.raised = max(1, held), 0, false
}
