package access

import (
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
)

// A person signs in, is known, signs out, and is not known any more.
func TestSignInAndOut(t *testing.T) {
	w := newWorld(t, nil)
	if who := w.who(); who != "nobody" {
		t.Errorf("before: %s", who)
	}
	r, _ := w.ask("GET", "/incidents/1?x=a%26b", "")
	if r.StatusCode != 303 || r.Header.Get("Location") != "/login?next=%2Fincidents%2F1%3Fx%3Da%2526b" {
		t.Errorf("not signed in: %s %s", r.Status, r.Header)
	}
	r, page := w.ask("GET", r.Header.Get("Location"), "")
	for _, want := range []string{`action="/login"`, `value="/incidents/1?x=a%26b"`, `autocomplete="current-password"`, "width=device-width", "/static/style.css"} {
		if r.StatusCode != 200 || !strings.Contains(page, want) {
			t.Errorf("the page does not have %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "style=") || strings.Contains(page, "oidc") {
		t.Errorf("the page:\n%s", page)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	r, _ = w.ask("POST", "/login", url.Values{"name": {"ann"}, "password": {sesame}, "next": {"/incidents/1"}}.Encode())
	if r.StatusCode != 303 || r.Header.Get("Location") != "/incidents/1" {
		t.Fatalf("signed in: %s %s", r.Status, r.Header)
	}
	if len(w.seen) != 1 {
		t.Fatalf("cookies: %v", w.seen)
	}
	first := *w.seen[0]
	if first.Name != "lifeline" || !first.HttpOnly || first.Secure || first.SameSite != http.SameSiteLaxMode || first.Path != "/" || len(first.Value) < 50 || first.Domain != "" {
		t.Errorf("the cookie: %s", first.String())
	}
	if who := w.who(); who != "ann admin password person:ann" {
		t.Errorf("signed in: %s", who)
	}
	if r, _ := w.ask("GET", "/login?next=/hosts", ""); r.StatusCode != 303 || r.Header.Get("Location") != "/hosts" {
		t.Errorf("who is signed in need not do it again: %s %s", r.Status, r.Header)
	}
	// The secret is nowhere but in the cookie.
	var hash string
	if err := w.store.DB().QueryRow(`SELECT hash FROM sessions`).Scan(&hash); err != nil || hash != hashSecret(first.Value) {
		t.Errorf("the hash is %s, %v", hash, err)
	}
	// Signing in again is another session, and ends the one before.
	if status := w.signIn("ann", sesame); status != 303 || w.jar["lifeline"].Value == first.Value {
		t.Errorf("again: %d", status)
	}
	second := w.jar["lifeline"]
	w.jar["lifeline"] = &first
	if who := w.who(); who != "nobody" {
		t.Errorf("the old secret is that of %s", who)
	}
	w.jar["lifeline"] = second
	if r, _ := w.ask("POST", "/logout", ""); r.StatusCode != 303 || r.Header.Get("Location") != "/login?out=1" || len(w.jar) != 0 {
		t.Errorf("signed out: %s %v", r.Status, w.jar)
	}
	if _, page := w.ask("GET", "/login?out=1", ""); !strings.Contains(page, "You are signed out.") {
		t.Errorf("signed out:\n%s", page)
	}
	w.jar["lifeline"] = second
	if who := w.who(); who != "nobody" {
		t.Errorf("after signing out the secret is still that of %s", who)
	}
	in, out := lifeline.EventLogin, lifeline.EventLogout
	if diff := cmp.Diff([]lifeline.EventKind{in, in, out}, w.kinds()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if text := w.log.String(); !strings.Contains(text, "msg=login user=ann role=admin via=password address=127.0.0.1") || strings.Contains(text, sesame) || strings.Contains(text, first.Value) {
		t.Errorf("the log:\n%s", text)
	}
}

// Who is wrong is told as little as possible, and slowed down.
func TestWrongPassword(t *testing.T) {
	w := newWorld(t, nil)
	for what, try := range map[string][2]string{"a wrong password": {"ann", "open sesame"}, "that of another": {"ann", sesame + "!"}, "none": {"ann", ""},
		"an unknown name": {"hunter2", sesame}, "no name": {"", ""}} {
		r, page := w.ask("POST", "/login", url.Values{"name": {try[0]}, "password": {try[1]}}.Encode(), byProxy("9.9.9."+string('0'+byte(len(what)%10)))...)
		if r.StatusCode != 401 || !strings.Contains(page, "The name or the password is not right.") || len(w.seen) != 0 {
			t.Errorf("%s: %s %v\n%s", what, r.Status, w.seen, page)
		}
	}
	for range freeByAddress {
		if status := w.signIn("bob", "x"); status != 401 {
			t.Errorf("wrong: %d", status)
		}
	}
	r, page := w.ask("POST", "/login", "name=ann&password="+url.QueryEscape(sesame))
	if r.StatusCode != 429 || r.Header.Get("Retry-After") != "1" || !strings.Contains(page, "Too many sign-ins have failed. Try again in 1 s.") {
		t.Errorf("too many: %s\n%s", r.Status, page)
	}
	// Others, at another address, are not kept out.
	if status := w.signIn("ann", sesame, byProxy("1.2.3.4")...); status != 303 {
		t.Errorf("another address: %d", status)
	}
	w.later(time.Second)
	if status := w.signIn("ann", sesame); status != 303 {
		t.Errorf("after the wait: %d", status)
	}
	// From many addresses one name is slowed down too, and for half a minute at most.
	for i := range 40 {
		w.signIn("bob", "x", byProxy("20.0.0."+string('0'+byte(i%10)))...)
		w.later(20 * time.Second)
	}
	if r, _ := w.ask("POST", "/login", "name=bob&password=x", byProxy("30.0.0.1")...); r.StatusCode == 429 {
		w.later(longestByName)
	}
	if status := w.signIn("bob", sesame+"!", byProxy("30.0.0.2")...); status != 303 {
		t.Errorf("bob himself is kept out: %d", status)
	}
	// Neither the log nor the record has what was typed.
	w.mu.Lock()
	defer w.mu.Unlock()
	failed := 0
	for _, e := range w.events {
		if e.Kind == lifeline.EventLoginFailed {
			failed++
		}
		if strings.Contains(e.Text+string(e.Data), "hunter2") || strings.Contains(e.Text+string(e.Data), "sesame") {
			t.Errorf("the record has %s %s", e.Text, e.Data)
		}
	}
	if failed < 10 || strings.Contains(w.log.String(), "hunter2") || !strings.Contains(w.log.String(), `msg=login_failed user=bob address=127.0.0.1 reason="the password is not theirs"`) {
		t.Errorf("%d failures on record; the log:\n%s", failed, w.log)
	}
}

// A password is not taken where others can read along.
func TestPasswordNeedsEncryption(t *testing.T) {
	w := newWorld(t, nil)
	plain := byProxy("1.2.3.4")
	plain[5] = "http"
	for what, header := range map[string][]string{
		"another machine":                 {"from", "1.2.3.4:1", "host", "lifeline.example.net"},
		"a liar":                          {"from", "1.2.3.4:1", "X-Forwarded-Proto", "https"},
		"the proxy was asked by http":     plain,
		"a proxy here that nobody trusts": {"X-Forwarded-Proto", "https"},
		"another name for this machine":   {"host", "lifeline.example.net"},
	} {
		if r, page := w.ask("GET", "/login", "", header...); r.StatusCode != 200 || strings.Contains(page, `type="password"`) || !strings.Contains(page, "not encrypted") {
			t.Errorf("%s: %s\n%s", what, r.Status, page)
		}
		if status := w.signIn("ann", sesame, header...); status != 403 || len(w.seen) != 0 {
			t.Errorf("%s: signed in with status %d %v", what, status, w.seen)
		}
	}
	// Through the proxy, by https, the cookie is one that only https gets.
	if status := w.signIn("ann", sesame, byProxy("1.2.3.4")...); status != 303 {
		t.Fatalf("by https: %d", status)
	}
	c := w.seen[0]
	if c.Name != "__Host-lifeline" || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" {
		t.Errorf("the cookie: %s", c)
	}
	if who := w.who(byProxy("1.2.3.4")...); who != "ann admin password person:ann" {
		t.Errorf("by https: %s", who)
	}
	w.jar["lifeline"] = &http.Cookie{Name: "lifeline", Value: c.Value}
	for what, header := range map[string][]string{"another machine": {"from", "1.2.3.4:1"}, "the proxy, by http": plain} {
		if who := w.who(header...); who != "nobody" {
			t.Errorf("%s: a cookie that others can read is that of %s", what, who)
		}
	}
}

// A session ends by its clocks, and with what it rests on.
func TestSessionEnds(t *testing.T) {
	w := newWorld(t, nil)
	in := func(name, password string) {
		t.Helper()
		clear(w.jar)
		if status := w.signIn(name, password); status != 303 {
			t.Fatalf("sign in: %d", status)
		}
	}
	in("ann", sesame)
	for range 20 { // while it is used it goes on
		w.later(11 * time.Hour)
		if who := w.who(); w.now().Sub(time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)) < 7*24*time.Hour && who == "nobody" {
			t.Fatalf("after %s: nobody", w.now())
		}
	}
	if who := w.who(); who != "nobody" {
		t.Errorf("after more than a week: %s", who)
	}
	in("ann", sesame)
	w.later(12*time.Hour - time.Second)
	if w.who() == "nobody" {
		t.Error("it ended before its time")
	}
	w.later(12 * time.Hour)
	if who := w.who(); who != "nobody" {
		t.Errorf("after 12 idle hours: %s", who)
	}
	for what, change := range map[string]func(*Config){
		"another role":     func(c *Config) { c.Users["ann"] = User{c.Users["ann"].PasswordHash, lifeline.RoleViewer} },
		"another password": func(c *Config) { c.Users["ann"] = User{bobsHash, lifeline.RoleAdmin} },
		"gone":             func(c *Config) { delete(c.Users, "ann") },
		"a shorter time":   func(c *Config) { c.Longest, c.Idle = time.Minute, time.Minute },
	} {
		w.configure(nil)
		in("ann", sesame)
		w.later(2 * time.Minute)
		if w.who() == "nobody" {
			t.Fatalf("%s: not even before", what)
		}
		w.later(2 * time.Minute)
		w.configure(change)
		if who := w.who(); who != "nobody" {
			t.Errorf("%s: %s", what, who)
		}
		w.configure(nil)
		if who := w.who(); who != "nobody" {
			t.Errorf("%s: it was not ended for good: %s", what, who)
		}
	}
	last := w.events[len(w.events)-1]
	if last.Kind != lifeline.EventLogout || last.Actor != "person:ann" {
		t.Errorf("the last event: %+v", last)
	}
}

// Another site can neither sign anybody in nor out.
func TestSignInFromOtherSites(t *testing.T) {
	w := newWorld(t, nil)
	for what, header := range map[string][]string{
		"another site": {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.net"},
		"an old one":   {"Sec-Fetch-Site", "", "Origin", "https://evil.net"},
	} {
		if status := w.signIn("ann", sesame, header...); status != 403 || len(w.seen) != 0 {
			t.Errorf("%s: signed in with status %d", what, status)
		}
	}
	// Our own address counts, also where a proxy tells us another host.
	for what, header := range map[string][]string{
		"curl":                    {"Sec-Fetch-Site", ""},
		"our own, an old browser": {"Sec-Fetch-Site", "", "Origin", "https://lifeline.example.net"},
	} {
		if status := w.signIn("ann", sesame, header...); status != 303 {
			t.Errorf("%s: status %d", what, status)
		}
	}
	if r, _ := w.ask("POST", "/logout", "", "Sec-Fetch-Site", "cross-site"); r.StatusCode != 403 || w.who() == "nobody" {
		t.Errorf("signed out by another site: %s", r.Status)
	}
	if r, _ := w.ask("GET", "/logout", ""); r.StatusCode != 405 || w.who() == "nobody" {
		t.Errorf("signed out by a link: %s", r.Status)
	}
	if r, _ := w.ask("POST", "/login", strings.Repeat("x", 20<<10)); r.StatusCode != 400 {
		t.Errorf("a form that is too long: %s", r.Status)
	}
	if r, css := w.ask("GET", "/login/style.css", ""); r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/css") || strings.Contains(css, "url(") {
		t.Errorf("the style: %s %s", r.Status, r.Header)
	}
}

// What comes in as a name is shown, not obeyed.
func TestNameIsShown(t *testing.T) {
	w := newWorld(t, nil)
	_, page := w.ask("POST", "/login", url.Values{"name": {"\"><script>\x1b[2J\u202e"}, "password": {"x"}}.Encode())
	if strings.Contains(page, "<script") || strings.ContainsAny(page, "\x1b\u202e") || !strings.Contains(page, "&#34;&gt;&lt;script&gt;") {
		t.Errorf("the page:\n%s", page)
	}
}

// A flood of failures is a handful of events.
func TestFailuresDoNotFillTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards events
		var events []lifeline.Event
		toldSoFar := func() []lifeline.Event {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(events)
		}
		f := &failures{record: recorder(func(e lifeline.Event) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, e)
		}), log: slog.New(slog.DiscardHandler), now: time.Now}
		for range 1000 {
			f.add(t.Context(), failure{Address: "1.2.3.4", Why: "w"})
		}
		if told := toldSoFar(); len(told) != failuresTold {
			t.Fatalf("%d events", len(told))
		}
		time.Sleep(failuresWithin)
		synctest.Wait()
		if told := toldSoFar(); len(told) != failuresTold+1 || told[failuresTold].Text != "990 sign-ins failed besides those before, the last from 1.2.3.4" {
			t.Fatalf("%d events, the last: %+v", len(told), told[len(told)-1])
		}
		for range failuresTold + 3 {
			f.add(t.Context(), failure{Name: "ann", Address: "1.2.3.4", Why: "w"})
		}
		f.close(t.Context())
		f.close(t.Context())
		told := toldSoFar()
		if n := len(told); n != 2*failuresTold+2 || !strings.HasPrefix(told[n-1].Text, "3 sign-ins failed") || told[n-2].Text != "a sign-in of ann from 1.2.3.4 failed: w" {
			t.Fatalf("%d events, the last: %+v", n, told[n-2:])
		}
		time.Sleep(time.Hour) // no timer is left
	})
}
