//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeline"
)

const (
	// nodeLease is short, for a story that waits for its end.
	nodeLease = 8 * time.Second
	// slowStart is how long the change of these stories takes: long enough to
	// end a node in the middle of it.
	slowStart = 5 * time.Second
	// takeOverWithin is what is promised about a node whose process died.
	takeOverWithin = 15 * time.Second
)

// cluster is two nodes on one Postgres, and the machine nexus that both reach.
type cluster struct {
	postgres *postgres
	url      string
	docker   *dockerd
	service  *service
	sshd     *sshd
	// journal has a line for each change that really began on nexus, and one for
	// its end.
	journal string
	nodes   map[string]*product
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	dir := newDir(t)
	c := &cluster{postgres: startPostgres(t), docker: startDockerd(t, dir), nodes: map[string]*product{}}
	c.url = c.postgres.url(t)
	c.service = startService(t, dir, c.docker)
	bin := c.slowDocker(t, dir)
	c.sshd = startSSHD(t, dir, "SetEnv DOCKER_HOST="+c.docker.host+" PATH="+bin+":/usr/local/bin:/usr/bin:/bin")
	key := filepath.Join(dir, "record.key")
	for _, name := range []string{"anna", "bert"} {
		n := installAt(t, filepath.Join(dir, name), c.sshd.knownHosts, nexus(c.sshd), fmt.Sprintf(`
responder: runbook
respond:   {max_changes: 1, verify_for: 10s, verify_timeout: 30s, alert_timeout: 60s}
store:     {url: %q, key_file: %q}
node:      {name: %s, heartbeat: 500ms, lease: %s}
`, c.url, key, name, nodeLease))
		n.serve(t)
		c.nodes[name] = n
	}
	eventually(t, "both nodes have been there for as long as a lease", func() error {
		rows := c.postgres.query(t, c.url, `SELECT count(*) FROM nodes WHERE lease_until > extract(epoch FROM clock_timestamp()) * 1000000
			AND started_at + $1 < extract(epoch FROM clock_timestamp()) * 1000000`, (nodeLease + time.Second).Microseconds())
		if rows[0][0] != int64(2) {
			return fmt.Errorf("%v have", rows[0][0])
		}
		return nil
	})
	return c
}

// slowDocker is a docker command that takes its time to start a container and
// keeps a journal of it.
func (c *cluster) slowDocker(t *testing.T, dir string) (bin string) {
	t.Helper()
	real, err := exec.LookPath("docker")
	if err != nil {
		t.Fatal(err)
	}
	bin = filepath.Join(dir, "bin")
	c.journal = filepath.Join(dir, "journal")
	script := fmt.Sprintf("#!/bin/sh\nif [ \"$1\" = start ]; then echo began >>%s; sleep %d; %s \"$@\"; status=$?; echo ended >>%s; exit $status; fi\nexec %s \"$@\"\n",
		c.journal, int(slowStart.Seconds()), real, c.journal, real)
	program := writeFile(t, filepath.Join(bin, "docker"), script)
	writeFile(t, c.journal, "")
	if err := errors.Join(os.Chmod(program, 0o755), os.Chmod(c.journal, 0o666)); err != nil {
		t.Fatal(err)
	}
	return bin
}

// began counts the changes that really began on nexus.
func (c *cluster) began(t *testing.T) int {
	t.Helper()
	return strings.Count(readFile(t, c.journal), "began")
}

// worker waits until a change has begun, and gives the node that makes it and the
// other one.
func (c *cluster) worker(t *testing.T) (worker, other *product, name string) {
	t.Helper()
	eventually(t, "a change has begun", func() error {
		if c.began(t) == 0 {
			return errors.New("it has not")
		}
		return nil
	})
	rows := c.postgres.query(t, c.url, `SELECT executor_id FROM dbos.workflow_status WHERE status = 'PENDING'`)
	if len(rows) != 1 {
		t.Fatalf("%d incidents are being worked: %v", len(rows), rows)
	}
	name = rows[0][0].(string)
	for n, p := range c.nodes {
		if n != name {
			other = p
		}
	}
	return c.nodes[name], other, name
}

// alert tells a node about the container.
func (p *product) alert(t *testing.T, status lifeline.AlertStatus) {
	t.Helper()
	labels := map[string]string{"alertname": "ContainerDown", "host": "nexus", "name": scrypted, "severity": "critical"}
	body, err := json.Marshal(map[string]any{"version": "4", "status": status, "receiver": "lifeline", "groupKey": "{}:{}",
		"alerts": []any{map[string]any{"status": status, "labels": labels, "startsAt": time.Now().UTC(), "fingerprint": "f00d"}}})
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
	if resp.StatusCode/100 != 2 {
		t.Fatalf("the alert was answered with %s", resp.Status)
	}
}

