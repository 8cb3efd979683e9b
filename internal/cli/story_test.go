package cli_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"lifeline/internal/cli"
	"lifeline/internal/lab"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"lifeline": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(cli.Run(ctx, os.Args[1:], cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	}})
}

// The stories are what a person types and sees; one file each.
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Values[labKey{}] = map[string]*lab.Host{}
			env.Values[serveKey{}] = &slot{}
			env.Values[chatKey{}] = map[string]*chat{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status, "lab": startLab, "break": breakThing, "running": running, "envsubst": envsubst, "kept": kept,
			"serve": serve, "stop": stopServe, "alert": sendAlert, "until": until, "pending": pending, "window": firstWindow, "tamper": tamper,
			"chat": startChat, "told": told, "outputs": outputs, "page": page,
		},
	})
}

// status N COMMAND...: the command ends with this status.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		ended, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = ended.ExitCode()
	}
	if got != want {
		ts.Fatalf("status %d, want %d", got, want)
	}
}

type labKey struct{}

func hosts(ts *testscript.TestScript) map[string]*lab.Host {
	return ts.Value(labKey{}).(map[string]*lab.Host)
}

// lab NAME: starts a simulated host, writes its known_hosts line and a key for
// it, and gives its address and user as $NAME_ADDRESS and $NAME_USER.
func startLab(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lab NAME")
	}
	name := args[0]
	host := lab.NewHost(name, lab.Options{})
	l, err := lab.Start(context.Background(), host)
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	hosts(ts)[name] = host
	ts.Check(host.WriteIdentity(filepath.Join(ts.Getenv("WORK"), name+".key")))
	ts.Check(host.WriteKnownHosts(filepath.Join(ts.Getenv("WORK"), name+".known_hosts")))
	ts.Setenv(name+"_ADDRESS", host.Address())
	ts.Setenv(name+"_USER", host.User())
}

// envsubst FILE: puts the environment's values into the file.
func envsubst(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: envsubst FILE")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), 0o600))
}

// kept FILE: gives the folder that a demo says it kept as $KEPT, and removes it
// at the end.
func kept(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: kept FILE")
	}
	_, rest, found := strings.Cut(ts.ReadFile(args[0]), "kept: ")
	if !found {
		ts.Fatalf("%s does not say what was kept", args[0])
	}
	dir, _, _ := strings.Cut(rest, "\n")
	ts.Defer(func() { os.RemoveAll(dir) })
	ts.Setenv("KEPT", dir)
}

// break HOST KIND NAME: see lab.Breakages.
func breakThing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: break HOST KIND NAME")
	}
	ts.Check(hosts(ts)[args[0]].Break(args[1], args[2]))
}

// running HOST CONTAINER: the container runs.
func running(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: running HOST CONTAINER")
	}
	if hosts(ts)[args[0]].World().Running(args[1]) == neg {
		ts.Fatalf("container %s runs: %v", args[1], !neg)
	}
}
