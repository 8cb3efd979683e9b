// Package webtest has a service for tests of the pages: everything that they show
// lies in memory, a test moves it as it likes, and what a person does is noted.
//
//	s := webtest.Night(time.Now())
//	pages, err := web.Handler(web.Config{Desk: desk, Service: s, PersonOf: …})
//	s.Append(lifeline.Event{IncidentID: "inc_web", Kind: lifeline.EventNote, Text: "…"})
//
// It keeps the contracts of the service that it stands for, as far as pages can
// see them: queries have bounds, a follower misses nothing, roles are checked.
package webtest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lifeline"
)

// Service is what pages stand on, in memory. Its zero value knows nothing at all.
type Service struct {
	mu      sync.Mutex // guards what follows
	cases   []*lifeline.CaseFile
	events  []lifeline.Event
	hosts   []lifeline.HostView
	status  lifeline.Status
	figures lifeline.Statistics
	audit   lifeline.AuditView
	fails   error
	did     []string
	grown   chan struct{} // closed and made anew with each event
}

// Do changes what the service knows.
func (s *Service) Do(change func(k *Known)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &Known{Cases: s.cases, Hosts: s.hosts, Status: s.status, Figures: s.figures, Audit: s.audit, Fails: s.fails}
	change(k)
	s.cases, s.hosts, s.status, s.figures, s.audit, s.fails = k.Cases, k.Hosts, k.Status, k.Figures, k.Audit, k.Fails
}

// Known is what a test may change.
type Known struct {
	Cases   []*lifeline.CaseFile
	Hosts   []lifeline.HostView
	Status  lifeline.Status
	Figures lifeline.Statistics
	Audit   lifeline.AuditView
	// Fails is the error of every call; nil: none.
	Fails error
}

// Case finds a case; nil if there is none.
func (k *Known) Case(id string) *lifeline.CaseFile {
	for _, c := range k.Cases {
		if c.Incident.ID == id {
			return c
		}
	}
	return nil
}

// Append puts an event on the timeline of its incident, and gives it with its
// number. A zero At is now.
func (s *Service) Append(e lifeline.Event) lifeline.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Seq = int64(len(s.events)) + 1
	if e.At.IsZero() {
		e.At = time.Now()
	}
	s.events = append(s.events, e)
	for _, c := range s.cases {
		if c.Incident.ID == e.IncidentID {
			c.Events = append(c.Events, e)
		}
	}
	if s.grown != nil {
		close(s.grown)
		s.grown = nil
	}
	return e
}

// Did is what people did, in order.
func (s *Service) Did() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.did)
}

// locked runs f under the lock, unless every call fails.
func (s *Service) locked(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		return s.fails
	}
	return f()
}

func (s *Service) find(id string) (*lifeline.CaseFile, error) {
	for _, c := range s.cases {
		if c.Incident.ID == id {
			return c, nil
		}
	}
	return nil, &lifeline.Error{Code: lifeline.CodeNotFound, Message: fmt.Sprintf("there is no incident %q", id), Hint: "lifeline incidents"}
}

// Incidents implements web.Incidents: newest first, After is a place in the list.
func (s *Service) Incidents(_ context.Context, q lifeline.IncidentQuery) (page lifeline.IncidentPage, err error) {
	err = s.locked(func() error {
		limit, skip := q.Limit, 0
		if limit <= 0 {
			limit = 50
		}
		limit = min(limit, 200)
		if q.After != "" {
			if skip, err = strconv.Atoi(q.After); err != nil {
				return &lifeline.Error{Code: lifeline.CodeUsage, Message: "that is not where a page ended"}
			}
		}
		var found []lifeline.Incident
		for _, c := range s.cases {
			if i := c.Incident; fits(q, i) {
				found = append(found, i)
			}
		}
		slices.SortStableFunc(found, func(a, b lifeline.Incident) int { return b.OpenedAt.Compare(a.OpenedAt) })
		found = found[min(skip, len(found)):]
		if len(found) > limit {
			found, page.Next = found[:limit], strconv.Itoa(skip+limit)
		}
		page.Incidents = found
		return nil
	})
	return page, err
}

