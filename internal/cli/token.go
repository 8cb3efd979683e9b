package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeline"
	"lifeline/internal/app"
)

func newToken(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Keys with which programs use the API",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenCreate(g), newTokenList(g), newTokenRevoke(g))
	return cmd
}

func newTokenCreate(g *globals) *cobra.Command {
	var role, expires string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a token and print it, this once",
		Long: `Make a token for one program and print it. It is shown this once: what is kept
is a hash of it. Whoever has it may do what its role may: viewer sees everything;
approver also decides about changes and incidents; admin also turns the kill
switch and keeps maintenance windows.

A program sends it as: Authorization: Bearer llt_…`,
		Example: `  lifeline token create prometheus --role viewer > prometheus.token
  lifeline token create chatbot --role approver --expires 90d`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t := lifeline.Token{Name: args[0], Role: lifeline.Role(role), CreatedBy: person()}
			if role == "" {
				return usage(cmd, "want --role: viewer, approver or admin")
			}
			if err := t.Check(); err != nil {
				return usage(cmd, "%v", err)
			}
			if expires != "" {
				span, err := readSpan(expires)
				if err != nil {
					return usage(cmd, "--expires: %v", err)
				}
				t.ExpiresAt = time.Now().Add(span)
			}
			return withRecords(cmd, g, func(r *app.Records) error {
				made, secret, err := r.CreateToken(cmd.Context(), t)
				if err != nil {
					return err
				}
				return app.WriteToken(g.std.Out, made, secret, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "viewer, approver or admin")
	cmd.Flags().StringVar(&expires, "expires", "", "how long it is valid: 12h, 90d (default: until it is revoked)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// readSpan reads a time span as Go writes it, or as a number of days: 90d.
func readSpan(text string) (time.Duration, error) {
	const most = 100 * 365 * 24 * time.Hour
	span, err := time.ParseDuration(text)
	if number, isDays := strings.CutSuffix(text, "d"); isDays {
		var days int
		if days, err = strconv.Atoi(number); err == nil && days <= int(most/(24*time.Hour)) {
			span = time.Duration(days) * 24 * time.Hour
		}
	}
	if err != nil || span <= 0 || span > most {
		return 0, fmt.Errorf("%q is not a time span: want one such as 12h or 90d", text)
	}
	return span, nil
}

func newTokenList(g *globals) *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the tokens that are in force, without their secrets",
		Example: "  lifeline token list --all --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRecords(cmd, g, func(r *app.Records) error {
				return r.WriteTokens(cmd.Context(), g.std.Out, all, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "those that are revoked or over too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newTokenRevoke(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "revoke NAME|ID",
		Short:   "End a token for ever, at once",
		Example: "  lifeline token revoke prometheus",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withRecords(cmd, g, func(r *app.Records) error {
				t, err := r.RevokeToken(cmd.Context(), args[0], person())
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(g.std.Out, "The token %s opens nothing any more (%s).\n", t.Name, t.ID)
				return err
			})
		},
	}
}
