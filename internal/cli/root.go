// Package cli is Lifeline's command line: one file per command. It reads flags
// and prints; the work is done behind internal/app.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lifeline"
	"lifeline/internal/app"
	"lifeline/internal/config"
	"lifeline/internal/escape"
)

// IO is where a command reads and writes.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
}

// terminal reports whether w is a terminal: text from hosts is then escaped.
func terminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Run runs one command line and gives the process's exit status, which
// docs/exit-statuses.md lists.
func Run(ctx context.Context, args []string, std IO) int {
	root := newRoot(std)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	report(std.Err, err)
	return lifeline.CodeOf(err).ExitStatus()
}

// exitStatus ends the process with a status after the command has said
// everything itself.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// report prints what happened and what to type next.
func report(w io.Writer, err error) {
	fmt.Fprintf(w, "lifeline: %s\n", escape.Text(err.Error()))
	if e, ok := errors.AsType[*lifeline.Error](err); ok && e.Hint != "" {
		for line := range strings.SplitSeq(escape.Text(e.Hint), "\n") {
			fmt.Fprintf(w, "  %s\n", line)
		}
	}
}

// globals are the flags that every command has.
type globals struct {
	std       IO
	config    string
	logFormat string
	logLevel  string
	// server is the address of a Lifeline that is asked instead of the database of
	// this machine; "": none is. See desk.go.
	server    string
	tokenFile string
}

func newRoot(std IO) *cobra.Command {
	g := &globals{std: std}
	root := &cobra.Command{
		Use:   "lifeline",
		Short: "One open line to every host, and help sent down it",
		Long: `Lifeline takes an alert from a monitoring system, lets a language model or a
runbook look at the machine over one pooled SSH connection, repairs the fault
inside a policy that you wrote, proves that it worked, and otherwise hands a
person the whole case.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	flags := root.PersistentFlags()
	flags.StringVarP(&g.config, "config", "c", "", "configuration file (default: $LIFELINE_CONFIG, ./lifeline.yaml, the user's configuration directory, /etc/lifeline/lifeline.yaml)")
	flags.StringVar(&g.logFormat, "log-format", "", "log as text or json (default: the configuration's log.format, text)")
	flags.StringVar(&g.logLevel, "log-level", "", "debug, info, warn or error (default: the configuration's log.level, info)")
	flags.StringVar(&g.server, "server", "", "ask a running Lifeline at this `URL` through its API instead of the database here (default: $LIFELINE_SERVER)")
	flags.StringVar(&g.tokenFile, "token-file", "", "file with the token for --server (default: the token itself in $LIFELINE_TOKEN)")
	root.PersistentPreRunE = g.where
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(cmd, "%v", err)
	})
	root.AddCommand(newDemo(g), newServe(g), newExec(g), newBench(g), newHosts(g), newIncidents(g), newApprovals(g), newApprove(g), newDeny(g),
		newPause(g), newResume(g), newStatus(g), newMaintenance(g), newNotify(g), newToken(g), newPassword(g), newAudit(g), newPolicy(g), newVersion(g))
	for _, cmd := range allCommands(root) {
		wrapArgs(cmd)
	}
	return root
}

// allCommands lists root and every command below it.
func allCommands(root *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{root}
	for _, sub := range root.Commands() {
		list = append(list, allCommands(sub)...)
	}
	return list
}

// wrapArgs turns cobra's complaints about arguments into usage errors.
func wrapArgs(cmd *cobra.Command) {
	check := cmd.Args
	if check == nil {
		check = cobra.ArbitraryArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usage(cmd, "%v", err)
		}
		return nil
	}
}

// usage is an error about the call itself: exit status 2.
func usage(cmd *cobra.Command, format string, args ...any) error {
	return &lifeline.Error{
		Code:    lifeline.CodeUsage,
		Message: fmt.Sprintf(format, args...),
		Hint:    fmt.Sprintf("usage: %s\ntry:   %s --help", cmd.UseLine(), cmd.CommandPath()),
	}
}

// load finds and reads the configuration.
func (g *globals) load() (*config.Config, error) {
	path, err := config.Find(g.config)
	if err != nil {
		return nil, err
	}
	cfg, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	if g.logFormat != "" {
		cfg.Log.Format = g.logFormat
	}
	if g.logLevel != "" {
		cfg.Log.Level = g.logLevel
	}
	return cfg, nil
}

// logger writes the log to standard error.
func (g *globals) logger(cfg *config.Config) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cmp.Or(cfg.Log.Level, "info"))); err != nil {
		return nil, &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("log level %q: want debug, info, warn or error", cfg.Log.Level)}
	}
	options := &slog.HandlerOptions{Level: level}
	switch cfg.Log.Format {
	case "", "text":
		return app.NewLog(cfg, slog.NewTextHandler(g.std.Err, options)), nil
	case "json":
		return app.NewLog(cfg, slog.NewJSONHandler(g.std.Err, options)), nil
	}
	return nil, &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("log format %q: want text or json", cfg.Log.Format)}
}
