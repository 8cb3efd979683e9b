package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lifeline"
	"lifeline/internal/config"
)

// parse reads and validates a text as /etc/lifeline/lifeline.yaml.
func parse(text string) (*config.Config, error) {
	cfg, err := config.Parse("/etc/lifeline/lifeline.yaml", []byte(text))
	if err == nil {
		err = cfg.Validate()
	}
	return cfg, err
}

func mustParse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := parse(text)
	if err != nil {
		t.Fatalf("%v\nin:\n%s", err, text)
	}
	return cfg
}

// asError holds an error to what every error of a configuration has.
func asError(t *testing.T, err error) *lifeline.Error {
	t.Helper()
	e, ok := errors.AsType[*lifeline.Error](err)
	if !ok || e.Code != lifeline.CodeConfig || e.Hint == "" {
		t.Fatalf("want a configuration error with a hint, got %#v", err)
	}
	return e
}

// fields compares configurations by what stands in the file.
func fields() cmp.Option { return cmpopts.IgnoreUnexported(config.Config{}) }

func TestParse(t *testing.T) {
	t.Setenv("HOME", "/home/ann")
	got := mustParse(t, `
hosts:
  atlas:
    address: 10.0.0.1:2222
    user: ann
    identity: [~/.ssh/a, keys/b, /k/../c]
    proxy_jump: borealis
    host_keys: accept-new
    mode: auto
  borealis: {ssh_config: bo}
  here: {local: true, mode: suggest}
  ok.name-1_: {address: "fe80::1"}
ssh: {known_hosts: known, config: [], run_timeout: 1h30m, max_dials: 3}
model:
  name: "007"
  base_url: https://gateway.example.net/v1
  api_key_file: ~/key
  budget: {turns: 5, time: 90s}
store: {url: "sqlite:data/l.db"}
listen: "[::]:80"
webhook: {username: am, password_file: pw, token_file: /run/token}
public_url: https://lifeline.example.net
access:
  users: {ann: {password_hash: "$argon2id$v=19$x", role: admin}}
  oidc: {issuer: "https://id.example.net", client_id: lifeline, client_secret_file: oidc-secret, roles: {ops: approver}, default_role: viewer}
  session: {idle: 1h}
  trusted_proxies: 10.0.0.0/24
  tls: {cert_file: c.pem, key_file: k.pem}
  metrics_open: true
responder: runbook
respond: {max_changes: 1, verify_for: 500ms}
runbooks: books
targets:
  host_labels: box
  hosts: {10.0.0.9: atlas}
policy:
  rules:
    - program: docker
      args: [restart, web]
      host: atlas
      decision: ask
      reason: |
        why
    - {program: ls, decision: deny}
log: {format: json}
`[1:])
	want := config.Default()
	want.Hosts = map[string]config.Host{
		"atlas": {Address: "10.0.0.1:2222", User: "ann", Identity: config.List{"/home/ann/.ssh/a", "/etc/lifeline/keys/b", "/c"},
			ProxyJump: config.List{"borealis"}, HostKeys: "accept-new", Mode: lifeline.ModeAuto},
		"borealis":   {SSHConfig: "bo", Mode: lifeline.ModeObserve},
		"here":       {Local: true, Mode: lifeline.ModeSuggest},
		"ok.name-1_": {Address: "fe80::1", Mode: lifeline.ModeObserve},
	}
	want.SSH.KnownHosts, want.SSH.Config = config.List{"/etc/lifeline/known"}, config.List{}
	want.SSH.RunTimeout, want.SSH.MaxDials = config.Duration(90*time.Minute), 3
	want.Model.Name, want.Model.BaseURL, want.Model.APIKeyFile = "007", "https://gateway.example.net/v1", "/home/ann/key"
	want.Model.Budget.Turns, want.Model.Budget.Time = 5, config.Duration(90*time.Second)
	want.Store.URL = "sqlite:/etc/lifeline/data/l.db"
	want.Listen = "[::]:80"
	want.Webhook = config.Webhook{Username: "am", PasswordFile: "/etc/lifeline/pw", TokenFile: "/run/token"}
	want.PublicURL = "https://lifeline.example.net"
	want.Access.Users = map[string]config.AccessUser{"ann": {PasswordHash: "$argon2id$v=19$x", Role: lifeline.RoleAdmin}}
	want.Access.OIDC.Issuer, want.Access.OIDC.ClientID, want.Access.OIDC.ClientSecretFile = "https://id.example.net", "lifeline", "/etc/lifeline/oidc-secret"
	want.Access.OIDC.Roles, want.Access.OIDC.DefaultRole = map[string]string{"ops": "approver"}, "viewer"
	want.Access.Session.Idle, want.Access.TrustedProxies = config.Duration(time.Hour), config.List{"10.0.0.0/24"}
	want.Access.TLS, want.Access.MetricsOpen = config.TLS{CertFile: "/etc/lifeline/c.pem", KeyFile: "/etc/lifeline/k.pem"}, true
	want.Responder, want.Runbooks = "runbook", "/etc/lifeline/books"
	want.Respond.MaxChanges, want.Respond.VerifyFor = 1, config.Duration(500*time.Millisecond)
	want.Targets = config.Targets{HostLabels: config.List{"box"}, Hosts: map[string]string{"10.0.0.9": "atlas"}}
	want.Policy.Rules = []config.Rule{
		{Program: "docker", Args: config.List{"restart", "web"}, Host: "atlas", Decision: "ask", Reason: "why"},
		{Program: "ls", Decision: "deny"},
	}
	want.Log.Format = "json"
	if diff := cmp.Diff(&want, got, fields()); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"atlas", "borealis", "here", "ok.name-1_"}, got.HostNames()); diff != "" {
		t.Errorf("host names (-want +got):\n%s", diff)
	}
	if got.File() != "/etc/lifeline/lifeline.yaml" {
		t.Errorf("File() = %s", got.File())
	}
}

