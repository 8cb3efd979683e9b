//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// monitoring is Prometheus and Alertmanager as someone runs them who watches
// containers, only with shorter intervals.
type monitoring struct {
	prometheus, alertmanager string // host:port
}

// startMonitoring watches the containers of a docker daemon and tells webhook
// what it sees. The webhook wants token.
func startMonitoring(t *testing.T, dir string, d *dockerd, webhook, token string) *monitoring {
	t.Helper()
	dir = filepath.Join(dir, "monitoring")
	m := &monitoring{alertmanager: startAlertmanager(t, dir, webhook, token)}
	m.prometheus = startPrometheus(t, dir, startExporter(t, d), m.alertmanager)
	return m
}

// startExporter serves the state of the daemon's containers as a metric, as an
// exporter does that stands beside the daemon. A scrape that cannot ask the
// daemon fails: a missing answer is not a stopped container.
func startExporter(t *testing.T, d *dockerd) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var containers []struct {
			Names []string
			State string
		}
		if err := d.get(r.Context(), "/containers/json?all=1", &containers); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprintln(w, "# TYPE container_running gauge")
		for _, c := range containers {
			running := 0
			if c.State == "running" {
				running = 1
			}
			fmt.Fprintf(w, "container_running{host=\"nexus\",name=%q} %d\n", strings.TrimPrefix(c.Names[0], "/"), running)
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func startPrometheus(t *testing.T, dir, exporter, alertmanager string) string {
	t.Helper()
	return startPrometheusAt(t, dir, freeAddress(t), exporter, alertmanager)
}

// startPrometheusAt is startPrometheus where Lifeline is told the address first.
func startPrometheusAt(t *testing.T, dir, address, exporter, alertmanager string) string {
	t.Helper()
	writeFile(t, filepath.Join(dir, "rules.yml"), `
groups:
  - name: containers
    rules:
      - alert: ContainerDown
        expr: container_running == 0
        labels:
          severity: critical
          container: '{{ $labels.name }}'
        annotations:
          summary: 'The container {{ $labels.name }} on {{ $labels.host }} is down'
`)
	config := writeFile(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(`
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [rules.yml]
scrape_configs:
  - job_name: docker
    static_configs: [{targets: ['%s']}]
alerting:
  alertmanagers:
    - static_configs: [{targets: ['%s']}]
`, exporter, alertmanager))
	p := start(t, dir, "prometheus", os.Environ(), "prometheus",
		"--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "tsdb"),
		"--web.listen-address", address, "--log.level", "warn")
	p.ready(t, func() error {
		var found struct {
			Data struct {
				Result []json.RawMessage `json:"result"`
			} `json:"data"`
		}
		if err := getJSON(t, "http://"+address+"/api/v1/query?query=container_running", &found); err != nil {
			return err
		}
		if len(found.Data.Result) == 0 {
			return fmt.Errorf("it has no sample of container_running yet")
		}
		return nil
	})
	return address
}

func startAlertmanager(t *testing.T, dir, webhook, token string) string {
	t.Helper()
	return startAlertmanagerAt(t, dir, freeAddress(t), webhook, token)
}

// startAlertmanagerAt is startAlertmanager where Lifeline is told the address
// first.
func startAlertmanagerAt(t *testing.T, dir, address, webhook, token string) string {
	t.Helper()
	config := writeFile(t, filepath.Join(dir, "alertmanager.yml"), fmt.Sprintf(`
route:
  receiver: lifeline
  group_by: [alertname, host, name]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: lifeline
    webhook_configs:
      - url: '%s'
        send_resolved: true
        http_config:
          authorization: {type: Bearer, credentials: '%s'}
`, webhook, token))
	p := start(t, dir, "alertmanager", os.Environ(), "prometheus-alertmanager",
		"--config.file", config, "--storage.path", filepath.Join(dir, "alertmanager"),
		"--web.listen-address", address, "--cluster.listen-address=", "--log.level", "info")
	p.ready(t, func() error { return getJSON(t, "http://"+address+"/api/v2/status", nil) })
	return address
}

// firing lists the names of the containers that Alertmanager has an alert for.
func (m *monitoring) firing(t *testing.T) ([]string, error) {
	t.Helper()
	var alerts []struct {
		Labels map[string]string `json:"labels"`
	}
	if err := getJSON(t, "http://"+m.alertmanager+"/api/v2/alerts?active=true", &alerts); err != nil {
		return nil, err
	}
	names := []string{}
	for _, a := range alerts {
		names = append(names, a.Labels["container"])
	}
	return names, nil
}

// getJSON asks a program of the story over HTTP.
func getJSON(t *testing.T, url string, into any) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	return doJSON(&http.Client{Timeout: 10 * time.Second}, req, into)
}

// doJSON asks for a 200 with JSON; into may be nil.
func doJSON(client *http.Client, req *http.Request, into any) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %.300s", req.URL, resp.Status, body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}
