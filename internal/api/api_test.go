package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/api"
)

// operation is a request, what the service is told, and the least role for it.
type operation struct {
	method, path, body string
	role               lifeline.Role
	status             int
	tells, answers     string
}

func operations() []operation {
	const get, post = http.MethodGet, http.MethodPost
	v, a, m := lifeline.RoleViewer, lifeline.RoleApprover, lifeline.RoleAdmin
	return []operation{
		{get, "/version", "", v, 200, ``, `"version":"v1"`},
		{get, "/incidents", "", v, 200, `incidents {"limit":50}`, `"next":"1.inc_1"`},
		{get, "/incidents?state=open,escalated&host=nexus&thing=web&alert=X&text=y&after=1.a&limit=7&from=2026-01-02T03:04:05Z&until=2026-01-03T00:00:00Z", "", v, 200,
			`incidents {"states":["open","escalated"],"host":"nexus","thing":"web","alert":"X","text":"y","from":"2026-01-02T03:04:05Z","until":"2026-01-03T00:00:00Z","after":"1.a","limit":7}`, `"incidents"`},
		{get, "/incidents/inc_1", "", v, 200, "case inc_1", `"id":"inc_1"`},
		{get, "/incidents/inc_1/markdown", "", v, 200, "markdown inc_1", "# inc_1\n"},
		{get, "/incidents/inc_1/explain", "", v, 200, "explain inc_1", `"text":"because"`},
		{post, "/incidents/inc_1/retry", "", a, 200, "person:ann retries inc_1", `"id":"inc_2"`},
		{post, "/incidents/inc_1/handover", `{"reason":"mine"}`, a, 200, "person:ann takes over inc_1: mine", `"id":"inc_1"`},
		{post, "/incidents/inc_1/handover", ``, a, 200, "person:ann takes over inc_1: ", `"id":"inc_1"`},
		{post, "/incidents/inc_1/close", `{"reason":"done"}`, a, 200, "person:ann closes inc_1: done", `"id":"inc_1"`},
		{get, "/approvals", "", v, 200, "approvals false", `"id":"apr_1"`},
		{get, "/approvals?all=true", "", v, 200, "approvals true", `"id":"apr_1"`},
		{get, "/approvals/apr_1", "", v, 200, "approval apr_1", `"id":"apr_1"`},
		{post, "/approvals/apr_1", `{"decision":"approve","reason":"go"}`, a, 200, "person:ann decides apr_1: true go", `"decided_by":"person:ann"`},
		{post, "/approvals/apr_1", `{"decision":"deny"}`, a, 200, "person:ann decides apr_1: false ", `"id":"apr_1"`},
		{get, "/hosts", "", v, 200, "hosts", `"round_trip_ns":20000000`},
		{get, "/hosts/nexus", "", v, 200, "host nexus", `"name":"nexus"`},
		{get, "/policy/nexus", "", v, 200, "policy nexus", `"host":"nexus"`},
		{post, "/policy/explain", `{"command":"docker ps","mode":"auto"}`, v, 200, `explain "" "auto" "docker ps"`, `"command":"docker ps"`},
		{get, "/status", "", v, 200, "status", `"paused"`},
		{post, "/pause", `{"reason":"disk","now":true}`, m, 200, "person:ann pauses: disk true", `"on":true`},
		{post, "/pause", ``, m, 200, "person:ann pauses:  false", `"on":true`},
		{post, "/resume", ``, m, 200, "person:ann resumes: ", `"on":false`},
		{get, "/statistics", "", v, 200, "statistics true true", `"alone"`},
		{get, "/statistics?from=2026-01-02T03:04:05Z", "", v, 200, "statistics false true", `"from":"2026-01-02T03:04:05Z"`},
		{get, "/audit", "", v, 200, "audit", `"ok":true`},
		{get, "/maintenance", "", v, 200, "maintenance false", `"id":"mnt_1"`},
		{post, "/maintenance", `{"scope":{"host":"nexus"},"until":"2026-01-02T03:04:05Z","reason":"disk"}`, m, 201, "person:ann adds over host nexus, from now true: disk", `"id":"mnt_2"`},
		{http.MethodDelete, "/maintenance/mnt_1", "", m, 200, "person:ann ends mnt_1", `"id":"mnt_1"`},
	}
}

