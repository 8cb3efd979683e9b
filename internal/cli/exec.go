package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"mvdan.cc/sh/v3/syntax"

	"lifeline"
	"lifeline/internal/app"
)

type execFlags struct {
	batch   string
	timeout time.Duration
	json    bool
	yes     bool
}

func newExec(g *globals) *cobra.Command {
	var f execFlags
	cmd := &cobra.Command{
		Use:   "exec HOST[,HOST...] [flags] -- COMMAND...",
		Short: "Run a command on hosts, through the same pool and the same door as everything else",
		Long: `Run one command on one or more configured hosts, or every line of a file at
the same time on one connection per host.

The command is judged by the host's policy first. What the policy would ask
about is confirmed at the terminal, or by --yes in a script; what it denies is
refused. One argument after -- is a shell command line; several arguments are
one program and its arguments, quoted as they are.

Exit status: 0 if every command exited 0, 1 if a command failed, 2 wrong usage
or configuration, 3 host unreachable, 4 host key unknown or changed, 5 refused,
6 authentication failed, 7 timed out, 8 outcome unknown, 9 the record cannot be
written. With several commands the gravest of these is given: 8, 7, 9, 4, 6, 3,
5, 1.`,
		Example: `  lifeline exec nexus -- docker ps
  lifeline exec nexus,outpost -- 'df -h | head -5'
  lifeline exec --batch checks.txt nexus --json
  lifeline exec --yes nexus -- docker restart scrypted`,
		RunE: func(cmd *cobra.Command, args []string) error {
			requests, err := f.requests(cmd, args, g.std.In)
			if err != nil {
				return err
			}
			return runExec(cmd.Context(), g, f, requests)
		},
	}
	cmd.Flags().StringVar(&f.batch, "batch", "", "run every line of this `FILE` (- for standard input) at the same time")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 0, "bound on each command's run, without the wait for a slot or the dial (default: ssh.run_timeout)")
	cmd.Flags().BoolVar(&f.json, "json", false, "print one JSON object per command and a last line with the summary")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "confirm what the policy would ask about")
	return cmd
}

// requests reads the call: which commands on which hosts.
func (f execFlags) requests(cmd *cobra.Command, args []string, stdin io.Reader) ([]lifeline.CommandRequest, error) {
	dash := cmd.ArgsLenAtDash()
	switch {
	case len(args) == 0:
		return nil, usage(cmd, "no host given")
	case f.timeout < 0:
		return nil, usage(cmd, "--timeout %s: want a positive duration such as 30s", f.timeout)
	case f.batch != "" && len(args) > 1:
		return nil, usage(cmd, "--batch takes its commands from the file, but %q was given too", strings.Join(args[1:], " "))
	case f.batch == "" && dash != 1 && len(args) > 1:
		return nil, usage(cmd, "put -- between the hosts and the command: lifeline exec %s -- %s", args[0], strings.Join(args[1:], " "))
	case f.batch == "" && len(args) < 2:
		return nil, usage(cmd, "no command given")
	}
	commands := []string{args[len(args)-1]}
	if f.batch != "" {
		var err error
		if commands, err = readBatch(f.batch, stdin); err != nil {
			return nil, err
		}
	} else if len(args) > 2 {
		line, err := quoteArgs(args[1:])
		if err != nil {
			return nil, usage(cmd, "%v", err)
		}
		commands = []string{line}
	}
	var requests []lifeline.CommandRequest
	for host := range strings.SplitSeq(args[0], ",") {
		if host == "" {
			return nil, usage(cmd, "%q has an empty host name", args[0])
		}
		for _, c := range commands {
			requests = append(requests, lifeline.CommandRequest{Host: host, Command: c, Actor: person(), Timeout: f.timeout})
		}
	}
	return requests, nil
}

// quoteArgs is the shell command line that gives exactly these arguments.
func quoteArgs(args []string) (string, error) {
	words := make([]string, len(args))
	for i, a := range args {
		w, err := syntax.Quote(a, syntax.LangPOSIX)
		if err != nil {
			return "", fmt.Errorf("argument %q cannot be quoted for a shell: %w", a, err)
		}
		words[i] = w
	}
	return strings.Join(words, " "), nil
}

// readBatch reads one command per line; empty lines and comments are left out.
func readBatch(file string, stdin io.Reader) ([]string, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, &lifeline.Error{Code: lifeline.CodeUsage, Message: "read the batch", Err: err}
		}
		defer f.Close()
		in = f
	}
	var commands []string
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line != "" && !strings.HasPrefix(line, "#") {
			commands = append(commands, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("read the batch %s, after %d commands", file, len(commands)), Err: err}
	}
	if len(commands) == 0 {
		return nil, &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("the batch %s has no command in it", file), Hint: "write one command per line"}
	}
	return commands, nil
}

// person names who sits at the terminal, for the record.
func person() string {
	if u, err := user.Current(); err == nil {
		return "person:" + u.Username
	}
	return "person:unknown"
}

// runExec runs the requests at the same time and prints them in their order.
func runExec(ctx context.Context, g *globals, f execFlags, requests []lifeline.CommandRequest) error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	if g.logLevel == "" {
		cfg.Log.Level = "warn" // the results are what was asked for
	}
	log, err := g.logger(cfg)
	if err != nil {
		return err
	}
	for _, r := range requests {
		if _, ok := cfg.Hosts[r.Host]; !ok {
			return unknownHost(r.Host, cfg.HostNames())
		}
	}
	started := time.Now()
	door, err := app.OpenDoor(ctx, cfg, app.DoorOptions{Logger: log, Confirm: newConfirm(g.std, f.yes).ask})
	if err != nil {
		return err
	}
	results := make([]execResult, len(requests))
	done := make([]chan struct{}, len(requests))
	var all sync.WaitGroup
	for i, r := range requests {
		done[i] = make(chan struct{})
		all.Go(func() {
			defer close(done[i])
			results[i].cmd, results[i].err = door.Run(ctx, r)
		})
	}
	out := newExecPrinter(g.std, f.json, len(requests) > 1)
	for i := range results {
		<-done[i]
		out.result(results[i])
	}
	all.Wait()
	if len(requests) > 1 {
		log.Info("command_batch_completed", "host", requests[0].Host, "commands", len(requests),
			"duration_seconds", time.Since(started).Seconds())
	}
	summary := summarize(results, door.Stats(), time.Since(started))
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	closeErr := door.Close(stopCtx)
	out.summary(summary)
	if err := gravest(results); err != nil {
		return err
	}
	return closeErr
}

// unknownHost names the configured hosts.
func unknownHost(host string, configured []string) error {
	return &lifeline.Error{
		Code:    lifeline.CodeUsage,
		Message: fmt.Sprintf("host %q is not configured", host),
		Hint:    "configured hosts: " + strings.Join(configured, ", ") + "\nadd it under hosts in lifeline.yaml",
	}
}
