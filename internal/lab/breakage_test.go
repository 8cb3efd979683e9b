package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"lifeline"
)

// front is the part of a runbook that runs.
type front struct {
	Diagnose  []string `yaml:"diagnose"`
	HealthyIf []string `yaml:"healthy_if"`
	Fix       []string `yaml:"fix"`
	Verify    []string `yaml:"verify"`
}

// shippedRunbook reads a runbook's commands with the target's name put in.
func shippedRunbook(t *testing.T, name, target string) front {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "runbooks", name+".md"))
	if err != nil {
		t.Fatal(err)
	}
	parts := bytes.SplitN(text, []byte("---\n"), 3)
	if len(parts) != 3 {
		t.Fatalf("%s has no front matter", name)
	}
	var f front
	if err := yaml.Unmarshal(parts[1], &f); err != nil {
		t.Fatal(err)
	}
	placed := strings.NewReplacer("{{container}}", target, "{{unit}}", target, "{{mount}}", target, "{{host}}", "nexus")
	for _, list := range [][]string{f.Diagnose, f.HealthyIf, f.Fix, f.Verify} {
		for i := range list {
			list[i] = placed.Replace(list[i])
		}
	}
	if len(f.Diagnose) == 0 {
		t.Fatalf("%s diagnoses nothing", name)
	}
	return f
}

// Every command of the shipped runbooks works here, and each fix repairs the
// fault that it is for.
func TestShippedRunbooksWork(t *testing.T) {
	tests := []struct {
		runbook, host, breakage, target string
		// seen is what the diagnosis shows of the fault.
		seen []string
	}{
		{"container-down", "nexus", "container-exited", "scrypted", []string{"status=exited exit_code=143 oom_killed=false", "scrypted Exited (143)", "received SIGTERM"}},
		{"container-down", "nexus", "container-killed", "scrypted", []string{"status=exited exit_code=137 oom_killed=true", "scrypted Exited (137)"}},
		{"container-unhealthy", "nexus", "container-unhealthy", "homeassistant", []string{"status=running", `"Status":"unhealthy","FailingStreak":3`, "request queue is full", "99.70%"}},
		{"container-unhealthy", "nexus", "container-unhealthy", "scrypted", []string{`"Status":"unhealthy"`}},
		{"unit-failed", "outpost", "unit-failed", "nginx.service", []string{"failed (Result: exit-code)", "ActiveState=failed", "Result=exit-code", "fatal: connection to upstream lost"}},
		{"disk-filling", "nexus", "disk-full", "/", []string{"99%", "/var/lib\n", "/var/log\n", "Archived and active journals take up 15.6G", "51.69GB (80%)"}},
	}
	for _, tt := range tests {
		t.Run(tt.runbook+"/"+tt.breakage+"/"+tt.target, func(t *testing.T) {
			h := closing(t, NewHost(tt.host, Options{Pace: 0.001}))
			book := shippedRunbook(t, tt.runbook, tt.target)
			mustBreak(t, h, tt.breakage, tt.target)
			var all strings.Builder
			for _, command := range book.Diagnose {
				got := run(t.Context(), h, command)
				down := strings.HasPrefix(command, "systemctl status") && got.Status == 3
				if got.Stdout+got.Stderr == "" || got.Status != 0 && !down {
					t.Errorf("%s: %+v", command, got)
				}
				all.WriteString(got.Stdout + got.Stderr)
			}
			for _, s := range tt.seen {
				if !strings.Contains(all.String(), s) {
					t.Errorf("the diagnosis does not show %q:\n%s", s, &all)
				}
			}
			if len(book.Fix) == 0 {
				return
			}
			for _, command := range book.HealthyIf {
				if got := run(t.Context(), h, command); got.Status == 0 {
					t.Errorf("%s says that it is well although it is broken", command)
				}
			}
			changes, stop := h.World().Changes()
			defer stop()
			for _, command := range book.Fix {
				if got := run(t.Context(), h, command); got.Status != 0 {
					t.Fatalf("%s: %+v", command, got)
				}
			}
			for tt.runbook == "container-unhealthy" {
				if c := <-changes; c.To == "running:healthy" { // as the health check says a moment after the start
					break
				}
			}
			for _, command := range append(book.HealthyIf, book.Verify...) {
				if got := run(t.Context(), h, command); got.Status != 0 {
					t.Errorf("after the fix, %s: %+v", command, got)
				}
			}
			if well := h.World().Healthy(tt.target) || h.World().UnitActive(tt.target); !well {
				t.Errorf("%s is not well after the fix", tt.target)
			}
		})
	}
}

