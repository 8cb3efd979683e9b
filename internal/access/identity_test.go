package access

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lifeline"
)

type recorder func(lifeline.Event)

func (r recorder) AppendEvent(_ context.Context, e lifeline.Event) error { r(e); return nil }

// token makes a token and gives the header that has it.
func (w *world) token(name string, role lifeline.Role, expires time.Time) (lifeline.Token, string) {
	w.t.Helper()
	secret, hash := NewToken()
	made, err := w.store.AddToken(w.t.Context(), hash, lifeline.Token{Name: name, Role: role, CreatedBy: "person:ann", ExpiresAt: expires})
	if err != nil {
		w.t.Fatal(err)
	}
	return made, "Bearer " + secret
}

// Each role may do what those before it may, and whoever may not is told why: a
// person by a page, a program by a problem document.
func TestRequire(t *testing.T) {
	w := newWorld(t, nil)
	_, viewer := w.token("see", lifeline.RoleViewer, time.Time{})
	_, approver := w.token("decide", lifeline.RoleApprover, time.Time{})
	_, admin := w.token("all", lifeline.RoleAdmin, time.Time{})
	for token, want := range map[string][3]int{viewer: {200, 403, 403}, approver: {200, 200, 403}, admin: {200, 200, 200},
		"Bearer llt_none": {401, 401, 401}, "Bearer": {401, 401, 401}, "Bearer other": {401, 401, 401}, "bearer " + strings.TrimPrefix(admin, "Bearer "): {200, 200, 200}} {
		for i, path := range []string{"/", "/approver/", "/admin/"} {
			r, body := w.ask("GET", path, "", "Authorization", token, "from", "1.2.3.4:5", "host", "lifeline.example.net")
			if r.StatusCode != want[i] {
				t.Errorf("%s: %s, want %d: %s", path, r.Status, want[i], body)
			}
			if r.StatusCode == 200 {
				continue
			}
			var p problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || r.Header.Get("Content-Type") != "application/problem+json" || p.Status != r.StatusCode || p.Detail == "" || p.Hint == "" {
				t.Errorf("%s: %s %v", path, body, err)
			}
			if challenge := r.Header.Get("WWW-Authenticate"); r.StatusCode == 401 && challenge != `Bearer realm="lifeline", error="invalid_token"` {
				t.Errorf("%s: the challenge is %q", path, challenge)
			}
		}
	}
	_, body := w.ask("GET", "/admin/", "", "Authorization", viewer)
	if !strings.Contains(body, "This needs the role admin, and see has the role viewer.") {
		t.Errorf("forbidden: %s", body)
	}
	for what, header := range map[string][]string{"JSON": {"Accept", "application/json"}, "events": {"Accept", "text/event-stream"}} {
		r, body := w.ask("GET", "/", "", header...)
		if r.StatusCode != 401 || r.Header.Get("WWW-Authenticate") != `Bearer realm="lifeline"` || !strings.Contains(body, "lifeline token create NAME --role viewer") {
			t.Errorf("%s: %s %s", what, r.Status, body)
		}
	}
	if r, _ := w.ask("GET", "/api/v1/incidents", ""); r.StatusCode != 401 {
		t.Errorf("the API sends a program to the sign-in: %s", r.Status)
	}
	if r, _ := w.ask("POST", "/admin/pause", ""); r.StatusCode != 303 || r.Header.Get("Location") != "/login" {
		t.Errorf("a form of nobody: %s %s", r.Status, r.Header)
	}
	if status := w.signIn("bob", sesame+"!"); status != 303 {
		t.Fatal(status)
	}
	if r, page := w.ask("GET", "/admin/", ""); r.StatusCode != 403 || !strings.Contains(page, "This needs the role admin, and bob has the role viewer.") || !strings.Contains(page, "<h1>Forbidden</h1>") {
		t.Errorf("a person: %s\n%s", r.Status, page)
	}
	// A token that is wrong is not made up for by the browser's session.
	if r, _ := w.ask("GET", "/", "", "Authorization", "Bearer llt_none"); r.StatusCode != 401 {
		t.Errorf("a wrong token and a session: %s", r.Status)
	}
	// Without Identify nobody is known.
	recorded := httptest.NewRecorder()
	w.Require(lifeline.RoleViewer, http.HandlerFunc(whoami)).ServeHTTP(recorded, httptest.NewRequest("GET", "/", nil))
	if recorded.Code != 303 {
		t.Errorf("without Identify: %d", recorded.Code)
	}
}

