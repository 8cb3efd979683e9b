package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"lifeline"
)

// hostList are the configured hosts by name.
type hostList struct {
	Hosts []lifeline.HostView `json:"hosts"`
}

// question is a command that is to be explained.
type question struct {
	Command string `json:"command" minLength:"1" maxLength:"102400"`
	Host    string `json:"host,omitempty" doc:"judge as on this host; one of host and mode is needed"`
	Mode    string `json:"mode,omitempty" enum:"observe,suggest,auto" doc:"judge as in this mode, whatever the host's is"`
}

func (s *server) hostOperations(api huma.API) {
	register(s, api, operation{method: http.MethodGet, path: "/hosts", id: "list-hosts", tag: "hosts", role: lifeline.RoleViewer,
		summary: "The configured hosts as they are now", more: "Connections are those of the node that answers."},
		func(ctx context.Context, _ lifeline.Person, _ *nothing) (*answer[hostList], error) {
			list, err := s.Service.Hosts(ctx)
			return with(hostList{list}, err)
		})
	type byName struct {
		Name string `path:"name" maxLength:"255" doc:"the host's name in the configuration"`
	}
	register(s, api, operation{method: http.MethodGet, path: "/hosts/{name}", id: "get-host", tag: "hosts", role: lifeline.RoleViewer,
		summary: "One host, with its newest commands and its last hours"},
		func(ctx context.Context, _ lifeline.Person, in *byName) (*answer[lifeline.HostView], error) {
			return with(s.Service.Host(ctx, in.Name))
		})
	type ofHost struct {
		Host string `path:"host" maxLength:"255" doc:"the host's name in the configuration"`
	}
	register(s, api, operation{method: http.MethodGet, path: "/policy/{host}", id: "get-policy", tag: "policy", role: lifeline.RoleViewer,
		summary: "The policy in force on a host"},
		func(ctx context.Context, _ lifeline.Person, in *ofHost) (*answer[lifeline.PolicyView], error) {
			return with(s.Service.Policy(ctx, in.Host))
		})
	type asking struct{ Body question }
	register(s, api, operation{method: http.MethodPost, path: "/policy/explain", id: "explain-policy", tag: "policy", role: lifeline.RoleViewer,
		summary: "What the policy makes of a command", more: "The command is judged and not run."},
		func(ctx context.Context, _ lifeline.Person, in *asking) (*answer[lifeline.Explanation], error) {
			return with(s.Service.Explain(ctx, in.Body.Host, lifeline.Mode(in.Body.Mode), in.Body.Command))
		})
}
