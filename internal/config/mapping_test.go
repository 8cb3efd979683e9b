package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline/internal/config"
)

func TestMapping(t *testing.T) {
	cfg := mustParse(t, host+`
webhook:
  generic:
    mon-1:
      alerts: list
      name: "{{title}} of {{$.site}}"
      status: state
      firing: BAD
      resolved: [good, fine]
      ignored: ["7"]
      severity: level
      summary: a.b
      description: 'text.@fromstr.x'
      url: $.link
      fingerprint: id
      test: '[name].#(=="Test")'
      labels: {host: host.name, "odd name": x}
      annotations: {q: query}
      constants: {team: blue}
      once: true
    2: {name: title}
`)
	want := map[string]config.Mapping{
		"mon-1": {
			Alerts: "list", Name: "{{title}} of {{$.site}}", Status: "state", Firing: config.List{"BAD"}, Resolved: config.List{"good", "fine"}, Ignored: config.List{"7"},
			Severity: "level", Summary: "a.b", Description: "text.@fromstr.x", URL: "$.link", Fingerprint: "id", Test: `[name].#(=="Test")`,
			Labels: map[string]string{"host": "host.name", "odd name": "x"}, Annotations: map[string]string{"q": "query"},
			Constants: map[string]string{"team": "blue"}, Once: true,
		},
		"2": {Name: "title"},
	}
	if diff := cmp.Diff(want, cfg.Webhook.Generic); diff != "" {
		t.Errorf("mappings (-want +got):\n%s", diff)
	}
	written, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again := mustParse(t, string(written))
	if diff := cmp.Diff(cfg.Webhook, again.Webhook, emptyIsNil()); diff != "" {
		t.Errorf("(-written +read):\n%s\n%s", diff, written)
	}
}

func TestMappingProblems(t *testing.T) {
	for text, want := range map[string][]string{
		`a: {nmae: x, name: y}`:                                 {"5:9", "webhook.generic.a.nmae", "did you mean name?"},
		`Upper: {name: x}`:                                      {"5:5", `got "Upper"`, "/webhook/generic/NAME"},
		`-a: {name: x}`:                                         {`got "-a"`},
		`a.b: {name: x}`:                                        {`got "a.b"`},
		strings.Repeat("a", 64) + `: {name: x}`:                 {"lower-case letters, digits and dashes"},
		`a: {status: x}`:                                        {"5:5", "webhook.generic.a: want name", `'!"BackupFailed"'`},
		`a: {name: a..b}`:                                       {"5:9", "webhook.generic.a.name", "a name is missing beside a dot", "SYNTAX.md"},
		`a: {name: x, alerts: "l.#(k=1"}`:                       {"webhook.generic.a.alerts", "a ) is missing"},
		`a: {name: "{{x"}`:                                      {"{{ is not closed"},
		`a: {name: x, summary: "@formstr"}`:                     {"5:18", "there is no modifier @formstr"},
		`a: {name: x, labels: {host: "b."}}`:                    {"5:27", "webhook.generic.a.labels.host"},
		`a: {name: x, labels: {host: ""}}`:                      {"webhook.generic.a.labels.host", "the path is empty"},
		`a: {name: x, labels: {alertname: b}}`:                  {"the label alertname is what name says"},
		`a: {name: x, labels: {severity: b}}`:                   {"the label severity is what the key severity says"},
		`a: {name: x, severity: y, constants: {severity: b}}`:   {"the key severity says it already"},
		`a: {name: x, constants: {alertname: b}}`:               {"the label alertname is what name says"},
		`a: {name: x, constants: {team: "{{y}}"}}`:              {"webhook.generic.a.constants.team", "put a path into labels"},
		`a: {name: x, labels: {team: t}, constants: {team: b}}`: {"the label stands in labels too"},
		`a: {name: x, annotations: {q: "a|"}}`:                  {"webhook.generic.a.annotations.q"},
		`a: {name: x, firing: [b]}`:                             {"webhook.generic.a.firing", "without status"},
		`a: {name: x, status: s, firing: [b], resolved: [B]}`:   {"webhook.generic.a.resolved", "stands twice"},
		`a: {name: x, status: s, firing: [1]}`:                  {"want text, got the number 1"},
		`a: {name: x, once: maybe}`:                             {"want true or false"},
		`a: {name: x, labels: [host]}`:                          {"want keys with values, got a list"},
	} {
		_, err := parse(host + "\nwebhook:\n  generic:\n    " + text + "\n")
		if err == nil {
			t.Errorf("%s is taken", text)
			continue
		}
		e := asError(t, err)
		for _, part := range want {
			if all := e.Error() + "\n" + e.Hint; !strings.Contains(all, part) {
				t.Errorf("%s: no %q in:\n%s", text, part, all)
			}
		}
	}
}
