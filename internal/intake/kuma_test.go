package intake_test

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/intake"
)

// to is a request to another webhook. The server is on loopback.
func to(method, path, contentType, body string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8674"
	r.Header.Set("User-Agent", "Uptime-Kuma/2.0.0")
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

// one is the only alert of a message that was taken.
func one(t *testing.T, r *http.Request) lifeline.Alert {
	t.Helper()
	s := newServer(t)
	if w := s.do(r); w.Code != 200 || len(s.got) != 1 || len(s.got[0]) != 1 {
		t.Fatalf("status %d, %d messages: %s", w.Code, len(s.got), w.Body)
	}
	return s.got[0][0]
}

func kuma(t testing.TB, name string) string { return fixtureOf(t, "uptime-kuma", name) }

func kumaDown(t *testing.T) lifeline.Alert {
	at := time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC)
	return lifeline.Alert{
		Source: "uptime-kuma", Status: "firing", Name: "MonitorDown", StartsAt: at,
		Labels: map[string]string{
			"alertname": "MonitorDown", "monitor": "shop", "monitor_id": "41", "monitor_type": "http", "job": "shop",
			"url": "https://Shop.example.net:8443/cart?x=1", "host": "Shop.example.net", "container": "jukebox", "severity": "critical",
		},
		Annotations: map[string]string{
			"summary": "[shop] [🔴 Down] connect \x1b[31mECONNREFUSED\x07", "heartbeat": "connect \x1b[31mECONNREFUSED\x07",
			"description": "The shop's front", "tags": "container=jukebox, prod, severity=critical, severity=minor, monitor_id=mine",
		},
		Fingerprint: lifeline.LabelFingerprint(map[string]string{"monitor_id": "41"}),
	}
}

func TestKumaMonitors(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for name, want := range map[string]lifeline.Alert{
		"down": kumaDown(t),
		"docker": {Source: "uptime-kuma", Status: "firing", Name: "ContainerDown",
			Labels: map[string]string{"alertname": "ContainerDown", "monitor": "box", "monitor_id": "42", "monitor_type": "docker", "job": "box",
				"container": "jukebox", "host": "atlas"},
			Annotations: map[string]string{"summary": "[box] [🔴 Down] Container is exited", "heartbeat": "Container is exited", "tags": "host=atlas, alertname=ContainerDown"},
			Fingerprint: lifeline.LabelFingerprint(map[string]string{"monitor_id": "42"})},
		"port": {Source: "uptime-kuma", Status: "firing", Name: "MonitorDown", StartsAt: at,
			Labels: map[string]string{"alertname": "MonitorDown", "monitor": "database", "monitor_id": "2", "monitor_type": "port", "job": "database",
				"hostname": "10.1.2.3", "host": "10.1.2.3", "port": "5432"},
			Annotations: map[string]string{"summary": "closed", "heartbeat": "closed"},
			Fingerprint: lifeline.LabelFingerprint(map[string]string{"monitor_id": "2"})},
	} {
		t.Run(name, func(t *testing.T) {
			got := one(t, to("POST", "/webhook/uptime-kuma", "application/json", kuma(t, name)))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("alert (-want +got):\n%s", diff)
			}
		})
	}
}

// The same message in each form that Uptime Kuma has is the same alert.
func TestKumaForms(t *testing.T) {
	text := kuma(t, "down")
	var parts map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &parts); err != nil {
		t.Fatal(err)
	}
	var msg string
	if err := json.Unmarshal(parts["msg"], &msg); err != nil {
		t.Fatal(err)
	}
	query := url.Values{"msg": {msg}, "heartbeat": {string(parts["heartbeat"])}, "monitor": {string(parts["monitor"])}}.Encode()
	var form bytes.Buffer
	writer := multipart.NewWriter(&form)
	if err := writer.WriteField("data", text); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	quoted, err := json.Marshal(map[string]string{"monitorJSON": string(parts["monitor"]), "heartbeatJSON": string(parts["heartbeat"]), "msg": msg})
	if err != nil {
		t.Fatal(err)
	}
	custom := `{"title": "mine", "heartbeatJSON": ` + string(parts["heartbeat"]) + `, "monitor": ` + string(parts["monitor"]) + `, "msg": ` + string(parts["msg"]) + `}`
	const path = "/webhook/uptime-kuma"
	for name, r := range map[string]*http.Request{
		"multipart":                   to("POST", path, writer.FormDataContentType(), form.String()),
		"get":                         to("GET", path+"?"+query, "", ""),
		"form":                        to("POST", path, "application/x-www-form-urlencoded", query),
		"custom body said a form":     to("POST", path, "application/x-www-form-urlencoded", custom),
		"custom body said to be text": to("POST", path, "text/plain; charset=utf-8", custom),
		"parts in texts":              to("POST", path, "", string(quoted)),
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(kumaDown(t), one(t, r)); diff != "" {
				t.Errorf("alert (-want +got):\n%s", diff)
			}
		})
	}
}

