package app

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/respond"
	"lifeline/internal/store"
	"lifeline/internal/timeline"
	"lifeline/sshpool"
)

// Service is what pages and the API stand on: it answers with the types that
// people see, and takes what people decide. Whoever does something needs the role
// for it, and what they do is on the record under their name.
//
// It looks at the record for everything that another process may have changed, so
// that each node answers alike; what only this process knows are its connections.
type Service struct {
	cfg     *config.Config
	log     *slog.Logger
	store   *store.Store
	pool    *sshpool.Pool
	respond *respond.Service
	series  *recorder
	tail    *tail
	audit   *auditor
	records Records
}

func newService(a *App, m *metrics) *Service {
	return &Service{
		cfg: a.cfg, log: a.log, store: a.store, pool: a.door.pool, respond: a.respond, series: m.series,
		tail: a.tail, audit: newAuditor(verifying(a.store)), records: Records{store: a.store, cfg: a.cfg},
	}
}

// Service is what pages and the API stand on.
func (a *App) Service() *Service { return a.service }

// maxWords bounds what a person says, in characters: a reason is a sentence or two.
const maxWords = 1000

// may refuses a person who has not the role for something, and words that nobody
// would read.
func may(who lifeline.Person, role lifeline.Role, what, words string) error {
	switch {
	case who.Name == "" || !who.Role.May(role):
		return &lifeline.Error{Code: lifeline.CodeRefused, Rule: lifeline.RuleRole,
			Message: fmt.Sprintf("%s needs the role %s", what, role), Hint: "ask somebody who has it, or who can give it to you"}
	case utf8.RuneCountInString(words) > maxWords:
		return &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("a reason of %d characters: at most %d are kept", utf8.RuneCountInString(words), maxWords)}
	}
	return nil
}

// said is what a person says, as the record keeps it.
func said(words string) string { return strings.ToValidUTF8(strings.TrimSpace(words), "\uFFFD") }

// Incidents gives a page of the incidents that a query chooses, newest first.
func (s *Service) Incidents(ctx context.Context, q lifeline.IncidentQuery) (lifeline.IncidentPage, error) {
	return s.store.FindIncidents(ctx, q)
}

// Case is an incident with everything on record about it. A unique beginning of
// the ID is enough, here and wherever an incident is named.
func (s *Service) Case(ctx context.Context, id string) (lifeline.CaseFile, error) {
	return s.records.Case(ctx, id)
}

// CaseMarkdown is the case as a person takes it over.
func (s *Service) CaseMarkdown(ctx context.Context, id string) (string, error) {
	c, err := s.Case(ctx, id)
	if err != nil {
		return "", err
	}
	return caseMarkdown(c), nil
}

func caseMarkdown(c lifeline.CaseFile) string {
	return timeline.CaseMarkdown(c.Incident, c.Alerts, c.Events, c.Commands) + timeline.UsageMarkdown(c.Usage)
}

// eventsMost bounds a page of events.
const eventsMost = 1000

// Events lists at most limit events after a Seq, in order: those of one incident,
// or of all for "". A limit of 0 is 1000, which is the most.
func (s *Service) Events(ctx context.Context, incidentID string, after int64, limit int) ([]lifeline.Event, error) {
	switch {
	case limit == 0:
		limit = eventsMost
	case limit < 0 || limit > eventsMost:
		return nil, &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("%d events at once: want 1 to %d", limit, eventsMost)}
	}
	id, err := s.fullID(ctx, incidentID)
	if err != nil {
		return nil, err
	}
	return s.store.EventsPage(ctx, id, after, limit)
}

// fullID finds the incident that a beginning of an ID names; "" stays "".
func (s *Service) fullID(ctx context.Context, id string) (string, error) {
	if id == "" {
		return "", nil
	}
	inc, err := s.store.Incident(ctx, id)
	return inc.ID, err
}

