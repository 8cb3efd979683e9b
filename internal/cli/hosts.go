package cli

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/escape"
)

func newHosts(g *globals) *cobra.Command {
	var asJSON bool
	list := func(*cobra.Command, []string) error {
		cfg, err := g.load()
		if err != nil {
			return err
		}
		return writeHosts(g.std.Out, cfg, asJSON)
	}
	cmd := &cobra.Command{
		Use:     "hosts",
		Short:   "List the configured hosts, or print what restricts Lifeline's account on one",
		Example: "  lifeline hosts\n  lifeline hosts harden nexus --unit nginx.service",
		Args:    cobra.NoArgs,
		RunE:    list,
	}
	all := &cobra.Command{Use: "list", Short: "List the configured hosts", Args: cobra.NoArgs, RunE: list}
	for _, c := range []*cobra.Command{cmd, all} {
		c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	}
	cmd.AddCommand(all, newHarden(g))
	return cmd
}

// hostLine is a host as hosts list prints it.
type hostLine struct {
	Name    string        `json:"name"`
	Address string        `json:"address"`
	User    string        `json:"user"`
	Mode    lifeline.Mode `json:"mode"`
}

func writeHosts(w io.Writer, cfg *config.Config, asJSON bool) error {
	lines := []hostLine{}
	for _, name := range cfg.HostNames() {
		h := cfg.Hosts[name]
		line := hostLine{Name: name, Address: h.Address, User: h.User, Mode: h.Mode}
		switch {
		case h.Local:
			line.Address = "this machine, without SSH"
		case h.Address == "":
			line.Address = "as ssh_config says for " + h.SSHConfig
		}
		lines = append(lines, line)
	}
	if asJSON {
		return writeJSON(w, map[string]any{"hosts": lines})
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tADDRESS\tUSER\tMODE")
	for _, l := range lines {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", escape.Line(l.Name), escape.Line(l.Address), escape.Line(cmp.Or(l.User, "-")), l.Mode)
	}
	return t.Flush()
}
