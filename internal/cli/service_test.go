package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/lab"
	"lifeline/internal/llm/llmtest"
)

// logged is a log that can be waited on.
type logged struct {
	mu      sync.Mutex // guards what follows
	text    bytes.Buffer
	changed chan struct{} // closed at the next line
}

func newLogged() *logged { return &logged{changed: make(chan struct{})} }

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// until waits for a line and gives what the expression's group matched.
func (l *logged) until(t *testing.T, expression string) string {
	t.Helper()
	re := regexp.MustCompile(expression)
	for {
		l.mu.Lock()
		found, changed := re.FindStringSubmatch(l.text.String()), l.changed
		l.mu.Unlock()
		if found != nil {
			return found[len(found)-1]
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatalf("the log never says %q:\n%s", expression, l)
		}
	}
}

// service is "lifeline serve" with a scripted model and one simulated host, as
// its owner would have set it up.
type service struct {
	host    *lab.Host
	model   *llmtest.Server
	dir     string
	config  string
	log     *logged
	address string
	stop    func()
}

// ownKey and ownToken are secrets of Lifeline itself.
const (
	ownKey   = "key-of-the-model-4711"
	ownToken = "token-of-the-webhook-0815"
)

// startService starts everything. more is added to the configuration.
func startService(t *testing.T, world func(*lab.World), format, more string, turns ...llmtest.Turn) *service {
	t.Helper()
	return startServiceWith(t, world, format, more, func(config, _ string) string { return config }, turns...)
}

// startServiceWith is startService with a configuration that edit has the last
// word about; it is given the model's address too.
func startServiceWith(t *testing.T, world func(*lab.World), format, more string, edit func(config, model string) string, turns ...llmtest.Turn) *service {
	t.Helper()
	s := &service{dir: t.TempDir(), log: newLogged(), host: lab.NewHost("nexus", lab.Options{World: world, Pace: 0.01})}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("SSH_AUTH_SOCK", "")
	t.Setenv("HTTP_PROXY", "")
	simulated, err := lab.Start(t.Context(), s.host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { simulated.Close() })
	if s.model, err = llmtest.Start(llmtest.Config{APIKey: ownKey, Turns: turns}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.model.Close() })
	in := func(name string) string { return filepath.Join(s.dir, name) }
	s.config = in("lifeline.yaml")
	for _, err := range []error{
		s.host.WriteKnownHosts(in("known_hosts")), s.host.WriteIdentity(in("nexus.key")),
		os.WriteFile(in("model-key"), []byte(ownKey+"\n"), 0o600), os.WriteFile(in("webhook-token"), []byte(ownToken+"\n"), 0o600),
		os.WriteFile(in("ssh_config"), []byte("Host *\n  IdentityAgent none\n"), 0o600),
		os.WriteFile(s.config, []byte(edit(fmt.Sprintf(`
hosts:
  nexus: {address: %q, ssh_config: nexus, user: %s, identity: nexus.key, mode: auto}
ssh: {known_hosts: known_hosts, config: ssh_config}
model: {base_url: %q, api_key_file: model-key}
responder: model
webhook: {token_file: webhook-token}
listen: 127.0.0.1:0
store: {url: "sqlite:lifeline.db"}
respond: {verify_for: 10ms, verify_timeout: 20s, alert_timeout: 20s, approval_timeout: 2s}
log: {format: %s, level: debug}
%s`, s.host.Address(), s.host.User(), s.model.URL, format, more), s.model.URL)), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, []string{"serve", "-c", s.config}, IO{In: strings.NewReader(""), Out: s.log, Err: s.log})
	}()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if status := <-ended; status != 0 {
			t.Errorf("serve ended with status %d:\n%s", status, s.log)
		}
	})
	t.Cleanup(s.stop)
	s.address = s.log.until(t, `"?msg"?[=:]"?listening"?[ ,]"?address"?[=:]"?([0-9.:]+)`)
	return s
}

// post sends an alert about the container web.
func (s *service) post(t *testing.T, status lifeline.AlertStatus, labels, annotations map[string]string) {
	t.Helper()
	all := map[string]string{"alertname": "ContainerDown", "instance": "nexus:9100", "container": "web"}
	for k, v := range labels {
		all[k] = v
	}
	body, err := json.Marshal(map[string]any{"version": "4", "status": status, "alerts": []any{map[string]any{
		"status": status, "labels": all, "annotations": annotations, "startsAt": time.Now().UTC(), "fingerprint": "00000000deadbeef",
	}}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.address+"/webhook/alertmanager", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+ownToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the webhook answers %s", resp.Status)
	}
}

// command runs another command of the same installation.
func (s *service) command(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	Run(t.Context(), append([]string{"-c", s.config}, args...), IO{In: strings.NewReader(""), Out: &out, Err: &out})
	return out.String()
}

// caseOf is everything on record about the only incident.
func (s *service) caseOf(t *testing.T) (c struct {
	Incident lifeline.Incident
	Alerts   []lifeline.Alert
	Events   []lifeline.Event
	Commands []lifeline.Command
	Handover *lifeline.Handover
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.command(t, "incidents", "show", "inc_", "--json")), &c); err != nil {
		t.Fatal(err)
	}
	return c
}