// Approvals lists what a person can decide about now, or every approval there
// ever was, in the order in which they were asked for.
func (s *Service) Approvals(ctx context.Context, all bool) ([]lifeline.Approval, error) {
	if all {
		return s.store.Approvals(ctx, "")
	}
	return s.store.WaitingApprovals(ctx)
}

// Approval finds one approval; a unique beginning of its ID is enough.
func (s *Service) Approval(ctx context.Context, id string) (lifeline.Approval, error) {
	return s.store.Approval(ctx, id)
}

// Decide takes a person's answer to an approval and gives the approval as it is
// then. An answer that is not taken is an error with lifeline.CodeRefused.
func (s *Service) Decide(ctx context.Context, who lifeline.Person, id string, approve bool, reason string) (lifeline.Approval, error) {
	if err := may(who, lifeline.RoleApprover, "deciding about a change", reason); err != nil {
		return lifeline.Approval{}, err
	}
	a, err := s.store.Approval(ctx, id)
	if err != nil {
		return a, err
	}
	return decide(ctx, s.store, s.cfg, a, approve, who.Actor(), said(reason))
}

// Status is where things stand.
func (s *Service) Status(ctx context.Context) (lifeline.Status, error) { return s.records.Status(ctx) }

// Pause turns the kill switch on; now ends the changes under way too.
func (s *Service) Pause(ctx context.Context, who lifeline.Person, reason string, now bool) (lifeline.Pause, error) {
	if err := may(who, lifeline.RoleAdmin, "turning the kill switch", reason); err != nil {
		return lifeline.Pause{}, err
	}
	return s.store.Pause(ctx, who.Actor(), said(reason), now)
}

// Resume turns the kill switch off and says what still pauses Lifeline, if
// something does.
func (s *Service) Resume(ctx context.Context, who lifeline.Person, reason string) (lifeline.Pause, error) {
	if err := may(who, lifeline.RoleAdmin, "turning the kill switch", reason); err != nil {
		return lifeline.Pause{}, err
	}
	return s.store.Resume(ctx, who.Actor(), said(reason))
}

// Statistics sum up the incidents that were opened from a time on until another;
// a zero time is no bound.
func (s *Service) Statistics(ctx context.Context, from, until time.Time) (lifeline.Statistics, error) {
	if !from.IsZero() && !until.IsZero() && !until.After(from) {
		return lifeline.Statistics{}, &lifeline.Error{Code: lifeline.CodeUsage,
			Message: fmt.Sprintf("from %s until %s: the end has to be after the beginning", from.Format(time.RFC3339), until.Format(time.RFC3339))}
	}
	return s.store.Statistics(ctx, from, until)
}

// Audit is the end of a verification of the record that is at most a minute old.
func (s *Service) Audit(ctx context.Context) (lifeline.AuditView, error) { return s.audit.look(ctx) }

// Maintenances lists the windows that are in force or yet to come, or all that
// ever were.
func (s *Service) Maintenances(ctx context.Context, all bool) ([]lifeline.Maintenance, error) {
	return s.store.Maintenances(ctx, all)
}

// AddMaintenance puts a window on record: see lifeline.Maintenance. A From that is
// zero is now.
func (s *Service) AddMaintenance(ctx context.Context, who lifeline.Person, m lifeline.Maintenance) (lifeline.Maintenance, error) {
	if err := may(who, lifeline.RoleAdmin, "adding a maintenance window", m.Reason); err != nil {
		return lifeline.Maintenance{}, err
	}
	m.By, m.Reason, m.ExternalID = who.Actor(), said(m.Reason), ""
	return s.records.AddMaintenance(ctx, m)
}

// EndMaintenance ends a window before its time; a unique beginning of its ID is
// enough.
func (s *Service) EndMaintenance(ctx context.Context, who lifeline.Person, id string) (lifeline.Maintenance, error) {
	if err := may(who, lifeline.RoleAdmin, "ending a maintenance window", ""); err != nil {
		return lifeline.Maintenance{}, err
	}
	return s.store.EndMaintenance(ctx, id, who.Actor())
}