// A container that ends again after each start comes up for a moment and does
// not stay; with a restart policy docker tries again, later and later.
func TestCrashingContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHost("nexus", Options{})
		defer h.close()
		mustBreak(t, h, "container-crash-loop", "scrypted")
		changes, stop := h.World().Changes()
		defer stop()
		if got := run(t.Context(), h, "docker start scrypted"); got.Status != 0 {
			t.Errorf("docker start: %+v", got)
		}
		if got := run(t.Context(), h, "docker inspect -f '{{.State.Status}}' scrypted"); got.Stdout != "running\n" {
			t.Errorf("right after its start: %+v", got)
		}
		if h.World().Running("scrypted") {
			t.Error("a container between two crashes counts as running")
		}
		time.Sleep(time.Second)
		if state := h.World().ContainerState("scrypted"); state != "exited" {
			t.Errorf("a second later it is %s", state)
		}
		target := lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "scrypted"}
		for _, want := range [][2]string{{"exited", "running"}, {"running", "exited"}} {
			c := <-changes
			if diff := cmp.Diff(Change{At: c.At, Target: target, From: want[0], To: want[1]}, c); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		if got := run(t.Context(), h, "docker logs -n 1 scrypted"); got.Stderr+got.Stdout != "fatal: cannot continue without settings\n" {
			t.Errorf("its log ends with %+v", got)
		}

		mustBreak(t, h, "container-restart-loop", "traefik")
		time.Sleep(time.Minute)
		got := run(t.Context(), h, "docker inspect -f '{{.RestartCount}} {{.State.ExitCode}}' traefik")
		var restarts, status int
		if _, err := fmt.Sscan(got.Stdout, &restarts, &status); err != nil || restarts < 5 || restarts > 9 || status > 1 {
			t.Errorf("after a minute of restarts: %+v (%v)", got, err)
		}
		run(t.Context(), h, "docker stop traefik")
		time.Sleep(5 * time.Minute)
		if state := h.World().ContainerState("traefik"); state != "exited" {
			t.Errorf("docker stop does not end the loop: %s", state)
		}
	})
}

func TestCrashingUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHost("outpost", Options{})
		defer h.close()
		mustBreak(t, h, "unit-crash-loop", "nginx")
		for range 5 {
			if got := run(t.Context(), h, "systemctl restart nginx"); got.Status != 0 {
				t.Errorf("systemctl restart: %+v", got)
			}
			time.Sleep(500 * time.Millisecond)
			if h.World().UnitActive("nginx") {
				t.Error("a unit that crashes counts as active")
			}
		}
		got := run(t.Context(), h, "systemctl restart nginx")
		if got.Status != 1 || !strings.Contains(got.Stderr, "attempted too often") {
			t.Errorf("the sixth start within ten seconds: %+v", got)
		}
		if got := run(t.Context(), h, "systemctl show -p Result --value nginx; systemctl reset-failed nginx; systemctl is-active nginx"); got.Stdout != "start-limit-hit\ninactive\n" {
			t.Errorf("after the limit: %+v", got)
		}
		if got := run(t.Context(), h, "systemctl start nginx && systemctl is-active nginx"); got.Stdout != "active\n" {
			t.Errorf("after reset-failed: %+v", got)
		}
	})
}

func TestDockerDown(t *testing.T) {
	h := quick(t, "nexus")
	mustBreak(t, h, "docker-down", "")
	want := said{Stderr: "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n", Status: 1}
	if diff := cmp.Diff(want, run(t.Context(), h, "docker ps")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := run(t.Context(), h, "systemctl restart docker && docker ps -q | wc -l"); got.Stdout != "5\n" {
		t.Errorf("after its restart: %+v", got)
	}
}

func TestDiskFull(t *testing.T) {
	h := quick(t, "nexus")
	used := func() int {
		share, ok := h.World().FilesystemUsed("/")
		if !ok {
			t.Fatal("no root filesystem")
		}
		return int(share * 100)
	}
	before := used()
	mustBreak(t, h, "disk-full", "/")
	if full := used(); full < 98 || before > 50 {
		t.Errorf("used: %d %% before, %d %% full", before, full)
	}
	if got := run(t.Context(), h, "docker image prune --all --force"); got.Status != 0 || !strings.HasPrefix(got.Stdout, "Total reclaimed space: 51.69GB") {
		t.Errorf("prune: %+v", got)
	}
	if after := used(); after > 70 {
		t.Errorf("%d %% used after the images were pruned", after)
	}
}

// A slow daemon works on when its client is gone: what the founding story's
// timeouts left behind was a container that had been restarted.
func TestDaemonGoesOnWithoutItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHost("nexus", Options{})
		defer h.close()
		mustBreak(t, h, "container-exited", "scrypted")
		mustBreak(t, h, "slow", "docker restart=90s")
		script, end := t.Context(), func() {}
		script, end = contextWithEnd(script)
		begun := time.Now()
		go func() {
			time.Sleep(60 * time.Second)
			end()
		}()
		if got := run(script, h, "docker restart scrypted; echo not reached"); got.Stdout != "" || got.Status != 143 {
			t.Errorf("the ended client: %+v", got)
		}
		if took := time.Since(begun); took != 60*time.Second {
			t.Errorf("the client ended after %s", took)
		}
		if h.World().Running("scrypted") {
			t.Error("it runs already")
		}
		time.Sleep(35 * time.Second)
		if !h.World().Running("scrypted") {
			t.Error("the daemon gave up when its client did")
		}
	})
}

