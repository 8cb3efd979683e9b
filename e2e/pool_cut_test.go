//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/sshpool"
)

// cutter is a way to sshd that can be cut.
type cutter struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	// hook, if set, sees each packet before it is passed on; true cuts the way.
	hook func(fromServer bool, chunk int) bool
}

func newCutter() *cutter { return &cutter{conns: map[net.Conn]bool{}} }

// dial fits sshpool.Config.Dial.
func (c *cutter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	server, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	c.mu.Lock()
	c.conns[server] = true
	c.mu.Unlock()
	pass := func(to, from net.Conn, fromServer bool) {
		defer to.Close()
		defer from.Close()
		buf := make([]byte, 64<<10)
		for n := 0; ; n++ {
			size, err := from.Read(buf)
			if size > 0 {
				c.mu.Lock()
				hook := c.hook
				c.mu.Unlock()
				if hook != nil && hook(fromServer, size) {
					return
				}
				if _, err := to.Write(buf[:size]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	go pass(server, theirs, false)
	go func() {
		pass(theirs, server, true)
		c.mu.Lock()
		delete(c.conns, server)
		c.mu.Unlock()
	}()
	return ours, nil
}

// cut ends every connection at once.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		conn.Close()
	}
}

func (c *cutter) setHook(hook func(fromServer bool, chunk int) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hook = hook
}

// The way to a real sshd is cut at each stage of a command's life; each has its
// one right answer, and what ran is counted on the host.
func TestTheWayToSSHDIsCut(t *testing.T) {
	dir := newDir(t)
	server := startSSHD(t, dir)
	ran := filepath.Join(dir, "ran")
	if err := os.WriteFile(ran, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(ran, 0o666); err != nil {
		t.Fatal(err)
	}
	script := "echo >>" + ran + "; echo begun; read x; echo end; exit 4"
	// What passes for a command without spares: to the server the open, exec, and
	// the standard input; from it the confirmation, the reply and the output.
	for _, test := range []struct {
		name       string
		fromServer bool
		nth        int // packet of the direction at which it is cut
		outcome    sshpool.Outcome
		tries      int
		least      int // times it ran
		most       int
	}{
		{"before the open", false, 1, sshpool.Exited, 2, 1, 1},
		{"after the open", true, 1, sshpool.Exited, 2, 1, 1},
		{"with exec on its way", false, 2, sshpool.Unknown, 1, 0, 0},
		{"after exec was delivered", true, 2, sshpool.Unknown, 1, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := os.Truncate(ran, 0); err != nil {
				t.Fatal(err)
			}
			way := newCutter()
			pool := newPool(t, server, func(c *sshpool.Config) { c.Dial, c.SpareSessions = way.dial, -1 })
			if r, err := pool.Run(t.Context(), "nexus", sshpool.Command{Script: "true"}); err != nil {
				t.Fatalf("%+v, %v", r, err)
			}
			eventually(t, "the session of the first command is closed", func() error {
				if s := pool.Stats()["nexus"]; s.SessionsInUse > 0 {
					return fmt.Errorf("%+v", s)
				}
				return nil
			})
			seen, done := 0, false
			way.setHook(func(fromServer bool, _ int) bool {
				way.mu.Lock()
				defer way.mu.Unlock()
				if fromServer != test.fromServer || done {
					return false
				}
				seen++
				done = seen == test.nth
				return done
			})
			r, err := pool.Run(t.Context(), "nexus", sshpool.Command{Script: script, Stdin: []byte("x\n")})
			if r.Outcome != test.outcome || r.Tries != test.tries || (err == nil) != (r.Outcome == sshpool.Exited) {
				t.Errorf("%+v, %v", r, err)
			}
			if r.Outcome == sshpool.Exited && (r.ExitStatus != 4 || string(r.Stdout.Bytes()) != "begun\nend\n") {
				t.Errorf("%+v", r)
			}
			way.setHook(nil)
			if r, err := pool.Run(t.Context(), "nexus", sshpool.Command{Script: "true"}); err != nil {
				t.Errorf("afterwards: %+v, %v", r, err)
			}
			shutDownPool(t, pool)
			server.accepted(t) // every session has ended
			times := strings.Count(readFile(t, ran), "\n")
			if times < test.least || times > test.most {
				t.Errorf("reported as %s, ran %d times", r.Outcome, times)
			}
		})
	}
}

// Cut in the middle of the output: what had come is kept, and the command is not
// run again.
func TestTheWayToSSHDIsCutInTheOutput(t *testing.T) {
	dir := newDir(t)
	server := startSSHD(t, dir)
	way := newCutter()
	pool := newPool(t, server, func(c *sshpool.Config) { c.Dial = way.dial })
	for range 10 {
		r, err := pool.Run(t.Context(), "nexus", sshpool.Command{
			Script: "echo begun; exec sleep 2", Shell: "/bin/sh",
			OnLine: func(sshpool.Stream, []byte) { go way.cut() },
		})
		if e, ok := errors.AsType[*sshpool.Error](err); !ok || e.Kind != sshpool.KindLost || r.Outcome != sshpool.Unknown || r.Tries != 1 || string(r.Stdout.Bytes()) != "begun\n" {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if s := pool.Stats()["nexus"]; s.Unknown != 10 || s.Retries != 0 {
		t.Errorf("%+v", s)
	}
}

// Commands through a way that is cut at random instants: what sshd's host has
// counted agrees with what is reported, for each command.
func TestRandomCutsOnTheWayToSSHD(t *testing.T) {
	const commands, callers = 300, 8
	dir := newDir(t)
	server := startSSHD(t, dir)
	journal := filepath.Join(dir, "journal")
	if err := os.Mkdir(journal, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(journal, 0o777); err != nil {
		t.Fatal(err)
	}
	way := newCutter()
	pool := newPool(t, server, func(c *sshpool.Config) { c.Dial = way.dial })
	stop := make(chan struct{})
	var cutting sync.WaitGroup
	cutting.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20*time.Millisecond + rand.N(150*time.Millisecond)):
			}
			if pool.Stats()["nexus"].OpenConnections > 0 { // a handshake that is cut would be a failed dial
				way.cut()
			}
		}
	})
	todo := make(chan int, commands)
	for i := range commands {
		todo <- i
	}
	close(todo)
	outcomes := make([]sshpool.Outcome, commands)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := range todo {
				r, err := pool.Run(t.Context(), "nexus", sshpool.Command{Script: fmt.Sprintf("echo x >>%s/%d; echo done", journal, i)})
				outcomes[i] = r.Outcome
				if r.Outcome == sshpool.Exited && (err != nil || r.ExitStatus != 0 || !r.OutputCut && string(r.Stdout.Bytes()) != "done\n") || r.Outcome == sshpool.TimedOut {
					t.Errorf("command %d: %+v, %v", i, r, err)
				}
			}
		})
	}
	all.Wait()
	close(stop)
	cutting.Wait()
	shutDownPool(t, pool)
	server.accepted(t) // every session has ended
	counts := map[sshpool.Outcome]int{}
	for i, outcome := range outcomes {
		counts[outcome]++
		times := 0
		file, err := os.Open(fmt.Sprintf("%s/%d", journal, i))
		if err == nil {
			text, _ := io.ReadAll(file)
			file.Close()
			times = strings.Count(string(text), "x")
		}
		if times > 1 || outcome == sshpool.Exited && times != 1 || outcome == sshpool.NotStarted && times != 0 {
			t.Errorf("command %d is reported as %s and ran %d times", i, outcome, times)
		}
	}
	t.Logf("%v; %+v", counts, pool.Stats()["nexus"])
	if counts[sshpool.Exited] == 0 {
		t.Error("no command got through: nothing was tested")
	}
}
