package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lifeline"
)

func (s *server) recordOperations(api huma.API) {
	type within struct {
		From  time.Time `query:"from" doc:"opened then or later"`
		Until time.Time `query:"until" doc:"opened before"`
	}
	register(s, api, operation{method: http.MethodGet, path: "/statistics", id: "get-statistics", tag: "record", role: lifeline.RoleViewer,
		summary: "What became of the incidents of a time", more: "Without from and until, of all."},
		func(ctx context.Context, _ lifeline.Person, in *within) (*answer[lifeline.Statistics], error) {
			return with(s.Service.Statistics(ctx, in.From, in.Until))
		})
	register(s, api, operation{method: http.MethodGet, path: "/audit", id: "get-audit", tag: "record", role: lifeline.RoleViewer,
		summary: "Whether the record is what Lifeline wrote", more: "The verification is at most a minute old."},
		func(ctx context.Context, _ lifeline.Person, _ *nothing) (*answer[lifeline.AuditView], error) {
			return with(s.Service.Audit(ctx))
		})
}
