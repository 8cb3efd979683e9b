package guard

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lifeline"
	"lifeline/shellpolicy"
)

// contained judges the command once more, with less trust, if a model has asked
// in this incident for something that the policy refuses as destructive, or
// again and again for what it does not know. What made it ask may be a text on the host that speaks to models, and
// the next thing that text asks for may be one that the policy would let
// through: so from there on, a person decides about every change of the
// incident. The mark is the record itself: no restart loses it, and no responder
// of the incident can take it back.
func (g *Guard) contained(ctx context.Context, req lifeline.CommandRequest, policy shellpolicy.Policy, v shellpolicy.Verdict) (shellpolicy.Verdict, error) {
	harmless := v.Class == shellpolicy.Read && len(v.Marks) == 0
	if req.IncidentID == "" || v.Decision != shellpolicy.Allow || harmless {
		return v, nil
	}
	refused, begun, err := g.cfg.Record.RefusedBefore(ctx, req.IncidentID, req.ID)
	if err != nil {
		return v, fmt.Errorf("read what was asked for in incident %s before: nothing ran: %w", req.IncidentID, err)
	}
	worst, enough := g.suspicious(refused)
	if begun || !enough { // what was let through before is answered from the record
		return v, nil
	}
	lowered := shellpolicy.Judge(req.Command, lower(policy))
	if lowered.Decision == shellpolicy.Allow {
		return v, nil
	}
	lowered.Rule = "containment"
	lowered.Reason = fmt.Sprintf("in this incident a model asked for %.80q, which is refused as %s, so a person decides about every change: %s",
		worst.Command, worst.Class, lowered.Reason)
	return lowered, nil
}

// suspicious reports whether a model was refused more than one with nothing but
// the repair in mind is, and gives the worst of it: the first destructive
// request, otherwise the first unknown one.
func (g *Guard) suspicious(refused []lifeline.Command) (worst lifeline.Command, enough bool) {
	byModels := slices.DeleteFunc(refused, func(c lifeline.Command) bool { return !strings.HasPrefix(c.Actor, "model:") })
	if len(byModels) == 0 {
		return worst, false
	}
	worst = byModels[0]
	destructive := 0
	for _, c := range byModels {
		if c.Class != string(shellpolicy.Destructive) {
			continue
		}
		if destructive++; destructive == 1 {
			worst = c
		}
	}
	return worst, destructive >= g.cfg.ContainAfter || len(byModels) >= g.cfg.ContainAfterUnknown
}

// lower is the policy in mode suggest, without the owner's rules that widen: they
// were written for a responder that can be trusted.
func lower(p shellpolicy.Policy) shellpolicy.Policy {
	if p.Mode == shellpolicy.Auto {
		p.Mode = shellpolicy.Suggest
	}
	p.Rules = slices.DeleteFunc(slices.Clone(p.Rules), func(r shellpolicy.Rule) bool { return r.Decision == shellpolicy.Allow })
	return p
}
