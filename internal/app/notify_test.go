package app

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/notify"
	"lifeline/internal/store"
	"lifeline/internal/web"
)

// What docs/notifications.md shows works: each configuration, and each URL.
func TestNotificationExamples(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "notifications.md"))
	if err != nil {
		t.Fatal(err)
	}
	configurations, urls := 0, 0
	for _, m := range regexp.MustCompile("(?s)```(yaml|text)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if m[1] == "yaml" {
			configurations++
			cfg, err := config.Parse("/etc/lifeline/lifeline.yaml", []byte(m[2]))
			if err == nil {
				err = cfg.Validate()
			}
			if err != nil {
				t.Errorf("%v\n%s", err, m[2])
			}
			continue
		}
		for url := range strings.FieldsSeq(m[2]) {
			urls++
			if err := notify.CheckURL(url); err != nil {
				t.Errorf("%s: %v", url, err)
			}
		}
	}
	if configurations < 2 || urls < 6 {
		t.Errorf("%d configurations and %d URLs were found", configurations, urls)
	}
}

// asked opens a database in which one approval waits.
func asked(t *testing.T, valid time.Duration, more string) (*App, lifeline.Approval) {
	t.Helper()
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "lifeline.yaml"), []byte("hosts: {nexus: {address: 127.0.0.1, mode: suggest}}\n"+more))
	if err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	record, err := store.Open(t.Context(), cfg.Store.URL, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { record.Close() })
	nothing := func(context.Context, *sql.Tx, lifeline.Incident) error { return nil }
	receipts, err := record.ReceiveAlerts(t.Context(), []lifeline.TriagedAlert{{Key: "k", Target: lifeline.Target{Host: "nexus"},
		Alert: lifeline.Alert{Source: "alertmanager", Status: lifeline.AlertFiring, Name: "X", Fingerprint: "f"}}}, nothing, nothing)
	if err != nil {
		t.Fatal(err)
	}
	id := receipts[0].IncidentID
	for _, state := range []lifeline.State{lifeline.StateInvestigating} {
		if _, err := record.MoveIncident(t.Context(), id, state, "test", "because"); err != nil {
			t.Fatal(err)
		}
	}
	cmd := lifeline.Command{CommandRequest: lifeline.CommandRequest{ID: "c1", IncidentID: id, Host: "nexus", Command: "docker restart web", Actor: "model:m"},
		Canonical: "docker restart web", Class: "change", Decision: "ask"}
	cmd.Digest = digest(cfg, lifeline.Approval{Request: cmd.CommandRequest, Canonical: cmd.Canonical})
	cmd, err = record.RequestApproval(t.Context(), cmd, valid, lifeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	apr, err := record.Approval(t.Context(), cmd.ApprovalID)
	if err != nil {
		t.Fatal(err)
	}
	return &App{cfg: cfg, store: record}, apr
}

