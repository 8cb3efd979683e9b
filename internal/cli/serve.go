package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"lifeline/internal/app"
)

// drain is how long running commands may take to end after SIGTERM. systemd
// kills after 90 s by default.
const drain = 60 * time.Second

func newServe(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Take alerts and work them until stopped",
		Long: `Listen for alerts, work each in a durable workflow, and keep one connection to
each host open. SIGTERM and SIGINT drain: no new alerts, running commands end
first (60 s at most), every connection is closed. Incidents that are not at
their end go on at the next start, or on another node of the same Postgres.

A node that another one has taken over from, because it stood still for longer
than its lease, ends at once with exit status 12: docs/nodes.md.`,
		Example: "  lifeline serve -c lifeline.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			cfg, err := g.load()
			if err != nil {
				return err
			}
			log, err := g.logger(cfg)
			if err != nil {
				return err
			}
			a, err := app.New(ctx, cfg, app.Options{Logger: log, Version: version})
			if err != nil {
				return err
			}
			if err := a.Start(ctx); err != nil {
				stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
				defer cancel()
				_ = a.Stop(stopCtx) // the error of Start says what happened
				return err
			}
			select {
			case <-ctx.Done():
			case <-a.Fenced():
				return a.End(context.WithoutCancel(ctx))
			}
			log.Info("stopping", "drain_seconds", drain.Seconds())
			stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
			defer cancel()
			err = a.Stop(stopCtx)
			log.Info("stopped")
			return err
		},
	}
}
