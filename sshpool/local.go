package sshpool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// runLocal runs a job on this machine. It has the slots, the clocks, the kill
// and the result of a remote one.
func (l *line) runLocal(ctx context.Context, j *job, r *Result) error {
	w := &waiter{}
	slot, err := l.acquire(ctx, j, w)
	r.Queue = w.queued
	if err != nil {
		return err
	}
	r.Tries = 1
	if err := l.calledOff(j); err != nil {
		l.release(slot)
		return err
	}
	p, err := startLocal(j, l.pool.cfg, l.pool.wg.Go)
	if err != nil {
		l.release(slot)
		return &Error{Kind: KindRefused, Host: l.target.name, Message: "it could not be started", Err: err}
	}
	// The slot is free when the process is known to have ended.
	l.pool.wg.Go(func() {
		<-p.exited
		l.release(slot)
	})
	defer func(begun time.Time) {
		r.Run = time.Since(begun)
		r.Stdout, r.Stderr = p.sink.outputs()
	}(time.Now())
	clock := time.NewTimer(j.run)
	defer clock.Stop()
	var why *Error
	r.Outcome = Unknown
	select {
	case <-p.exited:
		r.OutputCut = !p.drain()
		p.report(r)
		return nil
	case <-clock.C:
		r.Outcome = TimedOut
		why = &Error{
			Kind: KindRunTimeout, Host: l.target.name, Message: fmt.Sprintf("not ended within the run clock of %v", j.run),
			Hint: "look at the state before running it again; a longer run clock may be all it needs",
		}
	case <-ctx.Done():
		why = l.canceled(ctx, "while it ran")
	case <-l.pool.forced:
		why = l.pool.closedError(l.target.name)
	}
	r.Kill = p.kill(j)
	if r.Outcome == Unknown && r.Kill.Confirmed {
		p.report(r)
		return nil
	}
	why.Message += "; " + r.Kill.Note
	return why
}

// process is a command on this machine, in a process group and a session of
// its own.
type process struct {
	cmd    *exec.Cmd
	sink   *sink
	pipes  []*os.File    // our ends
	exited chan struct{} // closed when it has been reaped
	eof    chan struct{} // closed when both outputs have ended
}

// startLocal starts a process. spawn starts the goroutines that look after it.
func startLocal(j *job, cfg Config, spawn func(func())) (*process, error) {
	c, stdin := j.cmd, j.stdin
	if c.Shell == "" {
		c.Shell = "/bin/sh"
	}
	if len(c.Script) > maxExecText {
		c, stdin = byStdin(c)
	}
	argv := []string{c.Shell, "-c", script(c)}
	if c.Sudo {
		argv = []string{"/bin/sh", "-c", execText(c, j.mark)}
	}
	p := &process{
		cmd: exec.Command(argv[0], argv[1:]...), sink: newSink(cfg, c),
		exited: make(chan struct{}), eof: make(chan struct{}),
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p.cmd.Env = append(localEnv(c.Env), markName+"="+j.mark)
	// The pipes are ours and not exec's, so that Wait returns when the process
	// ends and not when its last child closes the output.
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
	}()
	pipe := func() (r, w *os.File, err error) {
		if r, w, err = os.Pipe(); err == nil {
			p.pipes = append(p.pipes, r, w)
		}
		return r, w, err
	}
	in, inW, err1 := pipe()
	outR, out, err2 := pipe()
	errR, errW, err3 := pipe()
	err := errors.Join(err1, err2, err3)
	if err == nil {
		p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = in, out, errW
		err = p.cmd.Start()
	}
	if err != nil {
		theirs = p.pipes
		return nil, err
	}
	theirs = []*os.File{in, out, errW}
	p.pipes = []*os.File{inW, outR, errR}
	spawn(func() {
		inW.Write(stdin) // a command need not read all of it
		inW.Close()
	})
	var readers sync.WaitGroup
	readers.Go(func() { p.sink.copy(Stdout, outR) })
	readers.Go(func() { p.sink.copy(Stderr, errR) })
	spawn(func() {
		readers.Wait()
		close(p.eof)
	})
	spawn(func() {
		p.cmd.Wait()
		close(p.exited)
	})
	return p, nil
}

// localEnv is our own environment with the command's, and a PATH as a remote
// command has it.
func localEnv(own map[string]string) []string {
	env := os.Environ()
	if _, ok := own["PATH"]; !ok {
		path := systemPath
		if have := os.Getenv("PATH"); have != "" {
			path = have + ":" + systemPath
		}
		env = append(env, "PATH="+path)
	}
	for name, value := range own {
		env = append(env, name+"="+value)
	}
	return env
}

