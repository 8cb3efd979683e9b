package llmtest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/internal/llm/llmtest"
)

// chat posts a body in the Chat Completions format and gives the status and
// what was said: the choice, or the error's type, code and message.
func chat(t *testing.T, s *llmtest.Server, body string, change func(*http.Request)) (status int, said string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer k")
	r.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var answer struct {
		Error *struct {
			Type, Message string
			Code          any
		}
		Choices []json.RawMessage
		Usage   json.RawMessage
	}
	if err := json.NewDecoder(w.Body).Decode(&answer); err != nil {
		t.Fatalf("the answer is not JSON: %v", err)
	}
	if answer.Error != nil {
		code, _ := answer.Error.Code.(string)
		return w.Code, strings.Join([]string{answer.Error.Type, code, answer.Error.Message}, "|")
	}
	return w.Code, string(answer.Choices[0]) + string(answer.Usage)
}

const (
	asks     = `{"role":"user","content":"x"}`
	calls    = `{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"n","arguments":"{}"}},{"id":"b","type":"function","function":{"name":"n","arguments":"{}"}}]}`
	answersA = `{"role":"tool","tool_call_id":"a","content":"r"}`
	answersB = `{"role":"tool","tool_call_id":"b","content":"ERROR: no"}`
)

func chatBody(messages ...string) string {
	return `{"model":"m","messages":[` + strings.Join(messages, ",") + `]}`
}

func TestChatJudgesAsTheAPIDoes(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	tool := func(text string) string { return `{"model":"m","messages":[` + asks + `],"tools":[` + text + `]}` }
	for name, tc := range map[string]struct {
		body   string
		change func(*http.Request)
		status int
		says   string
	}{
		"no key":              {chatBody(asks), header("Authorization", ""), 401, "didn't provide an API key"},
		"wrong key":           {chatBody(asks), header("Authorization", "Bearer other"), 401, "Incorrect API key"},
		"no content type":     {chatBody(asks), header("Content-Type", "text/plain"), 400, "content-type"},
		"other path":          {chatBody(asks), func(r *http.Request) { r.URL.Path = "/chat/completions" }, 404, "Invalid URL"},
		"other method":        {chatBody(asks), func(r *http.Request) { r.Method = "GET" }, 405, "Not allowed"},
		"not JSON":            {`{"model":`, nil, 400, "not valid"},
		"unknown field":       {`{"model":"m","messages":[` + asks + `],"colour":1}`, nil, 400, "colour"},
		"no model":            {`{"messages":[` + asks + `]}`, nil, 400, "model parameter"},
		"two limits":          {`{"model":"m","max_tokens":1,"max_completion_tokens":1,"messages":[` + asks + `]}`, nil, 400, "at the same time"},
		"zero tokens":         {`{"model":"m","max_tokens":0,"messages":[` + asks + `]}`, nil, 400, "minimum value"},
		"stream":              {`{"model":"m","stream":true,"messages":[` + asks + `]}`, nil, 400, "stream"},
		"no messages":         {chatBody(), nil, 400, "empty array"},
		"a role":              {chatBody(`{"role":"robot","content":"x"}`), nil, 400, "Supported values"},
		"empty user":          {chatBody(`{"role":"user","content":null}`), nil, 400, "expected a string"},
		"empty tool":          {chatBody(asks, calls, `{"role":"tool","tool_call_id":"a"}`), nil, 400, "expected a string"},
		"empty assistant":     {chatBody(asks, `{"role":"assistant","content":null}`, asks), nil, 400, "expected a string"},
		"late system":         {chatBody(asks, `{"role":"system","content":"x"}`), nil, 400, "first only"},
		"ends with assistant": {chatBody(asks, `{"role":"assistant","content":"x"}`), nil, 400, "continues no message"},
		"unanswered":          {chatBody(asks, calls, answersA), nil, 400, "did not have response messages: b"},
		"unanswered by text":  {chatBody(asks, calls, asks), nil, 400, "did not have response messages: a, b"},
		"answers nothing":     {chatBody(asks, answersA), nil, 400, "must be a response to"},
		"answered twice":      {chatBody(asks, calls, answersA, answersB, answersA), nil, 400, "must be a response to"},
		"same id twice":       {chatBody(asks, strings.ReplaceAll(calls, `"b"`, `"a"`), answersA), nil, 400, "Duplicate value"},
		"arguments no JSON":   {chatBody(asks, strings.Replace(calls, `"{}"`, `"{"`, 1), answersA, answersB), nil, 400, "not JSON"},
		"call without a name": {chatBody(asks, strings.Replace(calls, `"name":"n"`, `"name":""`, 1), answersA, answersB), nil, 400, "want a type, an id and a name"},
		"tool's type":         {tool(`{"type":"x","function":{"name":"n","parameters":{"type":"object"}}}`), nil, 400, "Supported values"},
		"tool's name":         {tool(`{"type":"function","function":{"name":"n n","parameters":{"type":"object"}}}`), nil, 400, "does not match pattern"},
		"tool's schema":       {tool(`{"type":"function","function":{"name":"n","parameters":{"type":"array"}}}`), nil, 400, "Invalid schema"},
		"tools of one name":   {tool(strings.Repeat(`,{"type":"function","function":{"name":"n","parameters":{"type":"object"}}}`, 2)[1:]), nil, 400, "unique"},
	} {
		t.Run(name, func(t *testing.T) {
			s := llmtest.New(llmtest.Config{APIKey: "k", Turns: []llmtest.Turn{llmtest.Say(llmtest.Text("ok"))}})
			status, said := chat(t, s, tc.body, tc.change)
			if status != tc.status || !strings.Contains(said, tc.says) {
				t.Errorf("%d %s, want %d and %q", status, said, tc.status, tc.says)
			}
			if s.Left() != 1 || len(s.Requests()) != 0 || len(s.Violations()) != 1 {
				t.Errorf("%d turns left, %d requests, violations %q", s.Left(), len(s.Requests()), s.Violations())
			}
		})
	}
}

