package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
)

// desk knows one link, "good".
type desk struct {
	approval lifeline.Approval
	broken   error // of every look-up
	refuses  error // of a decision
	asked    []string
}

func (d *desk) ByToken(_ context.Context, token string) (lifeline.Approval, lifeline.Incident, error) {
	switch {
	case d.broken != nil:
		return lifeline.Approval{}, lifeline.Incident{}, d.broken
	case token != "good":
		return lifeline.Approval{}, lifeline.Incident{}, &lifeline.Error{Code: lifeline.CodeRefused, Message: "this link is not valid"}
	}
	return d.approval, lifeline.Incident{ID: "inc_1", AlertName: "Container\x1bDown", Severity: "critical", Summary: "<b>web</b> is down",
		Target: lifeline.Target{Host: "atlas", Kind: lifeline.TargetContainer, Name: "web"}}, nil
}

func (d *desk) Decide(_ context.Context, token string, approve bool, by, reason string) (lifeline.Approval, error) {
	d.asked = append(d.asked, fmt.Sprintf("%s %v %s %s", token, approve, by, reason))
	if d.refuses != nil {
		return d.approval, d.refuses
	}
	a := d.approval
	a.State = map[bool]lifeline.ApprovalState{true: lifeline.ApprovalApproved, false: lifeline.ApprovalDenied}[approve]
	return a, nil
}

func newDesk() *desk {
	return &desk{approval: lifeline.Approval{
		ID: "apr_1", Canonical: "docker restart web" + strings.Repeat(" ", 400) + "<script>alert(1)</script>\u202e", Class: "change", Marks: []string{"sensitive"},
		Rule: "catalogue", Reason: "it changes something", State: lifeline.ApprovalPending, ExpiresAt: time.Now().Add(time.Hour),
		Request: lifeline.CommandRequest{Host: "atlas", IncidentID: "inc_1", Actor: "model:m", Purpose: `"><img src=x>` + "\x1b[2J"},
	}}
}

