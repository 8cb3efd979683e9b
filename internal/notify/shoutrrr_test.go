package notify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// farEnd is a service on this machine. It keeps what it gets.
type farEnd struct {
	*httptest.Server
	mu     sync.Mutex // guards what follows
	got    []request
	status int
	answer string
}

type request struct {
	path, title, auth, body string
}

func newFarEnd(t *testing.T) *farEnd {
	f := &farEnd{status: http.StatusOK, answer: "{}"}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.got = append(f.got, request{r.URL.Path, r.Header.Get("Title"), r.Header.Get("Authorization"), string(body)})
		w.WriteHeader(f.status)
		io.WriteString(w, f.answer)
	}))
	t.Cleanup(f.Close)
	return f
}

// at gives the far end under another scheme: ntfy://… of http://….
func (f *farEnd) at(scheme, account, rest string) string {
	return scheme + "://" + account + strings.TrimPrefix(f.URL, "http://") + rest
}

func (f *farEnd) answers(status int, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status, f.answer = status, text
}

func sender1(t *testing.T, url string) *Sender {
	t.Helper()
	s, err := NewSender(map[string]string{"c": url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// The library itself, against services on this machine.
func TestShoutrrr(t *testing.T) {
	m := Message{Title: "A person is needed: Ähm", Body: "why & how", Code: "docker start a_b", Foot: "lifeline incidents show inc_1"}
	f := newFarEnd(t)
	const text = "why & how\n\ndocker start a_b\n\nlifeline incidents show inc_1"
	for _, tt := range []struct {
		url  string
		want request
	}{
		{f.at("ntfy", "", "/topic?scheme=http"), request{"/topic", m.Title, "", text}},
		{f.at("ntfy", "ann:hunter2@", "/topic?scheme=http"), request{"/topic", m.Title, "Basic YW5uOmh1bnRlcjI=", text}},
		{f.at("generic", "", "/hook?disabletls=yes"), request{"/hook", "", "", m.Title + "\n\n" + text}},
		{f.at("generic", "", "/hook?disabletls=yes&template=json"), request{"/hook", "", "", `{"message":` + quoted(text) + `,"title":` + quoted(m.Title) + `}`}},
	} {
		s := sender1(t, tt.url)
		for _, m := range []Message{{Title: "another", Body: "one"}, m} { // nothing of the first message is in the second
			if err := s.Send(t.Context(), "c", m); err != nil {
				t.Errorf("%s: %v", tt.url, err)
			}
		}
		f.mu.Lock()
		if len(f.got) != 2 || !strings.Contains(f.got[0].title+f.got[0].body, "another") {
			t.Fatalf("%s: %+v", tt.url, f.got)
		}
		if diff := cmp.Diff(tt.want, f.got[1], cmp.AllowUnexported(request{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.url, diff)
		}
		f.got = nil
		f.mu.Unlock()
	}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// What a service refuses for good is told apart from what may pass, and no error
// has a secret in it.
func TestShoutrrrErrors(t *testing.T) {
	f := newFarEnd(t)
	for _, url := range []string{f.at("ntfy", "tk_ann:hunter2secret@", "/topic?scheme=http"), f.at("generic", "", "/hook/s3cr3tt0k3n-abcdef?disabletls=yes&@Authorization=Bearer+abcdef0123456789")} {
		s := sender1(t, url)
		for status, never := range map[int]bool{400: true, 401: true, 403: true, 404: true, 413: true, 408: false, 429: false, 500: false, 502: false, 503: false} {
			f.answers(status, "no: "+url)
			err := s.Send(t.Context(), "c", Message{Title: "x", Body: "y"})
			if err == nil {
				t.Errorf("%d is a success", status)
				continue
			}
			if _, permanent := errors.AsType[Permanent](err); permanent != never {
				t.Errorf("%s: %d is permanent: %v: %v", service(url), status, permanent, err)
			}
			wantNoSecret(t, err)
		}
	}
	// ntfy's own numbers.
	s := sender1(t, f.at("ntfy", "", "/topic?scheme=http"))
	f.answers(http.StatusForbidden, `{"code":40301,"http":403,"error":"forbidden"}`)
	if _, permanent := errors.AsType[Permanent](s.Send(t.Context(), "c", Message{Title: "x"})); !permanent {
		t.Error("ntfy's 40301 is tried again")
	}
	// Nobody is there: that passes.
	f.Close()
	for _, url := range []string{f.at("ntfy", "tk_ann:hunter2secret@", "/topic?scheme=http"), f.at("generic", "", "/hook/s3cr3tt0k3n-abcdef?disabletls=yes&@Authorization=Bearer+abcdef0123456789")} {
		err := sender1(t, url).Send(t.Context(), "c", Message{Title: "x"})
		if _, permanent := errors.AsType[Permanent](err); err == nil || permanent {
			t.Errorf("nobody is there: %v", err)
		}
		wantNoSecret(t, err)
	}
	if err := s.Send(t.Context(), "other", Message{}); err == nil {
		t.Error("a channel that is not there")
	}
}

func wantNoSecret(t *testing.T, err error) {
	t.Helper()
	for _, secret := range []string{"hunter2secret", "s3cr3tt0k3n", "abcdef0123456789", "@", "\n"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q is in the error: %v", secret, err)
		}
	}
}

// A service that does not answer keeps one message, not every later one.
func TestShoutrrrHangs(t *testing.T) {
	release, came := make(chan struct{}), make(chan struct{}, 10)
	hang := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		<-release
		io.WriteString(w, "{}")
	}))
	defer hang.Close()
	s, err := NewSender(map[string]string{"c": "generic://" + strings.TrimPrefix(hang.URL, "http://") + "/?disabletls=yes"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Send(ctx, "c", Message{Title: "x"}) }()
	<-came
	cancel(errors.New("no answer within 45s"))
	if err := <-ended; err == nil || err.Error() != "no answer within 45s" {
		t.Errorf("the first: %v", err)
	}
	if err := s.Send(ctx, "c", Message{Title: "y"}); err == nil || !strings.Contains(err.Error(), "an earlier message is still being sent") {
		t.Errorf("the second: %v", err)
	}
	if err := s.Close(ctx); err == nil {
		t.Error("Close does not say that a message is still being sent")
	}
	close(release)
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if len(came) != 0 {
		t.Errorf("%d more messages were sent", len(came))
	}
	if err := s.Send(t.Context(), "c", Message{Title: "z"}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestCheckURL(t *testing.T) {
	for _, good := range []string{
		"ntfy://ntfy.example.net/alerts", "discord://abcdefgh-token@123456789012345678", "slack://hook:AAAAAAAAA-BBBBBBBBB-123456789123456789123456@webhook",
		"telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@telegram?chats=@ops", "smtp://ann:pw@mail.example.net:587/?from=a@example.net&to=b@example.net",
		"generic+https://hooks.example.net/x", "matrix://ann:pw@matrix.example.net/?rooms=!abc:example.net",
	} {
		if err := CheckURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"":                           "want a shoutrrr URL",
		"hunter2secret":              "want a shoutrrr URL",
		"https://hunter2secret@h/x":  "shoutrrr knows no service https://",
		"logger://":                  "tells nobody anything",
		"LOGGER+x://":                "tells nobody anything",
		"discord://hunter2secret":    "not a discord URL",
		"slack://hunter2secret@":     "not a slack URL",
		"telegram://hunter2secret@x": "not a telegram URL",
		"matrix://hunter2secret":     "not a matrix URL",
		"ntfy://[hunter2secret":      "not a ntfy URL",
		"x\x1b[2J://hunter2secret":   `shoutrrr knows no service`,
	} {
		err := CheckURL(bad)
		if err == nil || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "not a ") {
			t.Errorf("%q: %v, want %s", bad, err, want)
			continue
		}
		if strings.Contains(err.Error(), "hunter2secret") || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q is repeated: %v", bad, err)
		}
	}
	if _, err := NewSender(map[string]string{"c": "https://x"}); err == nil {
		t.Error("a sender with a URL that cannot be used")
	}
}

func TestSecretsOfURLs(t *testing.T) {
	for url, want := range map[string]string{
		"ntfy://ntfy.example.net/alerts":                                        "",
		"ntfy://ann:hunter2@ntfy.example.net/production-alerts":                 "hunter2 ann:hunter2",
		"discord://Abc-token@123456789012345678":                                "Abc-token",
		"telegram://110201543:AAHdqTcvCH1@telegram?chats=@operations-of-2026":   "AAHdqTcvCH1 110201543:AAHdqTcvCH1",
		"generic://h/hook/s3cr3tt0k3n99?@Authorization=Bearer+abcdef0123456789": "s3cr3tt0k3n99 abcdef0123456789",
		"smtp://ann%40example.net:pw@mail/?from=a1234567890@example.net":        "pw ann@example.net:pw",
		"%zz": "",
	} {
		got := Secrets(url)
		if got[0] != url {
			t.Errorf("%s is not one of its own secrets", url)
		}
		if diff := cmp.Diff(want, strings.Join(got[1:], " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", url, diff)
		}
	}
}

// Each service shows every letter of a command, and no text is a link or calls a
// room.
func TestDressed(t *testing.T) {
	m := Message{Title: "*a* @here", Body: "[click](http://evil) <!channel> @everyone", Code: "docker start a_b*c ``` <x>", Foot: "look and decide: https://l/approve/a_b"}
	for service, want := range map[string][2]string{
		"ntfy":    {`*a* \u{40}here`, "[click](http://evil) <!channel> \\u{40}everyone\n\ndocker start a_b*c ``` <x>\n\nlook and decide: https://l/approve/a_b"},
		"slack":   {`*a* \u{40}here`, "[click](http://evil) &lt;!channel&gt; \\u{40}everyone\n\n```\ndocker start a_b*c `\\x60` &lt;x&gt;\n```\n\nlook and decide: https://l/approve/a_b"},
		"discord": {`\*a\* \\u{40}here`, "\\[click\\](http://evil) \\<!channel\\> \\\\u{40}everyone\n\n```\ndocker start a_b*c `\\x60` <x>\n```\n\nlook and decide: https://l/approve/a_b"},
	} {
		title, text := dressed(service, m)
		if diff := cmp.Diff(want, [2]string{title, text}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", service, diff)
		}
	}
	if _, text := dressed("ntfy", Message{Title: "t", Foot: "f"}); text != "f" {
		t.Errorf("without a body: %q", text)
	}
}

func TestStatus(t *testing.T) {
	for text, want := range map[string]int{
		"got unexpected HTTP status: 404 Not Found":                                        404,
		"server returned unexpected response status code: 503 Service Unavailable":         503,
		"OpsGenie notification returned unexpected HTTP status code: 422 - {}":             422,
		"server response: unauthorized (40101), see: https://ntfy.example.net/docs":        401,
		"server returned status 500":                                                       500,
		"webhook status failure: 410 Gone":                                                 410,
		`sending HTTP request: Post "http://localhost:404/x": connect: connection refused`: 0,
		"dial tcp 10.0.0.1:443: i/o timeout":                                               0,
		"":                                                                                 0,
	} {
		if got := status(errors.New(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
