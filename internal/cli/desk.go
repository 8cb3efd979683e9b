package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"lifeline"
	"lifeline/internal/api/client"
	"lifeline/internal/app"
)

// desk is where commands look and decide: the database of this machine, or a
// running Lifeline through its API.
type desk interface {
	looking
	deciding
}

type looking interface {
	Incidents(ctx context.Context, all bool) ([]lifeline.Incident, error)
	Case(ctx context.Context, id string) (lifeline.CaseFile, error)
	Approvals(ctx context.Context, all bool) ([]lifeline.Approval, error)
	Status(ctx context.Context) (lifeline.Status, error)
	Maintenances(ctx context.Context, all bool) ([]lifeline.Maintenance, error)
}

type deciding interface {
	Decide(ctx context.Context, id string, approve bool, reason string) (lifeline.Approval, error)
	Pause(ctx context.Context, reason string, now bool) (lifeline.Pause, error)
	Resume(ctx context.Context, reason string) (lifeline.Pause, error)
	AddMaintenance(ctx context.Context, m lifeline.Maintenance) (lifeline.Maintenance, error)
	EndMaintenance(ctx context.Context, id string) (lifeline.Maintenance, error)
}

// here decides on this machine, as its user.
type here struct{ *app.Records }

func (h here) Decide(ctx context.Context, id string, approve bool, reason string) (lifeline.Approval, error) {
	return h.Records.Decide(ctx, id, approve, person(), reason)
}

func (h here) Pause(ctx context.Context, reason string, now bool) (lifeline.Pause, error) {
	return h.Records.Pause(ctx, person(), reason, now)
}

func (h here) Resume(ctx context.Context, reason string) (lifeline.Pause, error) {
	return h.Records.Resume(ctx, person(), reason)
}

func (h here) EndMaintenance(ctx context.Context, id string) (lifeline.Maintenance, error) {
	return h.Records.EndMaintenance(ctx, id, person())
}

// there decides on a server, as whomever its token is.
type there struct{ *client.Client }

// The pages of a list: the newest, or all of them.
const (
	newest   = 50
	pageMost = 200
)

func (t there) Incidents(ctx context.Context, all bool) ([]lifeline.Incident, error) {
	q := lifeline.IncidentQuery{Limit: newest}
	if all {
		q.Limit = pageMost
	}
	incidents := []lifeline.Incident{}
	for {
		page, err := t.Client.Incidents(ctx, q)
		if err != nil {
			return nil, err
		}
		incidents = append(incidents, page.Incidents...)
		if !all || page.Next == "" {
			return incidents, nil
		}
		q.After = page.Next
	}
}

// withDesk opens the database that the configuration names, or asks the server.
func withDesk(cmd *cobra.Command, g *globals, use func(desk) error) error {
	if g.server == "" {
		return withRecords(cmd, g, func(r *app.Records) error { return use(here{r}) })
	}
	c, err := g.client()
	if err != nil {
		return err
	}
	return use(there{c})
}

// client asks the server that is named.
func (g *globals) client() (*client.Client, error) {
	token, err := g.token()
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Server: g.server, Token: token})
}

// tokenMost bounds the file of a token, in bytes: another file was meant then.
const tokenMost = 4096

// token is never a flag: others on the machine see those.
func (g *globals) token() (string, error) {
	if g.tokenFile == "" {
		return strings.TrimSpace(os.Getenv("LIFELINE_TOKEN")), nil
	}
	wrong := func(err error) error {
		return &lifeline.Error{Code: lifeline.CodeUsage, Message: "read the token in " + g.tokenFile, Err: err, Hint: "--token-file names a file that has the token and nothing else in it"}
	}
	text, err := os.ReadFile(g.tokenFile)
	switch {
	case err != nil:
		return "", wrong(err)
	case len(text) > tokenMost:
		return "", wrong(fmt.Errorf("it has %d bytes", len(text)))
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", wrong(fmt.Errorf("it is empty"))
	}
	return token, nil
}

// Annotations of commands.
const (
	worksAnywhere = "server"       // works with --server
	ofRecord      = "local-record" // is about the record here: it would be another one than a server's
)

// anywhere marks a command, and those below it, as one that works with --server.
func anywhere(cmd *cobra.Command) *cobra.Command { return annotated(cmd, worksAnywhere) }

func annotated(cmd *cobra.Command, with string) *cobra.Command {
	for _, c := range allCommands(cmd) {
		if c.Annotations == nil {
			c.Annotations = map[string]string{}
		}
		c.Annotations[with] = "yes"
	}
	return cmd
}

// where finds out whether a server is asked. A command that works on this machine
// only refuses --server. With $LIFELINE_SERVER it works here all the same, unless
// it is about the record: that would be another one than is meant.
func (g *globals) where(cmd *cobra.Command, _ []string) error {
	flagged := g.server != ""
	g.server = cmp.Or(g.server, os.Getenv("LIFELINE_SERVER"))
	switch {
	case g.server == "":
		if g.tokenFile != "" {
			return usage(cmd, "--token-file is for --server, and no server is named")
		}
		return nil
	case cmd.Annotations[worksAnywhere] != "" || cmd.Runnable() && cmd.Name() == "help":
		return nil
	case flagged || cmd.Annotations[ofRecord] != "":
		how := "--server"
		if !flagged {
			how = "$LIFELINE_SERVER"
		}
		return &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("%s works on the machine of lifeline serve only, and not with %s", cmd.CommandPath(), how),
			Hint: "run it there, or leave the server out"}
	}
	g.server = ""
	return nil
}
