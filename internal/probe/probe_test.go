package probe_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/probe"
)

// patience bounds a hang; it measures nothing.
const patience = 60 * time.Second

type server struct{ *httptest.Server }

func serve(t *testing.T, handler http.HandlerFunc) server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return server{s}
}

func newProber(t *testing.T, cfg probe.Config) *probe.Prober {
	t.Helper()
	p, err := probe.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The three ends of a check.
const (
	good = "good"
	bad  = "bad"
	none = "could not be checked"
)

func end(ok bool, err error) string {
	switch {
	case err != nil:
		return none
	case ok:
		return good
	}
	return bad
}

func expect(t *testing.T, p *probe.Prober, c lifeline.Check, want, detail string) {
	t.Helper()
	got, ok, err := p.Check(t.Context(), c)
	if text := got + fmt.Sprint(err); end(ok, err) != want || !strings.Contains(text, detail) {
		t.Errorf("%+v is %s: %s\nwant %s: …%s…", c, end(ok, err), text, want, detail)
	}
}

func TestHTTP(t *testing.T) {
	elsewhere := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "elsewhere") })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			fmt.Fprint(w, "all is well")
		case "/large":
			fmt.Fprint(w, strings.Repeat("x", 1<<20), "far away")
		case "/moved":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/away":
			http.Redirect(w, r, strings.Replace(elsewhere.URL, "127.0.0.1", "127.0.0.2", 1), http.StatusFound)
		case "/around":
			http.Redirect(w, r, "/around", http.StatusFound)
		default:
			http.Error(w, "it is\n\x1b[31mbroken", http.StatusServiceUnavailable)
		}
	})
	p := newProber(t, probe.Config{})
	at := func(path string) lifeline.Check { return lifeline.Check{HTTP: s.URL + path} }
	expect(t, p, at("/ok"), good, "status 200")
	expect(t, p, lifeline.Check{HTTP: s.URL + "/ok", Expect: "^all .* well$", Status: 200}, good, "matches")
	expect(t, p, lifeline.Check{HTTP: s.URL + "/ok", Expect: "broken"}, bad, `nothing matches /broken/; it said "all is well"`)
	expect(t, p, at("/no"), bad, `status 503, want any 2xx; it said "it is`)
	expect(t, p, lifeline.Check{HTTP: s.URL + "/no", Status: 503, Expect: "broken"}, good, "status 503")
	expect(t, p, lifeline.Check{HTTP: s.URL + "/ok", Status: 204}, bad, "status 200, want 204")
	expect(t, p, at("/moved"), good, "status 200")
	expect(t, p, lifeline.Check{HTTP: s.URL + "/moved", Status: 302}, good, "status 302 to /ok")
	expect(t, p, at("/away"), bad, "status 302 to http://127.0.0.2")
	expect(t, p, at("/around"), bad, "status 302 to /around")
	expect(t, p, lifeline.Check{HTTP: s.URL + "/large", Expect: "far away"}, bad, "nothing matches")
	s.Close()
	expect(t, p, at("/ok"), bad, "connection refused")
	expect(t, p, lifeline.Check{HTTP: "http://no-such-host.invalid/"}, none, "no-such-host.invalid")
}

// A certificate is verified: there is no way to leave it out.
func TestHTTPS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	s.StartTLS()
	defer s.Close()
	expect(t, newProber(t, probe.Config{}), lifeline.Check{HTTP: s.URL}, none, "unknown authority")
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	expect(t, newProber(t, probe.Config{Roots: roots}), lifeline.Check{HTTP: s.URL}, good, "status 200")
}

func TestHTTPTimeout(t *testing.T) {
	release := make(chan bool)
	s := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	expect(t, newProber(t, probe.Config{}), lifeline.Check{HTTP: s.URL, Timeout: 20 * time.Millisecond}, bad, "no answer within 20ms")
}

// The end of the caller says nothing about the thing.
func TestTheCallersEnd(t *testing.T) {
	asked, release := make(chan bool), make(chan bool)
	s := serve(t, func(http.ResponseWriter, *http.Request) { asked <- true; <-release })
	defer close(release)
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("the process stops")
	go func() {
		<-asked
		cancel(stopped)
	}()
	if _, ok, err := newProber(t, probe.Config{}).Check(ctx, lifeline.Check{HTTP: s.URL, Timeout: time.Minute}); ok || !errors.Is(err, stopped) {
		t.Errorf("%v, %v", ok, err)
	}
}

// listen serves one connection after another with what say writes.
func listen(t *testing.T, say func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				say(c)
			}()
		}
	}()
	return l.Addr().String()
}

