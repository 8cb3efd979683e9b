package access

import (
	"net/netip"
	"sync"
	"time"
)

// How often somebody may fail before they have to wait, and how long at most. A
// name waits shortly: others must not be able to keep its owner out.
const (
	freeByAddress    = 5
	longestByAddress = 15 * time.Minute
	freeByName       = 10
	longestByName    = 30 * time.Second
	// forgetAfter is how long a failure counts, from the last one on.
	forgetAfter = time.Hour
	maxTried    = 10_000
)

// limiter slows down whoever fails again and again: each failure beyond the free
// ones doubles the wait.
type limiter struct {
	now     func() time.Time
	free    int
	longest time.Duration

	mu    sync.Mutex // guards what follows
	seen  map[string]*tried
	swept time.Time
}

type tried struct {
	failures    int
	last, until time.Time
}

func newLimiter(now func() time.Time, free int, longest time.Duration) *limiter {
	return &limiter{now: now, free: free, longest: longest, seen: map[string]*tried{}}
}

// begin counts a try as failed before it is made, so that many at once are not
// one, and says how long to wait instead; 0: go on. A try that has to wait does
// not count.
func (l *limiter) begin(key string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	t := l.seen[key]
	if t != nil && now.Sub(t.last) >= forgetAfter {
		t = nil
	}
	if t == nil {
		if len(l.seen) >= maxTried && !l.sweep(now) {
			return time.Minute // there are too many to know: nobody new for now
		}
		t = &tried{}
		l.seen[key] = t
	}
	if wait := t.until.Sub(now); wait > 0 {
		return wait
	}
	t.failures++
	t.last = now
	if beyond := t.failures - l.free; beyond >= 0 {
		t.until = now.Add(min(time.Second<<min(beyond, 20), l.longest))
	}
	return 0
}

// sweep forgets what does not count any more, and reports whether there is room.
// It looks once in a second: a flood of addresses must not cost more than that.
func (l *limiter) sweep(now time.Time) bool {
	if age := now.Sub(l.swept); age >= 0 && age < time.Second {
		return false
	}
	l.swept = now
	for key, t := range l.seen {
		if now.Sub(t.last) >= forgetAfter {
			delete(l.seen, key)
		}
	}
	return len(l.seen) < maxTried
}

// takeBack is for a try that did not fail after all: that one does not count.
func (l *limiter) takeBack(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.seen[key]; t != nil {
		t.failures, t.until = max(t.failures-1, 0), time.Time{}
	}
}

// forget is for a name whose owner is there.
func (l *limiter) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.seen, key)
}

// network is whom an address is counted as: an IPv4 address, or the network of an
// IPv6 address that one customer has.
func network(ip netip.Addr) string {
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	if p, err := ip.Prefix(64); err == nil {
		return p.String()
	}
	return ip.String()
}
