package check_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/check"
)

func container(name string) lifeline.Target {
	return lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: name}
}

func TestFor(t *testing.T) {
	unit := lifeline.Target{Host: "nexus", Kind: lifeline.TargetUnit, Name: `dev-x\x2dy.mount`}
	mount := lifeline.Target{Host: "nexus", Kind: lifeline.TargetFilesystem, Name: `/srv/it's "mine" & more`}
	for _, tc := range []struct {
		spec    check.Spec
		target  lifeline.Target
		address string
		want    lifeline.Check
	}{
		{check.Spec{Command: "docker logs {{container}}", Expect: "ready.", Timeout: time.Second}, container("web"), "",
			lifeline.Check{Command: "docker logs web", Expect: `ready\.`, Timeout: time.Second}},
		{check.Spec{HTTP: "http://{{address}}:8080/{{container}}?h={{host}}", Status: 204, Expect: "/ok|fine/"}, container("web"), "10.0.0.1",
			lifeline.Check{HTTP: "http://10.0.0.1:8080/web?h=nexus", Status: 204, Expect: "ok|fine"}},
		{check.Spec{HTTP: "http://{{address}}/"}, container("web"), "fe80::1%eth0", lifeline.Check{HTTP: "http://[fe80::1%25eth0]/"}},
		{check.Spec{HTTP: "http://nexus/?m={{mount}}"}, mount, "", lifeline.Check{HTTP: "http://nexus/?m=%2Fsrv%2Fit%27s%20%22mine%22%20%26%20more"}},
		{check.Spec{TCP: "{{address}}:5432"}, container("web"), "", lifeline.Check{TCP: "nexus:5432"}},
		{check.Spec{TCP: "{{address}}:5432"}, container("web"), "::1", lifeline.Check{TCP: "[::1]:5432"}},
		{check.Spec{Prometheus: `up{name={{container}}} == 1`}, container("web.1"), "", lifeline.Check{Prometheus: `up{name="web.1"} == 1`}},
		{check.Spec{Prometheus: `up{a=~{{container}},b!="x",c="{{ container }}"}`}, container("web.1"), "",
			lifeline.Check{Prometheus: `up{a=~"web\\.1",b!="x",c="web.1"}`}},
		{check.Spec{Prometheus: `up{instance=~"\"|{{address}}:.*"}`}, container("web"), "10.0.0.1", lifeline.Check{Prometheus: `up{instance=~"\"|10\\.0\\.0\\.1:.*"}`}},
		{check.Spec{Prometheus: `up{u={{unit}}}`}, unit, "", lifeline.Check{Prometheus: `up{u="dev-x\\x2dy.mount"}`}},
		{check.Spec{Prometheus: `up{m={{mount}},n='{{mount}}'}`}, mount, "",
			lifeline.Check{Prometheus: `up{m="/srv/it's \"mine\" & more",n='/srv/it\'s \"mine\" & more'}`}},
	} {
		c, err := check.Compile(tc.spec, tc.target.Kind, "match.target")
		if err != nil {
			t.Errorf("%+v: %v", tc.spec, err)
			continue
		}
		got, err := c.For(tc.target, tc.address)
		if err != nil {
			t.Errorf("%+v: %v", tc.spec, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tc.spec, diff)
		}
	}
}

func TestCompileFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		spec        check.Spec
		field, text string
	}{
		"nothing":               {check.Spec{Expect: "x"}, "", "want one of command"},
		"two":                   {check.Spec{Command: "true", TCP: "a:1"}, "", "it has command and tcp"},
		"unknown placeholder":   {check.Spec{HTTP: "http://{{addres}}/"}, "http", "unknown placeholder {{addres}}"},
		"unknown in a query":    {check.Spec{Prometheus: `up{a="{{x}}"}`}, "prometheus", "unknown placeholder {{x}}"},
		"wrong kind":            {check.Spec{Prometheus: "up{a={{unit}}}"}, "prometheus", "{{unit}} needs match.kind: unit"},
		"backticks":             {check.Spec{Prometheus: "up{a=`{{container}}`}"}, "prometheus", "inside backticks"},
		"open":                  {check.Spec{TCP: "{{address:1"}, "tcp", "{{ without }}"},
		"open quote in a query": {check.Spec{Prometheus: `up{a="x}`}, "prometheus", "is not closed"},
		"not a URL":             {check.Spec{HTTP: "{{address}}/health"}, "http", "want a URL"},
		"not an address":        {check.Spec{TCP: "{{address}}"}, "tcp", "want host:port"},
		"open expression":       {check.Spec{TCP: "a:1", Expect: "/SSH"}, "expect", "end it with / as well"},
		"bad expression":        {check.Spec{TCP: "a:1", Expect: "/(/"}, "expect", "missing closing )"},
		"expect of a query":     {check.Spec{Prometheus: "up", Expect: "1"}, "expect", "in the query itself"},
		"status of a command":   {check.Spec{Command: "true", Status: 200}, "status", "only http"},
		"quoted in a command":   {check.Spec{Command: "echo '{{container}}'"}, "command", "stands inside quotes"},
		"too long":              {check.Spec{Command: "true", Timeout: time.Hour}, "timeout", "at most 1m"},
	} {
		_, err := check.Compile(tc.spec, lifeline.TargetContainer, "match.kind")
		fault, ok := errors.AsType[*check.Fault](err)
		if !ok || fault.Field != tc.field || !strings.Contains(fault.Text, tc.text) {
			t.Errorf("%s: %#v, want %q …%s…", name, err, tc.field, tc.text)
		}
	}
}

// A name comes from an alert. It cannot add a word, a label or a part of a URL.
func TestNamesCannotLeaveTheirPlace(t *testing.T) {
	c, err := check.Compile(check.Spec{Prometheus: `up{a={{container}}}`}, lifeline.TargetContainer, "match.target")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{`x"} or up{a="y`, "", "-v", "a b", "a\n"} {
		if got, err := c.For(container(name), ""); err == nil {
			t.Errorf("%q became %q", name, got.Prometheus)
		}
	}
	for _, address := range []string{"a/b", "a@b", "x y", "-o"} {
		c, err := check.Compile(check.Spec{HTTP: "http://{{address}}/"}, "", "match.kind")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.For(container("web"), address); err == nil {
			t.Errorf("%q became %q", address, got.HTTP)
		}
	}
}
