package shellpolicy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample is one command of testdata with the section that it stands in.
type sample struct{ section, command string }

// samples reads a file of testdata: sections begin with "## ", comments with
// "# ", and ␤ stands for a line break.
func samples(t testing.TB, name string) []sample {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var out []sample
	section := ""
	for line := range strings.SplitSeq(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "## "):
			section = strings.TrimPrefix(line, "## ")
		case line == "" || strings.HasPrefix(line, "# "):
		case section == "":
			t.Fatalf("%s: %q stands in no section", name, line)
		default:
			out = append(out, sample{section, strings.ReplaceAll(line, "␤", "\n")})
		}
	}
	if len(out) < 100 {
		t.Fatalf("%s: only %d commands found", name, len(out))
	}
	return out
}

// judgement is what a test says about a command.
type judgement struct {
	Class                  Class
	Marks                  []Mark
	Observe, Suggest, Auto Decision
	Canonical              bool // in auto
}

// expected spells out what the words of a section mean, mode by mode.
func expected(t testing.TB, section string) judgement {
	t.Helper()
	words := strings.Fields(section)
	want := judgement{Class: Class(words[0]), Marks: []Mark{}, Observe: Deny, Suggest: Deny, Auto: Deny}
	for _, w := range words[1:] {
		if w != "shielded" && w != "asks" {
			want.Marks = append(want.Marks, Mark(w))
		}
	}
	has := func(w string) bool { return slices.Contains(words, w) }
	switch {
	case want.Class == Read && has("unbounded"):
	case want.Class == Read && (has("sensitive") || has("egress")):
		want.Suggest, want.Auto = Ask, Ask
	case want.Class == Read:
		want.Observe, want.Suggest, want.Auto = Allow, Allow, Allow
	case want.Class == Change && has("shielded"):
	case want.Class == Change && has("asks"):
		want.Suggest, want.Auto = Ask, Ask
	case want.Class == Change:
		want.Suggest, want.Auto = Ask, Allow
	}
	want.Canonical = want.Auto != Deny
	return want
}

func TestJudge(t *testing.T) {
	for _, file := range []string{"modelled.txt", "refused.txt"} {
		for _, s := range samples(t, file) {
			auto := Judge(s.command, Policy{Mode: Auto})
			got := judgement{Class: auto.Class, Marks: auto.Marks, Auto: auto.Decision, Canonical: auto.Canonical != "",
				Observe: Judge(s.command, Policy{Mode: Observe}).Decision, Suggest: Judge(s.command, Policy{Mode: Suggest}).Decision}
			if diff := cmp.Diff(expected(t, s.section), got); diff != "" {
				t.Errorf("%s: %q (%s: %s):\n%s", s.section, s.command, auto.Rule, auto.Reason, diff)
			}
			if auto.Rule == "" || auto.Reason == "" || strings.Contains(auto.Reason, "\n\n") {
				t.Errorf("%q: rule %q, reason %q", s.command, auto.Rule, auto.Reason)
			}
		}
	}
}

// TestNoPolicyNoCommand proves that the zero policy and an unknown mode deny
// everything, and still say what a command is.
func TestNoPolicyNoCommand(t *testing.T) {
	for _, s := range samples(t, "modelled.txt") {
		for _, mode := range []Mode{"", "AUTO", "root"} {
			v := Judge(s.command, Policy{Mode: mode, Rules: []Rule{{Program: "docker", Decision: Allow}, {Program: "ls", Decision: Allow}}})
			if v.Decision != Deny || v.Canonical != "" || v.Class != expected(t, s.section).Class {
				t.Errorf("mode %q: %q: %s %s %q", mode, s.command, v.Class, v.Decision, v.Canonical)
			}
		}
	}
}

