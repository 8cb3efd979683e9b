package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/shellpolicy"
)

// commandMost bounds a command that is to be explained, in bytes.
const commandMost = 100 << 10

// noHost is the error for a host that is not configured.
func noHost(cfg *config.Config, host string) error {
	return &lifeline.Error{Code: lifeline.CodeNotFound, Message: fmt.Sprintf("no host %q is configured", host),
		Hint: "configured hosts: " + strings.Join(cfg.HostNames(), ", ")}
}

// Policy is the policy in force on a host.
func (s *Service) Policy(_ context.Context, host string) (lifeline.PolicyView, error) {
	if _, known := s.cfg.Hosts[host]; !known {
		return lifeline.PolicyView{}, noHost(s.cfg, host)
	}
	p := Policy(s.cfg, host)
	view := lifeline.PolicyView{Host: host, Mode: lifeline.Mode(p.Mode), Rules: []lifeline.RuleView{}, Protected: []string{}}
	for _, r := range p.Rules {
		view.Rules = append(view.Rules, lifeline.RuleView{Program: r.Program, Args: r.Args, Decision: string(r.Decision), Reason: r.Reason})
	}
	for _, unit := range p.Protected.Units {
		view.Protected = append(view.Protected, "unit "+unit)
	}
	for _, container := range p.Protected.Containers {
		view.Protected = append(view.Protected, "container "+container)
	}
	for _, e := range shellpolicy.Catalogue() {
		view.Programs = append(view.Programs, e.Name)
	}
	return view, nil
}

// Explain says what the policy makes of a command, which is not run: on a host, in
// its mode or another one, or in a mode alone for "".
func (s *Service) Explain(_ context.Context, host string, mode lifeline.Mode, command string) (lifeline.Explanation, error) {
	wrong := func(format string, args ...any) (lifeline.Explanation, error) {
		return lifeline.Explanation{}, &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case strings.TrimSpace(command) == "":
		return wrong("there is no command to explain")
	case len(command) > commandMost:
		return wrong("a command of %d bytes: at most %d are explained", len(command), commandMost)
	case host == "" && mode == "":
		return wrong("want a host or a mode to judge the command in")
	}
	var p shellpolicy.Policy
	if host != "" {
		if _, known := s.cfg.Hosts[host]; !known {
			return lifeline.Explanation{}, noHost(s.cfg, host)
		}
		p = Policy(s.cfg, host)
	}
	if mode != "" {
		if _, err := lifeline.ParseMode(string(mode)); err != nil {
			return wrong("%v", err)
		}
		p.Mode = shellpolicy.Mode(mode)
	}
	return explanation(host, command, p), nil
}

// explanation is a verdict as people see it.
func explanation(host, command string, p shellpolicy.Policy) lifeline.Explanation {
	v, parts := shellpolicy.Explain(command, p)
	x := lifeline.Explanation{
		Host: host, Mode: lifeline.Mode(p.Mode), Command: v.Command, Canonical: v.Canonical,
		Class: string(v.Class), Decision: string(v.Decision), Rule: v.Rule, Reason: v.Reason,
	}
	for _, m := range v.Marks {
		x.Marks = append(x.Marks, string(m))
	}
	for _, part := range parts {
		if part.Rule == v.Rule && part.Decision == v.Decision && part.Text != "" && !slices.Contains(x.Words, part.Text) {
			x.Words = append(x.Words, part.Text)
		}
	}
	// The judge says it in the sentence, after the last semicolon.
	if i := strings.LastIndex(v.Reason, "; "); i >= 0 && v.Decision == shellpolicy.Deny {
		x.Instead = strings.TrimSpace(v.Reason[i+1:])
	}
	return x
}