func TestTokens(t *testing.T) {
	w := newWorld(t, nil)
	made, header := w.token("ci", lifeline.RoleApprover, w.now().Add(time.Hour))
	used := func() time.Time {
		t.Helper()
		all, err := w.store.Tokens(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all[0].UsedAt
	}
	if who := w.who("Authorization", header); who != "ci approver token token:ci" || !used().Equal(w.now()) {
		t.Errorf("%s, used at %s", who, used())
	}
	first := used()
	w.later(59 * time.Second)
	if w.who("Authorization", header); !used().Equal(first) {
		t.Error("each use is written down")
	}
	w.later(time.Second)
	if w.who("Authorization", header); used().Equal(first) {
		t.Error("the use a minute later is not written down")
	}
	// A program has no site that it comes from.
	if r, _ := w.ask("POST", "/approver/x", "", "Authorization", header, "Sec-Fetch-Site", "cross-site"); r.StatusCode != 200 {
		t.Errorf("a token from elsewhere: %s", r.Status)
	}
	if _, err := w.store.RevokeToken(t.Context(), made.Name, "person:ann"); err != nil {
		t.Fatal(err)
	}
	if who := w.who("Authorization", header); who != "nobody" {
		t.Errorf("revoked: %s", who)
	}
	_, header = w.token("ci", lifeline.RoleViewer, w.now().Add(time.Hour))
	w.later(time.Hour)
	if who := w.who("Authorization", header); who != "nobody" {
		t.Errorf("over: %s", who)
	}
	if !strings.Contains(w.log.String(), "token_refused") || strings.Contains(w.log.String(), "llt_") {
		t.Errorf("the log:\n%s", w.log)
	}
}

// Where nobody is configured, whoever sits at the machine may do everything, and
// nobody else may do anything.
func TestLoopback(t *testing.T) {
	open := func(c *Config) { c.Users = nil }
	w := newWorld(t, open)
	const local = "local admin loopback person:local"
	cases := map[string]struct {
		header []string
		want   string
	}{
		"this machine":            {nil, local},
		"IPv6":                    {[]string{"from", "[::1]:5", "host", "[::1]:8674"}, local},
		"by another name":         {[]string{"host", "evil.example.net"}, "nobody"},
		"another machine":         {[]string{"from", "192.168.0.9:5"}, "nobody"},
		"through a proxy here":    {[]string{"X-Forwarded-For", "192.168.0.9"}, "nobody"},
		"through a trusted proxy": {byProxy("127.0.0.1"), "nobody"},
		"with a wrong token":      {[]string{"Authorization", "Bearer llt_x"}, "nobody"},
	}
	for what, tt := range cases {
		if who := w.who(tt.header...); who != tt.want {
			t.Errorf("%s: %s, want %s", what, who, tt.want)
		}
	}
	if r, _ := w.ask("GET", "/login", ""); r.StatusCode != 303 {
		t.Errorf("the sign-in for whoever needs none: %s", r.Status)
	}
	// A page of another site, opened in a browser here, cannot do anything.
	for what, header := range map[string][]string{
		"a modern browser": {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.net"}, "an old one": {"Sec-Fetch-Site", "", "Origin", "https://evil.net"},
	} {
		if r, body := w.ask("POST", "/admin/pause", "", header...); r.StatusCode != 403 || strings.Contains(body, "local") {
			t.Errorf("%s: %s %s", what, r.Status, body)
		}
	}
	if r, body := w.ask("POST", "/admin/pause", ""); r.StatusCode != 200 || body != local {
		t.Errorf("a form of our own: %s %s", r.Status, body)
	}
	// Everything that says who may come in closes it.
	w.configure(func(c *Config) { open(c); c.Local = false })
	if who := w.who(); who != "nobody" {
		t.Errorf("on an address that others reach: %s", who)
	}
	w.configure(nil)
	if who := w.who(); who != "nobody" {
		t.Errorf("with users: %s", who)
	}
	w.configure(func(c *Config) {
		open(c)
		c.OIDC = OIDC{Issuer: "https://id.example.net", ClientID: "l", DefaultRole: lifeline.RoleViewer}
	})
	if who := w.who(); who != "nobody" {
		t.Errorf("with an identity provider: %s", who)
	}
	w.configure(open)
	made, _ := w.token("ci", lifeline.RoleViewer, time.Time{})
	if who := w.who(); who != "nobody" {
		t.Errorf("with a token: %s", who)
	}
	if _, page := w.ask("GET", "/login", ""); !strings.Contains(page, "no person is configured") || !strings.Contains(page, "lifeline password") {
		t.Errorf("nobody can sign in:\n%s", page)
	}
	if _, err := w.store.RevokeToken(t.Context(), made.ID, "person:ann"); err != nil {
		t.Fatal(err)
	}
	if who := w.who(); who != local {
		t.Errorf("without the token again: %s", who)
	}
}

// While the record cannot be read nobody is let in, and nobody is sent to the
// sign-in in vain.
func TestRecordCannotBeRead(t *testing.T) {
	w := newWorld(t, nil)
	_, header := w.token("ci", lifeline.RoleAdmin, time.Time{})
	if status := w.signIn("ann", sesame); status != 303 {
		t.Fatal(status)
	}
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	for what, header := range map[string][]string{"a session": nil, "a token": {"Authorization", header}} {
		if r, body := w.ask("GET", "/", "", header...); r.StatusCode != 503 || !strings.Contains(body, "cannot tell now who you are") {
			t.Errorf("%s: %s %s", what, r.Status, body)
		}
	}
	if status := w.signIn("bob", sesame+"!"); status != 503 {
		t.Errorf("a sign-in that cannot be kept: %d", status)
	}
	if r, _ := w.ask("POST", "/logout", ""); r.StatusCode != 503 {
		t.Errorf("a session that cannot be ended: %s", r.Status)
	}
	w.configure(func(c *Config) { c.Users = nil })
	clear(w.jar)
	if r, _ := w.ask("GET", "/", ""); r.StatusCode != 503 {
		t.Errorf("whether there is a token cannot be told: %s", r.Status)
	}
}

// An answer that lasts ends once whoever asked would not be let in any more.
func TestStreamsEndWithTheirReason(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.LookAgain = 5 * time.Millisecond })
	made, header := w.token("ci", lifeline.RoleViewer, time.Time{})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", header)
	w.Identify(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if !w.still(r) {
			t.Error("whoever was just let in is not known any more")
		}
		if _, err := w.store.RevokeToken(t.Context(), made.ID, "person:ann"); err != nil {
			t.Fatal(err)
		}
		<-r.Context().Done()
		if err := context.Cause(r.Context()); !errors.Is(err, errNotAnyMore) {
			t.Errorf("it ended with %v", err)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
	if w.still(r) {
		t.Error("whoever was never known still is")
	}
}

func TestNewRefuses(t *testing.T) {
	w := newWorld(t, nil)
	for what, change := range map[string]func(*Config){
		"no store":           func(c *Config) { c.Sessions = nil },
		"a hash of nothing":  func(c *Config) { c.Users["ann"] = User{"$argon2id$", lifeline.RoleAdmin} },
		"no role":            func(c *Config) { c.Users["ann"] = User{annsHash, ""} },
		"a provider, no URL": func(c *Config) { c.PublicURL, c.OIDC = "", OIDC{Issuer: "https://i", ClientID: "l"} },
		"a role of nobody": func(c *Config) {
			c.OIDC = OIDC{Issuer: "https://i", ClientID: "l", Roles: map[string]lifeline.Role{"g": "root"}}
		},
		"a default of nobody": func(c *Config) { c.OIDC = OIDC{Issuer: "https://i", ClientID: "l", DefaultRole: "root"} },
	} {
		cfg := w.Config
		cfg.Users = map[string]User{}
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}
