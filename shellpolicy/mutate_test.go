package shellpolicy

import (
	"slices"
	"strings"
	"testing"
	"unicode"
)

// wrappings put a command into another one. None of them may make a read of
// what was none.
func wrappings(c string) []string {
	return []string{
		"  \t" + c, "\n" + c + "\n", "{\n" + c + "\n}", "(\n" + c + "\n)", "true\n" + c, c + "\ntrue",
		"if true; then\n" + c + "\nfi", "if\n" + c + "\nthen true; fi", "for i in a b; do\n" + c + "\ndone",
		"while read -r l; do\n" + c + "\ndone", "echo \"$(\n" + c + "\n)\"", "x=$(\n" + c + "\n)", "! {\n" + c + "\n}", "{\n" + c + "\n} 2>/dev/null",
		"{\n" + c + "\n} | cat", "true | {\n" + c + "\n}", "true && {\n" + c + "\n}", "false || {\n" + c + "\n}",
	}
}

// TestWrappingChangesNothing is the mutation rule for what stands around a
// command, over every command of the tables.
func TestWrappingChangesNothing(t *testing.T) {
	for _, file := range []string{"refused.txt", "modelled.txt"} {
		for _, s := range samples(t, file) {
			if strings.Contains(s.command, "\\\n") || Judge(s.command, Policy{Mode: Auto}).Rule == "parse" {
				continue // it may be completed by what is put around it
			}
			for _, w := range wrappings(s.command) {
				v := Judge(w, Policy{Mode: Auto})
				switch want := expected(t, s.section).Class; {
				case want != Read && v.Class == Read:
					t.Errorf("%q is %s, and %q is a read", s.command, want, w)
				case want == Destructive && v.Class != Destructive:
					t.Errorf("%q is destructive, and %q is %s", s.command, w, v.Class)
				case v.Rule == "internal" || v.Rule == "printing":
					t.Errorf("%q: %s: %s", w, v.Rule, v.Reason)
				}
			}
		}
	}
}

// requotings write the same words in other ways.
func requotings(words []string) []string {
	single, double, escaped, split := make([]string, len(words)), make([]string, len(words)), make([]string, len(words)), make([]string, len(words))
	for i, w := range words {
		single[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		double[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(w) + `"`
		var e, s strings.Builder
		for _, r := range w {
			switch {
			case r == '\n':
				e.WriteString("'\n'")
			case unicode.IsLetter(r) || unicode.IsDigit(r):
				e.WriteRune(r)
			default:
				e.WriteString(`\` + string(r))
			}
			if r == '\'' {
				s.WriteString(`\'`)
			} else {
				s.WriteString("'" + string(r) + "'")
			}
		}
		escaped[i], split[i] = e.String(), s.String()
		if w == "" {
			escaped[i], split[i] = "''", "''"
		}
	}
	var out []string
	for _, list := range [][]string{single, double, escaped, split} {
		out = append(out, strings.Join(list, " "), strings.Join(list, "\t \\\n "))
	}
	return out
}

// TestQuotingChangesNothing writes each command that is one literal list of
// words in other quotes: it must come to the same verdict and the same text.
func TestQuotingChangesNothing(t *testing.T) {
	tried := 0
	for _, file := range []string{"refused.txt", "modelled.txt"} {
		for _, s := range samples(t, file) {
			words := literalWords(s.command)
			if words == nil {
				continue
			}
			tried++
			want := Judge(s.command, Policy{Mode: Auto})
			for _, q := range requotings(words) {
				got := Judge(q, Policy{Mode: Auto})
				if got.Class != want.Class || got.Decision != want.Decision || !slices.Equal(got.Marks, want.Marks) || got.Canonical != want.Canonical {
					t.Errorf("%q is %s %s %q, and %q is %s %s %q (%s)", s.command, want.Class, want.Decision, want.Canonical, q, got.Class, got.Decision, got.Canonical, got.Reason)
				}
			}
		}
	}
	if tried < 800 {
		t.Errorf("only %d commands were tried", tried)
	}
}

// literalWords gives the words of a command that is nothing but words; nil for
// any other.
func literalWords(command string) []string {
	if strings.HasPrefix(command, "command ") || strings.ContainsAny(command, "\n|&;<>()$`*?[]{}~#!=") || strings.Contains(command, "  ") {
		return nil
	}
	var seen [][]arg
	j := &judge{policy: Policy{Mode: Auto}, again: true, seen: func(words []arg) { seen = append(seen, slices.Clone(words)) }}
	var v Verdict
	j.line(command, &v)
	if len(seen) == 0 {
		return nil
	}
	var out []string
	for _, a := range seen[0] {
		if a.shape != exact {
			return nil
		}
		out = append(out, a.text)
	}
	return out
}

func FuzzJudge(f *testing.F) {
	for _, file := range []string{"refused.txt", "modelled.txt"} {
		for i, s := range samples(f, file) {
			if i%5 == 0 { // the others are TestJudge's already
				f.Add(s.command)
			}
		}
	}
	f.Fuzz(func(t *testing.T, command string) {
		for _, mode := range []Mode{"", Observe, Auto} {
			v := Judge(command, Policy{Mode: mode})
			if v.Rule == "internal" || v.Rule == "printing" {
				t.Fatalf("%q: %s: %s", command, v.Rule, v.Reason)
			}
			if mode == "" && v.Decision != Deny || (v.Canonical != "") != (v.Decision != Deny) || v.Marks == nil {
				t.Fatalf("%q in mode %q: %s, canonical %q, marks %v", command, mode, v.Decision, v.Canonical, v.Marks)
			}
			if (v.Class == Unknown || v.Class == Destructive) && v.Decision != Deny || v.Class == Change && mode == Observe && v.Decision != Deny {
				t.Fatalf("%q in mode %q: %s %s", command, mode, v.Class, v.Decision)
			}
			if v.Canonical != "" {
				if again := Judge(v.Canonical, Policy{Mode: mode}); again.Canonical != v.Canonical || again.Class != v.Class || again.Decision != v.Decision {
					t.Fatalf("%q became %q and then %q, %s: %s", command, v.Canonical, again.Canonical, again.Class, again.Reason)
				}
			}
			if mode != Auto || v.Class == Read || v.Rule == "parse" || v.Rule == "text" || strings.HasSuffix(command, `\`) {
				continue
			}
			for _, w := range wrappings(command) {
				if Judge(w, Policy{Mode: mode}).Class == Read {
					t.Fatalf("%q is %s [%s], and %q is a read", command, v.Class, v.Rule, w)
				}
			}
		}
	})
}

func FuzzMiniLanguages(f *testing.F) {
	for _, s := range []string{"s/a/b/;p", "/x/,/y/{p;q}", "{print $1}", "$1 > 5 || /a[/]b/ {x = 1/2}", "{{.State.Status}}", ".a | select(.b)", "select count(*) from x",
		"/var/log/*.log", "http://localhost/x?y=z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []string{"sed", "awk", "jq", "inspecttemplate", "pstemplate", "template", "sql", "file", "tree", "path", "url", "host", "target", "unittarget", "psfields", "revision"} {
			for _, a := range []arg{lit(text), {shape: pattern, text: text}, {shape: anyText, text: text}} {
				c := &call{j: &judge{}, dirs: startDirs(), effects: map[string]bool{}}
				kinds(kind)(c, a) // must come to an end and not panic
			}
		}
	})
}
