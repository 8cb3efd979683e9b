package sshpool

import (
	"errors"
	"math/rand/v2"
	"time"
)

// breaker decides when a host may be dialled again after a failure. OpenSSH
// since 9.8 bans an address that fails too often: 5 s for each failed
// authentication and 1 s for each handshake that is broken off, from a sum of
// 15 s on (PerSourcePenalties in sshd_config(5)). The first pauses here are
// longer than that, so that a wrong key alone can never add up to a ban.
type breaker struct {
	failures int // in a row
	until    time.Time
	last     error
}

// pause is how long a host is left alone after its first failure of this kind,
// and at most: it doubles with each.
func pause(err error) (first, most time.Duration) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return time.Second, time.Minute
	}
	switch {
	case e.Kind == KindAuthentication, e.Kind == KindHostKey:
		return 15 * time.Second, 2 * time.Minute // a person has to act
	case e.Kind == KindConfig:
		return 2 * time.Second, 15 * time.Second // costs the server nothing
	case errors.Is(e, errTurnedAway):
		return 15 * time.Second, 10 * time.Minute // the longest ban, PerSourcePenalties max
	}
	return 500 * time.Millisecond, time.Minute
}

// fail notes a failed dial. The pause varies by a quarter, so that many hosts
// lost at once are not dialled at once.
func (b *breaker) fail(err error, now time.Time) {
	first, most := pause(err)
	d := min(most, first<<min(b.failures, 20))
	d += time.Duration(rand.Int64N(int64(d)/4 + 1))
	b.failures++
	b.until, b.last = now.Add(d), err
}

func (b *breaker) succeed() { *b = breaker{} }

// open reports how long the host is still left alone; 0: it may be dialled.
func (b *breaker) open(now time.Time) time.Duration {
	return max(0, b.until.Sub(now))
}

// refusal is the error while the host is left alone.
func (b *breaker) refusal(host string, now time.Time) *Error {
	e := &Error{
		Kind: KindBackoff, Host: host, Err: b.last,
		Message: "not dialled again for " + b.open(now).Round(100*time.Millisecond).String() + " after the last failure",
	}
	if last, ok := errors.AsType[*Error](b.last); ok {
		e.Hint = last.Hint
		bare := *last // the host is named once
		bare.Host = ""
		e.Err = &bare
	}
	return e
}
