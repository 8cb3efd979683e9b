package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline"
)

// ContainerSpec describes a container that is to run in a World.
type ContainerSpec struct {
	Name, Image string
	Command     []string
	// Ports as docker prints them: "0.0.0.0:10443->10443/tcp".
	Ports []string
	Env   []string
	Binds []string
	// RestartPolicy is docker's: "no" (the default), "always",
	// "unless-stopped" or "on-failure".
	RestartPolicy string
	// Healthcheck gives it a health check.
	Healthcheck bool
	// StartLog is what it prints at each start.
	StartLog []string
	// MemoryUsed in bytes and CPUPercent are what docker stats shows.
	MemoryUsed int64
	CPUPercent float64
}

// The states of a container, as docker names them.
const (
	stateRunning    = "running"
	stateExited     = "exited"
	statePaused     = "paused"
	stateRestarting = "restarting"
	stateCreated    = "created"
)

// The states of a health check, as docker names them.
const (
	healthStarting  = "starting"
	healthHealthy   = "healthy"
	healthUnhealthy = "unhealthy"
)

// container is a container as it stands. The world's lock guards it.
type container struct {
	ContainerSpec
	w  *World
	id string

	state       string
	health      string // "" without a health check
	failing     int    // health checks in a row
	probe       string // what the last health check printed
	pid         int
	exitCode    int
	oomKilled   bool
	stateError  string
	restarts    int
	created     time.Time
	startedAt   time.Time
	finishedAt  time.Time
	log         []LogLine
	stoppedByMe bool // docker does not restart what was stopped by hand

	// crash, if set, ends every run shortly after its start.
	crash *crash

	// next is when the container does something by itself, then what.
	next time.Time
	then func(at time.Time)
}

// crash is how a container or unit ends by itself.
type crash struct {
	after    time.Duration
	exitCode int
	log      []string
}

// AddContainer adds a running container that was started some days ago.
func (w *World) AddContainer(spec ContainerSpec) {
	w.lock()
	defer w.unlock()
	sum := sha256.Sum256([]byte(w.host + "/" + spec.Name))
	started := w.now().Add(-12*24*time.Hour - time.Duration(sum[0])*time.Minute)
	c := &container{ContainerSpec: spec, w: w, id: hex.EncodeToString(sum[:]), created: started.Add(-40 * time.Hour), state: stateCreated}
	if c.RestartPolicy == "" {
		c.RestartPolicy = "no"
	}
	w.containers = append(w.containers, c)
	c.startAt(started)
	if c.Healthcheck {
		c.then, c.next = nil, time.Time{}
		c.setHealth(healthHealthy)
	}
}

// Running reports whether the container runs, and not only between two crashes.
func (w *World) Running(name string) bool {
	w.lock()
	defer w.unlock()
	c := w.containerLocked(name)
	return c != nil && c.state == stateRunning && c.crash == nil
}

// Healthy reports whether the container runs and its health check, if it has
// one, passes.
func (w *World) Healthy(name string) bool {
	w.lock()
	defer w.unlock()
	c := w.containerLocked(name)
	return c != nil && c.state == stateRunning && c.crash == nil && (c.health == "" || c.health == healthHealthy)
}

// ContainerState is the state that docker would show, "" if there is no such
// container.
func (w *World) ContainerState(name string) string {
	w.lock()
	defer w.unlock()
	if c := w.containerLocked(name); c != nil {
		return c.state
	}
	return ""
}

// containerLocked finds a container by its name or the beginning of its ID.
func (w *World) containerLocked(name string) *container {
	name = strings.TrimPrefix(name, "/")
	for _, c := range w.containers {
		if c.Name == name || len(name) >= 4 && strings.HasPrefix(c.id, name) {
			return c
		}
	}
	return nil
}

func (c *container) describe() string {
	if c.health != "" && c.state == stateRunning {
		return c.state + ":" + c.health
	}
	return c.state
}

// become changes the state and tells the watchers.
func (c *container) become(change func()) {
	from := c.describe()
	change()
	c.w.changedLocked(lifeline.TargetContainer, c.Name, from, c.describe())
}

func (c *container) setHealth(h string) { c.become(func() { c.health = h }) }

func (c *container) say(at time.Time, lines ...string) {
	for i, text := range lines {
		c.log = append(c.log, LogLine{At: at.Add(time.Duration(i) * time.Millisecond), Text: text,
			Stderr: strings.Contains(text, "rror") || strings.Contains(text, "FATAL")})
	}
	if len(c.log) > 2000 {
		c.log = slices.Clone(c.log[len(c.log)-1000:])
	}
}

// startAt begins a run.
func (c *container) startAt(at time.Time) {
	c.become(func() {
		c.state, c.startedAt, c.pid = stateRunning, at, c.w.pidLocked()
		c.exitCode, c.oomKilled, c.stateError, c.stoppedByMe = 0, false, "", false
		if c.Healthcheck {
			c.health, c.failing = healthStarting, 0
		}
	})
	c.say(at, c.StartLog...)
	switch {
	case c.crash != nil:
		crash := *c.crash
		c.at(at.Add(crash.after), func(at time.Time) {
			c.say(at, crash.log...)
			c.exit(at, crash.exitCode)
		})
	case c.Healthcheck:
		c.at(at.Add(800*time.Millisecond), func(time.Time) {
			c.probe = "OK"
			c.setHealth(healthHealthy)
		})
	}
}

// at plans what the container does by itself next.
func (c *container) at(at time.Time, then func(at time.Time)) { c.next, c.then = at, then }

// exit ends a run; docker starts the container again if its policy says so.
func (c *container) exit(at time.Time, code int) {
	restart := c.RestartPolicy == "always" || c.RestartPolicy == "unless-stopped" || c.RestartPolicy == "on-failure" && code != 0
	if c.stoppedByMe {
		restart = false
	}
	c.become(func() {
		c.state, c.finishedAt, c.exitCode, c.pid = stateExited, at, code, 0
		if restart {
			c.state = stateRestarting
		}
	})
	c.next, c.then = time.Time{}, nil
	if restart {
		// Docker waits 100 ms, and twice as long each time, up to a minute.
		backoff := min(100*time.Millisecond<<min(c.restarts, 10), time.Minute)
		c.at(at.Add(backoff), func(at time.Time) {
			c.restarts++
			c.startAt(at)
		})
	}
}

// start is docker start.
func (c *container) start() error {
	switch c.state {
	case stateRunning, stateRestarting:
		return nil
	case statePaused:
		return fmt.Errorf("cannot start a paused container, try unpause instead")
	}
	c.restarts = 0
	c.startAt(c.w.now())
	return nil
}

// stop is docker stop.
func (c *container) stop() {
	if c.state == stateExited || c.state == stateCreated {
		return
	}
	c.stoppedByMe = true
	if c.state != stateRestarting {
		c.say(c.w.now(), "received SIGTERM, shutting down")
		c.exit(c.w.now(), 143)
		return
	}
	c.exit(c.w.now(), c.exitCode)
}
