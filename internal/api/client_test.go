package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/api/client"
)

// as sends a role with each request.
type as struct {
	role string
	next http.RoundTripper
}

func (a as) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Role", a.role)
	return a.next.RoundTrip(r)
}

func clientOf(t *testing.T, server *httptest.Server, role string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Server: server.URL + "/", HTTP: &http.Client{Transport: as{role, server.Client().Transport}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Each call of the client comes to the service as it was meant.
func TestClient(t *testing.T) {
	d := newDesk()
	c := clientOf(t, serve(t, d), "admin")
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for want, call := range map[string]func(context.Context) error{
		`incidents {"states":["open","acting"],"host":"nexus","thing":"a b","alert":"X","text":"100%","from":"2026-01-02T03:04:05Z","after":"1.a","limit":7}`: func(ctx context.Context) error {
			_, err := c.Incidents(ctx, lifeline.IncidentQuery{States: []lifeline.State{"open", "acting"}, Host: "nexus", Thing: "a b", Alert: "X", Text: "100%", From: when, After: "1.a", Limit: 7})
			return err
		},
		"case inc_1": func(ctx context.Context) error { _, err := c.Case(ctx, "inc_1"); return err },
		"markdown inc_1": func(ctx context.Context) error {
			text, err := c.CaseMarkdown(ctx, "inc_1")
			if text != "# inc_1\n" {
				t.Errorf("%q", text)
			}
			return err
		},
		"approvals true": func(ctx context.Context) error {
			list, err := c.Approvals(ctx, true)
			if len(list) != 1 || list[0].ID != "apr_1" {
				t.Errorf("%+v", list)
			}
			return err
		},
		"person:ann decides apr_1: false no": func(ctx context.Context) error {
			a, err := c.Decide(ctx, "apr_1", false, "no")
			if a.ID != "apr_1" {
				t.Errorf("%+v", a)
			}
			return err
		},
		"status":                       func(ctx context.Context) error { _, err := c.Status(ctx); return err },
		"person:ann pauses: disk true": func(ctx context.Context) error { _, err := c.Pause(ctx, "disk", true); return err },
		"person:ann resumes: done":     func(ctx context.Context) error { _, err := c.Resume(ctx, "done"); return err },
		"hosts": func(ctx context.Context) error {
			list, err := c.Hosts(ctx)
			if len(list) != 1 || list[0].RoundTrip != 20*time.Millisecond {
				t.Errorf("%+v", list)
			}
			return err
		},
		"audit":            func(ctx context.Context) error { _, err := c.Audit(ctx); return err },
		"maintenance true": func(ctx context.Context) error { _, err := c.Maintenances(ctx, true); return err },
		"person:ann adds over container web on nexus, from now true: disk": func(ctx context.Context) error {
			m, err := c.AddMaintenance(ctx, lifeline.Maintenance{Scope: lifeline.MaintenanceScope{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"}, Until: when, Reason: "disk"})
			if m.ID != "mnt_2" {
				t.Errorf("%+v", m)
			}
			return err
		},
		"person:ann ends mnt_1": func(ctx context.Context) error { _, err := c.EndMaintenance(ctx, "mnt_1"); return err },
	} {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if diff := cmp.Diff(want, d.calls()); diff != "" {
			t.Errorf("(-want +told):\n%s", diff)
		}
	}
}

// The server's errors are ours, with the same cause; and what is no Lifeline says so.
func TestClientErrors(t *testing.T) {
	d := newDesk()
	server := serve(t, d)
	d.fail(&lifeline.Error{Code: lifeline.CodeRefused, Rule: lifeline.RuleApproval, Message: "used already", Hint: "lifeline approvals"})
	_, err := clientOf(t, server, "approver").Decide(t.Context(), "apr_1", true, "")
	want := &lifeline.Error{Code: lifeline.CodeRefused, Rule: lifeline.RuleApproval, Message: "used already", Hint: "lifeline approvals"}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/status":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/api/v1/audit":
			w.Write([]byte("<html>"))
		default:
			http.Error(w, "no", http.StatusTeapot)
		}
	}))
	t.Cleanup(stranger.Close)
	other, err := client.New(client.Config{Server: stranger.URL})
	if err != nil {
		t.Fatal(err)
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	nobody, err := client.New(client.Config{Server: gone.URL})
	if err != nil {
		t.Fatal(err)
	}
	call := func(f func(context.Context) (lifeline.Status, error)) error { _, err := f(t.Context()); return err }
	_, page := other.Audit(t.Context())
	_, teapot := other.Hosts(t.Context())
	for name, c := range map[string]struct {
		err  error
		code lifeline.Code
		says string
	}{
		"not known":  {call(clientOf(t, server, "").Status), lifeline.CodeAuth, "it is not known who you are"},
		"redirected": {call(other.Status), lifeline.CodeInternal, "302 Found"},
		"a page":     {page, lifeline.CodeInternal, "is no Lifeline"},
		"a teapot":   {teapot, lifeline.CodeInternal, "418"},
		"nobody":     {call(nobody.Status), lifeline.CodeUnreachable, "ask Lifeline at " + gone.URL},
	} {
		if lifeline.CodeOf(c.err) != c.code || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v (%s)", name, c.err, lifeline.CodeOf(c.err))
		}
	}
}

// A token goes to the server that was named, and over plain HTTP to this machine only.
func TestClientToken(t *testing.T) {
	sent := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header.Get("Authorization")
		w.Write([]byte("{}"))
	}))
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{Server: server.URL, Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); err != nil || sent != "Bearer secret" {
		t.Errorf("sent %q, %v", sent, err)
	}
	for _, cfg := range []client.Config{
		{Server: "http://192.0.2.1", Token: "secret"}, {Server: "http://localhost.example.com", Token: "secret"},
		{Server: "https://lifeline.example.net", Token: "two words"}, {Server: "https://ann:secret@lifeline.example.net"},
		{Server: "lifeline.example.net"}, {Server: "ftp://lifeline.example.net"}, {Server: "https://lifeline.example.net/?a"}, {Server: ""},
	} {
		if _, err := client.New(cfg); lifeline.CodeOf(err) != lifeline.CodeUsage || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	if _, err := client.New(client.Config{Server: "https://lifeline.example.net/below", Token: "secret"}); err != nil {
		t.Error(err)
	}
}
