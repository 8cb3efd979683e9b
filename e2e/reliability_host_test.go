//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeline"
)

// slowHost is a host behind a real sshd on which "docker start web" takes two
// seconds and writes a line into a journal when it begins. Docker itself is a
// script: how long its changes take has to be in the test's hands.
type slowHost struct {
	*sshd
	dir string
}

func startSlowHost(t *testing.T, dir string) *slowHost {
	t.Helper()
	h := &slowHost{dir: filepath.Join(dir, "host")}
	h.write(t, "state", "exited\n")
	h.write(t, "journal", "")
	program := writeFile(t, filepath.Join(h.dir, "bin", "docker"), strings.ReplaceAll(`#!/bin/sh
status=$(cat DIR/state)
case "$*" in
"start web")
	echo begun >> DIR/journal
	sleep 2
	echo running > DIR/state
	echo web ;;
*"{{json .State}}"*)
	running=false; [ "$status" = running ] && running=true
	printf '/web web:1 0 {"Status":"%s","Running":%s,"ExitCode":0,"StartedAt":"2026-05-06T07:08:09Z","FinishedAt":"2026-05-06T07:08:09Z"}\n' "$status" "$running" ;;
*"inspect --format {{.State.Status}} web"*)
	echo "$status" ;;
*)
	echo "nothing to see" ;;
esac
`, "DIR", h.dir))
	for _, name := range []string{program, h.dir, filepath.Dir(program)} {
		if err := os.Chmod(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{h.dir, filepath.Join(h.dir, "state"), filepath.Join(h.dir, "journal")} {
		if err := os.Chown(name, accountID, accountID); err != nil {
			t.Fatal(err)
		}
	}
	h.sshd = startSSHD(t, dir, "SetEnv PATH="+filepath.Dir(program)+":/usr/bin:/bin")
	return h
}

func (h *slowHost) write(t *testing.T, name, text string) {
	t.Helper()
	writeFile(t, filepath.Join(h.dir, name), text)
}

// begun counts the changes that the host has begun.
func (h *slowHost) begun(t *testing.T) int {
	t.Helper()
	return strings.Count(readFile(t, filepath.Join(h.dir, "journal")), "begun")
}

func (h *slowHost) running(t *testing.T) bool {
	t.Helper()
	return strings.TrimSpace(readFile(t, filepath.Join(h.dir, "state"))) == "running"
}

// knowsHost is a known_hosts file with the host in it.
func (h *slowHost) product(t *testing.T, dir string) *product {
	t.Helper()
	return install(t, dir, h.knownHosts, nexus(h.sshd), "responder: runbook\nrespond: {verify_for: 4s, verify_timeout: 20s, alert_timeout: 60s}\n")
}

// post sends an alert about the container web, with a summary, and gives the
// answer.
func (p *product) post(t *testing.T, status lifeline.AlertStatus, summary string) (int, http.Header) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"version": "4", "status": status, "alerts": []any{map[string]any{
		"status": status, "labels": map[string]string{"alertname": "ContainerDown", "host": "nexus", "container": "web"},
		"annotations": map[string]string{"summary": summary}, "startsAt": "2026-05-06T07:08:09Z", "fingerprint": "web",
	}}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/webhook/alertmanager", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // only the status counts
	return resp.StatusCode, resp.Header
}

func (p *product) readiness(t *testing.T) int {
	t.Helper()
	resp, err := http.Get(p.url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// sshd dies in the middle of a change, or only what serves the connection does:
// no exit status is invented, the change is unknown on record and not run again,
// and the incident ends by a look at the thing itself.
func TestSSHDDiesInAChange(t *testing.T) {
	for _, name := range []string{"the process of the connection", "sshd, which is started again"} {
		t.Run(name, func(t *testing.T) {
			dir := newDir(t)
			h := startSlowHost(t, dir)
			p := h.product(t, dir)
			p.serve(t)
			if status, _ := p.post(t, lifeline.AlertFiring, "web is down"); status != http.StatusOK {
				t.Fatalf("the webhook answered %d", status)
			}
			eventually(t, "the change has begun", func() error {
				if h.begun(t) == 0 {
					return fmt.Errorf("%d changes", h.begun(t))
				}
				return nil
			})
			h.cut(t, strings.HasPrefix(name, "sshd"))
			eventually(t, "the container runs", func() error {
				if !h.running(t) {
					return fmt.Errorf("%s", readFile(t, filepath.Join(h.dir, "state")))
				}
				return nil
			})
			if status, _ := p.post(t, lifeline.AlertResolved, "web is up"); status != http.StatusOK {
				t.Fatalf("the webhook answered %d", status)
			}
			c := p.ended(t)
			for _, cmd := range c.Commands {
				if cmd.Class != "read" && (cmd.Outcome != lifeline.OutcomeUnknown || cmd.ExitStatus != nil) {
					t.Errorf("%q is %s with %v on record, want unknown", cmd.Canonical, cmd.Outcome, cmd.ExitStatus)
				}
			}
			if got := c.changes(); len(got) != 1 || h.begun(t) != 1 {
				t.Errorf("changes on record %q, and the host has begun %d", got, h.begun(t))
			}
			if c.Incident.State != lifeline.StateResolved {
				t.Errorf("the incident is %s: %s", c.Incident.State, c.Incident.Reason)
			}
			if got := p.command(t, "audit", "verify"); got.status != 0 {
				t.Errorf("audit verify: %s%s", got.stdout, got.stderr)
			}
			p.stop(t)
		})
	}
}

// cut kills the processes of sshd that serve connections, and sshd itself too if
// it is to be started again. What they have started lives on.
func (h *slowHost) cut(t *testing.T, restart bool) {
	t.Helper()
	serving := childrenOf(t, h.cmd.Process.Pid)
	for _, pid := range serving { // the privileged half, and the account's
		serving = append(serving, sshdChildren(t, pid)...)
	}
	if len(serving) == 0 {
		t.Fatal("nobody serves a connection")
	}
	if restart {
		_ = h.cmd.Process.Kill()
		<-h.ended
	}
	for _, pid := range serving {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill()
		}
	}
	if restart {
		h.process = start(t, filepath.Dir(h.dir), "sshd-again", os.Environ(), h.cmd.Args...)
	}
}

// sshdChildren are a process's children that are sshd too.
func sshdChildren(t *testing.T, pid int) (all []int) {
	t.Helper()
	stats := processes(t)
	for _, child := range childrenOf(t, pid) {
		if strings.Contains(stats[child], "(sshd") {
			all = append(all, child)
		}
	}
	return all
}
