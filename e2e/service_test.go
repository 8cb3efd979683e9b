//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// scrypted is the service of the stories: a container on the host nexus.
const scrypted = "scrypted"

// service is the running container and its configuration file.
type service struct {
	docker *dockerd
	config string
}

// startService makes an image of one static binary and runs it.
func startService(t *testing.T, dir string, d *dockerd) *service {
	t.Helper()
	s := &service{docker: d, config: writeFile(t, filepath.Join(dir, "service", "service.conf"), "cameras 12\n")}
	image := filepath.Join(dir, "image.tar")
	writeImage(t, image)
	d.docker(t, "import",
		"--change", `ENTRYPOINT ["/service"]`,
		"--change", `HEALTHCHECK --interval=1s --timeout=5s --retries=5 CMD ["/service", "-check"]`,
		image, scrypted+":1")
	d.docker(t, "run", "--detach", "--name", scrypted, "--network", "none",
		"--volume", filepath.Dir(s.config)+":/etc/service:ro", scrypted+":1")
	t.Cleanup(func() {
		if t.Failed() {
			c, err := d.inspect(context.WithoutCancel(t.Context()), scrypted)
			t.Logf("the container at the end: %+v, %v", c, err)
		}
	})
	eventually(t, "the service is well", func() error { return s.well(t) })
	return s
}

// well says what is wrong with the service, as docker sees it.
func (s *service) well(t *testing.T) error {
	c, err := s.docker.inspect(t.Context(), scrypted)
	if err != nil {
		return err
	}
	if c.State.Status != "running" || c.State.Health.Status != "healthy" {
		return fmt.Errorf("it is %s and %s", c.State.Status, c.State.Health.Status)
	}
	return nil
}

// fault gives the service a configuration with which it ends at once after
// every start.
func (s *service) fault(t *testing.T) {
	t.Helper()
	writeFile(t, s.config, "broken\n")
}

// writeImage writes a root filesystem with nothing in it but the service.
func writeImage(t *testing.T, file string) {
	t.Helper()
	program, err := os.ReadFile(binary(t, "service"))
	if err != nil {
		t.Fatal(err)
	}
	var image bytes.Buffer
	w := tar.NewWriter(&image)
	if err := w.WriteHeader(&tar.Header{Name: "service", Mode: 0o755, Size: int64(len(program)), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(program); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, image.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
