package agent_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/agent"
	"lifeline/internal/llm"
	"lifeline/internal/llm/anthropic"
	"lifeline/internal/llm/llmtest"
	"lifeline/internal/llm/openai"
)

// providers are the clients that the same scripts are played to.
func providers() map[string]func(url string, timeout time.Duration) (llm.Model, error) {
	return map[string]func(string, time.Duration) (llm.Model, error){
		"anthropic": func(url string, timeout time.Duration) (llm.Model, error) {
			return anthropic.New(anthropic.Config{APIKey: "k", BaseURL: url, Model: "m", Timeout: timeout})
		},
		"openai": func(url string, timeout time.Duration) (llm.Model, error) {
			return openai.New(openai.Config{APIKey: "k", BaseURL: url + "/v1", Model: "m", Timeout: timeout})
		},
	}
}

// onBoth plays a script to an agent over each provider's wire format.
func onBoth(t *testing.T, timeout time.Duration, turns []llmtest.Turn, then llmtest.Turn, check func(*testing.T, *world, *llmtest.Server, lifeline.Report)) {
	for name, connect := range providers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := llmtest.Start(llmtest.Config{APIKey: "k", Turns: turns, Then: then})
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			client, err := connect(server.URL, timeout)
			if err != nil {
				t.Fatal(err)
			}
			w := &world{}
			report, err := work(t, w, client, agent.Budget{})
			if err != nil {
				t.Fatal(err)
			}
			if v := server.Violations(); len(v) > 0 || server.Left() > 0 {
				t.Errorf("violations %q, %d turns left", v, server.Left())
			}
			check(t, w, server, report)
		})
	}
}

// Whatever the model's far end does, the attempt ends in bounded time with a
// report that a person is needed, and has the facts so far.
func TestFarEndsFailures(t *testing.T) {
	thrice := func(turn llmtest.Turn) []llmtest.Turn { return []llmtest.Turn{turn, turn, turn} }
	for name, tc := range map[string]struct {
		turns []llmtest.Turn
		says  []string // one of them
		next  string
	}{
		"429 with a short retry-after": {thrice(llmtest.RateLimited(time.Millisecond)), []string{"rate limited (HTTP 429"}, "higher rate limit"},
		"429 with a long retry-after":  {[]llmtest.Turn{llmtest.RateLimited(time.Hour)}, []string{"rate limited (HTTP 429, try again in 1h0m0s"}, "higher rate limit"},
		"429 for spending":             {[]llmtest.Turn{llmtest.SpendingLimit()}, []string{"spending limit (HTTP 429"}, "buy credit"},
		"no capacity":                  {thrice(llmtest.Overloaded()), []string{"overloaded (HTTP 529", "overloaded (HTTP 503"}, "choose another model"},
		"a connection that breaks off": {thrice(llmtest.BreaksOff()), []string{"broken: error reading response body: unexpected EOF"}, "gateway"},
		"an answer that is cut off":    {[]llmtest.Turn{llmtest.Truncated()}, []string{"broken: error parsing response json"}, "gateway"},
		"a page instead of an answer":  {[]llmtest.Turn{llmtest.Raw(200, "text/html", "<html>")}, []string{"broken: "}, "gateway"},
		"silence":                      {thrice(llmtest.Hang()), []string{"timeout: no answer from 127.0.0.1"}, "model.request_timeout"},
		"a wrong key":                  {[]llmtest.Turn{llmtest.Unauthorized()}, []string{"authentication (HTTP 401"}, "model.api_key_file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := time.Minute
			if name == "silence" {
				timeout = 100 * time.Millisecond // stands for ten minutes: it is the bound of one try
			}
			look := llmtest.Say(llmtest.Call("gather_logs", map[string]any{"host": "nexus", "container": "web"}))
			onBoth(t, timeout, append([]llmtest.Turn{look}, tc.turns...), nil, func(t *testing.T, _ *world, _ *llmtest.Server, report lifeline.Report) {
				said := false
				for _, says := range tc.says {
					said = said || strings.Contains(report.Summary, says)
				}
				if report.Claim != lifeline.ClaimNotFixed || !said || !strings.Contains(report.Next, tc.next) {
					t.Errorf("%+v, want %q and %q", report, tc.says, tc.next)
				}
				if !strings.Contains(report.Summary, "`docker logs --tail 100 --timestamps web` on nexus: exit status 0 (fine).") {
					t.Errorf("the facts are not in %q", report.Summary)
				}
			})
		})
	}
}

