package intake_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/intake"
)

// server is a handler with a receiver that keeps what it gets.
type server struct {
	t    testing.TB
	h    http.Handler
	got  [][]lifeline.Alert
	fail error
	log  bytes.Buffer
}

func (s *server) Receive(ctx context.Context, alerts []lifeline.Alert) ([]lifeline.Receipt, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	s.got = append(s.got, alerts)
	receipts := make([]lifeline.Receipt, len(alerts))
	for i := range alerts {
		receipts[i] = lifeline.Receipt{AlertID: fmt.Sprintf("alr_%d", i), IncidentID: "inc_1", Result: lifeline.ReceiptOpened}
	}
	return receipts, nil
}

func newServer(t testing.TB, change ...func(*intake.Config)) *server {
	t.Helper()
	s := &server{t: t}
	cfg := intake.Config{Receiver: s, Logger: slog.New(slog.NewJSONHandler(&s.log, nil))}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if s.h, err = intake.Handler(cfg); err != nil {
		t.Fatal(err)
	}
	return s
}

// request is a post to the Alertmanager webhook, without a Content-Type.
func request(body io.Reader) *http.Request {
	return httptest.NewRequest(http.MethodPost, "/webhook/alertmanager", body)
}

func (s *server) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	return w
}

func (s *server) post(body string) *httptest.ResponseRecorder {
	r := request(strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return s.do(r)
}

// logged counts the lines of the log with a message.
func (s *server) logged(message string) int {
	return strings.Count(s.log.String(), `"msg":"`+message+`"`)
}

// document is a problem as it is on the wire.
type document struct {
	Type, Title, Detail, Field string
	Status, Line, Column       int
}

// problem reads a problem document and holds it to what all have in common.
func (s *server) problem(w *httptest.ResponseRecorder) document {
	s.t.Helper()
	var d document
	dec := json.NewDecoder(w.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		s.t.Fatalf("status %d: no problem document: %v", w.Code, err)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
		s.t.Errorf("Content-Type is %q", ct)
	}
	if d.Status != w.Code || d.Title == "" || d.Detail == "" || !strings.HasPrefix(d.Type, "urn:lifeline:problem:") {
		s.t.Errorf("status %d with an incomplete problem: %+v", w.Code, d)
	}
	if len(s.got) != 0 {
		s.t.Errorf("%d messages were stored in spite of the problem", len(s.got))
	}
	if lines := strings.Count(s.log.String(), "\n"); lines != 1 {
		s.t.Errorf("the log has %d lines, want 1:\n%s", lines, &s.log)
	}
	return d
}

func pack(text string) *bytes.Buffer {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return &b
}

func TestReceiptsAreTheAnswer(t *testing.T) {
	s := newServer(t)
	w := s.post(fixture(t, "mixed"))
	if ct := w.Header().Get("Content-Type"); w.Code != http.StatusOK || ct != "application/json" {
		t.Fatalf("status %d, Content-Type %q", w.Code, ct)
	}
	var got struct{ Receipts []lifeline.Receipt }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := []lifeline.Receipt{
		{AlertID: "alr_0", IncidentID: "inc_1", Result: "opened"},
		{AlertID: "alr_1", IncidentID: "inc_1", Result: "opened"},
	}
	if diff := cmp.Diff(want, got.Receipts); diff != "" {
		t.Errorf("receipts (-want +got):\n%s", diff)
	}
	if s.logged("alerts_received") != 1 || !strings.Contains(s.log.String(), `"opened":2`) {
		t.Errorf("the log does not tell:\n%s", &s.log)
	}
}

func TestNotStored(t *testing.T) {
	for _, fail := range []error{
		&lifeline.Error{Code: lifeline.CodeStore, Message: "store 1 alerts", Err: errors.New("the disk of /var/lib is full")},
		errors.New("enqueue: something else, the disk of /var/lib is full"),
	} {
		s := newServer(t)
		s.fail = fail
		w := s.post(fixture(t, "container-down"))
		d := s.problem(w)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "10" {
			t.Errorf("status %d, Retry-After %q: the sender would not come again", w.Code, w.Header().Get("Retry-After"))
		}
		if strings.Contains(d.Detail, "/var/lib") {
			t.Errorf("the sender is told about our disk: %s", d.Detail)
		}
		if s.logged("alerts_not_stored") != 1 || !strings.Contains(s.log.String(), "the disk of /var/lib is full") {
			t.Errorf("the log does not name the cause:\n%s", &s.log)
		}
	}
}

func TestReceiveEndsWithTheRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var seen error
	s := newServer(t, func(c *intake.Config) {
		c.Receiver = receive(func(ctx context.Context) error {
			cancel()
			seen = ctx.Err()
			return seen
		})
	})
	s.do(request(strings.NewReader(fixture(t, "container-down"))).WithContext(ctx))
	if !errors.Is(seen, context.Canceled) {
		t.Errorf("the receiver saw %v after the sender was gone", seen)
	}
}