// drain waits for the rest of the output, and reports whether all of it has come.
func (p *process) drain() bool {
	complete := drain(p.sink, p.eof, nil)
	p.letGo()
	return complete
}

// letGo ends the reading; a child in the background gets SIGPIPE if it writes on.
func (p *process) letGo() {
	p.sink.detach()
	for _, f := range p.pipes {
		f.Close()
	}
}

func (p *process) report(r *Result) {
	state := p.cmd.ProcessState
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		r.Outcome, r.Signal = Signaled, signalName(status.Signal())
		return
	}
	r.Outcome, r.ExitStatus = Exited, state.ExitCode()
}

// kill ends the whole process group: TERM, then KILL, also for what is left of
// the group after its leader.
func (p *process) kill(j *job) *Kill {
	k, grace := &Kill{}, j.grace
	group := -p.cmd.Process.Pid
	for _, step := range []struct {
		sig  syscall.Signal
		time time.Duration
	}{{syscall.SIGTERM, grace}, {syscall.SIGKILL, max(grace, leastGrace)}} {
		if err := syscall.Kill(group, step.sig); err == nil {
			k.Signals = append(k.Signals, signalName(step.sig))
		}
		if p.awaitGroup(group, step.time) || j.cmd.Sudo {
			break // KILL would end sudo and not what sudo runs: see session.kill
		}
	}
	w := sweepLocal(j, p.cmd.Process.Pid)
	k.Found, k.Left = w.found, w.left
	if w.clean() && w.found > 0 {
		p.awaitGroup(group, leastGrace)
	}
	select {
	case <-p.exited:
	default:
		k.Note = "its end was not seen; it may still run" + w.note()
		p.sink.detach()
		return k
	}
	var r Result
	p.report(&r)
	k.Note = fmt.Sprintf("it ended with status %d", r.ExitStatus)
	if r.Outcome == Signaled {
		k.Note = "it ended by signal " + r.Signal
	}
	complete := p.drain()
	k.Confirmed = complete && !groupAlive(group) && w.left == 0
	if !k.Confirmed {
		k.Note += ", but something that it started may still run"
	}
	k.Note += w.note()
	return k
}

// sweepLocal is session.sweep on this machine, where the session of the command
// is known.
func sweepLocal(j *job, session int) *sweep {
	grace := max(j.grace, leastGrace)
	ctx, cancel := context.WithTimeout(context.Background(), j.grace+grace+sweepSlack)
	defer cancel()
	text := execText(Command{Shell: "/bin/sh", Script: sweepScript(j.mark, session, j.grace, grace), Sudo: j.cmd.Sudo}, "")
	out, err := exec.CommandContext(ctx, "/bin/sh", "-c", text).Output()
	if err != nil {
		return &sweep{failed: err.Error()}
	}
	return parseSweep(out)
}

// awaitGroup waits until the process has been reaped and its group is empty.
func (p *process) awaitGroup(group int, bound time.Duration) bool {
	over := time.NewTimer(bound)
	defer over.Stop()
	select {
	case <-p.exited:
	case <-over.C:
		return false
	}
	look := time.NewTicker(firstSignalRetry)
	defer look.Stop()
	for groupAlive(group) {
		select {
		case <-look.C:
		case <-over.C:
			return false
		}
	}
	return true
}

// groupAlive reports whether a process group (a negative number) has a living
// member. One that has ended and waits for its parent, which may be an init that
// never asks, does not live.
func groupAlive(group int) bool {
	if errors.Is(syscall.Kill(group, 0), syscall.ESRCH) {
		return false
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return true // no Linux: what kill says has to do
	}
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		// "pid (name) state ppid pgrp ...", where the name may hold anything.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) > 2 && fields[2] == strconv.Itoa(-group) && fields[0] != "Z" && fields[0] != "X" {
			return true
		}
	}
	return false
}

// signalName is the name that SSH uses.
func signalName(s syscall.Signal) string {
	names := map[syscall.Signal]string{
		syscall.SIGABRT: "ABRT", syscall.SIGALRM: "ALRM", syscall.SIGFPE: "FPE", syscall.SIGHUP: "HUP",
		syscall.SIGILL: "ILL", syscall.SIGINT: "INT", syscall.SIGKILL: "KILL", syscall.SIGPIPE: "PIPE",
		syscall.SIGQUIT: "QUIT", syscall.SIGSEGV: "SEGV", syscall.SIGTERM: "TERM",
		syscall.SIGUSR1: "USR1", syscall.SIGUSR2: "USR2",
	}
	if n, ok := names[s]; ok {
		return n
	}
	return fmt.Sprintf("%d", int(s))
}
