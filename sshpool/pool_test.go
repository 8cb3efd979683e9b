package sshpool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/sshpool/sshtest"
)

func TestRunSaysHowItEnded(t *testing.T) {
	inBubble(t, sshtest.Config{}, nil, func(t *testing.T, l lab) {
		r, err := l.run(t, "say 3 hello")
		if err != nil {
			t.Fatal(err)
		}
		want := &Result{
			Host: "nexus", Outcome: Exited, ExitStatus: 3, Tries: 1,
			Stdout: Output{Head: []byte("hello\n")}, Stderr: Output{Head: []byte("to stderr: hello\n")},
		}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Error(diff)
		}
		r, err = l.Run(t.Context(), "nexus", Command{Script: "cat", Stdin: []byte("in\x00put")})
		if err != nil || string(r.Stdout.Bytes()) != "in\x00put" {
			t.Errorf("cat gave %q, %v", r.Stdout.Bytes(), err)
		}
	})
}

func TestRunReportsASignalAndAMissingStatus(t *testing.T) {
	handler := func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
		if c.Text == "crash" {
			return sshtest.Exit{Signal: "SEGV"}
		}
		return sshtest.Exit{NoStatus: true}
	}
	inBubble(t, sshtest.Config{Handler: handler}, nil, func(t *testing.T, l lab) {
		r, err := l.run(t, "crash")
		if err != nil || r.Outcome != Signaled || r.Signal != "SEGV" {
			t.Errorf("crash: %+v, %v", r, err)
		}
		r, err = l.run(t, "vanish")
		if kindOf(err) != KindLost || r.Outcome != Unknown {
			t.Errorf("vanish: %s, %v", r.Outcome, err)
		}
		if n := l.server.Counts().Connections; n != 1 {
			t.Errorf("%d connections, want 1: a closed session is no lost connection", n)
		}
	})
}

