package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"lifeline"
)

// nothing is an input without a part.
type nothing struct{}

// pausing says how Lifeline is paused.
type pausing struct {
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"why, for the record and for whoever is refused"`
	Now    bool   `json:"now,omitempty" doc:"end the changes that run already, too"`
}

// version is which Lifeline this is, and whom it takes you for.
type version struct {
	Version string          `json:"version"`
	You     lifeline.Person `json:"you" doc:"whom the request is from, and their role"`
}

func (s *server) controlOperations(api huma.API) {
	const tag = "control"
	register(s, api, operation{method: http.MethodGet, path: "/version", id: "get-version", tag: tag, role: lifeline.RoleViewer,
		summary: "Which Lifeline this is, and whom it takes you for"},
		func(_ context.Context, who lifeline.Person, _ *nothing) (*answer[version], error) {
			return &answer[version]{version{s.Version, who}}, nil
		})
	register(s, api, operation{method: http.MethodGet, path: "/status", id: "get-status", tag: tag, role: lifeline.RoleViewer,
		summary: "Where things stand"},
		func(ctx context.Context, _ lifeline.Person, _ *nothing) (*answer[lifeline.Status], error) {
			return with(s.Service.Status(ctx))
		})
	type withPausing struct{ Body *pausing }
	register(s, api, operation{method: http.MethodPost, path: "/pause", id: "pause", tag: tag, role: lifeline.RoleAdmin,
		summary: "The kill switch: from now on no change is made, on any host"},
		func(ctx context.Context, who lifeline.Person, in *withPausing) (*answer[lifeline.Pause], error) {
			var p pausing
			if in.Body != nil {
				p = *in.Body
			}
			return with(s.Service.Pause(ctx, who, p.Reason, p.Now))
		})
	type withReason struct{ Body *reasoned }
	register(s, api, operation{method: http.MethodPost, path: "/resume", id: "resume", tag: tag, role: lifeline.RoleAdmin,
		summary: "Let changes through again", more: "The answer says what still pauses Lifeline: a file is not Lifeline's to remove."},
		func(ctx context.Context, who lifeline.Person, in *withReason) (*answer[lifeline.Pause], error) {
			return with(s.Service.Resume(ctx, who, in.Body.reason()))
		})
}
