package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/web/webtest"
)

// following opens a stream and gives its lines that have a meaning, as they come.
func following(t *testing.T, url string, header ...string) <-chan string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if got := answer.Header.Get("Content-Type"); got != "text/event-stream; charset=utf-8" || answer.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %v", answer.Status, answer.Header)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(answer.Body); scanner.Scan(); {
			if line := scanner.Text(); line != "" && !strings.HasPrefix(line, "retry:") {
				lines <- line
			}
		}
	}()
	return lines
}

// next is what comes on a stream.
func next(t *testing.T, lines <-chan string, n int) (got []string) {
	t.Helper()
	for range n {
		line, more := <-lines
		if !more {
			t.Fatalf("the stream ended after %q", got)
		}
		got = append(got, line)
	}
	return got
}

// A stream says that there are events, from where its reader is, and nothing of
// what they say.
func TestLive(t *testing.T) {
	s := &webtest.Service{}
	for i := range 4 {
		s.Append(lifeline.Event{IncidentID: fmt.Sprintf("inc_%d", i%2), Kind: lifeline.EventNote, Actor: "secret", Text: webtest.Evil})
	}
	pages, err := Handler(Config{Desk: newDesk(), Service: s, PersonOf: func(context.Context) (lifeline.Person, bool) { return as(lifeline.RoleViewer), true }})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(pages)
	defer server.Close()
	defer pages.Close()
	told := func(seq int, incident string) []string {
		return []string{fmt.Sprintf("id: %d", seq), fmt.Sprintf(`data: {"seq":%d,"incident":%q,"kind":"note"}`, seq, incident)}
	}
	all := following(t, server.URL+"/live?after=2")
	one := following(t, server.URL+"/live?after=0&incident=inc_1")
	again := following(t, server.URL+"/live?after=0", "Last-Event-ID", "4")
	s.Append(lifeline.Event{IncidentID: "inc_1", Kind: lifeline.EventNote})
	for what, tt := range map[string]struct {
		lines <-chan string
		want  []string
	}{
		"from the middle":                {all, append(append(told(3, "inc_0"), told(4, "inc_1")...), told(5, "inc_1")...)},
		"one incident":                   {one, append(append(told(2, "inc_1"), told(4, "inc_1")...), told(5, "inc_1")...)},
		"after the stream had been lost": {again, told(5, "inc_1")},
	} {
		if diff := cmp.Diff(tt.want, next(t, tt.lines, len(tt.want))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	for _, bad := range []string{"", "?after=", "?after=x", "?after=-1"} {
		if r := ask(pages, http.MethodGet, "/live"+bad, ""); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %s", bad, r.Status)
		}
	}
	// Whoever stops the service does not wait for readers.
	pages.Close()
	pages.Close()
	for line := range all {
		t.Errorf("after the end: %q", line)
	}
	// A stream that cannot be read ends: its reader asks again.
	s.Do(func(k *webtest.Known) { k.Fails = &lifeline.Error{Code: lifeline.CodeStore, Message: "disk"} })
	if body := text(t, ask(pages, http.MethodGet, "/live?after=0", "")); strings.Contains(body, "data") {
		t.Errorf("it says %q", body)
	}
}

// quietFor is a service in which nothing happens.
type quietFor struct{ webtest.Service }

func (*quietFor) Follow(ctx context.Context, _ string, _ int64) iter.Seq2[lifeline.Event, error] {
	return func(func(lifeline.Event, error) bool) { <-ctx.Done() }
}

// A stream in which nothing happens says now and then that it is there, and ends
// with its reader.
func TestLiveWhenNothingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pages, err := Handler(Config{Desk: newDesk(), Service: &quietFor{}, PersonOf: func(context.Context) (lifeline.Person, bool) { return as(lifeline.RoleViewer), true }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
		defer cancel()
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/live?after=0", nil))
		body, err := io.ReadAll(w.Result().Body)
		if err != nil || string(body) != "retry: 2000\n\n"+strings.Repeat(": here\n\n", 3) {
			t.Errorf("%q, %v", body, err)
		}
	})
}

// asks counts the questions about events.
type asks struct {
	Live
	n int
}

func (a *asks) Events(ctx context.Context, id string, after int64, limit int) ([]lifeline.Event, error) {
	a.n++
	return a.Live.Events(ctx, id, after, limit)
}

// The newest event is found with few questions, also after many have come.
func TestHead(t *testing.T) {
	s := &webtest.Service{}
	var h head
	total := 0
	for _, more := range []int{0, 1, 0, 1, 2, 3, 7, 64, 1000, 0, 5000} {
		for range more {
			s.Append(lifeline.Event{})
		}
		total += more
		a := &asks{Live: s}
		got, err := h.find(t.Context(), a)
		if err != nil || got != int64(total) || a.n > 30 || more == 0 && a.n != 1 {
			t.Errorf("after %d more: %d, want %d, %v, %d questions", more, got, total, err, a.n)
		}
	}
}

// The last step of an incident is read on from where it was read before.
func TestLastSteps(t *testing.T) {
	s := &webtest.Service{}
	l := newLastSteps()
	for i := range 450 {
		s.Append(lifeline.Event{IncidentID: fmt.Sprintf("inc_%d", i%2), Text: fmt.Sprint(i)})
	}
	for _, tt := range []struct {
		id, text string
		asks     int
	}{{"inc_0", "448", 2}, {"inc_1", "449", 2}, {"inc_0", "448", 1}, {"none", "", 1}} {
		a := &asks{Live: s}
		got, err := l.of(t.Context(), a, tt.id)
		if err != nil || got.Text != tt.text || a.n != tt.asks {
			t.Errorf("%s: %q after %d questions, %v", tt.id, got.Text, a.n, err)
		}
	}
	for i := range 3 * maxSteps {
		if _, err := l.of(t.Context(), s, fmt.Sprintf("other_%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.known) > maxSteps {
		t.Errorf("%d are known", len(l.known))
	}
}