func TestSlowness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHost("nexus", Options{})
		defer h.close()
		for _, tt := range []struct {
			slow, script string
			want         time.Duration
		}{
			{"", "echo x", 0},
			{"", "docker ps -q", 40 * time.Millisecond},
			{"docker=5s", "docker ps -q", 5 * time.Second},
			{"docker=5s", "uptime", 2 * time.Millisecond},
			{"docker logs=7s", "docker logs scrypted", 7 * time.Second},
			{"2s", "uptime", 2 * time.Second},
		} {
			if tt.slow != "" {
				mustBreak(t, h, "slow", tt.slow)
			}
			begun := time.Now()
			if got := run(t.Context(), h, tt.script); got.Status != 0 {
				t.Errorf("%s: %+v", tt.script, got)
			}
			if took := time.Since(begun); took != tt.want {
				t.Errorf("%s with %q took %s, want %s", tt.script, tt.slow, took, tt.want)
			}
		}
	})
}

// An ended script ends at once, whatever it is doing.
func TestSignalsEndScripts(t *testing.T) {
	for _, script := range []string{
		"sleep 1000", "while true; do sleep 1; done", "sleep 1000 & wait", "timeout 500 sleep 1000", "docker logs -f scrypted", "journalctl -f -u nginx",
		"exec /usr/bin/env A=b /bin/sh -c 'sleep 1000; echo no'", "sudo sleep infinity", "while :; do :; done",
	} {
		t.Run(script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := NewHost("nexus", Options{})
				defer h.close()
				ctx, end := contextWithEnd(t.Context())
				if script == "while :; do :; done" {
					end() // it never waits: no timer of the bubble would fire
				} else {
					time.AfterFunc(30*time.Second, end)
				}
				begun := time.Now()
				if got := run(ctx, h, script); got.Status == 0 || strings.Contains(got.Stdout, "no") {
					t.Errorf("%+v", got)
				}
				if took := time.Since(begun); took > 30*time.Second {
					t.Errorf("it ended after %s", took)
				}
			})
		})
	}
}

func TestBreakSaysWhatIsWrong(t *testing.T) {
	h := quick(t, "nexus")
	for _, tt := range []struct{ kind, name, want string }{
		{"container-exited", "nosuch", `lab: break container-exited: host nexus has no container "nosuch"`},
		{"unit-failed", "nosuch", `lab: break unit-failed: host nexus has no unit "nosuch"`},
		{"disk-full", "/nowhere", `lab: break disk-full: host nexus has no filesystem at "/nowhere"`},
		{"container-melted", "scrypted", `lab: break "container-melted": unknown; lab.Breakages lists what can be broken`},
		{"unit-melted", "ssh", `lab: break "unit-melted": unknown; lab.Breakages lists what can be broken`},
		{"flood", "", `lab: break "flood": unknown; lab.Breakages lists what can be broken`},
		{"slow", "docker=soon", `lab: break slow: "docker=soon": want [PROGRAM=]DURATION, for example docker=5s`},
	} {
		if err := h.Break(tt.kind, tt.name); err == nil || err.Error() != tt.want {
			t.Errorf("Break(%s, %s) = %v, want %s", tt.kind, tt.name, err, tt.want)
		}
	}
	for _, b := range Breakages() {
		name := map[string]string{"container": "traefik", "unit": "cron", "disk": "/data", "slow": "du=1s"}[strings.SplitN(b[0], "-", 2)[0]]
		if err := h.Break(b[0], name); err != nil {
			t.Errorf("Break(%s, %s): %v", b[0], name, err)
		}
	}
}
