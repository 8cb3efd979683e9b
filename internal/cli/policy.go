package cli

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"lifeline"
	"lifeline/internal/app"
	"lifeline/internal/escape"
	"lifeline/shellpolicy"
)

func newPolicy(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Say what the policy makes of a command, without running it",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPolicyCheck(g), newPolicyExplain(g), newPolicyShow(g))
	return cmd
}

// policyFlags choose the policy to judge by.
type policyFlags struct {
	mode, host string
	json       bool
}

func (f *policyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.mode, "mode", "observe", "judge as on a host in this mode: observe, suggest or auto")
	cmd.Flags().StringVar(&f.host, "host", "", "judge as on this configured host, with its mode and the owner's rules")
	cmd.Flags().BoolVar(&f.json, "json", false, "print one JSON object per command")
}

// policy needs no configuration unless a host is named.
func (f *policyFlags) policy(g *globals, cmd *cobra.Command) (shellpolicy.Policy, error) {
	if f.host == "" {
		mode, err := lifeline.ParseMode(f.mode)
		if err != nil {
			return shellpolicy.Policy{}, usage(cmd, "%v", err)
		}
		return shellpolicy.Policy{Mode: shellpolicy.Mode(mode)}, nil
	}
	cfg, err := g.load()
	if err != nil {
		return shellpolicy.Policy{}, err
	}
	if _, ok := cfg.Hosts[f.host]; !ok {
		return shellpolicy.Policy{}, unknownHost(f.host, cfg.HostNames())
	}
	return app.Policy(cfg, f.host), nil
}

func newPolicyCheck(g *globals) *cobra.Command {
	var f policyFlags
	cmd := &cobra.Command{
		Use:   "check [FILE|-]",
		Short: "Judge one command per line, or JSON lines with a command field",
		Example: `  echo 'docker restart web' | lifeline policy check --mode auto -
  lifeline policy check --json commands.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			policy, err := f.policy(g, cmd)
			if err != nil {
				return err
			}
			in := g.std.In
			if len(args) == 1 && args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return &lifeline.Error{Code: lifeline.CodeUsage, Message: "read the commands", Err: err}
				}
				defer file.Close()
				in = file
			}
			return checkLines(g.std.Out, in, policy, f.json)
		},
	}
	f.add(cmd)
	return cmd
}

// checkLines judges every line in order. An empty line is no command.
func checkLines(out io.Writer, in io.Reader, policy shellpolicy.Policy, asJSON bool) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 4<<20)
	buffered := bufio.NewWriter(out)
	for n := 1; lines.Scan(); n++ {
		command, err := commandOf(lines.Text())
		if err != nil {
			return &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("line %d", n), Err: err,
				Hint: `write one command per line, or JSON objects such as {"command": "docker ps"}`}
		}
		if command == "" {
			continue
		}
		v := shellpolicy.Judge(command, policy)
		if asJSON {
			if err := writeJSON(buffered, v); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(buffered, "%-5s %-11s %s\n", v.Decision, v.Class, escape.Line(command))
		if v.Decision != shellpolicy.Allow {
			fmt.Fprintf(buffered, "      %s\n", escape.Line(v.Reason))
		}
	}
	if err := lines.Err(); err != nil {
		return &lifeline.Error{Code: lifeline.CodeUsage, Message: "read the commands", Err: err}
	}
	return buffered.Flush()
}

// commandOf reads a line: a command, or a JSON object with a field command.
func commandOf(line string) (string, error) {
	trimmed := strings.TrimSpace(line)
	if !strings.HasPrefix(trimmed, `{"`) {
		return trimmed, nil
	}
	var object struct {
		Command *string `json:"command"`
	}
	if err := json.Unmarshal([]byte(trimmed), &object); err != nil {
		return "", fmt.Errorf("not a JSON object: %w", err)
	}
	if object.Command == nil {
		return "", fmt.Errorf("the JSON object has no field command")
	}
	return *object.Command, nil
}

func newPolicyExplain(g *globals) *cobra.Command {
	var f policyFlags
	cmd := &cobra.Command{
		Use:     "explain -- COMMAND...",
		Short:   "Say to a person what the policy makes of a command, in each mode",
		Example: "  lifeline policy explain -- docker logs -f web",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			command := args[0]
			if len(args) > 1 {
				var err error
				if command, err = quoteArgs(args); err != nil {
					return usage(cmd, "%v", err)
				}
			}
			policy, err := f.policy(g, cmd)
			if err != nil {
				return err
			}
			v, parts := shellpolicy.Explain(command, policy)
			if f.json {
				return writeJSON(g.std.Out, struct {
					shellpolicy.Verdict
					Parts []shellpolicy.Part `json:"parts"`
				}{v, parts})
			}
			return explain(g.std.Out, v, parts, policy)
		},
	}
	f.add(cmd)
	return cmd
}

func explain(w io.Writer, v shellpolicy.Verdict, parts []shellpolicy.Part, policy shellpolicy.Policy) error {
	fmt.Fprintf(w, "command:   %s\n", escape.Line(v.Command))
	fmt.Fprintf(w, "class:     %s\n", v.Class)
	for _, m := range v.Marks {
		fmt.Fprintf(w, "mark:      %s\n", m)
	}
	fmt.Fprintf(w, "decided by %s\n", escape.Line(v.Rule))
	fmt.Fprintf(w, "reason:    %s\n", escape.Line(v.Reason))
	if len(parts) > 1 {
		fmt.Fprintln(w, "its parts:")
		for _, p := range parts {
			marks := ""
			for _, m := range p.Marks {
				marks += " " + string(m)
			}
			fmt.Fprintf(w, "  %-5s %s%s  %s  (%s)\n", p.Decision, p.Class, marks, escape.Line(cmp.Or(p.Text, "-")), escape.Line(p.Rule))
			if p.Decision != shellpolicy.Allow {
				fmt.Fprintf(w, "        %s\n", escape.Line(p.Reason))
			}
		}
	}
	for _, mode := range modes() {
		in := policy
		in.Mode = mode
		fmt.Fprintf(w, "%-10s %s\n", string(mode)+":", shellpolicy.Judge(v.Command, in).Decision)
	}
	if v.Canonical != "" {
		fmt.Fprintf(w, "runs as:   %s\n", escape.Line(v.Canonical))
	}
	return nil
}

func modes() []shellpolicy.Mode {
	return []shellpolicy.Mode{shellpolicy.Observe, shellpolicy.Suggest, shellpolicy.Auto}
}
