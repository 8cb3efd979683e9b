package intake_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/intake"
)

// identity is the fingerprint that labels give.
func identity(labels map[string]string) string {
	labels = maps.Clone(labels)
	delete(labels, "severity")
	return lifeline.LabelFingerprint(labels)
}

func TestGenericShapes(t *testing.T) {
	alert := func(status lifeline.AlertStatus, labels, annotations map[string]string) lifeline.Alert {
		return lifeline.Alert{Source: "generic", Status: status, Name: labels["alertname"], Labels: labels, Annotations: annotations, Fingerprint: identity(labels)}
	}
	type set = map[string]string
	full := alert("firing", set{"alertname": "DiskFull", "host": "atlas", "mountpoint": "/srv", "severity": "3", "team": "blue", "n": "7"},
		set{"summary": "93 % used", "used": "93.5", "by": "cron"})
	full.Fingerprint, full.GeneratorURL = "4711", "https://x.example.net"
	tried := alert("firing", set{"alertname": "Try"}, set{})
	tried.Test, tried.Once = true, true
	const urlencoded = "application/x-www-form-urlencoded"
	multipart := "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nDown\r\n--b\r\nContent-Disposition: form-data; name=\"labels.team\"\r\n\r\nblue\r\n--b--\r\n"
	for name, tc := range map[string]struct {
		contentType, body string
		want              []lifeline.Alert
	}{
		"flat":                        {"application/json", fixtureOf(t, "generic", "flat"), []lifeline.Alert{full}},
		"form":                        {urlencoded, "name=Backup+failed&host=atlas&unit=a.service&state=OK&note=%C3%A9", []lifeline.Alert{alert("resolved", set{"alertname": "Backup failed", "host": "atlas", "unit": "a.service"}, set{"note": "é"})}},
		"multipart":                   {"multipart/form-data; boundary=b", multipart, []lifeline.Alert{alert("firing", set{"alertname": "Down", "team": "blue"}, set{})}},
		"json that curl calls a form": {urlencoded, `{"name": "A", "container": "web"}`, []lifeline.Alert{alert("firing", set{"alertname": "A", "container": "web"}, set{})}},
		"text":                        {"text/plain", ` [{"alert": "A"}, {"title": "B", "state": "closed"}]`, []lifeline.Alert{alert("firing", set{"alertname": "A"}, set{}), alert("resolved", set{"alertname": "B"}, set{})}},
		"under alerts": {"", `{"alerts": [{"labels": {"alertname": "A", "host": "x"}}, {"name": "B", "hostname": "y"}], "version": 1}`,
			[]lifeline.Alert{alert("firing", set{"alertname": "A", "host": "x"}, set{}), alert("firing", set{"alertname": "B", "host": "y"}, set{})}},
		"all at once": {"", `{"name": "A", "title": "T", "host": "h", "node": "n", "annotations": {"title": "mine"}, "message": "m", "details": "d", "level": "high"}`,
			[]lifeline.Alert{alert("firing", set{"alertname": "A", "host": "h", "severity": "high"}, set{"title": "mine", "node": "n", "summary": "m", "description": "d"})}},
		"a test":             {urlencoded, "name=Try&test=yes&once=1", []lifeline.Alert{tried}},
		"no test":            {urlencoded, "name=Try&test=no&once=false", []lifeline.Alert{alert("firing", set{"alertname": "Try"}, set{})}},
		"control characters": {"", "{\"name\": \"A\", \"summary\": \"\\u0000\\u001b[31m\"}", []lifeline.Alert{alert("firing", set{"alertname": "A"}, set{"summary": "\ufffd\x1b[31m"})}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			if w := s.do(to("POST", "/webhook/generic", tc.contentType, tc.body)); w.Code != 200 {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			if diff := cmp.Diff([][]lifeline.Alert{tc.want}, s.got); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever changes between a fault and its end, they are the same alert.
func TestGenericEndIsTheSameAlert(t *testing.T) {
	begin := one(t, to("POST", "/webhook/generic", "", `{"name": "A", "host": "h", "severity": "critical", "summary": "93 %", "value": 93}`))
	end := one(t, to("POST", "/webhook/generic", "", `{"name": "A", "host": "h", "severity": "ok", "status": "resolved", "value": 12}`))
	other := one(t, to("POST", "/webhook/generic", "", `{"name": "A", "host": "i", "severity": "critical"}`))
	if begin.Fingerprint != end.Fingerprint || begin.Fingerprint == other.Fingerprint {
		t.Errorf("fingerprints %s, %s and %s", begin.Fingerprint, end.Fingerprint, other.Fingerprint)
	}
}

func TestGenericRefused(t *testing.T) {
	const urlencoded = "application/x-www-form-urlencoded"
	many := "name=x"
	for i := range 250 {
		many += fmt.Sprintf("&f%d=1", i)
	}
	for name, tc := range map[string]struct {
		path, contentType, body string
		status                  int
		field, detail           string
	}{
		"empty":            {"", "", "", 400, "", "body is empty"},
		"empty form":       {"", urlencoded, "", 400, "", "no fields"},
		"no name":          {"", "", `{"host": "h", "deep": {"a": 1}}`, 400, "name", `The keys that there are: "host", "deep".`},
		"nothing":          {"", "", `{}`, 400, "name", "The keys that there are: none"},
		"second has none":  {"", "", "[{\"name\": \"a\"},\n {\"host\": \"h\"}]", 400, "[1].name", "line 2, column 2"},
		"empty list":       {"", "", `[]`, 400, "", "no alert"},
		"not an object":    {"", "", `["a"]`, 400, "[0]", "Want an object"},
		"a text":           {"", "", `"a"`, 400, "", "Want an object"},
		"status":           {"", "", `{"name": "a", "status": "7"}`, 400, "status", `got "7"`},
		"name twice":       {"", "", `{"name": "a", "name": "b"}`, 400, "name", "stands twice"},
		"deep":             {"", "", `{"name": "a", "x": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, 400, "x", "32 levels"},
		"form twice":       {"", urlencoded, "name=a&name=b", 400, "", `"name" stands twice`},
		"form with escape": {"", urlencoded, "name=%zz", 400, "", "--data-urlencode"},
		"many fields":      {"", urlencoded, many, 400, "", "more than 200 fields"},
		"xml":              {"", "application/xml", "<a/>", 415, "", "or a form"},
		"no such mapping":  {"/nosuch", "", `{}`, 404, "", "Add webhook.generic.nosuch to lifeline.yaml"},
		"odd mapping":      {"/No/Such", "", `{}`, 404, "", "Post to /webhook/alertmanager or /webhook/generic"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			w := s.do(to("POST", "/webhook/generic"+tc.path, tc.contentType, tc.body))
			d := s.problem(w)
			if w.Code != tc.status || d.Field != tc.field || !strings.Contains(d.Detail, tc.detail) {
				t.Errorf("status %d, field %q: %s; want %d, %q, %s", w.Code, d.Field, d.Detail, tc.status, tc.field, tc.detail)
			}
		})
	}
	s := newServer(t)
	list := "[" + strings.Repeat(`{"name":"a"},`, 10_000) + `{"name":"a"}]`
	if w := s.do(to("POST", "/webhook/generic", "", list)); w.Code != 413 {
		t.Errorf("10,001 alerts: status %d", w.Code)
	}
}

func with(name string, m intake.Mapping) func(*intake.Config) {
	return func(c *intake.Config) { c.Generic = map[string]intake.Mapping{name: m} }
}

func TestMappings(t *testing.T) {
	type set = map[string]string
	monitor := intake.Mapping{
		Alerts: "checks", Name: "check {{title}}", Status: "state", Resolved: []string{" Good "}, Ignored: []string{"MUTED"}, Severity: "level",
		Summary: "{{$.site}}: {{title}} is {{state}}", Description: "out", URL: "$.link", Test: "try", Once: true,
		Labels: set{"host": "on", "site": "$.site"}, Annotations: set{"raw": "data"}, Constants: set{"team": "blue"},
	}
	s := newServer(t, with("mon-1", monitor))
	body := `{"site": "lisbon", "link": "https://x.example", "checks": [
		{"title": "disk", "state": "firing", "level": 2, "on": "atlas", "out": null, "data": {"a": [1]}},
		{"title": "load", "state": "good", "on": "atlas", "try": 1},
		{"title": "cpu", "state": "muted", "on": "atlas"},
		{"title": "net", "on": ""}]}`
	if w := s.do(to("POST", "/webhook/generic/mon-1", "application/json", body)); w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	alert := func(status lifeline.AlertStatus, test bool, labels, annotations set) lifeline.Alert {
		labels["site"], labels["team"] = "lisbon", "blue"
		return lifeline.Alert{Source: "generic:mon-1", Status: status, Name: labels["alertname"], Labels: labels, Annotations: annotations,
			Fingerprint: identity(labels), GeneratorURL: "https://x.example", Test: test, Once: true}
	}
	want := [][]lifeline.Alert{{
		alert("firing", false, set{"alertname": "check disk", "host": "atlas", "severity": "2"}, set{"summary": "lisbon: disk is firing", "raw": `{"a": [1]}`}),
		alert("resolved", true, set{"alertname": "check load", "host": "atlas"}, set{"summary": "lisbon: load is good"}),
		alert("firing", false, set{"alertname": "check net"}, set{"summary": "lisbon: net is"}),
	}}
	if diff := cmp.Diff(want, s.got); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	if !strings.Contains(s.log.String(), `"source":"generic:mon-1"`) {
		t.Errorf("the log does not name the mapping:\n%s", &s.log)
	}
}

func TestMappingTakesForms(t *testing.T) {
	s := newServer(t, with("shell", intake.Mapping{Name: "what", Status: "code", Firing: []string{"1", "2"}, Resolved: []string{"0"}, Fingerprint: "{{host}}/{{what}}", Labels: map[string]string{"host": "host"}}))
	if w := s.do(to("POST", "/webhook/generic/shell", "application/x-www-form-urlencoded", "what=Backup&code=2&host=atlas")); w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	want := lifeline.Alert{Source: "generic:shell", Status: "firing", Name: "Backup", Fingerprint: "atlas/Backup",
		Labels: map[string]string{"alertname": "Backup", "host": "atlas"}, Annotations: map[string]string{}}
	if diff := cmp.Diff(want, s.got[0][0]); diff != "" {
		t.Errorf("alert (-want +got):\n%s", diff)
	}
}

func TestMappingWithoutAlerts(t *testing.T) {
	for body, note := range map[string]string{
		`{"list": []}`: "no alert in it",
		`{"list": [{"name": "a", "s": "ack"}, {"name": "b", "s": "ACK"}]}`: "nothing to do",
	} {
		s := newServer(t, with("m", intake.Mapping{Alerts: "list", Name: "name", Status: "s", Ignored: []string{"ack"}}))
		w := s.do(to("POST", "/webhook/generic/m", "", body))
		if w.Code != 200 || len(s.got) != 0 || !strings.Contains(s.log.String(), note) {
			t.Errorf("%s: status %d, %d messages\n%s", body, w.Code, len(s.got), &s.log)
		}
	}
}

func TestMappingRefused(t *testing.T) {
	flat := intake.Mapping{Name: "rule.name", Status: "state"}
	list := intake.Mapping{Alerts: "list", Name: "name"}
	for name, tc := range map[string]struct {
		m      intake.Mapping
		body   string
		detail []string
	}{
		"no name":           {flat, `{"rule": {"id": 1}, "a": 2}`, []string{`The path "rule.name" of webhook.generic.m.name finds nothing.`, `"rule", "a"`, "docs/sources.md"}},
		"name is null":      {flat, `{"rule": {"name": null}}`, []string{"finds nothing"}},
		"name is blank":     {flat, `{"rule": {"name": " "}}`, []string{"finds nothing"}},
		"a text":            {flat, `"rule"`, []string{"The keys that there are: none"}},
		"other status":      {flat, `{"rule": {"name": "a"}, "state": "weird"}`, []string{`"weird"`, "webhook.generic.m.firing", "webhook.generic.m.ignored"}},
		"no list":           {list, `{"name": "a"}`, []string{`The path "list" of webhook.generic.m.alerts finds nothing.`}},
		"name of an entry":  {list, `{"list": [{"name": "a"}, {"x": 1}]}`, []string{"Entry 1:", `"x"`}},
		"entry is a number": {list, `{"list": [7]}`, []string{"Entry 0:"}},
		"twice":             {flat, `{"rule": {"name": "a", "name": "b"}}`, []string{"stands twice"}},
		"deep":              {flat, strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50), []string{"32 levels"}},
		"not JSON":          {flat, `{"rule"`, []string{"not JSON"}},
		"many keys":         {flat, "{" + strings.Repeat(`"`+strings.Repeat("k", 100)+`1": 1, `, 1) + `"z": 1}`, []string{`"kkkk`, "…"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, with("m", tc.m))
			w := s.do(to("POST", "/webhook/generic/m", "", tc.body))
			d := s.problem(w)
			for _, part := range tc.detail {
				if w.Code != 400 || !strings.Contains(d.Detail, part) {
					t.Errorf("status %d: %s; want %s", w.Code, d.Detail, part)
				}
			}
		})
	}
	s := newServer(t, with("m", list))
	body := `{"list": [` + strings.Repeat(`{"name":"a"},`, 10_000) + `{"name":"a"}]}`
	if w := s.do(to("POST", "/webhook/generic/m", "", body)); w.Code != 413 {
		t.Errorf("10,001 entries: status %d", w.Code)
	}
}

func TestMappingsAreChecked(t *testing.T) {
	for want, m := range map[string]map[string]intake.Mapping{
		"m.name: the path is empty":         {"m": {}},
		"m.status: the path":                {"m": {Name: "a", Status: "a..b"}},
		"m.labels.host: the path":           {"m": {Name: "a", Labels: map[string]string{"host": "a."}}},
		"m.annotations.x: the path":         {"m": {Name: "a", Annotations: map[string]string{"x": "@nosuch"}}},
		"m.alerts: the path":                {"m": {Name: "a", Alerts: "{{a}}."}},
		`the name "Upper": want lower-case`: {"Upper": {Name: "a"}},
		`the name "a/b"`:                    {"a/b": {Name: "a"}},
		`the name ""`:                       {"": {Name: "a"}},
	} {
		if _, err := intake.Handler(intake.Config{Receiver: &server{}, Generic: m}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
