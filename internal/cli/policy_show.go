package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"lifeline/internal/escape"
	"lifeline/shellpolicy"
)

func newPolicyShow(g *globals) *cobra.Command {
	var f policyFlags
	var programs bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the effective policy: mode, your rules, what is protected, what is known",
		Example: `  lifeline policy show --host nexus
  lifeline policy show --programs`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			policy, err := f.policy(g, cmd)
			if err != nil {
				return err
			}
			shown := effective(policy)
			if f.json {
				return writeJSON(g.std.Out, shown)
			}
			return shown.print(g.std.Out, programs)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&programs, "programs", false, "list every program and sub-command that is modelled, with its class")
	return cmd
}

// effectivePolicy is a policy as it is printed.
type effectivePolicy struct {
	Mode shellpolicy.Mode `json:"mode"`
	// Decisions by class and mark, without the owner's rules.
	Decisions []classDecision       `json:"decisions"`
	Rules     []shellpolicy.Rule    `json:"rules"`
	Protected shellpolicy.Protected `json:"protected"`
	Programs  []shellpolicy.Entry   `json:"programs"`
}

type classDecision struct {
	What     string               `json:"what"`
	Decision shellpolicy.Decision `json:"decision"`
	// Example is the command that was judged to find out.
	Example string `json:"example"`
}

// effective asks the judge itself what it makes of one command of each kind, so
// that what is printed cannot differ from what is done.
func effective(policy shellpolicy.Policy) effectivePolicy {
	plain := shellpolicy.Policy{Mode: policy.Mode, Protected: policy.Protected}
	out := effectivePolicy{Mode: policy.Mode, Rules: policy.Rules, Protected: policy.Protected, Programs: shellpolicy.Catalogue()}
	for _, kind := range []struct{ what, example string }{
		{"a plain read", "docker ps"},
		{"a read that may show secrets", "docker inspect web"},
		{"a read that contacts another host", "curl -s https://example.com"},
		{"a read that does not end by itself", "docker logs -f web"},
		{"a listed reversible change", "docker restart web"},
		{"what loses data or service", "rm -rf /data"},
		{"what is not known", "frobnicate"},
	} {
		out.Decisions = append(out.Decisions, classDecision{What: kind.what, Decision: shellpolicy.Judge(kind.example, plain).Decision, Example: kind.example})
	}
	return out
}

func (p effectivePolicy) print(w io.Writer, programs bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "mode: %s\n\n", p.Mode)
	for _, d := range p.Decisions {
		fmt.Fprintf(&b, "  %-5s %-38s for example: %s\n", d.Decision, d.What, d.Example)
	}
	b.WriteString("\nyour rules, the first that matches decides:\n")
	for _, r := range p.Rules {
		why := ""
		if r.Reason != "" {
			why = ": " + r.Reason
		}
		fmt.Fprintf(&b, "  %-5s %s%s\n", r.Decision, escape.Line(r.String()), escape.Line(why))
	}
	if len(p.Rules) == 0 {
		b.WriteString("  none (policy.rules)\n")
	}
	b.WriteString("\nno change touches the SSH server, the network, the firewall and Lifeline, nor:\n")
	for _, kind := range []struct {
		name  string
		names []string
	}{{"unit", p.Protected.Units}, {"container", p.Protected.Containers}} {
		for _, name := range kind.names {
			fmt.Fprintf(&b, "  %s %s\n", kind.name, escape.Line(name))
		}
	}
	if len(p.Protected.Units)+len(p.Protected.Containers) == 0 {
		b.WriteString("  nothing more (protect)\n")
	}
	fmt.Fprintf(&b, "\n%d programs and sub-commands are known; everything else is refused\n", len(p.Programs))
	if programs {
		for _, e := range p.Programs {
			marks := ""
			for _, m := range e.Marks {
				marks += " " + string(m)
			}
			fmt.Fprintf(&b, "  %-11s %s%s\n", e.Class, e.Name, marks)
		}
	} else {
		b.WriteString("  lifeline policy show --programs\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
