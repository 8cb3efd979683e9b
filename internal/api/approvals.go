package api

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"lifeline"
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// approvalList are approvals in the order in which they were asked for.
type approvalList struct {
	Approvals []lifeline.Approval `json:"approvals"`
}

// everything is an input that may ask for what is over too.
type everything struct {
	All bool `query:"all" doc:"what is decided or over, too"`
}

// decision is a person's answer.
type decision struct {
	Decision string `json:"decision" enum:"approve,deny"`
	Reason   string `json:"reason,omitempty" maxLength:"1000" doc:"why, for the record and for the responder"`
}

func (s *server) approvalOperations(api huma.API) {
	const tag = "approvals"
	register(s, api, operation{method: http.MethodGet, path: "/approvals", id: "list-approvals", tag: tag, role: lifeline.RoleViewer,
		summary: "The changes that wait for a person"},
		func(ctx context.Context, _ lifeline.Person, in *everything) (*answer[approvalList], error) {
			list, err := s.Service.Approvals(ctx, in.All)
			return with(approvalList{list}, err)
		})
	register(s, api, operation{method: http.MethodGet, path: "/approvals/{id}", id: "get-approval", tag: tag, role: lifeline.RoleViewer,
		summary: "One approval, with the whole command that would run"},
		func(ctx context.Context, _ lifeline.Person, in *named) (*answer[lifeline.Approval], error) {
			return with(s.Service.Approval(ctx, in.ID))
		})
	type deciding struct {
		ID   string `path:"id" maxLength:"64" doc:"the identifier, or a beginning that only it has"`
		Body decision
	}
	register(s, api, operation{method: http.MethodPost, path: "/approvals/{id}", id: "decide-approval", tag: tag, role: lifeline.RoleApprover,
		summary: "Let a waiting change run, once, or refuse it",
		more:    "An answer that comes late, twice, after the alert resolved, or after the host or the policy was changed is refused with status 409, and on record."},
		func(ctx context.Context, who lifeline.Person, in *deciding) (*answer[lifeline.Approval], error) {
			return with(s.Service.Decide(ctx, who, in.ID, in.Body.Decision == "approve", in.Body.Reason))
		})
}
