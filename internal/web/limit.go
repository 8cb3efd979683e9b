package web

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// What one address may ask for in a minute, and how many addresses are known at
// the same time. A page is two requests. Behind a proxy all are one address.
const (
	perMinute    = 120
	maxAddresses = 10_000
)

// limiter counts requests by address in windows of a minute.
type limiter struct {
	now func() time.Time

	mu    sync.Mutex // guards what follows
	begun time.Time
	seen  map[string]int
}

func newLimiter(now func() time.Time) *limiter { return &limiter{now: now, seen: map[string]int{}} }

// allows counts a request. When there are too many addresses to know, new ones
// wait for the next minute.
func (l *limiter) allows(remote string) bool {
	from := address(remote)
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.begun) >= time.Minute || now.Before(l.begun) {
		l.begun = now
		clear(l.seen)
	}
	if _, known := l.seen[from]; !known && len(l.seen) >= maxAddresses {
		return false
	}
	l.seen[from]++
	return l.seen[from] <= perMinute
}

// address is who asks: an IPv4 address, or the network of an IPv6 address that
// one customer has.
func address(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	network, err := ip.Prefix(64)
	if err != nil {
		return ip.String()
	}
	return network.String()
}
