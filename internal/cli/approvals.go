package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"lifeline"
	"lifeline/internal/app"
)

func newApprovals(g *globals) *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "approvals",
		Short: "List the changes that wait for a person",
		Long: `List the changes that the policy asks a person about, with the whole command
that would run. No answer within respond.approval_timeout is a no.`,
		Example: `  lifeline approvals
  lifeline approvals --all --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withDesk(cmd, g, func(d desk) error {
				approvals, err := d.Approvals(cmd.Context(), all)
				if err != nil {
					return err
				}
				return app.WriteApprovals(g.std.Out, approvals, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "those that are decided or ended too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return anywhere(cmd)
}

func newApprove(g *globals) *cobra.Command {
	return newDecision(g, true, "approve", "Let one waiting change run, once",
		`Say yes to a change that waits (lifeline approvals); a unique beginning of the
ID is enough. lifeline serve takes it up within a second, judges the command
again and runs exactly what was shown, once. A yes that comes late, twice, after
the alert resolved, or after the host, its account or the policy was changed is
refused with status 5, and on record.`)
}

func newDeny(g *globals) *cobra.Command {
	return newDecision(g, false, "deny", "Refuse one waiting change",
		`Say no to a change that waits (lifeline approvals); a unique beginning of the
ID is enough. The responder is told why and may try another way; the same
command is not asked for again for this incident.`)
}

func newDecision(g *globals, approve bool, verb, short, long string) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     verb + " ID",
		Short:   short,
		Long:    long,
		Example: "  lifeline " + verb + " apr_01k7 --reason 'ann is on it'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDesk(cmd, g, func(d desk) error {
				a, err := d.Decide(cmd.Context(), args[0], approve, reason)
				if err != nil {
					return err
				}
				if err := app.WriteApproval(g.std.Out, a); err != nil || a.State != lifeline.ApprovalApproved {
					return err
				}
				_, err = fmt.Fprintln(g.std.Out, "lifeline serve runs it now.")
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record and for the responder")
	return anywhere(cmd)
}
