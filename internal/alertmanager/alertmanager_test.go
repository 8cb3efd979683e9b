package alertmanager_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/alertmanager"
)

// member is an Alertmanager: what it knows and what it was asked.
type member struct {
	*httptest.Server
	mu       sync.Mutex
	started  time.Time
	alerts   []map[string]any
	silences map[string]*alertmanager.Silence
	asked    []string
	fails    int // the status that it answers with
}

func newMember(t *testing.T) *member {
	t.Helper()
	m := &member{started: time.Now().Add(-time.Hour), silences: map[string]*alertmanager.Silence{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v2/alerts", func(w http.ResponseWriter, r *http.Request) {
		m.asked = append(m.asked, strings.Join(r.URL.Query()["filter"], " "))
		m.send(w, m.alerts)
	})
	mux.HandleFunc("GET /api/v2/status", func(w http.ResponseWriter, _ *http.Request) {
		m.send(w, map[string]any{"uptime": m.started})
	})
	mux.HandleFunc("GET /api/v2/silences", func(w http.ResponseWriter, _ *http.Request) {
		all := []*alertmanager.Silence{}
		for _, s := range m.silences {
			all = append(all, s)
		}
		m.send(w, all)
	})
	mux.HandleFunc("POST /api/v2/silences", func(w http.ResponseWriter, r *http.Request) {
		var s alertmanager.Silence
		if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if s.ID == "" {
			s.ID = fmt.Sprintf("s%d", len(m.silences)+1)
		}
		s.Status = &alertmanager.Status{State: "active"}
		m.silences[s.ID] = &s
		m.send(w, map[string]string{"silenceID": s.ID})
	})
	mux.HandleFunc("DELETE /api/v2/silence/{id}", func(w http.ResponseWriter, r *http.Request) {
		s := m.silences[r.PathValue("id")]
		if s == nil || s.Status.State == "expired" {
			http.Error(w, `"silence already expired"`, http.StatusInternalServerError)
			return
		}
		s.Status.State = "expired"
	})
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.fails != 0 {
			http.Error(w, "no\n\x1b[31m", m.fails)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *member) send(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func (m *member) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func client(t *testing.T, members ...*member) *alertmanager.Client {
	t.Helper()
	cfg := alertmanager.Config{Token: "tok"}
	for _, m := range members {
		cfg.URLs = append(cfg.URLs, m.URL+"/")
	}
	c, err := alertmanager.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func down(name string) lifeline.Alert {
	return lifeline.Alert{Source: "alertmanager", Name: "ContainerDown", Fingerprint: "f-" + name, StartsAt: time.Now().Add(-time.Minute),
		Labels: map[string]string{"alertname": "ContainerDown", "host": "nexus", "container": name}}
}

func gettable(a lifeline.Alert) map[string]any {
	return map[string]any{"labels": a.Labels, "fingerprint": a.Fingerprint, "status": map[string]string{"state": "suppressed"}}
}

func TestFiring(t *testing.T) {
	m := newMember(t)
	c := client(t, m)
	web, db := down("web"), down("db")
	ask := func(alerts ...lifeline.Alert) string {
		firing, err := c.Firing(t.Context(), alerts)
		return fmt.Sprint(firing, " ", err)
	}
	if got := ask(web); got != "false <nil>" {
		t.Errorf("nothing fires: %s", got)
	}
	m.set(func() { m.alerts = []map[string]any{gettable(web)} })
	if got := ask(web); got != "true <nil>" {
		t.Errorf("it fires: %s", got)
	}
	if got := ask(db); got != "false <nil>" {
		t.Errorf("another one fires: %s", got)
	}
	if got := ask(db, web); got != "true <nil>" {
		t.Errorf("one of two fires: %s", got)
	}
	old := web // from a sender without fingerprints
	old.Fingerprint = lifeline.LabelFingerprint(old.Labels)
	if got := ask(old); got != "true <nil>" {
		t.Errorf("by its labels: %s", got)
	}
	if want := `alertname="ContainerDown" container="web" host="nexus"`; !slices.Contains(m.asked, want) {
		t.Errorf("asked for %q, want %s", m.asked, want)
	}
	many := []lifeline.Alert{}
	for i := range 50 {
		many = append(many, down(fmt.Sprint("c", i)))
	}
	m.set(func() { m.asked = nil })
	if got := ask(append(many, web)...); got != "true <nil>" || len(m.asked) != 1 {
		t.Errorf("one of many, in %d questions: %s", len(m.asked), got)
	}
	if got := ask(); !strings.Contains(got, "about no alert") {
		t.Errorf("about nothing: %s", got)
	}
}

// What the server was not told of, or we do not know, is not "does not fire".
func TestFiringCannotBeTold(t *testing.T) {
	m := newMember(t)
	c := client(t, m)
	web := down("web")
	m.set(func() { m.started = time.Now().Add(-30 * time.Second) })
	if _, err := c.Firing(t.Context(), []lifeline.Alert{web}); err == nil || !strings.Contains(err.Error(), "after the alert") {
		t.Errorf("just started: %v", err)
	}
	older := web
	older.StartsAt = time.Now().Add(-time.Second)
	if firing, err := c.Firing(t.Context(), []lifeline.Alert{older}); firing || err != nil {
		t.Errorf("started before the alert: %v, %v", firing, err)
	}
	m.set(func() { m.started = time.Time{} })
	if _, err := c.Firing(t.Context(), []lifeline.Alert{web}); err == nil || !strings.Contains(err.Error(), "since when") {
		t.Errorf("it does not say since when it runs: %v", err)
	}
	hidden := down("web")
	hidden.Fingerprint, hidden.Labels["url"] = "", "http://a:[redacted: url-password]@b"
	if _, err := c.Firing(t.Context(), []lifeline.Alert{hidden}); err == nil || !strings.Contains(err.Error(), "a secret was taken out") {
		t.Errorf("redacted: %v", err)
	}
	// With a fingerprint the alert is found, and the secret is not asked for.
	hidden.Fingerprint = "f-web"
	m.set(func() {
		m.started, m.alerts, m.asked = time.Now().Add(-time.Hour), []map[string]any{gettable(web)}, nil
	})
	if firing, err := c.Firing(t.Context(), []lifeline.Alert{hidden}); !firing || err != nil || strings.Contains(strings.Join(m.asked, ""), "redacted") {
		t.Errorf("redacted, with a fingerprint: %v, %v, asked %q", firing, err, m.asked)
	}
}

func TestCluster(t *testing.T) {
	gone, m := newMember(t), newMember(t)
	gone.Close()
	web := down("web")
	m.set(func() { m.alerts = []map[string]any{gettable(web)} })
	if firing, err := client(t, gone, m).Firing(t.Context(), []lifeline.Alert{web}); !firing || err != nil {
		t.Errorf("the second member knows: %v, %v", firing, err)
	}
	_, err := client(t, gone).Firing(t.Context(), []lifeline.Alert{web})
	if err == nil || !strings.Contains(err.Error(), gone.URL) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("nobody answers: %v", err)
	}
	refuses, never := newMember(t), newMember(t)
	refuses.fails = http.StatusUnauthorized
	if _, err := client(t, refuses, never).Firing(t.Context(), []lifeline.Alert{web}); err == nil || !strings.Contains(err.Error(), "status 401: no") || len(never.asked) > 0 {
		t.Errorf("refused: %v; the next was asked %q", err, never.asked)
	}
}

func TestSilence(t *testing.T) {
	m := newMember(t)
	c := client(t, m)
	web := down("web")
	id, err := c.Silence(t.Context(), web, "incident inc_1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Silence(t.Context(), web, "incident inc_1", time.Hour)
	if err != nil || again != id || len(m.silences) != 1 {
		t.Errorf("a repetition made %s of %d silences, want %s: %v", again, len(m.silences), id, err)
	}
	s := *m.silences[id]
	yes := new(true)
	want := []alertmanager.Matcher{{Name: "alertname", Value: "ContainerDown", IsEqual: yes}, {Name: "container", Value: "web", IsEqual: yes}, {Name: "host", Value: "nexus", IsEqual: yes}}
	if diff := cmp.Diff(want, s.Matchers); diff != "" || s.CreatedBy != alertmanager.Owner {
		t.Errorf("matchers (-want +got):\n%s", diff)
	}
	if left := time.Until(s.EndsAt); left < 50*time.Minute || left > time.Hour {
		t.Errorf("the prolonged silence lasts %s more", left)
	}
	if other, err := c.Silence(t.Context(), web, "incident inc_2", time.Minute); err != nil || other == id {
		t.Errorf("another incident's silence is %s: %v", other, err)
	}
	for range 2 { // the second finds it ended
		if err := c.Expire(t.Context(), id); err != nil {
			t.Errorf("expire: %v", err)
		}
	}
	if left, err := c.Silences(t.Context()); err != nil || len(left) != 1 || left[0].Comment != "incident inc_2" {
		t.Errorf("silences %+v, %v", left, err)
	}
	m.fails = http.StatusBadGateway
	if err := c.Expire(t.Context(), "s2"); err == nil || !strings.Contains(err.Error(), "status 502") {
		t.Errorf("expire at a broken server: %v", err)
	}

	for name, labels := range map[string]map[string]string{
		"has no label alertname": {"host": "nexus"},
		"a secret was taken out": {"alertname": "X", "token": "[redacted: token]"},
	} {
		if _, err := c.Silence(t.Context(), lifeline.Alert{Name: "X", Labels: labels}, "c", time.Minute); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: %v", labels, err)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	for name, body := range map[string]string{
		"longer than 16 MiB": "[" + strings.Repeat(" ", 17<<20) + "]",
		"cannot be read":     "<html>",
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Basic YW06cHc=" {
				t.Errorf("Authorization: %q", r.Header.Get("Authorization"))
			}
			fmt.Fprint(w, body)
		}))
		c, err := alertmanager.New(alertmanager.Config{URLs: []string{s.URL}, Username: "am", Password: "pw"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Silences(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		c.Close()
		s.Close()
	}
}

func TestConfig(t *testing.T) {
	for _, urls := range [][]string{nil, {"am:9093"}, {"http://a:b@am"}, {"ftp://am"}} {
		if _, err := alertmanager.New(alertmanager.Config{URLs: urls}); err == nil {
			t.Errorf("took %q", urls)
		}
	}
	cfg := alertmanager.Config{Password: "hunter2", Token: "hunter3"}
	if got := fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg); strings.Contains(got, "hunter") {
		t.Errorf("printed as %s", got)
	}
}
