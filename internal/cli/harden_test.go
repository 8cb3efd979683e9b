package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"mvdan.cc/sh/v3/syntax"

	"lifeline/internal/app"
	"lifeline/internal/config"
	"lifeline/shellpolicy"
)

const hardenConfig = `
hosts:
  nexus:   {address: 192.168.0.11, user: lifeline, identity: key, mode: auto}
  outpost: {address: outpost.example, user: helper, mode: suggest}
  watched: {address: 192.168.0.13, mode: observe}
  inner:   {address: "10.0.0.2:2222", proxy_jump: nexus}
  bare:    {address: 192.168.0.14, user: root, mode: auto}
  self:    {local: true, mode: auto}
policy:
  rules:
    - {program: systemctl, args: [restart, backup.timer], decision: ask, host: nexus}
    - {program: docker, args: [restart, db], decision: deny, reason: it has a watchdog}
    - {program: docker, args: [container, restart, cache], decision: allow}
`

// harden runs the command and gives its status and output.
func harden(t *testing.T, args ...string) (status int, out string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "lifeline.yaml")
	for name, text := range map[string]string{file: hardenConfig, filepath.Join(dir, "key.pub"): "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample lifeline@ops\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var all bytes.Buffer
	status = Run(t.Context(), append([]string{"-c", file, "hosts", "harden"}, args...), IO{In: strings.NewReader(""), Out: &all, Err: &all})
	return status, all.String()
}

// document gives the lines of a here-document of the script.
func document(t *testing.T, script, name string) []string {
	t.Helper()
	_, rest, found := strings.Cut(script, "<<'"+name+"'\n")
	if !found {
		return nil
	}
	text, _, found := strings.Cut(rest, "\n"+name+"\n")
	if !found {
		t.Fatalf("the document %s has no end", name)
	}
	return strings.Split(text, "\n")
}

func TestHarden(t *testing.T) {
	status, out := harden(t, "nexus", "--unit", "nginx.service,app@1,sshd", "--container", "web", "--container", "db", "--from", "192.168.0.5,2001:db8::/64")
	if status != 0 {
		t.Fatalf("status %d: %s", status, out)
	}
	if _, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(out), "harden.sh"); err != nil {
		t.Errorf("no POSIX shell reads this: %v", err)
	}
	var sudoers []string
	for _, thing := range []string{"systemctl VERB app@1.service", "systemctl VERB app@1", "systemctl VERB backup.timer", "systemctl VERB nginx.service", "systemctl VERB nginx"} {
		for _, verb := range unitVerbs {
			sudoers = append(sudoers, strings.ReplaceAll(thing, "VERB", verb))
		}
	}
	sudoers = append(sudoers, "docker start cache", "docker restart cache", "docker start db", "docker start web", "docker restart web")
	slices.Sort(sudoers)
	var got []string
	for _, line := range document(t, out, "SUDOERS") {
		command, found := strings.CutPrefix(line, "lifeline ALL=(root) NOPASSWD: /usr/bin/")
		if !found || strings.ContainsAny(command, "*?[!") {
			t.Errorf("in sudoers: %q", line)
		}
		got = append(got, command)
	}
	slices.Sort(got)
	if diff := cmp.Diff(sudoers, got); diff != "" {
		t.Errorf("sudoers (-want +got):\n%s", diff)
	}
	// Each is what Lifeline sends when a command is written with sudo, and what
	// the policy lets through.
	cfg, err := config.Parse("lifeline.yaml", []byte(hardenConfig))
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range got {
		v := shellpolicy.Judge("sudo -n "+command, app.Policy(cfg, "nexus"))
		if v.Decision == shellpolicy.Deny || v.Canonical != "sudo -n "+command {
			t.Errorf("%q: decided %s, sent as %q", command, v.Decision, v.Canonical)
		}
	}
	want := []string{`restrict,port-forwarding,permitopen="10.0.0.2:2222",from="192.168.0.5,2001:db8::/64" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample lifeline@ops`}
	if diff := cmp.Diff(want, document(t, out, "KEYS")); diff != "" {
		t.Errorf("authorized_keys (-want +got):\n%s", diff)
	}
	polkit := strings.Join(document(t, out, "POLKIT"), "\n")
	for _, part := range []string{`"nginx.service": [`, `"app@1.service": [`, `"backup.timer": [`, `subject.user != "lifeline"`, "return polkit.Result.NO;"} {
		if !strings.Contains(polkit, part) {
			t.Errorf("the polkit rule does not have %q:\n%s", part, polkit)
		}
	}
	for _, part := range []string{
		"# left out, as the policy denies it: systemctl restart sshd:", "# left out, as the policy denies it: docker restart db:", "THE GROUP DOCKER IS\n# ROOT",
		"#   usermod --append --groups docker lifeline\n", "no forced command",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("it does not say %q:\n%s", part, out)
		}
	}
	mustNotDo(t, out)
}

