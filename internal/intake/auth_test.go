package intake_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline/internal/intake"
)

func TestAuthentication(t *testing.T) {
	basic := func(s string) []string { return []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(s))} }
	password := intake.Auth{Username: "alertmanager", Password: "pass:word"}
	token := intake.Auth{Token: "sesame"}
	both := intake.Auth{Username: "alertmanager", Password: "pass:word", Token: "sesame"}
	for _, tc := range []struct {
		name   string
		auth   intake.Auth
		header []string
		ok     bool
	}{
		{"nothing is needed", intake.Auth{}, nil, true},
		{"nothing is needed, something is given", intake.Auth{}, basic("a:b"), true},
		{"password", password, basic("alertmanager:pass:word"), true},
		{"password, scheme in other case", password, []string{"basic " + basic("alertmanager:pass:word")[0][6:]}, true},
		{"no header", password, nil, false},
		{"wrong password", password, basic("alertmanager:pass:wore"), false},
		{"beginning of the password", password, basic("alertmanager:pass"), false},
		{"empty password", password, basic("alertmanager:"), false},
		{"wrong username", password, basic("Alertmanager:pass:word"), false},
		{"not base64", password, []string{"Basic %%%"}, false},
		{"password as token", password, []string{"Bearer pass:word"}, false},
		{"empty token where none is set", password, []string{"Bearer "}, false},
		{"token", token, []string{"Bearer sesame"}, true},
		{"token, scheme in other case", token, []string{"bearer  sesame"}, true},
		{"wrong token", token, []string{"Bearer sesam"}, false},
		{"empty token", token, []string{"Bearer"}, false},
		{"token as scheme", token, []string{"sesame"}, false},
		{"token as password", token, basic(":sesame"), false},
		{"empty password where none is set", token, basic(":"), false},
		{"either: password", both, basic("alertmanager:pass:word"), true},
		{"either: token", both, []string{"Bearer sesame"}, true},
		{"either: neither", both, basic("alertmanager:sesame"), false},
		{"two headers", both, []string{"Bearer sesame", "Bearer sesame"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t, func(c *intake.Config) { c.Auth = tc.auth })
			r := request(strings.NewReader(fixture(t, "container-down")))
			if tc.header != nil {
				r.Header["Authorization"] = tc.header
			}
			w := s.do(r)
			if tc.ok {
				if w.Code != http.StatusOK || len(s.got) != 1 {
					t.Errorf("status %d: %s", w.Code, w.Body)
				}
				return
			}
			if d := s.problem(w); w.Code != http.StatusUnauthorized || !strings.Contains(d.Detail, "webhook.token_file") {
				t.Errorf("status %d: %s", w.Code, d.Detail)
			}
			var want []string
			if tc.auth.Password != "" {
				want = append(want, `Basic realm="lifeline", charset="UTF-8"`)
			}
			if tc.auth.Token != "" {
				want = append(want, `Bearer realm="lifeline"`)
			}
			if diff := cmp.Diff(want, w.Header().Values("WWW-Authenticate")); diff != "" {
				t.Errorf("WWW-Authenticate (-want +got):\n%s", diff)
			}
			for _, secret := range []string{"pass:word", "sesame"} {
				if strings.Contains(s.log.String(), secret) {
					t.Errorf("the log shows a secret:\n%s", &s.log)
				}
			}
		})
	}
}

// Who is not let in is not listened to: not a byte of the body is read, and the
// answer does not depend on what else is wrong.
func TestAuthenticationComesFirst(t *testing.T) {
	s := newServer(t, func(c *intake.Config) { c.Auth = intake.Auth{Token: "sesame"} })
	body := &endless{pattern: "x"}
	r := request(io.NopCloser(body))
	r.Method = http.MethodDelete
	r.Header.Set("Content-Type", "text/plain")
	if w := s.do(r); w.Code != http.StatusUnauthorized || w.Header().Get("Allow") != "" {
		t.Errorf("status %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
	if body.read > 0 {
		t.Errorf("%d bytes of the body were read", body.read)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	a := intake.Auth{Username: "u", Password: "hunter2", Token: "hunter3"}
	encoded, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(a), fmt.Sprintf("%+v %#v %s", a, a, &a), string(encoded)} {
		if strings.Contains(s, "hunter") || !strings.Contains(s, "webhook secrets of u") {
			t.Errorf("printed as %s", s)
		}
	}
}
