package intake_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
)

func TestGrafanaMessages(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for name, want := range map[string][]lifeline.Alert{
		"two": {{
			Source: "grafana", Status: "firing", Name: "Disk fills up",
			Labels: map[string]string{"alertname": "Disk fills up", "host": "atlas", "mountpoint": "/srv", "team": "green"},
			Annotations: map[string]string{"summary": "93 % of /srv", "valueString": "what the rule says", "dashboardURL": "https://grafana.example.net/d/disk",
				"imageURL": "https://grafana.example.net/img/1.png", "silenceURL": "https://grafana.example.net/alerting/silence/new"},
			StartsAt: at.Add(250 * time.Millisecond), Fingerprint: "a0a0a0a0a0a0a0a0", GeneratorURL: "https://grafana.example.net/alerting/grafana/d1/view?orgId=1",
		}, {
			Source: "grafana", Status: "resolved", Name: "Load", Labels: map[string]string{"alertname": "Load", "instance": "borealis:9100", "team": "green"},
			Annotations: map[string]string{}, StartsAt: time.Date(2026, 3, 4, 5, 0, 7, 0, time.UTC), EndsAt: at, Fingerprint: "b0b0b0b0b0b0b0b0",
		}},
		"no-data": {
			{Source: "grafana", Status: "firing", Name: "DatasourceNoData", Fingerprint: "c0c0c0c0c0c0c0c0", Annotations: map[string]string{},
				Labels: map[string]string{"alertname": "DatasourceNoData", "datasource_uid": "p1", "rulename": "Disk fills up", "ref_id": "A"}},
			{Source: "grafana", Status: "firing", Name: "DatasourceError", Fingerprint: "d0d0d0d0d0d0d0d0", Annotations: map[string]string{"Error": "connection refused"},
				Labels: map[string]string{"alertname": "DatasourceError", "datasource_uid": "p1", "rulename": "Load"}},
			{Source: "grafana", Status: "firing", Name: "WithoutStatus", Fingerprint: "e0e0e0e0e0e0e0e0", Annotations: map[string]string{},
				Labels: map[string]string{"alertname": "WithoutStatus"}},
			{Source: "grafana", Status: "resolved", Name: "WellAgain", Fingerprint: "f0f0f0f0f0f0f0f0", Annotations: map[string]string{},
				Labels: map[string]string{"alertname": "WellAgain"}},
		},
		"test": {{
			Source: "grafana", Status: "firing", Name: "TestAlert", Test: true, StartsAt: at, Fingerprint: "57c6d9296de2ad39", GeneratorURL: "?orgId=1",
			Labels:      map[string]string{"alertname": "TestAlert", "instance": "Grafana", "host": "atlas"},
			Annotations: map[string]string{"summary": "Notification test", "valueString": "[ var='B' ]"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			if w := s.do(to("POST", "/webhook/grafana", "application/json", fixtureOf(t, "grafana", name))); w.Code != 200 {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			if diff := cmp.Diff([][]lifeline.Alert{want}, s.got); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
			if got := s.logged("alerts_truncated") == 1; got != (name == "two") {
				t.Errorf("the log tells of truncated alerts: %v", got)
			}
		})
	}
}

// What is a test, and what only looks a little like one.
func TestGrafanaTests(t *testing.T) {
	const (
		made = "webhook-57c6d9296de2ad39-1770000000"
		real = `{}/{team=\"green\"}:{alertname=\"x\"}`
	)
	for _, tc := range []struct {
		name, instance, url, key, receiver string
		test                               bool
	}{
		{"TestAlert", "Grafana", "?orgId=1", made, "lifeline", true},
		{"TestAlert", "atlas", "https://g.example/x", made, "lifeline", true},
		{"TestAlert", "Grafana", "", real, "test", true},
		{"Renamed by its user", "Grafana", "", made, "lifeline", true},
		{"Renamed by its user", "atlas", "?orgId=1", "My team-57c6d9296de2ad39-1770000000", "My team", true},
		{"Disk fills up", "Grafana", "https://g.example/x", real, "test", false},
		{"Disk fills up", "Grafana", "?orgId=1", real, "lifeline", false},
		{"Disk fills up", "atlas", "https://g.example/x", made, "lifeline", false},
		{"Disk fills up", "Grafana", "https://g.example/x", "{}:{}", "lifeline", false},
		{"Disk fills up", "Grafana", "https://g.example/x", `{}:{a=\"-57c6d9296de2ad39-1770000000`, "lifeline", false},
		{"TestAlertHandler", "Grafana", "https://g.example/x", real, "test", false},
	} {
		body := strings.NewReplacer("<name>", tc.name, "<instance>", tc.instance, "<url>", tc.url, "<key>", tc.key, "<receiver>", tc.receiver).Replace(
			`{"receiver": "<receiver>", "groupKey": "<key>", "alerts": [{"status": "firing", "labels": {"alertname": "<name>", "instance": "<instance>"}, "generatorURL": "<url>"}]}`)
		for _, path := range []string{"/webhook/grafana", "/webhook/alertmanager"} {
			if a := one(t, to("POST", path, "application/json", body)); a.Test != tc.test {
				t.Errorf("%s: %+v is a test: %v", path, tc, a.Test)
			}
		}
	}
}

func TestGrafanaRefused(t *testing.T) {
	for body, want := range map[string]string{
		`{"ruleName": "old alerting", "state": "alerting"}`:                     "Grafana 9 or later",
		`{"alerts": [{"status": "pending", "labels": {"alertname": "a"}}]}`:     `got "pending"`,
		`{"alerts": [{"labels": {"alertname": "a"}, "annotations": {"x": 1}}]}`: "Want text",
	} {
		s := newServer(t)
		w := s.do(to("POST", "/webhook/grafana", "", body))
		if d := s.problem(w); w.Code != 400 || !strings.Contains(d.Detail, want) {
			t.Errorf("%s: status %d: %s", body, w.Code, d.Detail)
		}
	}
}
