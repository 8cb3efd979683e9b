package openai_test

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
	"lifeline/internal/llm/llmtest"
	"lifeline/internal/llm/openai"
)

const key = "sk-test-4711"

func start(t *testing.T, turns ...llmtest.Turn) *llmtest.Server {
	t.Helper()
	s, err := llmtest.Start(llmtest.Config{APIKey: key, Turns: turns})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func client(t *testing.T, url string, timeout time.Duration) *openai.Client {
	t.Helper()
	c, err := openai.New(openai.Config{APIKey: key, BaseURL: url + "/v1", Model: "qwen3", MaxTokens: 100, Timeout: timeout})
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
			llmtest.Thinking("let me see", ""),
			llmtest.Text("I look."),
			llmtest.CallID("call_a", "gather_logs", map[string]any{"host": "nexus", "lines": 100}),
			llmtest.CallID("call_b", "finish", map[string]any{}),
		),
		func(r *llmtest.Request) llmtest.Reply {
			return llmtest.Reply{Blocks: []llmtest.Block{llmtest.Text("seen " + r.LastResults()[0].Text)}, Stop: "max_tokens",
				Usage: llmtest.Usage{InputTokens: 5, OutputTokens: 6, CacheReadTokens: 7}}
		},
	)
	c := client(t, s.URL, time.Minute)
	req := hello()
	req.Tools = []llm.Tool{
		{Name: "gather_logs", Description: "reads logs", InputSchema: json.RawMessage(`{"additionalProperties":false,"properties":{"host":{"type":"string"}},"required":["host"],"type":"object"}`)},
		{Name: "finish", InputSchema: json.RawMessage(`{"type":"object"}`)},
	}
	first, err := c.Complete(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	want := llm.Response{Stop: llm.StopTools, Parts: []llm.Part{
		{Opaque: json.RawMessage(`{"reasoning_content":"let me see"}`)},
		{Text: "I look."},
		{Call: &llm.ToolCall{ID: "call_a", Name: "gather_logs", Input: json.RawMessage(`{"host":"nexus","lines":100}`)}},
		{Call: &llm.ToolCall{ID: "call_b", Name: "finish", Input: json.RawMessage(`{}`)}},
	}}
	if diff := cmp.Diff(want, first, cmpopts.IgnoreFields(llm.Response{}, "Usage")); diff != "" {
		t.Errorf("first answer (-want +got):\n%s", diff)
	}
	req.Messages = append(req.Messages,
		llm.Message{Role: llm.Assistant, Parts: first.Parts},
		llm.Message{Role: llm.User, Parts: []llm.Part{
			{Result: &llm.ToolResult{CallID: "call_a", Content: "log line"}},
			{Result: &llm.ToolResult{CallID: "call_b", Content: " ", IsError: true}},
			{Text: "Go on."},
		}})
	req.MaxTokens = 50
	second, err := c.Complete(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	want = llm.Response{Parts: []llm.Part{{Text: "seen log line"}}, Stop: llm.StopMaxTokens,
		Usage: llm.Usage{InputTokens: 5, OutputTokens: 6, CacheReadTokens: 7}}
	if diff := cmp.Diff(want, second); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got := s.Requests()
	if len(got) != 2 || len(s.Violations()) != 0 {
		t.Fatalf("%d requests, violations %q", len(got), s.Violations())
	}
	if got[0].MaxTokens != 100 || got[1].MaxTokens != 50 || got[0].Model != "qwen3" || got[0].System != "You help." ||
		!strings.Contains(string(got[0].Body), `"max_tokens":100`) {
		t.Errorf("request: %s", got[0].Body)
	}
	wantTools := []llmtest.Tool{{Name: "gather_logs", Description: "reads logs", Schema: req.Tools[0].InputSchema}, {Name: "finish", Schema: req.Tools[1].InputSchema}}
	if diff := cmp.Diff(wantTools, got[0].Tools); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
	wantSent := []llmtest.In{
		{Type: "thinking", Raw: json.RawMessage(`"let me see"`)},
		{Type: "text", Text: "I look."},
		{Type: "tool_use", ID: "call_a", Tool: "gather_logs", Input: json.RawMessage(`{"host":"nexus","lines":100}`)},
		{Type: "tool_use", ID: "call_b", Tool: "finish", Input: json.RawMessage(`{}`)},
	}
	if diff := cmp.Diff(wantSent, got[1].Messages[1].Blocks); diff != "" {
		t.Errorf("the answer went back as (-want +got):\n%s", diff)
	}
	wantResults := []llmtest.In{
		{Type: "tool_result", ID: "call_a", Text: "log line"},
		{Type: "tool_result", ID: "call_b", Text: "(nothing)", IsError: true},
	}
	if diff := cmp.Diff(wantResults, got[1].LastResults()); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	// What was asked first stands unchanged before what came after it.
	if first, second := string(got[0].Body), string(got[1].Body); !strings.Contains(second, between(first, `"messages":[`, `]`)) || between(first, `"tools":[`, `]`) != between(second, `"tools":[`, `]`) {
		t.Errorf("the beginning changed:\n%s\n%s", first, second)
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

// answer is a body of the API with one choice.
func answer(message, finish string) llmtest.Turn {
	return llmtest.Raw(200, "application/json", fmt.Sprintf(`{"id":"x","object":"chat.completion","choices":[{"index":0,"message":%s,"finish_reason":%s}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`, message, finish))
}

// Servers that only nearly speak the format are understood.
func TestAnswersOfOtherServers(t *testing.T) {
	call := func(input string) []llm.Part {
		return []llm.Part{{Call: &llm.ToolCall{ID: "a", Name: "n", Input: json.RawMessage(input)}}}
	}
	tool := func(arguments string) string {
		return `{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"n","arguments":` + arguments + `}}]}`
	}
	for name, tc := range map[string]struct {
		message, finish string
		parts           []llm.Part
		stop            llm.Stop
	}{
		"stop with a call":       {tool(`"{\"x\":1}"`), `"stop"`, call(`{"x":1}`), llm.StopTools},
		"no arguments":           {tool(`""`), `"tool_calls"`, call(`{}`), llm.StopTools},
		"null arguments":         {tool(`null`), `"tool_calls"`, call(`{}`), llm.StopTools},
		"arguments as an object": {tool(`{"x":1}`), `"tool_calls"`, call(`{"x":1}`), llm.StopTools},
		"arguments cut off":      {tool(`"{\"x\":"`), `"length"`, call(`"{\"x\":"`), llm.StopMaxTokens},
		"arguments are a number": {tool(`"7"`), `"tool_calls"`, call(`7`), llm.StopTools},
		"no id and no type":      {`{"role":"assistant","tool_calls":[{"function":{"name":"n","arguments":"{}"}}]}`, `"tool_calls"`, []llm.Part{{Call: &llm.ToolCall{Name: "n", Input: json.RawMessage(`{}`)}}}, llm.StopTools},
		"no name":                {`{"role":"assistant","tool_calls":[{"id":"a"}]}`, `"tool_calls"`, []llm.Part{{Call: &llm.ToolCall{ID: "a", Input: json.RawMessage(`{}`)}}}, llm.StopTools},
		"the older function":     {`{"role":"assistant","content":"x"}`, `"function_call"`, []llm.Part{{Text: "x"}}, llm.StopEnd},
		"filtered":               {`{"role":"assistant","content":"x"}`, `"content_filter"`, []llm.Part{{Text: "x"}}, llm.StopRefused},
		"refused":                {`{"role":"assistant","content":null,"refusal":"no"}`, `"stop"`, []llm.Part{{Text: "no"}}, llm.StopRefused},
		"reasoning of OpenRouter": {`{"role":"assistant","content":"x","reasoning":"hm","reasoning_details":[{"type":"t"}]}`, `"stop"`,
			[]llm.Part{{Opaque: json.RawMessage(`{"reasoning":"hm","reasoning_details":[{"type":"t"}]}`)}, {Text: "x"}}, llm.StopEnd},
		"empty reasoning": {`{"role":"assistant","content":"x","reasoning_content":""}`, `"stop"`, []llm.Part{{Text: "x"}}, llm.StopEnd},
		"nothing":         {`{"role":"assistant","content":""}`, `"stop"`, nil, llm.StopEnd},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, answer(tc.message, tc.finish))
			got, err := client(t, s.URL, time.Minute).Complete(t.Context(), hello())
			if err != nil {
				t.Fatal(err)
			}
			want := llm.Response{Parts: tc.parts, Stop: tc.stop, Usage: llm.Usage{InputTokens: 3, OutputTokens: 2}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if _, err := json.Marshal(got); err != nil {
				t.Errorf("it cannot be kept: %v", err)
			}
		})
	}
}

// A server that does not say what it used is not taken for one that is free.
func TestUsageThatIsNotTold(t *testing.T) {
	silent := func(*llmtest.Request) llmtest.Reply {
		return llmtest.Reply{Blocks: []llmtest.Block{llmtest.Text("ok")}, NoUsage: true}
	}
	s := start(t, silent, llmtest.Say(llmtest.Text("ok")))
	c := client(t, s.URL, time.Minute)
	for _, unknown := range []bool{true, false} {
		got, err := c.Complete(t.Context(), hello())
		if err != nil || got.Usage.Unknown != unknown || (got.Usage.Total() == 0) != unknown {
			t.Errorf("usage %+v, %v", got.Usage, err)
		}
	}
}

func TestFailures(t *testing.T) {
	thrice := func(turn llmtest.Turn) []llmtest.Turn { return []llmtest.Turn{turn, turn, turn} }
	once := func(turn llmtest.Turn) []llmtest.Turn { return []llmtest.Turn{turn} }
	body := func(status int, text string) []llmtest.Turn {
		return once(llmtest.Raw(status, "application/json", text))
	}
	soon := func(status int, text string) []llmtest.Turn {
		return thrice(llmtest.WithHeader("Retry-After-Ms", "1", llmtest.Raw(status, "application/json", text)))
	}
	const quota = "You exceeded your current quota, please check your plan and billing details."
	for name, tc := range map[string]struct {
		turns []llmtest.Turn // all of them must be used up
		want  llm.Error
	}{
		"overloaded to the end":  {thrice(llmtest.Overloaded()), llm.Error{Class: llm.ClassOverloaded, Status: 503, Message: "The engine is currently overloaded, please try again later", RetryAfter: time.Millisecond}},
		"broken to the end":      {thrice(llmtest.Broken()), llm.Error{Class: llm.ClassUnavailable, Status: 500, Message: "Internal server error", RetryAfter: time.Millisecond}},
		"rate limited":           {thrice(llmtest.RateLimited(time.Millisecond)), llm.Error{Class: llm.ClassRateLimited, Status: 429, Message: "Rate limit reached for requests", RetryAfter: time.Millisecond}},
		"rate limited for hours": {once(llmtest.RateLimited(2 * time.Hour)), llm.Error{Class: llm.ClassRateLimited, Status: 429, Message: "Rate limit reached for requests", RetryAfter: 2 * time.Hour}},
		"529":                    {soon(529, `{"error":{"message":"Overloaded"}}`), llm.Error{Class: llm.ClassOverloaded, Status: 529, Message: "Overloaded", RetryAfter: time.Millisecond}},
		"money is used up":       {once(llmtest.SpendingLimit()), llm.Error{Class: llm.ClassSpendingLimit, Status: 429, Message: quota}},
		"the hard limit":         {body(400, `{"error":{"message":"Billing hard limit has been reached","type":"x","code":"billing_hard_limit_reached"}}`), llm.Error{Class: llm.ClassSpendingLimit, Status: 400, Message: "Billing hard limit has been reached"}},
		"402":                    {body(402, `{"error":{"message":"Insufficient credits","code":402}}`), llm.Error{Class: llm.ClassSpendingLimit, Status: 402, Message: "Insufficient credits"}},
		"wrong key":              {body(401, `{"error":{"message":"Incorrect API key provided: `+key+`.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`), llm.Error{Class: llm.ClassAuthentication, Status: 401, Message: "Incorrect API key provided: [key]."}},
		"no such model":          {body(404, `{"error":{"message":"model \"x\" not found, try pulling it first","type":"api_error","param":null,"code":null}}`), llm.Error{Class: llm.ClassInvalidRequest, Status: 404, Message: `model "x" not found, try pulling it first`}},
		"too long":               {body(400, `{"error":{"message":"This model's maximum context length is 8192 tokens.","code":"context_length_exceeded"}}`), llm.Error{Class: llm.ClassInvalidRequest, Status: 400, Message: "This model's maximum context length is 8192 tokens."}},
		"an error as a text":     {body(400, `{"error":"bad"}`), llm.Error{Class: llm.ClassInvalidRequest, Status: 400, Message: "bad"}},
		"a bare error":           {body(400, `{"object":"error","message":"bad","type":"BadRequestError","code":400}`), llm.Error{Class: llm.ClassInvalidRequest, Status: 400, Message: "bad"}},
		"an empty error":         {body(400, ``), llm.Error{Class: llm.ClassInvalidRequest, Status: 400, Message: "Bad Request"}},
		"an error with a 200":    {body(200, `{"error":{"message":"Provider returned error","code":400}}`), llm.Error{Class: llm.ClassInvalidRequest, Status: 200, Message: "Provider returned error"}},
		"truncated":              {once(llmtest.Truncated()), llm.Error{Class: llm.ClassBroken, Message: "error parsing response json: unexpected EOF"}},
		"not JSON":               {once(llmtest.Raw(200, "text/html", "<html>login</html>")), llm.Error{Class: llm.ClassBroken, Message: "expected destination type of 'string' or '[]byte' for responses with content-type 'text/html' that is not 'application/json'"}},
		"empty object":           {body(200, "{}"), llm.Error{Class: llm.ClassBroken, Status: 200, Message: "what came is not an answer of the model"}},
		"null":                   {body(200, "null"), llm.Error{Class: llm.ClassBroken, Status: 200, Message: "what came is not an answer of the model"}},
		"no message":             {body(200, `{"choices":[{"index":0,"finish_reason":"stop"}]}`), llm.Error{Class: llm.ClassBroken, Status: 200, Message: "what came is not an answer of the model"}},
		"no stop":                {once(answer(`{"role":"assistant","content":"x"}`, "null")), llm.Error{Class: llm.ClassBroken, Status: 200, Message: "the answer does not say why it ended"}},
		"failed in the middle":   {once(answer(`{"role":"assistant","content":"x"}`, `"error"`)), llm.Error{Class: llm.ClassBroken, Status: 200, Message: "the provider failed in the middle of the answer"}},
		"a gateway's page with the key and escapes": {once(llmtest.Raw(418, "text/plain", "your key "+key+" is \x1b[31mbad\x1b[0m")),
			llm.Error{Class: llm.ClassInvalidRequest, Status: 418, Message: `your key [key] is \x1b[31mbad\x1b[0m`}},
		"redirect": {once(llmtest.Redirect("http://127.0.0.1:1/elsewhere")),
			llm.Error{Class: llm.ClassInvalidRequest, Message: "the address redirects elsewhere, which is not followed: set model.base_url to the final address"}},
		"too large": {once(llmtest.Raw(200, "application/json", `{"x":"`+strings.Repeat("a", 9<<20)+`"}`)),
			llm.Error{Class: llm.ClassBroken, Message: "error reading response body: the answer is longer than 8388608 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, tc.turns...)
			_, err := client(t, s.URL, time.Minute).Complete(t.Context(), hello())
			got, ok := errors.AsType[*llm.Error](err)
			if !ok {
				t.Fatalf("error %v is not an *llm.Error", err)
			}
			tc.want.Model = "qwen3"
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
	s = start(t, llmtest.BreaksOff(), llmtest.Say(llmtest.Text("ok")))
	resp, err = client(t, s.URL, time.Minute).Complete(t.Context(), hello())
	if err != nil || resp.Text() != "ok" {
		t.Errorf("after one that broke off: %+v, error %v", resp, err)
	}
}

// A model that is silent costs the time of its tries, not more.
func TestSilence(t *testing.T) {
	s := start(t, llmtest.Hang(), llmtest.Hang(), llmtest.Hang())
	_, err := client(t, s.URL, 50*time.Millisecond).Complete(t.Context(), hello())
	if e, ok := errors.AsType[*llm.Error](err); !ok || e.Class != llm.ClassTimeout || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want a timeout", err)
	}
	if s.Left() != 0 {
		t.Errorf("%d tries were not made", s.Left())
	}
}

// A wait that the caller's time does not allow is not begun.
func TestWaitsWithinTheCallersTime(t *testing.T) {
	s := start(t, llmtest.RateLimited(30*time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := client(t, s.URL, time.Minute).Complete(ctx, hello())
	if e, ok := errors.AsType[*llm.Error](err); !ok || e.Class != llm.ClassRateLimited || ctx.Err() != nil {
		t.Errorf("error %v, ctx %v", err, ctx.Err())
	}
}

func TestCancelled(t *testing.T) {
	gone := errors.New("the caller is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	s := start(t, func(r *llmtest.Request) llmtest.Reply { cancel(gone); return llmtest.Hang()(r) })
	_, err := client(t, s.URL, time.Minute).Complete(ctx, hello())
	if _, ok := errors.AsType[*llm.Error](err); ok || !errors.Is(err, gone) {
		t.Errorf("error %v, want the cause", err)
	}
}

// What the environment says about other clients is not for this one, and on
// one's own machine no key is needed.
func TestTakesNothingFromTheEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"OPENAI_API_KEY": "sk-of-somebody-else", "OPENAI_ADMIN_KEY": "sk-admin", "OPENAI_BASE_URL": "http://127.0.0.1:1", "OPENAI_ORG_ID": "org-x",
		"OPENAI_PROJECT_ID": "proj-x", "OPENAI_CUSTOM_HEADERS": "X-Other: 1",
	} {
		t.Setenv(name, value)
	}
	s, err := llmtest.Start(llmtest.Config{Turns: []llmtest.Turn{llmtest.Say(llmtest.Text("ok"))}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := openai.New(openai.Config{BaseURL: s.URL + "/v1/", Model: "qwen3"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Complete(t.Context(), hello()); err != nil {
		t.Fatal(err)
	}
	h := s.Requests()[0].Header
	if h.Get("Authorization") != "" || h.Get("OpenAI-Organization") != "" || h.Get("OpenAI-Project") != "" || h.Get("X-Other") != "" {
		t.Errorf("headers %v", h)
	}
}

func TestNoConnection(t *testing.T) {
	c, err := openai.New(openai.Config{BaseURL: "http://ann:hunter2@127.0.0.1:1/v1", Model: "m", Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Complete(t.Context(), hello())
	e, ok := errors.AsType[*llm.Error](err)
	if !ok || e.Class != llm.ClassUnavailable || !strings.Contains(e.Message, "connection refused") {
		t.Errorf("error %v, want unavailable", err)
	}
	if text := fmt.Sprintf("%v %+v", err, e); strings.Contains(text, "hunter2") {
		t.Errorf("the address's password is in the error: %s", text)
	}
}

func TestRefusesABadRequestItself(t *testing.T) {
	c := client(t, "http://127.0.0.1:1", time.Second)
	user := llm.Text(llm.User, "x")
	for name, req := range map[string]llm.Request{
		"no schema":      {Messages: []llm.Message{user}, Tools: []llm.Tool{{Name: "a"}}},
		"no role":        {Messages: []llm.Message{{Parts: user.Parts}}},
		"says nothing":   {Messages: []llm.Message{llm.Text(llm.User, " ")}},
		"only reasoning": {Messages: []llm.Message{user, {Role: llm.Assistant, Parts: []llm.Part{{Opaque: json.RawMessage(`{"reasoning":"x"}`)}}}}},
		"bad opaque":     {Messages: []llm.Message{user, {Role: llm.Assistant, Parts: []llm.Part{{Text: "x"}, {Opaque: json.RawMessage(`[1]`)}}}}},
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
		cfg  openai.Config
		want string
	}{
		"no key":        {openai.Config{Model: "m"}, "APIKey is not set"},
		"key with line": {openai.Config{APIKey: "sk-secret\n", Model: "m"}, "a character that no key has"},
		"no model":      {openai.Config{APIKey: "k"}, "Model is not set"},
		"max tokens":    {openai.Config{APIKey: "k", Model: "m", MaxTokens: -1}, "MaxTokens is -1"},
		"timeout":       {openai.Config{APIKey: "k", Model: "m", Timeout: -time.Second}, "Timeout is -1s"},
		"no URL":        {openai.Config{APIKey: "k", Model: "m", BaseURL: "://u:hunter2@x"}, "not a URL"},
		"other scheme":  {openai.Config{APIKey: "k", Model: "m", BaseURL: "ftp://u:hunter2@x"}, "ftp://u:xxxxx@x"},
		"query":         {openai.Config{APIKey: "k", Model: "m", BaseURL: "http://x/?a=b"}, "want http://HOST"},
	} {
		_, err := openai.New(tc.cfg)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", name, err, tc.want)
		} else if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "sk-secret") {
			t.Errorf("%s: a secret is in the error: %v", name, err)
		}
	}
	if c, err := openai.New(openai.Config{APIKey: "k", Model: "m"}); err != nil || c.Name() != "m" {
		t.Errorf("the smallest configuration: %v, %v", c, err)
	}
}