func pages(t *testing.T, d Desk) http.Handler {
	t.Helper()
	h, err := Handler(Config{Desk: d})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ask makes a request as a browser on the page itself does.
func ask(h http.Handler, method, path, form string, header ...string) *http.Response {
	r := httptest.NewRequest(method, "http://lifeline.example.net"+path, strings.NewReader(form))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Origin", "http://lifeline.example.net")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			r.Header.Del(header[i])
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The page shows the whole command and nothing acts; looking decides nothing.
func TestQuestion(t *testing.T) {
	d := newDesk()
	r := ask(pages(t, d), http.MethodGet, "/approve/good", "")
	page := text(t, r)
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%s %s", r.Status, r.Header)
	}
	for _, want := range []string{
		`docker restart web` + strings.Repeat(" ", 400) + `&lt;script&gt;alert(1)&lt;/script&gt;\u{202e}</pre>`, "444 characters", "atlas", "change, sensitive", "catalogue",
		"it changes something", `Container\x1bDown, container web on atlas`, "&lt;b&gt;web&lt;/b&gt; is down", "model:m", "&#34;&gt;&lt;img src=x&gt;\\x1b[2J", "Nobody has checked it",
		`<form method="post">`, `value="approve"`, `value="deny"`, `width=device-width`, "/static/style.css",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not have %q:\n%s", want, page)
		}
	}
	if strings.ContainsAny(page, "\x1b\u202e") || strings.Contains(page, "<script") || strings.Contains(page, "<img") || strings.Contains(page, "style=") {
		t.Errorf("the page has something that acts:\n%s", page)
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Content-Security-Policy": linkPolicy,
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if head := ask(pages(t, d), http.MethodHead, "/approve/good", ""); head.StatusCode != http.StatusOK {
		t.Errorf("HEAD: %s", head.Status)
	}
	if len(d.asked) != 0 {
		t.Errorf("looking has decided: %v", d.asked)
	}
}

func TestAnswer(t *testing.T) {
	for what, tt := range map[string]struct {
		form   string
		status int
		asked  []string
		says   string
	}{
		"yes":           {"decision=approve&reason=" + url.QueryEscape(" go\xffon "), 200, []string{"good true person:link go\uFFFDon"}, "It runs now, once, on atlas"},
		"no":            {"decision=deny&reason=", 200, []string{"good false person:link "}, "It is not run on atlas"},
		"a long reason": {"decision=deny&reason=" + strings.Repeat("x", 3000), 200, []string{"good false person:link " + strings.Repeat("x", 500)}, "Denied"},
		"neither":       {"decision=maybe", 400, nil, "neither yes nor no"},
		"nothing":       {"", 400, nil, "neither yes nor no"},
		"too much":      {"decision=approve&reason=" + strings.Repeat("x", 20<<10), 400, nil, "could not be read"},
	} {
		d := newDesk()
		r := ask(pages(t, d), http.MethodPost, "/approve/good", tt.form)
		page := text(t, r)
		if r.StatusCode != tt.status || !strings.Contains(page, tt.says) {
			t.Errorf("%s: %s\n%s", what, r.Status, page)
		}
		if diff := cmp.Diff(tt.asked, d.asked); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	// A decision is in the body, not in an address that a preview opens.
	d := newDesk()
	if r := ask(pages(t, d), http.MethodPost, "/approve/good?decision=approve", ""); r.StatusCode != http.StatusBadRequest || len(d.asked) != 0 {
		t.Errorf("in the address: %s, %v", r.Status, d.asked)
	}
}

// A link that is wrong, used or too old is answered alike, for a look and for an
// answer.
func TestLinksThatCannotBeUsed(t *testing.T) {
	used := newDesk()
	used.approval.State = lifeline.ApprovalUsed
	raced := newDesk()
	raced.refuses = &lifeline.Error{Code: lifeline.CodeRefused, Message: "the approval apr_1 is used already by person:bob"}
	var first string
	for _, try := range []struct {
		what   string
		d      *desk
		method string
		path   string
	}{
		{"wrong", newDesk(), http.MethodGet, "/approve/bad"}, {"wrong, answered", newDesk(), http.MethodPost, "/approve/bad"},
		{"used", used, http.MethodGet, "/approve/good"}, {"used, answered", used, http.MethodPost, "/approve/good"},
	} {
		r := ask(pages(t, try.d), try.method, try.path, "decision=approve")
		page := text(t, r)
		if first == "" {
			first = page
		}
		if r.StatusCode != http.StatusNotFound || page != first || !strings.Contains(page, "This link cannot be used") {
			t.Errorf("%s: %s\n%s", try.what, r.Status, page)
		}
		if len(try.d.asked) != 0 {
			t.Errorf("%s: decided %v", try.what, try.d.asked)
		}
	}
	// Somebody was quicker between the look and the answer.
	raced.approval.State = lifeline.ApprovalPending
	quick := &quicker{raced}
	if r := ask(pages(t, quick), http.MethodPost, "/approve/good", "decision=approve"); r.StatusCode != http.StatusNotFound || text(t, r) != first {
		t.Errorf("raced: %s", r.Status)
	}
	// The link is right, and the answer cannot be taken.
	refused := newDesk()
	refused.refuses = &lifeline.Error{Code: lifeline.CodeRefused, Message: "the policy is not the same any more"}
	r := ask(pages(t, refused), http.MethodPost, "/approve/good", "decision=approve")
	if page := text(t, r); r.StatusCode != http.StatusConflict || !strings.Contains(page, "The policy is not the same any more.") {
		t.Errorf("refused: %s\n%s", r.Status, page)
	}
	// The record cannot be read: nothing is said about the link, nothing about why.
	broken := newDesk()
	broken.broken = &lifeline.Error{Code: lifeline.CodeStore, Message: "secret path", Err: errors.New("disk")}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		r := ask(pages(t, broken), method, "/approve/good", "decision=approve")
		if page := text(t, r); r.StatusCode != http.StatusServiceUnavailable || strings.Contains(page, "secret path") || !strings.Contains(page, "Nothing was decided") {
			t.Errorf("%s: %s\n%s", method, r.Status, page)
		}
	}
}

// quicker is a desk at which another person has decided in between.
type quicker struct{ *desk }

func (q *quicker) Decide(context.Context, string, bool, string, string) (lifeline.Approval, error) {
	a := q.approval
	a.State = lifeline.ApprovalUsed
	return a, q.refuses
}

// Another site cannot answer in the name of whoever has the page open.
func TestOtherSites(t *testing.T) {
	for what, header := range map[string][]string{
		"another site":              {"Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example.net"},
		"a sister site":             {"Sec-Fetch-Site", "same-site", "Origin", "http://evil.example.net"},
		"another site, old browser": {"Sec-Fetch-Site", "", "Origin", "http://evil.example.net"},
		"a sandbox without a name":  {"Sec-Fetch-Site", "", "Origin", "null"},
	} {
		d := newDesk()
		if r := ask(pages(t, d), http.MethodPost, "/approve/good", "decision=approve", header...); r.StatusCode != http.StatusForbidden || len(d.asked) != 0 {
			t.Errorf("%s: %s, decided %v", what, r.Status, d.asked)
		}
	}
	for what, header := range map[string][]string{
		"plain HTTP, where browsers say less": {"Sec-Fetch-Site", ""},
		"curl":                                {"Sec-Fetch-Site", "", "Origin", ""},
	} {
		d := newDesk()
		if r := ask(pages(t, d), http.MethodPost, "/approve/good", "decision=approve", header...); r.StatusCode != http.StatusOK || len(d.asked) != 1 {
			t.Errorf("%s: %s, decided %v", what, r.Status, d.asked)
		}
	}
}

func TestOtherPaths(t *testing.T) {
	h := pages(t, newDesk())
	for path, want := range map[string]int{
		"/static/style.css": 200, "/static/": 404, "/static/../web.go": 307, "/static/none.css": 404, "/approve/": 404, "/approve/good/more": 404, "/approve": 404, "/": 404,
	} {
		r := ask(h, http.MethodGet, path, "")
		if r.StatusCode != want || r.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
	if r := ask(h, http.MethodDelete, "/approve/good", ""); r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("DELETE: %s", r.Status)
	}
	if css := text(t, ask(h, http.MethodGet, "/static/style.css", "")); !strings.Contains(css, "prefers-color-scheme: dark") || strings.Contains(css, "url(") {
		t.Errorf("the style:\n%s", css)
	}
	if _, err := Handler(Config{}); err == nil {
		t.Error("a handler without a desk")
	}
}

// Whoever guesses is slowed down, each address for itself.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(time.Now)
		for i := range perMinute {
			if !l.allows("10.0.0.1:1234") {
				t.Fatalf("request %d is too many", i+1)
			}
		}
		for remote, want := range map[string]bool{
			"10.0.0.1:9": false, "[::ffff:10.0.0.1]:9": false, "10.0.0.2:9": true, "[2001:db8::1]:9": true, "odd": true,
		} {
			if got := l.allows(remote); got != want {
				t.Errorf("%s: %v", remote, got)
			}
		}
		time.Sleep(time.Minute)
		if !l.allows("10.0.0.1:9") {
			t.Error("a minute later it is still too many")
		}
		for i := range 2 * maxAddresses {
			l.allows(fmt.Sprintf("[2001:db8:%x:%x::1]:9", i>>8, i&0xff))
		}
		if len(l.seen) > maxAddresses {
			t.Errorf("%d addresses are known", len(l.seen))
		}
		if l.allows("10.9.9.9:1") || !l.allows("10.0.0.1:9") {
			t.Error("with too many addresses, new ones have to wait and known ones not")
		}
	})
	h := pages(t, newDesk())
	var last *http.Response
	for range perMinute + 1 {
		last = ask(h, http.MethodGet, "/approve/bad", "")
	}
	if last.StatusCode != http.StatusTooManyRequests || last.Header.Get("Retry-After") != "60" {
		t.Errorf("one too many: %s", last.Status)
	}
}
