package intake_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"lifeline"
)

// A value that is too long is cut with a mark; it is no reason to lose an alert.
func TestLongValuesAreCut(t *testing.T) {
	long := strings.Repeat("é", 10_000)
	body := fmt.Sprintf(`{"alerts": [{"labels": {"alertname": "A", "what": "%[1]s"}, "annotations": {"summary": "%[1]s"}, "generatorURL": "http://h/%[1]s", "fingerprint": "%[1]s"}]}`, long)
	for _, path := range []string{"/webhook/alertmanager", "/webhook/grafana"} {
		s := newServer(t)
		if w := s.do(to("POST", path, "", body)); w.Code != 200 {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		a := s.got[0][0]
		for name, value := range map[string]string{"label": a.Labels["what"], "annotation": a.Annotations["summary"]} {
			if want := strings.Repeat("é", 4096) + "… [11808 bytes cut]"; value != want {
				t.Errorf("%s of %d bytes: …%s", name, len(value), value[len(value)-40:])
			}
		}
		if len(a.GeneratorURL) > 9000 || len(a.Fingerprint) != 16 {
			t.Errorf("a URL of %d bytes, a fingerprint of %d", len(a.GeneratorURL), len(a.Fingerprint))
		}
		if !strings.Contains(s.log.String(), `"cut":1`) {
			t.Errorf("the log does not tell:\n%s", &s.log)
		}
		again := newServer(t)
		again.do(to("POST", path, "", strings.Replace(body, `"fingerprint": "é`, `"fingerprint": "e`, 1)))
		if again.got[0][0].Fingerprint == a.Fingerprint {
			t.Error("two long fingerprints became the same")
		}
	}
}

func TestManyLabelsAndAnnotations(t *testing.T) {
	pairs := func(n int) string {
		all := map[string]string{"alertname": "A"}
		for i := range n {
			all[fmt.Sprintf("n%04d", i)] = "v"
		}
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	s := newServer(t)
	if w := s.post(`{"alerts": [{"labels": ` + pairs(255) + `, "annotations": ` + pairs(1000) + `}]}`); w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	a := s.got[0][0]
	if len(a.Labels) != 256 || len(a.Annotations) != 256 || a.Annotations["alertname"] != "A" || a.Annotations["n0254"] != "v" {
		t.Errorf("%d labels, %d annotations", len(a.Labels), len(a.Annotations))
	}
	for body, want := range map[string]string{
		`{"alerts": [{"labels": ` + pairs(256) + `}]}`:                        "257 labels",
		`{"alerts": [{"labels": {"` + strings.Repeat("n", 257) + `": "v"}}]}`: "name of more than 256 bytes",
	} {
		s := newServer(t)
		w := s.post(body)
		if d := s.problem(w); w.Code != 400 || !strings.Contains(d.Detail, want) {
			t.Errorf("status %d: %s, want %s", w.Code, d.Detail, want)
		}
	}
	s = newServer(t)
	s.post(`{"alerts": [{"labels": {"a": "b"}, "annotations": {"` + strings.Repeat("n", 257) + `": "v", "x": "y"}}]}`)
	if got := s.got[0][0].Annotations; len(got) != 1 || got["x"] != "y" {
		t.Errorf("annotations %v", got)
	}
}

// All that is common to the sources holds for each of them.
func TestEverySourceIsGuarded(t *testing.T) {
	good := map[string]string{
		"/webhook/alertmanager": fixture(t, "container-down"), "/webhook/grafana": fixtureOf(t, "grafana", "two"),
		"/webhook/uptime-kuma": kuma(t, "down"), "/webhook/generic": fixtureOf(t, "generic", "flat"),
	}
	for path, body := range good {
		for name, tc := range map[string]struct {
			contentType, body string
			status            int
		}{
			"good":        {"application/json", body, 200},
			"packed":      {"", pack(body).String(), 200},
			"bomb":        {"", pack(strings.Repeat(" ", 9<<20)).String(), 413},
			"large":       {"application/json", strings.Repeat(" ", 8<<20+1), 413},
			"xml":         {"application/xml", body, 415},
			"html":        {"text/html", body, 415},
			"no type":     {"application/json; =", body, 415},
			"latin 1":     {"application/json; charset=latin1", body, 415},
			"not UTF-8":   {"application/json", `{"a": "` + "\xff" + `"}`, 400},
			"very deep":   {"application/json", strings.Repeat(`{"a":`, 1<<20), 400},
			"twice":       {"application/json", `{"a": 1, "a": 2}`, 400},
			"cut off":     {"application/json", body[:len(body)/2], 400},
			"another one": {"application/json", `{"hello": "world"}`, 400},
		} {
			t.Run(path+" "+name, func(t *testing.T) {
				s := newServer(t)
				r := to("POST", path, tc.contentType, tc.body)
				if tc.contentType == "" {
					r.Header.Set("Content-Encoding", "gzip")
				}
				w := s.do(r)
				if w.Code != tc.status {
					t.Errorf("status %d, want %d: %.300s", w.Code, tc.status, w.Body)
				}
				if tc.status == 200 {
					if len(s.got) != 1 || s.got[0][0].Source != strings.TrimPrefix(path, "/webhook/") {
						t.Errorf("stored %+v", s.got)
					}
					return
				}
				s.problem(w)
			})
		}
	}
}

// An alert that nobody ends is told apart in the record.
func TestOnceIsKept(t *testing.T) {
	encoded, err := json.Marshal(lifeline.Alert{Name: "a", Once: true})
	if err != nil || !strings.Contains(string(encoded), `"once":true`) {
		t.Errorf("%s, %v", encoded, err)
	}
	if encoded, _ = json.Marshal(lifeline.Alert{Name: "a"}); strings.Contains(string(encoded), "once") {
		t.Errorf("%s", encoded)
	}
}
