//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

// execLine is one command's line of "lifeline exec --json"; the last line has
// the summary.
type execLine struct {
	Host           string  `json:"host"`
	Command        string  `json:"command"`
	Outcome        string  `json:"outcome"`
	ExitStatus     *int    `json:"exit_status"`
	Stdout         string  `json:"stdout"`
	Stderr         string  `json:"stderr"`
	Truncated      bool    `json:"truncated"`
	Reused         bool    `json:"reused"`
	QueueSeconds   float64 `json:"queue_seconds"`
	ConnectSeconds float64 `json:"connect_seconds"`
	RunSeconds     float64 `json:"run_seconds"`
	Error          string  `json:"error"`
	Hint           string  `json:"hint"`

	Summary *execSummary `json:"summary"`
}

type execSummary struct {
	Commands          int     `json:"commands"`
	ConnectionsOpened int     `json:"connections_opened"`
	ConnectionsReused int     `json:"connections_reused"`
	Timeouts          int     `json:"timeouts"`
	Unknown           int     `json:"unknown"`
	DurationSeconds   float64 `json:"duration_seconds"`
}

// execJSON reads what exec printed: its commands in order, and the summary.
func execJSON(t *testing.T, got ran) ([]execLine, execSummary) {
	t.Helper()
	var lines []execLine
	for text := range strings.Lines(got.stdout) {
		var line execLine
		dec := json.NewDecoder(strings.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&line); err != nil {
			t.Fatalf("%v in the line %s", err, text)
		}
		lines = append(lines, line)
	}
	if len(lines) < 2 || lines[len(lines)-1].Summary == nil {
		t.Fatalf("want a line for each command and a summary, got:\n%s%s", got.stdout, got.stderr)
	}
	return lines[:len(lines)-1], *lines[len(lines)-1].Summary
}

// Every cause has its own exit status and says what to type next.
func TestExecExitStatuses(t *testing.T) {
	dir := newDir(t)
	server := startSSHD(t, dir, "SetEnv DOCKER_HOST=unix:///nowhere/docker.sock")
	stranger := startSSHD(t, filepath.Join(dir, "stranger")) // known_hosts does not have it
	impostor := startSSHD(t, filepath.Join(dir, "impostor")) // known_hosts has another key for it
	otherKey, otherPublic := writeKey(t, filepath.Join(dir, "other_key"))
	known := strings.TrimSpace(readFile(t, server.knownHosts)) + "\n" +
		fmt.Sprintf("[127.0.0.1]:%s %s", impostor.port, ssh.MarshalAuthorizedKey(otherPublic))
	host := func(name, address, identity string) string {
		return fmt.Sprintf("  %s: {address: %q, user: %s, identity: %q, mode: auto}\n", name, address, account, identity)
	}
	p := install(t, dir, writeFile(t, filepath.Join(dir, "known_hosts"), known),
		host("nexus", server.address, server.identity)+
			host("stranger", stranger.address, stranger.identity)+
			host("impostor", impostor.address, impostor.identity)+
			host("locked-out", server.address, otherKey)+
			host("nowhere", freeAddress(t), server.identity), "")

	for _, test := range []struct {
		name    string
		args    []string
		status  int
		outcome string   // of the only command in the JSON; "": exec does not come so far
		says    []string // in the JSON's error or on standard error
	}{
		{"success", []string{"nexus", "--", "uname"}, 0, "exited", nil},
		{"a command that fails", []string{"nexus", "--", "docker ps"}, 1, "exited", nil},
		{"no host", nil, 2, "", []string{"no host given", "--help"}},
		{"unknown flag", []string{"--frobnicate", "nexus", "--", "uname"}, 2, "", []string{"frobnicate", "--help"}},
		{"host that is not configured", []string{"skynet", "--", "uname"}, 2, "", []string{`"skynet"`, "nexus"}},
		{"unreachable host", []string{"nowhere", "--", "uname"}, 3, "not_started", []string{"refused"}},
		{"unknown host key", []string{"stranger", "--", "uname"}, 4, "not_started", []string{"SHA256:"}},
		{"changed host key", []string{"impostor", "--", "uname"}, 4, "not_started", []string{ssh.FingerprintSHA256(otherPublic)}},
		{"refused by the policy", []string{"nexus", "--", "rm -rf /srv/data"}, 5, "refused", []string{"rm"}},
		{"a key that the host does not accept", []string{"locked-out", "--", "uname"}, 6, "not_started", []string{account}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := p.command(t, append([]string{"exec", "--json"}, test.args...)...)
			if got.status != test.status {
				t.Errorf("exit status %d, want %d\n%s%s", got.status, test.status, got.stdout, got.stderr)
			}
			said := got.stderr
			if test.outcome != "" {
				lines, summary := execJSON(t, got)
				if len(lines) != 1 || lines[0].Outcome != test.outcome || summary.Commands != 1 {
					t.Fatalf("want one command with outcome %s, got:\n%s", test.outcome, got.stdout)
				}
				if exited := lines[0].ExitStatus != nil; exited != (test.outcome == "exited") {
					t.Errorf("exit_status is there: %v, the outcome is %s", exited, test.outcome)
				}
				said += lines[0].Error + "\n" + lines[0].Hint
			}
			for _, want := range test.says {
				if !strings.Contains(said, want) {
					t.Errorf("want %q in:\n%s", want, said)
				}
			}
		})
	}
}

