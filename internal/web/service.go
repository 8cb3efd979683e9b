package web

import (
	"context"
	"iter"
	"time"

	"lifeline"
)

// Service is what the pages stand on: all that they show, and all that a person
// does on them. It checks a person's role itself as well.
type Service interface {
	Incidents
	Live
	Actions
	Approvals
	Fleet
	Record
}

// Incidents are the cases, open and ended.
type Incidents interface {
	Incidents(ctx context.Context, q lifeline.IncidentQuery) (lifeline.IncidentPage, error)
	// Case is an error with lifeline.CodeNotFound if there is no such incident.
	Case(ctx context.Context, id string) (lifeline.CaseFile, error)
	CaseMarkdown(ctx context.Context, id string) (string, error)
	// ExplainIncident says in sentences why the incident stands where it does.
	ExplainIncident(ctx context.Context, id string) (string, error)
	Statistics(ctx context.Context, from, until time.Time) (lifeline.Statistics, error)
}

// Live is the timeline as it grows. An incidentID of "" means all.
type Live interface {
	// Follow gives every event stored after one, and then each as it comes, until
	// the context ends.
	Follow(ctx context.Context, incidentID string, after int64) iter.Seq2[lifeline.Event, error]
	// Events gives those stored after one, oldest first, at most limit.
	Events(ctx context.Context, incidentID string, after int64, limit int) ([]lifeline.Event, error)
}

// Actions are what a person does about incidents and about Lifeline.
type Actions interface {
	// Retry gives the incident that takes the place of the one that is tried again.
	Retry(ctx context.Context, who lifeline.Person, id string) (lifeline.Incident, error)
	HandOver(ctx context.Context, who lifeline.Person, id, reason string) (lifeline.Incident, error)
	Close(ctx context.Context, who lifeline.Person, id, reason string) (lifeline.Incident, error)
	Pause(ctx context.Context, who lifeline.Person, reason string, now bool) (lifeline.Pause, error)
	Resume(ctx context.Context, who lifeline.Person, reason string) (lifeline.Pause, error)
}

// Approvals are the questions to people.
type Approvals interface {
	// Approvals lists those that wait for an answer, or all.
	Approvals(ctx context.Context, all bool) ([]lifeline.Approval, error)
	Approval(ctx context.Context, id string) (lifeline.Approval, error)
	// Decide takes an answer. One that is not taken is an error with
	// lifeline.CodeRefused.
	Decide(ctx context.Context, who lifeline.Person, id string, approve bool, reason string) (lifeline.Approval, error)
}

// Fleet are the hosts and what may run on them.
type Fleet interface {
	Hosts(ctx context.Context) ([]lifeline.HostView, error)
	Host(ctx context.Context, name string) (lifeline.HostView, error)
	Policy(ctx context.Context, host string) (lifeline.PolicyView, error)
	Explain(ctx context.Context, host string, mode lifeline.Mode, command string) (lifeline.Explanation, error)
	Status(ctx context.Context) (lifeline.Status, error)
}

// Record verifies what is on record.
type Record interface {
	Audit(ctx context.Context) (lifeline.AuditView, error)
}
