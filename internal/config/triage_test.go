package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/internal/config"
)

// Each example of docs/triage.md is a configuration that works.
func TestTriageExamples(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "triage.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	if len(blocks) < 4 {
		t.Fatalf("%d examples", len(blocks))
	}
	var routes []config.TriageRoute
	for _, block := range blocks {
		example, _, _ := strings.Cut(block, "```")
		cfg := mustParse(t, example)
		routes = append(routes, cfg.Triage.Routes...)
	}
	want := []config.TriageRoute{
		{Match: config.TriageMatch{Alert: "Watchdog"}, Ignore: true},
		{Match: config.TriageMatch{Alert: "CertificateExpires"}, KeyLabels: config.List{"domain"}},
		{Match: config.TriageMatch{Alert: "/Probe(Failed|Slow)/", Labels: map[string]string{"job": "blackbox"}},
			Target: config.TriageTarget{Host: "label:vm", Container: "label:service"}},
		{Match: config.TriageMatch{Labels: map[string]string{"team": "/shop-.+/"}}, Target: config.TriageTarget{Host: "outpost", Unit: "shop.service"}},
	}
	if diff := cmp.Diff(want, routes, emptyIsNil()); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

func TestTriageDefaults(t *testing.T) {
	got := config.Default().Triage
	want := config.Triage{Storm: config.TriageStorm{After: 5, Window: config.Duration(time.Minute)},
		Flapping: config.TriageFlapping{After: 3, Window: config.Duration(30 * time.Minute)}}
	if diff := cmp.Diff(want, got, emptyIsNil()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTriageProblems(t *testing.T) {
	const begin = "hosts: {atlas: {local: true}}\ntriage:\n  routes:\n  - "
	for _, tc := range []struct{ text, want string }{
		{"{ignore: true}", "4:5: triage.routes[0].match: want alert, source or labels"},
		{"{match: {alert: X}}", "4:5: triage.routes[0]: the route changes nothing: want key_labels, target or ignore: true"},
		{"{match: {alert: X}, ignore: true, key_labels: a}", "4:25: triage.routes[0].ignore: what is ignored needs no key_labels and no target"},
		{"{match: {alert: /X}, ignore: true}", `4:14: triage.routes[0].match.alert: "/X" begins a regular expression: end it with / as well`},
		{"{match: {source: //}, ignore: true}", `4:14: triage.routes[0].match.source: "//" begins a regular expression: end it with / as well`},
		{"{match: {labels: {a: '/(/'}}, ignore: true}", "4:23: triage.routes[0].match.labels.a: /(/ is not a regular expression: error parsing regexp: missing closing ): `(`"},
		{"{match: {alert: '/a)(b/'}, ignore: true}", "4:14: triage.routes[0].match.alert: /a)(b/ is not a regular expression: error parsing regexp: unexpected ): `a)(b`"},
		{"{match: {labels: {a: }}, ignore: true}", "4:23: triage.routes[0].match.labels.a: want a value, or /.+/ for any"},
		{"{match: {alert: X}, key_labels: [a, '']}", "4:41: triage.routes[0].key_labels[1]: a label has a name"},
		{"{match: {alert: X}, target: {host: atlsa}}", `4:34: triage.routes[0].target.host: no host "atlsa" is configured: did you mean atlas?`},
		{"{match: {alert: X}, target: {host: 'label:'}}", "4:34: triage.routes[0].target.host: label: is followed by the name of a label"},
		{"{match: {alert: X}, target: {container: -x}}", `4:34: triage.routes[0].target.container: "-x" is not a name that a container can have`},
		{"{match: {alert: X}, target: {unit: x, mount: /y}}", "4:25: triage.routes[0].target: a thing is a container, a unit or a mount point: want one of them"},
		{"{match: {alert: X}, target: {pod: x}}", "4:34: triage.routes[0].target.pod: unknown key"},
		{"{match: {alert: X}, ignore: true}\n  storm: {after: -1}", "5:11: triage.storm.after: want a number from 0 to 10000, got -1"},
		{"{match: {alert: X}, ignore: true}\n  flapping: {window: 0s}", "5:14: triage.flapping.window: want a duration above zero"},
	} {
		_, err := parse(begin + tc.text + "\n")
		if got := complaints(err); got != tc.want {
			t.Errorf("%s\n got %s\nwant %s", tc.text, got, tc.want)
		}
	}
}
