package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lifeline"
)

// incidentQuery is lifeline.IncidentQuery as it stands in an address.
type incidentQuery struct {
	State []string  `query:"state" enum:"open,investigating,awaiting_approval,acting,verifying,resolved,escalated,superseded" doc:"one or more, with commas between"`
	Host  string    `query:"host"`
	Thing string    `query:"thing" doc:"the name of a container, unit or mount point"`
	Alert string    `query:"alert" doc:"the alert's name"`
	Text  string    `query:"text" maxLength:"200" doc:"is looked for in the alert's name, the summary, the reason, the host and the thing"`
	From  time.Time `query:"from" doc:"opened then or later"`
	Until time.Time `query:"until" doc:"opened before"`
	After string    `query:"after" maxLength:"200" doc:"next of the page before"`
	Limit int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

// explained is why an incident stands where it does.
type explained struct {
	ID   string `json:"id"`
	Text string `json:"text" doc:"sentences for a person"`
}

// markdown is a case to hand over.
type markdown struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (s *server) incidentOperations(api huma.API) {
	const tag = "incidents"
	register(s, api, operation{method: http.MethodGet, path: "/incidents", id: "list-incidents", tag: tag, role: lifeline.RoleViewer,
		summary: "List incidents, newest first", more: "A page that has a next is not the last one: give it as after."},
		func(ctx context.Context, _ lifeline.Person, in *incidentQuery) (*answer[lifeline.IncidentPage], error) {
			q := lifeline.IncidentQuery{Host: in.Host, Thing: in.Thing, Alert: in.Alert, Text: in.Text, From: in.From, Until: in.Until, After: in.After, Limit: in.Limit}
			for _, state := range in.State {
				q.States = append(q.States, lifeline.State(state))
			}
			return with(s.Service.Incidents(ctx, q))
		})
	register(s, api, operation{method: http.MethodGet, path: "/incidents/{id}", id: "get-incident", tag: tag, role: lifeline.RoleViewer,
		summary: "An incident with everything on record about it", more: "Outputs of commands are base64."},
		func(ctx context.Context, _ lifeline.Person, in *named) (*answer[lifeline.CaseFile], error) {
			return with(s.Service.Case(ctx, in.ID))
		})
	register(s, api, operation{method: http.MethodGet, path: "/incidents/{id}/markdown", id: "get-incident-markdown", tag: tag, role: lifeline.RoleViewer,
		summary:   "The case as Markdown, to hand over",
		responses: map[string]*huma.Response{"200": {Description: "the case", Content: map[string]*huma.MediaType{"text/markdown": {Schema: &huma.Schema{Type: huma.TypeString}}}}}},
		func(ctx context.Context, _ lifeline.Person, in *named) (*markdown, error) {
			text, err := s.Service.CaseMarkdown(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return &markdown{"text/markdown; charset=utf-8", []byte(text)}, nil
		})
	register(s, api, operation{method: http.MethodGet, path: "/incidents/{id}/explain", id: "explain-incident", tag: tag, role: lifeline.RoleViewer,
		summary: "Why an incident stands where it does, in sentences"},
		func(ctx context.Context, _ lifeline.Person, in *named) (*answer[explained], error) {
			text, err := s.Service.ExplainIncident(ctx, in.ID)
			return with(explained{in.ID, text}, err)
		})
	register(s, api, operation{method: http.MethodPost, path: "/incidents/{id}/retry", id: "retry-incident", tag: tag, role: lifeline.RoleApprover,
		summary: "Try an escalated incident again whose alert still fires",
		more:    "The answer is the new incident that takes its place. The bounds on changes hold as before."},
		func(ctx context.Context, who lifeline.Person, in *named) (*answer[lifeline.Incident], error) {
			return with(s.Service.Retry(ctx, who, in.ID))
		})
	type withReason struct {
		ID   string `path:"id" maxLength:"64" doc:"the identifier, or a beginning that only it has"`
		Body *reasoned
	}
	register(s, api, operation{method: http.MethodPost, path: "/incidents/{id}/handover", id: "hand-over-incident", tag: tag, role: lifeline.RoleApprover,
		summary: "Take over an incident that is being worked", more: "It is escalated at once, and no change is let through for it any more."},
		func(ctx context.Context, who lifeline.Person, in *withReason) (*answer[lifeline.Incident], error) {
			return with(s.Service.HandOver(ctx, who, in.ID, in.Body.reason()))
		})
	register(s, api, operation{method: http.MethodPost, path: "/incidents/{id}/close", id: "close-incident", tag: tag, role: lifeline.RoleApprover,
		summary: "Say that an escalated incident is dealt with", more: "It takes no alerts any more: the next one about the same thing opens a new incident."},
		func(ctx context.Context, who lifeline.Person, in *withReason) (*answer[lifeline.Incident], error) {
			return with(s.Service.Close(ctx, who, in.ID, in.Body.reason()))
		})
}
