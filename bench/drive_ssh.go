package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// sshCaller starts the ssh command for each command. Ways: "" with a connection
// for each, "control" over a shared one (ControlMaster=auto).
type sshCaller struct {
	spec    spec
	options []string
	target  string
	socket  string    // "": no sharing
	master  *exec.Cmd // the connection that warm opened
}

func newSSHCaller(s spec) (*sshCaller, error) {
	host, port, err := net.SplitHostPort(s.Hosts[0])
	if err != nil {
		return nil, fmt.Errorf("the host's address: %w", err)
	}
	c := &sshCaller{spec: s, target: s.User + "@" + host, options: []string{
		"-F", "none", "-n", "-T", "-p", port, "-i", s.Identity,
		"-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + s.KnownHosts, "-o", "GlobalKnownHostsFile=none",
	}}
	if s.Way == "control" {
		c.socket = filepath.Join(s.Folder, "cm-"+strconv.Itoa(os.Getpid()))
		c.options = append(c.options, "-o", "ControlPath="+c.socket, "-o", "ControlMaster=auto", "-o", "ControlPersist=15")
	}
	return c, nil
}

func (c *sshCaller) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ssh", append(append([]string{}, c.options...), args...)...)
}

// warm opens the shared connection and waits until it can be used.
func (c *sshCaller) warm(ctx context.Context) error {
	if c.socket == "" {
		return nil
	}
	// The first value of an option wins: this one is in the foreground.
	c.master = exec.CommandContext(ctx, "ssh", append([]string{"-N", "-o", "ControlMaster=yes", "-o", "ControlPersist=no"}, append(c.options, c.target)...)...)
	if err := c.master.Start(); err != nil {
		return fmt.Errorf("start the shared connection: %w", err)
	}
	for {
		if _, ok := c.masterPID(ctx); ok {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// masterPID asks the shared connection who it is; false if there is none.
func (c *sshCaller) masterPID(ctx context.Context) (pid int, ok bool) {
	out, err := c.command(ctx, "-O", "check", c.target).CombinedOutput()
	if err != nil {
		return 0, false
	}
	m := regexp.MustCompile(`pid=(\d+)`).FindSubmatch(out)
	if m == nil {
		return 0, false
	}
	pid, err = strconv.Atoi(string(m[1]))
	return pid, err == nil
}

func (c *sshCaller) run(ctx context.Context, _ int) (int64, error) {
	var n counter
	var stderr bytes.Buffer
	cmd := c.command(ctx, c.target, c.spec.Command)
	cmd.Stdout, cmd.Stderr = &n, &stderr
	if err := cmd.Run(); err != nil {
		return int64(n), fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return int64(n), nil
}

// cpu is that of the shared connection, which is in the background: of a
// process that runs, schedstat(proc) has it in nanoseconds.
func (c *sshCaller) cpu() float64 {
	if c.socket == "" {
		return 0
	}
	pid, ok := c.masterPID(context.Background())
	if !ok {
		return 0
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(data), " ")
	ns, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return ns / 1e9
}

func (c *sshCaller) close() error {
	if c.socket == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, ok := c.masterPID(ctx); !ok && c.master == nil {
		return nil // the first connections failed, all of them
	}
	out, err := c.command(ctx, "-O", "exit", c.target).CombinedOutput()
	if c.master != nil {
		_ = c.master.Wait() // it was told to end
	}
	if err != nil {
		return fmt.Errorf("close the shared connection: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
