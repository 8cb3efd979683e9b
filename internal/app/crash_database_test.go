package app

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"lifeline"
)

// mend ends the failures of the service's database.
func (s *site) mend() {
	s.t.Helper()
	if _, err := io.WriteString(s.service.orders, "mend\n"); err != nil {
		s.t.Fatal(err)
	}
	if said := <-s.service.said; said != "mended" {
		s.t.Fatalf("the service says %q", said)
	}
}

// ready asks the service whether it can work.
func (s *site) ready() int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.service.address+"/readyz", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// The Nth write fails, for every N: at most one change, never one without its
// intent on record, and the incident comes to its end.
func TestAnyWriteFails(t *testing.T) {
	const most = 66
	writes := []int{2, 17, 28, 36, 44, 52} // some of each kind
	if rounds(t, 1) > 1 {
		writes = nil
		for n := range most + 10 {
			writes = append(writes, n+1)
		}
	}
	for _, n := range writes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, auto, "")
			inc, restarts := s.untilEnded(once(plan{Fail: n, FailFor: 1}))
			s.honest(inc)
			if restarts != 0 {
				t.Errorf("the service died %d times", restarts)
			}
			s.stop()
		})
	}
}

// Every write fails from the Nth on, as on a full disk, until it is mended: no
// change without its intent on record, the readiness is red and senders are told
// to come again. Mended, the incident comes to its end without a restart.
func TestEveryWriteFails(t *testing.T) {
	writes := []int{1, 20, 30, 38, 46, 54}
	if rounds(t, 1) > 1 {
		writes = nil
		for n := range 70 {
			writes = append(writes, n+1)
		}
	}
	var red atomic.Int64
	t.Run("rounds", func(t *testing.T) {
		for _, n := range writes {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, auto, "")
				s.start(plan{Fail: n, FailFor: 1 << 30})
				s.until("the readiness is red, or the incident is at its end", func() bool {
					s.alertmanager()
					return s.ready() == http.StatusServiceUnavailable
				})
				red.Add(1)
				status, header := s.post(message(lifeline.AlertFiring, "late"))
				if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
					t.Errorf("the webhook answered %d, Retry-After %q", status, header.Get("Retry-After"))
				}
				// What was under way has found out by now.
				begun := s.ran()
				s.until("the workflow has met the failure", func() bool { return s.settled() })
				if n := s.ran(); n != begun && n > 1 {
					t.Errorf("%d changes were begun while nothing could be written", n-begun)
				}
				s.mend()
				inc, restarts := s.untilEnded(func() plan { return plan{} })
				s.honest(inc)
				if restarts != 0 {
					t.Errorf("the service was started again %d times", restarts)
				}
				s.stop()
			})
		}
	})
	if red.Load() == 0 {
		t.Error("no service met the failure")
	}
}

// settled reports whether the host has been quiet for a while.
func (s *site) settled() bool {
	before := s.ran()
	<-time.After(300 * time.Millisecond)
	return s.ran() == before
}
