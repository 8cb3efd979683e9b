package app

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline/internal/config"
)

// Every webhook of the running service: what it says becomes an incident,
// its end ends it, a test starts nothing, and the metrics name the source.
func TestWebhooksOfTheService(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "lifeline.yaml")
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("sesame-of-the-test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The alerts are about a host that is not configured: nothing runs anywhere.
	cfg, err := config.Parse(file, []byte(`
hosts: {nexus: {address: 127.0.0.1:1}}
responder: runbook
listen: 127.0.0.1:0
store: {url: "sqlite:lifeline.db"}
webhook:
  token_file: token
  generic:
    shell: {name: what, status: code, firing: "1", resolved: "0", ignored: "3", test: try, labels: {host: where}}
`))
	if err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), cfg, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Stop(t.Context()) })
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, contentType, body string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+a.Address()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer sesame-of-the-test")
		r.Header.Set("Content-Type", contentType)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s %s: %s, %v: %s", method, path, resp.Status, err, answer)
		}
		return string(answer)
	}
	const jsonType, form = "application/json", "application/x-www-form-urlencoded"
	group := `{"status": "%s", "groupKey": "{}:{}", "alerts": [{"status": "%s", "labels": {"alertname": "%s", "host": "elsewhere"}, "fingerprint": "%s"}]}`
	monitor := `{"heartbeat": {"status": %d}, "monitor": {"id": 1, "name": "shop", "url": "https://shop.example.net"}, "msg": "m"}`
	for _, status := range []string{"firing", "resolved"} {
		ask("POST", "/webhook/alertmanager", jsonType, fmt.Sprintf(group, status, status, "A", "aaaa"))
		ask("POST", "/webhook/grafana", jsonType, fmt.Sprintf(group, status, status, "G", "bbbb"))
		ask("POST", "/webhook/generic", form, "name=D&host=elsewhere&status="+status)
		up := slices.Index([]string{"firing", "resolved"}, status)
		ask("POST", "/webhook/uptime-kuma", jsonType, fmt.Sprintf(monitor, up))
		ask("POST", "/webhook/generic/shell", form, fmt.Sprintf("what=S&where=elsewhere&code=%d", 1-up))
	}
	ask("POST", "/webhook/alertmanager", jsonType, fmt.Sprintf(group, "firing", "firing", "TestAlert", "cccc"))
	ask("POST", "/webhook/grafana", jsonType, fmt.Sprintf(group, "firing", "firing", "TestAlert", "cccc"))
	ask("GET", "/webhook/uptime-kuma?msg=Lifeline+Testing", "", "")
	ask("POST", "/webhook/generic", form, "name=T&host=nexus&test=1")
	ask("POST", "/webhook/generic/shell", form, "what=T&where=nexus&try=yes")
	for _, answer := range []string{
		ask("POST", "/webhook/uptime-kuma", jsonType, fmt.Sprintf(monitor, 2)),
		ask("POST", "/webhook/uptime-kuma", jsonType, fmt.Sprintf(monitor, 3)),
		ask("POST", "/webhook/generic/shell", form, "what=S&where=elsewhere&code=3"),
	} {
		if strings.TrimSpace(answer) != `{"receipts":[]}` {
			t.Errorf("what is no alert was answered %s", answer)
		}
	}

	var got []string
	for line := range strings.SplitSeq(ask("GET", "/metrics", "", ""), "\n") {
		if rest, ok := strings.CutPrefix(line, "lifeline_alerts_received_total"); ok {
			got = append(got, rest)
		}
	}
	var want []string
	for _, source := range []string{"alertmanager", "generic", "generic:shell", "grafana", "uptime-kuma"} {
		for _, result := range []string{"opened", "resolved", "test"} {
			want = append(want, fmt.Sprintf(`{result=%q,source=%q} 1`, result, source))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lifeline_alerts_received_total (-want +got):\n%s", diff)
	}
}
