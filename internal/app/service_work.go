package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lifeline"
)

// Retry tries an escalated incident again whose alert still fires: it gives the
// new incident that takes its place. The bounds on changes hold as before.
func (s *Service) Retry(ctx context.Context, who lifeline.Person, id string) (lifeline.Incident, error) {
	id, err := s.namedBy(ctx, who, id, "retrying an incident", "")
	if err != nil {
		return lifeline.Incident{}, err
	}
	return s.store.RetryIncident(ctx, id, who.Actor(), s.respond.Enqueue)
}

// HandOver gives an incident that is being worked to a person, at once: no change
// is let through for it any more.
func (s *Service) HandOver(ctx context.Context, who lifeline.Person, id, reason string) (lifeline.Incident, error) {
	id, err := s.namedBy(ctx, who, id, "taking an incident over", reason)
	if err != nil {
		return lifeline.Incident{}, err
	}
	words := "taken over by " + who.Actor()
	if reason = said(reason); reason != "" {
		words += ": " + reason
	}
	return s.respond.HandOver(ctx, id, who.Actor(), words)
}

// Close notes that a person has dealt with an escalated incident: it takes no
// alerts any more.
func (s *Service) Close(ctx context.Context, who lifeline.Person, id, reason string) (lifeline.Incident, error) {
	id, err := s.namedBy(ctx, who, id, "closing an incident", reason)
	if err != nil {
		return lifeline.Incident{}, err
	}
	return s.store.CloseIncident(ctx, id, who.Actor(), said(reason))
}

// namedBy finds the incident that somebody who decides about incidents names.
func (s *Service) namedBy(ctx context.Context, who lifeline.Person, id, what, words string) (string, error) {
	if err := may(who, lifeline.RoleApprover, what, words); err != nil {
		return "", err
	}
	inc, err := s.store.Incident(ctx, id)
	return inc.ID, err
}

// ExplainIncident says in plain sentences why an incident stands where it does,
// and what a person can do about it. What comes from outside in it is not escaped.
func (s *Service) ExplainIncident(ctx context.Context, id string) (string, error) {
	c, err := s.Case(ctx, id)
	if err != nil {
		return "", err
	}
	return explainCase(c, time.Now()), nil
}

// explainCase is ExplainIncident at a time.
func explainCase(c lifeline.CaseFile, now time.Time) string {
	inc := c.Incident
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("%s (%s) was opened %s ago, by the alert %s.", inc.ID, inc.Target, now.Sub(inc.OpenedAt).Round(time.Second), inc.AlertName)
	switch inc.State {
	case lifeline.StateOpen:
		say("It is on record and waits for its turn: one incident of a target is worked at a time.")
	case lifeline.StateInvestigating:
		say("It is being looked at now.")
	case lifeline.StateAwaitingApproval:
		say("It waits for a person.")
	case lifeline.StateActing:
		say("A change was let through to the host, and the work goes on.")
	case lifeline.StateVerifying:
		say("The work is done, and Lifeline looks whether it is really well again.")
	case lifeline.StateResolved:
		say("It is well again: the probe and the alert agree.")
	case lifeline.StateEscalated:
		say("A person has it: Lifeline does nothing more about it.")
	case lifeline.StateSuperseded:
		say("It ended without Lifeline, before anything was changed that mattered.")
	}
	if inc.Reason != "" {
		say("The reason: %s.", strings.TrimRight(inc.Reason, "."))
	}
	for _, a := range c.Approvals {
		if a.State == lifeline.ApprovalPending && now.Before(a.ExpiresAt) {
			say("To decide, until %s: may `%s` run on %s? (lifeline approve %s, or lifeline deny %s)",
				a.ExpiresAt.UTC().Format(time.RFC3339), a.Canonical, a.Request.Host, a.ID, a.ID)
		}
	}
	if changes := inc.Changes; changes > 0 {
		say("Changes made so far: %d.", changes)
	}
	if inc.State != lifeline.StateEscalated {
		return b.String()
	}
	if c.Handover != nil {
		for i, next := range c.Handover.Next {
			if i == 0 {
				say("Look at this next:")
			}
			say("- %s", next)
		}
	}
	if inc.AlertFiring {
		say("Its alert still fires. Once the cause is found it can be retried, or closed after you have repaired it yourself.")
	} else {
		say("Its alert does not fire any more.")
	}
	return b.String()
}
