//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"lifeline"
)

// The proof of a repair where Alertmanager and Prometheus are asked: the alert is
// silenced while it is repaired, so that no webhook tells of its end; Alertmanager
// itself says that it is gone, Prometheus that the container runs, and the
// silence is gone afterwards.
func TestProofStory(t *testing.T) {
	dir := newDir(t)
	prometheus, alertmanager := freeAddress(t), freeAddress(t)
	w := &world{docker: startDockerd(t, dir)}
	w.service = startService(t, dir, w.docker)
	w.sshd = startSSHD(t, dir, "SetEnv DOCKER_HOST="+w.docker.host)
	w.lifeline = install(t, dir, w.sshd.knownHosts, nexus(w.sshd), fmt.Sprintf(`
respond: {max_changes: 2, verify_for: 3s, verify_timeout: 30s, alert_timeout: 60s}
responder: runbook
prometheus: {url: "http://%s"}
alertmanager: {url: "http://%s", silence_during_repair: true}
checks:
  - match: {alert: /Container.*/, kind: container}
    prometheus: 'container_running{host={{host}}, name=~"{{container}}"}'
  - match: {host: nexus}
    tcp: "%s"
    expect: /^SSH-2.0-/
`, prometheus, alertmanager, w.sshd.address))
	w.lifeline.serve(t)
	monitored := filepath.Join(dir, "monitoring")
	w.monitoring = &monitoring{
		alertmanager: startAlertmanagerAt(t, monitored, alertmanager, w.lifeline.url+"/webhook/alertmanager", w.lifeline.token),
	}
	w.monitoring.prometheus = startPrometheusAt(t, monitored, prometheus, startExporter(t, w.docker), alertmanager)

	w.docker.docker(t, "stop", scrypted)
	c := w.lifeline.ended(t)

	assertRepaired(t, w, c)
	var gone struct {
		By string `json:"by"`
	}
	if e := c.find(t, lifeline.EventAlertChecked); json.Unmarshal(e.Data, &gone) != nil || gone.By != "alertmanager" {
		t.Errorf("Alertmanager's word on the alert: %s %s", e.Text, e.Data)
	}
	if got := c.received(lifeline.AlertResolved); got != 0 {
		t.Errorf("%d webhooks told of the alert's end, although it was silenced", got)
	}
	var proof struct {
		Checks []struct {
			Check, Detail string
			OK            bool
		} `json:"checks"`
	}
	if err := json.Unmarshal(c.find(t, lifeline.EventVerified).Data, &proof); err != nil {
		t.Fatal(err)
	}
	found := ""
	for _, check := range proof.Checks {
		found += fmt.Sprintf("%v %s: %s\n", check.OK, check.Check, check.Detail)
	}
	for _, want := range []string{
		`true Prometheus container_running{host="nexus", name=~"scrypted"}: 1 sample, 1`,
		"true TCP " + w.sshd.address + ": connected, /^SSH-2.0-/ matches",
	} {
		if !strings.Contains(found, want) {
			t.Errorf("the proof is\n%swant in it %s", found, want)
		}
	}
	assertSilenced(t, w, c)
	w.shutDown(t)
}

// assertSilenced wants one silence, ours, that has ended.
func assertSilenced(t *testing.T, w *world, c caseFile) {
	t.Helper()
	silenced, removed := c.find(t, lifeline.EventSilenced), c.find(t, lifeline.EventUnsilenced)
	if strings.Contains(silenced.Text+removed.Text, "could not") {
		t.Errorf("%s; %s", silenced.Text, removed.Text)
	}
	started := c.find(t, lifeline.EventCommandStarted)
	for _, e := range c.Events {
		if e.Kind == lifeline.EventCommandStarted && strings.Contains(e.Text, "docker start") {
			started = e
		}
	}
	if silenced.Seq > started.Seq || removed.Seq < started.Seq {
		t.Errorf("silenced at %d, changed at %d, the silence removed at %d", silenced.Seq, started.Seq, removed.Seq)
	}
	var silences []struct {
		Status             struct{ State string }
		CreatedBy, Comment string
		Matchers           []struct{ Name, Value string }
	}
	if err := getJSON(t, "http://"+w.monitoring.alertmanager+"/api/v2/silences", &silences); err != nil {
		t.Fatal(err)
	}
	if len(silences) != 1 || silences[0].Status.State != "expired" || silences[0].CreatedBy != "lifeline" ||
		!strings.Contains(silences[0].Comment, c.Incident.ID) || len(silences[0].Matchers) < 4 {
		t.Errorf("silences at Alertmanager: %+v; want one of incident %s that has ended", silences, c.Incident.ID)
	}
}

// received counts the alerts of a status that came in.
func (c caseFile) received(status lifeline.AlertStatus) (n int) {
	for _, a := range c.Alerts {
		if a.Status == status {
			n++
		}
	}
	return n
}
