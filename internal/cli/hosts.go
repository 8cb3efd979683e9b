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
	list := func(cmd *cobra.Command, _ []string) error {
		if g.server != "" {
			return hostsThere(cmd, g, asJSON)
		}
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
	anywhere(cmd) // what is added below only where it says so itself
	cmd.AddCommand(anywhere(all), newHarden(g))
	return cmd
}

// hostsThere lists the hosts of a server.
func hostsThere(cmd *cobra.Command, g *globals, asJSON bool) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	views, err := c.Hosts(cmd.Context())
	if err != nil {
		return err
	}
	lines := []hostLine{}
	for _, v := range views {
		lines = append(lines, lineOf(v.Name, v.Address, v.User, v.Mode, v.Local))
	}
	return printHosts(g.std.Out, lines, asJSON)
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
		address := h.Address
		if address == "" && !h.Local {
			address = "as ssh_config says for " + h.SSHConfig
		}
		lines = append(lines, lineOf(name, address, h.User, h.Mode, h.Local))
	}
	return printHosts(w, lines, asJSON)
}

func lineOf(name, address, user string, mode lifeline.Mode, local bool) hostLine {
	if local {
		address = "this machine, without SSH"
	}
	return hostLine{Name: name, Address: address, User: user, Mode: mode}
}

func printHosts(w io.Writer, lines []hostLine, asJSON bool) error {
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
