package lab

import (
	"slices"
	"time"
)

// lookup finds a simulated program; nil if there is none of that name.
func lookup(name string) program {
	for _, p := range programs() {
		if p.name == name {
			return p.run
		}
	}
	return nil
}

func programNames() []string {
	var names []string
	for _, p := range programs() {
		names = append(names, p.name)
	}
	slices.Sort(names)
	return names
}

type namedProgram struct {
	name string
	run  program
}

// programs are all programs of a host.
func programs() []namedProgram {
	return []namedProgram{
		{"docker", runDocker},
		{"systemctl", runSystemctl}, {"journalctl", runJournalctl},
		{"sh", runShell}, {"bash", runShell}, {"dash", runShell},
		{"env", runEnv}, {"printenv", runPrintenv}, {"sudo", runSudo}, {"timeout", runTimeout}, {"nice", runNice}, {"nohup", runNice},
		{"echo", runEcho}, {"printf", runPrintf}, {"true", func(*process) int { return 0 }}, {"false", func(*process) int { return 1 }},
		{"sleep", runSleep}, {"which", runWhich}, {"test", runTest}, {"[", runTest},
		{"cat", runCat}, {"ls", runLs}, {"head", runHead}, {"tail", runTail}, {"grep", runGrep},
		{"wc", runWc}, {"sort", runSort}, {"uniq", runUniq}, {"cut", runCut}, {"tr", runTr},
		{"df", runDf}, {"du", runDu}, {"free", runFree}, {"uptime", runUptime}, {"ps", runPs}, {"ss", runSs},
		{"date", runDate}, {"hostname", runHostname}, {"uname", runUname}, {"id", runID}, {"whoami", runWhoami},
		{"nproc", func(p *process) int { p.printf("4\n"); return 0 }}, {"dmesg", runDmesg},
	}
}

// cost is how long a program takes before it answers, as on a real host.
func (h *Host) cost(name string, args []string) time.Duration {
	d := 2 * time.Millisecond
	switch name {
	case "docker":
		d = 40 * time.Millisecond
	case "systemctl", "journalctl":
		d = 15 * time.Millisecond
	case "du":
		d = 400 * time.Millisecond
	case "sh", "bash", "dash", "env", "sudo", "echo", "printf", "true", "false", "test", "[", "sleep":
		d = 0
	}
	d = h.paced(d)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(args) > 0 {
		if slow, ok := h.slowness[name+" "+args[0]]; ok && byDaemon(name, args[0]) {
			return d // the daemon is slow, not the client: see daemon
		} else if ok {
			return slow
		}
	}
	if slow, ok := h.slowness[name]; ok {
		return slow
	}
	if slow, ok := h.slowness[""]; ok && d > 0 {
		return slow
	}
	return d
}

// byDaemon reports whether a sub-command is work that a daemon does.
func byDaemon(name, sub string) bool {
	switch name {
	case "docker":
		return slices.Contains([]string{"start", "stop", "restart", "pause", "unpause", "kill", "image"}, sub)
	case "systemctl":
		return slices.Contains([]string{"start", "stop", "restart", "try-restart", "reload", "reload-or-restart"}, sub)
	}
	return false
}

// paced scales a realistic duration to the host's pace.
func (h *Host) paced(d time.Duration) time.Duration {
	return time.Duration(float64(d) * h.pace)
}

// phase is one thing that a daemon does, after it took so long.
type phase struct {
	takes time.Duration
	do    func()
}

// daemon lets a daemon work through its phases. It goes on if the client that
// asked is gone, as dockerd and systemd do; ok is false if the client went away.
func (p *process) daemon(phases ...phase) (ok bool) {
	h := p.host
	h.mu.Lock()
	extra := time.Duration(0)
	if len(p.args) > 0 {
		extra = h.slowness[p.name+" "+p.args[0]]
	}
	h.mu.Unlock()
	done := make(chan struct{})
	begun := h.begin(func() {
		defer close(done)
		for i, ph := range phases {
			takes := h.paced(ph.takes)
			if i == 0 {
				takes += extra
			}
			if takes > 0 {
				t := time.NewTimer(takes)
				select {
				case <-t.C:
				case <-h.closing:
					t.Stop()
					return
				}
			}
			h.world.lock()
			ph.do()
			h.world.unlock()
		}
	})
	if !begun {
		return false
	}
	select {
	case <-done:
		return true
	case <-p.ctx.Done():
		return false
	}
}