type receive func(context.Context) error

func (r receive) Receive(ctx context.Context, _ []lifeline.Alert) ([]lifeline.Receipt, error) {
	return nil, r(ctx)
}

// What is wrong with a request before its body is read.
func TestRefusedRequests(t *testing.T) {
	good := fixture(t, "container-down")
	for _, tc := range []struct {
		name   string
		change func(*http.Request)
		status int
		typ    string
		detail string
		header http.Header
	}{
		{"get", func(r *http.Request) { r.Method = "GET" }, 405, "method", `"GET"`, http.Header{"Allow": {"POST"}}},
		{"head", func(r *http.Request) { r.Method = "HEAD" }, 405, "method", "Use POST", http.Header{"Allow": {"POST"}}},
		{"options", func(r *http.Request) { r.Method = "OPTIONS" }, 405, "method", "Use POST", http.Header{"Allow": {"POST"}}},
		{"other path", func(r *http.Request) { r.URL.Path = "/webhook/pagerduty" }, 404, "no-such-webhook", "/webhook/alertmanager", nil},
		{"slash at the end", func(r *http.Request) { r.URL.Path += "/" }, 404, "no-such-webhook", "/webhook/alertmanager", nil},
		{"text", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415, "content-type", "application/json", nil},
		{"form", func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 415, "content-type", "application/json", nil},
		{"broken type", func(r *http.Request) { r.Header.Set("Content-Type", "application/json; =") }, 415, "content-type", "cannot be read", nil},
		{"two types", func(r *http.Request) { r.Header["Content-Type"] = []string{"application/json", "text/plain"} }, 415, "content-type", "cannot be read", nil},
		{"latin 1", func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=iso-8859-1") }, 415, "content-type", "UTF-8", nil},
		{"brotli", func(r *http.Request) { r.Header.Set("Content-Encoding", "br") }, 415, "content-encoding", "gzip", http.Header{"Accept-Encoding": {"gzip"}}},
		{"twice packed", func(r *http.Request) { r.Header["Content-Encoding"] = []string{"gzip", "gzip"} }, 415, "content-encoding", "gzip", nil},
		{"web page", func(r *http.Request) { r.Header.Set("Origin", "http://example.com") }, 403, "browser", "curl", nil},
		{"web page of the same name", func(r *http.Request) { r.Header.Set("Origin", "http://"+r.Host) }, 403, "browser", "curl", nil},
		{"web page without origin", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403, "browser", "curl", nil},
		{"announced too large", func(r *http.Request) { r.ContentLength = 8<<20 + 1 }, 413, "too-large", "8388608 bytes", nil},
		{"not packed", func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 400, "malformed", "Content-Encoding", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t)
			r := request(strings.NewReader(good))
			tc.change(r)
			w := s.do(r)
			if w.Code != tc.status {
				t.Errorf("status %d, want %d", w.Code, tc.status)
			}
			d := s.problem(w)
			if d.Type != "urn:lifeline:problem:"+tc.typ || !strings.Contains(d.Detail, tc.detail) {
				t.Errorf("problem %s: %s; want %s with %s", d.Type, d.Detail, tc.typ, tc.detail)
			}
			for name, want := range tc.header {
				if diff := cmp.Diff(want, w.Header()[name]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

func TestAcceptedContentTypes(t *testing.T) {
	for _, ct := range []string{"", "application/json", "Application/JSON; charset=UTF-8", "application/json;charset=us-ascii", "application/vnd.prometheus+json"} {
		s := newServer(t)
		r := request(strings.NewReader(fixture(t, "container-down")))
		r.Header.Set("Content-Type", ct)
		if w := s.do(r); w.Code != 200 || len(s.got) != 1 {
			t.Errorf("%q: status %d: %s", ct, w.Code, w.Body)
		}
	}
}

// What is wrong with a body, and where.
func TestRefusedBodies(t *testing.T) {
	in := func(alert string) string { return "{\n  \"alerts\": [\n    " + alert + "\n  ]\n}" }
	for _, tc := range []struct {
		name, body   string
		field        string
		line, column int
		detail       string
	}{
		{"empty", "", "", 0, 0, "empty"},
		{"blank", " \n ", "", 0, 0, "empty"},
		{"cut off", "{\n  \"alerts\": [", "", 2, 14, "unexpected end"},
		{"comma", "{\"a\": 1,\n}", "", 2, 1, "invalid character '}'"},
		{"column after letters of two bytes", "{\"é\": é}", "", 1, 7, "invalid character"},
		{"more behind", `{"alerts": []} {}`, "", 1, 16, "after top-level value"},
		{"a form", "alerts=1", "", 1, 1, "invalid character 'a'"},
		{"not UTF-8", "{\"a\":\n\"x\xffy\"}", "", 2, 3, "0xff"},
		{"a list", "[]", "", 1, 1, "Want an object, got a list"},
		{"a text", ` "x"`, "", 1, 2, `Want an object, got the text "x"`},
		{"null", "null", "alerts", 0, 0, "no alert"},
		{"no alerts", "{}", "alerts", 0, 0, "no alert"},
		{"no alert", `{"alerts": []}`, "alerts", 0, 0, "webhook_config"},
		{"other case", `{"Alerts": [{"labels": {"a": "b"}}]}`, "alerts", 0, 0, "no alert"},
		{"alerts is an object", `{"alerts": {}}`, "alerts", 1, 12, "Want a list, got an object"},
		{"alert is a text", in(`"x"`), "alerts[0]", 3, 5, `Want an object, got the text "x"`},
		{"no labels", in(`{"labels": {}}`), "alerts[0].labels", 3, 5, "no labels"},
		{"second without labels", in(`{"labels": {"a": "b"}}, {}`), "alerts[1].labels", 3, 29, "no labels"},
		{"label is a number", in(`{"labels": {"a": 1}}`), "alerts[0].labels.a", 3, 22, `Want text, got the number "1"`},
		{"label is a list", in(`{"labels": {"a": []}}`), "alerts[0].labels.a", 3, 22, "Want text, got a list"},
		{"label is true", in(`{"labels": {"a": true}}`), "alerts[0].labels.a", 3, 22, "Want text, got true"},
		{"labels are a list", in(`{"labels": []}`), "alerts[0].labels", 3, 16, "Want an object, got a list"},
		{"odd label", in(`{"labels": {"a b\u001b": 1}}`), `alerts[0].labels."a b\x1b"`, 3, 30, "Want text"},
		{"status", in(`{"status": "pending"}`), "alerts[0].status", 3, 16, `Want firing or resolved, got "pending"`},
		{"status of the group", `{"status": "FIRING"}`, "status", 1, 12, "Want firing or resolved"},
		{"time", in(`{"startsAt": "yesterday"}`), "alerts[0].startsAt", 3, 18, `got "yesterday"`},
		{"time as a number", in(`{"endsAt": 1770000000}`), "alerts[0].endsAt", 3, 16, "Want text"},
		{"time before the years", in(`{"startsAt": "0000-01-01T00:00:00Z"}`), "alerts[0].startsAt", 3, 18, "Want a time"},
		{"time after the years", in(`{"startsAt": "9999-12-31T23:59:59-01:00"}`), "alerts[0].startsAt", 3, 18, "Want a time"},
		{"name twice", in(`{"labels": {"a": "b"}, "labels": {"c": "d"}}`), "alerts[0].labels", 3, 28, "stands twice"},
		{"label twice", in(`{"labels": {"a": "b", "a": "b"}}`), "alerts[0].labels.a", 3, 27, "stands twice"},
		{"name twice in what nobody reads", `{"x": [{"a": 1, "\u0061": 2}]}`, "x.a", 1, 17, "stands twice"},
		{"deep", `{"x": ` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "x", 1, 38, "more than 32 levels"},
		{"deep objects", `{"x": ` + strings.Repeat(`{"y":`, 40) + "1" + strings.Repeat("}", 41), strings.TrimSuffix("x."+strings.Repeat("y.", 31), "."), 1, 162, "more than 32 levels"},
		{"very deep", strings.Repeat("[", 1<<20), "", 1, 10001, "exceeded max depth"},
		{"a long text is not repeated", in(`{"status": "` + strings.Repeat("x", 100) + `"}`), "alerts[0].status", 3, 16, `"` + strings.Repeat("x", 60) + `"…`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t)
			w := s.post(tc.body)
			if w.Code != http.StatusBadRequest {
				t.Errorf("status %d, want 400", w.Code)
			}
			d := s.problem(w)
			got := document{Field: d.Field, Line: d.Line, Column: d.Column}
			if diff := cmp.Diff(document{Field: tc.field, Line: tc.line, Column: tc.column}, got); diff != "" {
				t.Errorf("place (-want +got):\n%s", diff)
			}
			if !strings.Contains(d.Detail, tc.detail) {
				t.Errorf("detail %q does not have %q", d.Detail, tc.detail)
			}
			if tc.line > 0 && !strings.Contains(d.Detail, fmt.Sprintf("line %d, column %d", tc.line, tc.column)) || !strings.Contains(d.Detail, tc.field) {
				t.Errorf("detail %q does not say where", d.Detail)
			}
		})
	}
}

func TestByteOrderMarkIsIgnored(t *testing.T) {
	s := newServer(t)
	if w := s.post("\ufeff" + fixture(t, "container-down")); w.Code != 200 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

func TestPackedBody(t *testing.T) {
	for _, encoding := range []string{"gzip", "GZIP", "x-gzip"} {
		s := newServer(t)
		r := request(pack(fixture(t, "container-down")))
		r.Header.Set("Content-Encoding", encoding)
		if w := s.do(r); w.Code != 200 || len(s.got) != 1 {
			t.Errorf("%s: status %d: %s", encoding, w.Code, w.Body)
		}
	}
}

func TestPackedBodyThatIsCutOff(t *testing.T) {
	s := newServer(t)
	packed := pack(fixture(t, "container-down")).Bytes()
	r := request(bytes.NewReader(packed[:len(packed)-9]))
	r.Header.Set("Content-Encoding", "gzip")
	w := s.do(r)
	if d := s.problem(w); w.Code != 400 || !strings.Contains(d.Detail, "unexpected EOF") {
		t.Errorf("status %d: %s", w.Code, d.Detail)
	}
}

// endless is a body without an end that counts what was read of it.
type endless struct {
	pattern string
	read    int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.pattern[(e.read+i)%len(e.pattern)]
	}
	e.read += len(p)
	return len(p), nil
}

func TestSizeIsBoundedWhileReading(t *testing.T) {
	const most = 10_000
	small := func(c *intake.Config) { c.MaxBytes = most }
	t.Run("streamed", func(t *testing.T) {
		s := newServer(t, small)
		body := &endless{pattern: "[1,"}
		r := request(body)
		r.ContentLength = -1
		w := s.do(r)
		if d := s.problem(w); w.Code != 413 || !strings.Contains(d.Detail, "10000 bytes") || !strings.Contains(d.Detail, "group_by") {
			t.Errorf("status %d: %s", w.Code, d.Detail)
		}
		if body.read > 2*most {
			t.Errorf("%d bytes were read of a body that may have %d", body.read, most)
		}
	})
	t.Run("a small body that unpacks to a large one", func(t *testing.T) {
		s := newServer(t, small)
		body := pack(strings.Repeat(" ", 1<<20))
		if body.Len() > most {
			t.Fatalf("the packed body has %d bytes: the test is of no use", body.Len())
		}
		r := request(body)
		r.Header.Set("Content-Encoding", "gzip")
		w := s.do(r)
		if d := s.problem(w); w.Code != 413 || !strings.Contains(d.Detail, "Unpacked") {
			t.Errorf("status %d: %s", w.Code, d.Detail)
		}
	})
	t.Run("a packed body without an end that unpacks to nothing", func(t *testing.T) {
		s := newServer(t, small)
		body := &endless{pattern: pack("").String()}
		r := request(body)
		r.ContentLength = -1
		r.Header.Set("Content-Encoding", "gzip")
		w := s.do(r)
		if d := s.problem(w); w.Code != 413 || body.read > 2*most {
			t.Errorf("status %d after %d bytes: %s", w.Code, body.read, d.Detail)
		}
	})
	t.Run("just enough", func(t *testing.T) {
		s := newServer(t, small)
		body := fixture(t, "container-down")
		if w := s.post(body + strings.Repeat(" ", most-len(body))); w.Code != 200 {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
	t.Run("one byte more", func(t *testing.T) {
		s := newServer(t, small)
		body := fixture(t, "container-down")
		if w := s.post(body + strings.Repeat(" ", most+1-len(body))); w.Code != 413 {
			t.Errorf("status %d: %s", w.Code, w.Body)
		}
	})
}

func TestSlowBody(t *testing.T) {
	s := newServer(t)
	w := s.do(request(io.MultiReader(strings.NewReader(`{"alerts"`), broken{os.ErrDeadlineExceeded})))
	if d := s.problem(w); w.Code != http.StatusRequestTimeout {
		t.Errorf("status %d: %s", w.Code, d.Detail)
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// manyAlerts is a message with n alerts.
func manyAlerts(n int) string {
	var b strings.Builder
	b.WriteString(`{"version": "4", "alerts": [`)
	for i := range n {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, `{"status": "firing", "labels": {"alertname": "Storm", "host": "h%d"}}`, i)
	}
	b.WriteString("]}")
	return b.String()
}

func TestManyAlerts(t *testing.T) {
	s := newServer(t)
	if w := s.post(manyAlerts(10_000)); w.Code != 200 {
		t.Fatalf("status %d: %.300s", w.Code, w.Body)
	}
	if got := s.got[0][9_999].Labels["host"]; len(s.got[0]) != 10_000 || got != "h9999" {
		t.Errorf("%d alerts, the last of %s", len(s.got[0]), got)
	}
	s = newServer(t)
	w := s.post(manyAlerts(10_001))
	if d := s.problem(w); w.Code != 413 || !strings.Contains(d.Detail, "max_alerts") {
		t.Errorf("status %d: %s", w.Code, d.Detail)
	}
}

func TestHandlerChecksItsConfig(t *testing.T) {
	s := &server{}
	for want, cfg := range map[string]intake.Config{
		"Receiver": {},
		"MaxBytes": {Receiver: s, MaxBytes: -1},
		"Password": {Receiver: s, Auth: intake.Auth{Username: "u"}},
		"Username": {Receiver: s, Auth: intake.Auth{Password: "p"}},
	} {
		if _, err := intake.Handler(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
	if _, err := intake.Handler(intake.Config{Receiver: s, Auth: intake.Auth{Username: "u", Token: "t"}}); err == nil {
		t.Error("a username that no password belongs to was taken")
	}
}

// The handler behind a real server: the answer to a body that is too large
// reaches the sender, and the connection ends.
func TestRealServer(t *testing.T) {
	s := newServer(t, func(c *intake.Config) { c.MaxBytes = 1000 })
	srv := httptest.NewServer(s.h)
	defer srv.Close()
	client := &http.Client{Timeout: time.Minute}
	for body, want := range map[string]int{
		`{"alerts": [{"labels": {"alertname": "X"}}]}`: 200,
		strings.Repeat(" ", 2000):                      413,
	} {
		resp, err := client.Post(srv.URL+"/webhook/alertmanager", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("status %d, want %d", resp.StatusCode, want)
		}
	}
}
