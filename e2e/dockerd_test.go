//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// dockerd is a docker daemon with a socket, a data folder and a containerd of
// its own. It touches neither the machine's docker nor its network: it has no
// bridge and sets no packet filter rules, and containers have only a loopback.
type dockerd struct {
	*process
	// host is what DOCKER_HOST has to be.
	host string
	api  *http.Client
}

func startDockerd(t *testing.T, dir string) *dockerd {
	t.Helper()
	dir = filepath.Join(dir, "docker")
	socket := filepath.Join(dir, "docker.sock")
	d := &dockerd{host: "unix://" + socket, api: &http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}},
	}}
	// The machine's own /etc/docker/daemon.json must not count.
	config := writeFile(t, filepath.Join(dir, "daemon.json"), "{}")
	d.process = start(t, dir, "dockerd", os.Environ(), "dockerd",
		"--config-file", config, "--host", d.host, "--group", fmt.Sprint(accountID),
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "--pidfile", filepath.Join(dir, "pid"),
		"--bridge", "none", "--iptables=false", "--ip6tables=false",
		"--shutdown-timeout", "5", "--log-level", "warn")
	t.Cleanup(d.api.CloseIdleConnections)
	d.ready(t, func() error { return d.get(t.Context(), "/_ping", nil) })
	return d
}

// docker runs the docker command against this daemon.
func (d *dockerd) docker(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, append(os.Environ(), "DOCKER_HOST="+d.host), append([]string{"docker"}, args...)...)
}

// container is what docker says about one container.
type container struct {
	State struct {
		Status   string
		ExitCode int
		Health   struct{ Status string }
	}
	RestartCount int
}

// inspect asks the daemon about a container.
func (d *dockerd) inspect(ctx context.Context, name string) (container, error) {
	var c container
	err := d.get(ctx, "/containers/"+url.PathEscape(name)+"/json", &c)
	return c, err
}

// get asks the daemon's API, whose version is the daemon's own.
func (d *dockerd) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, nil)
	if err != nil {
		return err
	}
	return doJSON(d.api, req, into)
}

// starts counts how often a container was started, by the daemon's own events.
func (d *dockerd) starts(t *testing.T, name string) int {
	t.Helper()
	filters, err := json.Marshal(map[string][]string{"container": {name}, "event": {"start"}})
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{"since": {"1"}, "until": {fmt.Sprint(time.Now().Unix() + 1)}, "filters": {string(filters)}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://docker/events?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := d.api.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n := 0
	for events := json.NewDecoder(resp.Body); ; n++ {
		var event json.RawMessage
		if err := events.Decode(&event); errors.Is(err, io.EOF) {
			return n
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
