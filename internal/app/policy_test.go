package app

import (
	"context"
	"slices"
	"testing"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/runbook"
	"lifeline/internal/tool"
	"lifeline/runbooks"
	"lifeline/shellpolicy"
)

// Whatever the shipped runbooks ask for has to pass the policy: looks in every
// mode, repairs in mode auto.
func TestShippedRunbooksPassThePolicy(t *testing.T) {
	books, err := runbook.Load(runbooks.FS())
	if err != nil {
		t.Fatal(err)
	}
	targets := []lifeline.Target{
		{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"},
		{Host: "nexus", Kind: lifeline.TargetUnit, Name: "nginx.service"},
		{Host: "nexus", Kind: lifeline.TargetFilesystem, Name: "/srv/data"},
		{Host: "nexus", Kind: lifeline.TargetHost},
	}
	judged := 0
	for _, book := range books.All() {
		for _, target := range targets {
			parts, err := book.Commands(target)
			if err != nil {
				continue // a runbook for another kind of target
			}
			for part, commands := range parts {
				for _, command := range commands {
					judged++
					mode, class := shellpolicy.Observe, shellpolicy.Read
					if part == "fix" {
						mode, class = shellpolicy.Auto, shellpolicy.Change
					}
					if v := shellpolicy.Judge(command, shellpolicy.Policy{Mode: mode}); v.Class != class || v.Decision != shellpolicy.Allow {
						t.Errorf("%s, %s: %s: %s, %s in mode %s: %s", book.Name, part, command, v.Class, v.Decision, mode, v.Reason)
					}
				}
			}
		}
	}
	if judged < 20 {
		t.Errorf("only %d commands were judged", judged)
	}
}

// So does the look by which a repair is verified.
func TestVerificationPassesThePolicy(t *testing.T) {
	for _, target := range []lifeline.Target{
		{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"},
		{Host: "nexus", Kind: lifeline.TargetUnit, Name: "nginx.service"},
		{Host: "nexus", Kind: lifeline.TargetFilesystem, Name: "/srv/my data"},
		{Host: "nexus", Kind: lifeline.TargetHost},
	} {
		d := &judging{}
		_, _ = tool.Status(t.Context(), d, tool.Probe{Actor: "verify", Target: target})
		if err := tool.LastWords(t.Context(), d, tool.Probe{Actor: "respond", Target: target}); err != nil {
			t.Error(err)
		}
		if len(d.verdicts) == 0 {
			t.Errorf("the %s is not looked at", target)
		}
		for _, v := range d.verdicts {
			if v.Class != shellpolicy.Read || v.Decision != shellpolicy.Allow {
				t.Errorf("the %s: %s: %s, %s: %s", target, v.Command, v.Class, v.Decision, v.Reason)
			}
		}
	}
}

func TestOwnersRulesReachTheirHosts(t *testing.T) {
	cfg := config.Default()
	cfg.Hosts = map[string]config.Host{"nexus": {Mode: lifeline.ModeAuto}, "outpost": {Mode: lifeline.ModeAuto}}
	cfg.Policy.Rules = []config.Rule{
		{Program: "docker", Args: config.List{"restart", "web"}, Host: "nexus", Decision: "deny", Reason: "its watchdog does it"},
		{Program: "systemctl", Args: config.List{"restart"}, Decision: "ask"},
	}
	for _, tt := range []struct {
		host, command string
		want          shellpolicy.Decision
	}{
		{"nexus", "docker restart web", shellpolicy.Deny},
		{"nexus", "docker restart db", shellpolicy.Allow},
		{"outpost", "docker restart web", shellpolicy.Allow},
		{"nexus", "systemctl restart nginx", shellpolicy.Ask},
		{"outpost", "systemctl restart nginx", shellpolicy.Ask},
	} {
		if got := shellpolicy.Judge(tt.command, Policy(&cfg, tt.host)); got.Decision != tt.want {
			t.Errorf("%s on %s: %s, want %s: %s", tt.command, tt.host, got.Decision, tt.want, got.Reason)
		}
	}
	if rules := Policy(&cfg, "outpost").Rules; slices.ContainsFunc(rules, func(r shellpolicy.Rule) bool { return r.Program == "docker" }) {
		t.Errorf("outpost has the rule of nexus: %v", rules)
	}
}

// judging is a door that only judges.
type judging struct{ verdicts []shellpolicy.Verdict }

func (d *judging) Run(_ context.Context, req lifeline.CommandRequest) (lifeline.Command, error) {
	d.verdicts = append(d.verdicts, shellpolicy.Judge(req.Command, shellpolicy.Policy{Mode: shellpolicy.Observe}))
	return lifeline.Command{CommandRequest: req, Class: "read", Outcome: lifeline.OutcomeExited, ExitStatus: new(1)}, nil
}
