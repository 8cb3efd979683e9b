package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lifeline"
	"lifeline/internal/app"
)

func newPassword(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "password",
		Short: "Print the hash of a password, for access.users",
		Long: `Read a password twice from the terminal, without showing it, and print its hash
(argon2id) for access.users in the configuration. It is kept nowhere else. From
a pipe the password is read once, as one line.`,
		Example: "  lifeline password",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := readPassword(cmd.Context(), g.std)
			if err != nil {
				return err
			}
			hash, err := app.HashPassword(password)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(g.std.Out, hash); err != nil {
				return err
			}
			if terminal(g.std.Out) {
				fmt.Fprintf(g.std.Err, "Put it into the configuration:\n  access:\n    users:\n      NAME: {role: admin, password_hash: %q}\n", hash)
			}
			return nil
		},
	}
}

// maxLine bounds what is read from a pipe.
const maxLine = 4 << 10

// readPassword asks at the terminal, or reads a line.
func readPassword(ctx context.Context, std IO) (string, error) {
	f, ok := std.In.(*os.File)
	if !ok || !terminal(f) {
		raw, err := io.ReadAll(io.LimitReader(std.In, maxLine))
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		line, rest, _ := strings.Cut(string(raw), "\n")
		if strings.TrimSpace(rest) != "" {
			return "", &lifeline.Error{Code: lifeline.CodeUsage, Message: "there is more than one line to read: a password is one line"}
		}
		return strings.TrimSuffix(line, "\r"), nil
	}
	first, err := askHidden(ctx, f, std.Err, "Password: ")
	if err != nil {
		return "", err
	}
	again, err := askHidden(ctx, f, std.Err, "Again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", &lifeline.Error{Code: lifeline.CodeUsage, Message: "these were two different passwords", Hint: "lifeline password"}
	}
	return first, nil
}

// askHidden reads a line that the terminal does not show, and lets it show lines
// again if it is interrupted.
func askHidden(ctx context.Context, f *os.File, w io.Writer, question string) (string, error) {
	fmt.Fprint(w, question)
	defer fmt.Fprintln(w)
	state, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	go func() { // ends with the process if nobody answers
		b, err := term.ReadPassword(int(f.Fd()))
		answered <- answer{string(b), err}
	}()
	select {
	case a := <-answered:
		if a.err != nil {
			return "", fmt.Errorf("read the password: %w", a.err)
		}
		return a.text, nil
	case <-ctx.Done():
		_ = term.Restore(int(f.Fd()), state)
		return "", context.Cause(ctx)
	}
}
