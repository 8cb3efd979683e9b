package sshpool

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestExecText(t *testing.T) {
	for _, c := range []struct {
		cmd  Command
		want string
	}{
		{Command{Script: "docker ps"}, "docker ps"},
		{Command{Script: "docker ps", Shell: "/bin/sh"},
			`exec /usr/bin/env SSHPOOL_ID=MARK PATH="${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin" /bin/sh -c 'docker ps'`},
		{Command{Script: "echo 'it'", Shell: "/bin/sh", Env: map[string]string{"LC_ALL": "C.UTF-8", "B": "x y", "PATH": "/bin"}, Dir: "/srv/my data"},
			`exec /usr/bin/env SSHPOOL_ID=MARK B='x y' LC_ALL=C.UTF-8 PATH=/bin /bin/sh -c 'CDPATH= cd -- '\''/srv/my data'\'' || exit 126` + "\n" + `echo '\''it'\'''`},
		{Command{Script: "id", Shell: "/bin/sh", Sudo: true, Env: map[string]string{"PATH": "/bin"}},
			`exec sudo -n -- /usr/bin/env SSHPOOL_ID=MARK PATH=/bin /bin/sh -c id`},
	} {
		j, err := newJob("nexus", c.cmd, Config{}, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Replace(j.text, markName+"="+j.mark, markName+"=MARK", 1); got != c.want || j.mark == "" && c.cmd.Shell != "" {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// The shells of this machine read what we send as what was meant.
func TestShellsReadTheText(t *testing.T) {
	long := "# " + strings.Repeat("x", 2*maxExecText) + "\n"
	for _, shell := range []string{"sh", "bash"} {
		for _, c := range []struct {
			name string
			cmd  Command
			want string
		}{
			{"environment", Command{Script: `printf '%s|%s' "$A" "$PWD"`, Shell: "/bin/sh", Env: map[string]string{"A": "a'b \"$HOME\" `x` \\ \n!"}, Dir: "/"}, "a'b \"$HOME\" `x` \\ \n!|/"},
			{"PATH", Command{Script: `case ":$PATH:" in *:/mine:/usr/local/bin:*:/sbin:*) echo yes;; esac`, Shell: "/bin/sh"}, "yes\n"},
			{"long", Command{Script: long + "cat; echo end", Shell: "/bin/sh"}, "end\n"},
			{"long, with input", Command{Script: long + "cat; echo end", Shell: "/bin/sh", Stdin: []byte("in\n")}, "in\nend\n"},
		} {
			j, err := newJob("nexus", c.cmd, Config{}, false)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), shell, "-c", j.text)
			cmd.Env = []string{"PATH=/usr/bin:/bin:/mine"}
			cmd.Stdin = strings.NewReader(string(j.stdin))
			got, err := cmd.CombinedOutput()
			if err != nil || string(got) != c.want {
				t.Errorf("%s, %s: %q, %v; want %q", shell, c.name, got, err, c.want)
			}
		}
	}
	// Without any PATH there is no empty entry: that would be the current folder.
	j, err := newJob("nexus", Command{Script: `echo "$PATH"`, Shell: "/bin/sh"}, Config{}, false)
	if err != nil {
		t.Fatal(err)
	}
	got, err := exec.CommandContext(t.Context(), "sh", "-c", "unset PATH; "+j.text).CombinedOutput()
	if err != nil || string(got) != systemPath+"\n" {
		t.Errorf("without a PATH: %q, %v", got, err)
	}
}

// Environment, folder, input and a script of any size come through sudo, which
// clears the environment.
func TestSudo(t *testing.T) {
	bin := t.TempDir()
	sudo := "#!/bin/sh\n[ \"$1 $2\" = \"-n --\" ] || exit 9\nshift 2\nexec env -i SUDO=yes \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "sudo"), []byte(sudo), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, long := range []string{"", "# " + strings.Repeat("x", 2*maxExecText) + "\n"} {
		j, err := newJob("nexus", Command{
			Script: long + `printf '%s|%s|%s|%s|' "$SUDO" "$A" "$PWD" "${SSHPOOL_ID:+marked}"; cat`, Shell: "/bin/sh", Sudo: true,
			Env: map[string]string{"A": "a b"}, Dir: "/", Stdin: []byte("in"),
		}, Config{}, false)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", j.text)
		cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
		cmd.Stdin = strings.NewReader(string(j.stdin))
		got, err := cmd.CombinedOutput()
		if want := "yes|a b|/|marked|in"; err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

func TestQuote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := strings.ReplaceAll(rapid.String().Draw(t, "word"), "\x00", "")
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+quote(word)).Output()
		if err != nil || string(out) != word {
			t.Fatalf("%q became %q, %v", word, out, err)
		}
	})
}
