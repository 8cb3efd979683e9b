package web

import (
	"net/http"
	"strings"

	"lifeline"
)

// maxCommand bounds what the box of the policy's page takes.
const maxCommand = 4000

// policyPage is what policy.html shows.
type policyPage struct {
	page
	Hosts []lifeline.HostStatus
	// Host is the one whose policy is shown; "": there is none.
	Host       string
	Policy     lifeline.PolicyView
	Mode       lifeline.Mode
	Modes      []lifeline.Mode
	Command    string
	Answer     *lifeline.Explanation
	MaxCommand int
}

// policyPage shows the policy of a host, and what it says about a command.
// Nothing is run.
func (s *server) policyPage(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	p := policyPage{page: s.newPage(r, "Policy", "/policy"), MaxCommand: maxCommand, Modes: []lifeline.Mode{lifeline.ModeObserve, lifeline.ModeSuggest, lifeline.ModeAuto}}
	status, err := s.Service.Status(ctx)
	if err != nil {
		s.fail(w, r, "policy", err)
		return
	}
	p.Hosts, p.Host = status.Hosts, r.FormValue("host")
	if p.Host == "" && len(p.Hosts) > 0 {
		p.Host = p.Hosts[0].Name
	}
	if p.Host != "" {
		if p.Policy, err = s.Service.Policy(ctx, p.Host); err != nil {
			s.fail(w, r, "policy", err)
			return
		}
	}
	// The mode of the host counts, unless another is asked about.
	p.Mode = p.Policy.Mode
	if asked := r.FormValue("mode"); asked != "" {
		if p.Mode, err = lifeline.ParseMode(asked); err != nil {
			s.fail(w, r, "policy", &lifeline.Error{Code: lifeline.CodeUsage, Message: err.Error(), Hint: "Open /policy"})
			return
		}
	}
	if p.Mode == "" {
		p.Mode = lifeline.ModeObserve
	}
	p.Command = r.FormValue("command")
	if len(p.Command) > maxCommand {
		s.fail(w, r, "policy", &lifeline.Error{Code: lifeline.CodeUsage, Message: "the command is longer than this page explains", Hint: "lifeline policy explain -- COMMAND"})
		return
	}
	if strings.TrimSpace(p.Command) != "" {
		answer, err := s.Service.Explain(ctx, p.Host, p.Mode, p.Command)
		if err != nil {
			s.fail(w, r, "explain", err)
			return
		}
		p.Answer = &answer
	}
	s.show(w, r, "policy.html", "policy", p)
}

// decisionTone is the class that colours a decision; the words say the same.
func decisionTone(decision string) string {
	switch decision {
	case "allow":
		return "good"
	case "ask":
		return "asks"
	}
	return "bad"
}

// decisionWords say what becomes of a command.
func decisionWords(decision string) string {
	switch decision {
	case "allow":
		return "It runs"
	case "ask":
		return "A person is asked first"
	case "deny":
		return "It does not run"
	}
	return line(decision)
}
