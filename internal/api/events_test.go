package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/api"
)

// stream opens a stream and gives its lines.
func stream(t *testing.T, ctx context.Context, server *httptest.Server, path string, headers ...string) (*http.Response, *bufio.Scanner) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+api.Prefix+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Role", "viewer")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp, bufio.NewScanner(resp.Body)
}

// until reads up to the first line that begins so.
func until(t *testing.T, lines *bufio.Scanner, prefix string) string {
	t.Helper()
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), prefix) {
			return lines.Text()
		}
	}
	t.Fatalf("the stream ends before %q: %v", prefix, lines.Err())
	return ""
}

func TestStream(t *testing.T) {
	d := newDesk()
	d.grow(3)
	server := serve(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	resp, lines := stream(t, ctx, server, "/incidents/inc_1/events?after=1", "Accept", "text/event-stream")
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" || resp.StatusCode != 200 {
		t.Fatalf("%s, %s", resp.Status, kind)
	}
	for _, want := range []string{"id: 2", "id: 3"} {
		if got := until(t, lines, "id: "); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		data := strings.TrimPrefix(until(t, lines, "data: "), "data: ")
		var e lifeline.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil || e.Text != "line\n\u202e<b>" || strings.ContainsRune(data, '\u202e') {
			t.Errorf("%v: %s", err, data)
		}
	}
	d.grow(1)
	if got := until(t, lines, "id: "); got != "id: 4" {
		t.Errorf("live: %s", got)
	}
	cancel()
	if told := d.calls(); told != "events \"inc_1\" 0 1\nfollow \"inc_1\" 1" {
		t.Errorf("told %q", told)
	}
	// A browser that connects again says where it was.
	_, lines = stream(t, t.Context(), server, "/events?after=1", "Last-Event-ID", "3")
	if got := until(t, lines, "id: "); got != "id: 4" {
		t.Errorf("again: %s", got)
	}
}

func TestStreamStaysAlive(t *testing.T) {
	server := serve(t, newDesk(), func(c *api.Config) { c.KeepAlive = time.Millisecond })
	_, lines := stream(t, t.Context(), server, "/events")
	until(t, lines, "retry: ")
	for range 3 {
		until(t, lines, ": still there")
	}
}

// A stream ends by itself, so that whoever follows has to be known again.
func TestStreamEnds(t *testing.T) {
	d := newDesk()
	d.grow(1)
	server := serve(t, d, func(c *api.Config) { c.StreamMost = 50 * time.Millisecond })
	_, lines := stream(t, t.Context(), server, "/events")
	until(t, lines, "id: 1")
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "id: ") {
			t.Errorf("another event: %s", lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("it was cut off: %v", err)
	}
}

func TestStreamFails(t *testing.T) {
	d := newDesk()
	server := serve(t, d)
	d.fail(&lifeline.Error{Code: lifeline.CodeNotFound, Message: "there is no such incident"})
	resp, body := ask(t, server, http.MethodGet, "/incidents/inc_9/events", "", "X-Role", "viewer")
	if resp.StatusCode != http.StatusNotFound || !strings.Contains(body, "there is no such incident") {
		t.Errorf("an incident that is not there: %s: %s", resp.Status, body)
	}
	d.fail(errors.New("broken at /secret"))
	_, lines := stream(t, t.Context(), server, "/events")
	until(t, lines, "event: problem")
	data := until(t, lines, "data: ")
	if !strings.Contains(data, `"code":"internal"`) || strings.Contains(data, "secret") || lines.Scan() && lines.Text() != "" {
		t.Errorf("%s", data)
	}
}

func TestEventPages(t *testing.T) {
	d := newDesk()
	d.grow(5)
	server := serve(t, d)
	for _, c := range []struct {
		path, want string
	}{
		{"/events?limit=2", `2 events, next 2`},
		{"/events?limit=2&after=4", `1 events, next 5`},
		{"/events?after=5", `0 events, next 5`},
		{"/incidents/inc_1/events?after=2", `3 events, next 5`},
	} {
		resp, body := ask(t, server, http.MethodGet, c.path, "", "X-Role", "viewer", "Accept", "application/json")
		var page struct {
			Events []lifeline.Event
			Next   int64
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if got := strings.Join([]string{itoa(len(page.Events)), "events, next", itoa(int(page.Next))}, " "); got != c.want || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s, want %s (%s)", c.path, got, c.want, resp.Header.Get("Content-Type"))
		}
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }
