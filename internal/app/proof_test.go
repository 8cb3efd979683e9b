package app

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/runbook"
	"lifeline/runbooks"
)

func parsed(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "lifeline.yaml"), []byte(text))
	if err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// The checks of an attempt are those of the runbook and, after them, those of
// the configuration that match.
func TestChecksOfAnAttempt(t *testing.T) {
	cfg := parsed(t, `
hosts: {nexus: {address: "10.0.0.1:2222"}}
checks:
  - {match: {kind: container}, tcp: "{{address}}:80"}
  - {match: {alert: Other}, tcp: "{{address}}:81"}
  - {match: {kind: unit}, command: "systemctl is-active {{unit}}"}
`)
	books, err := runbook.Load(runbooks.FS())
	if err != nil {
		t.Fatal(err)
	}
	own, err := newOwnChecks(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &responders{cfg: cfg, books: books.WithAddresses(cfg.AddressOf), own: own}
	choice := r.Choose(lifeline.Alert{Name: "ContainerDown"}, lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"}, 1)
	if n := len(choice.Checks); n != 2 || choice.Checks[0].Command == "" {
		t.Fatalf("checks %+v", choice.Checks)
	}
	if diff := cmp.Diff(lifeline.Check{TCP: "10.0.0.1:80", Timeout: lifeline.CheckTimeout}, choice.Checks[1]); diff != "" {
		t.Errorf("the configuration's check (-want +got):\n%s", diff)
	}
	// What cannot be checked is not repaired: there would be no proof.
	choice = r.Choose(lifeline.Alert{Name: "ContainerDown"}, lifeline.Target{Host: "nexus", Kind: lifeline.TargetUnit, Name: "--now"}, 1)
	if choice.Responder != "" || !strings.Contains(choice.Why, "cannot be made") {
		t.Errorf("a target without a proper name: %+v", choice)
	}
}

func TestNothingIsSilencedWhereNothingIsChanged(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Method == http.MethodPost {
			w.Write([]byte(`{"silenceID": "s-1"}`))
			return
		}
		w.Write([]byte(`[]`))
	}))
	defer server.Close()
	cfg := parsed(t, "hosts: {seen: {address: a, mode: observe}, worked: {address: b, mode: auto}}\nalertmanager: {url: '"+server.URL+"', silence_during_repair: true}\n")
	client, err := newAlertmanager(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s := silencer{client, cfg}
	alerts := []lifeline.Alert{{Labels: map[string]string{"alertname": "X"}}}
	if ids, err := s.Silence(t.Context(), lifeline.Incident{ID: "inc_1", Target: lifeline.Target{Host: "seen"}}, alerts); len(ids) > 0 || err != nil || asked > 0 {
		t.Errorf("silences %v on a host that is only observed: %v", ids, err)
	}
	if ids, err := s.Silence(t.Context(), lifeline.Incident{ID: "inc_1", Target: lifeline.Target{Host: "worked"}}, alerts); err != nil || !cmp.Equal(ids, []string{"s-1"}) {
		t.Errorf("silences %v, %v", ids, err)
	}
	if got, want := s.lasts(), 10*time.Minute+time.Minute+20*time.Second+5*time.Minute; got != want {
		t.Errorf("a silence lasts %s, want %s", got, want)
	}
}

// What the configuration's servers must be told is secret like the rest.
func TestServersSecretsAreRedacted(t *testing.T) {
	cfg := parsed(t, `
hosts: {nexus: {address: a}}
prometheus: {url: "http://p:9090", token_file: prom}
alertmanager: {url: "http://a:9093", username: am, password_file: am}
`)
	for file, secret := range map[string]string{cfg.Prometheus.TokenFile: "swordfish-of-prometheus", cfg.Alertmanager.PasswordFile: "swordfish-of-alertmanager"} {
		if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, n := newRedactor(cfg).Text("swordfish-of-prometheus and swordfish-of-alertmanager"); n != 2 || strings.Contains(got, "swordfish") {
		t.Errorf("%s", got)
	}
}
