//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// binDir names, in the environment, the folder of the programs that the stories
// build.
const binDir = "LIFELINE_E2E_BIN"

// TestMain refuses to run where the stories cannot: half of the stories passing
// because the other half could not start would prove nothing.
func TestMain(m *testing.M) {
	dir, err := prepare()
	if err != nil {
		fmt.Fprintf(os.Stderr, "e2e: %v\n", err)
		os.Exit(1)
	}
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// prepare checks for everything that the stories need from the machine, and
// gives a folder to be removed at their end.
func prepare() (string, error) {
	if os.Getuid() != 0 {
		return "", errors.New("sshd and dockerd are started by these stories and need root\n  type: sudo make e2e")
	}
	// Daemons are in /usr/sbin, which is not in everybody's PATH.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return "", err
	}
	var missing []string
	for _, tool := range []string{"go", "sshd", "unshare", "mount", "sudo", "visudo", "cvtsudoers", "dockerd", "docker", "prometheus", "prometheus-alertmanager", "free", "chromium"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	if found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres"); err != nil || len(found) == 0 {
		missing = append(missing, "postgres")
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("not found on this machine: %s\n  type: sudo scripts/install-test-deps", strings.Join(missing, ", "))
	}
	// sshd's folder for privilege separation: a service manager makes it elsewhere.
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "lifeline-e2e-bin-")
	if err != nil {
		return "", err
	}
	return dir, os.Setenv(binDir, dir)
}

// binaries builds, once for all stories, lifeline and the service that runs in
// the containers.
var binaries = sync.OnceValue(func() error {
	for name, source := range map[string]string{"lifeline": "../cmd/lifeline", "service": "./testdata/service"} {
		build := exec.Command("go", "build", "-o", filepath.Join(os.Getenv(binDir), name), source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", source, err, out)
		}
	}
	return nil
})

// binary is the path of a program that binaries built.
func binary(t *testing.T, name string) string {
	t.Helper()
	if err := binaries(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(os.Getenv(binDir), name)
}

// newDir is a story's own folder, which the account that comes in over SSH may
// enter. Its path is short: the sockets in it have to fit into the 108 bytes of
// a socket's address.
func newDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lifeline-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("something of the story is still in use: %v", err)
		}
	})
	return dir
}

// writeFile writes a file of the story, readable by its owner only.
func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
