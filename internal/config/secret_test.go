package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline/internal/config"
)

// secretFiles loads a configuration whose secrets are in files of these texts.
func secretFiles(t *testing.T, mode os.FileMode, texts map[string]string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // not left to the umask
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "lifeline.yaml")
	text := host + "model: {api_key_file: key}\nwebhook: {username: am, password_file: password, token_file: token}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestSecretFiles(t *testing.T) {
	cfg := secretFiles(t, 0o600, map[string]string{"key": "sk-1\n", "password": "  p:w d \r\n\n", "token": "tok"})
	t.Setenv(config.EnvModelKey, "from the environment")
	if key, err := cfg.ModelKey(); err != nil || key != "sk-1" {
		t.Errorf("key %q, %v", key, err)
	}
	got, err := cfg.WebhookSecrets()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Secrets{Username: "am", Password: "p:w d", Token: "tok"}, got); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if !got.Required() || (config.Secrets{}).Required() || !(config.Secrets{Token: "t"}).Required() {
		t.Error("Required is wrong")
	}
}

func TestModelKeyFromTheEnvironment(t *testing.T) {
	cfg := mustParse(t, host)
	for env, want := range map[string]string{"sk-2\n": "sk-2", "": "", "  ": ""} {
		t.Setenv(config.EnvModelKey, env)
		if key, err := cfg.ModelKey(); err != nil || key != want {
			t.Errorf("%q: key %q, %v", env, key, err)
		}
	}
	if s, err := cfg.WebhookSecrets(); err != nil || s.Required() {
		t.Errorf("without files: %v, %v", s, err)
	}
}

// A file that cannot be what was meant is an error with its place and the
// command that helps. What it holds is never shown.
func TestSecretFilesThatAreRefused(t *testing.T) {
	t.Setenv(config.EnvModelKey, "sk-env") // a broken file is not replaced by it
	for _, tc := range []struct {
		name string
		mode os.FileMode
		text string
		want string
		hint string
	}{
		{"not there", 0o600, "", "no such file or directory", "umask 077"},
		{"readable by the group", 0o640, "hunter2", "can be read by others than its owner (mode 0640)", "chmod 600 "},
		{"readable by all", 0o604, "hunter2", "(mode 0604)", "chmod 600 "},
		{"empty", 0o600, "\n", "has no secret on its first line", ""},
		{"first line is empty", 0o600, "\nhunter2\n", "has no secret on its first line", ""},
		{"two lines", 0o600, "hunter2\nhunter3\n", "has more than one line", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := map[string]string{"key": tc.text, "password": tc.text, "token": "tok"}
			if tc.name == "not there" {
				files = nil
			}
			cfg := secretFiles(t, tc.mode, files)
			_, keyErr := cfg.ModelKey()
			secrets, hookErr := cfg.WebhookSecrets()
			if secrets.Required() {
				t.Error("half of the secrets were given back")
			}
			for err, place := range map[error]string{keyErr: "lifeline.yaml:2:9: model.api_key_file: ", hookErr: "lifeline.yaml:3:25: webhook.password_file: "} {
				e := asError(t, err)
				said := err.Error() + e.Hint
				if !strings.Contains(said, place) || !strings.Contains(said, tc.want) || !strings.Contains(e.Hint, tc.hint) {
					t.Errorf("%v\nhint: %s", err, e.Hint)
				}
				if strings.Contains(said, "hunter") {
					t.Errorf("a secret is shown: %s", said)
				}
			}
		})
	}
}

