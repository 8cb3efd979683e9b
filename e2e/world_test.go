//go:build e2e

package e2e

import (
	"fmt"
	"testing"
)

// world is the machine nexus with its service, the monitoring that watches it,
// and Lifeline, which is told by the monitoring and reaches nexus over SSH.
type world struct {
	sshd       *sshd
	docker     *dockerd
	service    *service
	lifeline   *product
	monitoring *monitoring
}

// newWorld starts everything. more is added to Lifeline's configuration and env
// to its environment.
func newWorld(t *testing.T, more string, env ...string) *world {
	t.Helper()
	dir := newDir(t)
	w := &world{docker: startDockerd(t, dir)}
	w.service = startService(t, dir, w.docker)
	// Whoever comes in over SSH finds this story's docker, not the machine's.
	w.sshd = startSSHD(t, dir, "SetEnv DOCKER_HOST="+w.docker.host)
	w.lifeline = install(t, dir, w.sshd.knownHosts, nexus(w.sshd),
		"respond: {max_changes: 2, verify_for: 3s, verify_timeout: 20s, alert_timeout: 60s}\n"+more, env...)
	w.lifeline.serve(t)
	w.monitoring = startMonitoring(t, dir, w.docker, w.lifeline.url+"/webhook/alertmanager", w.lifeline.token)
	return w
}

// quiet waits until the monitoring sees nothing wrong any more.
func (w *world) quiet(t *testing.T) {
	t.Helper()
	eventually(t, "Alertmanager has no alert any more", func() error {
		firing, err := w.monitoring.firing(t)
		if err == nil && len(firing) > 0 {
			err = fmt.Errorf("it has one for %v", firing)
		}
		return err
	})
}

// shutDown ends the service as a service manager does, and looks at what it
// leaves: nothing.
func (w *world) shutDown(t *testing.T) {
	t.Helper()
	opened := w.lifeline.logged(t, "ssh_connection_established")
	if status := w.lifeline.stop(t); status != 0 {
		t.Errorf("lifeline serve ended with status %d after SIGTERM, want 0", status)
	}
	if closed := w.lifeline.logged(t, "ssh_connection_closed"); closed != opened {
		t.Errorf("%d connections were opened and %d closed", opened, closed)
	}
}
