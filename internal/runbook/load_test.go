package runbook_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

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
undo:
  - docker stop {{container}}
verify:
  - docker logs {{container}}
  - {command: "docker logs {{container}}", expect: /ready|up/, timeout: 3s}
  - {http: "http://{{address}}:8080/{{container}}", status: 204}
  - tcp: "{{address}}:5432"
  - prometheus: container_running{name={{container}}, host="{{host}}"} == 1
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
		"undo":       {"docker stop web"},
		"verify":     {"docker logs web", "docker logs web"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestChecks(t *testing.T) {
	set := load(t, valid)
	target := lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"}
	checks := func(set *runbook.Set) []lifeline.Check {
		t.Helper()
		book, _ := set.Get("web-down")
		got, err := book.Checks(target)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := []lifeline.Check{
		{Command: "docker logs web"},
		{Command: "docker logs web", Expect: "ready|up", Timeout: 3 * time.Second},
		{HTTP: "http://nexus:8080/web", Status: 204},
		{TCP: "nexus:5432"},
		{Prometheus: `container_running{name="web", host="nexus"} == 1`},
	}
	if diff := cmp.Diff(want, checks(set)); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	want[2].HTTP, want[3].TCP = "http://10.0.0.1:8080/web", "10.0.0.1:5432"
	if diff := cmp.Diff(want, checks(set.WithAddresses(func(string) string { return "10.0.0.1" }))); diff != "" {
		t.Errorf("checks with an address (-want +got):\n%s", diff)
	}
}

// What the documentation shows is a runbook that loads.
func TestTheDocumentationsRunbook(t *testing.T) {
	readme, err := os.ReadFile("../../runbooks/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "```yaml\n")
	example, rest, _ := strings.Cut(text, "```")
	load(t, example)
	_, checks, _ := strings.Cut(rest, "```yaml\n")
	checks, _, _ = strings.Cut(checks, "```")
	book, _ := load(t, "---\nname: x\ntitle: T\nmatch: {target: container}\ndiagnose: [uptime]\n"+checks+"---\n").Get("x")
	got, err := book.Checks(lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"})
	if err != nil || len(got) != 4 {
		t.Errorf("%v, %v", got, err)
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
		"empty check":            {head + "diagnose: [uptime]\nverify: ['']\n---\n", "a.md:6:10: the command is empty"},
		"unknown check":          {head + "diagnose: [uptime]\nverify:\n  - htp: http://nexus/\n---\n", `a.md:7:5: unknown field "htp"`},
		"check twice":            {head + "diagnose: [uptime]\nverify:\n  - tcp: a:1\n    tcp: b:1\n---\n", "a.md:8:5:"},
		"two checks in one":      {head + "diagnose: [uptime]\nverify:\n  - {tcp: 'a:1', http: 'http://a'}\n---\n", "a.md:7:6: it has http and tcp"},
		"bad URL":                {head + "diagnose: [uptime]\nverify:\n  - http: nexus/health\n---\n", "a.md:7:11: want a URL"},
		"bad status":             {head + "diagnose: [uptime]\nverify:\n  - {http: 'http://a', status: fine}\n---\n", `status is "fine": want a number`},
		"bad timeout":            {head + "diagnose: [uptime]\nverify:\n  - {tcp: 'a:1', timeout: 5}\n---\n", `timeout is "5": want a duration`},
		"bad expectation":        {head + "diagnose: [uptime]\nverify:\n  - {tcp: 'a:1', expect: /SSH}\n---\n", "a.md:7:26: \"/SSH\" begins a regular expression"},
		"check of another kind":  {head + "diagnose: [uptime]\nverify:\n  - prometheus: up{u={{unit}}}\n---\n", "a.md:7:17: {{unit}} needs match.target: unit"},
		"nothing to undo":        {head + "diagnose: [uptime]\nundo: [uptime]\n---\n", "a.md:6:8: undo takes a fix back"},
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
