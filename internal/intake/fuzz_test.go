package intake_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"lifeline"
	"lifeline/internal/intake"
)

// FuzzAlertmanager asks encoding/json what it thinks of a body that was taken:
// it must be JSON, the same number of alerts must be in it, and whatever came
// out of it must be well formed.
func FuzzAlertmanager(f *testing.F) {
	paths, err := filepath.Glob("testdata/alertmanager/*.json")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no fixtures: %v", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add(`{"alerts":[{"labels":{"a":"\ud800"},"startsAt":"9999-12-31T23:59:59-23:59"}]}`)
	f.Add(`{"truncatedAlerts":{"a":[1,{}]},"alerts":[{"labels":{"":""}}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		s := newServer(t)
		w := s.post(body)
		if w.Code != http.StatusOK {
			s.problem(w)
			return
		}
		var judge struct {
			Alerts []json.RawMessage `json:"alerts"`
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(body, "\ufeff")), &judge); err != nil {
			t.Fatalf("a body was taken that is not JSON: %v", err)
		}
		if len(s.got) != 1 || len(s.got[0]) == 0 {
			t.Fatalf("status 200 with %d messages", len(s.got))
		}
		// encoding/json folds case, so it may see another "Alerts" last.
		if n := strings.Count(strings.ToLower(body), `"alerts"`); n == 1 && !strings.Contains(body, `\u`) && len(judge.Alerts) != len(s.got[0]) {
			t.Errorf("%d alerts were taken of %d", len(s.got[0]), len(judge.Alerts))
		}
		for _, a := range s.got[0] {
			wellFormed(t, a)
		}
	})
}

// FuzzWebhooks sends a body of any type to every other webhook, as a GET too:
// no panic; an answer that is a problem or 200; whatever is stored is well
// formed and bounded.
func FuzzWebhooks(f *testing.F) {
	types := []string{"application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain", ""}
	paths := []string{"/webhook/grafana", "/webhook/uptime-kuma", "/webhook/generic", "/webhook/generic/flat", "/webhook/generic/list"}
	for i, pattern := range []string{"grafana", "uptime-kuma", "generic"} {
		found, err := filepath.Glob("testdata/" + pattern + "/*.json")
		if err != nil || len(found) == 0 {
			f.Fatalf("no fixtures of %s: %v", pattern, err)
		}
		for _, name := range found {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), uint8(0), string(data))
			f.Add(uint8(3), uint8(0), string(data))
			f.Add(uint8(1), uint8(1), "data="+url.QueryEscape(string(data)))
			f.Add(uint8(1), uint8(2), "--b\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n"+string(data)+"\r\n--b--\r\n")
		}
	}
	f.Add(uint8(4), uint8(0), `{"list": [{"name": "a", "text": "{\"x\": [1]}"}, {"name": 7}], "site": "s"}`)
	f.Add(uint8(2), uint8(1), "name=a&host=b&labels.c=d&status=resolved")
	f.Add(uint8(1), uint8(5), "msg=a&heartbeat=%7B%22status%22%3A0%7D&monitor=%7B%22id%22%3A1%7D")
	f.Fuzz(func(t *testing.T, path, kind uint8, body string) {
		s := newServer(t, func(c *intake.Config) {
			c.MaxBytes = 1 << 20
			c.Generic = map[string]intake.Mapping{
				"flat": {Name: "name", Status: "status", Summary: "{{summary}} {{msg}}", Labels: map[string]string{"host": "host", "tag": "tags.#.name"}},
				"list": {Alerts: "list", Name: "{{name}}", Fingerprint: "id", Labels: map[string]string{"site": "$.site", "x": "text.@fromstr.x"}, Once: true},
			}
		})
		r := to("POST", paths[int(path)%len(paths)], "", body)
		if kind%6 == 5 {
			r = to("GET", "/webhook/uptime-kuma", "", "")
			r.URL.RawQuery = body
		} else if kind := types[int(kind)%6]; kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		w := s.do(r)
		if w.Code != http.StatusOK {
			s.problem(w)
			return
		}
		for _, a := range slices.Concat(s.got...) {
			wellFormed(t, a)
		}
	})
}

func wellFormed(t *testing.T, a lifeline.Alert) {
	t.Helper()
	encoded, err := json.Marshal(a)
	if err != nil {
		t.Fatalf("the alert cannot be kept: %v", err)
	}
	if a.Status != lifeline.AlertFiring && a.Status != lifeline.AlertResolved || a.Fingerprint == "" || len(a.Labels) == 0 {
		t.Errorf("incomplete: %s", encoded)
	}
	for name, value := range a.Annotations {
		if strings.ContainsRune(name+value, 0) || !utf8.ValidString(name+value) || len(value) > 9000 {
			t.Errorf("annotation %q=%q cannot be kept everywhere", name, value)
		}
	}
	if texts := a.Name + a.Fingerprint + a.GeneratorURL; strings.ContainsRune(texts, 0) || !utf8.ValidString(texts) || len(a.Fingerprint) > 256 {
		t.Errorf("%q cannot be kept everywhere", texts)
	}
	for name, value := range a.Labels {
		if len(value) > 9000 {
			t.Errorf("label %q of %d bytes", name, len(value))
		}
		if strings.ContainsRune(name+value, 0) || !utf8.ValidString(name+value) {
			t.Errorf("label %q=%q cannot be kept everywhere", name, value)
		}
	}
}
