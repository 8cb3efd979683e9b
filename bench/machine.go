package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// machine is what the figures hold for.
type machine struct {
	Date    string
	CPU     string
	Cores   int
	Memory  string
	System  string
	Load    float64 // one-minute load average at the start
	Commit  string
	SSHD    string
	Peers   []string
	Command string // how the program was called
}

// noisy reports whether something else ran when the benchmark began.
func (m machine) noisy() bool { return m.Load > 0.5*float64(m.Cores) }

// describeMachine asks the machine and the peers. What it cannot find out is
// said to be unknown.
func describeMachine(ctx context.Context, b *bench) (machine, error) {
	m := machine{
		Date: time.Now().UTC().Format("2006-01-02 15:04 MST"), Cores: runtime.NumCPU(),
		CPU:    field("/proc/cpuinfo", "model name", "unknown processor"),
		System: fmt.Sprintf("%s, Linux %s", strings.Trim(field("/etc/os-release", "PRETTY_NAME", "unknown system"), `"`), word("/proc/sys/kernel/osrelease")),
		Memory: "unknown memory", Commit: "unknown",
		Command: strings.Join(append([]string{"go run ./bench"}, os.Args[1:]...), " "),
	}
	if kb, err := strconv.ParseFloat(strings.TrimSuffix(field("/proc/meminfo", "MemTotal", ""), " kB"), 64); err == nil {
		m.Memory = fmt.Sprintf("%.0f GB of memory", kb/1e6)
	}
	git := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--tags")
	git.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0") // others may work in the tree
	if out, err := git.Output(); err == nil {
		m.Commit = strings.TrimSpace(string(out))
	}
	var err error
	if m.Load, err = strconv.ParseFloat(word("/proc/loadavg"), 64); err != nil {
		return m, fmt.Errorf("read the load average: %w", err)
	}
	if m.SSHD, err = banner(b.usual.address); err != nil {
		return m, err
	}
	client, err := exec.CommandContext(ctx, "ssh", "-V").CombinedOutput()
	if err != nil {
		return m, fmt.Errorf("ask ssh for its version: %w", err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(client)), ",")
	m.Peers = []string{first, "golang.org/x/crypto " + dependency("golang.org/x/crypto") + " with " + runtime.Version()}
	for _, peer := range []string{"asyncssh", "paramiko"} {
		out, err := exec.CommandContext(ctx, python, b.peer(peer), "version").Output()
		if err != nil {
			return m, fmt.Errorf("ask %s for its version: %w", peer, err)
		}
		m.Peers = append(m.Peers, peer+" "+strings.TrimSpace(string(out)))
	}
	out, err := exec.CommandContext(ctx, python, "--version").Output()
	if err != nil {
		return m, fmt.Errorf("ask Python for its version: %w", err)
	}
	m.Peers[len(m.Peers)-1] += " (both with " + strings.TrimSpace(string(out)) + ")"
	return m, nil
}

// field is the value of the first line "name: value" or "name=value".
func field(file, name, missing string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return missing
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimLeft(strings.TrimSpace(rest), ":= \t")
		}
	}
	return missing
}

// word is the first word of a file.
func word(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	return first
}

func dependency(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == path {
				return d.Version
			}
		}
	}
	return "of unknown version"
}
