package sshpool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"lifeline/sshpool"
	"lifeline/sshpool/sshtest"
)

// remote is a pool with the host "nexus", played by a function.
func remote(handler sshtest.Handler, onEvent func(sshpool.Event)) (pool *sshpool.Pool, close func()) {
	server := sshtest.New(sshtest.Config{Handler: handler})
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	known := filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(known, []byte(server.KnownHostsLine("nexus")), 0o600); err != nil {
		panic(err)
	}
	pool, err = sshpool.New(sshpool.Config{
		Hosts: map[string]sshpool.Host{
			"nexus": {Address: "nexus", User: "ops", Signers: []ssh.Signer{server.ClientKey()}, AgentSocket: "none"},
		},
		KnownHosts: []string{known},
		Dial:       server.Dial,
		OnEvent:    onEvent,
	})
	if err != nil {
		panic(err)
	}
	return pool, func() {
		pool.Shutdown(context.Background())
		server.Close()
		os.RemoveAll(dir)
	}
}

func ExamplePool_Run() {
	pool, done := remote(func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
		fmt.Fprintln(c.Stdout, "scrypted is running")
		return sshtest.Exit{Status: 0}
	}, nil)
	defer done()

	result, err := pool.Run(context.Background(), "nexus", sshpool.Command{Script: "docker ps"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s %d: %s", result.Outcome, result.ExitStatus, result.Stdout.Bytes())
	// Output: exited 0: scrypted is running
}

// A timeout ends the remote process, and the result says whether that was seen.
func ExamplePool_Run_timeout() {
	pool, done := remote(func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
		<-ctx.Done() // until a signal comes
		return sshtest.Exit{}
	}, nil)
	defer done()

	result, err := pool.Run(context.Background(), "nexus", sshpool.Command{
		Script: "docker logs --follow scrypted", RunTimeout: 50 * time.Millisecond,
	})
	if e, ok := errors.AsType[*sshpool.Error](err); ok && e.Kind == sshpool.KindRunTimeout {
		fmt.Println(result.Outcome, "and ended:", result.Kill.Confirmed)
	}
	// Output: timed_out and ended: true
}

// An error says what happened and what to do about it.
func ExampleError() {
	pool, done := remote(nil, nil)
	defer done()

	_, err := pool.Run(context.Background(), "nexsu", sshpool.Command{Script: "uptime"})
	fmt.Println(err)
	// Output: nexsu: no host of that name is configured; there are: nexus
}

// Logs, metrics and traces are written by the caller, from events.
func ExampleConfig_onEvent() {
	pool, done := remote(nil, func(e sshpool.Event) {
		if e.Kind != sshpool.ConnectionClosed {
			fmt.Println(e.Kind, e.Host)
		}
	})
	defer done()

	for range 3 {
		if _, err := pool.Run(context.Background(), "nexus", sshpool.Command{Script: "uptime"}); err != nil {
			fmt.Println(err)
		}
	}
	s := pool.Stats()["nexus"]
	fmt.Println(s.Established, "opened,", s.Reused, "reused")
	// Output:
	// connection_established nexus
	// connection_reused nexus
	// connection_reused nexus
	// 1 opened, 2 reused
}

// Environment, working directory, standard input and sudo cost no round trip.
func ExamplePool_Run_environment() {
	pool, done := remote(func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
		input, _ := io.ReadAll(c.Stdin)
		fmt.Fprintf(c.Stdout, "%d bytes for a command as root: %v\n", len(input), strings.HasPrefix(c.Text, "exec sudo -n "))
		return sshtest.Exit{}
	}, nil)
	defer done()

	result, err := pool.Run(context.Background(), "nexus", sshpool.Command{
		Script: "docker compose --file - up --detach",
		Shell:  "/bin/sh", Sudo: true, Dir: "/srv/scrypted",
		Env:   map[string]string{"LC_ALL": "C.UTF-8"},
		Stdin: []byte("services: {}\n"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s", result.Stdout.Bytes())
	// Output: 13 bytes for a command as root: true
}

// Lines can be followed while the command runs.
func ExampleCommand_onLine() {
	pool, done := remote(func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
		io.WriteString(c.Stdout, "rest")
		io.WriteString(c.Stdout, "arting\nrunning\n")
		return sshtest.Exit{}
	}, nil)
	defer done()

	pool.Run(context.Background(), "nexus", sshpool.Command{
		Script: "docker restart scrypted",
		OnLine: func(_ sshpool.Stream, line []byte) {
			fmt.Printf("| %s\n", line)
		},
	})
	// Output:
	// | restarting
	// | running
}

// Output can be followed while the command runs.
func ExampleCommand_onOutput() {
	pool, done := remote(func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
		fmt.Fprintln(c.Stdout, "restarting")
		fmt.Fprintln(c.Stdout, "running")
		return sshtest.Exit{}
	}, nil)
	defer done()

	pool.Run(context.Background(), "nexus", sshpool.Command{
		Script: "docker restart scrypted",
		OnOutput: func(_ sshpool.Stream, chunk []byte) {
			fmt.Printf("%s", chunk)
		},
	})
	// Output:
	// restarting
	// running
}
