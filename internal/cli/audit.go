package cli

import (
	"github.com/spf13/cobra"

	"lifeline"
	"lifeline/internal/app"
)

func newAudit(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Verify and export the record of everything decided and done",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuditVerify(g), newAuditExport(g))
	return cmd
}

func newAuditVerify(g *globals) *cobra.Command {
	var asJSON bool
	var after int64
	var head string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Say whether the record is what Lifeline wrote, and name the first row that is not",
		Long: `Check every event against the chain of hashes, the chain against its sealed end,
and every alert, incident, command, approval, pause and maintenance window against
its events.

It prints the head of the record, SEQ:HASH. Keep it where whoever can write the
database cannot reach, and compare it later with --head: that finds an older
copy, or a record that was written anew with its key. docs/record.md says what
can be found and what cannot.

Exit status: 0 if the record is what was written, 11 if it is not.`,
		Example: `  lifeline audit verify
  lifeline audit verify --head 1718:5e88…`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if after < 0 {
				return usage(cmd, "--after %d: want the number of an event", after)
			}
			if g.server != "" {
				return verifyThere(cmd, g, asJSON)
			}
			return withRecords(cmd, g, func(r *app.Records) error {
				audit, err := r.Audit(cmd.Context(), after, head)
				if err != nil {
					return err
				}
				if err := app.WriteAudit(g.std.Out, audit, asJSON); err != nil {
					return err
				}
				if audit.Bad != nil {
					return exitStatus(lifeline.CodeTampered.ExitStatus())
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&head, "head", "", "a head that was noted earlier, `SEQ:HASH`: the record must still have it")
	cmd.Flags().Int64Var(&after, "after", 0, "begin after this `EVENT`, for a record whose earlier damage is known; other tables are not compared then")
	return anywhere(cmd)
}

// verifyThere has the server verify its record.
func verifyThere(cmd *cobra.Command, g *globals, asJSON bool) error {
	for _, name := range []string{"head", "after"} {
		if cmd.Flags().Changed(name) {
			return usage(cmd, "--%s works on the machine of the record only, and not with --server", name)
		}
	}
	c, err := g.client()
	if err != nil {
		return err
	}
	v, err := c.Audit(cmd.Context())
	if err != nil {
		return err
	}
	if err := app.WriteAuditView(g.std.Out, v, asJSON); err != nil {
		return err
	}
	if !v.OK {
		return exitStatus(lifeline.CodeTampered.ExitStatus())
	}
	return nil
}

func newAuditExport(g *globals) *cobra.Command {
	return annotated(&cobra.Command{
		Use:     "export",
		Short:   "Print the whole record as JSON lines, each event with its hash, the head last",
		Example: `  lifeline audit export > record.jsonl`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRecords(cmd, g, func(r *app.Records) error {
				return r.ExportAudit(cmd.Context(), g.std.Out)
			})
		},
	}, ofRecord)
}