func TestTCP(t *testing.T) {
	p := newProber(t, probe.Config{})
	hold := make(chan bool)
	defer close(hold)
	greets := listen(t, func(c net.Conn) {
		for _, piece := range []string{"SSH-", "2.0-", "OpenSSH\r\n"} {
			fmt.Fprint(c, piece)
		}
		<-hold
	})
	silent := listen(t, func(net.Conn) { <-hold })
	closes := listen(t, func(c net.Conn) { fmt.Fprint(c, "go away\n") })
	chatter := listen(t, func(c net.Conn) {
		c.SetDeadline(time.Now().Add(patience))
		for {
			if _, err := c.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	expect(t, p, lifeline.Check{TCP: greets}, good, "connected")
	expect(t, p, lifeline.Check{TCP: greets, Expect: `^SSH-2\.0-\w+`, Timeout: patience}, good, "matches")
	expect(t, p, lifeline.Check{TCP: closes, Expect: "SSH"}, bad, `it said "go away"`)
	expect(t, p, lifeline.Check{TCP: silent, Expect: "SSH", Timeout: 20 * time.Millisecond}, bad, "it said nothing")
	expect(t, p, lifeline.Check{TCP: chatter, Expect: "SSH", Timeout: patience}, bad, "nothing matches /SSH/")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	expect(t, p, lifeline.Check{TCP: l.Addr().String()}, bad, "connection refused")
	expect(t, p, lifeline.Check{TCP: "no-such-host.invalid:22"}, none, "no-such-host.invalid")
}

func TestPrometheus(t *testing.T) {
	answers := map[string]string{
		"one":    `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"2.5"]}]}}`,
		"many":   `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]},{"metric":{},"value":[1,"-1"]}]}}`,
		"zero":   `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]},{"metric":{"name":"web"},"value":[1,"0"]}]}}`,
		"nan":    `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]}]}}`,
		"empty":  `{"status":"success","data":{"resultType":"vector","result":[]}}`,
		"scalar": `{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`,
		"range":  `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"]]}]}}`,
		"text":   `{"status":"success","data":{"resultType":"string","result":[1,"up"]}}`,
		"warned": `{"status":"success","warnings":["a store did not answer"],"data":{"resultType":"scalar","result":[1,"1"]}}`,
		"failed": `{"status":"error","errorType":"execution","error":"too many samples"}`,
		"odd":    `{"status":`,
		"long":   `{"status":"success","data":{"resultType":"vector","result":[` + strings.Repeat(" ", 5<<20) + `]}}`,
	}
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if h := r.Header.Get("Authorization"); h != "Bearer tok" {
			t.Errorf("Authorization: %q", h)
		}
		q := r.FormValue("query")
		switch {
		case r.URL.Path != "/prom/api/v1/query":
			http.NotFound(w, r)
		case q == "away":
			http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusTemporaryRedirect)
		case q == "failed":
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, answers[q])
		default:
			fmt.Fprint(w, answers[q])
		}
	})
	p := newProber(t, probe.Config{Prometheus: probe.Server{URL: s.URL + "/prom/", Token: "tok"}})
	for query, want := range map[string][2]string{
		"one": {good, "1 sample, 2.5"}, "many": {good, "2 samples, none is 0"}, "scalar": {good, "1 sample, 1"},
		"zero": {bad, `a sample is 0 {name="web"}`}, "nan": {bad, "a sample is NaN"}, "empty": {bad, "no sample"},
		"range": {none, "gives a matrix"}, "text": {none, "unexpected value type"}, "warned": {none, "a store did not answer"},
		"failed": {none, "too many samples"}, "odd": {none, "Prometheus: "}, "long": {none, "longer than 4 MiB"}, "away": {none, "Prometheus: "},
	} {
		expect(t, p, lifeline.Check{Prometheus: query}, want[0], want[1])
	}
	s.Close()
	expect(t, p, lifeline.Check{Prometheus: "one"}, none, "connection refused")
	expect(t, newProber(t, probe.Config{}), lifeline.Check{Prometheus: "one"}, none, "set prometheus.url")
	if _, err := probe.New(probe.Config{Prometheus: probe.Server{URL: "localhost"}}); err == nil {
		t.Error("took an address that is no URL")
	}
	if got := fmt.Sprintf("%v %+v %#v", probe.Server{Token: "hunter2"}, probe.Server{Token: "hunter2"}, probe.Server{Token: "hunter2"}); strings.Contains(got, "hunter2") {
		t.Errorf("printed as %s", got)
	}
}

func TestNotACheck(t *testing.T) {
	p := newProber(t, probe.Config{})
	expect(t, p, lifeline.Check{Command: "true"}, none, "through the door")
	expect(t, p, lifeline.Check{}, none, "want exactly one")
	expect(t, p, lifeline.Check{HTTP: "file:///etc/passwd"}, none, "want a URL")
}
