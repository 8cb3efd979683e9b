package anthropic_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lifeline/internal/llm"
	"lifeline/internal/llm/anthropic"
	"lifeline/internal/llm/llmtest"
)

const key = "sk-ant-test-4711"

func start(t *testing.T, turns ...llmtest.Turn) *llmtest.Server {
	t.Helper()
	s, err := llmtest.Start(llmtest.Config{APIKey: key, Turns: turns})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func client(t *testing.T, url string, timeout time.Duration) *anthropic.Client {
	t.Helper()
	c, err := anthropic.New(anthropic.Config{APIKey: key, BaseURL: url, Model: "claude-haiku-5-5", MaxTokens: 100, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func hello() llm.Request {
	return llm.Request{System: "You help.", Messages: []llm.Message{llm.Text(llm.User, "Hello")}}
}

// A conversation with reasoning, several calls at once and their results comes
// through, both ways.
func TestConversation(t *testing.T) {
	s := start(t,
		llmtest.Say(
			llmtest.Thinking("let me see", "c2lnbmF0dXJl"),
			llmtest.Text("I look."),
			llmtest.CallID("toolu_a", "gather_logs", map[string]any{"host": "nexus", "lines": 100}),
			llmtest.CallID("toolu_b", "finish", map[string]any{}),
		),
		func(r *llmtest.Request) llmtest.Reply {
			return llmtest.Reply{Blocks: []llmtest.Block{llmtest.Text("seen " + r.LastResults()[0].Text)}, Stop: "max_tokens",
				Usage: llmtest.Usage{InputTokens: 5, OutputTokens: 6, CacheReadTokens: 7, CacheWriteTokens: 8}}
		},
	)
	c := client(t, s.URL, time.Minute)
	req := hello()
	req.Tools = []llm.Tool{
		{Name: "gather_logs", Description: "reads logs", InputSchema: json.RawMessage(`{"type":"object","properties":{"host":{"type":"string"}},"required":["host"],"additionalProperties":false}`)},
		{Name: "finish", InputSchema: json.RawMessage(`{"type":"object"}`)},
	}
	first, err := c.Complete(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if first.Stop != llm.StopTools || first.Text() != "I look." || len(first.Parts) != 4 || first.Usage.InputTokens == 0 {
		t.Errorf("answer %+v", first)
	}
	if diff := cmp.Diff(json.RawMessage(`{"host":"nexus","lines":100}`), first.Parts[2].Call.Input); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
	req.Messages = append(req.Messages,
		llm.Message{Role: llm.Assistant, Parts: first.Parts},
		llm.Message{Role: llm.User, Parts: []llm.Part{
			{Result: &llm.ToolResult{CallID: "toolu_a", Content: "log line"}},
			{Result: &llm.ToolResult{CallID: "toolu_b", Content: "no", IsError: true}},
		}})
	req.MaxTokens = 50
	second, err := c.Complete(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	want := llm.Response{Parts: []llm.Part{{Text: "seen log line"}}, Stop: llm.StopMaxTokens,
		Usage: llm.Usage{InputTokens: 5, OutputTokens: 6, CacheReadTokens: 7, CacheWriteTokens: 8}}
	if diff := cmp.Diff(want, second); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	got := s.Requests()
	if len(got) != 2 || len(s.Violations()) != 0 {
		t.Fatalf("%d requests, violations %q", len(got), s.Violations())
	}
	if got[0].MaxTokens != 100 || got[1].MaxTokens != 50 || got[0].Model != "claude-haiku-5-5" || got[0].System != "You help." {
		t.Errorf("request: %s", got[0].Body)
	}
	wantTools := []llmtest.Tool{{Name: "gather_logs", Description: "reads logs", Schema: req.Tools[0].InputSchema}, {Name: "finish", Schema: req.Tools[1].InputSchema}}
	if diff := cmp.Diff(wantTools, got[0].Tools); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
	// The place that the turn before marked is marked again: it is where the cache ends.
	if n := strings.Count(string(got[1].Body), `"cache_control"`); n != 3 || !got[1].Messages[0].Blocks[0].Cached {
		t.Errorf("%d marks for the cache: %s", n, got[1].Body)
	}
	sent := got[1].Messages[1].Blocks
	wantBlock := `{"type":"thinking","thinking":"let me see","signature":"c2lnbmF0dXJl"}`
	if !sameJSON(t, string(sent[0].Raw), wantBlock) {
		t.Errorf("the reasoning came back as %s, want %s", sent[0].Raw, wantBlock)
	}
	results := got[1].LastResults()
	wantResults := []llmtest.In{
		{Type: "tool_result", ID: "toolu_a", Text: "log line"},
		{Type: "tool_result", ID: "toolu_b", Text: "no", IsError: true, Cached: true},
	}
	if diff := cmp.Diff(wantResults, results, cmpopts.IgnoreFields(llmtest.In{}, "Raw")); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var va, vb any
	if err := errors.Join(json.Unmarshal([]byte(a), &va), json.Unmarshal([]byte(b), &vb)); err != nil {
		t.Fatal(err)
	}
	return cmp.Equal(va, vb)
}

// The prefix that all incidents share, and the conversation so far, are marked
// for the provider's cache.
func TestMarksForTheCache(t *testing.T) {
	s := start(t, llmtest.Say(llmtest.Text("ok")), llmtest.Say(llmtest.Text("ok")))
	c := client(t, s.URL, time.Minute)
	req := hello()
	req.Tools = []llm.Tool{{Name: "a", InputSchema: json.RawMessage(`{"type":"object"}`)}}
	if _, err := c.Complete(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	req.System = ""
	if _, err := c.Complete(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	with, without := s.Requests()[0], s.Requests()[1]
	if strings.Count(string(with.Body), `"cache_control"`) != 2 || with.Tools[0].Cached || !with.Messages[0].Blocks[0].Cached {
		t.Errorf("marks with a system prompt: %s", with.Body)
	}
	if strings.Count(string(without.Body), `"cache_control"`) != 2 || !without.Tools[0].Cached {
		t.Errorf("marks without: %s", without.Body)
	}
}

func TestFailures(t *testing.T) {
	twice := func(turn llmtest.Turn) []llmtest.Turn { return []llmtest.Turn{turn, turn, turn} }
	once := func(turn llmtest.Turn) []llmtest.Turn { return []llmtest.Turn{turn} }
	for name, tc := range map[string]struct {
		turns []llmtest.Turn // all of them must be used up
		want  llm.Error
	}{
		"overloaded to the end":  {twice(llmtest.Overloaded()), llm.Error{Class: llm.ClassOverloaded, Status: 529, Message: "Overloaded", RetryAfter: time.Millisecond}},
		"broken to the end":      {twice(llmtest.Broken()), llm.Error{Class: llm.ClassUnavailable, Status: 500, Message: "Internal server error", RetryAfter: time.Millisecond}},
		"rate limited":           {twice(llmtest.RateLimited(time.Millisecond)), llm.Error{Class: llm.ClassRateLimited, Status: 429, Message: "This request would exceed your organization's rate limit", RetryAfter: time.Millisecond}},
		"rate limited for hours": {once(llmtest.RateLimited(2 * time.Hour)), llm.Error{Class: llm.ClassRateLimited, Status: 429, Message: "This request would exceed your organization's rate limit", RetryAfter: 2 * time.Hour}},
		"a day in milliseconds":  {once(llmtest.WithHeader("Retry-After-Ms", "86400000", llmtest.Overloaded())), llm.Error{Class: llm.ClassOverloaded, Status: 529, Message: "Overloaded", RetryAfter: 24 * time.Hour}},
		"a date in a year": {once(llmtest.WithHeader("Retry-After", "Fri, 01 Jan 2100 00:00:00 GMT", llmtest.Fail(503, "api_error", "Later."))),
			llm.Error{Class: llm.ClassUnavailable, Status: 503, Message: "Later."}},
		"money is used up": {once(llmtest.SpendingLimit()), llm.Error{Class: llm.ClassSpendingLimit, Status: 429, Message: "Your organization has reached its monthly spend limit"}},
		"the owner's limit": {once(llmtest.Fail(400, "invalid_request_error", "You have reached your specified workspace API usage limits. You will regain access on 2026-12-01.")),
			llm.Error{Class: llm.ClassSpendingLimit, Status: 400, Message: "You have reached your specified workspace API usage limits. You will regain access on 2026-12-01."}},
		"no credit":    {once(llmtest.Fail(400, "invalid_request_error", "Your credit balance is too low.")), llm.Error{Class: llm.ClassSpendingLimit, Status: 400, Message: "Your credit balance is too low."}},
		"billing":      {once(llmtest.Fail(402, "billing_error", "Pay.")), llm.Error{Class: llm.ClassSpendingLimit, Status: 402, Message: "Pay."}},
		"wrong key":    {once(llmtest.Unauthorized()), llm.Error{Class: llm.ClassAuthentication, Status: 401, Message: "invalid x-api-key"}},
		"not allowed":  {once(llmtest.Fail(403, "permission_error", "No.")), llm.Error{Class: llm.ClassAuthentication, Status: 403, Message: "No."}},
		"no such":      {once(llmtest.Fail(404, "not_found_error", "model: x")), llm.Error{Class: llm.ClassInvalidRequest, Status: 404, Message: "model: x"}},
		"bad request":  {once(llmtest.Fail(400, "invalid_request_error", "max_tokens: too many")), llm.Error{Class: llm.ClassInvalidRequest, Status: 400, Message: "max_tokens: too many"}},
		"truncated":    {once(llmtest.Truncated()), llm.Error{Class: llm.ClassBroken, Message: "error parsing response json: unexpected EOF"}},
		"breaks off":   {twice(llmtest.BreaksOff()), llm.Error{Class: llm.ClassBroken, Message: "error reading response body: unexpected EOF"}},
		"not JSON":     {once(llmtest.Raw(200, "text/html", "<html>login</html>")), llm.Error{Class: llm.ClassBroken, Message: "expected destination type of 'string' or '[]byte' for responses with content-type 'text/html' that is not 'application/json'"}},
		"empty object": {once(llmtest.Raw(200, "application/json", "{}")), llm.Error{Class: llm.ClassBroken, Status: 200, Message: "what came is not a message of the model"}},
		"other object": {once(llmtest.Raw(200, "application/json", `{"type":"error","error":{"type":"api_error","message":"x"}}`)), llm.Error{Class: llm.ClassBroken, Status: 200, Message: "what came is not a message of the model"}},
		"no stop": {once(llmtest.Raw(200, "application/json", `{"type":"message","role":"assistant","content":[],"usage":{}}`)),
			llm.Error{Class: llm.ClassBroken, Status: 200, Message: "the answer does not say why it ended"}},
		"a gateway's page with the key and escapes": {once(llmtest.Raw(418, "text/plain", "your key "+key+" is \x1b[31mbad\x1b[0m")),
			llm.Error{Class: llm.ClassInvalidRequest, Status: 418, Message: `your key [key] is \x1b[31mbad\x1b[0m`}},
		"redirect": {once(llmtest.Redirect("http://127.0.0.1:1/elsewhere")),
			llm.Error{Class: llm.ClassInvalidRequest, Message: "the address redirects elsewhere, which is not followed: set model.base_url to the final address"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, tc.turns...)
			_, err := client(t, s.URL, time.Minute).Complete(t.Context(), hello())
			got, ok := errors.AsType[*llm.Error](err)
			if !ok {
				t.Fatalf("error %v is not an *llm.Error", err)
			}
			tc.want.Model = "claude-haiku-5-5"
			if name == "a date in a year" && got.RetryAfter > 24*time.Hour {
				got.RetryAfter = 0 // it depends on today
			}
			if diff := cmp.Diff(tc.want, *got, cmpopts.IgnoreFields(llm.Error{}, "Err", "RequestID")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if s.Left() != 0 {
				t.Errorf("%d turns were not asked for: retried too little", s.Left())
			}
			if n := len(s.Violations()); n != 0 {
				t.Errorf("retried too often: %q", s.Violations())
			}
			if text := fmt.Sprintf("%v %+v", err, errors.Unwrap(err)); strings.Contains(text, key) {
				t.Errorf("the key is in the error: %s", text)
			}
		})
	}
}

func TestRetriesWhatPasses(t *testing.T) {
	s := start(t, llmtest.Overloaded(), llmtest.RateLimited(time.Millisecond), llmtest.Say(llmtest.Text("ok")))
	resp, err := client(t, s.URL, time.Minute).Complete(t.Context(), hello())
	if err != nil || resp.Text() != "ok" {
		t.Errorf("answer %+v, error %v", resp, err)
	}
}

// A model that is silent costs the time of its tries, not more.
func TestSilence(t *testing.T) {
	s := start(t, llmtest.Hang(), llmtest.Hang(), llmtest.Hang())
	_, err := client(t, s.URL, 50*time.Millisecond).Complete(t.Context(), hello())
	e, ok := errors.AsType[*llm.Error](err)
	if !ok || e.Class != llm.ClassTimeout || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want a timeout", err)
	}
	if s.Left() != 0 {
		t.Errorf("%d tries were not made", s.Left())
	}
}

func TestCallerGivesUp(t *testing.T) {
	s := start(t, llmtest.Hang(), llmtest.Hang())
	c := client(t, s.URL, time.Minute)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Complete(ctx, hello())
	if e, ok := errors.AsType[*llm.Error](err); !ok || e.Class != llm.ClassTimeout {
		t.Errorf("at the caller's deadline: %v, want a timeout", err)
	}

	stopping := errors.New("stopping")
	cancelled, stop := context.WithCancelCause(t.Context())
	stop(stopping)
	if _, err := c.Complete(cancelled, hello()); !errors.Is(err, stopping) {
		t.Errorf("cancelled: %v, want the cause", err)
	}
}

// A wait that goes beyond the caller's deadline is not begun: the caller learns
// why at once.
func TestDoesNotWaitBeyondTheDeadline(t *testing.T) {
	s := start(t, llmtest.RateLimited(40*time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := client(t, s.URL, time.Minute).Complete(ctx, hello())
	if e, ok := errors.AsType[*llm.Error](err); !ok || e.Class != llm.ClassRateLimited || ctx.Err() != nil {
		t.Errorf("error %v, context %v: want rate limited, before the deadline", err, ctx.Err())
	}
}

func TestUnreachable(t *testing.T) {
	s := start(t)
	url := s.URL
	s2 := strings.Replace(url, "http://", "http://user:hunter2@", 1)
	s3, err := llmtest.Start(llmtest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	closed := strings.Replace(s3.URL, "http://", "http://user:hunter2@", 1)
	s3.Close()
	_, err = client(t, closed, time.Second).Complete(t.Context(), hello())
	e, ok := errors.AsType[*llm.Error](err)
	if !ok || e.Class != llm.ClassUnavailable || !strings.Contains(e.Message, "connection refused") {
		t.Errorf("error %v, want unavailable", err)
	}
	_, err2 := client(t, s2, time.Second).Complete(t.Context(), hello())
	for _, text := range []string{fmt.Sprintf("%v %+v", err, e), fmt.Sprint(err2)} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("the address's password is in the error: %s", text)
		}
	}
}

func TestTooLong(t *testing.T) {
	long := llmtest.Raw(200, "application/json", `{"type":"message","x":"`+strings.Repeat("a", 9<<20)+`"}`)
	s := start(t, long, long, long)
	_, err := client(t, s.URL, time.Minute).Complete(t.Context(), hello())
	if e, ok := errors.AsType[*llm.Error](err); !ok || e.Class != llm.ClassBroken || !strings.Contains(e.Message, "longer than") {
		t.Errorf("error %v", err)
	}
}

// What the environment says about other clients is not for this one.
func TestTakesNothingFromTheEnvironment(t *testing.T) {
	t.Setenv("ANTHROPIC_API_KEY", "sk-of-somebody-else")
	t.Setenv("ANTHROPIC_AUTH_TOKEN", "token-of-somebody-else")
	t.Setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
	t.Setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Other: 1")
	t.Setenv("ANTHROPIC_PROFILE", "nowhere")
	s := start(t, llmtest.Say(llmtest.Text("ok")))
	if _, err := client(t, s.URL, time.Minute).Complete(t.Context(), hello()); err != nil {
		t.Fatal(err)
	}
	h := s.Requests()[0].Header
	if h.Get("X-Api-Key") != key || h.Get("Authorization") != "" || h.Get("X-Other") != "" {
		t.Errorf("headers %v", h)
	}
}

func TestRefusesABadRequestItself(t *testing.T) {
	c := client(t, "http://127.0.0.1:1", time.Second)
	user := llm.Text(llm.User, "x")
	for name, req := range map[string]llm.Request{
		"no schema":    {Messages: []llm.Message{user}, Tools: []llm.Tool{{Name: "a"}}},
		"no role":      {Messages: []llm.Message{{Parts: user.Parts}}},
		"says nothing": {Messages: []llm.Message{llm.Text(llm.User, " ")}},
		"bad input": {Messages: []llm.Message{user, {Role: llm.Assistant, Parts: []llm.Part{
			{Call: &llm.ToolCall{ID: "a", Name: "b", Input: json.RawMessage("[1]")}}}}}},
	} {
		_, err := c.Complete(t.Context(), req)
		if e, ok := errors.AsType[*llm.Error](err); !ok || e.Class != llm.ClassInvalidRequest || e.Status != 0 {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestNew(t *testing.T) {
	for name, tc := range map[string]struct {
		cfg  anthropic.Config
		want string
	}{
		"no key":        {anthropic.Config{Model: "m"}, "APIKey is not set"},
		"key with line": {anthropic.Config{APIKey: "sk-secret\n", Model: "m"}, "a character that no key has"},
		"no model":      {anthropic.Config{APIKey: "k"}, "Model is not set"},
		"max tokens":    {anthropic.Config{APIKey: "k", Model: "m", MaxTokens: -1}, "MaxTokens is -1"},
		"timeout":       {anthropic.Config{APIKey: "k", Model: "m", Timeout: -time.Second}, "Timeout is -1s"},
		"no URL":        {anthropic.Config{APIKey: "k", Model: "m", BaseURL: "://u:hunter2@x"}, "not a URL"},
		"other scheme":  {anthropic.Config{APIKey: "k", Model: "m", BaseURL: "ftp://u:hunter2@x"}, "ftp://u:xxxxx@x"},
		"no host":       {anthropic.Config{APIKey: "k", Model: "m", BaseURL: "http:///v1"}, "want http://HOST"},
		"query":         {anthropic.Config{APIKey: "k", Model: "m", BaseURL: "http://x/?a=b"}, "want http://HOST"},
	} {
		_, err := anthropic.New(tc.cfg)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", name, err, tc.want)
		} else if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "sk-secret") {
			t.Errorf("%s: a secret is in the error: %v", name, err)
		}
	}
	c, err := anthropic.New(anthropic.Config{APIKey: "k", Model: "m"})
	if err != nil || c.Name() != "m" {
		t.Errorf("the smallest configuration: %v, %v", c, err)
	}
}

// A gateway may have a path of its own.
func TestBaseURLWithAPath(t *testing.T) {
	s := start(t)
	_, err := client(t, s.URL+"/gateway/claude", time.Second).Complete(t.Context(), hello())
	if e, ok := errors.AsType[*llm.Error](err); !ok || e.Status != 404 {
		t.Errorf("error %v, want the 404 of the path", err)
	}
}
