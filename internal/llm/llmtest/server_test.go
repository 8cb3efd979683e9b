package llmtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline/internal/llm/llmtest"
)

func post(t *testing.T, s *llmtest.Server, body string, change func(*http.Request)) (status int, message string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/messages", strings.NewReader(body))
	r.Header.Set("X-Api-Key", "k")
	r.Header.Set("Anthropic-Version", llmtest.Version)
	r.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var answer struct {
		Type  string `json:"type"`
		Error struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"error"`
		Content json.RawMessage `json:"content"`
		Stop    string          `json:"stop_reason"`
	}
	if err := json.NewDecoder(w.Body).Decode(&answer); err != nil {
		t.Fatalf("the answer is not JSON: %v", err)
	}
	if w.Code == 200 {
		return w.Code, answer.Stop + " " + string(answer.Content)
	}
	if answer.Type != "error" {
		t.Errorf("type %q of a refusal", answer.Type)
	}
	return w.Code, answer.Error.Type + ": " + answer.Error.Message
}

// body is a request with the given messages.
func body(messages string) string {
	return `{"model":"m","max_tokens":10,"messages":[` + messages + `]}`
}

const (
	user   = `{"role":"user","content":"x"}`
	oneUse = `{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"n","input":{}}]}`
	twoUse = `{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"n","input":{}},{"type":"tool_use","id":"b","name":"n","input":{}}]}`
)

func result(ids ...string) string {
	var blocks []string
	for _, id := range ids {
		blocks = append(blocks, fmt.Sprintf(`{"type":"tool_result","tool_use_id":%q,"content":"r"}`, id))
	}
	return `{"role":"user","content":[` + strings.Join(blocks, ",") + `]}`
}

func TestJudgesAsTheAPIDoes(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	five := `{"type":"text","text":"t","cache_control":{"type":"ephemeral"}}`
	for name, tc := range map[string]struct {
		body   string
		change func(*http.Request)
		status int
		says   string
	}{
		"no key":             {body(user), header("X-Api-Key", ""), 401, "x-api-key header is required"},
		"wrong key":          {body(user), header("X-Api-Key", "other"), 401, "invalid x-api-key"},
		"no version":         {body(user), header("Anthropic-Version", ""), 400, "anthropic-version: header is required"},
		"wrong version":      {body(user), header("Anthropic-Version", "2020-01-01"), 400, "is not a valid version"},
		"no content type":    {body(user), header("Content-Type", "text/plain"), 400, "content-type"},
		"other path":         {body(user), func(r *http.Request) { r.URL.Path = "/v1/complete" }, 404, "Not found"},
		"other method":       {body(user), func(r *http.Request) { r.Method = "GET" }, 405, "Method Not Allowed"},
		"too large":          {body(user), func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Repeat(" ", 33<<20))) }, 413, "exceeds the maximum size"},
		"not JSON":           {`{"model":`, nil, 400, "not valid"},
		"two values":         {body(user) + "{}", nil, 400, "more than one JSON value"},
		"unknown field":      {`{"model":"m","max_tokens":1,"messages":[` + user + `],"colour":1}`, nil, 400, "colour"},
		"unknown block key":  {body(`{"role":"user","content":[{"type":"text","text":"x","colour":1}]}`), nil, 400, "colour"},
		"no model":           {`{"max_tokens":1,"messages":[` + user + `]}`, nil, 400, "model: Field required"},
		"no max_tokens":      {`{"model":"m","messages":[` + user + `]}`, nil, 400, "max_tokens: Field required"},
		"zero max_tokens":    {`{"model":"m","max_tokens":0,"messages":[` + user + `]}`, nil, 400, "max_tokens"},
		"stream":             {`{"model":"m","max_tokens":1,"stream":true,"messages":[` + user + `]}`, nil, 400, "stream"},
		"no messages":        {body(""), nil, 400, "at least one message"},
		"a role":             {body(`{"role":"system","content":"x"}`), nil, 400, "role"},
		"no content":         {body(`{"role":"user","content":[]}`), nil, 400, "non-empty content"},
		"blank text":         {body(`{"role":"user","content":" "}`), nil, 400, "non-whitespace"},
		"blank system":       {`{"model":"m","max_tokens":1,"system":"","messages":[` + user + `]}`, nil, 400, "system.0"},
		"begins wrongly":     {body(oneUse + "," + result("a")), nil, 400, "first message"},
		"prefill":            {body(user + `,{"role":"assistant","content":"y"}`), nil, 400, "prefill"},
		"unanswered":         {body(user + "," + twoUse + "," + result("a")), nil, 400, "without `tool_result` blocks immediately after: b"},
		"unanswered by text": {body(user + "," + oneUse + "," + user), nil, 400, "without `tool_result` blocks immediately after: a"},
		"out of order":       {body(user + "," + twoUse + "," + result("b", "a")), nil, 400, "not in the order"},
		"answered twice":     {body(user + "," + oneUse + "," + result("a", "a")), nil, 400, "unexpected `tool_use_id`"},
		"answers nothing":    {body(user + "," + result("z")), nil, 400, "unexpected `tool_use_id`"},
		"text first": {body(user + "," + oneUse + `,{"role":"user","content":[{"type":"text","text":"t"},{"type":"tool_result","tool_use_id":"a","content":"r"}]}`),
			nil, 400, "must come before other content"},
		"same id":             {body(user + "," + oneUse + "," + result("a") + "," + oneUse + "," + result("a")), nil, 400, "must be unique"},
		"input is a list":     {body(user + `,{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"n","input":[]}]},` + result("a")), nil, 400, "valid dictionary"},
		"id with a space":     {body(user + `,{"role":"assistant","content":[{"type":"tool_use","id":"a b","name":"n","input":{}}]},` + result("a b")), nil, 400, "should match pattern"},
		"name with a space":   {body(user + `,{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"n n","input":{}}]},` + result("a")), nil, 400, "should match pattern"},
		"call by the user":    {body(`{"role":"user","content":[{"type":"tool_use","id":"a","name":"n","input":{}}]}`), nil, 400, "not expected from the user"},
		"unsigned reasoning":  {body(user + `,{"role":"assistant","content":[{"type":"thinking","thinking":"x"},{"type":"text","text":"y"}]},` + user), nil, 400, "signature"},
		"five cache marks":    {body(`{"role":"user","content":[` + strings.Join([]string{five, five, five, five, five}, ",") + `]}`), nil, 400, "Found 5"},
		"a cache mark":        {body(`{"role":"user","content":[{"type":"text","text":"t","cache_control":{"type":"forever"}}]}`), nil, 400, "cache_control"},
		"a tool without type": {`{"model":"m","max_tokens":1,"messages":[` + user + `],"tools":[{"name":"n","input_schema":{}}]}`, nil, 400, "input_schema"},
		"a tool's name":       {`{"model":"m","max_tokens":1,"messages":[` + user + `],"tools":[{"name":"n.n","input_schema":{"type":"object"}}]}`, nil, 400, "tools.0.name"},
		"tools of one name":   {`{"model":"m","max_tokens":1,"messages":[` + user + `],"tools":[{"name":"n","input_schema":{"type":"object"}},{"name":"n","input_schema":{"type":"object"}}]}`, nil, 400, "unique"},
	} {
		t.Run(name, func(t *testing.T) {
			s := llmtest.New(llmtest.Config{APIKey: "k", Turns: []llmtest.Turn{llmtest.Say(llmtest.Text("ok"))}})
			status, message := post(t, s, tc.body, tc.change)
			if status != tc.status || !strings.Contains(message, tc.says) {
				t.Errorf("%d %s, want %d and %q", status, message, tc.status, tc.says)
			}
			if s.Left() != 1 || len(s.Requests()) != 0 || len(s.Violations()) != 1 {
				t.Errorf("%d turns left, %d requests, violations %q", s.Left(), len(s.Requests()), s.Violations())
			}
		})
	}
}

func TestPlaysTheScript(t *testing.T) {
	s := llmtest.New(llmtest.Config{Turns: []llmtest.Turn{
		llmtest.Say(llmtest.Text("hm"), llmtest.Call("n", map[string]int{"x": 1}), llmtest.CallID("own", "n", []int{1})),
		func(r *llmtest.Request) llmtest.Reply {
			return llmtest.Say(llmtest.Text(fmt.Sprintf("turn %d: %s", r.Turn(), r.LastResults()[1].Text)))(r)
		},
	}})
	type answer struct {
		Status  int
		Message string
	}
	var got []answer
	for _, b := range []string{
		body(user),
		body(user + "," + twoUse + "," + result("a", "b")),
		body(user),
	} {
		status, message := post(t, s, b, nil)
		got = append(got, answer{status, message})
	}
	want := []answer{
		{200, `tool_use [{"text":"hm","type":"text"},{"id":"toolu_01_01","input":{"x":1},"name":"n","type":"tool_use"},{"id":"own","input":[1],"name":"n","type":"tool_use"}]`},
		{200, `end_turn [{"text":"turn 2: r","type":"text"}]`},
		{400, "invalid_request_error: the script has 2 turns, and this is request 3"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(s.Requests()) != 2 || len(s.Violations()) != 1 || s.Left() != 0 {
		t.Errorf("%d requests, violations %q, %d left", len(s.Requests()), s.Violations(), s.Left())
	}
	if got := s.Requests()[1]; got.Number != 2 || got.UserText() != "x" || got.Model != "m" {
		t.Errorf("request %+v", got)
	}
}

// Messages of one side that follow each other are one, as the API reads them.
func TestJoinsMessagesOfOneSide(t *testing.T) {
	s := llmtest.New(llmtest.Config{Then: llmtest.Say(llmtest.Text("ok"))})
	if status, message := post(t, s, body(user+","+twoUse+","+result("a")+","+result("b")+","+user), nil); status != 200 {
		t.Fatalf("%d %s", status, message)
	}
	if n := len(s.Requests()[0].Messages); n != 3 {
		t.Errorf("%d messages, want 3", n)
	}
}

func TestStartAndClose(t *testing.T) {
	s, err := llmtest.Start(llmtest.Config{Turns: []llmtest.Turn{llmtest.Hang()}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.URL, "http://127.0.0.1:") {
		t.Errorf("URL %s", s.URL)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/messages", strings.NewReader(body(user)))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{"X-Api-Key": "k", "Anthropic-Version": llmtest.Version, "Content-Type": "application/json"} {
		req.Header.Set(k, v)
	}
	answered := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		answered <- err
	}()
	for len(s.Requests()) == 0 {
		select {
		case err := <-answered:
			t.Fatalf("the reply did not hang: %v", err)
		default:
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-answered // with an error, or an empty 200 that was just let go
}