func TestOperations(t *testing.T) {
	d := newDesk()
	server := serve(t, d)
	for _, op := range operations() {
		resp, body := ask(t, server, op.method, op.path, op.body, "X-Role", string(op.role))
		if told := d.calls(); resp.StatusCode != op.status || told != op.tells || !strings.Contains(body, op.answers) {
			t.Errorf("%s %s %s: status %d, want %d\ntold %q\nwant %q\n%s", op.method, op.path, op.body, resp.StatusCode, op.status, told, op.tells, body)
		}
		want := "application/json"
		if strings.HasSuffix(op.path, "/markdown") {
			want = "text/markdown; charset=utf-8"
		}
		for name, value := range map[string]string{"Content-Type": want, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"} {
			if got := resp.Header.Get(name); got != value {
				t.Errorf("%s %s: %s: %q, want %q", op.method, op.path, name, got, value)
			}
		}
	}
}

// Nobody who is not known, and nobody with a lesser role, gets anything or makes
// anything happen, whatever they send; and the document lists every operation.
func TestOperationsNeedTheirRole(t *testing.T) {
	d := newDesk()
	server := serve(t, d)
	less := map[lifeline.Role]string{lifeline.RoleViewer: "guest", lifeline.RoleApprover: "viewer", lifeline.RoleAdmin: "approver"}
	all := append(operations(), operation{method: http.MethodGet, path: "/events", role: lifeline.RoleViewer}, operation{method: http.MethodGet, path: "/incidents/inc_1/events", role: lifeline.RoleViewer})
	for _, op := range all {
		for role, status := range map[string]int{"": 401, less[op.role]: 403} {
			for _, headers := range [][]string{{"X-Role", role}, {"X-Role", role, "Idempotency-Key", "k" + role + op.path}} {
				for _, body := range []string{op.body, `{"wrong`} {
					resp, text := ask(t, server, op.method, op.path, body, headers...)
					var p api.Problem
					if err := json.Unmarshal([]byte(text), &p); err != nil || resp.StatusCode != status || p.Status != status || p.Detail == "" || p.Next == "" {
						t.Errorf("%s %s as %q: status %d, want %d: %s", op.method, op.path, role, resp.StatusCode, status, text)
					}
					if told := d.calls(); told != "" {
						t.Errorf("%s %s as %q did something: %s", op.method, op.path, role, told)
					}
				}
			}
		}
	}
	text, err := api.Document("v1")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, op := range all {
		path, _, _ := strings.Cut(op.path, "?")
		path = strings.NewReplacer("inc_1", "{id}", "apr_1", "{id}", "mnt_1", "{id}", "/hosts/nexus", "/hosts/{name}", "/policy/nexus", "/policy/{host}").Replace(path)
		known[strings.ToLower(op.method)+" "+api.Prefix+path] = true
	}
	listed := map[string]bool{}
	for path, methods := range doc.Paths {
		for method := range methods {
			listed[method+" "+path] = true
		}
	}
	if diff := cmp.Diff(known, listed); diff != "" {
		t.Errorf("operations (-tested here +in the document):\n%s", diff)
	}
}

