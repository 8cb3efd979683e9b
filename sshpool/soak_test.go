package sshpool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"lifeline/sshpool/sshtest"
)

// soakVariable is how many commands the soak runs, in the environment: "make
// soak" sets it to many.
const soakVariable = "SSHPOOL_SOAK"

// journal counts at the server how often each command ran.
type journal struct {
	mu  sync.Mutex
	ran map[string]int
}

func (j *journal) handler(ctx context.Context, c *sshtest.Command) sshtest.Exit {
	j.mu.Lock()
	j.ran[c.Text]++
	j.mu.Unlock()
	fmt.Fprintln(c.Stdout, c.Text)
	if rand.N(4) == 0 {
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(5 * time.Millisecond)):
		}
	}
	return sshtest.Exit{Status: len(c.Text) % 3}
}

// Commands in real time, with the connection cut or frozen at random instants:
// none hangs, none is reported wrongly, measured against the server's journal,
// and Shutdown finds every goroutine.
func TestSoak(t *testing.T) {
	commands := 2000
	if n := os.Getenv(soakVariable); n != "" {
		var err error
		if commands, err = strconv.Atoi(n); err != nil {
			t.Fatalf("%s=%s is not a number", soakVariable, n)
		}
	}
	const callers = 20
	j := journal{ran: map[string]int{}}
	s := sshtest.New(sshtest.Config{Handler: j.handler})
	defer s.Close()
	p, err := New(Config{
		Hosts: map[string]Host{"nexus": host(s)}, KnownHosts: []string{knownHosts(t, s.KnownHostsLine("nexus"))}, Dial: s.Dial,
		// A frozen connection is found dead within a second.
		KeepaliveInterval: 300 * time.Millisecond, KeepaliveCount: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var cutter sync.WaitGroup
	cuts := 0
	cutter.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(rand.N(15 * time.Millisecond)):
			}
			if p.Stats()["nexus"].OpenConnections == 0 {
				continue // a broken handshake would open the breaker
			}
			if cuts++; cuts%50 == 0 {
				s.Freeze()
			} else {
				s.Drop()
			}
		}
	})
	todo := make(chan int, commands)
	for i := range commands {
		todo <- i
	}
	close(todo)
	results := make([]*Result, commands)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := range todo {
				script := fmt.Sprint("command ", i)
				r, err := p.Run(t.Context(), "nexus", Command{Script: script})
				results[i] = r
				right := false
				switch r.Outcome {
				case Exited:
					right = err == nil && r.ExitStatus == len(script)%3 && (r.OutputCut || string(r.Stdout.Bytes()) == script+"\n")
				case Unknown:
					right = kindOf(err) == KindLost
				case NotStarted:
					right = err != nil
				}
				if !right {
					t.Errorf("%s: %+v, %v", script, r, err)
				}
			}
		})
	}
	all.Wait()
	close(stop)
	cutter.Wait()
	if err := p.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	s.Close() // every command has ended
	counts := map[Outcome]int{}
	for i, r := range results {
		counts[r.Outcome]++
		ran := j.ran[fmt.Sprint("command ", i)]
		if ran > 1 || r.Outcome == Exited && ran != 1 || r.Outcome == NotStarted && ran != 0 {
			t.Errorf("command %d is reported as %s and ran %d times", i, r.Outcome, ran)
		}
	}
	stats := p.Stats()["nexus"]
	t.Logf("%d commands, %d cuts: %v, %+v", commands, cuts, counts, stats)
	if counts[Exited] == 0 || stats.Established < 2 || stats.OpenConnections != 0 || stats.Unknown != int64(counts[Unknown]) {
		t.Errorf("%v, stats: %+v", counts, stats)
	}
}
