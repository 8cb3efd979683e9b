package jsonpath_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline/internal/jsonpath"
)

const message = `{
  "name": "Full", "n": 1770000000123456789, "f": 1.50, "yes": true, "none": null, "empty": "", "a.b": "dotted", "@timestamp": "noon", "$": "dollar",
  "rule": {"id": 7, "tags": ["x", "y"], "mixed": [1, {"k": "v"}]},
  "list": [{"key": "disk", "value": "/srv"}, {"key": "unit", "value": "a.service"}],
  "text": "{\"inner\": {\"deep\": \"{\\\"er\\\": 5}\"}, \"all\": [1, 2]}",
  "broken": "{\"inner\":", "plain": "just a text"
}`

func TestText(t *testing.T) {
	for source, want := range map[string]string{
		"name":                                 "Full",
		"n":                                    "1770000000123456789",
		"f":                                    "1.50",
		"yes":                                  "true",
		`a\.b`:                                 "dotted",
		`\@timestamp`:                          "noon",
		`\$`:                                   "dollar",
		"rule.id":                              "7",
		"rule.tags":                            "x, y",
		"rule.tags.1":                          "y",
		"rule.mixed":                           `[1, {"k": "v"}]`,
		"rule.tags.#":                          "2",
		"list.#.key":                           "disk, unit",
		`list.#(key=="unit").value`:            "a.service",
		`list.#(value%"/*").key`:               "disk",
		`list.#(key!="x")#.value`:              "/srv, a.service",
		"rule.@keys":                           "id, tags, mixed",
		"rule|id":                              "7",
		"@this.name":                           "Full",
		"list.@reverse.0.key":                  "unit",
		`!"always"`:                            "always",
		"!12":                                  "12",
		"text.@fromstr.inner.deep":             `{"er": 5}`,
		"text|@fromstr|all":                    "1, 2",
		"text.@fromstr.inner.deep.@fromstr.er": "5",
		"rule.@fromstr.id":                     "7",
		`[name].#(=="Full")`:                   "Full",
		"{{name}}: {{rule.id}}":                "Full: 7",
		"{{ name }} {{gone}}":                  "Full",
		"at {{name}}{{":                        "ERROR",
		"{{gone}}":                             "",
		"only {{gone}} text":                   "",
		"gone":                                 "",
		"none":                                 "",
		"empty":                                "",
		"rule.id.x":                            "",
		"plain.@fromstr":                       "",
		"broken.@fromstr.inner":                "",
		`[name].#(=="Other")`:                  "",
		`list.#(key=="gone").value`:            "",
		"$.name":                               "Full",
	} {
		expr, err := jsonpath.Parse(source)
		if err != nil {
			if want != "ERROR" {
				t.Errorf("%s: %v", source, err)
			}
			continue
		}
		got, found := expr.Text(jsonpath.NewDoc([]byte(message)))
		if got != want || found != (want != "") {
			t.Errorf("%s: %q, %v; want %q", source, got, found, want)
		}
		if !expr.Set() || expr.String() != source {
			t.Errorf("%s is shown as %q", source, expr)
		}
	}
}

func TestBadPaths(t *testing.T) {
	for source, want := range map[string]string{
		"":                        "empty",
		" ":                       "empty",
		" a":                      "blanks",
		"a..b":                    "a name is missing",
		"a.":                      "a name is missing",
		".a":                      "a name is missing",
		"a|":                      "a name is missing",
		"a\n.b":                   "control character",
		`a\`:                      `a \ at the end`,
		"a.#(b==1":                "a ) is missing",
		`a.#(b=="1).c`:            `a " is not closed`,
		"a)":                      ") closes nothing",
		"a.#(b]":                  "] closes nothing",
		"a.#b":                    `write # for all entries`,
		"@formstr":                "there is no modifier @formstr: there are @dig, @flatten, @fromstr",
		"a.@timestamp":            `if the key is called that, write \@timestamp`,
		"@pretty":                 "no modifier @pretty",
		"@fromstr:x":              "takes no argument",
		"[a.@fromstr.b]":          "cannot stand inside of brackets",
		`a.#(@fromstr=="x")`:      "cannot stand inside of brackets",
		"!nonsense":               `write !"text"`,
		"a.$.b":                   "$ stands at the beginning only",
		"$":                       "$ stands at the beginning only",
		"a.[b,c]":                 "a list of paths in brackets",
		"a. b":                    "begins with a blank",
		strings.Repeat("a", 1001): "more than 1000 bytes",
		"{{a}} {{b":               "{{ is not closed",
		"{{}}":                    "empty",
		"x {{a..b}}":              "a name is missing",
	} {
		if _, err := jsonpath.Parse(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: error %v, want %s", source, err, want)
		}
	}
}