func TestProblems(t *testing.T) {
	d := newDesk()
	var log bytes.Buffer
	server := serve(t, d, func(c *api.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for _, c := range []struct {
		err    error
		status int
		want   api.Problem
		logged bool
	}{
		{&lifeline.Error{Code: lifeline.CodeNotFound, Message: "there is no such thing", Hint: "lifeline incidents"}, 404,
			api.Problem{Title: "Not Found", Detail: "there is no such thing", Code: "not_found", Next: "lifeline incidents"}, false},
		{&lifeline.Error{Code: lifeline.CodeRefused, Rule: lifeline.RuleApproval, Message: "used already"}, 409,
			api.Problem{Title: "Conflict", Detail: "used already", Code: "refused", Rule: "approval"}, false},
		{&lifeline.Error{Code: lifeline.CodeRefused, Rule: lifeline.RuleRole, Message: "needs a role"}, 403,
			api.Problem{Title: "Forbidden", Detail: "needs a role", Code: "refused", Rule: "role"}, false},
		{&lifeline.Error{Code: lifeline.CodeUsage, Message: "wrong"}, 422, api.Problem{Title: "Unprocessable Entity", Detail: "wrong", Code: "usage"}, false},
		{&lifeline.Error{Code: lifeline.CodeStore, Message: "list incidents", Err: errors.New("disk /secret/path is full")}, 503,
			api.Problem{Title: "Service Unavailable", Detail: "list incidents: the record cannot be read or written now", Code: "store", Next: "try again; the log of lifeline serve names the cause"}, true},
		{errors.New("nil pointer at /secret/path"), 500,
			api.Problem{Title: "Internal Server Error", Detail: "Lifeline itself has failed", Code: "internal", Next: "the log of lifeline serve names the cause"}, true},
	} {
		d.fail(c.err)
		log.Reset()
		resp, body := ask(t, server, http.MethodGet, "/status", "", "X-Role", "viewer")
		var got api.Problem
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		c.want.Type, c.want.Status = "about:blank", c.status
		if diff := cmp.Diff(c.want, got); diff != "" || resp.StatusCode != c.status || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%v: status %d, %s (-want +got):\n%s", c.err, resp.StatusCode, resp.Header.Get("Content-Type"), diff)
		}
		if strings.Contains(log.String(), "secret") != c.logged || strings.Contains(body, "secret") {
			t.Errorf("%v: the log says %q and the answer %s", c.err, log.String(), body)
		}
	}
}

// What is not as it has to be is refused before anything is done, and named.
func TestWrongRequests(t *testing.T) {
	d := newDesk()
	server := serve(t, d)
	for _, c := range []struct {
		method, path, body string
		status             int
		where              string
	}{
		{http.MethodGet, "/incidents?state=great", "", 422, "query.state[0]"},
		{http.MethodGet, "/incidents?limit=201", "", 422, "query.limit"},
		{http.MethodGet, "/incidents?hots=nexus", "", 422, "query.hots"},
		{http.MethodGet, "/incidents?from=yesterday", "", 422, "query.from"},
		{http.MethodGet, "/events?after=-1", "", 422, ""},
		{http.MethodGet, "/events?after=x", "", 422, ""},
		{http.MethodPost, "/approvals/apr_1", `{"decision":"perhaps"}`, 422, "body.decision"},
		{http.MethodPost, "/approvals/apr_1", `{}`, 422, "body"},
		{http.MethodPost, "/approvals/apr_1", `{"decision":"approve","and":1}`, 422, "body.and"},
		{http.MethodPost, "/approvals/apr_1", `{"decision":`, 400, "body"},
		{http.MethodPost, "/approvals/apr_1", "", 400, ""},
		{http.MethodPost, "/policy/explain", `{"command":""}`, 422, "body.command"},
		{http.MethodPost, "/incidents/inc_1/close", `{"reason":"` + strings.Repeat("x", 1001) + `"}`, 422, "body.reason"},
		{http.MethodPost, "/incidents/inc_1/close", `{"reason":"` + strings.Repeat("x", 300<<10) + `"}`, 413, ""},
		{http.MethodPost, "/maintenance", `{"scope":{},"until":"soon"}`, 422, "body.until"},
		{http.MethodGet, "/nowhere", "", 404, ""},
		{http.MethodPost, "/status", "", 404, ""},
		{http.MethodGet, "/incidents/" + strings.Repeat("x", 65), "", 422, "path.id"},
	} {
		resp, body := ask(t, server, c.method, c.path, c.body, "X-Role", "admin")
		var p api.Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil || resp.StatusCode != c.status || p.Status != c.status || p.Code == "" || p.Detail == "" {
			t.Errorf("%s %s: status %d, want %d: %s", c.method, c.path, resp.StatusCode, c.status, body)
		}
		named := false
		for _, e := range p.Errors {
			named = named || e.Where == c.where
		}
		if c.where != "" && !named {
			t.Errorf("%s %s: %s is not named: %s", c.method, c.path, c.where, body)
		}
		if told := d.calls(); told != "" {
			t.Errorf("%s %s did something: %s", c.method, c.path, told)
		}
	}
}

// A page of another site cannot make a browser do anything here.
func TestOtherSites(t *testing.T) {
	d := newDesk()
	server := serve(t, d)
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		resp, body := ask(t, server, http.MethodPost, "/pause", "", append(headers, "X-Role", "admin")...)
		if told := d.calls(); resp.StatusCode != http.StatusForbidden || told != "" || !strings.Contains(body, "another site") {
			t.Errorf("%v: status %d, told %q: %s", headers, resp.StatusCode, told, body)
		}
	}
}

// Text from outside reaches nobody as something to obey.
func TestAnswersAreEscaped(t *testing.T) {
	_, body := ask(t, serve(t, newDesk()), http.MethodGet, "/incidents", "", "X-Role", "viewer")
	if strings.ContainsAny(body, "\x1b\u202e") || !strings.Contains(body, `\u001b[2J\u202e`) {
		t.Errorf("%q", body)
	}
}

func TestHandlerNeedsItsParts(t *testing.T) {
	for _, cfg := range []api.Config{{}, {Service: newDesk()}, {Service: newDesk(), Answers: &kept{}}} {
		if _, err := api.Handler(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}
