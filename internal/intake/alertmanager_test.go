package intake_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
)

// fixture is a message of Alertmanager in testdata.
func fixture(t testing.TB, name string) string { return fixtureOf(t, "alertmanager", name) }

// fixtureOf is a message of a sender in testdata.
func fixtureOf(t testing.TB, sender, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", sender, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAlertmanagerMessages(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	sparse := map[string]string{"alertname": "Sparse", "host": "atlas"}
	little := map[string]string{"summary": "little is said"}
	for name, want := range map[string][]lifeline.Alert{
		"container-down": {{
			Source: "alertmanager", Status: "firing", Name: "ContainerDown",
			Labels:       map[string]string{"alertname": "ContainerDown", "host": "atlas", "instance": "10.1.2.3:8080", "name": "jukebox", "severity": "critical"},
			Annotations:  map[string]string{"summary": "jukebox is down", "description": "The container jukebox on atlas has exited."},
			StartsAt:     at.Add(89 * time.Millisecond),
			Fingerprint:  "00112233aabbccdd",
			GeneratorURL: "http://prometheus.example.net:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
		}},
		// The sender says when it will forget the alert: it fires all the same.
		"ends-later": {{
			Source: "alertmanager", Status: "firing", Name: "DiskFull", Labels: map[string]string{"alertname": "DiskFull", "host": "atlas"},
			Annotations: nil, StartsAt: at, EndsAt: time.Date(2126, 3, 4, 5, 10, 7, 0, time.UTC), Fingerprint: "0123456789abcdef",
		}},
		"escapes": {{
			Source: "alertmanager", Status: "firing", Name: "Node Is Gone",
			Labels:      map[string]string{"alertname": "Node Is Gone", "instance": "localhost:9100", "job": `edge"7"`, "path": `C:\srv\data`},
			Annotations: map[string]string{"summary": "Gone:\n\t1. the exporter\n\t2. café 😀 \x1b[31mred", "description": "a\ufffdb"},
			StartsAt:    at, Fingerprint: "fedcba9876543210",
		}},
		"grafana-test": {{
			Source: "alertmanager", Status: "firing", Name: "TestAlert", Test: true,
			Labels:      map[string]string{"alertname": "TestAlert", "grafana_folder": "Tests", "instance": "Grafana"},
			Annotations: map[string]string{"summary": "A try"}, StartsAt: at.Add(500 * time.Millisecond),
			Fingerprint: "0f0f0f0f0f0f0f0f", GeneratorURL: "?orgId=1",
		}},
		"mixed": {{
			Source: "alertmanager", Status: "resolved", Name: "UnitFailed",
			Labels:   map[string]string{"alertname": "UnitFailed", "host": "atlas", "name": "backup.service"},
			StartsAt: at.Add(-2 * time.Hour), EndsAt: at.Add(-time.Hour), Fingerprint: "1111111111111111",
		}, {
			Source: "alertmanager", Status: "firing", Name: "HighLoad", Labels: map[string]string{"alertname": "HighLoad", "host": "borealis"},
			StartsAt: at, Fingerprint: "2222222222222222",
		}},
		"old-sender": {{
			Source: "alertmanager", Status: "firing", Name: "memory_high", Labels: map[string]string{"alertname": "memory_high", "instance": "worker-3_b"},
			Annotations: map[string]string{"description": "93 % used"}, StartsAt: time.Date(2018, 3, 4, 10, 6, 7, 123456789, time.UTC),
			Fingerprint: lifeline.LabelFingerprint(map[string]string{"alertname": "memory_high", "instance": "worker-3_b"}),
		}, { // its group still fires; it has ended
			Source: "alertmanager", Status: "resolved", Name: "memory_high", Labels: map[string]string{"alertname": "memory_high", "instance": "worker-4"},
			Annotations: map[string]string{"summary": "Memory is short"}, EndsAt: time.Date(2018, 3, 4, 11, 0, 0, 0, time.UTC),
			Fingerprint: lifeline.LabelFingerprint(map[string]string{"alertname": "memory_high", "instance": "worker-4"}),
		}},
		"newest": {{
			Source: "alertmanager", Status: "firing", Name: "LoadHigh", Labels: map[string]string{"alertname": "LoadHigh", "host": "atlas"},
			Annotations: map[string]string{}, StartsAt: at, Fingerprint: "abababababababab",
		}},
		"sparse": {
			{Source: "alertmanager", Status: "firing", Name: "Sparse", Labels: sparse, Annotations: little, Fingerprint: lifeline.LabelFingerprint(sparse)},
			{Source: "alertmanager", Status: "firing", Name: "Sparse", Labels: sparse, Annotations: little, Fingerprint: lifeline.LabelFingerprint(sparse)},
			{Source: "alertmanager", Status: "firing", Labels: map[string]string{"job": "cron"}, Annotations: little,
				Fingerprint: lifeline.LabelFingerprint(map[string]string{"job": "cron"})},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			if w := s.post(fixture(t, name)); w.Code != 200 {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			if diff := cmp.Diff([][]lifeline.Alert{want}, s.got); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}

// What the messages share must not make two alerts share a map.
func TestAlertsDoNotShareLabels(t *testing.T) {
	s := newServer(t)
	s.post(fixture(t, "sparse"))
	s.got[0][0].Labels["host"] = "changed"
	if host := s.got[0][1].Labels["host"]; host != "atlas" {
		t.Errorf("a change of one alert's label changed another's: %s", host)
	}
}

func TestTruncatedAlertsAreLogged(t *testing.T) {
	for body, want := range map[string]bool{
		fixture(t, "mixed"):          true,
		fixture(t, "container-down"): false,
		`{"truncatedAlerts": "7", "alerts": [{"labels": {"a": "b"}}]}`:    false,
		`{"truncatedAlerts": [7], "alerts": [{"labels": {"a": "b"}}]}`:    false,
		`{"truncatedAlerts": -1, "alerts": [{"labels": {"a": "b"}}]}`:     false,
		`{"truncatedAlerts": 1e99, "alerts": [{"labels": {"a": "b"}}]}`:   false,
		`{"alerts": [{"labels": {"a": "b"}}], "truncatedAlerts" : 2 }`:    true,
		`{"alerts": [{"labels": {"a": "b"}}], "truncatedAlerts" : null }`: false,
	} {
		s := newServer(t)
		if w := s.post(body); w.Code != 200 {
			t.Errorf("%.60s: status %d: %s", body, w.Code, w.Body)
		}
		if got := s.logged("alerts_truncated") == 1; got != want {
			t.Errorf("%.60s: logged %v, want %v", body, got, want)
		}
	}
}
