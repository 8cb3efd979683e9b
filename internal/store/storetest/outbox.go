package storetest

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
)

// told is a message about an incident.
func told(channel, incident, title string) lifeline.Notification {
	return lifeline.Notification{Channel: channel, IncidentID: incident, Kind: lifeline.NotifyEscalated, Severity: "critical", Title: title, Body: "b", Code: "c", Foot: "f", Seq: 7}
}

// queued stores messages and gives them as they wait.
func (s *suite) queued(channel string, ns ...lifeline.Notification) []lifeline.Notification {
	s.t.Helper()
	at, err := s.NotificationCursor(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if done, err := s.QueueNotifications(s.t.Context(), at, at+1, ns); err != nil || !done {
		s.t.Fatalf("queued: %v, %v", done, err)
	}
	return s.waitingFor(channel)
}

func (s *suite) waitingFor(channel string) []lifeline.Notification {
	s.t.Helper()
	ns, err := s.WaitingNotifications(s.t.Context(), channel, 100)
	if err != nil {
		s.t.Fatal(err)
	}
	return ns
}

// notificationCursor: nobody is told of what was before the first start, and
// afterwards each event is handed out once.
func notificationCursor(t *testing.T, open Open) {
	s := newSuite(t, open)
	s.receive(firing("before", "f"))
	first, err := s.NotificationCursor(t.Context())
	if err != nil || first == 0 {
		t.Fatalf("the first place: %d, %v", first, err)
	}
	if old, err := s.EventsAfter(t.Context(), first, 10); err != nil || len(old) != 0 {
		t.Errorf("history: %v, %v", old, err)
	}
	id := s.receive(firing("after", "f")).IncidentID
	again, err := s.NotificationCursor(t.Context())
	if err != nil || again != first {
		t.Errorf("the place moved by itself from %d to %d, %v", first, again, err)
	}
	stored, err := s.Events(t.Context(), id, 0)
	if err != nil || len(stored) < 2 {
		t.Fatalf("%v, %v", stored, err)
	}
	events, err := s.EventsAfter(t.Context(), first, 100)
	if diff := cmp.Diff(stored, events); err != nil || diff != "" {
		t.Errorf("events: %v (-of the incident +after):\n%s", err, diff)
	}
	if one, err := s.EventsAfter(t.Context(), first, 1); err != nil || len(one) != 1 || one[0].Seq != first+1 {
		t.Errorf("one: %v, %v", one, err)
	}
	last := events[len(events)-1].Seq
	done, err := s.QueueNotifications(t.Context(), first, last, []lifeline.Notification{told("a", id, "x")})
	if err != nil || !done {
		t.Fatalf("%v, %v", done, err)
	}
	done, err = s.QueueNotifications(t.Context(), first, last, []lifeline.Notification{told("a", id, "twice")})
	if err != nil || done {
		t.Errorf("twice: %v, %v", done, err)
	}
	if now, err := s.NotificationCursor(t.Context()); err != nil || now != last {
		t.Errorf("the place is %d, want %d, %v", now, last, err)
	}
	if ns := s.waitingFor("a"); len(ns) != 1 || ns[0].Title != "x" {
		t.Errorf("waiting: %+v", ns)
	}
	s.sound()
}

func outbox(t *testing.T, open Open) {
	s := newSuite(t, open)
	urgent := told("a", "inc_3", "third")
	urgent.Urgent, urgent.Kind, urgent.ApprovalID, urgent.Seq = true, lifeline.NotifyApproval, "apr_1", 9
	odd := told("a", "inc_2", "second \x1b[2J'); DROP TABLE outbox; --")
	odd.Seq, odd.Attempts, odd.Fate, odd.SentAt = 8, 9, "what somebody made up", began()
	ns := s.queued("a", told("a", "inc_1", "first"), odd, urgent, told("b", "inc_1", "elsewhere"))
	var titles []string
	for _, n := range ns {
		titles = append(titles, n.Title)
	}
	if diff := cmp.Diff([]string{"third", "first", odd.Title}, titles); diff != "" {
		t.Fatalf("in order (-want +got):\n%s", diff)
	}
	want := urgent
	want.ID, want.CreatedAt = ns[0].ID, ns[0].CreatedAt
	if diff := cmp.Diff(want, ns[0]); diff != "" || !strings.HasPrefix(want.ID, "ntf_") || want.CreatedAt.IsZero() {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if one, err := s.WaitingNotifications(t.Context(), "a", 1); err != nil || len(one) != 1 || one[0].Title != "third" {
		t.Errorf("one: %v, %v", one, err)
	}
	counts, err := s.CountNotifications(t.Context())
	if diff := cmp.Diff(map[string]lifeline.NotificationCount{"a": {Waiting: 3}, "b": {Waiting: 1}}, counts); err != nil || diff != "" {
		t.Errorf("counted: %v (-want +got):\n%s", err, diff)
	}
	if err := s.EndNotifications(t.Context(), "sent", ns[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := s.EndNotifications(t.Context(), "merged", ns[0].ID, ns[1].ID); err != nil {
		t.Fatal(err)
	}
	all, err := s.Notifications(t.Context(), true)
	if err != nil || len(all) != 4 {
		t.Fatalf("%+v, %v", all, err)
	}
	fates := map[string]string{}
	for _, n := range all {
		fates[n.Title] = n.Fate
		if n.Waits() != (n.Fate == "") {
			t.Errorf("%s waits: %v", n.Title, n.Waits())
		}
	}
	if diff := cmp.Diff(map[string]string{"third": "sent", "first": "merged", odd.Title: "", "elsewhere": ""}, fates); diff != "" {
		t.Errorf("what happened first stays (-want +got):\n%s", diff)
	}
	left, err := s.Notifications(t.Context(), false)
	if err != nil || len(left) != 2 {
		t.Errorf("left: %+v, %v", left, err)
	}
	// What is old and ended is removed, what waits is kept.
	s.later(48 * time.Hour)
	if n, err := s.PruneNotifications(t.Context(), began().Add(24*time.Hour)); err != nil || n != 2 {
		t.Errorf("removed %d, %v", n, err)
	}
	if all, err := s.Notifications(t.Context(), true); err != nil || len(all) != 2 {
		t.Errorf("kept: %+v, %v", all, err)
	}
	s.sound()
}

func outboxFails(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := s.receive(firing("k", "f")).IncidentID
	second := told("a", id, "second")
	second.Seq = 8
	ns := s.queued("a", told("a", id, "first"), second)
	next := at(3600)
	if err := s.FailNotifications(t.Context(), "no route to host", next, ns[0].ID); err != nil {
		t.Fatal(err)
	}
	again := s.waitingFor("a")
	if len(again) != 2 || again[1].ID != ns[0].ID || again[1].Attempts != 1 || again[1].LastError != "no route to host" || !again[1].NotBefore.Equal(next) {
		t.Errorf("what failed least comes first: %+v", again)
	}
	before := len(s.kinds(id))
	if err := s.FailNotifications(t.Context(), "403 Forbidden", time.Time{}, ns[0].ID, ns[1].ID); err != nil {
		t.Fatal(err)
	}
	// Twice is once: what was given up stays so.
	if err := s.FailNotifications(t.Context(), "late", time.Time{}, ns[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := s.EndNotifications(t.Context(), "sent", ns[0].ID); err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), id, 0)
	if err != nil || len(events) != before+2 {
		t.Fatalf("%d events, %d before, %v", len(events), before, err)
	}
	last := events[len(events)-2]
	if last.Kind != lifeline.EventNotificationFailed || last.Actor != "notify" || !strings.Contains(last.Text, "nobody was told by a: first: given up after 2 attempt(s): 403 Forbidden") {
		t.Errorf("on record: %+v", last)
	}
	if strings.Contains(string(last.Data), `"body"`) {
		t.Errorf("the texts are on record twice: %s", last.Data)
	}
	counts, err := s.CountNotifications(t.Context())
	if diff := cmp.Diff(map[string]lifeline.NotificationCount{"a": {GivenUp: 2}}, counts); err != nil || diff != "" {
		t.Errorf("counted: %v (-want +got):\n%s", err, diff)
	}
	// A person lets them be tried again.
	for what, bad := range map[string]string{"no such": "ntf_none", "two": "ntf_"} {
		if _, err := s.RetryNotifications(t.Context(), bad); lifeline.CodeOf(err) != lifeline.CodeNotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.later(time.Hour)
	if n, err := s.RetryNotifications(t.Context(), ns[0].ID); err != nil || n != 1 {
		t.Errorf("one: %d, %v", n, err)
	}
	fresh := s.waitingFor("a")
	if len(fresh) != 1 || fresh[0].Attempts != 0 || !fresh[0].NotBefore.IsZero() || !fresh[0].CreatedAt.After(ns[0].CreatedAt.Add(time.Hour)) {
		t.Errorf("as if it were new: %+v", fresh)
	}
	if n, err := s.RetryNotifications(t.Context(), ""); err != nil || n != 2 {
		t.Errorf("all: %d, %v", n, err)
	}
	s.handedOn(id)
	s.sound()
}

func channelLease(t *testing.T, open Open) {
	s := newSuite(t, open)
	lease := func(channel, node string, want bool) {
		t.Helper()
		if got, err := s.LeaseChannel(t.Context(), channel, node, time.Minute); err != nil || got != want {
			t.Errorf("%s for %s: %v, %v; want %v", channel, node, got, err, want)
		}
	}
	lease("a", "one", true)
	lease("a", "two", false)
	lease("b", "two", true)
	s.later(30 * time.Second)
	lease("a", "one", true) // prolonged
	s.later(45 * time.Second)
	lease("a", "two", false)
	s.later(30 * time.Second)
	lease("a", "two", true) // the first has not come back
	lease("a", "one", false)
}

// outboxConcurrent: of many who turn the same events into messages one does, and
// of many who take a channel one gets it.
func outboxConcurrent(t *testing.T, open Open) {
	s := newSuite(t, open)
	from, err := s.NotificationCursor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	queued, leased := 0, 0
	for i := range 8 {
		wg.Go(func() {
			done, err := s.QueueNotifications(t.Context(), from, from+5, []lifeline.Notification{told("a", "", name("m", i))})
			mine, err2 := s.LeaseChannel(t.Context(), "a", name("node", i), time.Hour)
			if err != nil || err2 != nil {
				t.Error(err, err2)
			}
			mu.Lock()
			defer mu.Unlock()
			if done {
				queued++
			}
			if mine {
				leased++
			}
		})
	}
	wg.Wait()
	if ns := s.waitingFor("a"); queued != 1 || leased != 1 || len(ns) != 1 {
		t.Errorf("queued by %d, %d messages, leased by %d", queued, len(ns), leased)
	}
}