func parse(t *testing.T, source string) jsonpath.Path {
	t.Helper()
	p, err := jsonpath.ParsePath(source)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParts(t *testing.T) {
	texts := func(list, path string) []string {
		parts, found := jsonpath.NewDoc([]byte(message)).Parts(parse(t, list))
		if !found {
			return nil
		}
		all := []string{}
		for _, p := range parts {
			text, _ := parse(t, path).Text(p)
			all = append(all, text)
		}
		return all
	}
	for _, tc := range []struct {
		list, path string
		want       []string
	}{
		{"list", "key", []string{"disk", "unit"}},
		{"list", "$.rule.id", []string{"7", "7"}},
		{"list", "name", []string{"", ""}},
		{"rule", "id", []string{"7"}},
		{"rule.tags", "@this", []string{"x", "y"}},
		{"gone", "key", nil},
		{"none", "key", nil},
		{`list.#(key=="gone")#`, "key", []string{}},
	} {
		if diff := cmp.Diff(tc.want, texts(tc.list, tc.path)); diff != "" {
			t.Errorf("%s of %s (-want +got):\n%s", tc.path, tc.list, diff)
		}
	}
}

func TestNames(t *testing.T) {
	if diff := cmp.Diff([]string{"a", "b.c"}, jsonpath.NewDoc([]byte(`{"a": {"x": 1}, "b.c": 2}`)).Names()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if names := jsonpath.NewDoc([]byte("[1]")).Names(); names != nil {
		t.Errorf("a list has the names %q", names)
	}
}

// JSON inside of a text is followed only so deep: each level costs stack.
func TestDeepInnerText(t *testing.T) {
	for depth, found := range map[int]bool{10: true, jsonpath.MaxNesting: true, jsonpath.MaxNesting + 1: false, 5_000_000: false} {
		inner := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		doc, err := json.Marshal(map[string]string{"text": inner})
		if err != nil {
			t.Fatal(err)
		}
		if _, got := parse(t, "text.@fromstr").Text(jsonpath.NewDoc(doc)); got != found {
			t.Errorf("%d levels: found %v", depth, got)
		}
	}
}

// FuzzParse holds every path that is taken to what it promises, whatever the
// message: no panic, and the same answer twice.
func FuzzParse(f *testing.F) {
	for _, source := range []string{"name", "a..b", `list.#(key=="unit").value`, "text.@fromstr.inner.deep.@fromstr.er", "{{a}} {{b", "[a,b].0", `{"x":a}.x`,
		"!\"x\"", "@this|@keys", "rule.@flatten:{\"deep\":true}", "#.a", "list.#(a.b>1)#.c", "*", "a*.?", "@join:{", "list.#(#(a==1)#==2)", "rule.@dig:id"} {
		f.Add(source, message)
	}
	f.Fuzz(func(t *testing.T, source, text string) {
		expr, err := jsonpath.Parse(source)
		if err != nil {
			if len(err.Error()) > 8*len(source)+1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if !json.Valid([]byte(text)) || strings.Count(text, "[")+strings.Count(text, "{") > 32 {
			text = message
		}
		first, found := expr.Text(jsonpath.NewDoc([]byte(text)))
		second, again := expr.Text(jsonpath.NewDoc([]byte(text)))
		if first != second || found != again || found != (first != "") {
			t.Errorf("%q: %q, %v and then %q, %v", source, first, found, second, again)
		}
	})
}
