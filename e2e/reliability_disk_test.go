//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lifeline"
)

// onDiskOf moves the database into a folder of its own, which only the service
// sees as what the mounts make of it.
func (p *product) onDiskOf(t *testing.T) (folder string) {
	t.Helper()
	folder = filepath.Join(p.dir, "db")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, p.config, strings.ReplaceAll(readFile(t, p.config), filepath.Join(p.dir, "lifeline.db"), filepath.Join(folder, "lifeline.db")))
	return folder
}

// The disk of the database is full when an alert comes: its sender is told to
// come again, the readiness is red and nothing is run. When there is room again,
// the alert is taken and worked.
func TestFullDisk(t *testing.T) {
	dir := newDir(t)
	h := startSlowHost(t, dir)
	p := h.product(t, dir)
	folder := p.onDiskOf(t)
	// A disk of its own, in a mount namespace of its own.
	p.process = start(t, p.dir, "lifeline", p.env, "unshare", "--mount", "--propagation", "private", "sh", "-c",
		`mount -t tmpfs -o size=4m,mode=0700 tmpfs "$1" && shift && exec "$@"`, "sh", folder, binary(t, "lifeline"), "serve", "-c", p.config)
	p.listening(t)
	seen := filepath.Join("/proc", fmt.Sprint(p.cmd.Process.Pid), "root", folder) // the folder as the service sees it
	if status := p.readiness(t); status != http.StatusOK {
		t.Fatalf("the readiness is %d before the disk is full", status)
	}
	if status, _ := p.post(t, lifeline.AlertResolved, "long ago"); status != http.StatusOK {
		t.Fatalf("the webhook answered %d before the disk is full", status)
	}
	filler := filepath.Join(seen, "filler")
	fill(t, filler)
	eventually(t, "the readiness is red", func() error {
		if status := p.readiness(t); status != http.StatusServiceUnavailable {
			return fmt.Errorf("it is %d", status)
		}
		return nil
	})
	big := strings.Repeat("x", 64<<10)
	status, header := p.post(t, lifeline.AlertFiring, big)
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("the webhook answered %d, Retry-After %q, want 503 and a time", status, header.Get("Retry-After"))
	}
	if n := h.begun(t); n != 0 {
		t.Errorf("%d changes were begun on a full disk", n)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if status, _ := p.post(t, lifeline.AlertFiring, "web is down"); status != http.StatusOK {
		t.Fatalf("the webhook answered %d when there was room again", status)
	}
	eventually(t, "the change has begun", func() error {
		if h.begun(t) == 0 {
			return errors.New("none has")
		}
		return nil
	})
	// Full again in the middle of a change, until the host has made it.
	fill(t, filler)
	eventually(t, "the container runs", func() error {
		if !h.running(t) {
			return errors.New("it does not")
		}
		return nil
	})
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if status, _ := p.post(t, lifeline.AlertResolved, "web is up"); status != http.StatusOK {
		t.Fatalf("the webhook answered %d when there was room again", status)
	}
	eventually(t, "the incident is at its end", func() error {
		if p.logged(t, "incident_ended") == 0 {
			return errors.New("the log does not say so")
		}
		return nil
	})
	for _, end := range []string{"", "-wal", ".key"} { // the command line sees the machine's mounts, not the service's
		writeFile(t, filepath.Join(folder, "lifeline.db"+end), readFile(t, filepath.Join(seen, "lifeline.db"+end)))
	}
	c := p.ended(t)
	if n := h.begun(t); n != len(c.changes()) || n != 1 {
		t.Errorf("%d changes on record, and the host has begun %d", len(c.changes()), n)
	}
	if c.Incident.Reason == "" {
		t.Errorf("the incident is %s without a reason", c.Incident.State)
	}
	t.Logf("%s: %s", c.Incident.State, c.Incident.Reason)
	if got := p.command(t, "audit", "verify"); got.status != 0 {
		t.Errorf("audit verify: %s%s", got.stdout, got.stderr)
	}
	p.stop(t)
}

// fill writes a file until its disk is full.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(bytes.Repeat([]byte{1}, 4096))
	}
}

// listening waits until the service listens.
func (p *product) listening(t *testing.T) {
	t.Helper()
	line := regexp.MustCompile(`msg=listening address=(\S+)`)
	p.ready(t, func() error {
		found := line.FindStringSubmatch(p.log(t))
		if found == nil {
			return errors.New("it does not listen yet")
		}
		p.url = "http://" + found[1]
		return nil
	})
}

// A database that cannot be written does not open, and the service says why and
// what to look at.
func TestReadOnlyDisk(t *testing.T) {
	dir := newDir(t)
	p := install(t, dir, filepath.Join(dir, "known_hosts"), "  nexus: {address: \"127.0.0.1:1\"}", "responder: runbook\n")
	writeFile(t, filepath.Join(dir, "known_hosts"), "")
	folder := p.onDiskOf(t)
	for _, made := range []bool{false, true} {
		cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c",
			`mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"`, "sh", folder, binary(t, "lifeline"), "serve", "-c", p.config)
		cmd.Dir, cmd.Env = p.dir, p.env
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "database") || !strings.Contains(string(out), "read-only") {
			t.Errorf("with a database from before %t: %v\n%s", made, err, out)
		}
		if got := p.command(t, "incidents"); got.status != 0 { // makes the database
			t.Fatalf("%s%s", got.stdout, got.stderr)
		}
	}
}