// A monitor's up ends what its down began: the same labels, the same
// fingerprint.
func TestKumaUpEndsDown(t *testing.T) {
	up := strings.NewReplacer(`"status": 0`, `"status": 1`, "🔴 Down", "✅ Up", "ECONNREFUSED", "200 - OK").Replace(kuma(t, "down"))
	got := one(t, to("POST", "/webhook/uptime-kuma", "application/json", up))
	want := kumaDown(t)
	if got.Status != lifeline.AlertResolved || !got.EndsAt.Equal(want.StartsAt) || !got.StartsAt.IsZero() {
		t.Errorf("the up is %+v", got)
	}
	if diff := cmp.Diff(want.Labels, got.Labels); diff != "" || got.Fingerprint != want.Fingerprint || got.Name != want.Name {
		t.Errorf("the up is about another thing (-down +up):\n%s", diff)
	}
}

func TestKumaWithoutAlert(t *testing.T) {
	for status, note := range map[string]string{"2": "pending", "3": "under maintenance"} {
		s := newServer(t)
		body := strings.Replace(kuma(t, "down"), `"status": 0`, `"status": `+status, 1)
		w := s.do(to("POST", "/webhook/uptime-kuma", "application/json", body))
		if w.Code != 200 || len(s.got) != 0 || strings.TrimSpace(w.Body.String()) != `{"receipts":[]}` {
			t.Errorf("%s: status %d, %d messages: %s", note, w.Code, len(s.got), w.Body)
		}
		if s.logged("alerts_received") != 1 || !strings.Contains(s.log.String(), note) {
			t.Errorf("the log does not say %s:\n%s", note, &s.log)
		}
	}
}

func TestKumaWithoutMonitor(t *testing.T) {
	test := func(msg string) lifeline.Alert {
		labels := map[string]string{"alertname": "UptimeKumaTest"}
		return lifeline.Alert{Source: "uptime-kuma", Status: "firing", Name: "UptimeKumaTest", Test: true, Labels: labels,
			Annotations: map[string]string{"summary": msg}, Fingerprint: lifeline.LabelFingerprint(labels)}
	}
	expiry := func(msg, monitor string, more map[string]string) lifeline.Alert {
		labels := map[string]string{"alertname": "ExpiryNotice", "monitor": monitor, "job": monitor}
		for k, v := range more {
			labels[k] = v
		}
		return lifeline.Alert{Source: "uptime-kuma", Status: "firing", Name: "ExpiryNotice", Once: true, Labels: labels,
			Annotations: map[string]string{"summary": msg}, Fingerprint: lifeline.LabelFingerprint(labels)}
	}
	cert := "[shop][https://shop.example.net] server certificate shop.example.net will expire in 7 days"
	for _, tc := range []struct {
		r    *http.Request
		want lifeline.Alert
	}{
		{to("POST", "/webhook/uptime-kuma", "application/json", `{"heartbeat": null, "monitor": null, "msg": "Lifeline Testing"}`), test("Lifeline Testing")},
		{to("POST", "/webhook/uptime-kuma", "application/json", `{"msg": "will expire in 7 days"}`), test("will expire in 7 days")},
		{to("GET", "/webhook/uptime-kuma?msg=Lifeline+Testing", "", ""), test("Lifeline Testing")},
		{to("POST", "/webhook/uptime-kuma", "application/json", `{"heartbeat": null, "monitor": null, "msg": "`+cert+`"}`),
			expiry(cert, "shop", map[string]string{"url": "https://shop.example.net", "host": "shop.example.net"})},
		{to("POST", "/webhook/uptime-kuma", "application/json", `{"monitor": {"id": 1}, "msg": "`+cert+`"}`),
			expiry(cert, "shop", map[string]string{"url": "https://shop.example.net", "host": "shop.example.net"})},
		{to("POST", "/webhook/uptime-kuma", "application/json", `{"msg": "[a][] Domain name a.example will expire in 1 day"}`),
			expiry("[a][] Domain name a.example will expire in 1 day", "a", nil)},
	} {
		if diff := cmp.Diff(tc.want, one(t, tc.r)); diff != "" {
			t.Errorf("alert (-want +got):\n%s", diff)
		}
	}
}