func TestSecretFileThatIsAFolder(t *testing.T) {
	cfg := secretFiles(t, 0o600, map[string]string{"password": "p", "token": "t"})
	if err := os.Mkdir(filepath.Join(filepath.Dir(cfg.File()), "key"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.ModelKey(); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a folder: %v", err)
	}
}

// A path in a hint can be pasted into a shell.
func TestHintsQuotePaths(t *testing.T) {
	cfg := mustParse(t, host+`model: {api_key_file: "/no such/it's;a"}`)
	_, err := cfg.ModelKey()
	if e := asError(t, err); !strings.Contains(e.Hint, `> '/no such/it'\''s;a')`) {
		t.Errorf("hint %s", e.Hint)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	s := config.Secrets{Username: "am", Password: "hunter2", Token: "hunter3"}
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secrets", s)
	for _, got := range []string{fmt.Sprintf("%v %+v %#v %s", s, s, s, &s), string(encoded), log.String()} {
		if strings.Contains(got, "hunter") || !strings.Contains(got, "secrets of am") {
			t.Errorf("printed as %s", got)
		}
	}
}

// A line that is shown with a problem does not show the secret that somebody
// wrote into it.
func TestProblemsHideSecrets(t *testing.T) {
	for _, text := range []string{
		host + "webhook: {username: am, password: hunter2, x: y}\n",
		host + "webhook:\n  password: hunter2,hunter3} # hunter4\n",
		host + "webhook: {Password: 'hunter2, hunter3'}\n",
		host + `webhook: {"token": "hunter2"}` + "\n",
		host + "model: {api_key: hunter2, apikey: hunter2}\n",
		host + "api-token : hunter2\n",
		host + "model: {base_url: 'ftp://ann:hunter2@h/'}\n",
		host + "model: {base_url: 'ftp://ann:hun@ter2hunter@h/', name: 5}\n",
		host + "model: {base_url: 'http://ann:hunter2@h:x y/'}\n",
		host + "store: {url: 'postgres://ann:hunter2@h/db'}\n",
		host + "store: {url: 'sqlite:x?y://ann:hunter2@h'}\n",
		"hosts: {a: {address: 'ann:hunter2@h'}}\n",
		"hosts: {a: {address: 'ssh://ann:hunter2@h:22'}}\n",
		host + "listen: 'http://ann:hunter2@h'\n",
	} {
		_, err := parse(text)
		if err == nil {
			t.Errorf("taken: %s", text)
			continue
		}
		e := asError(t, err)
		if said := err.Error() + e.Hint; strings.Contains(said, "hunter") {
			t.Errorf("%s is answered with\n%s", text, said)
		}
	}
}

func TestRedacted(t *testing.T) {
	cfg := mustParse(t, host+"model: {base_url: 'https://ann:hunter2@h/v1', api_key_file: /run/key}\n")
	cfg.Store.URL = "postgres://ann:hunter2@db/x"                                                                      // a later version's
	cfg.Prometheus.URL, cfg.Alertmanager.URL = "http://ann:hunter2@p", config.List{"http://a", "http://ann:hunter2@a"} // Validate refuses them
	r := cfg.Redacted()
	if r.Prometheus.URL != "http://ann:REDACTED@p" || r.Alertmanager.URL[1] != "http://ann:REDACTED@a" || !strings.Contains(cfg.Alertmanager.URL[1], "hunter2") {
		t.Errorf("redacted: %+v", r)
	}
	if r.Model.BaseURL != "https://ann:REDACTED@h/v1" || r.Store.URL != "postgres://ann:REDACTED@db/x" || r.Model.APIKeyFile != "/run/key" {
		t.Errorf("redacted: %+v", r)
	}
	if !strings.Contains(cfg.Model.BaseURL, "hunter2") {
		t.Error("the configuration itself was changed")
	}
	cfg.Store.URL = "postgres://ann:hun@ter2@h:%zz/x" // does not parse
	if got := cfg.Redacted().Store.URL; strings.Contains(got, "hun") || strings.Contains(got, "ter2") || !strings.Contains(got, "@h") {
		t.Errorf("redacted: %s", got)
	}
	text, err := cfg.YAML()
	if err != nil || strings.Contains(string(text), "hunter2") || strings.Contains(string(text), "ter2") {
		t.Errorf("as YAML (%v):\n%s", err, text)
	}
}
