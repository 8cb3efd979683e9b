package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline/internal/cli"
)

// figures is what a script reads of the demo's JSON.
type figures struct {
	State             string   `json:"state"`
	Well              bool     `json:"well"`
	Commands          int      `json:"commands"`
	Changes           int      `json:"changes"`
	ConnectionsOpened int      `json:"connections_opened"`
	ConnectionsReused int      `json:"connections_reused"`
	Timeouts          int      `json:"timeouts"`
	SecondsToRepair   *float64 `json:"seconds_to_repair"`
	Comparison        struct {
		Commands, Parallel   int
		OneConnection        replay `json:"one_connection"`
		ConnectionPerCommand replay `json:"connection_per_command"`
	}
}

type replay struct {
	Connections, Failures int
	Seconds               float64
}

// alone gives the demo a machine with nothing on it, and the folder that its
// temporary files go to.
func alone(t *testing.T) (temp string) {
	t.Helper()
	temp = t.TempDir()
	for name, value := range map[string]string{"TMPDIR": temp, "HOME": t.TempDir(), "SSH_AUTH_SOCK": "", "ANTHROPIC_API_KEY": "", "HTTP_PROXY": "http://127.0.0.1:1"} {
		t.Setenv(name, value)
	}
	return temp
}

func demo(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = cli.Run(t.Context(), append([]string{"demo"}, args...), cli.IO{In: strings.NewReader(""), Out: &out, Err: &errs})
	return status, out.String(), errs.String()
}

func mustShow(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("it does not show %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func mustBeEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestDemoRepairs(t *testing.T) {
	temp := alone(t)
	status, stdout, stderr := demo(t, "--responder", "runbook", "--json")
	if status != 0 {
		t.Errorf("exit status %d", status)
	}
	mustShow(t, stderr, "received: ContainerDown is firing", "[container scrypted: running → exited]", "open → investigating",
		"judged read, allow: runs on nexus: docker inspect", "judged change, allow: runs on nexus: docker start scrypted", "[container scrypted: exited → running]",
		"verified: container scrypted on nexus: running", "ContainerDown is resolved", "verifying → resolved", "The incident is resolved", "works again  yes", "a connection per command")
	if strings.Contains(stderr, "\x1b") {
		t.Error("colours although it is no terminal")
	}
	var got figures
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("standard output is not JSON alone: %v\n%s", err, stdout)
	}
	if got.Commands < 10 || got.ConnectionsReused < got.Commands-8 || got.SecondsToRepair == nil || *got.SecondsToRepair <= 0 {
		t.Errorf("commands %d, connections reused %d, seconds to repair %v", got.Commands, got.ConnectionsReused, got.SecondsToRepair)
	}
	want := figures{State: "resolved", Well: true, Changes: 1, ConnectionsOpened: 1,
		Commands: got.Commands, ConnectionsReused: got.ConnectionsReused, SecondsToRepair: got.SecondsToRepair}
	want.Comparison.Commands, want.Comparison.Parallel = got.Commands, 8
	want.Comparison.OneConnection = replay{Connections: 1, Seconds: got.Comparison.OneConnection.Seconds}
	want.Comparison.ConnectionPerCommand = replay{Connections: got.Commands, Seconds: got.Comparison.ConnectionPerCommand.Seconds}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	mustBeEmpty(t, temp)
}

// A unit on the other host, with everything kept to be looked at afterwards.
func TestDemoKeeps(t *testing.T) {
	temp := alone(t)
	status, stdout, stderr := demo(t, "--break", "unit-failed", "--keep")
	if status != 0 || stderr != "" {
		t.Errorf("exit status %d, standard error %q", status, stderr)
	}
	mustShow(t, stdout, "received: SystemdUnitFailed is firing", "judged change, allow: runs on outpost: systemctl restart nginx.service", "The incident is resolved")
	_, command, ok := strings.Cut(stdout, "lifeline incidents show -c ")
	words := strings.Fields(command)
	if !ok || len(words) != 2 {
		t.Fatalf("it does not say how to look at what was kept:\n%s", stdout)
	}
	var out, errs bytes.Buffer
	shown := cli.Run(t.Context(), []string{"incidents", "show", "-c", words[0], words[1]}, cli.IO{In: strings.NewReader(""), Out: &out, Err: &errs})
	if shown != 0 || !strings.Contains(out.String(), "unit nginx.service on outpost") {
		t.Errorf("incidents show: status %d\n%s%s", shown, &out, &errs)
	}
	log, err := os.ReadFile(filepath.Join(filepath.Dir(words[0]), "lifeline.log"))
	if err != nil || filepath.Dir(filepath.Dir(words[0])) != temp {
		t.Errorf("kept in %s: %v", words[0], err)
	}
	mustShow(t, string(log), "reusing_ssh_connection", "ssh_connection_closed", "command_batch_completed")
}

func TestDemoEscalates(t *testing.T) {
	temp := alone(t)
	status, stdout, stderr := demo(t, "--responder", "runbook", "--break", "container-crash-loop")
	if status != 1 || stderr != "" {
		t.Errorf("exit status %d, want 1; standard error %q", status, stderr)
	}
	mustShow(t, stdout, "docker start scrypted", "escalated to a person", "The incident is escalated", "works again  no", "not repaired", "2 changed something")
	mustBeEmpty(t, temp)
}

// watched cancels when something was shown.
type watched struct {
	mu     sync.Mutex // guards shown
	shown  bytes.Buffer
	want   string
	cancel context.CancelFunc
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown.Write(p)
	if strings.Contains(w.shown.String(), w.want) {
		w.cancel()
	}
	return len(p), nil
}

func TestDemoInterrupted(t *testing.T) {
	temp := alone(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &watched{want: "judged read", cancel: cancel}
	var errs bytes.Buffer
	status := cli.Run(ctx, []string{"demo", "--responder", "runbook"}, cli.IO{In: strings.NewReader(""), Out: out, Err: &errs})
	if status != 1 || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit status %d, %q", status, &errs)
	}
	if strings.Contains(out.shown.String(), "The incident is") {
		t.Error("figures of an interrupted demo")
	}
	mustBeEmpty(t, temp)
}

func TestDemoUsage(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--break", "nothing"}, `--break "nothing": want one of container-exited`},
		{[]string{"--responder", "oracle"}, `--responder "oracle": want auto, model or runbook`},
		{[]string{"--responder", "model"}, "lifeline demo --responder runbook"},
		{[]string{"nexus"}, "unknown command"},
		{[]string{"--log-level", "loud"}, `log.level: want debug, info, warn or error`},
	} {
		temp := alone(t)
		status, stdout, stderr := demo(t, tt.args...)
		if status != 2 || stdout != "" || !strings.Contains(stderr, tt.want) {
			t.Errorf("%v: status %d, %q, want %q", tt.args, status, stdout+stderr, tt.want)
		}
		mustBeEmpty(t, temp)
	}
}