func TestChatPlaysTheScript(t *testing.T) {
	s := llmtest.New(llmtest.Config{Turns: []llmtest.Turn{
		llmtest.Say(llmtest.Thinking("hm", "sig"), llmtest.Text("I"), llmtest.Text("look."), llmtest.Call("n", map[string]int{"x": 1}), llmtest.CallID("own", "n", []int{1}), llmtest.Garbled("n", `{"x`)),
		func(r *llmtest.Request) llmtest.Reply {
			b := r.LastResults()
			return llmtest.Reply{Blocks: []llmtest.Block{llmtest.Text(b[0].Text + b[1].Text)}, Stop: "error", Usage: llmtest.Usage{InputTokens: 1, OutputTokens: 2, CacheReadTokens: 3, CacheWriteTokens: 4}}
		},
		llmtest.RateLimited(time.Second), llmtest.SpendingLimit(), llmtest.Overloaded(),
		func(*llmtest.Request) llmtest.Reply { return llmtest.Reply{Stop: "max_tokens", NoUsage: true} },
	}})
	noKey := func(r *http.Request) { r.Header.Del("Authorization") }
	type answer struct {
		Status int
		Said   string
	}
	var got []answer
	for range 6 {
		status, said := chat(t, s, chatBody(asks, calls, answersB, answersA), noKey)
		said, _, _ = strings.Cut(said, `{"completion_tokens":`)
		got = append(got, answer{status, said})
	}
	want := []answer{
		{200, `{"finish_reason":"tool_calls","index":0,"logprobs":null,"message":{"content":"I\nlook.","reasoning_content":"hm","refusal":null,"role":"assistant","tool_calls":[` +
			`{"function":{"arguments":"{\"x\":1}","name":"n"},"id":"call_01_03","type":"function"},{"function":{"arguments":"[1]","name":"n"},"id":"own","type":"function"},` +
			`{"function":{"arguments":"{\"x","name":"n"},"id":"call_01_05","type":"function"}]}}`},
		{200, `{"finish_reason":"error","index":0,"logprobs":null,"message":{"content":"nor","refusal":null,"role":"assistant"}}`},
		{429, "requests|rate_limit_exceeded|Rate limit reached for requests"},
		{429, "insufficient_quota|insufficient_quota|You exceeded your current quota, please check your plan and billing details."},
		{503, "server_error||The engine is currently overloaded, please try again later"},
		{200, `{"finish_reason":"length","index":0,"logprobs":null,"message":{"content":null,"refusal":null,"role":"assistant"}}`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r := s.Requests()[0]; r.Turn() != 2 || len(r.Messages) != 3 || !r.LastResults()[0].IsError || r.LastResults()[1].IsError {
		t.Errorf("the request was read as %+v", r)
	}
}