// The JSON lines of exec are a contract: the fields are there, all of them,
// whatever happened.
func TestExecJSONHasItsFields(t *testing.T) {
	dir := newDir(t)
	server := startSSHD(t, dir)
	p := install(t, dir, server.knownHosts, nexus(server), "")
	for _, command := range []string{"uname", "rm -rf /srv/data"} {
		got := p.command(t, "exec", "--json", "nexus", "--", command)
		first, last, _ := strings.Cut(got.stdout, "\n")
		for text, want := range map[string][]string{
			first: {"command", "connect_seconds", "exit_status", "host", "outcome", "queue_seconds", "reused", "run_seconds", "stderr", "stdout", "truncated"},
			last:  {"summary"},
		} {
			var fields map[string]json.RawMessage
			if err := json.Unmarshal([]byte(text), &fields); err != nil {
				t.Fatalf("%v in %q (%s)", err, text, got.stderr)
			}
			delete(fields, "error")
			delete(fields, "hint")
			if diff := cmp.Diff(want, slices.Sorted(maps.Keys(fields))); diff != "" {
				t.Errorf("%s: fields (-want +got):\n%s", command, diff)
			}
		}
	}
}

// A batch runs at once over one connection, counted by sshd.
func TestExecBatchOpensOneConnection(t *testing.T) {
	dir := newDir(t)
	server := startSSHD(t, dir)
	p := install(t, dir, server.knownHosts, nexus(server), "")
	const commands = 24 // as many as the founding story had connections
	batch := writeFile(t, filepath.Join(dir, "batch"), "# what a model asks for\n\n"+strings.Repeat("uname -n\nuptime\n", commands/2))

	got := p.command(t, "exec", "--batch", batch, "--json", "nexus")
	if got.status != 0 {
		t.Fatalf("exit status %d\n%s%s", got.status, got.stdout, got.stderr)
	}
	lines, summary := execJSON(t, got)
	if n := server.accepted(t); n != 1 {
		t.Errorf("sshd accepted %d connections, want 1", n)
	}
	summary.DurationSeconds = 0
	// Who asks while the first dial is under way has not found an open
	// connection: how many did depends on the moment.
	reused := 0
	for i, line := range lines {
		if want := []string{"uname -n", "uptime"}[i%2]; line.Command != want || line.Stdout == "" {
			t.Errorf("line %d is about %q with output %q, want %q with some", i, line.Command, line.Stdout, want)
		}
		if line.Reused {
			reused++
		}
	}
	if diff := cmp.Diff(execSummary{Commands: commands, ConnectionsOpened: 1, ConnectionsReused: reused}, summary); diff != "" {
		t.Errorf("the summary (-want +got):\n%s", diff)
	}
}

// Three commands of one second each, in one batch, take about one second.
func TestExecBatchRunsAtTheSameTime(t *testing.T) {
	dir := newDir(t)
	server := startSSHD(t, dir)
	p := install(t, dir, server.knownHosts, nexus(server), "")
	got := p.command(t, "exec", "--batch", writeFile(t, filepath.Join(dir, "batch"), strings.Repeat("sleep 1\n", 3)), "--json", "nexus")
	if got.status != 0 {
		t.Fatalf("exit status %d\n%s%s", got.status, got.stdout, got.stderr)
	}
	lines, summary := execJSON(t, got)
	oneByOne := 0.0
	for _, line := range lines {
		oneByOne += line.RunSeconds
		if line.RunSeconds < 1 {
			t.Errorf("%q took %.3f s, want a second or more", line.Command, line.RunSeconds)
		}
	}
	t.Logf("three commands of one second took %.3f s with the connection, %.3f s one by one", summary.DurationSeconds, oneByOne)
	if summary.DurationSeconds >= oneByOne {
		t.Errorf("the batch took %.3f s, as long as its commands one by one (%.3f s)", summary.DurationSeconds, oneByOne)
	}
}