func TestCanonical(t *testing.T) {
	for command, want := range map[string]string{
		`docker logs --tail 50 web 2>&1 | grep -i "a b"`:     `docker logs --tail 50 web 2>&1 | grep -i 'a b'`,
		`ls   -la	/var/log  ;  df -h`:                        `ls -la /var/log; df -h`,
		"ls # all\n\n df":                                    `ls; df`,
		`echo it\'s "a\$b" 'c"d' ""`:                         `echo 'it'\''s' 'a$b' 'c"d' ''`,
		`echo a"b"'c'\d`:                                     `echo abcd`,
		`echo ab\` + "\n" + `cd`:                             `echo abcd`,
		"echo `uptime`":                                      `echo $(uptime)`,
		`echo "x $(date +%s) y"`:                             `echo 'x '"$(date +%s)"' y'`,
		`x=a; echo $x"b"`:                                    `x=a; echo "${x}"b`,
		`for c in web db;do docker logs -n 5 $c;done`:        `for c in web db; do docker logs -n 5 "${c}"; done`,
		`if ls /a>/dev/null 2>&1;then df;else free;fi`:       `if ls /a >/dev/null 2>&1; then df; else free; fi`,
		`docker inspect -f {{.State.Status}} web`:            `docker inspect -f '{{.State.Status}}' web`,
		`ls /var/log/*.log "/a b"*`:                          `ls /var/log/*.log '/a b'*`,
		"cat <<E\na\\$b\nE":                                  "cat <<'EOF'\na$b\nEOF\n",
		"cat <<'E' | wc -l; df\nEOF\nE":                      "cat <<'EOF_' | wc -l\nEOF\nEOF_\ndf",
		`! (ls&&df)||{ free;uptime; }`:                       `! (ls && df) || { free; uptime; }`,
		`sh -c "ls   '/a b'"`:                                `sh -c 'ls '\''/a b'\'''`,
		`while read -r l;do echo "$l";done</etc/hosts`:       `while read -r l; do echo "${l}"; done </etc/hosts`,
		`LC_ALL=C sudo -n timeout 5 systemctl restart nginx`: `LC_ALL=C sudo -n timeout 5 systemctl restart nginx`,
	} {
		v := Judge(command, Policy{Mode: Auto})
		if diff := cmp.Diff(want, v.Canonical); diff != "" {
			t.Errorf("%q (%s):\n%s", command, v.Reason, diff)
		}
	}
}

// TestReason proves that a refusal names the words that decided and what would
// be let through.
func TestReason(t *testing.T) {
	for _, c := range []struct {
		command, rule string
		words         []string
	}{
		{"docker logs -f web", "docker logs", []string{`"docker logs -f web"`, "does not end", "leave out -f"}},
		{"ls && docker rm -f web", "docker rm", []string{`"docker rm -f web"`, "loses data"}},
		{"docker logs --foo web", "docker logs", []string{"--foo", "not in the catalogue"}},
		{"docker frobnicate", "docker", []string{"frobnicate", "sub-command", "images"}},
		{"frobnicate", "frobnicate", []string{"frobnicate", "not in the catalogue"}},
		{"cat /etc/shadow", "cat", []string{"/etc/shadow", "secret"}},
		{"systemctl restart sshd", "systemctl restart", []string{"sshd", "protected"}},
		{"docker restart 0123456789ab", "docker restart", []string{"ID", "name"}},
		{"echo x > /etc/hosts", "redirection", []string{"/etc/hosts", "/dev/null"}},
		{"ls &", "background", []string{"&", "foreground"}},
		{"f() { ls; }", "FuncDecl", []string{"FuncDecl"}},
		{"ls |", "parse", []string{"/bin/sh"}},
		{"", "text", []string{"empty"}},
		{"ls\x00", "text", []string{"U+0000"}},
		{"ls \u202e", "text", []string{"U+202E"}},
		{"ls \xff", "text", []string{"UTF-8"}},
		{strings.Repeat("ls; ", 20000), "text", []string{"bytes"}},
		{"date -s x", "date", []string{"-s"}},
		{"sort --outp=x y", "sort", []string{"--outp"}},
		{"curl -sI https://example.com", "curl", []string{"contacts another host"}},
	} {
		v := Judge(c.command, Policy{Mode: Auto})
		if v.Rule != c.rule {
			t.Errorf("%.60q: rule %q, want %q (%s)", c.command, v.Rule, c.rule, v.Reason)
		}
		for _, w := range c.words {
			if !strings.Contains(v.Reason, w) {
				t.Errorf("%.60q: reason %q does not say %q", c.command, v.Reason, w)
			}
		}
	}
}

// TestJSON proves that the list of marks is a list, and the verdict is the same
// each time.
func TestJSON(t *testing.T) {
	for _, command := range []string{"", "ls", "rm x", "curl -L http://example.com/ && env"} {
		first, err := json.Marshal(Judge(command, Policy{Mode: Auto}))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(first), `"marks":[`) {
			t.Errorf("%s", first)
		}
		for range 5 {
			again, _ := json.Marshal(Judge(command, Policy{Mode: Auto}))
			if diff := cmp.Diff(string(first), string(again)); diff != "" {
				t.Errorf("%q: another verdict for the same command:\n%s", command, diff)
			}
		}
	}
	if v := Judge("curl -L http://example.com/ && env && docker logs -f x", Policy{Mode: Auto}); !slices.Equal(v.Marks, []Mark{Egress, Sensitive, Unbounded}) {
		t.Errorf("marks %v", v.Marks)
	}
}

// TestRunbookCommands are the kinds of commands that runbooks are made of: what
// looks is let through in every mode, what repairs in mode auto.
func TestRunbookCommands(t *testing.T) {
	const inspect = "docker inspect --format "
	reads := []string{
		inspect + `'status={{.State.Status}} exit_code={{.State.ExitCode}} oom_killed={{.State.OOMKilled}} restarts={{.RestartCount}} started={{.State.StartedAt}}' web`,
		inspect + `'{{.State.Status}}' web | grep -qx running`,
		inspect + `'{{json .State.Health}}' web`,
		"docker logs --tail 100 --timestamps web",
		"docker ps --all --filter name=web --format '{{.Names}} {{.Status}}'",
		"docker stats --no-stream web", "docker system df", "df -h", "df -i /", "free -m", "uptime",
		"du -xh -d 2 / | sort -rh | head -n 20", "du -xh -d 2 '/mnt/my data' | sort -rh | head -n 20",
		"journalctl --disk-usage", "journalctl --unit nginx.service --lines 100 --no-pager", `journalctl --unit 'dev-disk\x2dby.device' --lines 100 --no-pager`,
		"systemctl status --no-pager --lines=20 nginx", "systemctl is-active --quiet nginx",
		"systemctl show --property=LoadState,ActiveState,SubState,Result,ExecMainStatus,NRestarts,ActiveEnterTimestamp nginx",
	}
	for _, c := range reads {
		for _, mode := range []Mode{Observe, Suggest, Auto} {
			if v := Judge(c, Policy{Mode: mode}); v.Decision != Allow || v.Class != Read {
				t.Errorf("%s: %q: %s %s: %s", mode, c, v.Class, v.Decision, v.Reason)
			}
		}
	}
	for _, c := range []string{"docker start web", "docker restart web", "systemctl restart nginx"} {
		if v := Judge(c, Policy{Mode: Auto}); v.Decision != Allow || v.Class != Change {
			t.Errorf("%q: %s %s: %s", c, v.Class, v.Decision, v.Reason)
		}
	}
}

// TestSizes proves that what is too large is refused, and that a destructive
// command at the end of a long line is seen.
func TestSizes(t *testing.T) {
	long := strings.Repeat("echo ok; ", 3000) + "reboot"
	if v := Judge(long, Policy{Mode: Auto}); v.Class != Destructive {
		t.Errorf("long line: %s: %s", v.Class, v.Reason)
	}
	for name, c := range map[string]string{
		"bytes":     strings.Repeat("ls; ", maxBytes),
		"nesting":   strings.Repeat("(", 1000) + "ls" + strings.Repeat(")", 1000),
		"if":        strings.Repeat("if ls; then ", 200) + "ls" + strings.Repeat("; fi", 200),
		"backquote": strings.Repeat("`", 1000),
		"chain":     strings.Repeat("ls | ", 1000) + "ls",
		"commands":  strings.Repeat("ls;", maxCommands+1) + "ls",
		"words":     "ls" + strings.Repeat(" a", maxWords+1),
		"parts":     "echo " + strings.Repeat(`a"b"'c'`, 1000) + strings.Repeat("*a", 300),
		"values":    "for a in " + strings.Repeat("x y ", 10) + "; do for b in 1 2 3 4 5 6 7 8 9; do for c in 1 2 3 4 5 6 7 8 9; do ls $a $b $c; done; done; done",
		"folders": strings.Join(slices.Collect(func(yield func(string) bool) {
			for r := 'a'; r <= 'z'; r++ {
				if !yield("cd /srv/" + string(r)) {
					return
				}
			}
		}), "; "),
		"path":  "ls /" + strings.Repeat("a/", maxPath),
		"sh":    "sh -c 'sh -c \"sh -c \\\"sh -c ls\\\"\"'",
		"wraps": strings.Repeat("timeout 1 ", 20) + "ls",
	} {
		if v := Judge(c, Policy{Mode: Auto}); v.Class != Unknown || v.Decision != Deny || v.Rule == "internal" {
			t.Errorf("%s: %s %s [%s] %s", name, v.Class, v.Decision, v.Rule, v.Reason)
		}
	}
}