func fits(q lifeline.IncidentQuery, i lifeline.Incident) bool {
	text := strings.ToLower(strings.Join([]string{i.AlertName, i.Summary, i.Reason, i.Target.Host, i.Target.Name}, " "))
	return (len(q.States) == 0 || slices.Contains(q.States, i.State)) &&
		(q.Host == "" || q.Host == i.Target.Host) && (q.Thing == "" || q.Thing == i.Target.Name) && (q.Alert == "" || q.Alert == i.AlertName) &&
		strings.Contains(text, strings.ToLower(q.Text)) &&
		(q.From.IsZero() || !i.OpenedAt.Before(q.From)) && (q.Until.IsZero() || i.OpenedAt.Before(q.Until))
}

// Case implements web.Incidents.
func (s *Service) Case(_ context.Context, id string) (c lifeline.CaseFile, err error) {
	err = s.locked(func() error {
		found, err := s.find(id)
		if err != nil {
			return err
		}
		c = *found
		c.Events, c.Commands, c.Approvals = slices.Clone(c.Events), slices.Clone(c.Commands), slices.Clone(c.Approvals)
		c.Usage, c.Alerts = slices.Clone(c.Usage), slices.Clone(c.Alerts)
		for _, u := range c.Usage {
			c.Spent = c.Spent.Add(u)
		}
		return nil
	})
	return c, err
}

// CaseMarkdown implements web.Incidents.
func (s *Service) CaseMarkdown(ctx context.Context, id string) (string, error) {
	c, err := s.Case(ctx, id)
	return "# " + c.Incident.AlertName + "\n", err
}

// ExplainIncident implements web.Incidents.
func (s *Service) ExplainIncident(ctx context.Context, id string) (string, error) {
	c, err := s.Case(ctx, id)
	return fmt.Sprintf("The incident is %s. %s", c.Incident.State, c.Incident.Reason), err
}

// Statistics implements web.Incidents.
func (s *Service) Statistics(_ context.Context, from, until time.Time) (f lifeline.Statistics, err error) {
	err = s.locked(func() error {
		f = s.figures
		f.From, f.Until = from, until
		return nil
	})
	return f, err
}