func TestKumaHosts(t *testing.T) {
	for monitor, want := range map[string]string{
		`{"id": 1, "url": "http://nexus:3000/x"}`:                                              "nexus",
		`{"id": 1, "url": "http://[fd00::1]:80"}`:                                              "fd00::1",
		`{"id": 1, "url": "https://"}`:                                                         "",
		`{"id": 1, "url": "http://localhost:80"}`:                                              "",
		`{"id": 1, "url": "http://127.0.0.1"}`:                                                 "",
		`{"id": 1, "url": "http://a.localhost."}`:                                              "",
		`{"id": 1, "url": "%zz"}`:                                                              "",
		`{"id": 1, "hostname": "Nexus."}`:                                                      "Nexus",
		`{"id": 1, "hostname": "0.0.0.0"}`:                                                     "",
		`{"id": 1, "url": "https://a.example", "hostname": "b.example"}`:                       "b.example",
		`{"id": 1, "url": "https://a.example", "tags": [{"name": "HOST", "value": " atlas"}]}`: "atlas",
		`{"id": 1, "tags": "none"}`:                                                            "",
		`{}`:                                                                                   "",
	} {
		a := one(t, to("POST", "/webhook/uptime-kuma", "", `{"heartbeat": {"status": 0, "monitorID": 1}, "monitor": `+monitor+`}`))
		if a.Labels["host"] != want {
			t.Errorf("%s: host %q, want %q", monitor, a.Labels["host"], want)
		}
		if a.Fingerprint != lifeline.LabelFingerprint(map[string]string{"monitor_id": "1"}) {
			t.Errorf("%s: another fingerprint", monitor)
		}
	}
}