// A key that is left out, or left empty, has its default.
func TestDefaults(t *testing.T) {
	want := mustParse(t, "hosts: {a: {local: true}}")
	if diff := cmp.Diff(config.Default(), *want, fields(), cmpopts.IgnoreFields(config.Config{}, "Hosts"), cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Store.URL" }, cmp.Ignore())); diff != "" {
		t.Errorf("without any key (-default +got):\n%s", diff)
	}
	if want.Store.URL != "sqlite:/etc/lifeline/lifeline.db" {
		t.Errorf("store.url = %s", want.Store.URL)
	}
	for _, text := range []string{
		"\ufeffhosts: {a: {local: true}}",
		"hosts: {a: {local: true}}\r\nssh:\r\nlisten:\r\n",
		"# comment\n---\nhosts: {a: {local: true}} # more\n...\n",
		"hosts: {a: {local: true, mode: ~, identity: null}}\nssh: {run_timeout: }\npolicy: {rules: }",
		`{"hosts": {"a": {"local": true}}}`,
	} {
		if diff := cmp.Diff(want, mustParse(t, text), fields()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestAnchors(t *testing.T) {
	got := mustParse(t, `
hosts:
  a: &base {user: ann, mode: auto, address: a}
  b: {<<: *base, address: b, mode: suggest}
  c: {address: c, <<: *base}
  d: *base
policy: {rules: [{program: &p docker, decision: allow}, {program: *p, decision: deny}]}
`)
	want := map[string]config.Host{
		"a": {User: "ann", Mode: "auto", Address: "a"},
		"b": {User: "ann", Mode: "suggest", Address: "b"},
		"c": {User: "ann", Mode: "auto", Address: "c"},
		"d": {User: "ann", Mode: "auto", Address: "a"},
	}
	if diff := cmp.Diff(want, got.Hosts); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if got.Policy.Rules[1].Program != "docker" {
		t.Errorf("rules: %+v", got.Policy.Rules)
	}
}

func TestDuration(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"10m": 10 * time.Minute, "1h": time.Hour, "1h30m": 90 * time.Minute, "1h0m5s": time.Hour + 5*time.Second, "20h": 20 * time.Hour,
		"1m5s": 65 * time.Second, "30s": 30 * time.Second, "1.5s": 1500 * time.Millisecond, "5ms": 5 * time.Millisecond, "0s": 0,
	} {
		if got := config.Duration(d).String(); got != want {
			t.Errorf("%s is written as %s", want, got)
		}
		text, err := config.Duration(d).MarshalText()
		back, parseErr := time.ParseDuration(string(text))
		if err != nil || parseErr != nil || back != d || config.Duration(d).D() != d {
			t.Errorf("%s comes back as %s (%v, %v)", want, back, err, parseErr)
		}
	}
}

// What alerts may call a host, besides its name.
func TestTargetHosts(t *testing.T) {
	got := mustParse(t, `
hosts:
  atlas: {address: "10.0.0.1:2222"}
  borealis: {address: borealis.example.net}
  six: {address: "[fe80::1]:22"}
  nat1: {address: "gate.example.net:2201"}
  nat2: {address: "gate.example.net:2202"}
  lab1: {address: "127.0.0.1:2201"}
  lab2: {address: "localhost:2202"}
  here: {local: true}
  alias: {ssh_config: alias}
  taken: {address: atlas}
targets: {hosts: {10.0.0.1: borealis, node-b: borealis}}
`).TargetHosts()
	want := map[string]string{
		"10.0.0.1": "borealis", // the owner's word counts
		"node-b":   "borealis", "borealis.example.net": "borealis", "fe80::1": "six",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestChecks(t *testing.T) {
	cfg := mustParse(t, `
hosts:
  nexus: {address: "10.0.0.1:2222"}
  here:  {local: true}
  alias: {ssh_config: box}
prometheus: {url: "http://127.0.0.1:9090"}
checks:
  - match: {alert: /Web.*/, host: nexus, kind: container, name: web}
    http: http://{{address}}:8080/{{container}}
    expect: ok
  - {prometheus: "up{host={{host}}}", timeout: 3s}
`)
	web := lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"}
	for i, want := range []lifeline.Check{
		{HTTP: "http://10.0.0.1:8080/web", Expect: "ok", Timeout: lifeline.CheckTimeout},
		{Prometheus: `up{host="nexus"}`, Timeout: 3 * time.Second},
	} {
		c, err := cfg.Checks[i].Compile()
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.For(web, cfg.AddressOf("nexus"))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("check %d: %v (-want +got):\n%s", i, err, diff)
		}
	}
	if here, alias := cfg.AddressOf("here"), cfg.AddressOf("alias"); here != "localhost" || alias != "alias" {
		t.Errorf("addresses %q and %q", here, alias)
	}
	m := cfg.Checks[0].Match
	other := web
	other.Name = "db"
	for _, tc := range []struct {
		alert  string
		target lifeline.Target
		want   bool
	}{{"WebDown", web, true}, {"AWebDown", web, false}, {"WebDown", other, false}, {"WebDown", lifeline.Target{Host: "here", Kind: web.Kind, Name: "web"}, false}} {
		if got := m.Matches(tc.alert, tc.target); got != tc.want {
			t.Errorf("%s about the %s: %v", tc.alert, tc.target, got)
		}
	}
	if !cfg.Checks[1].Match.Matches("Any", other) {
		t.Error("a check without match is made for everything")
	}
}

// What docs/verification.md shows is a configuration that works.
func TestTheDocumentationsChecks(t *testing.T) {
	doc, err := os.ReadFile("../../docs/verification.md")
	if err != nil {
		t.Fatal(err)
	}
	checks, servers := 0, 0
	for i, block := range strings.Split(string(doc), "```yaml\n") {
		block, _, _ = strings.Cut(block, "```")
		if i == 0 || !strings.HasPrefix(block, "prometheus:") && !strings.HasPrefix(block, "alertmanager:") {
			continue
		}
		cfg := mustParse(t, "hosts: {nexus: {address: 10.0.0.1}}\n"+block)
		checks += len(cfg.Checks)
		servers += len(cfg.Alertmanager.URL)
	}
	if checks != 4 || servers != 1 {
		t.Errorf("the document shows %d checks and %d Alertmanagers, want 4 and 1", checks, servers)
	}
}

func TestFind(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	t.Chdir(dir)
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "xdg"))
	t.Setenv(config.EnvPath, "")
	write := func(path string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	find := func(flag, want string) {
		t.Helper()
		if got, err := config.Find(flag); err != nil || got != want {
			t.Errorf("found %q (%v), want %q", got, err, want)
		}
	}

	// From the last place to the first: each wins over those before it. What is
	// under /etc belongs to the machine, so it is not written to here.
	if _, err := os.Stat("/etc/lifeline/lifeline.yaml"); errors.Is(err, os.ErrNotExist) {
		_, err := config.Find("")
		e := asError(t, err)
		for _, place := range []string{"  lifeline.yaml: not there", filepath.Join(home, "xdg/lifeline/lifeline.yaml") + ": not there", "/etc/lifeline/lifeline.yaml",
			"--config FILE", "$LIFELINE_CONFIG", "lifeline demo", config.FirstHost[:6]} {
			if !strings.Contains(e.Hint, place) {
				t.Errorf("the hint does not have %q:\n%s", place, e.Hint)
			}
		}
	}
	find("", write(filepath.Join(home, "xdg", "lifeline", "lifeline.yaml")))
	write("lifeline.yaml")
	find("", "lifeline.yaml")
	env := write(filepath.Join(dir, "env.yaml"))
	t.Setenv(config.EnvPath, env)
	find("", env)
	flag := write(filepath.Join(dir, "flag.yaml"))
	find(flag, flag)

	// What was named and is not there is not replaced by something else.
	for _, tc := range []struct{ flag, env, want string }{
		{"none.yaml", env, "configuration none.yaml, named by --config: not there"},
		{"", "none.yaml", "configuration none.yaml, named by $LIFELINE_CONFIG: not there"},
		{dir, "", "named by --config: is a folder"},
	} {
		t.Setenv(config.EnvPath, tc.env)
		_, err := config.Find(tc.flag)
		if asError(t, err); !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lifeline.yaml")
	if err := os.WriteFile(path, []byte("hosts: {a: {address: a, identity: key}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Hosts["a"].Identity[0]; got != filepath.Join(dir, "key") {
		t.Errorf("a relative path is %s", got)
	}
	t.Chdir(dir)
	if cfg, err = config.Load("lifeline.yaml"); err != nil || cfg.Hosts["a"].Identity[0] != filepath.Join(dir, "key") {
		t.Errorf("loaded by a relative name: %v, %v", cfg, err)
	}

	if err := os.WriteFile(path, []byte("hosts: {a: {address: a, mode: x}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = config.Load(path)
	if asError(t, err); !strings.Contains(err.Error(), path+":1:25: hosts.a.mode: want observe, suggest or auto") {
		t.Errorf("a wrong value: %v", err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("#\n", 1<<20)), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "read the configuration " + filepath.Join(dir, "none.yaml") + ": no such file or directory",
		dir:                             "is a directory",
		path:                            "larger than 1024 KiB",
		"/dev/zero":                     "larger than 1024 KiB",
	} {
		_, err := config.Load(path)
		if asError(t, err); !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// A path that begins with ~ needs a HOME, and says so.
func TestHome(t *testing.T) {
	t.Setenv("HOME", "")
	for text, want := range map[string]string{
		"hosts: {a: {address: a, identity: ~/k}}":                        "hosts.a.identity: ~ cannot be found: HOME is not set",
		"hosts: {a: {address: a, identity: [x, ~bob/k]}}":                "hosts.a.identity[1]: ~USER is not supported",
		"hosts: {a: {address: a}}\nstore: {url: 'sqlite:~/lifeline.db'}": "store.url: ~ cannot be found",
	} {
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A configuration that came from code is held to the same.
func TestValidateFromCode(t *testing.T) {
	cfg := config.Default()
	err := cfg.Validate()
	if e := asError(t, err); !strings.Contains(err.Error(), "lifeline.yaml: hosts: no host is configured") || !strings.Contains(e.Hint, "nexus") {
		t.Errorf("the default: %v", err)
	}
	cfg.Hosts = map[string]config.Host{"a": {Local: true, Mode: lifeline.ModeAuto}}
	if err := cfg.Validate(); err != nil {
		t.Errorf("with a host: %v", err)
	}
	cfg.SSH.MaxDials = 0
	if err := cfg.Validate(); err == nil || !strings.Contains(fmt.Sprint(err), "ssh.max_dials: want a number from 1 to 1000, got 0") {
		t.Errorf("without dials: %v", err)
	}
}
