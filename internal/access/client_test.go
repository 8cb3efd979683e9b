package access

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Only a trusted proxy is believed, and only what it wrote itself.
func TestClient(t *testing.T) {
	w := newWorld(t, nil)
	for what, tt := range map[string]struct {
		from, host string
		header     []string
		want       string
	}{
		"this machine":                   {"127.0.0.1:1", "localhost:8674", nil, "127.0.0.1 plain local localhost:8674"},
		"this machine, IPv6":             {"[::1]:1", "[::1]:8674", nil, "::1 plain local [::1]:8674"},
		"a name that others give away":   {"127.0.0.1:1", "evil.example.net", nil, "127.0.0.1 plain far evil.example.net"},
		"a name that looks like it":      {"127.0.0.1:1", "localhost.evil.net", nil, "127.0.0.1 plain far localhost.evil.net"},
		"no host":                        {"127.0.0.1:1", "", nil, "127.0.0.1 plain far "},
		"a proxy on this machine":        {"127.0.0.1:1", "localhost", []string{"X-Forwarded-For", "1.2.3.4"}, "127.0.0.1 plain far localhost"},
		"that says it in other words":    {"127.0.0.1:1", "localhost", []string{"Forwarded", "for=1.2.3.4"}, "127.0.0.1 plain far localhost"},
		"that says only by what it is":   {"127.0.0.1:1", "localhost", []string{"Via", "1.1 squid"}, "127.0.0.1 plain far localhost"},
		"another machine":                {"1.2.3.4:1", "localhost", nil, "1.2.3.4 plain far localhost"},
		"a liar":                         {"1.2.3.4:1", "l", []string{"X-Forwarded-For", "127.0.0.1", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "localhost"}, "1.2.3.4 plain far l"},
		"the proxy":                      {"10.0.0.2:1", "l", []string{"X-Forwarded-For", "1.2.3.4", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "pub.example.net"}, "1.2.3.4 secure far pub.example.net"},
		"the proxy, IPv4 in IPv6":        {"[::ffff:10.0.0.2]:1", "l", []string{"X-Forwarded-For", "1.2.3.4"}, "1.2.3.4 plain far l"},
		"a liar before the proxy":        {"10.0.0.2:1", "l", []string{"X-Forwarded-For", "127.0.0.1, 1.2.3.4", "X-Forwarded-Proto", "https, http"}, "1.2.3.4 plain far l"},
		"two proxies":                    {"10.0.0.2:1", "l", []string{"X-Forwarded-For", "9.9.9.9, 1.2.3.4, 10.0.0.3"}, "1.2.3.4 plain far l"},
		"the proxy itself":               {"10.0.0.2:1", "localhost", nil, "10.0.0.2 plain far localhost"},
		"nonsense by the proxy":          {"10.0.0.2:1", "l", []string{"X-Forwarded-For", "unknown", "X-Forwarded-Host", "a/b"}, "10.0.0.2 plain far l"},
		"nonsense before the proxy":      {"10.0.0.2:1", "l", []string{"X-Forwarded-For", "x, 10.0.0.3"}, "10.0.0.3 plain far l"},
		"with ports, as some write them": {"10.0.0.2:1", "l", []string{"X-Forwarded-For", "[2001:db8::1]:55"}, "2001:db8::1 plain far l"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Host = tt.from, tt.host
		for i := 0; i < len(tt.header); i += 2 {
			r.Header.Set(tt.header[i], tt.header[i+1])
		}
		r, c := w.client(r)
		got := c.addr.String() + map[bool]string{true: " secure", false: " plain"}[c.secure] + map[bool]string{true: " local ", false: " far "}[c.local] + r.Host
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if remote(r.RemoteAddr) != c.addr {
			t.Errorf("%s: RemoteAddr is %s", what, r.RemoteAddr)
		}
		again, c2 := w.client(r)
		if again != r || c2 != c {
			t.Errorf("%s: it is another client the second time", what)
		}
	}
}

func TestSameSite(t *testing.T) {
	for next, want := range map[string]string{
		"/": "/", "/incidents/inc_1?x=1&y=%2F": "/incidents/inc_1?x=1&y=%2F", "/a//b": "/a//b", "/?next=https://x": "/?next=https://x", "/ä": "/ä",
		"": "/", "incidents": "/", "//evil.net": "/", "/\\evil.net": "/", "\\\\evil.net": "/", "https://evil.net/": "/", "/\t/evil.net": "/", "/\n/evil.net": "/",
		" //evil.net": "/", "/x y": "/", "javascript:alert(1)": "/", "/login": "/", "/login?next=/": "/", "/login/oidc": "/", "/x/../login": "/", "/logout": "/",
		"/" + strings.Repeat("x", 3000): "/", "/%zz": "/", "///evil.net": "/",
	} {
		if got := sameSite(next); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}

// Wherever it leads, it is this site, as the standard library reads addresses and
// with what browsers forgive.
func FuzzSameSite(f *testing.F) {
	for _, seed := range []string{"/", "//x", "/\\x", "/a?b#c", "/\t/x", "/%2f/x", "/.//x"} {
		f.Add(seed)
	}
	base := &url.URL{Scheme: "https", Host: "lifeline.example.net", Path: "/login"}
	f.Fuzz(func(t *testing.T, next string) {
		got := sameSite(next)
		forgiven := strings.NewReplacer("\\", "/", "\t", "", "\n", "", "\r", "").Replace(strings.TrimLeft(got, " "))
		u, err := base.Parse(forgiven)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme || u.User != nil {
			t.Errorf("%q leads to %q, which is %v (%v)", next, got, u, err)
		}
	})
}