// The first callers share one dial, in 200 rounds of 10.
func TestFirstCallersShareOneDial(t *testing.T) {
	inBubble(t, sshtest.Config{Latency: time.Millisecond}, nil, func(t *testing.T, l lab) {
		for round := range 200 {
			var callers sync.WaitGroup
			for range 10 {
				callers.Go(func() {
					if r, err := l.run(t, "exit 0"); err != nil || r.Reused {
						t.Errorf("round %d: reused %v, %v", round, r.Reused, err)
					}
				})
			}
			callers.Wait()
			if got := l.server.Counts().Connections; got != round+1 {
				t.Fatalf("round %d: the server has seen %d connections, want %d", round, got, round+1)
			}
			l.server.Drop()
			synctest.Wait()
			time.Sleep(time.Second)
		}
		s := l.Stats()["nexus"]
		if s.Established != 200 || s.Dials != 200 || s.Reused != 0 || s.Commands != 2000 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestEachCommandWaitsOrReuses(t *testing.T) {
	inBubble(t, sshtest.Config{Latency: time.Millisecond}, nil, func(t *testing.T, l lab) {
		var callers sync.WaitGroup
		for range 30 { // with 10 slots: 20 wait for a session, but all for the dial
			callers.Go(func() {
				if r, err := l.run(t, "sleep 10ms"); err != nil || r.Reused {
					t.Errorf("first: %+v, %v", r, err)
				}
			})
		}
		callers.Wait()
		for range 5 {
			if r, err := l.run(t, "exit 0"); err != nil || !r.Reused || r.Connect != 0 {
				t.Errorf("later: %+v, %v", r, err)
			}
		}
		if s := l.Stats()["nexus"]; s.Established != 1 || s.Reused != 5 || s.Commands != 35 {
			t.Errorf("stats: %+v", s)
		}
		reused := 0
		for _, k := range l.events.kinds() {
			if k == ConnectionReused {
				reused++
			}
		}
		if reused != 5 {
			t.Errorf("%d events of reuse, want 5", reused)
		}
	})
}

func TestACallerThatGivesUpDoesNotEndTheDial(t *testing.T) {
	inBubble(t, sshtest.Config{Latency: 100 * time.Millisecond}, nil, func(t *testing.T, l lab) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		var callers sync.WaitGroup
		callers.Go(func() {
			r, err := l.Run(ctx, "nexus", Command{Script: "exit 0"})
			if kindOf(err) != KindCanceled || r.Outcome != NotStarted || r.Connect != 50*time.Millisecond {
				t.Errorf("first: %+v, %v", r, err)
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the error does not hold the context's: %v", err)
			}
		})
		callers.Go(func() {
			time.Sleep(time.Millisecond)
			if r, err := l.run(t, "exit 0"); err != nil || r.Outcome != Exited {
				t.Errorf("second: %+v, %v", r, err)
			}
		})
		callers.Wait()
		if c := l.server.Counts(); c.Connections != 1 || c.Commands != 1 {
			t.Errorf("the server has seen %+v", c)
		}
	})
}

// On a warm line without spares a command takes two round trips, one to open the
// session and one for the command, and not one byte more: nothing is asked before it.
func TestNoRoundTripBeforeACommand(t *testing.T) {
	const oneWay = 50 * time.Millisecond
	inBubble(t, sshtest.Config{Latency: oneWay}, noSpares, func(t *testing.T, l lab) {
		if _, err := l.run(t, "exit 0"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // kept alive in the background
		begun := time.Now()
		r, err := l.run(t, "exit 0")
		if took := time.Since(begun); err != nil || took != 4*oneWay || r.Queue != 2*oneWay || r.Run != 2*oneWay || !r.Reused {
			t.Errorf("took %v: %+v, %v", took, r, err)
		}
		if c := l.server.Counts(); c.Connections != 1 || c.Keepalives < 150 || c.Keepalives > 240 {
			t.Errorf("the server has seen %+v", c)
		}
	})
}

func TestTheThreeClocks(t *testing.T) {
	clocks := func(c *Config) {
		c.QueueTimeout, c.ConnectTimeout, c.RunTimeout, c.KillGrace = 3*time.Second, 5*time.Second, 7*time.Second, 2*time.Second
		c.MaxSessions = 1
	}
	t.Run("queue", func(t *testing.T) {
		inBubble(t, sshtest.Config{}, clocks, func(t *testing.T, l lab) {
			var first sync.WaitGroup
			first.Go(func() { l.run(t, "sleep 6s") })
			synctest.Wait()
			r, err := l.run(t, "exit 0")
			if kindOf(err) != KindQueueTimeout || r.Outcome != NotStarted || r.Queue != 3*time.Second || r.Run != 0 || r.Tries != 0 {
				t.Errorf("%+v, %v", r, err)
			}
			if !strings.Contains(err.Error(), "queue clock of 3s") || !strings.Contains(err.Error(), "1 of 1 in use") {
				t.Errorf("the message does not name the clock and its bound: %v", err)
			}
			first.Wait()
			if c := l.server.Counts(); c.Commands != 1 {
				t.Errorf("%d commands ran, want 1", c.Commands)
			}
		})
	})
	t.Run("connect", func(t *testing.T) {
		for name, f := range map[string]sshtest.Faults{"after TCP": {StallHandshake: true}, "in authentication": {StallAuth: true}} {
			inBubble(t, sshtest.Config{}, clocks, func(t *testing.T, l lab) {
				l.server.SetFaults(f)
				begun := time.Now()
				r, err := l.run(t, "exit 0")
				if kindOf(err) != KindConnectTimeout || r.Outcome != NotStarted || time.Since(begun) != 5*time.Second || r.Connect != 5*time.Second || r.Queue != 0 {
					t.Errorf("%s: %+v, %v", name, r, err)
				}
				if !strings.Contains(err.Error(), "connect clock of 5s") {
					t.Errorf("%s: the message does not name the clock and its bound: %v", name, err)
				}
				l.server.Drop()
			})
		}
	})
	t.Run("run", func(t *testing.T) {
		inBubble(t, sshtest.Config{}, clocks, func(t *testing.T, l lab) {
			r, err := l.run(t, "sleep 1h")
			if kindOf(err) != KindRunTimeout || r.Outcome != TimedOut || r.Run != 7*time.Second {
				t.Errorf("%+v, %v", r, err)
			}
			want := &Kill{Confirmed: true, Signals: []string{"TERM"}, Note: "it ended by signal TERM after TERM"}
			if diff := cmp.Diff(want, r.Kill); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(err.Error(), "run clock of 7s") {
				t.Errorf("the message does not name the clock and its bound: %v", err)
			}
		})
	})
	t.Run("time in the queue does not count as run time", func(t *testing.T) {
		inBubble(t, sshtest.Config{}, clocks, func(t *testing.T, l lab) {
			var first sync.WaitGroup
			first.Go(func() { l.run(t, "sleep 2s") })
			synctest.Wait()
			r, err := l.run(t, "sleep 6s") // 2 s in the queue, 6 s of 7 running
			if err != nil || r.Queue != 2*time.Second || r.Run != 6*time.Second {
				t.Errorf("%+v, %v", r, err)
			}
			first.Wait()
		})
	})
	t.Run("a command has its own", func(t *testing.T) {
		inBubble(t, sshtest.Config{}, clocks, func(t *testing.T, l lab) {
			r, err := l.Run(t.Context(), "nexus", Command{Script: "sleep 1h", RunTimeout: time.Second})
			if kindOf(err) != KindRunTimeout || r.Run != time.Second {
				t.Errorf("%+v, %v", r, err)
			}
		})
	})
}

func TestWaitingIsInOrderAndCanBeGivenUp(t *testing.T) {
	var mu sync.Mutex
	var order []string
	handler := func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
		mu.Lock()
		order = append(order, c.Text)
		mu.Unlock()
		time.Sleep(time.Second)
		return sshtest.Exit{}
	}
	inBubble(t, sshtest.Config{Handler: handler}, func(c *Config) { c.MaxSessions = 1 }, func(t *testing.T, l lab) {
		var callers sync.WaitGroup
		var want []string
		for i := range 8 {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			name := fmt.Sprint(i)
			callers.Go(func() {
				r, err := l.Run(ctx, "nexus", Command{Script: name})
				if gaveUp := name == "5"; gaveUp != (kindOf(err) == KindCanceled) || gaveUp && r.Outcome != NotStarted {
					t.Errorf("%s: %+v, %v", name, r, err)
				}
			})
			synctest.Wait()
			if i == 5 {
				cancel()
				synctest.Wait()
				continue
			}
			want = append(want, name)
		}
		callers.Wait()
		if diff := cmp.Diff(want, order); diff != "" {
			t.Error(diff)
		}
		if s := l.Stats()["nexus"]; s.Waits != 7 || s.Waiting != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestASecondConnectionIsAChoice(t *testing.T) {
	for _, most := range []int{1, 3} {
		inBubble(t, sshtest.Config{Latency: time.Millisecond}, func(c *Config) { c.MaxConnections, c.MaxSessions = most, 2 }, func(t *testing.T, l lab) {
			var callers sync.WaitGroup
			for range 12 {
				callers.Go(func() {
					if _, err := l.run(t, "sleep 1s"); err != nil {
						t.Error(err)
					}
				})
			}
			callers.Wait()
			if got := l.server.Counts().Connections; got != most {
				t.Errorf("MaxConnections %d: the server has seen %d", most, got)
			}
		})
	}
}

func TestUnknownHostAndBadCommands(t *testing.T) {
	inBubble(t, sshtest.Config{}, nil, func(t *testing.T, l lab) {
		r, err := l.Run(t.Context(), "outpost", Command{Script: "true"})
		if kindOf(err) != KindUnknownHost || r == nil || r.Outcome != NotStarted || !strings.Contains(err.Error(), "nexus") {
			t.Errorf("%+v, %v", r, err)
		}
		for name, cmd := range map[string]Command{
			"empty":            {Script: "  "},
			"NUL":              {Script: "a\x00b"},
			"relative shell":   {Script: "true", Shell: "sh"},
			"env, no shell":    {Script: "true", Env: map[string]string{"A": "b"}},
			"dir, no shell":    {Script: "true", Dir: "/"},
			"bad name":         {Script: "true", Shell: "/bin/sh", Env: map[string]string{"A B": "c"}},
			"negative clock":   {Script: "true", RunTimeout: -1},
			"long, no shell":   {Script: strings.Repeat("a", maxExecText+1)},
			"long environment": {Script: "true", Shell: "/bin/sh", Env: map[string]string{"A": strings.Repeat("a", maxExecText)}},
		} {
			r, err := l.Run(t.Context(), "nexus", cmd)
			if kindOf(err) != KindConfig || r.Outcome != NotStarted {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
		}
		if c := l.server.Counts(); c.Connections != 0 {
			t.Errorf("the server has seen %+v", c)
		}
	})
}

func TestNewRefusesABadConfiguration(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("USER", "ann")
	good := Host{Address: "nexus"}
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"clock":            {Config{RunTimeout: -1}, "Config.RunTimeout"},
		"number":           {Config{MaxSessions: -1}, "Config.MaxSessions"},
		"no way":           {Config{Hosts: map[string]Host{"a": {}}}, "a: neither Address nor Alias"},
		"port":             {Config{Hosts: map[string]Host{"a": {Address: "nexus:ssh"}}}, `"ssh" is not a port`},
		"address":          {Config{Hosts: map[string]Host{"a": {Address: "ann@nexus"}}}, "not the name or address"},
		"option":           {Config{Hosts: map[string]Host{"a": {Address: "-oProxyCommand=x"}}}, "not the name or address"},
		"local and remote": {Config{Hosts: map[string]Host{"a": {Address: "nexus", Local: true}}}, "a local host has no"},
		"no name":          {Config{Hosts: map[string]Host{"": good}}, "without a name"},
		"circle": {Config{Hosts: map[string]Host{
			"a": {Address: "a", ProxyJump: []string{"b"}}, "b": {Address: "b", ProxyJump: []string{"a"}},
		}}, "circle: a -> b -> a"},
		"local hop": {Config{Hosts: map[string]Host{
			"a": {Address: "a", ProxyJump: []string{"b"}}, "b": {Local: true},
		}}, `ProxyJump "b" is a local host`},
		"ssh_config": {Config{SSHConfig: []string{"/nowhere/config"}, Hosts: map[string]Host{"a": {Alias: "a"}}}, "SSHConfig: open /nowhere/config"},
	} {
		p, err := New(c.cfg)
		if p != nil || kindOf(err) != KindConfig || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestWarmKeepsTheLineOpen(t *testing.T) {
	inBubble(t, sshtest.Config{Latency: 10 * time.Millisecond}, nil, func(t *testing.T, l lab) {
		l.Warm("nexus")
		l.Warm("nexus")
		time.Sleep(time.Second)
		r, err := l.run(t, "exit 0")
		if err != nil || !r.Reused || r.Connect != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		l.server.SetFaults(sshtest.Faults{RefuseConnections: true})
		l.server.Drop()
		time.Sleep(10 * time.Minute)
		if s := l.Stats()["nexus"]; s.OpenConnections != 0 || s.DialFailures < 8 || s.DialFailures > 25 {
			t.Errorf("while the host was away: %+v", s)
		}
		l.server.SetFaults(sshtest.Faults{})
		time.Sleep(2 * time.Minute)
		if r, err := l.run(t, "exit 0"); err != nil || !r.Reused {
			t.Errorf("%+v, %v", r, err)
		}
		if c := l.server.Counts(); c.Authenticated != 2 {
			t.Errorf("the server has seen %+v", c)
		}
	})
}

func TestEventsComeInOrder(t *testing.T) {
	inBubble(t, sshtest.Config{}, func(c *Config) { c.RunTimeout = time.Second }, func(t *testing.T, l lab) {
		l.run(t, "exit 0")
		l.run(t, "sleep 1h")
		l.server.Drop()
		synctest.Wait()
		time.Sleep(time.Second)
		l.server.SetFaults(sshtest.Faults{RefuseConnections: true})
		l.run(t, "exit 0")
		want := []EventKind{
			ConnectionEstablished, ConnectionReused, CommandTimeout, CommandKilled, ConnectionClosed, DialFailed,
		}
		if diff := cmp.Diff(want, l.events.kinds()); diff != "" {
			t.Error(diff)
		}
		for _, e := range l.events.events {
			about := e.Kind == CommandTimeout || e.Kind == CommandKilled
			if e.Host != "nexus" || e.At.IsZero() || about != (e.Command == "sleep 1h") || about && e.Duration != time.Second {
				t.Errorf("event %+v", e)
			}
			if slices.Contains([]EventKind{CommandTimeout, ConnectionClosed, DialFailed}, e.Kind) && e.Err == nil {
				t.Errorf("event %s without its error", e.Kind)
			}
		}
	})
}
