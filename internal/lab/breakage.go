package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Breakages lists the names that Break knows, with what their second argument
// names.
func Breakages() [][2]string {
	return [][2]string{
		{"container-exited", "container: it was stopped, docker start repairs it"},
		{"container-killed", "container: the kernel ended it for want of memory, docker start repairs it"},
		{"container-unhealthy", "container: it hangs, docker restart repairs it"},
		{"container-paused", "container: someone paused it"},
		{"container-crash-loop", "container: it exits again right after each start"},
		{"container-restart-loop", "container: as before, and docker starts it again and again"},
		{"unit-failed", "unit: its process ended, systemctl restart repairs it"},
		{"unit-crash-loop", "unit: it fails again right after each start"},
		{"disk-full", "mount point: 99 % used, by docker and by logs"},
		{"docker-down", "nothing: the docker daemon does not answer; where it is a unit, systemctl restart docker repairs it"},
		{"slow", "[PROGRAM=]DURATION: what the program does takes so much longer; \"docker restart=90s\" means that sub-command"},
	}
}

// Break breaks something in a named way: see Breakages.
func (h *Host) Break(kind, name string) error {
	if kind == "slow" {
		return h.slow(name)
	}
	w := h.world
	w.lock()
	defer w.unlock()
	switch {
	case kind == "docker-down":
		w.dockerDown = true
		if u := w.unitLocked(dockerUnit); u != nil {
			u.fail(w.now(), crash{exitCode: 1, log: []string{"failed to start daemon: error initializing graphdriver: driver not supported"}})
		}
		return nil
	case kind == "disk-full":
		return w.fillLocked(name)
	case strings.HasPrefix(kind, "container-"):
		c := w.containerLocked(name)
		if c == nil {
			return fmt.Errorf("lab: break %s: host %s has no container %q", kind, w.host, name)
		}
		return c.breakLocked(kind)
	case strings.HasPrefix(kind, "unit-"):
		u := w.unitLocked(name)
		if u == nil {
			return fmt.Errorf("lab: break %s: host %s has no unit %q", kind, w.host, name)
		}
		return u.breakLocked(kind)
	}
	return unknownBreakage(kind)
}

func unknownBreakage(kind string) error {
	return fmt.Errorf("lab: break %q: unknown; lab.Breakages lists what can be broken", kind)
}

func (c *container) breakLocked(kind string) error {
	now := c.w.now()
	started := c.state == stateRunning
	switch kind {
	case "container-exited":
		c.stop()
	case "container-killed":
		if started {
			c.stoppedByMe = true // what the demo wants to see is a container that stays down
			c.exit(now, 137)
		}
		c.oomKilled = true
		c.w.kernel = append(c.w.kernel, LogLine{At: now, Text: fmt.Sprintf(
			"Memory cgroup out of memory: Killed process %d (%s) total-vm:2713620kB, anon-rss:1048120kB, file-rss:0kB", c.w.pidLocked(), c.Name)})
	case "container-unhealthy":
		if !started {
			c.startAt(now)
		}
		c.Healthcheck = true
		c.probe = "curl: (28) Operation timed out after 5000 milliseconds with 0 bytes received"
		c.say(now, "worker pool exhausted: 64 of 64 busy", "error: request queue is full, dropping connections")
		c.next, c.then = time.Time{}, nil
		c.failing = 3
		c.setHealth(healthUnhealthy)
	case "container-paused":
		c.become(func() { c.state = statePaused })
	case "container-crash-loop", "container-restart-loop":
		c.crash = &crash{after: 300 * time.Millisecond, exitCode: 1, log: []string{
			"Error: could not open /data/settings.json: Unexpected end of JSON input",
			"fatal: cannot continue without settings",
		}}
		c.RestartPolicy = "no"
		if kind == "container-restart-loop" {
			c.RestartPolicy = "always"
		}
		c.stoppedByMe = false
		if !started {
			c.startAt(now)
		}
		c.say(now, c.crash.log...)
		c.exit(now, c.crash.exitCode)
	default:
		return unknownBreakage(kind)
	}
	return nil
}

func (u *unit) breakLocked(kind string) error {
	failure := crash{after: 200 * time.Millisecond, exitCode: 1, log: []string{"fatal: connection to upstream lost, giving up"}}
	switch kind {
	case "unit-failed":
		u.fail(u.w.now(), failure)
	case "unit-crash-loop":
		failure.exitCode = 78
		failure.log = []string{"configuration error in line 14: unknown directive \"listn\""}
		u.crash = &failure
		u.fail(u.w.now(), failure)
	default:
		return unknownBreakage(kind)
	}
	return nil
}

// fillLocked fills a filesystem with what usually fills one.
func (w *World) fillLocked(mount string) error {
	i := slices.IndexFunc(w.filesystems, func(f *Filesystem) bool { return f.Mount == mount })
	if i < 0 {
		return fmt.Errorf("lab: break disk-full: host %s has no filesystem at %q", w.host, mount)
	}
	f := w.filesystems[i]
	grown := f.Size*99/100 - f.Used
	if grown <= 0 {
		return nil
	}
	f.Used += grown
	prefix := strings.TrimSuffix(mount, "/")
	if f.Folders == nil {
		f.Folders = map[string]int64{}
	}
	f.Folders[prefix+"/var/lib/docker/overlay2"] += grown * 7 / 10
	f.Folders[prefix+"/var/log/journal"] += grown * 2 / 10
	f.Folders[prefix+"/var/backups"] += grown - grown*7/10 - grown*2/10
	return nil
}

// slow makes programs take longer.
func (h *Host) slow(what string) error {
	program, text, named := strings.Cut(what, "=")
	if !named {
		program, text = "", what
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("lab: break slow: %q: want [PROGRAM=]DURATION, for example docker=5s", what)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slowness[program] = d
	return nil
}
