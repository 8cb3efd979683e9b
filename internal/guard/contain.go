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
// for something in this incident that the policy refuses as destructive or
// unknown. What made it ask may be a text on the host that speaks to models, and
// the next thing that text asks for may be one that the policy would let
// through: so from there on, a person decides about every change of the
// incident. The mark is the record itself: no restart loses it, and no responder
// of the incident can take it back.
func (g *Guard) contained(ctx context.Context, req lifeline.CommandRequest, policy shellpolicy.Policy, v shellpolicy.Verdict) (shellpolicy.Verdict, error) {
	harmless := v.Class == shellpolicy.Read && len(v.Marks) == 0
	if req.IncidentID == "" || v.Decision != shellpolicy.Allow || harmless {
		return v, nil
	}
	commands, err := g.cfg.Record.Commands(ctx, req.IncidentID)
	if err != nil {
		return v, fmt.Errorf("read what was asked for in incident %s before: nothing ran: %w", req.IncidentID, err)
	}
	// What was let through before is answered from the record.
	begun := slices.ContainsFunc(commands, func(c lifeline.Command) bool { return c.ID == req.ID && !c.IntentAt.IsZero() })
	asked := slices.DeleteFunc(commands, func(c lifeline.Command) bool { return !suspicious(c) })
	if begun || len(asked) < g.cfg.ContainAfter {
		return v, nil
	}
	lowered := shellpolicy.Judge(req.Command, lower(policy))
	if lowered.Decision == shellpolicy.Allow {
		return v, nil
	}
	lowered.Rule = "containment"
	lowered.Reason = fmt.Sprintf("in this incident a model asked for %.80q, which is refused as %s, so a person decides about every change: %s",
		asked[0].Command, asked[0].Class, lowered.Reason)
	return lowered, nil
}

// suspicious reports a refusal that a model with nothing but the repair in mind
// does not cause.
func suspicious(c lifeline.Command) bool {
	return c.Outcome == lifeline.OutcomeRefused && strings.HasPrefix(c.Actor, "model:") &&
		(c.Class == string(shellpolicy.Destructive) || c.Class == string(shellpolicy.Unknown))
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