// What a model asks for that cannot be done is told to it, and one that goes on
// with it ends with a person.
func TestFarEndsBadCalls(t *testing.T) {
	good := llmtest.CallID("same", "gather_logs", map[string]any{"host": "nexus", "container": "web"})
	for name, tc := range map[string]struct {
		blocks   []llmtest.Block
		says     []string // in the results, in order
		commands int
	}{
		"wrong types":           {[]llmtest.Block{llmtest.Call("gather_logs", map[string]any{"host": "nexus", "container": 7})}, []string{"container"}, 0},
		"host is missing":       {[]llmtest.Block{llmtest.Call("gather_logs", map[string]any{"container": "web"})}, []string{"host is missing"}, 0},
		"unknown tool":          {[]llmtest.Block{llmtest.Call("reboot", map[string]any{})}, []string{`There is no tool "reboot"`}, 0},
		"two calls with one id": {[]llmtest.Block{good, llmtest.CallID("same", "gather_logs", map[string]any{"host": "nexus", "container": "db"})}, []string{"timestamps web", "timestamps db"}, 2},
		"truncated JSON":        {[]llmtest.Block{llmtest.Garbled("gather_logs", `{"host":"nexus","conta`)}, []string{"not a JSON object"}, 0},
		"a list":                {[]llmtest.Block{llmtest.Call("gather_logs", []int{1})}, []string{"not a JSON object"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			then := llmtest.Say(llmtest.Text("I give up."))
			onBoth(t, time.Minute, []llmtest.Turn{llmtest.Say(tc.blocks...)}, then, func(t *testing.T, w *world, s *llmtest.Server, report lifeline.Report) {
				results := s.Requests()[1].LastResults()
				if len(results) != len(tc.says) {
					t.Fatalf("results %+v", results)
				}
				for i, says := range tc.says {
					if !strings.Contains(results[i].Text, says) || results[i].IsError != (tc.commands == 0) {
						t.Errorf("result %d is %+v, want %q", i, results[i], says)
					}
				}
				if report.Claim != lifeline.ClaimNotFixed || !strings.Contains(report.Summary, "stopped without a conclusion") || len(w.commands()) != tc.commands {
					t.Errorf("%+v, commands %q", report, w.commands())
				}
			})
		})
	}
}

// The question of each turn begins with that of the turn before, letter by
// letter: it is what providers cache by.
func TestConversationOnlyGrows(t *testing.T) {
	look := func(names ...string) llmtest.Turn {
		var blocks []llmtest.Block
		for _, n := range names {
			blocks = append(blocks, llmtest.Call("gather_logs", map[string]any{"host": "nexus", "container": n}))
		}
		return llmtest.Say(append([]llmtest.Block{llmtest.Thinking("hm", "c2ln"), llmtest.Text("I look.")}, blocks...)...)
	}
	turns := []llmtest.Turn{look("a", "b", "c"), look("d"), llmtest.Say(llmtest.Text("Well.")), look("e"),
		llmtest.Say(llmtest.Call("finish", map[string]any{"outcome": "healthy", "summary": "ok"}))}
	onBoth(t, time.Minute, turns, nil, func(t *testing.T, _ *world, s *llmtest.Server, _ lifeline.Report) {
		reqs := s.Requests()
		for i := 1; i < len(reqs); i++ {
			before, now := prefix(t, reqs[i-1].Body), prefix(t, reqs[i].Body)
			if len(now) <= len(before) {
				t.Fatalf("request %d has %d pieces after %d", i, len(now), len(before))
			}
			for j, piece := range before {
				if piece != now[j] {
					t.Errorf("request %d: piece %d was\n%s\nand is\n%s", i, j, piece, now[j])
				}
			}
		}
	})
}

// prefix is a request in the order in which it is cached: tools, system prompt,
// messages; without the marks of the cache, which move.
func prefix(t *testing.T, body []byte) []string {
	t.Helper()
	var req struct {
		Tools    []json.RawMessage `json:"tools"`
		System   json.RawMessage   `json:"system"`
		Messages []json.RawMessage `json:"messages"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		t.Fatal(err)
	}
	pieces := []string{fmt.Sprintf("%s", req.Tools), string(req.System)}
	for _, m := range req.Messages {
		pieces = append(pieces, string(bytes.ReplaceAll(m, []byte(`,"cache_control":{"type":"ephemeral"}`), nil)))
	}
	if !strings.Contains(pieces[0], "gather_logs") || len(pieces) < 3 {
		t.Fatal(errors.New("the request was not read"))
	}
	return pieces
}

// Two calls in turn are circles too: a warning comes first, then the end.
func TestGoesInCirclesInTurn(t *testing.T) {
	w := &world{}
	m := &model{always: func(n int) llm.Response {
		command := []string{"docker ps", "df -h", "docker  ps ", " df\t-h"}[n%4]
		return answerOf(call(fmt.Sprint("c", n), "execute_safe_command", fmt.Sprintf(`{"host":"nexus","command":%q}`, command)))
	}}
	report, err := work(t, w, m, agent.Budget{})
	if err != nil || report.Claim != lifeline.ClaimNotFixed || !strings.HasPrefix(report.Summary, "The model went in circles: ") {
		t.Errorf("%+v, %v", report, err)
	}
	if len(w.asked) != 6 || len(m.asked) != 9 {
		t.Errorf("%d commands and %d questions, want 6 and 9", len(w.asked), len(m.asked))
	}
	if got := lastResults(m.asked[7])[0]; !got.IsError || !strings.Contains(got.Content, "you have asked exactly this 3 times") {
		t.Errorf("the model was told %+v", got)
	}
}
