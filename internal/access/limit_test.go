package access

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Whoever fails again and again waits longer and longer, each for themselves.
func TestLimiter(t *testing.T) {
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	l := newLimiter(func() time.Time { return now }, 3, time.Minute)
	var waits []time.Duration
	for range 12 {
		if wait := l.begin("a"); wait > 0 {
			waits = append(waits, wait)
			if l.begin("a") != wait {
				t.Fatal("a try that has to wait counts")
			}
			now = now.Add(wait)
			if l.begin("a") != 0 {
				t.Fatal("after the wait it has to wait")
			}
		}
	}
	s := time.Second
	if diff := cmp.Diff([]time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 60 * s, 60 * s, 60 * s}, waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	if l.begin("b") != 0 {
		t.Error("another one has to wait")
	}
	// One that was right after all does not count; the failures before it do.
	l.takeBack("a")
	if l.begin("a") != 0 || l.begin("a") != 60*s {
		t.Error("what was right has forgiven the rest")
	}
	l.forget("a")
	if l.begin("a") != 0 || l.seen["a"].failures != 1 {
		t.Error("it is not forgotten")
	}
	now = now.Add(forgetAfter)
	if l.begin("a") != 0 || l.seen["a"].failures != 1 {
		t.Error("a failure counts for ever")
	}
	// No more are known than fit, and those wait who are new.
	for i := range 2 * maxTried {
		l.begin(fmt.Sprint(i))
	}
	if len(l.seen) > maxTried || l.begin("new") == 0 || l.begin("a") != 0 {
		t.Errorf("%d are known", len(l.seen))
	}
	now = now.Add(forgetAfter)
	if l.begin("new") != 0 {
		t.Error("there is no room for anybody new")
	}
}

func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1": "10.0.0.1", "::ffff:10.0.0.1": "10.0.0.1", "2001:db8:1:2:3::1": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := network(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s counts as %s, want %s", address, got, want)
		}
	}
}
