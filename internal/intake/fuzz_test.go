package intake_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"lifeline"
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

func wellFormed(t *testing.T, a lifeline.Alert) {
	t.Helper()
	encoded, err := json.Marshal(a)
	if err != nil {
		t.Fatalf("the alert cannot be kept: %v", err)
	}
	if a.Status != lifeline.AlertFiring && a.Status != lifeline.AlertResolved || a.Fingerprint == "" || len(a.Labels) == 0 {
		t.Errorf("incomplete: %s", encoded)
	}
	for name, value := range a.Labels {
		if strings.ContainsRune(name+value, 0) || !utf8.ValidString(name+value) {
			t.Errorf("label %q=%q cannot be kept everywhere", name, value)
		}
	}
}
