package tool

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"lifeline"
	"lifeline/internal/escape"
	"lifeline/internal/llm"
)

// fullPercent is where a filesystem counts as full. Alerts commonly fire at 85
// to 95; ext4 keeps 5 % for root.
const fullPercent = 90

// Probe is one look at a target.
type Probe struct {
	// IncidentID that the look belongs to; "" for none.
	IncidentID string
	// Actor who looks: "verify".
	Actor  string
	Target lifeline.Target
}

// Health is what a look at a target saw. The zero Health is neither well nor
// down.
type Health struct {
	// Detail is one line for a person.
	Detail string

	well, down bool
	run        string
}

// Well reports that the target does what it is there for, as far as can be seen.
func (h Health) Well() bool { return h.well }

// Down reports that it does not, and will not by waiting. What is on its way up,
// or sick and may recover, is neither well nor down.
func (h Health) Down() bool { return h.down }

// SameRun reports that the target did not restart between two looks.
func (h Health) SameRun(other Health) bool { return h.run == other.run }

// Status looks at a target through the door, with one plain read.
//
//   - a container is well if it runs and its health check, if it has one, passes;
//   - a unit is well if it is active, or a oneshot that ended with success;
//   - a filesystem is well if it is mounted and used by less than 90 %;
//   - a host is well if it answers.
//
// Something that does not exist is down. The error means that the look could
// not be made: the host was not reached, the policy refused, the answer made no
// sense. An error of the record has lifeline.CodeStore, and only such a one.
func Status(ctx context.Context, door Runner, p Probe) (Health, error) {
	look, err := lookAt(p.Target)
	if err != nil {
		return Health{}, err
	}
	cmd, err := run(ctx, door, lifeline.CommandRequest{
		IncidentID: p.IncidentID, Host: p.Target.Host, Command: look.command, Actor: p.Actor, Purpose: "is the " + p.Target.String() + " well?",
	})
	if err != nil {
		return Health{}, err
	}
	if cmd.Outcome != lifeline.OutcomeExited || cmd.ExitStatus == nil {
		return Health{}, notSeen(p.Target, cmd)
	}
	h, err := look.read(cmd)
	if err != nil {
		return Health{}, &lifeline.Error{Code: lifeline.CodeFailed, Message: "look at the " + p.Target.String(), Err: err, Hint: tryIt(p.Target.Host, look.command)}
	}
	h.Detail = p.Target.String() + ": " + h.Detail
	return h, nil
}

// look is how one kind of target is looked at.
type look struct {
	command string
	read    func(lifeline.Command) (Health, error)
}

func lookAt(t lifeline.Target) (look, error) {
	if err := lifeline.TargetHost.CheckName(t.Host); err != nil {
		return look{}, &lifeline.Error{Code: lifeline.CodeUsage, Message: "look at the " + t.String(), Err: err}
	}
	if t.Kind != lifeline.TargetHost {
		if err := t.Kind.CheckName(t.Name); err != nil {
			return look{}, &lifeline.Error{Code: lifeline.CodeUsage, Message: "look at something on " + t.Host, Err: err}
		}
	}
	switch t.Kind {
	case lifeline.TargetContainer:
		return look{inspectContainer(t.Name), readContainer}, nil
	case lifeline.TargetUnit:
		return look{showUnit(t.Name), readUnit}, nil
	case lifeline.TargetFilesystem:
		return look{"df -P " + escape.Word(t.Name), func(cmd lifeline.Command) (Health, error) { return readFilesystem(cmd, t.Name) }}, nil
	default: // a host: CheckName knows no other
		return look{"uptime", readHost}, nil
	}
}

// notSeen is the error for a look that did not end with an exit status.
func notSeen(t lifeline.Target, cmd lifeline.Command) error {
	e := &lifeline.Error{Code: cmd.Cause, Hint: cmd.Hint, Message: "look at the " + t.String()}
	why := cmp.Or(cmd.Error, string(cmd.Outcome))
	if cmd.Outcome == lifeline.OutcomeRefused {
		why = "refused: " + cmd.Reason
		e.Code = lifeline.CodeRefused
		e.Hint = cmp.Or(e.Hint, "lifeline policy explain -- "+cmd.Command)
	}
	if e.Code == "" || e.Code == lifeline.CodeStore {
		e.Code = lifeline.CodeUnknown
	}
	e.Err = fmt.Errorf("%s", llm.Line(why, 300))
	return e
}

// tryIt is the command with which a person sees the same.
func tryIt(host, command string) string { return "lifeline exec " + host + " -- " + command }

// failed describes a look that ended with another status than 0.
func failed(cmd lifeline.Command) error {
	said := llm.Line(string(cmd.Stderr)+" "+string(cmd.Stdout), 200)
	return fmt.Errorf("exit status %d: %s", *cmd.ExitStatus, cmp.Or(said, "it printed nothing"))
}

// containerState is the part of docker's State that says whether it is well.
type containerState struct {
	Status    string
	OOMKilled bool
	ExitCode  int
	Pid       int
	Error     string
	StartedAt string
	Health    *struct {
		Status        string
		FailingStreak int
	}
}

