// Package api serves /api/v1: what people and programs ask Lifeline and tell it,
// as JSON with an OpenAPI 3.1 document at /api/v1/openapi.json. docs/api.md has
// examples.
//
//	h, err := api.Handler(api.Config{Service: service, Answers: store, PersonOf: access.PersonOf, Version: v, Logger: log})
//	mux.Handle("/api/v1/", h)
//
// What it guarantees: nothing but the document itself is answered without a person;
// each operation needs its role; bodies are bounded; every error is a problem
// document (RFC 9457) that says what to do next; a request of another site's page is
// refused; a post that names itself with Idempotency-Key is done once; a stream of
// events has none missing and none twice.
//
// It does not find out who somebody is: that is in the request's context already.
package api

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"lifeline"
)

// Prefix of every path.
const Prefix = "/api/v1"

// Service answers. *app.Service is one.
type Service interface {
	Incidents
	Timeline
	Work
	Approvals
	Switch
	Hosts
	Record
	Windows
}

// Incidents are what is on record about incidents. A unique beginning of an ID is
// enough, here and below.
type Incidents interface {
	Incidents(ctx context.Context, q lifeline.IncidentQuery) (lifeline.IncidentPage, error)
	Case(ctx context.Context, id string) (lifeline.CaseFile, error)
	CaseMarkdown(ctx context.Context, id string) (string, error)
	// ExplainIncident says in sentences why an incident stands where it does.
	ExplainIncident(ctx context.Context, id string) (string, error)
}

// Timeline is what happened; the incident "" means all.
type Timeline interface {
	Events(ctx context.Context, incidentID string, after int64, limit int) ([]lifeline.Event, error)
	// Follow gives the events after a Seq and then those to come, until ctx ends.
	Follow(ctx context.Context, incidentID string, after int64) iter.Seq2[lifeline.Event, error]
}

// Work is what a person does with an incident.
type Work interface {
	Retry(ctx context.Context, who lifeline.Person, id string) (lifeline.Incident, error)
	HandOver(ctx context.Context, who lifeline.Person, id, reason string) (lifeline.Incident, error)
	Close(ctx context.Context, who lifeline.Person, id, reason string) (lifeline.Incident, error)
}

// Approvals are the questions to a person.
type Approvals interface {
	Approvals(ctx context.Context, all bool) ([]lifeline.Approval, error)
	Approval(ctx context.Context, id string) (lifeline.Approval, error)
	Decide(ctx context.Context, who lifeline.Person, id string, approve bool, reason string) (lifeline.Approval, error)
}

// Switch is the kill switch, and where things stand.
type Switch interface {
	Status(ctx context.Context) (lifeline.Status, error)
	Pause(ctx context.Context, who lifeline.Person, reason string, now bool) (lifeline.Pause, error)
	Resume(ctx context.Context, who lifeline.Person, reason string) (lifeline.Pause, error)
}

// Hosts are the machines and what may be done on them.
type Hosts interface {
	Hosts(ctx context.Context) ([]lifeline.HostView, error)
	Host(ctx context.Context, name string) (lifeline.HostView, error)
	Policy(ctx context.Context, host string) (lifeline.PolicyView, error)
	Explain(ctx context.Context, host string, mode lifeline.Mode, command string) (lifeline.Explanation, error)
}

// Record is the record as a whole.
type Record interface {
	Statistics(ctx context.Context, from, until time.Time) (lifeline.Statistics, error)
	Audit(ctx context.Context) (lifeline.AuditView, error)
}

// Windows are the maintenance windows.
type Windows interface {
	Maintenances(ctx context.Context, all bool) ([]lifeline.Maintenance, error)
	AddMaintenance(ctx context.Context, who lifeline.Person, m lifeline.Maintenance) (lifeline.Maintenance, error)
	EndMaintenance(ctx context.Context, who lifeline.Person, id string) (lifeline.Maintenance, error)
}

// Config of the API. Service, Answers and PersonOf are required.
type Config struct {
	Service Service
	Answers Answers
	// PersonOf says who asks, as it was found out before; false: nobody who is
	// known.
	PersonOf func(context.Context) (lifeline.Person, bool)
	Version  string
	Logger   *slog.Logger
	// KeepAlive is how often a silent stream of events is written to; 0: 15 s.
	KeepAlive time.Duration
	// StreamMost is how long a stream lasts, so that whoever follows has to be
	// known again; 0: 15 min.
	StreamMost time.Duration
}

// server is what all operations share.
type server struct {
	Config
	streams chan struct{} // a place for each stream of events
}

// streamsMost is how many streams of events there may be at the same time.
const streamsMost = 1000

// Handler serves everything below Prefix.
func Handler(cfg Config) (http.Handler, error) {
	switch {
	case cfg.Service == nil:
		return nil, errors.New("api: Config.Service is not set")
	case cfg.Answers == nil:
		return nil, errors.New("api: Config.Answers is not set")
	case cfg.PersonOf == nil:
		return nil, errors.New("api: Config.PersonOf is not set")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.KeepAlive <= 0 {
		cfg.KeepAlive = 15 * time.Second
	}
	if cfg.StreamMost <= 0 {
		cfg.StreamMost = 15 * time.Minute
	}
	s := &server{Config: cfg, streams: make(chan struct{}, streamsMost)}
	mux := http.NewServeMux()
	s.operations(mux)
	mux.HandleFunc(Prefix+"/", func(w http.ResponseWriter, r *http.Request) {
		s.write(w, &Problem{Status: http.StatusNotFound, Code: string(lifeline.CodeNotFound),
			Detail: "there is nothing at this address for " + r.Method, Next: Prefix + "/openapi.json lists what there is"})
	})
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.write(w, &Problem{Status: http.StatusForbidden, Code: string(lifeline.CodeRefused), Detail: "the request comes from a page of another site"})
	}))
	return secured(guard.Handler(s.idempotent(mux))), nil
}

// secured sets what every answer has.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// Document is the OpenAPI document, as JSON, for a version of Lifeline.
func Document(version string) ([]byte, error) {
	s := &server{Config: Config{Version: version}}
	return encode(s.operations(http.NewServeMux()).OpenAPI())
}

// operations registers every operation.
func (s *server) operations(mux *http.ServeMux) huma.API {
	cfg := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "Lifeline", Version: s.Version,
				Description: "Durations are in nanoseconds (fields that end in _ns) and times in RFC 3339. An identifier may be shortened to a beginning that only it has."},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer", Description: "a token of lifeline token"}},
			},
			Security: []map[string][]string{{"token": {}}},
		},
		OpenAPIPath: Prefix + "/openapi",
		Formats:     map[string]huma.Format{"application/json": jsonFormat(), "json": jsonFormat()},
		// What is asked for and not known would be left out silently.
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{asProblem},
		DefaultFormat:                "application/json",
	}
	api := humago.New(mux, cfg)
	s.incidentOperations(api)
	s.eventOperations(api)
	s.approvalOperations(api)
	s.controlOperations(api)
	s.hostOperations(api)
	s.recordOperations(api)
	s.maintenanceOperations(api)
	// What huma names for errors of its own is written as a Problem: see asProblem.
	schemas := api.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	return api
}
