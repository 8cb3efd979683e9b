package config_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lifeline"
	"lifeline/internal/config"
)

func emptyIsNil() cmp.Option { return cmpopts.EquateEmpty() }

// The example of the documentation is a configuration that works.
func TestExample(t *testing.T) {
	t.Setenv("HOME", "/home/ann")
	cfg := mustParse(t, config.Example)
	want := map[string]config.Host{
		"nexus":   {Address: "192.168.0.11", User: "lifeline", Identity: config.List{"/home/ann/.ssh/id_ed25519"}, Mode: lifeline.ModeAuto},
		"outpost": {SSHConfig: "outpost", Mode: lifeline.ModeSuggest},
		"skynet":  {Local: true, Mode: lifeline.ModeObserve},
	}
	if diff := cmp.Diff(want, cfg.Hosts); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	first := mustParse(t, config.FirstHost)
	if len(first.Hosts) != 1 || first.Hosts["nexus"].Mode != lifeline.ModeObserve {
		t.Errorf("the first host: %+v", first.Hosts)
	}
}

// What is written down is read again as the same.
func TestYAMLComesBack(t *testing.T) {
	t.Setenv("HOME", "/home/ann")
	for _, text := range []string{
		config.Example,
		host + `
model: {name: "1.5", base_url: "https://h/?a=b#c"}
targets: {hosts: {10.0.0.1: a, "true": a, "a: b": a}, host_labels: ["yes", "~", "x y"]}
checks: [{match: {alert: "/a: b/", kind: unit}, http: "http://{{address}}/{{unit}}", status: 204, expect: "# no", timeout: 3s}]
alertmanager: {url: ["http://a:9093"], follow_silences: true}
policy: {rules: [{program: "0x10", args: ["-n", "", "# no", "*.log"], decision: deny, reason: "two\nlines: {}"}]}
`,
	} {
		cfg := mustParse(t, text)
		written, err := cfg.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(cfg, mustParse(t, string(written)), fields(), emptyIsNil()); diff != "" {
			t.Errorf("(-written +read):\n%s\n%s", diff, written)
		}
	}
}

// keysOf lists every key of a type and of those below it, as TYPE.key.
func keysOf(t reflect.Type, found map[string]bool) {
	switch t.Kind() {
	case reflect.Map, reflect.Slice:
		keysOf(t.Elem(), found)
	case reflect.Struct:
		for i := range t.NumField() {
			if name := t.Field(i).Tag.Get("yaml"); name != "" {
				found[t.Name()+"."+name] = true
				keysOf(t.Field(i).Type, found)
			}
		}
	}
}

// Every key is in the reference once, with a meaning.
func TestReference(t *testing.T) {
	text := string(config.Reference())
	want := map[string]bool{}
	keysOf(reflect.TypeFor[config.Config](), want)
	rows := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (.+) \\| (.*) \\| (.+) \\|$").FindAllStringSubmatch(text, -1)
	if len(rows) != len(want) {
		t.Errorf("the reference has %d keys, the types have %d", len(rows), len(want))
	}
	for _, row := range rows {
		if len(row[4]) < 12 || strings.Contains(row[0], "%!") {
			t.Errorf("a key without a meaning: %s", row[0])
		}
	}
	for _, part := range []string{
		config.Example, "## `hosts.NAME`", "## `policy.rules[]`", "## `model.budget`", "--config FILE", "make generate",
		"| `run_timeout` | duration | `1m` |", "| `mode` | `observe`, `suggest`, `auto` | `observe` |", "| `identity` | path or list of paths | empty |",
		"| `decision` | `allow`, `ask`, `deny` | required |", "| `local` | `true`, `false` | `false` |", "| `max_changes` | number | `2` |",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("the reference does not have %q", part)
		}
	}
	if string(config.Reference()) != text {
		t.Error("the reference is not the same twice")
	}
}

// The schema knows every key, its default and its choices, and nothing else.
func TestSchema(t *testing.T) {
	type schema struct {
		Type                 string
		Description          string
		Default              any
		Enum                 []any
		Minimum, Maximum     json.Number
		AdditionalProperties any
		Required             []string
		Properties           map[string]*schema
		Ref                  string             `json:"$ref"`
		Defs                 map[string]*schema `json:"$defs"`
		Pattern              string
	}
	var root schema
	if err := json.Unmarshal(config.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"hosts"}, root.Required); diff != "" {
		t.Errorf("required (-want +got):\n%s", diff)
	}
	root.Defs["Config"] = &root
	want, got := map[string]bool{}, map[string]bool{}
	keysOf(reflect.TypeFor[config.Config](), want)
	for name, def := range root.Defs {
		if def.AdditionalProperties != false && len(def.Properties) > 0 {
			t.Errorf("%s takes unknown keys", name)
		}
		for key, p := range def.Properties {
			got[name+"."+key] = true
			if p.Description == "" {
				t.Errorf("%s.%s has no description", name, key)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-types +schema):\n%s", diff)
	}
	for where, want := range map[string]string{
		"Host.mode":          "observe [observe suggest auto]",
		"Host.local":         "false []",
		"SSH.max_dials":      "10 []",
		"SSH.run_timeout":    "1m []",
		"Config.listen":      "127.0.0.1:8674 []",
		"Config.responder":   "auto [auto model runbook]",
		"Budget.tokens":      "200000 []",
		"Rule.decision":      "<nil> [allow ask deny]",
		"Respond.verify_for": "10s []",
	} {
		def, key, _ := strings.Cut(where, ".")
		p := root.Defs[def].Properties[key]
		if p == nil {
			t.Errorf("%s is not there", where)
			continue
		}
		if got := fmt.Sprint(p.Default, " ", p.Enum); got != want {
			t.Errorf("%s: %s, want %s", where, got, want)
		}
	}
	limit := root.Defs["SSH"].Properties["max_dials"]
	if limit.Minimum != "1" || limit.Maximum != "1000" {
		t.Errorf("ssh.max_dials is from %s to %s", limit.Minimum, limit.Maximum)
	}
	// What the decoder takes for a duration, an editor takes too.
	pattern := regexp.MustCompile(root.Defs["SSH"].Properties["run_timeout"].Pattern)
	for text, want := range map[string]bool{"30s": true, "1h30m": true, "1.5s": true, "250ms": true, "30": false, "-1s": false, "soon": false, "": false} {
		if pattern.MatchString(text) != want {
			t.Errorf("the schema takes the duration %q: %v", text, !want)
		}
	}
}
