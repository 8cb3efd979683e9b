package app

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/store"
)

// stored counts the alerts on record by their fingerprint.
func (s *site) stored(t *testing.T) map[string]int {
	t.Helper()
	rows, err := s.open().DB().QueryContext(t.Context(), `SELECT fingerprint, count(*) FROM alerts GROUP BY fingerprint`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	counts := map[string]int{}
	for rows.Next() {
		var (
			fingerprint string
			n           int
		)
		if err := rows.Scan(&fingerprint, &n); err != nil {
			t.Fatal(err)
		}
		counts[fingerprint] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return counts
}

// sent is one message and whether it was answered with a 2xx.
type sent struct {
	fingerprints []string
	confirmed    bool
}

// An alert that was answered with a 2xx is never lost: senders post at the same
// time while SIGKILL hits before, in and after the transaction, before the
// answer and before anybody works on it. A message is stored whole or not at all.
func TestConfirmedAlertsAreNeverLost(t *testing.T) {
	s := newSite(t, "observe", "")
	var (
		n            = rounds(t, 8)
		serial       int
		everything   []sent
		kills, posts int
		begun        = time.Now()
	)
	for range n {
		p := plan{}
		switch rand.N(3) {
		case 0:
			p = plan{Point: []string{"receive.before", "inserted", "receive.after"}[rand.N(3)], Nth: 4 + rand.N(12)}
		case 1:
			p = plan{Commit: 8 + rand.N(60)}
		}
		s.start(p)
		if p == (plan{}) { // at an instant that nothing is known about
			victim := s.service
			time.AfterFunc(50*time.Millisecond+rand.N(300*time.Millisecond), func() { _ = victim.cmd.Process.Kill() })
		}
		var (
			mu      sync.Mutex // guards messages and serial
			senders sync.WaitGroup
			message []sent
		)
		for range 4 {
			senders.Go(func() {
				for deadline := time.Now().Add(longEnough); !s.service.gone(); {
					if time.Now().After(deadline) {
						t.Errorf("the service does not die of the plan %+v", p)
						s.service.kill()
					}
					mu.Lock()
					one := sent{}
					for range 1 + rand.N(3) {
						serial++
						one.fingerprints = append(one.fingerprints, fmt.Sprintf("f%d", serial))
					}
					mu.Unlock()
					one.confirmed = s.postAndLook(t, one.fingerprints)
					mu.Lock()
					message = append(message, one)
					mu.Unlock()
				}
			})
		}
		senders.Wait()
		if !s.service.killed() {
			t.Fatalf("the service ended with %s", s.service.cmd.ProcessState)
		}
		kills, posts, everything = kills+1, posts+len(message), append(everything, message...)
	}
	counts, confirmed := s.stored(t), 0
	for _, one := range everything {
		found := 0
		for _, f := range one.fingerprints {
			found += counts[f]
		}
		if one.confirmed {
			confirmed++
		}
		if one.confirmed && found != len(one.fingerprints) || found != 0 && found != len(one.fingerprints) {
			t.Errorf("%v, confirmed %t: %d alerts are on record", one.fingerprints, one.confirmed, found)
		}
	}
	t.Logf("%d kills, %d posts, %d confirmed, %d alerts on record, %s", kills, posts, confirmed, len(counts), time.Since(begun).Round(time.Second))
	if confirmed == 0 || confirmed == posts {
		t.Errorf("%d of %d posts were confirmed: the kills came at the wrong time", confirmed, posts)
	}

	// What is on record is worked to its end.
	s.start(plan{})
	// There are as many as alerts, which is many after many rounds.
	for left := s.running(); left > 0; {
		before := left
		s.until(fmt.Sprintf("one more of %d workflows is at its end", before), func() bool { left = s.running(); return left < before })
	}
	all, err := s.open().Incidents(t.Context(), store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, inc := range all {
		if !inc.State.Ended() || inc.Reason == "" {
			t.Errorf("%s is %s: %q", inc.ID, inc.State, inc.Reason)
		}
	}
	if audit, err := s.open().VerifyAudit(t.Context(), store.AuditCheck{}); err != nil || audit.Bad != nil {
		t.Errorf("the record: %+v, %v", audit.Bad, err)
	}
	s.stop()
}

// postAndLook posts one message. When it is confirmed, it is on record already.
func (s *site) postAndLook(t *testing.T, fingerprints []string) (confirmed bool) {
	status, _ := s.post(message(lifeline.AlertFiring, fingerprints...))
	if status/100 != 2 {
		return false
	}
	for _, f := range fingerprints {
		var n int
		err := s.open().DB().QueryRowContext(t.Context(), `SELECT count(*) FROM alerts WHERE fingerprint = $1`, f).Scan(&n)
		if err != nil || n != 1 {
			t.Errorf("%s was confirmed before it was on record: %d, %v", f, n, err)
		}
	}
	return true
}

// until looks again and again.
func (s *site) until(what string, is func() bool) {
	s.t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(longEnough); !is(); <-look.C {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited %s in vain until %s", longEnough, what)
		}
	}
}

// The same message 100 times, by ten senders, over a crash, is one incident; two
// alerts of one message stay two.
func TestTheSameAlertIsOneIncident(t *testing.T) {
	s := newSite(t, "observe", "") // nothing is repaired: the alert goes on
	both := message(lifeline.AlertFiring, "web", "other")
	for i, p := range []plan{{Point: "receive.before", Nth: 30}, {Point: "receive.after", Nth: 20}, {}} {
		s.start(p)
		var senders sync.WaitGroup
		for range 10 {
			senders.Go(func() {
				for range 10 {
					if status, _ := s.post(both); status != 200 && i == 2 {
						t.Errorf("the webhook answered %d", status)
					}
				}
			})
		}
		senders.Wait()
	}
	s.until("every workflow is at its end", func() bool { return s.running() == 0 })
	all, err := s.open().Incidents(t.Context(), store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, inc := range all {
		names = append(names, inc.AlertName)
		if !inc.State.Ended() || inc.Alerts < 100 {
			t.Errorf("%s is %s with %d alerts", inc.AlertName, inc.State, inc.Alerts)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"Alertother", "ContainerDown"}) {
		t.Errorf("incidents of %v, want one of each alert", names)
	}
	s.stop()
}