// readContainer reads what inspectContainer prints.
func readContainer(cmd lifeline.Command) (Health, error) {
	if *cmd.ExitStatus != 0 {
		said := strings.ToLower(string(cmd.Stderr))
		if strings.Contains(said, "no such object") || strings.Contains(said, "no such container") {
			return Health{Detail: "docker knows no such container", down: true}, nil
		}
		return Health{}, failed(cmd)
	}
	out := strings.TrimSpace(string(cmd.Stdout))
	fields := strings.SplitN(out, " ", 4)
	var st containerState
	if len(fields) != 4 || json.Unmarshal([]byte(fields[3]), &st) != nil || st.Status == "" {
		return Health{}, fmt.Errorf("docker inspect printed what cannot be read: %s", llm.Line(out, 120))
	}
	if _, err := strconv.Atoi(fields[2]); err != nil {
		return Health{}, fmt.Errorf("docker inspect printed what cannot be read as a number of restarts: %s", llm.Line(fields[2], 40))
	}
	h := Health{run: fields[2] + " " + st.StartedAt + " " + strconv.Itoa(st.Pid)}
	detail := []string{llm.Line(st.Status, 40)}
	switch st.Status {
	case "running":
		h.well = true
		if st.Health != nil && st.Health.Status != "none" && st.Health.Status != "" {
			h.well = st.Health.Status == "healthy"
			detail = append(detail, "health "+llm.Line(st.Health.Status, 40))
		}
	case "restarting": // docker will try again
	default: // created, exited, dead, paused, removing
		h.down = true
	}
	if st.Status == "exited" || st.Status == "dead" || st.Status == "restarting" {
		detail = append(detail, fmt.Sprintf("exit status %d", st.ExitCode))
	}
	if st.OOMKilled {
		detail = append(detail, "ended for want of memory")
	}
	if st.Error != "" {
		detail = append(detail, llm.Line(st.Error, 160))
	}
	h.Detail = strings.Join(append(detail, "restarts "+fields[2], "started "+llm.Line(st.StartedAt, 40)), ", ")
	return h, nil
}

// readUnit reads what showUnit prints: NAME=VALUE lines, in any order.
func readUnit(cmd lifeline.Command) (Health, error) {
	if *cmd.ExitStatus != 0 {
		return Health{}, failed(cmd)
	}
	v := map[string]string{}
	for line := range strings.Lines(string(cmd.Stdout)) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if ok {
			v[name] = llm.Line(value, 80)
		}
	}
	if v["LoadState"] == "" || v["ActiveState"] == "" {
		return Health{}, fmt.Errorf("systemctl show printed what cannot be read: %s", llm.Line(string(cmd.Stdout), 120))
	}
	if v["LoadState"] == "not-found" {
		return Health{Detail: "systemd knows no such unit", down: true}, nil
	}
	h := Health{run: strings.Join([]string{v["NRestarts"], v["MainPID"], v["ExecMainStartTimestamp"], v["ActiveEnterTimestamp"]}, " ")}
	ended := v["Type"] == "oneshot" && v["Result"] == "success" && v["ExecMainStartTimestamp"] != ""
	switch v["ActiveState"] {
	case "active":
		h.well = true
	case "inactive", "failed":
		h.well = v["ActiveState"] == "inactive" && ended
		h.down = !h.well
	} // activating, deactivating, reloading: on its way
	h.Detail = fmt.Sprintf("%s (%s)", v["ActiveState"], v["SubState"])
	if v["Result"] != "" && v["Result"] != "success" {
		h.Detail += ", result " + v["Result"]
	}
	if s := v["ExecMainStatus"]; h.down && s != "" && s != "0" {
		h.Detail += ", exit status " + s
	}
	if v["NRestarts"] != "" {
		h.Detail += ", restarts " + v["NRestarts"]
	}
	if v["ActiveEnterTimestamp"] != "" {
		h.Detail += ", active since " + v["ActiveEnterTimestamp"]
	}
	return h, nil
}

// readFilesystem reads df -P, whose format POSIX fixes: a heading, then device,
// blocks, used, available, capacity, mount point.
func readFilesystem(cmd lifeline.Command, mount string) (Health, error) {
	if *cmd.ExitStatus != 0 {
		if strings.Contains(string(cmd.Stderr), "No such file or directory") {
			return Health{Detail: "there is no such folder", down: true}, nil
		}
		return Health{}, failed(cmd)
	}
	lines := strings.Split(strings.TrimSpace(string(cmd.Stdout)), "\n")
	line := lines[len(lines)-1]
	before, after, ok := strings.Cut(line, "% ")
	fields := strings.Fields(before)
	if len(lines) < 2 || !ok || len(fields) < 5 {
		return Health{}, fmt.Errorf("df printed what cannot be read: %s", llm.Line(string(cmd.Stdout), 120))
	}
	used, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil {
		return Health{}, fmt.Errorf("df printed what cannot be read: %s", llm.Line(line, 120))
	}
	if on := strings.TrimSpace(after); on != mount && on != strings.TrimRight(mount, "/") {
		return Health{Detail: "nothing is mounted there: it is part of " + llm.Line(on, 80), down: true}, nil
	}
	h := Health{Detail: fmt.Sprintf("%d %% used", used), well: used < fullPercent}
	h.down = !h.well
	return h, nil
}

func readHost(cmd lifeline.Command) (Health, error) {
	if *cmd.ExitStatus != 0 {
		return Health{}, failed(cmd)
	}
	return Health{Detail: "answers: " + llm.Line(string(cmd.Stdout), 120), well: true}, nil
}
