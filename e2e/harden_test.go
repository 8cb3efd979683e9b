//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What hosts harden prints is held against the programs that read it: visudo
// finds nothing wrong, cvtsudoers reads the very arguments that Lifeline sends,
// sudo itself lets these through and nothing beside them, sshd takes the
// settings, and a shell reads the whole.
func TestHardenStory(t *testing.T) {
	dir := newDir(t)
	p := install(t, dir, filepath.Join(dir, "known_hosts"), "  nexus: {address: 192.0.2.1, user: "+account+", mode: auto}\n  inner: {address: 192.0.2.2, proxy_jump: nexus}", "")
	printed := p.command(t, "hosts", "harden", "nexus", "--unit", `nginx.service,app@a:b.service,data\x2dsync`, "--container", "web.1", "--from", "192.0.2.9")
	if printed.status != 0 {
		t.Fatalf("status %d: %s", printed.status, printed.stderr)
	}
	script := writeFile(t, filepath.Join(dir, "harden.sh"), printed.stdout)
	mustRun(t, "sh", "-n", script)
	sudoers := writeFile(t, filepath.Join(dir, "sudoers"), hereDocument(t, printed.stdout, "SUDOERS"))
	if err := os.Chmod(sudoers, 0o440); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "visudo", "-c", "-f", sudoers)

	var read struct {
		UserSpecs []struct {
			CmndSpecs []struct {
				Commands []struct{ Command string }
			} `json:"Cmnd_Specs"`
		} `json:"User_Specs"`
	}
	if err := json.Unmarshal([]byte(mustRun(t, "cvtsudoers", "-f", "json", sudoers)), &read); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range read.UserSpecs {
		for _, c := range u.CmndSpecs {
			for _, cmd := range c.Commands {
				got = append(got, cmd.Command)
			}
		}
	}
	want := []string{"/usr/bin/docker start web.1", "/usr/bin/docker restart web.1"}
	for _, verb := range []string{"start", "restart", "try-restart", "reload", "reload-or-restart", "reset-failed"} {
		for _, unit := range []string{"nginx.service", "nginx", "app@a:b.service", "app@a:b", `data\x2dsync`, `data\x2dsync.service`} {
			want = append(want, "/usr/bin/systemctl "+verb+" "+unit)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	// cvtsudoers shows a backslash as sudoers writes it.
	for i := range got {
		got[i] = strings.NewReplacer(`\\`, `\`, `\:`, `:`).Replace(got[i])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands that sudo reads (-want +got):\n%s", diff)
	}
	letsThrough(t, dir, sudoers)

	settings := writeFile(t, filepath.Join(dir, "sshd", "10-lifeline.conf"), hereDocument(t, printed.stdout, "SSHD"))
	server := startSSHD(t, dir, "Include "+settings)
	if server.address == "" {
		t.Error("sshd does not start with the settings")
	}
}

// letsThrough asks sudo, as the account, about commands. Only the asking
// process sees the account, the file and the two programs.
func letsThrough(t *testing.T, dir, sudoers string) {
	t.Helper()
	bin := filepath.Join(dir, "bin")
	for _, name := range []string{"systemctl", "docker"} {
		if err := os.Chmod(writeFile(t, filepath.Join(bin, name), "#!/bin/sh\nexit 0\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.ReplaceAll(readFile(t, sudoers), "/usr/bin/", bin+"/") + fmt.Sprintf("Defaults secure_path=%q\n", bin)
	local := writeFile(t, filepath.Join(dir, "sudoers-here"), text)
	if err := os.Chmod(local, 0o440); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "sudo"), 0o755); err != nil {
		t.Fatal(err)
	}
	users := writeUsers(t, filepath.Join(dir, "sudo"))
	ask := func(command ...string) error {
		args := append([]string{"--mount", "--propagation", "private", "sh", "-c",
			`mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/sudoers && shift 2 && exec setpriv --reuid="$0" --regid="$0" --clear-groups sudo -n -l "$@"`,
			fmt.Sprint(accountID), users, local}, command...)
		out, err := exec.CommandContext(t.Context(), "unshare", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	for _, command := range []string{"systemctl restart nginx", "systemctl restart nginx.service", "systemctl reload app@a:b.service", `systemctl start data\x2dsync`, "docker restart web.1", "docker start web.1"} {
		if err := ask(strings.Fields(command)...); err != nil {
			t.Errorf("sudo does not let %q through: %v", command, err)
		}
	}
	for _, command := range []string{
		"systemctl restart sshd", "systemctl stop nginx", "systemctl restart nginx sshd", "systemctl restart", "systemctl", "systemctl --force restart nginx", "systemctl restart nginx.socket",
		"systemctl edit nginx", "docker restart web", "docker restart web.1 db", "docker restart webx1", "docker run alpine", "docker", "docker -H tcp://evil restart web.1", "sh", "cat /etc/shadow",
	} {
		if err := ask(strings.Fields(command)...); err == nil {
			t.Errorf("sudo lets %q through", command)
		}
	}
}

// hereDocument is what a script writes into a file.
func hereDocument(t *testing.T, script, name string) string {
	t.Helper()
	_, rest, found := strings.Cut(script, "<<'"+name+"'\n")
	text, _, ended := strings.Cut(rest, "\n"+name+"\n")
	if !found || !ended {
		t.Fatalf("the script has no document %s:\n%s", name, script)
	}
	return text + "\n"
}

// mustRun runs a program of the machine and gives its output.
func mustRun(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}