// takenOver waits until a node has taken over from another and gives how long
// that took from since.
func (p *product) takenOver(t *testing.T, since time.Time, limit time.Duration) time.Duration {
	t.Helper()
	within(t, limit, "the other node has taken over", func() error {
		if p.logged(t, "incident_taken_over") == 0 {
			return errors.New("its log does not say so")
		}
		return nil
	})
	return time.Since(since)
}

// assertOnce looks at the end of a story in which a node was lost in the middle
// of a change: it ran once, its outcome is called unknown, a look at the state
// has found it well, and the record is whole.
func (c *cluster) assertOnce(t *testing.T, left *product, lost string) {
	t.Helper()
	eventually(t, "the container runs", func() error { return c.service.well(t) })
	left.alert(t, lifeline.AlertResolved)
	file := left.ended(t)
	if n := c.began(t); n != 1 {
		t.Errorf("the change began %d times on the host, want once", n)
	}
	if s := file.Incident.State; s != lifeline.StateResolved && s != lifeline.StateEscalated {
		t.Errorf("the incident is %s: %s", s, file.Incident.Reason)
	}
	t.Logf("the incident is %s: %s", file.Incident.State, file.Incident.Reason)
	changes := 0
	for _, cmd := range file.Commands {
		if cmd.Class != "change" {
			continue
		}
		changes++
		if cmd.Outcome != lifeline.OutcomeUnknown {
			t.Errorf("the change is on record as %s, and nobody saw its end", cmd.Outcome)
		}
	}
	if changes != 1 {
		t.Errorf("%d changes are on record, want one", changes)
	}
	rows := c.postgres.query(t, c.url, `SELECT text FROM events WHERE kind = 'node_lost'`)
	if len(rows) != 1 || !strings.Contains(fmt.Sprint(rows[0][0]), "node "+lost+" ") {
		t.Errorf("on record about lost nodes: %v", rows)
	}
	if got := left.command(t, "audit", "verify"); got.status != 0 {
		t.Errorf("audit verify: %d\n%s%s", got.status, got.stdout, got.stderr)
	}
}

// A node whose process is killed in the middle of a repair: the other goes on
// with it, and does not repeat the change.
func TestNodesKill(t *testing.T) {
	c := newCluster(t)
	c.docker.docker(t, "stop", scrypted)
	c.nodes["anna"].alert(t, lifeline.AlertFiring)

	worker, other, name := c.worker(t)
	killed := time.Now()
	if err := worker.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-worker.process.ended
	t.Logf("from the SIGKILL to the other node's going on: %.1f s", other.takenOver(t, killed, takeOverWithin).Seconds())

	c.assertOnce(t, other, name)
	if status := other.stop(t); status != 0 {
		t.Errorf("the node that was left ended with status %d", status)
	}
}

// A node that is stopped for longer than its lease, its connections standing:
// when it goes on it neither acts nor writes, and ends by itself.
func TestNodesStop(t *testing.T) {
	c := newCluster(t)
	c.docker.docker(t, "stop", scrypted)
	c.nodes["bert"].alert(t, lifeline.AlertFiring)

	worker, other, name := c.worker(t)
	stopped := time.Now()
	if err := worker.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = worker.cmd.Process.Signal(syscall.SIGCONT) }) // or it could not end
	t.Logf("from the SIGSTOP to the other node's going on: %.1f s, with a lease of %s", other.takenOver(t, stopped, patience).Seconds(), nodeLease)
	c.assertOnce(t, other, name)
	before := c.postgres.query(t, c.url, `SELECT seq, hash FROM chain_head`)

	if err := worker.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-worker.process.ended:
	case <-time.After(patience):
		t.Fatal("the late node goes on")
	}
	if status := worker.cmd.ProcessState.ExitCode(); status != lifeline.CodeFenced.ExitStatus() {
		t.Errorf("the late node ended with status %d, want %d", status, lifeline.CodeFenced.ExitStatus())
	}
	if worker.logged(t, "node_fenced") != 1 {
		t.Error("the late node's log does not say that it was fenced")
	}
	if after := c.postgres.query(t, c.url, `SELECT seq, hash FROM chain_head`); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the late node has written: the record ended with %v and ends with %v", before, after)
	}
	if n := c.began(t); n != 1 {
		t.Errorf("the change began %d times on the host, want once", n)
	}
	if status := other.stop(t); status != 0 {
		t.Errorf("the node that was left ended with status %d", status)
	}
}
