package cli

import (
	"github.com/spf13/cobra"

	"lifeline/internal/app"
)

func newIncidents(g *globals) *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "incidents",
		Short: "List incidents, newest first",
		Example: `  lifeline incidents
  lifeline incidents --all --json
  lifeline incidents show inc_01k`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withDesk(cmd, g, func(d desk) error {
				incidents, err := d.Incidents(cmd.Context(), all)
				if err != nil {
					return err
				}
				return app.WriteIncidents(g.std.Out, incidents, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "ended incidents beyond the newest 50 too")
	cmd.PersistentFlags().BoolVar(&asJSON, "json", false, "print JSON")
	var markdown bool
	show := &cobra.Command{
		Use:     "show ID",
		Short:   "Print an incident's timeline and commands; a unique beginning of the ID is enough",
		Example: "  lifeline incidents show inc_01k7",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDesk(cmd, g, func(d desk) error {
				c, err := d.Case(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return app.WriteCase(g.std.Out, c, app.Format{JSON: asJSON, Markdown: markdown})
			})
		},
	}
	show.Flags().BoolVar(&markdown, "markdown", false, "print the case as Markdown, to hand over")
	cmd.AddCommand(show)
	return anywhere(cmd)
}

// withRecords opens the database that the configuration names for reading.
func withRecords(cmd *cobra.Command, g *globals, use func(*app.Records) error) error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	records, err := app.OpenRecords(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer records.Close()
	return use(records)
}