// mustNotDo looks for what only a person may decide to do.
func mustNotDo(t *testing.T, script string) {
	t.Helper()
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, bad := range []string{"groups docker", "groups sudo", "ALL=(ALL)", "NOPASSWD: ALL", "systemctl reload ssh", "sshd restart"} {
			if strings.Contains(line, bad) {
				t.Errorf("the script does %q", line)
			}
		}
	}
}

func TestHardenByMode(t *testing.T) {
	for _, tt := range []struct {
		args    []string
		sudoers int
		says    []string
	}{
		{[]string{"outpost", "--unit", "nginx"}, 12 + 2, []string{"comes in as helper", "helper ALL=(root) NOPASSWD: /usr/bin/systemctl restart nginx.service", "a person decides about each change", "PUBLIC-KEY"}},
		{[]string{"outpost"}, 2, []string{"docker restart cache", "Better with --from"}},
		{[]string{"watched", "--unit", "nginx", "--container", "web"}, 0, []string{"Changes: none. In mode observe", "left out, as the policy denies it: systemctl restart nginx", "it may be read only"}},
		{[]string{"inner"}, 0, []string{"mode observe"}},
		{[]string{"bare", "--user", "lifeline", "--unit", `data\x2dsync@a:b.service`}, 12 + 2, []string{`restart data\\\\x2dsync@a\:b.service`, `"data\\x2dsync@a:b.service": [`}},
	} {
		status, out := harden(t, tt.args...)
		if status != 0 {
			t.Fatalf("%v: status %d: %s", tt.args, status, out)
		}
		if _, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(out), "harden.sh"); err != nil {
			t.Errorf("%v: no POSIX shell reads this: %v", tt.args, err)
		}
		if n := len(document(t, out, "SUDOERS")); n != tt.sudoers {
			t.Errorf("%v: %d lines of sudoers, want %d:\n%s", tt.args, n, tt.sudoers, out)
		}
		for _, part := range tt.says {
			if !strings.Contains(out, part) {
				t.Errorf("%v: it does not say %q:\n%s", tt.args, part, out)
			}
		}
		mustNotDo(t, out)
	}
}

func TestHardenRefuses(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"elsewhere"}, "configured hosts:"},
		{[]string{"bare"}, "as root, which nothing restricts"},
		{[]string{"self"}, "host self is local"},
		{[]string{"nexus", "--user", "Ann; reboot"}, "want small letters"},
		{[]string{"nexus", "--unit", "*"}, "is not a name that a unit can have"},
		{[]string{"nexus", "--unit", "a\nroot ALL=(ALL) NOPASSWD: ALL"}, "is not a name that a unit can have"},
		{[]string{"nexus", "--container", "web db"}, "is not a name that a container can have"},
		{[]string{"nexus", "--from", `x" command="sh`}, "want an IP address or a network"},
	} {
		if status, out := harden(t, tt.args...); status != 2 || !strings.Contains(out, tt.want) {
			t.Errorf("%q: status %d, %s, want %q", tt.args, status, out, tt.want)
		}
	}
}

func TestHostsList(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lifeline.yaml")
	if err := os.WriteFile(file, []byte(hardenConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"hosts"}, {"hosts", "list"}, {"hosts", "--json"}, {"hosts", "list", "--json"}} {
		var out bytes.Buffer
		if status := Run(t.Context(), append([]string{"-c", file}, args...), IO{In: strings.NewReader(""), Out: &out, Err: &out}); status != 0 {
			t.Errorf("%v: status %d", args, status)
		}
		want := "nexus    192.168.0.11               lifeline  auto\n"
		if args[len(args)-1] == "--json" {
			want = `{"name":"nexus","address":"192.168.0.11","user":"lifeline","mode":"auto"}`
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%v does not show %q:\n%s", args, want, fmt.Sprint(&out))
		}
	}
}
