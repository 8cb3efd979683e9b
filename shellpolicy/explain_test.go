package shellpolicy_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline/shellpolicy"
)

func TestExplain(t *testing.T) {
	policy := shellpolicy.Policy{Mode: shellpolicy.Suggest}
	type part struct {
		Text     string
		Class    shellpolicy.Class
		Decision shellpolicy.Decision
	}
	for command, want := range map[string][]part{
		"docker ps": {{"docker ps", shellpolicy.Read, shellpolicy.Allow}},
		"docker ps | grep web; docker restart web": {
			{"docker ps", shellpolicy.Read, shellpolicy.Allow}, {"grep web", shellpolicy.Read, shellpolicy.Allow},
			{"docker restart web", shellpolicy.Change, shellpolicy.Ask},
		},
		"timeout 5 rm -rf /data": {{"rm -rf /data", shellpolicy.Destructive, shellpolicy.Deny}},
		"'":                      {},
	} {
		v, parts := shellpolicy.Explain(command, policy)
		if diff := cmp.Diff(shellpolicy.Judge(command, policy), v); diff != "" {
			t.Errorf("%s: Explain and Judge differ:\n%s", command, diff)
		}
		got := []part{}
		for _, p := range parts {
			if p.Rule == "" || p.Reason == "" || p.Marks == nil {
				t.Errorf("%s: %+v", command, p)
			}
			got = append(got, part{p.Text, p.Class, p.Decision})
		}
		for _, w := range want { // wrappers add parts of their own
			if !slices.Contains(got, w) {
				t.Errorf("%s: parts %v, want %v", command, got, w)
			}
		}
		if len(want) == 0 && len(got) > 0 {
			t.Errorf("%s: parts %v, want none", command, got)
		}
	}
}

func TestCatalogue(t *testing.T) {
	all := shellpolicy.Catalogue()
	if len(all) < 300 {
		t.Errorf("only %d entries", len(all))
	}
	classes := map[string]shellpolicy.Class{}
	for _, e := range all {
		classes[e.Name] = e.Class
	}
	for name, want := range map[string]shellpolicy.Class{
		"docker ps": shellpolicy.Read, "docker restart": shellpolicy.Change, "systemctl restart": shellpolicy.Change,
		"journalctl": shellpolicy.Read, "df": shellpolicy.Read, "rm": shellpolicy.Destructive,
	} {
		if classes[name] != want {
			t.Errorf("%s is %q, want %s", name, classes[name], want)
		}
	}
	if !slices.IsSortedFunc(all, func(a, b shellpolicy.Entry) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	}) {
		t.Error("not sorted")
	}
}
