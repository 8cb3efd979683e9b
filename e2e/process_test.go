//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a story waits for something that takes a second or two
// on an idle machine. It bounds a hang, it measures nothing.
const patience = 90 * time.Second

// process is a program that a story started; it ends with the story at the
// latest.
type process struct {
	name string
	cmd  *exec.Cmd
	// logFile holds what it wrote to standard output and standard error.
	logFile string
	// ended is closed once the program is gone and cmd.ProcessState is set.
	ended chan struct{}
	// end is the signal that asks it to end; nil: SIGTERM.
	end os.Signal
}

// start starts a program whose output goes to NAME.log in dir.
func start(t *testing.T, dir, name string, env []string, argv ...string) *process {
	t.Helper()
	return startAs(t, dir, name, env, func(*syscall.SysProcAttr) {}, argv...)
}

// startAs is start with more to say about the process, such as its account.
func startAs(t *testing.T, dir, name string, env []string, as func(*syscall.SysProcAttr), argv ...string) *process {
	t.Helper()
	p := &process{name: name, logFile: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	out, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Dir, p.cmd.Env = dir, env
	p.cmd.Stdout, p.cmd.Stderr = out, out
	// A group of its own, so that a terminal's interrupt reaches the test only,
	// and an end with the test, should the test itself be killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	as(p.cmd.SysProcAttr)
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // ProcessState says how it ended
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("the end of %s's log:\n%s", name, tail(p.log(t), 80))
		}
	})
	return p
}

// stop asks the program to end, waits for it and gives its exit status; -1 if
// a signal ended it. A program that does not end when it is asked to is a
// failure and is killed.
func (p *process) stop(t *testing.T) int {
	t.Helper()
	signal := p.end
	if signal == nil {
		signal = syscall.SIGTERM
	}
	_ = p.cmd.Process.Signal(signal) // it may have ended already
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Errorf("%s did not end within %s of SIGTERM", p.name, patience)
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	return p.cmd.ProcessState.ExitCode()
}

// ready waits until the program does what it was started for.
func (p *process) ready(t *testing.T, check func() error) {
	t.Helper()
	eventually(t, p.name+" is ready", func() error {
		select {
		case <-p.ended:
			t.Fatalf("%s ended at its start, %s:\n%s", p.name, p.cmd.ProcessState, tail(p.log(t), 40))
		default:
		}
		return check()
	})
}

// log is what the program wrote so far.
func (p *process) log(t *testing.T) string {
	t.Helper()
	return readFile(t, p.logFile)
}

// run runs a program to its end and gives its standard output. It must exit 0.
func run(t *testing.T, env []string, argv ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(argv, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// eventually looks again and again until check has no complaint. The programs
// under test have no way to tell a test that they are ready.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	within(t, patience, what, check)
}

func within(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.After(limit)
	look := time.NewTicker(25 * time.Millisecond)
	defer look.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("waited %s in vain until %s: %v", limit, what, err)
		case <-look.C:
		}
	}
}

// freeAddress is a loopback address that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// splitAddress is host and port.
func splitAddress(t *testing.T, address string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(all) > lines {
		all = append([]string{fmt.Sprintf("… %d lines before …", len(all)-lines)}, all[len(all)-lines:]...)
	}
	return strings.Join(all, "\n")
}
