package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/internal/config"
)

// Which models can be asked follows from their keys and addresses.
func TestModels(t *testing.T) {
	const minute = time.Minute
	claude := config.ModelAccess{Provider: "anthropic", Name: "claude-haiku-5-5", Key: "sk-a", MaxTokens: 4096, RequestTimeout: 2 * minute}
	local := config.ModelAccess{Provider: "openai", Name: "qwen3", BaseURL: "http://127.0.0.1:11434/v1", MaxTokens: 4096, RequestTimeout: 2 * minute}
	own := config.ModelAccess{Provider: "openai", Name: "gpt-9", Key: "sk-o", MaxTokens: 7, RequestTimeout: minute}
	stronger := claude
	stronger.Name = "claude-opus-5"
	const ollama = "provider: openai, name: qwen3, base_url: 'http://127.0.0.1:11434/v1'"
	for name, tc := range map[string]struct {
		model             string
		anthropic, openai string
		want              []config.ModelAccess
		err               string
	}{
		"no key":                        {"", "", "sk-o", nil, ""},
		"a key":                         {"", "sk-a", "sk-o", []config.ModelAccess{claude}, ""},
		"one's own machine":             {ollama, "sk-a", "", []config.ModelAccess{local}, ""},
		"OpenAI without a key":          {"provider: openai, name: gpt-9", "sk-a", "", nil, ""},
		"OpenAI":                        {"provider: openai, name: gpt-9, max_tokens: 7, request_timeout: 1m", "sk-a", "sk-o", []config.ModelAccess{own}, ""},
		"a second one":                  {"second: {name: claude-opus-5}", "sk-a", "", []config.ModelAccess{claude, stronger}, ""},
		"a second one elsewhere":        {ollama + ", second: {provider: anthropic, name: claude-opus-5}", "sk-a", "", []config.ModelAccess{local, stronger}, ""},
		"a second one without a key":    {ollama + ", second: {provider: anthropic, name: claude-opus-5}", "", "", nil, "model.second is set, but there is no key for it"},
		"a second one without a first":  {"second: {name: claude-opus-5}", "", "", nil, ""},
		"a second one, its file missed": {"second: {name: claude-opus-5, api_key_file: none}", "sk-a", "", nil, "model.second.api_key_file: read /etc/lifeline/none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(config.EnvModelKey, tc.anthropic)
			t.Setenv(config.EnvOpenAIKey, tc.openai)
			cfg := mustParse(t, host+"model: {"+tc.model+"}\n")
			got, err := cfg.Models()
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Fatalf("error %v, want %q", err, tc.err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSecondModelKeyFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "second"), []byte("sk-2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(config.EnvModelKey, "sk-1")
	cfg, err := config.Parse(filepath.Join(dir, "lifeline.yaml"), []byte(host+"model: {second: {name: x, api_key_file: second}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	models, err := cfg.Models()
	if err != nil || len(models) != 2 || models[0].Key != "sk-1" || models[1].Key != "sk-2" {
		t.Fatalf("%d models, %v", len(models), err)
	}
	encoded, err := json.Marshal(models)
	if err != nil {
		t.Fatal(err)
	}
	if said := fmt.Sprintf("%v %+v %#v %s %s", models, models, models[1], models[1], encoded); strings.Contains(said, "sk-") || !strings.Contains(said, "anthropic model x") {
		t.Errorf("printed as %s", said)
	}
}

func TestModelKeysOfTheFile(t *testing.T) {
	cfg := mustParse(t, host+`model:
  prices:
    claude-haiku-5-5: {input: 0.1, output: 0.5, cache_read: 0.01, cache_write: .125}
    qwen/qwen3.5: {input: 0, output: 0}
  budget: {incident_tokens: 0, incident_usd: 1, day_tokens: 7, day_usd: 2.5}
  second: {name: claude-opus-5, request_timeout: 5m}
`)
	want := map[string]config.Price{
		"claude-haiku-5-5": {Input: 0.1, Output: 0.5, CacheRead: 0.01, CacheWrite: 0.125},
		"qwen/qwen3.5":     {},
	}
	if diff := cmp.Diff(want, cfg.Model.Prices); diff != "" {
		t.Errorf("prices (-want +got):\n%s", diff)
	}
	if b := cfg.Model.Budget; b.IncidentTokens != 0 || b.IncidentUSD != 1 || b.DayTokens != 7 || b.DayUSD != 2.5 {
		t.Errorf("budget %+v", b)
	}
	if s := cfg.Model.Second; s.Provider != "" || s.MaxTokens != 4096 || s.RequestTimeout.D() != 5*time.Minute {
		t.Errorf("second %+v", s)
	}
}

// A key and what hosts say go readably over one's own networks only.
func TestPlainHTTP(t *testing.T) {
	for url, good := range map[string]bool{
		"http://127.0.0.1:11434/v1": true, "http://[::1]:1/v1": true, "http://localhost/v1": true, "http://10.1.2.3/v1": true,
		"http://192.168.0.9:8000/v1": true, "http://172.16.0.1": true, "http://100.64.1.1/v1": true, "http://[fd00::1]/v1": true,
		"http://[fe80::1]/v1": true, "http://ollama:11434/v1": true, "http://gpu.lan/v1": true, "http://gpu.home.arpa": true,
		"http://host.docker.internal:11434/v1": true, "http://GPU.LOCAL./v1": true,
		"http://8.8.8.8/v1": false, "http://172.32.0.1/v1": false, "http://100.128.0.1": false, "http://api.openai.com/v1": false,
		"http://localhost.example.net/v1": false, "http://[2001:db8::1]/v1": false, "http://[::ffff:8.8.8.8]/v1": false,
		"https://api.openai.com/v1": true,
	} {
		_, err := parse(host + "model: {base_url: '" + url + "'}\n")
		if (err == nil) != good {
			t.Errorf("%s: %v", url, err)
		}
	}
}
