package storetest

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/store"
)

// asks is a change that a person is asked about.
func asks(id, incident string) lifeline.Command {
	c := command(id, incident)
	c.IntentAt, c.Decision, c.Cause = time.Time{}, "ask", lifeline.CodeRefused
	c.Digest = "digest of " + incident
	return c
}

// waiting opens an incident whose change waits for a person, for an hour.
func (s *suite) waiting(key string) (incident string, a lifeline.Approval) {
	s.t.Helper()
	incident = s.receive(firing(key, "f")).IncidentID
	s.move(incident, lifeline.StateInvestigating)
	cmd := s.ask(asks("ask "+key, incident))
	if !cmd.Waits() || cmd.ApprovalID == "" {
		s.t.Fatalf("it does not wait: %+v", cmd)
	}
	s.move(incident, lifeline.StateAwaitingApproval)
	return incident, s.approval(cmd.ApprovalID)
}

func (s *suite) ask(c lifeline.Command) lifeline.Command {
	s.t.Helper()
	cmd, err := s.RequestApproval(s.t.Context(), c, time.Hour, lifeline.Limits{PerIncident: 5})
	if err != nil {
		s.t.Fatal(err)
	}
	return cmd
}

func (s *suite) approval(id string) lifeline.Approval {
	s.t.Helper()
	a, err := s.Approval(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *suite) decide(a lifeline.Approval, yes bool) error {
	s.t.Helper()
	_, err := s.DecideApproval(s.t.Context(), a.ID, store.Decision{Approve: yes, By: "person:ann", Reason: "because", Digest: a.Digest})
	return err
}

// under is the approved command as the guard lets it through.
func under(a lifeline.Approval) lifeline.Command {
	c := command("run "+a.ID, a.Request.IncidentID)
	c.Decision, c.ApprovalID, c.Digest = "ask", a.ID, a.Digest
	return c
}

// later moves the suite's clock on.
func (s *suite) later(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// sound verifies the whole record.
func (s *suite) sound() {
	s.t.Helper()
	audit, err := s.VerifyAudit(s.t.Context(), store.AuditCheck{})
	if err != nil || audit.Bad != nil {
		s.t.Errorf("the record: %+v, %v", audit.Bad, err)
	}
}

func approve(t *testing.T, open Open) {
	s := newSuite(t, open)
	id, a := s.waiting("k")
	want := lifeline.Approval{
		ID: a.ID, Request: asks("ask k", id).CommandRequest, Canonical: "docker start jukebox", Class: "change", Marks: []string{"sensitive"},
		Rule: "catalogue", Reason: "it can be undone", Digest: "digest of " + id, State: lifeline.ApprovalPending,
		CreatedAt: a.CreatedAt, ExpiresAt: a.CreatedAt.Add(time.Hour),
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	// The same request again is the same answer; the same command in another
	// request waits for the same approval.
	if again := s.ask(asks("ask k", id)); again.ApprovalID != a.ID {
		t.Errorf("asked again: %+v", again)
	}
	if other := s.ask(asks("ask twice", id)); other.ApprovalID != a.ID || !other.Waits() {
		t.Errorf("asked for the same: %+v", other)
	}
	_, err := s.RecordIntent(t.Context(), under(a), lifeline.Limits{})
	wantRefused(t, err, lifeline.RuleApproval, "is pending")

	if err := s.decide(a, true); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, s.decide(a, true), lifeline.RuleApproval, "is approved already by person:ann: because")
	wantRefused(t, s.decide(a, false), lifeline.RuleApproval, "is approved already")
	if prior, err := s.RecordIntent(t.Context(), under(a), lifeline.Limits{PerIncident: 5}); prior != nil || err != nil {
		t.Fatalf("approved: %v, %v", prior, err)
	}
	if inc := s.incident(id); inc.State != lifeline.StateActing || inc.Changes != 1 {
		t.Errorf("the incident is %s after %d changes", inc.State, inc.Changes)
	}
	if got := s.approval(a.ID); got.State != lifeline.ApprovalUsed || got.DecidedBy != "person:ann" || got.UsedAt.IsZero() {
		t.Errorf("afterwards: %+v", got)
	}
	// Once.
	twice := under(a)
	twice.ID = "run twice"
	_, err = s.RecordIntent(t.Context(), twice, lifeline.Limits{PerIncident: 5})
	wantRefused(t, err, lifeline.RuleApproval, "is used")
	// Its own intent is on record: a workflow that goes on after a crash finds it.
	if prior, err := s.RecordIntent(t.Context(), under(a), lifeline.Limits{PerIncident: 5}); prior == nil || err != nil {
		t.Errorf("after a crash: %v, %v", prior, err)
	}
	// The next attempt asks anew.
	if next := s.ask(asks("ask next", id)); next.ApprovalID == a.ID || !next.Waits() {
		t.Errorf("the next attempt: %+v", next)
	}
	s.sound()
}

func deny(t *testing.T, open Open) {
	s := newSuite(t, open)
	id, a := s.waiting("k")
	if err := s.decide(a, false); err != nil {
		t.Fatal(err)
	}
	_, err := s.RecordIntent(t.Context(), under(a), lifeline.Limits{})
	wantRefused(t, err, lifeline.RuleApproval, "is denied")
	wantRefused(t, s.decide(a, true), lifeline.RuleApproval, "is denied already")
	// A no is a no for the whole incident.
	again := s.ask(asks("ask again", id))
	if again.Waits() || again.ApprovalID != a.ID || !strings.Contains(again.Reason, "person:ann has denied it: because") {
		t.Errorf("asked again: %+v", again)
	}
	if inc := s.incident(id); inc.Changes != 0 || inc.State != lifeline.StateAwaitingApproval {
		t.Errorf("the incident is %s after %d changes", inc.State, inc.Changes)
	}
	refusals := 0
	for _, k := range s.kinds(id) {
		if k == lifeline.EventApprovalRefused {
			refusals++
		}
	}
	if refusals != 1 {
		t.Errorf("%d decisions that were not taken are on record, want 1", refusals)
	}
	s.sound()
}

// What is approved is what runs: nothing else under its name.
func approvalIsBound(t *testing.T, open Open) {
	s := newSuite(t, open)
	_, a := s.waiting("k")
	other, b := s.waiting("other")
	for _, x := range []lifeline.Approval{a, b} {
		if err := s.decide(x, true); err != nil {
			t.Fatal(err)
		}
	}
	for what, change := range map[string]func(*lifeline.Command){
		"command":         func(c *lifeline.Command) { c.Canonical = "docker start  jukebox" },
		"host":            func(c *lifeline.Command) { c.Host = "borealis" },
		"incident":        func(c *lifeline.Command) { c.IncidentID = other },
		"policy":          func(c *lifeline.Command) { c.Digest = "another policy" },
		"no such":         func(c *lifeline.Command) { c.ApprovalID = "apr_none" },
		"only its letter": func(c *lifeline.Command) { c.ApprovalID = a.ID[:8] },
	} {
		c := under(a)
		change(&c)
		if _, err := s.RecordIntent(t.Context(), c, lifeline.Limits{}); lifeline.CodeOf(err) != lifeline.CodeRefused {
			t.Errorf("another %s: %v", what, err)
		}
	}
	if got := s.approval(a.ID); got.State != lifeline.ApprovalApproved {
		t.Errorf("a refusal left it %s", got.State)
	}
	// The policy has changed since: a yes is not taken, a no would be.
	_, c := s.waiting("third")
	_, err := s.DecideApproval(t.Context(), c.ID, store.Decision{Approve: true, By: "person:ann", Digest: "another policy"})
	wantRefused(t, err, lifeline.RuleApproval, "is not the same any more")
	if err := s.decide(c, false); err != nil {
		t.Error(err)
	}
	s.sound()
}

// A clock that jumps never makes an approval last longer.
func approvalEnds(t *testing.T, open Open) {
	for _, tt := range []struct {
		name         string
		jump         time.Duration
		decide, used string
	}{
		{"late", time.Hour, "ended at", "ended at"},
		{"a day ahead", 24 * time.Hour, "ended at", "ended at"},
		{"a day back", -24 * time.Hour, "the clock was set back", "the clock was set back"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSuite(t, open)
			_, pending := s.waiting("pending")
			id, approved := s.waiting("approved")
			if err := s.decide(approved, true); err != nil {
				t.Fatal(err)
			}
			s.later(tt.jump)
			wantRefused(t, s.decide(pending, true), lifeline.RuleApproval, tt.decide)
			_, err := s.RecordIntent(t.Context(), under(approved), lifeline.Limits{})
			wantRefused(t, err, lifeline.RuleApproval, tt.used)
			if inc := s.incident(id); inc.Changes != 0 {
				t.Error("it ran")
			}
			s.sound()
		})
	}
	s := newSuite(t, open)
	id, a := s.waiting("k")
	for range 2 { // idempotent
		if err := s.ExpireApproval(t.Context(), a.ID, "respond", "nobody answered"); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.approval(a.ID); got.State != lifeline.ApprovalExpired || got.Decision != "nobody answered" {
		t.Errorf("%+v", got)
	}
	wantRefused(t, s.decide(a, true), lifeline.RuleApproval, "is expired already")
	// The end of an incident ends what was asked about it.
	_, b := s.waiting("b")
	s.move(b.Request.IncidentID, lifeline.StateEscalated)
	if got := s.approval(b.ID); got.State != lifeline.ApprovalExpired {
		t.Errorf("after its incident's end: %+v", got)
	}
	_, err := s.RequestApproval(t.Context(), asks("late", b.Request.IncidentID), time.Hour, lifeline.Limits{})
	wantRefused(t, err, lifeline.RuleApproval, "nobody is asked any more")
	s.move(id, lifeline.StateEscalated)
	s.sound()
}

// The alert is gone: neither is a yes taken nor one that was taken used.
func approvalAfterResolved(t *testing.T, open Open) {
	s := newSuite(t, open)
	_, pending := s.waiting("pending")
	_, approved := s.waiting("approved")
	if err := s.decide(approved, true); err != nil {
		t.Fatal(err)
	}
	s.receive(gone("pending", "f"))
	s.receive(gone("approved", "f"))
	wantRefused(t, s.decide(pending, true), lifeline.RuleApproval, "the alert has resolved")
	_, err := s.RecordIntent(t.Context(), under(approved), lifeline.Limits{})
	wantRefused(t, err, lifeline.RuleResolved, "the alert has resolved")
	s.sound()
}

// Of many who answer or run at the same time, one does.
func approvalOnce(t *testing.T, open Open) {
	const many = 8
	s := newSuite(t, open)
	_, a := s.waiting("k")
	race := func(try func(i int) error) int {
		var wg sync.WaitGroup
		var mu sync.Mutex
		done := 0
		start := make(chan struct{})
		for i := range many {
			wg.Go(func() {
				<-start
				if err := try(i); err == nil {
					mu.Lock()
					done++
					mu.Unlock()
				} else if lifeline.CodeOf(err) != lifeline.CodeRefused {
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
		return done
	}
	if n := race(func(int) error { return s.decide(a, true) }); n != 1 {
		t.Errorf("approved %d times", n)
	}
	n := race(func(i int) error {
		c := under(a)
		c.ID = name("run", i)
		_, err := s.RecordIntent(t.Context(), c, lifeline.Limits{})
		return err
	})
	if n != 1 {
		t.Errorf("run %d times", n)
	}
	s.sound()
}

func approvalLists(t *testing.T, open Open) {
	s := newSuite(t, open)
	first, a := s.waiting("a")
	_, b := s.waiting("b")
	s.move(first, lifeline.StateEscalated)
	a = s.approval(a.ID)
	for what, tt := range map[string]struct {
		got  func() ([]lifeline.Approval, error)
		want []lifeline.Approval
	}{
		"all":     {func() ([]lifeline.Approval, error) { return s.Approvals(t.Context(), "") }, []lifeline.Approval{a, b}},
		"of one":  {func() ([]lifeline.Approval, error) { return s.Approvals(t.Context(), first) }, []lifeline.Approval{a}},
		"of none": {func() ([]lifeline.Approval, error) { return s.Approvals(t.Context(), "inc_none") }, []lifeline.Approval{}},
		"awaited": {func() ([]lifeline.Approval, error) { return s.AwaitedApprovals(t.Context()) }, []lifeline.Approval{b}},
	} {
		got, err := tt.got()
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", what, err, diff)
		}
	}
	_, err := s.Approval(t.Context(), "apr_")
	wantCode(t, err, lifeline.CodeNotFound)
	for _, none := range []string{"", "apr_x", "%"} {
		_, err := s.Approval(t.Context(), none)
		wantCode(t, err, lifeline.CodeNotFound)
		_, err = s.DecideApproval(t.Context(), none, store.Decision{})
		wantCode(t, err, lifeline.CodeNotFound)
	}
}

func approvalLink(t *testing.T, open Open) {
	s := newSuite(t, open)
	_, a := s.waiting("a")
	_, b := s.waiting("b")
	token := s.SignApproval(a)
	got, err := s.ApprovalByToken(t.Context(), token)
	if err != nil || got.ID != a.ID {
		t.Fatalf("%+v, %v", got, err)
	}
	if strings.ContainsAny(token, "/+=&?#% ") {
		t.Errorf("%s does not stand in a URL as it is", token)
	}
	_, signature, _ := strings.Cut(token, ".")
	tampered := []byte(token)
	tampered[len(tampered)-3] ^= 1
	otherDigest := a
	otherDigest.Digest = "another"
	for what, bad := range map[string]string{
		"nothing": "", "an ID alone": a.ID, "an empty signature": a.ID + ".", "another approval's": b.ID + "." + signature,
		"no approval's": "apr_none." + signature, "changed": string(tampered), "cut": token[:len(token)-1], "longer": token + "A",
		"for another command": s.SignApproval(otherDigest), "of another database": newSuite(t, open).SignApproval(a),
	} {
		if _, err := s.ApprovalByToken(t.Context(), bad); lifeline.CodeOf(err) != lifeline.CodeRefused {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.later(time.Hour)
	_, err = s.ApprovalByToken(t.Context(), token)
	wantRefused(t, err, lifeline.RuleApproval, "not valid, or not any more")
}
