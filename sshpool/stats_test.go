package sshpool

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"lifeline/sshpool/sshtest"
)

// What the statistics say about the present connection, and why there is none.
func TestStatsSayHowAHostIs(t *testing.T) {
	const trip = 40 * time.Millisecond
	inBubble(t, sshtest.Config{Latency: trip / 2}, nil, func(t *testing.T, l lab) {
		if s := l.Stats()["nexus"]; !s.ConnectedSince.IsZero() || s.HostKey != "" || s.RoundTrip != 0 || s.Failures != 0 {
			t.Errorf("before anything: %+v", s)
		}
		l.run(t, "exit 0")
		opened := time.Now()
		s := l.Stats()["nexus"]
		if s.HostKey != ssh.FingerprintSHA256(l.server.HostKey()) || s.ConnectedSince.After(opened) || opened.Sub(s.ConnectedSince) > time.Second {
			t.Errorf("connected: %+v", s)
		}
		time.Sleep(time.Minute) // some keepalives
		synctest.Wait()
		if now := l.Stats()["nexus"]; now.RoundTrip != trip || now.ConnectedSince != s.ConnectedSince {
			t.Errorf("the round trip is %v after keepalives, want %v: %+v", now.RoundTrip, trip, now)
		}

		l.server.SetFaults(sshtest.Faults{RefuseConnections: true})
		l.server.Drop()
		synctest.Wait()
		time.Sleep(time.Second)
		l.run(t, "exit 0")
		s = l.Stats()["nexus"]
		if s.Failures != 1 || s.FailureKind != KindUnreachable || !s.NextDial.After(time.Now()) || !s.ConnectedSince.IsZero() || s.HostKey != "" {
			t.Errorf("refused: %+v", s)
		}
		if s.LastFailure == "" || strings.Contains(s.LastFailure, "nexus: ") {
			t.Errorf("it says %q: want the cause, without the host's name", s.LastFailure)
		}
		l.server.SetFaults(sshtest.Faults{})
		time.Sleep(time.Minute)
		l.run(t, "exit 0")
		if s := l.Stats()["nexus"]; s.Failures != 0 || s.FailureKind != "" || s.LastFailure != "" || !s.NextDial.IsZero() || s.ConnectedSince.IsZero() {
			t.Errorf("well again: %+v", s)
		}
	})
}
