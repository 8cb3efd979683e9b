package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"lifeline/internal/app"
	"lifeline/internal/escape"
)

func newBench(g *globals) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench HOST",
		Short: "Compare one shared connection with a connection per command, on a host of yours",
		Long: fmt.Sprintf(`Run %q on a configured host %d times, %d at once, in three ways: over one
connection that is opened for it; over the same connection, now open, which is
what the commands of the running service find; and each over a connection of its
own. It takes less than a minute.

The commands are judged by the host's policy and put on record like any others.
Nothing is changed on the host. It opens %d connections in all, at most %d of
them at once, through the host's jump hosts if it has any, and stops at the first
command that fails.

Exit status: 0 if every command exited 0, otherwise that of the first failure's
cause, as with exec.`, app.BenchCommand, app.BenchCommands, app.BenchParallel, 1+app.BenchCommands, app.BenchParallel),
		Example: `  lifeline bench nexus
  lifeline bench nexus --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBench(cmd.Context(), g, args[0], asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the figures as JSON")
	return cmd
}

func runBench(ctx context.Context, g *globals, host string, asJSON bool) error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	if _, ok := cfg.Hosts[host]; !ok {
		return unknownHost(host, cfg.HostNames())
	}
	fmt.Fprintf(g.std.Err, "comparing on %s: %s, %d times in each of three ways; this opens %d connections, at most %d at once\n",
		host, app.BenchCommand, app.BenchCommands, 1+app.BenchCommands, app.BenchParallel)
	report, err := app.Bench(ctx, cfg, host, person())
	if err != nil {
		return interrupted(ctx, err)
	}
	if asJSON {
		enc := json.NewEncoder(g.std.Out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(report)
	} else {
		_, err = io.WriteString(g.std.Out, benchText(report))
	}
	if err != nil {
		return fmt.Errorf("print the figures: %w", err)
	}
	failed := report.Failure()
	if failed == nil {
		return nil
	}
	fmt.Fprintf(g.std.Err, "lifeline: %s: %s\n", host, escape.Line(failed.Error))
	if failed.Hint != "" {
		fmt.Fprintf(g.std.Err, "  %s\n", strings.ReplaceAll(failed.Hint, "\n", "\n  "))
	}
	return exitStatus(failed.Code.ExitStatus())
}

// benchText is the comparison for a person.
func benchText(r app.BenchReport) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s, %d times, %d at once\n", r.Command, r.Host, r.Commands, r.Parallel)
	fmt.Fprintf(&b, "  %-34s %12s %9s %9s\n", "", "connections", "failures", "seconds")
	for _, row := range []struct {
		name string
		way  *app.BenchWay
	}{
		{"one connection, opened for it", r.OneConnection},
		{"the same connection, open already", r.OpenLine},
		{"a connection per command", r.ConnectionPerCommand},
	} {
		if row.way == nil {
			fmt.Fprintf(&b, "  %-34s %12s\n", row.name, "not tried")
			continue
		}
		fmt.Fprintf(&b, "  %-34s %12d %9d %9.2f\n", row.name, row.way.Connections, row.way.Failures, row.way.Seconds)
		if row.way.NotRun > 0 {
			fmt.Fprintf(&b, "    stopped at the first failure: %d not run\n", row.way.NotRun)
		}
	}
	if r.Failure() == nil && r.ConnectionPerCommand != nil {
		each := r.ConnectionPerCommand.Seconds
		fmt.Fprintf(&b, "a connection per command takes %.1f times as long as one connection opened for it, %.1f times as long as an open one\n",
			each/r.OneConnection.Seconds, each/r.OpenLine.Seconds)
	}
	return b.String()
}
