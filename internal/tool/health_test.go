package tool_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/tool"
)

func look(t *testing.T, target lifeline.Target, answer lifeline.Command) (h tool.Health, command string, err error) {
	t.Helper()
	d := &door{answer: answer}
	h, err = tool.Status(t.Context(), d, tool.Probe{IncidentID: "inc_1", Actor: "verify", Target: target})
	if len(d.asked) == 0 {
		return h, "", err
	}
	if r := d.asked[0]; len(d.asked) != 1 || r.Host != target.Host || r.IncidentID != "inc_1" || r.Actor != "verify" || r.Purpose == "" || r.ID != "" {
		t.Errorf("asked %+v", d.asked)
	}
	return h, d.asked[0].Command, err
}

var (
	web  = lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"}
	unit = lifeline.Target{Host: "nexus", Kind: lifeline.TargetUnit, Name: "nginx.service"}
	data = lifeline.Target{Host: "nexus", Kind: lifeline.TargetFilesystem, Name: "/srv/my data"}
	host = lifeline.Target{Host: "nexus", Kind: lifeline.TargetHost}
)

const dfHead = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n"

func TestStatus(t *testing.T) {
	container := func(state string) lifeline.Command {
		return exited(0, "/web nginx:1.29 2 "+state+"\n", "")
	}
	show := func(lines ...string) lifeline.Command { return exited(0, strings.Join(lines, "\n")+"\n", "") }
	for name, tc := range map[string]struct {
		target     lifeline.Target
		answer     lifeline.Command
		well, down bool
		detail     string
	}{
		"container runs": {web, container(`{"Status":"running","Running":true,"Pid":42,"ExitCode":0,"StartedAt":"2026-01-02T03:04:05Z"}`), true, false,
			"container web on nexus: running, restarts 2, started 2026-01-02T03:04:05Z"},
		"container is healthy": {web, container(`{"Status":"running","StartedAt":"x","Health":{"Status":"healthy","Log":[{"Output":"ok\n"}]}}`), true, false,
			"container web on nexus: running, health healthy, restarts 2, started x"},
		"container has no check": {web, container(`{"Status":"running","StartedAt":"x","Health":{"Status":"none"}}`), true, false, "container web on nexus: running, restarts 2, started x"},
		"container begins":       {web, container(`{"Status":"running","StartedAt":"x","Health":{"Status":"starting"}}`), false, false, "container web on nexus: running, health starting, restarts 2, started x"},
		"container is unhealthy": {web, container(`{"Status":"running","StartedAt":"x","Health":{"Status":"unhealthy"}}`), false, false, "container web on nexus: running, health unhealthy, restarts 2, started x"},
		"container exited": {web, container(`{"Status":"exited","ExitCode":137,"OOMKilled":true,"Error":"no\u001b","StartedAt":"x"}`), false, true,
			`container web on nexus: exited, exit status 137, ended for want of memory, no\x1b, restarts 2, started x`},
		"container restarts": {web, container(`{"Status":"restarting","ExitCode":1,"StartedAt":"x"}`), false, false, "container web on nexus: restarting, exit status 1, restarts 2, started x"},
		"container paused":   {web, container(`{"Status":"paused","StartedAt":"x"}`), false, true, "container web on nexus: paused, restarts 2, started x"},
		"container created":  {web, container(`{"Status":"created","StartedAt":"x"}`), false, true, "container web on nexus: created, restarts 2, started x"},
		"no container":       {web, exited(1, "", "Error: No such object: web\n"), false, true, "container web on nexus: docker knows no such container"},
		"no container (new)": {web, exited(1, "", "error: no such object: web\n"), false, true, "container web on nexus: docker knows no such container"},

		"unit is active": {unit, show("ActiveState=active", "SubState=running", "LoadState=loaded", "NRestarts=1", "Result=success", "MainPID=7", "ActiveEnterTimestamp=Fri 2026-01-02 03:04:05 UTC"), true, false,
			"unit nginx.service on nexus: active (running), restarts 1, active since Fri 2026-01-02 03:04:05 UTC"},
		"unit failed": {unit, show("LoadState=loaded", "ActiveState=failed", "SubState=failed", "Result=exit-code", "ExecMainStatus=78", "NRestarts=0", "ActiveEnterTimestamp="), false, true,
			"unit nginx.service on nexus: failed (failed), result exit-code, exit status 78, restarts 0"},
		"unit stopped":   {unit, show("LoadState=loaded", "ActiveState=inactive", "SubState=dead", "Type=simple", "Result=success", "ExecMainStartTimestamp=x"), false, true, "unit nginx.service on nexus: inactive (dead)"},
		"unit starts":    {unit, show("LoadState=loaded", "ActiveState=activating", "SubState=auto-restart", "Result=exit-code"), false, false, "unit nginx.service on nexus: activating (auto-restart), result exit-code"},
		"oneshot ended":  {unit, show("LoadState=loaded", "ActiveState=inactive", "SubState=dead", "Type=oneshot", "Result=success", "ExecMainStartTimestamp=x"), true, false, "unit nginx.service on nexus: inactive (dead)"},
		"oneshot unrun":  {unit, show("LoadState=loaded", "ActiveState=inactive", "SubState=dead", "Type=oneshot", "Result=success", "ExecMainStartTimestamp="), false, true, "unit nginx.service on nexus: inactive (dead)"},
		"oneshot failed": {unit, show("LoadState=loaded", "ActiveState=failed", "SubState=failed", "Type=oneshot", "Result=timeout", "ExecMainStartTimestamp=x"), false, true, "unit nginx.service on nexus: failed (failed), result timeout"},
		"no unit":        {unit, show("LoadState=not-found", "ActiveState=inactive"), false, true, "unit nginx.service on nexus: systemd knows no such unit"},

		"disk has room": {data, exited(0, dfHead+"/dev/sda1 100 50 50 50% /srv/my data\n", ""), true, false, "filesystem /srv/my data on nexus: 50 % used"},
		"disk at 89":    {data, exited(0, dfHead+"/dev/sda1 100 89 11 89% /srv/my data\n", ""), true, false, "filesystem /srv/my data on nexus: 89 % used"},
		"disk at 90":    {data, exited(0, dfHead+"//nas/my share 100 90 10 90% /srv/my data\n", ""), false, true, "filesystem /srv/my data on nexus: 90 % used"},
		"not mounted":   {data, exited(0, dfHead+"/dev/sda1 100 50 50 50% /\n", ""), false, true, "filesystem /srv/my data on nexus: nothing is mounted there: it is part of /"},
		"no folder":     {data, exited(1, "", "df: '/srv/my data': No such file or directory\n"), false, true, "filesystem /srv/my data on nexus: there is no such folder"},
		"root":          {lifeline.Target{Host: "nexus", Kind: lifeline.TargetFilesystem, Name: "/"}, exited(0, dfHead+"/dev/sda1 100 5 95 5% /\n", ""), true, false, "filesystem / on nexus: 5 % used"},

		"host answers": {host, exited(0, " 12:00 up 3 days\n", ""), true, false, "host nexus: answers: 12:00 up 3 days"},
	} {
		h, _, err := look(t, tc.target, tc.answer)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if h.Well() != tc.well || h.Down() != tc.down {
			t.Errorf("%s: well %v, down %v; want %v, %v", name, h.Well(), h.Down(), tc.well, tc.down)
		}
		if diff := cmp.Diff(tc.detail, h.Detail); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A look that could not be made is an error with its cause, never a health.
func TestStatusCouldNotLook(t *testing.T) {
	for name, tc := range map[string]struct {
		target lifeline.Target
		answer lifeline.Command
		code   lifeline.Code
		says   string
	}{
		"unreachable": {web, lifeline.Command{Outcome: lifeline.OutcomeNotStarted, Cause: lifeline.CodeUnreachable, Error: "dial tcp: no route"}, lifeline.CodeUnreachable, "no route"},
		"refused":     {web, lifeline.Command{Outcome: lifeline.OutcomeRefused, Cause: lifeline.CodeRefused, Reason: "not in observe"}, lifeline.CodeRefused, "refused: not in observe"},
		"timed out":   {web, lifeline.Command{Outcome: lifeline.OutcomeTimedOut, Cause: lifeline.CodeTimeout, Error: "60s are over"}, lifeline.CodeTimeout, "60s are over"},
		"unknown":     {web, lifeline.Command{Outcome: lifeline.OutcomeUnknown}, lifeline.CodeUnknown, "unknown"},
		"signaled":    {web, lifeline.Command{Outcome: lifeline.OutcomeSignaled, Signal: "KILL"}, lifeline.CodeUnknown, "signaled"},
		// A command cannot bring the code that stops the workflow: only the record can.
		"says store":     {web, lifeline.Command{Outcome: lifeline.OutcomeUnknown, Cause: lifeline.CodeStore}, lifeline.CodeUnknown, "unknown"},
		"daemon is down": {web, exited(1, "", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."), lifeline.CodeFailed, "exit status 1: Cannot connect"},
		"no docker":      {web, exited(127, "", ""), lifeline.CodeFailed, "exit status 127: it printed nothing"},
		"garbage":        {web, exited(0, "hello", ""), lifeline.CodeFailed, "cannot be read: hello"},
		"cut JSON":       {web, exited(0, `/web img 0 {"Status":"runn`, ""), lifeline.CodeFailed, "cannot be read"},
		"no restarts":    {web, exited(0, `/web img x {"Status":"running"}`, ""), lifeline.CodeFailed, "number of restarts: x"},
		"no systemd":     {unit, exited(1, "", "System has not been booted with systemd"), lifeline.CodeFailed, "not been booted"},
		"unit garbage":   {unit, exited(0, "hello=1", ""), lifeline.CodeFailed, "cannot be read"},
		"df fails":       {data, exited(1, "", "df: Permission denied"), lifeline.CodeFailed, "Permission denied"},
		"df garbage":     {data, exited(0, "hello", ""), lifeline.CodeFailed, "cannot be read"},
		"df no number":   {data, exited(0, dfHead+"/dev/sda1 1 1 1 -% /srv/my data", ""), lifeline.CodeFailed, "cannot be read"},
		"uptime fails":   {host, exited(1, "", "no"), lifeline.CodeFailed, "exit status 1: no"},
		"bad name":       {lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "x; reboot"}, exited(0, "", ""), lifeline.CodeUsage, "not a name"},
		"bad mount":      {lifeline.Target{Host: "nexus", Kind: lifeline.TargetFilesystem, Name: "srv"}, exited(0, "", ""), lifeline.CodeUsage, "not a name"},
		"no host":        {lifeline.Target{Kind: lifeline.TargetHost}, exited(0, "", ""), lifeline.CodeUsage, "not a name"},
		"no kind":        {lifeline.Target{Host: "nexus", Name: "x"}, exited(0, "", ""), lifeline.CodeUsage, "nothing is known"},
	} {
		h, command, err := look(t, tc.target, tc.answer)
		if err == nil || lifeline.CodeOf(err) != tc.code || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: error %v with code %s, want %s and %q", name, err, lifeline.CodeOf(err), tc.code, tc.says)
		}
		if h != (tool.Health{}) {
			t.Errorf("%s: health %+v", name, h)
		}
		if tc.code == lifeline.CodeUsage && command != "" {
			t.Errorf("%s: %q was run", name, command)
		}
	}
}

func TestStatusCommands(t *testing.T) {
	for target, want := range map[lifeline.Target]string{
		web:  "docker inspect --type container --format '{{.Name}} {{.Config.Image}} {{.RestartCount}} {{json .State}}' web",
		unit: "systemctl show --property=Id,Description,Type,LoadState,ActiveState,SubState,Result,NRestarts,MainPID,ExecMainStatus,ExecMainStartTimestamp,ActiveEnterTimestamp nginx.service",
		data: "df -P '/srv/my data'",
		host: "uptime",
	} {
		if _, command, _ := look(t, target, exited(1, "", "")); command != want {
			t.Errorf("%s: %q, want %q", target, command, want)
		}
	}
}

func TestSameRun(t *testing.T) {
	container := func(restarts, started, pid string) tool.Health {
		h, _, err := look(t, web, exited(0, `/web img `+restarts+` {"Status":"running","Pid":`+pid+`,"StartedAt":"`+started+`"}`, ""))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	base := container("0", "t1", "7")
	if !base.SameRun(container("0", "t1", "7")) {
		t.Error("the same run is taken for another")
	}
	for name, other := range map[string]tool.Health{
		"restarted by docker": container("1", "t1", "7"), "started again": container("0", "t2", "7"), "another process": container("0", "t1", "8"), "not seen": {},
	} {
		if base.SameRun(other) {
			t.Errorf("%s: taken for the same run", name)
		}
	}
	service := func(lines string) tool.Health {
		h, _, err := look(t, unit, exited(0, "LoadState=loaded\nActiveState=active\n"+lines, ""))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	first := service("NRestarts=0\nMainPID=1\nActiveEnterTimestamp=a")
	for _, lines := range []string{"NRestarts=1\nMainPID=1\nActiveEnterTimestamp=a", "NRestarts=0\nMainPID=2\nActiveEnterTimestamp=a", "NRestarts=0\nMainPID=1\nActiveEnterTimestamp=b"} {
		if first.SameRun(service(lines)) {
			t.Errorf("%q: taken for the same run", lines)
		}
	}
}
