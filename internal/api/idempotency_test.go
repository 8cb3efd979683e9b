package api_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"lifeline"
)

func TestIdempotency(t *testing.T) {
	d := newDesk()
	server := serve(t, d)
	const path, yes = "/approvals/apr_1", `{"decision":"approve"}`
	post := func(key, body string, headers ...string) (*http.Response, string) {
		return ask(t, server, http.MethodPost, path, body, append([]string{"X-Role", "approver", "Idempotency-Key", key}, headers...)...)
	}
	first, body := post("a", yes)
	again, same := post("a", yes)
	if told := d.calls(); told != "person:ann decides apr_1: true " || first.StatusCode != 200 || again.StatusCode != 200 || body != same ||
		again.Header.Get("Idempotent-Replayed") != "true" || again.Header.Get("Content-Type") != first.Header.Get("Content-Type") {
		t.Errorf("twice: %d, %d, told %q\n%s%s", first.StatusCode, again.StatusCode, told, body, same)
	}
	for what, c := range map[string]struct {
		key, body string
		headers   []string
		status    int
		tells     string
	}{
		"another content":   {key: "a", body: `{"decision":"deny"}`, status: 422},
		"another person":    {key: "a", body: yes, headers: []string{"X-Name", "bob"}, status: 200, tells: "person:bob decides apr_1: true "},
		"another key":       {key: "b", body: yes, status: 200, tells: "person:ann decides apr_1: true "},
		"a key without end": {key: strings.Repeat("k", 201), body: yes, status: 422},
	} {
		resp, text := post(c.key, c.body, c.headers...)
		if told := d.calls(); resp.StatusCode != c.status || told != c.tells {
			t.Errorf("%s: status %d, want %d, told %q: %s", what, resp.StatusCode, c.status, told, text)
		}
	}
	// Another path is another request.
	resp, _ := ask(t, server, http.MethodPost, "/approvals/apr_2", yes, "X-Role", "approver", "Idempotency-Key", "a")
	if told := d.calls(); resp.StatusCode != 200 || told != "person:ann decides apr_2: true " {
		t.Errorf("another path: %d, told %q", resp.StatusCode, told)
	}
	// A refusal is an answer too; a failure is not, nor what was not understood.
	d.fail(&lifeline.Error{Code: lifeline.CodeRefused, Message: "used already"})
	post("c", yes)
	d.calls()
	d.fail(nil)
	if resp, text := post("c", yes); resp.StatusCode != http.StatusConflict || !strings.Contains(text, "used already") || d.calls() != "" {
		t.Errorf("after a refusal: %d: %s", resp.StatusCode, text)
	}
	d.fail(errors.New("broken"))
	post("d", yes)
	d.calls()
	d.fail(nil)
	if resp, _ := post("d", yes); resp.StatusCode != 200 || d.calls() == "" {
		t.Errorf("after a failure: %d", resp.StatusCode)
	}
	post("e", `{"decision":"perhaps"}`)
	if resp, _ := post("e", yes); resp.StatusCode != 200 {
		t.Errorf("after what was not understood: %d", resp.StatusCode)
	}
}

// Of the same request at the same time one is done.
func TestIdempotencyAtOnce(t *testing.T) {
	d := newDesk()
	server := serve(t, d)
	var asking sync.WaitGroup
	for range 20 {
		asking.Go(func() {
			resp, _ := ask(t, server, http.MethodPost, "/pause", "", "X-Role", "admin", "Idempotency-Key", "k")
			if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusConflict {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
	asking.Wait()
	if told := d.calls(); told != "person:ann pauses:  false" {
		t.Errorf("told %q", told)
	}
}
