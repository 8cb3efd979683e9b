package api

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"lifeline"
)

// bodyMost bounds what is posted, in bytes. The longest is a command that is to be
// explained.
const bodyMost = 256 << 10

// operation is one method at one path.
type operation struct {
	method, path, id string
	summary          string
	// more says what the summary does not.
	more string
	role lifeline.Role
	tag  string
	// status of a good answer; 0: 200.
	status int
	// responses are documented besides what follows from the output's type.
	responses map[string]*huma.Response
}

// answer is an output with a body.
type answer[T any] struct{ Body T }

// register adds an operation. The handler is given who asks.
func register[I, O any](s *server, api huma.API, op operation, handler func(context.Context, lifeline.Person, *I) (*O, error)) {
	problems := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "")
	responses := map[string]*huma.Response{"default": {Description: "Error", Content: map[string]*huma.MediaType{problemType: {Schema: problems}}}}
	for status, r := range op.responses {
		responses[status] = r
	}
	description := "Needs the role " + string(op.role) + "."
	if op.more != "" {
		description = op.more + " " + description
	}
	if op.method == http.MethodPost || op.method == http.MethodDelete {
		description += " With the header Idempotency-Key the same request again is answered alike, and done once."
	}
	huma.Register(api, huma.Operation{
		OperationID: op.id, Method: op.method, Path: Prefix + op.path, Summary: op.summary, Description: description, Tags: []string{op.tag},
		DefaultStatus: op.status, MaxBodyBytes: bodyMost, Responses: responses,
		Middlewares: huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
			if p := s.refusal(ctx.Context(), op.role); p != nil {
				_, w := humago.Unwrap(ctx)
				s.write(w, p)
				return
			}
			next(ctx)
		}},
	}, func(ctx context.Context, in *I) (*O, error) {
		who, known := s.PersonOf(ctx)
		if !known {
			return nil, unauthenticated().whole()
		}
		out, err := handler(ctx, who, in)
		if err != nil {
			return nil, s.problem(err)
		}
		return out, nil
	})
}

// refusal says why somebody may not do what needs a role; nil if they may.
func (s *server) refusal(ctx context.Context, role lifeline.Role) *Problem {
	who, known := s.PersonOf(ctx)
	switch {
	case !known:
		return unauthenticated()
	case !who.Role.May(role):
		return &Problem{Status: http.StatusForbidden, Code: string(lifeline.CodeRefused), Rule: lifeline.RuleRole,
			Detail: "this needs the role " + string(role) + ", and you have the role " + string(who.Role), Next: "ask somebody who can give it to you"}
	}
	return nil
}

func unauthenticated() *Problem {
	return &Problem{Status: http.StatusUnauthorized, Code: "unauthenticated", Detail: "it is not known who you are",
		Next: "send a token: Authorization: Bearer …"}
}

// with is the output that a service's answer makes.
func with[T any](v T, err error) (*answer[T], error) {
	if err != nil {
		return nil, err
	}
	return &answer[T]{v}, nil
}

// named is an input that names one thing. Inputs with more parts repeat it: huma does
// not look into types that other packages cannot see.
type named struct {
	ID string `path:"id" maxLength:"64" doc:"the identifier, or a beginning that only it has"`
}

// reasoned is a body that may say why.
type reasoned struct {
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"why, for the record"`
}

// reason is what a body says, if there is one.
func (r *reasoned) reason() string {
	if r == nil {
		return ""
	}
	return r.Reason
}
