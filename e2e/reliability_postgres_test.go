//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The crashes of internal/app, on Postgres: SIGKILL at every named point of an
// incident's life, before commits, again and again within one incident, and while
// senders post. Nothing is lost, and no change is begun twice.
func TestPostgresKilled(t *testing.T) {
	crashes := filepath.Join(t.TempDir(), "crashes.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", crashes, "../internal/app")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the crash tests: %v\n%s", err, out)
	}
	server := startPostgres(t)
	names := []string{"TestKilledAtEveryPoint", "TestKilledBeforeAnyCommit", "TestKilledAgainAndAgain", "TestConfirmedAlertsAreNeverLost", "TestTheSameAlertIsOneIncident"}
	ctx, cancel := context.WithTimeout(t.Context(), 13*time.Minute) // bounds a hang, it measures nothing
	defer cancel()
	run := exec.CommandContext(ctx, crashes, "-test.v", "-test.count=1", "-test.timeout=12m", "-test.run", "^("+strings.Join(names, "|")+")$")
	run.Dir = filepath.Join("..", "internal", "app")
	run.Env = append(os.Environ(), "LIFELINE_CRASH_DATABASE="+server.address("postgres"))
	// Its services end with it.
	run.WaitDelay = patience
	begun := time.Now()
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("the crash tests on Postgres: %v\n%s", err, tail(string(out), 400))
	}
	for _, name := range names {
		if !strings.Contains(string(out), "--- PASS: "+name+" ") {
			t.Errorf("%s did not run:\n%s", name, tail(string(out), 40))
		}
	}
	points := strings.Count(string(out), "--- PASS: TestKilledAtEveryPoint/")
	if points == 0 || strings.Contains(string(out), "--- SKIP") {
		t.Errorf("%d points were played", points)
	}
	t.Logf("SIGKILL at %d points, in %s", points, time.Since(begun).Round(time.Second))
	for _, line := range regexp.MustCompile(`(?m)^ +crash_\w+\.go:\d+: (.*kills.*)$`).FindAllStringSubmatch(string(out), -1) {
		t.Log(line[1])
	}
	// Each database was dropped at the end of its round.
	if rows := server.query(t, server.address("postgres"), `SELECT datname FROM pg_database WHERE datname LIKE 'lifeline_crash_%'`); len(rows) != 0 {
		t.Errorf("%d databases are left", len(rows))
	}
}