// The link of a message decides as the terminal does, once.
func TestDesk(t *testing.T) {
	a, apr := asked(t, time.Hour, "public_url: https://lifeline.example.net/\n")
	q, err := a.question(t.Context(), apr.ID)
	token, found := strings.CutPrefix(q.Link, "https://lifeline.example.net/approve/")
	if err != nil || !q.Open || q.Expired || !found {
		t.Fatalf("%+v, %v", q, err)
	}
	var d web.Desk = desk{a}
	got, inc, err := d.ByToken(t.Context(), token)
	if err != nil || got.ID != apr.ID || inc.ID != apr.Request.IncidentID {
		t.Errorf("%+v, %+v, %v", got, inc, err)
	}
	for _, bad := range []string{"", apr.ID, token + "x"} {
		if _, _, err := d.ByToken(t.Context(), bad); lifeline.CodeOf(err) != lifeline.CodeRefused {
			t.Errorf("%q: %v", bad, err)
		}
		if _, err := d.Decide(t.Context(), bad, true, "person:link", ""); lifeline.CodeOf(err) != lifeline.CodeRefused {
			t.Errorf("%q decides: %v", bad, err)
		}
	}
	// Under another policy a yes is not taken.
	old := a.cfg
	a.cfg, err = config.Parse(old.File(), []byte("hosts: {nexus: {address: 127.0.0.2, mode: suggest}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.Decide(t.Context(), token, true, "person:link", ""); lifeline.CodeOf(err) != lifeline.CodeRefused || got.State != lifeline.ApprovalPending {
		t.Errorf("another host: %+v, %v", got, err)
	}
	a.cfg = old
	if got, err := d.Decide(t.Context(), token, true, "person:link", "go on"); err != nil || got.State != lifeline.ApprovalApproved || got.DecidedBy != "person:link" || got.Decision != "go on" {
		t.Errorf("yes: %+v, %v", got, err)
	}
	if _, err := d.Decide(t.Context(), token, false, "person:link", ""); lifeline.CodeOf(err) != lifeline.CodeRefused {
		t.Errorf("twice: %v", err)
	}
	if q, err := a.question(t.Context(), apr.ID); err != nil || q.Open || q.Expired || q.Link != "" {
		t.Errorf("afterwards: %+v, %v", q, err)
	}
}

func TestQuestionThatNobodyAnswered(t *testing.T) {
	a, apr := asked(t, time.Microsecond, "")
	if q, err := a.question(t.Context(), apr.ID); err != nil || q.Open || !q.Expired || q.Link != "" {
		t.Errorf("%+v, %v", q, err)
	}
	if _, err := a.question(t.Context(), "apr_none"); lifeline.CodeOf(err) != lifeline.CodeNotFound {
		t.Error(err)
	}
	// An incident that ends closes its question: nobody has to be told any more.
	a, apr = asked(t, time.Hour, "")
	if _, err := a.store.MoveIncident(t.Context(), apr.Request.IncidentID, lifeline.StateEscalated, "test", "because"); err != nil {
		t.Fatal(err)
	}
	if q, err := a.question(t.Context(), apr.ID); err != nil || q.Open || q.Expired {
		t.Errorf("%+v, %v", q, err)
	}
}

// The secrets of a channel's URL are Lifeline's own, and a topic's name is none.
func TestRedactorKnowsTheChannels(t *testing.T) {
	t.Setenv("LIFELINE_TEST_CHAT", "ntfy://ann:hunter2secret@ntfy.example.net/alerts")
	cfg, err := config.Parse("lifeline.yaml", []byte("hosts: {a: {local: true}}\nnotify: {channels: {chat: {url_env: LIFELINE_TEST_CHAT}, gone: {url_env: LIFELINE_TEST_NONE}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	text, n := newRedactor(cfg).Text("alerts: hunter2secret was rejected")
	if n != 1 || strings.Contains(text, "hunter2") || !strings.HasPrefix(text, "alerts: ") {
		t.Errorf("%d: %s", n, text)
	}
}

// What waits is a metric, a channel without messages too.
func TestMessagesAreCounted(t *testing.T) {
	a, _ := asked(t, time.Hour, "")
	at, err := a.store.NotificationCursor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.store.QueueNotifications(t.Context(), at, at+1, []lifeline.Notification{{Channel: "phone", Kind: lifeline.NotifyOpened, Title: "x"}}); err != nil {
		t.Fatal(err)
	}
	m := newMetrics()
	m.notified("phone", "sent")
	m.notified("phone", "sent")
	registry := prometheus.NewRegistry()
	registry.MustRegister(outboxGauge{a.store, []string{"chat", "phone"}}, m.messages)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			line := f.GetName()
			for _, l := range metric.GetLabel() {
				line += " " + l.GetValue()
			}
			got = append(got, fmt.Sprint(line, " ", metric.GetGauge().GetValue()+metric.GetCounter().GetValue()))
		}
	}
	want := []string{"lifeline_notifications_total phone sent 2", "lifeline_notifications_waiting chat 0", "lifeline_notifications_waiting phone 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
