package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline"
)

// UnitSpec describes a systemd unit of a World.
type UnitSpec struct {
	// Name with its suffix: "nginx.service".
	Name, Description string
	ExecStart         string
	// Identifier is what its journal lines begin with; "": the name's stem.
	Identifier string
	StartLog   []string
	// Oneshot units are inactive once they have run.
	Oneshot bool
}

// The active states of a unit, as systemd names them.
const (
	unitActive   = "active"
	unitInactive = "inactive"
	unitFailed   = "failed"
)

// unit is a systemd unit as it stands. The world's lock guards it.
type unit struct {
	UnitSpec
	w *World

	active, sub, result string
	mainStatus          int
	pid, lastPID        int
	since               time.Time
	startedAt           time.Time
	journal             []LogLine
	crash               *crash
	// starts are the times of the newest starts: systemd refuses the sixth
	// within ten seconds.
	starts []time.Time

	next time.Time
	then func(at time.Time)
}

// AddUnit adds a unit that has run since the host booted.
func (w *World) AddUnit(spec UnitSpec) {
	w.lock()
	defer w.unlock()
	u := &unit{UnitSpec: spec, w: w, active: unitInactive, sub: "dead", result: "success"}
	if u.Identifier == "" {
		u.Identifier, _, _ = strings.Cut(spec.Name, ".")
	}
	w.units = append(w.units, u)
	u.startAt(w.booted.Add(9 * time.Second))
	u.starts = nil
}

// UnitActive reports whether the unit is active, and not only between two
// crashes.
func (w *World) UnitActive(name string) bool {
	w.lock()
	defer w.unlock()
	u := w.unitLocked(name)
	return u != nil && u.active == unitActive && u.crash == nil
}

// unitLocked finds a unit; a name without a suffix means a service.
func (w *World) unitLocked(name string) *unit {
	if !strings.Contains(name, ".") {
		name += ".service"
	}
	for _, u := range w.units {
		if u.Name == name {
			return u
		}
	}
	return nil
}

// say writes what the unit's process prints to the journal.
func (u *unit) say(at time.Time, lines ...string) {
	for i, text := range lines {
		u.write(at.Add(time.Duration(i)*time.Millisecond), fmt.Sprintf("%s[%d]: %s", u.Identifier, u.pid, text))
	}
}

// systemd writes a line of the manager's own.
func (u *unit) systemd(at time.Time, text string) { u.write(at, "systemd[1]: "+text) }

func (u *unit) write(at time.Time, text string) {
	u.journal = append(u.journal, LogLine{At: at, Text: text})
	if len(u.journal) > 2000 {
		u.journal = slices.Clone(u.journal[len(u.journal)-1000:])
	}
}

func (u *unit) become(at time.Time, active, sub string) {
	from := u.active
	u.active, u.sub, u.since = active, sub, at
	if u.Name == dockerUnit {
		u.w.dockerDown = active != unitActive // its containers live on, as with docker's live-restore
	}
	u.w.changedLocked(lifeline.TargetUnit, u.Name, from, active)
}

// dockerUnit is the unit of the docker daemon.
const dockerUnit = "docker.service"

func (u *unit) startAt(at time.Time) {
	u.starts = append(u.starts, at)
	u.systemd(at, "Starting "+u.Name+" - "+u.Description+"...")
	u.pid, u.startedAt, u.result, u.mainStatus = u.w.pidLocked(), at, "success", 0
	u.lastPID = u.pid
	u.say(at.Add(2*time.Millisecond), u.StartLog...)
	if u.Oneshot {
		u.pid = 0
		u.systemd(at.Add(50*time.Millisecond), u.Name+": Deactivated successfully.")
		u.become(at, unitInactive, "dead")
		return
	}
	u.systemd(at.Add(20*time.Millisecond), "Started "+u.Name+" - "+u.Description+".")
	u.become(at, unitActive, "running")
	u.next, u.then = time.Time{}, nil
	if u.crash != nil {
		crash := *u.crash
		u.next, u.then = at.Add(crash.after), func(at time.Time) { u.fail(at, crash) }
	}
}

// fail ends a run with an error.
func (u *unit) fail(at time.Time, c crash) {
	u.say(at, c.log...)
	u.systemd(at.Add(5*time.Millisecond), u.Name+": Main process exited, code=exited, status="+exitName(c.exitCode))
	u.systemd(at.Add(6*time.Millisecond), u.Name+": Failed with result 'exit-code'.")
	u.pid, u.result, u.mainStatus = 0, "exit-code", c.exitCode
	u.next, u.then = time.Time{}, nil
	u.become(at, unitFailed, "failed")
}

// stop is systemctl stop.
func (u *unit) stop() {
	if u.active != unitActive {
		return
	}
	at := u.w.now()
	u.systemd(at, "Stopping "+u.Name+" - "+u.Description+"...")
	u.systemd(at.Add(10*time.Millisecond), "Stopped "+u.Name+" - "+u.Description+".")
	u.pid = 0
	u.next, u.then = time.Time{}, nil
	u.become(at, unitInactive, "dead")
}

// start is systemctl start. ok is false if systemd refuses because of too many
// starts.
func (u *unit) start() (ok bool) {
	if u.active == unitActive {
		return true
	}
	at := u.w.now()
	recent := 0
	for _, s := range u.starts {
		if at.Sub(s) < 10*time.Second {
			recent++
		}
	}
	if recent >= 5 {
		u.systemd(at, u.Name+": Start request repeated too quickly.")
		u.result = "start-limit-hit"
		u.become(at, unitFailed, "failed")
		return false
	}
	u.startAt(at)
	return true
}
