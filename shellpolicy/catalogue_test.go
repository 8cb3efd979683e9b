package shellpolicy

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// everyEntry walks the catalogue in order.
func everyEntry(visit func(*entry)) {
	var walk func(map[string]*entry)
	walk = func(subs map[string]*entry) {
		for _, name := range slices.Sorted(maps.Keys(subs)) {
			visit(subs[name])
			walk(subs[name].subs)
		}
	}
	walk(catalogue())
}

func TestCatalogue(t *testing.T) {
	modelled := 0
	for _, e := range catalogue() {
		if e.class != Destructive && e.class != Unknown {
			modelled++
		}
	}
	if modelled < 300 {
		t.Errorf("only %d programs are modelled", modelled)
	}
	for _, name := range specialNames() {
		if specials(name) == nil {
			t.Errorf("no judge %q", name)
		}
	}
	everyEntry(func(e *entry) {
		if !e.defined && len(e.subs) == 0 {
			t.Errorf("%s has no body and no sub-commands", e.name)
		}
		for _, n := range e.need {
			_, own := e.flags[n]
			if !own && n != listed {
				t.Errorf("%s needs %s, which it does not list", e.name, n)
			}
		}
		for _, o := range e.outs {
			for _, n := range slices.Concat(o.given, o.absent) {
				_, own := e.flags[n]
				parent := false
				everyEntry(func(p *entry) { parent = parent || strings.HasPrefix(e.name, p.name) && p.shared[n] != nil })
				if !own && !parent {
					t.Errorf("%s: what it prints depends on %s, which it does not list", e.name, n)
				}
			}
		}
		for _, f := range e.forms {
			for i, op := range f.operands {
				if (op.many == '*' || op.many == '+') && i != len(f.operands)-1 {
					t.Errorf("%s: %s takes all operands, so nothing can follow", e.name, op.kind)
				}
			}
			for _, n := range f.when {
				if e.flags[n] == nil {
					t.Errorf("%s: a form depends on %s, which it does not list", e.name, n)
				}
			}
		}
		if e.wraps && (len(e.forms) > 1 || e.style != stylePOSIX && e.class != Unknown) {
			t.Errorf("%s runs a command, so its options must end at its operands", e.name)
		}
	})
}

// TestNoEntryIsWiderThanItsClass proves, for every entry that is no read, that
// it is not let through as one, with or without operands.
func TestNoEntryIsWiderThanItsClass(t *testing.T) {
	everyEntry(func(e *entry) {
		if e.class == Read {
			return
		}
		for _, operands := range []string{"", " web", " -x", " -- web", " web db", " --help", " nginx.service"} {
			v := Judge(e.name+operands, Policy{Mode: Auto})
			if v.Class == Read || e.class == Destructive && v.Class != Destructive {
				t.Errorf("%q is %s, its entry says %s", e.name+operands, v.Class, e.class)
			}
		}
	})
}

// TestUnlistedFlags proves that options that no entry lists, abbreviations of
// long ones and values where none belongs are refused, program by program.
func TestUnlistedFlags(t *testing.T) {
	everyEntry(func(e *entry) {
		if e.style == styleRaw || e.special != "" {
			return
		}
		for _, f := range []string{"--zzz", "--zzz=x", "-\u00e9", "--exec", "--no-such-option"} {
			if v := Judge(e.name+" "+f, Policy{Mode: Auto}); v.Class == Read || v.Class == Change {
				t.Errorf("%q is %s", e.name+" "+f, v.Class)
			}
		}
		for name, f := range e.flags {
			if !strings.HasPrefix(name, "--") || len(name) < 6 {
				continue
			}
			short := name[:len(name)-1]
			if e.flags[short] != nil {
				continue
			}
			value := ""
			if f.mode == needsValue {
				value = "=1"
			}
			if v := Judge(e.name+" "+short+value, Policy{Mode: Auto}); v.Class == Read || v.Class == Change {
				t.Errorf("%q is %s, and %s is the option", e.name+" "+short+value, v.Class, name)
			}
			if f.mode == noValue {
				if v := Judge(e.name+" "+name+"=x", Policy{Mode: Auto}); v.Class == Read || v.Class == Change {
					t.Errorf("%q is %s, and the option takes no value", e.name+" "+name+"=x", v.Class)
				}
			}
		}
	})
}

func TestReadCatalogueNamesTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"\tflags -a\n":                          "line 1: no entry",
		"x\n\tfrob\n":                           "line 2: x: no keyword",
		"x\n\tis nice\n":                        `no class "nice"`,
		"x\n\targs frob\n":                      `no kind "frob"`,
		"x\n\tflags -a!frob\n":                  `no effect "frob"`,
		"x\n\tflags -ab=text\n":                 "only one letter",
		"x\n\tstyle odd\n":                      `no style "odd"`,
		"x\n\tjudge odd\n":                      `no judge "odd"`,
		"x\n\tout odd\n":                        `no flow "odd"`,
		"x\n\tout same often\n":                 "want alone",
		"x\n\tmarks odd\n":                      `no effect "odd"`,
		"# a comment\nx\n\targs\n\nx\n\targs\n": "line 5: x is defined twice",
	} {
		root := &entry{subs: map[string]*entry{}}
		if err := readCatalogue(root, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	root := &entry{subs: map[string]*entry{}}
	if err := readCatalogue(root, "a|b c? d, e\n\tflags -xy --z=text\n"); err != nil {
		t.Fatal(err)
	}
	var names []string
	var walk func(*entry)
	walk = func(e *entry) {
		for _, k := range slices.Sorted(maps.Keys(e.subs)) {
			if e.subs[k].defined {
				names = append(names, e.subs[k].name+" "+strings.Join(slices.Sorted(maps.Keys(e.subs[k].flags)), ","))
			}
			walk(e.subs[k])
		}
	}
	walk(root)
	want := []string{"a c d --z,-x,-y", "a d --z,-x,-y", "b c d --z,-x,-y", "b d --z,-x,-y", "e --z,-x,-y"}
	if !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}
