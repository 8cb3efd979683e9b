package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"lifeline/internal/app"
)

func newNotify(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "notify",
		Short: "Test the channels, and look after messages that were not delivered",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newNotifyTest(g), newNotifyList(g), newNotifyRetry(g))
	return annotated(cmd, ofRecord)
}

func newNotifyTest(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "test [CHANNEL]",
		Short: "Send a test message to one channel, or to all, and say what happened",
		Long: `Send a test message now, past routes, rates and quiet hours; lifeline serve need
not run. The exit status is 1 if a channel did not take it.`,
		Example: "  lifeline notify test phone",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := g.load()
			if err != nil {
				return err
			}
			channel := ""
			if len(args) == 1 {
				channel = args[0]
			}
			return app.TestNotify(cmd.Context(), cfg, g.std.Out, channel)
		},
	}
}

func newNotifyList(g *globals) *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the messages that wait to be sent and those that were given up",
		Example: `  lifeline notify list
  lifeline notify list --all --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRecords(cmd, g, func(r *app.Records) error {
				return r.WriteNotifications(cmd.Context(), g.std.Out, all, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "those of the last 30 days that were sent, too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newNotifyRetry(g *globals) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "retry ID | --all",
		Short: "Send a message that waits or was given up again",
		Long: `Let lifeline serve send a message again as if it were new; a unique beginning of
the ID is enough. It goes to the same channel.`,
		Example: `  lifeline notify retry ntf_01k7
  lifeline notify retry --all`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) == 1) || len(args) == 1 && args[0] == "" {
				return usage(cmd, "want the ID of a message, or --all")
			}
			id := ""
			if len(args) == 1 {
				id = args[0]
			}
			return withRecords(cmd, g, func(r *app.Records) error {
				n, err := r.RetryNotifications(cmd.Context(), id)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(g.std.Out, "%d to be sent by lifeline serve.\n", n)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all that wait or were given up")
	return cmd
}