func TestKumaRefused(t *testing.T) {
	const path = "/webhook/uptime-kuma"
	multi := func(lines ...string) string {
		return "--b\r\n" + strings.Join(lines, "\r\n--b\r\n") + "\r\n--b--\r\n"
	}
	part := func(name, value string) string {
		return `Content-Disposition: form-data; name="` + name + `"` + "\r\n\r\n" + value
	}
	for name, tc := range map[string]struct {
		r             *http.Request
		status        int
		field, detail string
	}{
		"empty object":           {to("POST", path, "", `{}`), 400, "heartbeat", "neither a heartbeat nor a msg"},
		"msg of a monitor alone": {to("POST", path, "", `{"msg": "[shop] [🔴 Down] timeout"}`), 400, "heartbeat", "about a monitor"},
		"up of a monitor alone":  {to("GET", path+"?msg=%5Bshop%5D%20%5BUp%5D%20200", "", ""), 400, "heartbeat", "about a monitor"},
		"get without anything":   {to("GET", path, "", ""), 400, "heartbeat", "neither"},
		"no status":              {to("POST", path, "", `{"heartbeat": {"msg": "x"}, "monitor": {"id": 1}}`), 400, "heartbeat.status", "no status"},
		"no heartbeat":           {to("POST", path, "", `{"monitor": {"id": 1}, "msg": "x"}`), 400, "heartbeat.status", "no status"},
		"other status":           {to("POST", path, "", `{"heartbeat": {"status": 7}}`), 400, "heartbeat.status", `got "7"`},
		"status in get":          {to("GET", path+"?heartbeat=%7B%22status%22:true%7D", "", ""), 400, "heartbeat.status", `got "true"`},
		"heartbeat is a list":    {to("POST", path, "", `{"heartbeat": [0]}`), 400, "heartbeat", "Want an object, got a list"},
		"twice":                  {to("POST", path, "", `{"heartbeat": {"status": 0, "status": 1}}`), 400, "heartbeat.status", "stands twice"},
		"not json in get":        {to("GET", path+"?monitor=%7B", "", ""), 400, "monitor", "not JSON"},
		"twice in get":           {to("GET", path+"?msg=a&msg=b", "", ""), 400, "", `"msg" stands twice`},
		"escapes in get":         {to("GET", path+"?msg=x", "", ""), 400, "", "cannot be read"},
		"not UTF-8 in get":       {to("GET", path+"?msg=%ff", "", ""), 400, "", "not UTF-8"},
		"form without json":      {to("POST", path, "application/x-www-form-urlencoded", "data=x"), 400, "data", "not JSON"},
		"empty part":             {to("POST", path, "multipart/form-data; boundary=b", multi(part("data", ""))), 400, "data", "empty"},
		"no boundary":            {to("POST", path, "multipart/form-data", "x"), 415, "", "no boundary"},
		"other boundary":         {to("POST", path, "multipart/form-data; boundary=c", multi(part("data", "{}"))), 400, "", "no fields"},
		"cut off":                {to("POST", path, "multipart/form-data; boundary=b", "--b\r\n"+part("data", "{}")), 400, "", "multipart form"},
		"a file":                 {to("POST", path, "multipart/form-data; boundary=b", multi(`Content-Disposition: form-data; name="data"; filename="x"`+"\r\n\r\n{}")), 400, "", "is a file"},
		"part without a name":    {to("POST", path, "multipart/form-data; boundary=b", multi("X: y\r\n\r\n{}")), 400, "", "no name"},
		"part twice":             {to("POST", path, "multipart/form-data; boundary=b", multi(part("data", `{"msg":"x"}`), part("data", "{}"))), 400, "", "stands twice"},
		"many parts":             {to("POST", path, "application/x-www-form-urlencoded", "a=1"+strings.Repeat("&b=1", 300)), 400, "", "stands twice"},
		"plain text":             {to("POST", path, "text/plain", "down"), 415, "", "plain text"},
		"put":                    {to("PUT", path, "", `{}`), 405, "", "GET or POST"},
		"head":                   {to("HEAD", path+"?msg=x", "", ""), 405, "", "GET or POST"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "escapes in get" {
				tc.r.URL.RawQuery = "msg=%zz"
			}
			s := newServer(t)
			w := s.do(tc.r)
			d := s.problem(w)
			if w.Code != tc.status || d.Field != tc.field || !strings.Contains(d.Detail, tc.detail) {
				t.Errorf("status %d, field %q: %s; want %d, %q, %s", w.Code, d.Field, d.Detail, tc.status, tc.field, tc.detail)
			}
		})
	}
}

// A GET is a message like any other: nobody gets in without authentication, no
// browser sends one, and no cache keeps its answer.
func TestGetIsGuarded(t *testing.T) {
	token := func(c *intake.Config) { c.Auth = intake.Auth{Token: "sesame"} }
	for name, tc := range map[string]struct {
		change func(*http.Request)
		auth   bool
		status int
	}{
		"loopback":           {nil, false, 200},
		"localhost":          {func(r *http.Request) { r.Host = "localhost:8674" }, false, 200},
		"IPv6":               {func(r *http.Request) { r.Host = "[::1]:8674" }, false, 200},
		"rebound name":       {func(r *http.Request) { r.Host = "evil.example:8674" }, false, 403},
		"browser":            {func(r *http.Request) { r.Header.Set("User-Agent", "Mozilla/5.0 (X11)") }, false, 403},
		"page":               {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") }, false, 403},
		"no token":           {nil, true, 401},
		"wrong token":        {func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, true, 401},
		"token in the query": {func(r *http.Request) { r.URL.RawQuery += "&token=sesame" }, true, 401},
		"token":              {func(r *http.Request) { r.Header.Set("Authorization", "Bearer sesame"); r.Host = "lifeline.example" }, true, 200},
		"token from a browser": {func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer sesame")
			r.Header.Set("User-Agent", "Mozilla/5.0")
		}, true, 403},
		"other webhook, no GET": {func(r *http.Request) { r.URL.Path = "/webhook/generic" }, false, 405},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			if tc.auth {
				s = newServer(t, token)
			}
			r := to("GET", "/webhook/uptime-kuma?msg=Testing", "", "")
			if tc.change != nil {
				tc.change(r)
			}
			w := s.do(r)
			if w.Code != tc.status || w.Header().Get("Cache-Control") != "no-store" || (len(s.got) == 1) != (tc.status == 200) {
				t.Errorf("status %d, want %d; %d stored; Cache-Control %q", w.Code, tc.status, len(s.got), w.Header().Get("Cache-Control"))
			}
		})
	}
}
