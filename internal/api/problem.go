package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"lifeline"
	"lifeline/internal/escape"
)

// Problem is how every error is answered: a problem document (RFC 9457).
type Problem struct {
	Type   string `json:"type" doc:"always about:blank: Code says what it is"`
	Title  string `json:"title" doc:"the status in words"`
	Status int    `json:"status"`
	// Detail is one sentence for a person.
	Detail string `json:"detail" doc:"what happened, in a sentence"`
	Code   string `json:"code" doc:"the cause, for programs: docs/api.md lists them"`
	// Rule names what refused, if Code is "refused".
	Rule string `json:"rule,omitempty" doc:"what refused, if the code is refused"`
	// Next is what to type or to change next.
	Next   string  `json:"next,omitempty" doc:"what to type or to change next"`
	Errors []Wrong `json:"errors,omitempty" doc:"what is wrong with the request, part by part"`
}

// Wrong is one part of a request that is not as it has to be.
type Wrong struct {
	Where string `json:"where" doc:"body.reason, query.limit, path.id"`
	What  string `json:"what"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// whole fills in what follows from the status.
func (p *Problem) whole() *Problem {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	return p
}

// statusOf is the HTTP status for a cause.
func statusOf(e *lifeline.Error) int {
	switch e.Code {
	case lifeline.CodeNotFound:
		return http.StatusNotFound
	case lifeline.CodeUsage:
		return http.StatusUnprocessableEntity
	case lifeline.CodeRefused:
		if e.Rule == lifeline.RuleRole {
			return http.StatusForbidden
		}
		return http.StatusConflict
	case lifeline.CodeWaits, lifeline.CodeFailed, lifeline.CodeUnknown:
		return http.StatusConflict
	case lifeline.CodeStore, lifeline.CodeFenced:
		return http.StatusServiceUnavailable
	case lifeline.CodeTimeout:
		return http.StatusGatewayTimeout
	case lifeline.CodeUnreachable, lifeline.CodeHostKey, lifeline.CodeAuth:
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}

// problem is an error of the service as it is answered. What is Lifeline's own
// affair is logged, once, and not told.
func (s *server) problem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p.whole()
	}
	e, ok := errors.AsType[*lifeline.Error](err)
	if !ok {
		e = &lifeline.Error{Code: lifeline.CodeInternal, Err: err}
	}
	p := &Problem{Status: statusOf(e), Detail: err.Error(), Code: string(e.Code), Rule: e.Rule, Next: e.Hint}
	switch {
	case p.Status == http.StatusServiceUnavailable:
		p.Detail, p.Next = e.Message+": the record cannot be read or written now", "try again; the log of lifeline serve names the cause"
	case p.Status >= http.StatusInternalServerError:
		p.Detail, p.Next = "Lifeline itself has failed", "the log of lifeline serve names the cause"
	}
	if p.Status >= http.StatusInternalServerError {
		s.Logger.Error("request_failed", "code", p.Code, "error", err)
	}
	return p.whole()
}

// write answers with a problem outside of huma.
func (s *server) write(w http.ResponseWriter, p *Problem) {
	body, err := encode(p.whole())
	if err != nil {
		s.Logger.Error("problem_not_encoded", "error", err)
	}
	w.Header().Set("Content-Type", problemType)
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="lifeline"`)
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // whoever is gone needs no answer
}

// asProblem turns what huma says about a request into a Problem.
func asProblem(_ huma.Context, status string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := &Problem{Status: m.Status, Detail: m.Detail, Code: "invalid", Next: Prefix + "/openapi.json describes what is wanted"}
	if p.Status == 0 {
		p.Status, _ = strconv.Atoi(status)
	}
	if p.Status >= http.StatusInternalServerError {
		p.Code = string(lifeline.CodeInternal)
	}
	for _, e := range m.Errors {
		p.Errors = append(p.Errors, Wrong{Where: e.Location, What: e.Message})
	}
	if p.Detail == "validation failed" {
		p.Detail = "the request is not as it has to be"
		if len(p.Errors) > 0 {
			p.Detail += fmt.Sprintf(": %s: %s", p.Errors[0].Where, p.Errors[0].What)
		}
	}
	return p.whole(), nil
}

// encode gives JSON in which no character is that a terminal or a page would obey.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return escape.JSON(b.Bytes()), nil
}

func jsonFormat() huma.Format {
	return huma.Format{
		Marshal: func(w io.Writer, v any) error {
			body, err := encode(v)
			if err == nil {
				_, err = w.Write(body)
			}
			return err
		},
		Unmarshal: json.Unmarshal,
	}
}
