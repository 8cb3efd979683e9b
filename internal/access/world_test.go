package access

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/store"
)

// world is an Access over a real database, with a clock of its own and a browser
// that keeps cookies.
type world struct {
	t *testing.T
	*Access
	store *store.Store
	log   *bytes.Buffer

	mu     sync.Mutex // guards what follows
	clock  time.Time
	events []lifeline.Event
	jar    map[string]*http.Cookie
	// seen are the cookies of the last answer.
	seen []*http.Cookie
}

const sesame = "open sesame, and be quick"

// Hashes of sesame, and of sesame and an exclamation mark, with the least work that
// is allowed.
const (
	annsHash = "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbiBieXRlcyBvZg$Agn+R1yEBREFsFe41phhlybU33epNs9E2bDTeBquCh4"
	bobsHash = "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbiBieXRlcyBvZg$nRAI3tsmYMZs7ywIAiPBrqa15E7fS68zl7e9H13CvC4"
)

// newWorld has the users ann, an admin, and bob, a viewer, unless change says
// otherwise.
func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, clock: time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC), log: &bytes.Buffer{}, jar: map[string]*http.Cookie{}}
	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "l.db"), store.Options{Now: w.now, OnEvent: func(e lifeline.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, e)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w.store = s
	w.configure(change)
	t.Cleanup(func() { w.Close(context.Background()) })
	return w
}

// configure is a start with another configuration on the same database.
func (w *world) configure(change func(*Config)) {
	w.t.Helper()
	cfg := Config{
		Users:    map[string]User{"ann": {annsHash, lifeline.RoleAdmin}, "bob": {bobsHash, lifeline.RoleViewer}},
		Sessions: w.store, Tokens: w.store, Record: w.store, Local: true, Now: w.now, PublicURL: "https://lifeline.example.net",
		Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")},
		Logger:  slog.New(slog.NewTextHandler(w.log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if w.Access, err = New(cfg); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

// kinds lists the kinds of all events so far.
func (w *world) kinds() []lifeline.EventKind {
	w.mu.Lock()
	defer w.mu.Unlock()
	var kinds []lifeline.EventKind
	for _, e := range w.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// whoami answers with who asks.
func whoami(w http.ResponseWriter, r *http.Request) {
	p, ok := PersonOf(r.Context())
	if !ok {
		io.WriteString(w, "nobody")
		return
	}
	io.WriteString(w, p.Name+" "+string(p.Role)+" "+p.Via+" "+p.Actor())
}

// mux is the whole of what a service has.
func (w *world) mux() http.Handler {
	m := http.NewServeMux()
	door := w.Handler()
	for _, p := range []string{"/login", "/login/", "/logout"} {
		m.Handle(p, door)
	}
	for p, role := range map[string]lifeline.Role{"/": lifeline.RoleViewer, "/approver/": lifeline.RoleApprover, "/admin/": lifeline.RoleAdmin} {
		m.Handle(p, w.Identify(w.Require(role, http.HandlerFunc(whoami))))
	}
	m.Handle("/who", w.Identify(http.HandlerFunc(whoami)))
	return w.Behind(m)
}

// ask makes a request as the browser does, from this machine unless the headers say
// otherwise: "from" is the address of the peer, "host" the Host.
func (w *world) ask(method, path, form string, header ...string) (*http.Response, string) {
	w.t.Helper()
	r := httptest.NewRequest(method, "http://localhost:8674"+path, strings.NewReader(form))
	r.RemoteAddr = "127.0.0.1:4711"
	r.Header.Set("Accept", "text/html,*/*")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i+1 < len(header); i += 2 {
		switch name, value := header[i], header[i+1]; name {
		case "from":
			r.RemoteAddr = value
		case "host":
			r.Host = value
		default:
			r.Header.Set(name, value)
			if value == "" {
				r.Header.Del(name)
			}
		}
	}
	for _, c := range w.jar {
		r.AddCookie(c)
	}
	recorded := httptest.NewRecorder()
	w.mux().ServeHTTP(recorded, r)
	resp := recorded.Result()
	w.seen = resp.Cookies()
	for _, c := range w.seen {
		if c.MaxAge < 0 {
			delete(w.jar, c.Name)
			continue
		}
		w.jar[c.Name] = c
	}
	return resp, recorded.Body.String()
}

// signIn signs in and gives the status.
func (w *world) signIn(name, password string, header ...string) int {
	w.t.Helper()
	r, _ := w.ask("POST", "/login", url.Values{"name": {name}, "password": {password}}.Encode(), header...)
	return r.StatusCode
}

// who is who the service takes the browser for.
func (w *world) who(header ...string) string {
	w.t.Helper()
	_, body := w.ask("GET", "/who", "", header...)
	return body
}

// byProxy are the headers of a request that came through the trusted proxy, by
// https.
func byProxy(address string) []string {
	return []string{"from", "10.0.0.2:1", "X-Forwarded-For", address, "X-Forwarded-Proto", "https", "X-Forwarded-Host", "lifeline.example.net", "host", "127.0.0.1:8674"}
}
