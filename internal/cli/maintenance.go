package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lifeline"
	"lifeline/internal/app"
)

func newMaintenance(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "maintenance",
		Short: "Windows in which people work themselves and Lifeline changes nothing",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newMaintenanceAdd(g), newMaintenanceList(g), newMaintenanceEnd(g))
	return anywhere(cmd)
}

// window is a maintenance window as its flags say it.
type window struct {
	host, container, unit, mount, alert string
	all                                 bool
	from, until, reason                 string
	length                              time.Duration
}

func newMaintenanceAdd(g *globals) *cobra.Command {
	var f window
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Add a window over a host, a thing on it, or an alert",
		Long: `From its beginning to its end no change is made to what the window is over.
Alerts about it are stored and open their incidents as always, and these wait;
reads go on, and what you run yourself with lifeline exec is not affected.

What is given must hold, all of it: --host nexus --container web is one
container, --host nexus is the host with all that is on it. A window over
everything needs --all.

TIME is 15:04, the next time that a clock here shows it, or 2006-01-02 15:04, or
RFC 3339. A window is at most 30 days long, so that one that is forgotten ends.`,
		Example: `  lifeline maintenance add --host nexus --for 2h --reason 'new disk'
  lifeline maintenance add --host nexus --container web --until 18:00
  lifeline maintenance add --alert DiskFull --from 22:00 --for 8h`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := f.maintenance(cmd, time.Now())
			if err != nil {
				return err
			}
			return withDesk(cmd, g, func(d desk) error {
				added, err := d.AddMaintenance(cmd.Context(), m)
				if err != nil {
					return err
				}
				return app.WriteMaintenance(g.std.Out, added)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.host, "host", "", "a configured host")
	flags.StringVar(&f.container, "container", "", "a container")
	flags.StringVar(&f.unit, "unit", "", "a systemd unit")
	flags.StringVar(&f.mount, "mount", "", "the mount point of a filesystem")
	flags.StringVar(&f.alert, "alert", "", "the name of an alert")
	flags.BoolVar(&f.all, "all", false, "everything, on all hosts")
	flags.DurationVar(&f.length, "for", 0, "how long: 30m, 2h")
	flags.StringVar(&f.until, "until", "", "the end, a `TIME`")
	flags.StringVar(&f.from, "from", "", "the beginning, a `TIME` (default: now)")
	flags.StringVar(&f.reason, "reason", "", "why, for the record and for whoever is refused")
	return cmd
}

// maintenance reads the flags.
func (f *window) maintenance(cmd *cobra.Command, now time.Time) (lifeline.Maintenance, error) {
	m := lifeline.Maintenance{From: now, By: person(), Reason: f.reason, Scope: lifeline.MaintenanceScope{Host: f.host, Alert: f.alert, All: f.all}}
	for _, thing := range []struct {
		kind lifeline.TargetKind
		name string
	}{{lifeline.TargetContainer, f.container}, {lifeline.TargetUnit, f.unit}, {lifeline.TargetFilesystem, f.mount}} {
		if thing.name == "" {
			continue
		}
		if m.Scope.Kind != "" {
			return m, usage(cmd, "want one of --container, --unit and --mount")
		}
		m.Scope.Kind, m.Scope.Name = thing.kind, thing.name
	}
	if err := m.Scope.Check(); err != nil {
		return m, usage(cmd, "%v", err)
	}
	if f.from != "" {
		var err error
		if m.From, err = readTime(f.from, now); err != nil {
			return m, usage(cmd, "--from: %v", err)
		}
	}
	switch {
	case (f.length != 0) == (f.until != ""):
		return m, usage(cmd, "want --for or --until: a window has an end")
	case f.until != "":
		var err error
		if m.Until, err = readTime(f.until, m.From); err != nil {
			return m, usage(cmd, "--until: %v", err)
		}
	default:
		m.Until = m.From.Add(f.length)
	}
	m.Source = lifeline.MaintenanceByPerson
	if err := m.Check(); err != nil {
		return m, usage(cmd, "%v", err)
	}
	return m, nil
}

// readTime reads a time as a person types it; a time of day is the next one
// after a moment, where that moment is.
func readTime(text string, after time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, text, after.Location()); err == nil {
			return t, nil
		}
	}
	clock, err := time.Parse("15:04", text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time: want 15:04, 2006-01-02 15:04 or 2006-01-02T15:04:05Z", text)
	}
	year, month, day := after.Date()
	t := time.Date(year, month, day, clock.Hour(), clock.Minute(), 0, 0, after.Location())
	if !t.After(after) {
		t = time.Date(year, month, day+1, clock.Hour(), clock.Minute(), 0, 0, after.Location())
	}
	return t, nil
}

func newMaintenanceList(g *globals) *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the windows that are in force or yet to come",
		Example: "  lifeline maintenance list --all --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withDesk(cmd, g, func(d desk) error {
				windows, err := d.Maintenances(cmd.Context(), all)
				if err != nil {
					return err
				}
				return app.WriteMaintenances(g.std.Out, windows, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "those that have ended too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newMaintenanceEnd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "end ID",
		Short:   "End a window before its time; a unique beginning of the ID is enough",
		Example: "  lifeline maintenance end mnt_01k7",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDesk(cmd, g, func(d desk) error {
				m, err := d.EndMaintenance(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return app.WriteMaintenance(g.std.Out, m)
			})
		},
	}
}
