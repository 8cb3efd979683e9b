package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"lifeline"
	"lifeline/internal/app"
)

func newPause(g *globals) *cobra.Command {
	var reason string
	var now bool
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "The kill switch: from now on no change is made, on any host",
		Long: `No change is let through any more, whoever asks: a model, a runbook, an approval
or a person with lifeline exec. Reads are. It holds across restarts, until
lifeline resume. A file lifeline.paused beside the database, or beside the key of
the record, does the same on that machine.

A change that runs already goes on, because half a restart is worse than a whole
one; --now ends it too (TERM, then KILL).`,
		Example: `  lifeline pause --reason 'the disk is being replaced'
  lifeline pause --now`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withDesk(cmd, g, func(d desk) error {
				if _, err := d.Pause(cmd.Context(), reason, now); err != nil {
					return err
				}
				_, err := fmt.Fprintln(g.std.Out, "Paused: no change is made until lifeline resume.")
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record and for whoever is refused")
	cmd.Flags().BoolVar(&now, "now", false, "end the changes that run already, too")
	return anywhere(cmd)
}

func newResume(g *globals) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "resume",
		Short:   "Let changes through again after lifeline pause",
		Example: "  lifeline resume",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withDesk(cmd, g, func(d desk) error {
				left, err := d.Resume(cmd.Context(), reason)
				if err != nil {
					return err
				}
				if left.File != "" {
					return &lifeline.Error{Code: lifeline.CodeRefused, Rule: lifeline.RulePaused,
						Message: "Lifeline is still paused by the file " + left.File, Hint: "rm " + left.File}
				}
				_, err = fmt.Fprintln(g.std.Out, "Resumed: changes are let through as the policy says.")
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return anywhere(cmd)
}

func newStatus(g *globals) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say where things stand: the kill switch, budgets, approvals, incidents, maintenance, hosts",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withDesk(cmd, g, func(d desk) error {
				s, err := d.Status(cmd.Context())
				if err != nil {
					return err
				}
				return app.WriteStatus(g.std.Out, s, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return anywhere(cmd)
}
