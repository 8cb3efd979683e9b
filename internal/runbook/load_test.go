package runbook_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/runbook"
)

const valid = `---
name: web-down
title: Web is down
match:
  alerts: [WebDown, /Web.*Gone/]
  labels: {env: prod}
  target: container
diagnose:
  - docker inspect --format '{{.State.Status}} {{json .State}}' {{container}}
  - docker logs --tail 5 {{container}}
healthy_if:
  - docker inspect --format "{{.State.Status}}" {{container}} | grep -qx running
fix:
  - docker start {{ container }}
  - docker restart {{container}} # on {{host}}
verify:
  - docker logs {{container}}
next: Look at it.
---

Start it.

---
It is really that simple.
`

func load(t *testing.T, texts ...string) *runbook.Set {
	t.Helper()
	fsys := fstest.MapFS{}
	for i, text := range texts {
		fsys[string(rune('a'+i))+".md"] = &fstest.MapFile{Data: []byte(text)}
	}
	set, err := runbook.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestLoad(t *testing.T) {
	book, ok := load(t, valid).Get("web-down")
	if !ok {
		t.Fatal("the runbook was not loaded")
	}
	if want := "Start it.\n\n---\nIt is really that simple."; book.Guidance() != want {
		t.Errorf("Guidance() = %q, want %q", book.Guidance(), want)
	}
	got, err := book.Commands(lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"diagnose": {
			"docker inspect --format '{{.State.Status}} {{json .State}}' web",
			"docker logs --tail 5 web",
		},
		"healthy_if": {`docker inspect --format "{{.State.Status}}" web | grep -qx running`},
		"fix":        {"docker start web", "docker restart web"},
		"verify":     {"docker logs web"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestLoadIgnoresWhatIsNoRunbook(t *testing.T) {
	set, err := runbook.Load(fstest.MapFS{
		"README.md": {Data: []byte("# not one")}, "notes.txt": {Data: []byte("nor this")},
		"a.md": {Data: []byte(valid)}, "deeper/b.md": {Data: []byte("---\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(set.All()); n != 1 {
		t.Errorf("%d runbooks, want 1", n)
	}
}

func TestLoadAcceptsWindowsLineEnds(t *testing.T) {
	load(t, strings.ReplaceAll(valid, "\n", "\r\n"))
}

// A fault in a runbook is found when it is loaded, with its place.
func TestLoadErrors(t *testing.T) {
	head := "---\nname: x\ntitle: T\nmatch: {target: container}\n"
	for name, tc := range map[string]struct{ text, want string }{
		"no front matter":        {"# Hello\n", "a.md:1:1: a runbook begins with front matter"},
		"not closed":             {"---\nname: x\n", "a.md:1:1: a runbook begins with front matter"},
		"unknown key":            {head + "diagnoze: [uptime]\n---\n", `a.md:5:1: unknown field "diagnoze"`},
		"unknown nested key":     {"---\nname: x\nmatch:\n  alert: [A]\n---\n", `a.md:4:3: unknown field "alert"`},
		"broken YAML":            {"---\nname: x\ntitle: [\n---\n", "a.md:3:"},
		"key twice":              {"---\nname: x\nname: y\n---\n", "a.md:3:1:"},
		"a map for a command":    {head + "diagnose:\n  - run: uptime\n---\n", "a.md:6:"},
		"no name":                {"---\ntitle: T\n---\n", `name is ""`},
		"bad name":               {"---\nname: Web Down\n---\n", `a.md:2:7: name is "Web Down": want lower-case`},
		"no title":               {"---\nname: x\n---\n", "title is missing"},
		"no match":               {"---\nname: x\ntitle: T\ndiagnose: [uptime]\n---\n", "match is missing"},
		"nothing to look at":     {head + "fix: [uptime]\n---\n", "diagnose is missing"},
		"bad target":             {"---\nname: x\ntitle: T\nmatch: {target: pod}\ndiagnose: [uptime]\n---\n", `a.md:4:17: target is "pod": want container`},
		"bad expression":         {"---\nname: x\ntitle: T\nmatch:\n  alerts:\n    - /Web(/\ndiagnose: [uptime]\n---\n", "a.md:6:7: /Web(/: "},
		"open expression":        {"---\nname: x\ntitle: T\nmatch: {alerts: [/Web]}\ndiagnose: [uptime]\n---\n", "end it with / as well"},
		"unknown placeholder":    {head + "diagnose:\n  - uptime\n  - docker logs {{contaner}}\n---\n", "a.md:7:5: unknown placeholder {{contaner}}"},
		"unquoted docker format": {head + "diagnose:\n  - docker ps --format {{.Names}}\n---\n", "unknown placeholder {{.Names}}"},
		"quoted placeholder":     {head + "diagnose:\n  - docker logs '{{container}}'\n---\n", "{{container}} stands inside quotes"},
		"wrong kind":             {head + "diagnose:\n  - systemctl status {{unit}}\n---\n", "{{unit}} needs match.target: unit"},
		"open quote":             {head + "diagnose:\n  - echo \"it's\n---\n", "a quote \" is not closed"},
		"empty command":          {head + "diagnose:\n  - ''\n---\n", "the command is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := runbook.Load(fstest.MapFS{"a.md": {Data: []byte(tc.text)}})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v\nwant it to hold %q", err, tc.want)
			}
		})
	}
}

func TestLoadRefusesOneNameTwice(t *testing.T) {
	_, err := runbook.Load(fstest.MapFS{"a.md": {Data: []byte(valid)}, "b.md": {Data: []byte(valid)}})
	if err == nil || !strings.Contains(err.Error(), `b.md: the name "web-down" is taken by a.md`) {
		t.Errorf("error = %v", err)
	}
}

// Names come from labels, which anybody may have written.
func TestNamesFromOutsideCannotLeaveTheirWord(t *testing.T) {
	book := func(kind, placeholder string) *runbook.Runbook {
		b, _ := load(t, "---\nname: x\ntitle: T\nmatch: {target: "+kind+"}\ndiagnose: ['show {{"+placeholder+"}} end']\n---\n").Get("x")
		return b
	}
	for _, tc := range []struct{ kind, placeholder, name, want string }{
		{"container", "container", "scrypted", "show scrypted end"},
		{"container", "container", "stack_web.1-a", "show stack_web.1-a end"},
		{"container", "container", "x;reboot", ""},
		{"container", "container", "$(reboot)", ""},
		{"container", "container", "-v", ""},
		{"container", "container", "a b", ""},
		{"container", "container", "a\n", ""},
		{"container", "container", "", ""},
		{"container", "container", strings.Repeat("a", 300), ""},
		{"unit", "unit", "getty@tty1.service", "show getty@tty1.service end"},
		{"unit", "unit", `dev-disk-by\x2dlabel.mount`, `show 'dev-disk-by\x2dlabel.mount' end`},
		{"unit", "unit", "--now", ""},
		{"unit", "unit", "a/../b", ""},
		{"filesystem", "mount", "/", "show / end"},
		{"filesystem", "mount", "/srv/my files", "show '/srv/my files' end"},
		{"filesystem", "mount", "/it's", `show '/it'\''s' end`},
		{"filesystem", "mount", "/$(reboot)", "show '/$(reboot)' end"},
		{"filesystem", "mount", "srv", ""},
		{"filesystem", "mount", "/a\nb", ""},
		{"filesystem", "mount", "/a\x00b", ""},
		{"filesystem", "mount", "/a\u202eb", ""},
	} {
		got, err := book(tc.kind, tc.placeholder).Commands(lifeline.Target{Host: "nexus", Kind: lifeline.TargetKind(tc.kind), Name: tc.name})
		switch {
		case tc.want == "" && err == nil:
			t.Errorf("%s %q was put into %q, want an error", tc.kind, tc.name, got["diagnose"])
		case tc.want != "" && (err != nil || got["diagnose"][0] != tc.want):
			t.Errorf("%s %q gives %q, %v; want %q", tc.kind, tc.name, got["diagnose"], err, tc.want)
		}
	}
}
