package sshpool

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/sshpool/sshtest"
)

// Commands in real time, with the connection cut at random instants: none hangs,
// none is reported wrongly, and Shutdown finds every goroutine.
func TestSoak(t *testing.T) {
	const callers, each = 20, 100
	s := sshtest.New(sshtest.Config{Handler: shell})
	defer s.Close()
	p, err := New(Config{
		Hosts: map[string]Host{"nexus": host(s)}, KnownHosts: []string{knownHosts(t, s.KnownHostsLine("nexus"))}, Dial: s.Dial,
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var cutter sync.WaitGroup
	cutter.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(rand.N(10 * time.Millisecond)):
				if p.Stats()["nexus"].OpenConnections > 0 { // a broken handshake would open the breaker
					s.Drop()
				}
			}
		}
	})
	var exited, unknown, notStarted atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range each {
				r, err := p.Run(t.Context(), "nexus", Command{Script: "say 0 x"})
				switch {
				case err == nil && r.Outcome == Exited && r.ExitStatus == 0:
					exited.Add(1)
				case r.Outcome == Unknown && kindOf(err) == KindLost:
					unknown.Add(1)
				case r.Outcome == NotStarted && err != nil:
					notStarted.Add(1)
				default:
					t.Errorf("%+v, %v", r, err)
				}
			}
		})
	}
	all.Wait()
	close(stop)
	cutter.Wait()
	if err := p.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	ran := int64(s.Counts().Commands)
	if exited.Load() > ran || exited.Load()+unknown.Load() < ran {
		t.Errorf("%d ran, but %d are reported as ended and %d as unknown", ran, exited.Load(), unknown.Load())
	}
	if exited.Load()+unknown.Load()+notStarted.Load() != callers*each {
		t.Errorf("%d ended, %d unknown, %d not started", exited.Load(), unknown.Load(), notStarted.Load())
	}
	if s := p.Stats()["nexus"]; s.Established < 2 || s.OpenConnections != 0 || s.Unknown != unknown.Load() {
		t.Errorf("stats: %+v", s)
	}
}