// Follow implements web.Live.
func (s *Service) Follow(ctx context.Context, incidentID string, after int64) iter.Seq2[lifeline.Event, error] {
	return func(yield func(lifeline.Event, error) bool) {
		for {
			s.mu.Lock()
			if s.grown == nil {
				s.grown = make(chan struct{})
			}
			grown, fails := s.grown, s.fails
			var fresh []lifeline.Event
			for _, e := range s.events {
				if e.Seq > after && (incidentID == "" || e.IncidentID == incidentID) {
					fresh = append(fresh, e)
				}
			}
			after = max(after, int64(len(s.events)))
			s.mu.Unlock()
			if fails != nil {
				yield(lifeline.Event{}, fails)
				return
			}
			for _, e := range fresh {
				if !yield(e, nil) {
					return
				}
			}
			select {
			case <-grown:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Events implements web.Live.
func (s *Service) Events(_ context.Context, incidentID string, after int64, limit int) (found []lifeline.Event, err error) {
	err = s.locked(func() error {
		for _, e := range s.events[min(max(after, 0), int64(len(s.events))):] {
			if (incidentID == "" || e.IncidentID == incidentID) && len(found) < limit {
				found = append(found, e)
			}
		}
		return nil
	})
	return found, err
}

// act notes what a person does, if their role may.
func (s *Service) act(who lifeline.Person, role lifeline.Role, what string, f func() error) error {
	return s.locked(func() error {
		if !who.Role.May(role) {
			return &lifeline.Error{Code: lifeline.CodeRefused, Message: who.Name + " may not do this"}
		}
		s.did = append(s.did, who.Actor()+" "+what)
		return f()
	})
}

func (s *Service) move(id string, change func(*lifeline.Incident)) (inc lifeline.Incident, err error) {
	c, err := s.find(id)
	if err != nil {
		return inc, err
	}
	change(&c.Incident)
	return c.Incident, nil
}

// Retry implements web.Actions: the incident itself is open again.
func (s *Service) Retry(_ context.Context, who lifeline.Person, id string) (inc lifeline.Incident, err error) {
	err = s.act(who, lifeline.RoleApprover, "retry "+id, func() error {
		inc, err = s.move(id, func(i *lifeline.Incident) { i.State, i.Reason = lifeline.StateOpen, "tried again" })
		return err
	})
	return inc, err
}

// HandOver implements web.Actions.
func (s *Service) HandOver(_ context.Context, who lifeline.Person, id, reason string) (inc lifeline.Incident, err error) {
	err = s.act(who, lifeline.RoleApprover, "handover "+id+": "+reason, func() error {
		inc, err = s.move(id, func(i *lifeline.Incident) { i.State, i.Reason = lifeline.StateEscalated, who.Name+" has it" })
		return err
	})
	return inc, err
}

// Close implements web.Actions.
func (s *Service) Close(_ context.Context, who lifeline.Person, id, reason string) (inc lifeline.Incident, err error) {
	err = s.act(who, lifeline.RoleApprover, "close "+id+": "+reason, func() error {
		inc, err = s.move(id, func(i *lifeline.Incident) { i.AlertFiring = false })
		return err
	})
	return inc, err
}

// Pause implements web.Actions.
func (s *Service) Pause(_ context.Context, who lifeline.Person, reason string, now bool) (p lifeline.Pause, err error) {
	err = s.act(who, lifeline.RoleAdmin, fmt.Sprintf("pause %v: %s", now, reason), func() error {
		s.status.Paused = lifeline.Pause{On: true, Now: now, Since: time.Now(), By: who.Actor(), Reason: reason}
		p = s.status.Paused
		return nil
	})
	return p, err
}

// Resume implements web.Actions. A file goes on pausing.
func (s *Service) Resume(_ context.Context, who lifeline.Person, reason string) (p lifeline.Pause, err error) {
	err = s.act(who, lifeline.RoleAdmin, "resume: "+reason, func() error {
		s.status.Paused = lifeline.Pause{On: s.status.Paused.File != "", File: s.status.Paused.File}
		p = s.status.Paused
		return nil
	})
	return p, err
}

// Approvals implements web.Approvals.
func (s *Service) Approvals(_ context.Context, all bool) (found []lifeline.Approval, err error) {
	err = s.locked(func() error {
		for _, c := range s.cases {
			for _, a := range c.Approvals {
				if all || a.State == lifeline.ApprovalPending && time.Now().Before(a.ExpiresAt) {
					found = append(found, a)
				}
			}
		}
		return nil
	})
	return found, err
}

// Approval implements web.Approvals.
func (s *Service) Approval(_ context.Context, id string) (a lifeline.Approval, err error) {
	err = s.locked(func() error {
		found, err := s.question(id)
		if err == nil {
			a = *found
		}
		return err
	})
	return a, err
}

func (s *Service) question(id string) (*lifeline.Approval, error) {
	for _, c := range s.cases {
		for i := range c.Approvals {
			if c.Approvals[i].ID == id {
				return &c.Approvals[i], nil
			}
		}
	}
	return nil, &lifeline.Error{Code: lifeline.CodeNotFound, Message: fmt.Sprintf("there is no approval %q", id), Hint: "lifeline approvals --all"}
}

// Decide implements web.Approvals. After a yes its incident is acted on.
func (s *Service) Decide(_ context.Context, who lifeline.Person, id string, approve bool, reason string) (a lifeline.Approval, err error) {
	err = s.act(who, lifeline.RoleApprover, fmt.Sprintf("decide %s %v: %s", id, approve, reason), func() error {
		found, err := s.question(id)
		if err != nil {
			return err
		}
		if found.State != lifeline.ApprovalPending {
			return &lifeline.Error{Code: lifeline.CodeRefused, Message: "the approval " + id + " is " + string(found.State) + " already", Hint: "lifeline approvals"}
		}
		found.State, found.DecidedAt, found.DecidedBy, found.Decision = lifeline.ApprovalDenied, time.Now(), who.Actor(), reason
		to := lifeline.StateInvestigating
		if approve {
			found.State, to = lifeline.ApprovalApproved, lifeline.StateActing
		}
		a = *found
		_, err = s.move(a.Request.IncidentID, func(i *lifeline.Incident) { i.State, i.Reason = to, "a person has answered" })
		s.status.ApprovalsWaiting = max(s.status.ApprovalsWaiting-1, 0)
		return err
	})
	return a, err
}

// Hosts implements web.Fleet.
func (s *Service) Hosts(context.Context) (hosts []lifeline.HostView, err error) {
	err = s.locked(func() error { hosts = slices.Clone(s.hosts); return nil })
	return hosts, err
}

// Host implements web.Fleet.
func (s *Service) Host(_ context.Context, name string) (h lifeline.HostView, err error) {
	err = s.locked(func() error {
		i := slices.IndexFunc(s.hosts, func(h lifeline.HostView) bool { return h.Name == name })
		if i < 0 {
			return &lifeline.Error{Code: lifeline.CodeNotFound, Message: fmt.Sprintf("there is no host %q", name), Hint: "lifeline hosts list"}
		}
		h = s.hosts[i]
		return nil
	})
	return h, err
}

// Policy implements web.Fleet.
func (s *Service) Policy(ctx context.Context, host string) (p lifeline.PolicyView, err error) {
	h, err := s.Host(ctx, host)
	if err != nil {
		return p, err
	}
	return lifeline.PolicyView{Host: host, Mode: h.Mode, Protected: []string{"unit lifeline.service", "container lifeline"},
		Rules:    []lifeline.RuleView{{Program: "docker", Args: []string{"restart", "scrypted"}, Decision: "allow", Reason: "it may be restarted at any time"}},
		Programs: []string{"cat", "df", "docker", "journalctl", "ls", "ps", "systemctl", "uptime"}}, nil
}

// Explain implements web.Fleet: commands that begin with rm are refused, those
// with restart are asked about.
func (s *Service) Explain(_ context.Context, host string, mode lifeline.Mode, command string) (e lifeline.Explanation, err error) {
	err = s.locked(func() error {
		e = lifeline.Explanation{Host: host, Mode: mode, Command: command, Canonical: command, Class: "read", Decision: "allow", Rule: "catalogue", Reason: "it changes nothing"}
		switch {
		case strings.HasPrefix(command, "rm"):
			e.Class, e.Decision, e.Canonical, e.Reason, e.Words = "destructive", "deny", "", "it loses data", []string{"rm", "-rf"}
			e.Instead = "du -sh /srv, which shows what takes the room"
		case strings.Contains(command, "restart"):
			e.Class, e.Decision, e.Rule, e.Reason = "change", "ask", "docker restart", "it restarts a container, which can be taken back"
		}
		return nil
	})
	return e, err
}

// Status implements web.Fleet.
func (s *Service) Status(context.Context) (st lifeline.Status, err error) {
	err = s.locked(func() error { st = s.status; return nil })
	return st, err
}

// Audit implements web.Record.
func (s *Service) Audit(context.Context) (a lifeline.AuditView, err error) {
	err = s.locked(func() error { a = s.audit; return nil })
	return a, err
}
