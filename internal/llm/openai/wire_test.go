package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"lifeline/internal/llm"
)

// OpenAI knows the limit of an answer by its newer name only, most others by the
// older one only.
func TestNameOfTheLimit(t *testing.T) {
	for url, want := range map[string]string{
		"":                                     `"max_completion_tokens":7`,
		"https://api.openai.com/v1":            `"max_completion_tokens":7`,
		"https://x.openai.azure.com/openai/v1": `"max_completion_tokens":7`,
		"http://127.0.0.1:11434/v1":            `"max_tokens":7`,
		"https://api.openai.com.example.net:80/v1": `"max_tokens":7`,
	} {
		c, err := New(Config{APIKey: "k", BaseURL: url, Model: "m", MaxTokens: 7})
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.params(llm.Request{Messages: []llm.Message{llm.Text(llm.User, "x")}})
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(p)
		if err != nil || !strings.Contains(string(body), want) || strings.Count(string(body), "max_") != 1 {
			t.Errorf("%s: %s, %v, want %s", url, body, err, want)
		}
	}
}
