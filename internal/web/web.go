// Package web serves the pages that a person opens in a browser: what is the
// matter now, each incident as it is worked, questions to people, hosts, policy
// and history; and the page on which the signed link of a message lets whoever
// holds it decide about one approval, and nothing else.
//
//	pages, err := web.Handler(web.Config{Desk: desk, Service: service, PersonOf: access.PersonOf, Logger: log})
//	mux.Handle("/", access.Require(lifeline.RoleViewer, pages))
//	mux.Handle("/approve/", pages)
//	mux.Handle("/static/", pages)
//	server.RegisterOnShutdown(pages.Close)
//
// What it guarantees: opening a page changes nothing, since chats open links by
// themselves to show a preview; text from outside is shown and never obeyed;
// every page can be read and used without scripts, and runs none but the one
// that keeps it up to date; a link that is wrong, used or too old is answered
// alike; without a person who may, nothing is shown and nothing is done.
//
// What it does not do: it signs nobody in. PersonOf says who asks.
package web

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"lifeline"
)

//go:embed templates/*.html static/*
var files embed.FS

// Desk is where approvals are looked up and decided about by link.
type Desk interface {
	// ByToken finds the approval that a link's token is for, and its incident. A
	// token that is not valid is an error with lifeline.CodeRefused.
	ByToken(ctx context.Context, token string) (lifeline.Approval, lifeline.Incident, error)
	// Decide takes the answer of whoever holds the link. One that is not taken is
	// an error with lifeline.CodeRefused.
	Decide(ctx context.Context, token string, approve bool, by, reason string) (lifeline.Approval, error)
}

// Config of the pages. Desk is required.
type Config struct {
	Desk Desk
	// Service is what all pages but that of a link stand on; nil: they are not
	// served.
	Service Service
	// PersonOf says who asks; required with Service. Whoever is nobody, or has no
	// role, sees nothing.
	PersonOf func(context.Context) (lifeline.Person, bool)
	Logger   *slog.Logger
}

// server holds what all pages share.
type server struct {
	Config
	pages *template.Template
	limit *limiter
	now   func() time.Time
	head  head
	steps *lastSteps
	// closing is closed when the streams have to end.
	closing chan struct{}
}

// Pages is the handler of all pages.
type Pages struct {
	http.Handler
	close func()
}

// Close ends the streams of live pages, which would otherwise stay open as long
// as their readers. It is idempotent.
func (p *Pages) Close() { p.close() }

// Handler serves /approve/ and /static/, and with a Service everything else that
// a browser opens.
func Handler(cfg Config) (*Pages, error) {
	switch {
	case cfg.Desk == nil:
		return nil, errors.New("web: Config.Desk is not set")
	case cfg.Service != nil && cfg.PersonOf == nil:
		return nil, errors.New("web: Config.PersonOf is not set: without it nobody may see anything")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	pages, err := template.New("").Funcs(functions()).ParseFS(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	s := &server{Config: cfg, pages: pages, limit: newLimiter(time.Now), now: time.Now, steps: newLastSteps(), closing: make(chan struct{})}
	mux := http.NewServeMux()
	mux.Handle("GET /approve/{token}", s.limited(s.question))
	mux.Handle("POST /approve/{token}", s.limited(s.answer))
	mux.HandleFunc("GET /static/{name}", static)
	if cfg.Service != nil {
		s.routes(mux)
	}
	end := sync.OnceFunc(func() { close(s.closing) })
	return &Pages{Handler: secured(http.NewCrossOriginProtection().Handler(mux)), close: end}, nil
}

// routes are the pages of people who are signed in, each with the role that it
// needs.
func (s *server) routes(mux *http.ServeMux) {
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /{$}":                   s.nowPage,
		"GET /incidents/{id}":        s.incidentPage,
		"GET /incidents/{id}/replay": s.replayPage,
		"GET /approvals":             s.approvalsPage,
		"GET /approvals/{id}":        s.approvalPage,
		"GET /hosts":                 s.hostsPage,
		"GET /hosts/{name}":          s.hostPage,
		"GET /policy":                s.policyPage,
		"GET /history":               s.historyPage,
		"GET /live":                  s.live,
		"GET /":                      s.nothingHere,
	} {
		mux.Handle(pattern, s.needs(lifeline.RoleViewer, h))
	}
	for pattern, h := range map[string]http.HandlerFunc{
		"POST /approvals/{id}":          s.decide,
		"POST /incidents/{id}/retry":    s.retry,
		"POST /incidents/{id}/handover": s.withReason("hand over", s.Service.HandOver),
		"POST /incidents/{id}/close":    s.withReason("close", s.Service.Close),
	} {
		mux.Handle(pattern, s.needs(lifeline.RoleApprover, h))
	}
	mux.Handle("POST /pause", s.needs(lifeline.RoleAdmin, s.pause))
	mux.Handle("POST /resume", s.needs(lifeline.RoleAdmin, s.resume))
}

// static serves the style, the script and the icon.
func static(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if name != "style.css" && name != "live.js" && name != "icon.svg" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "max-age=3600")
	http.ServeFileFS(w, r, files, "static/"+name)
}

// policy is the Content-Security-Policy of every answer.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// linkPolicy is that of the page of a link, which needs no script.
const linkPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// secured sets what every answer has. The referrer stays within Lifeline and is
// not left out altogether: browsers would then send the form without its origin,
// and it could not be told from one of another site.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Robots-Tag", "noindex, nofollow")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// limited bounds how often one address may ask about links, and lets their page
// run nothing at all.
func (s *server) limited(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", linkPolicy)
		if !s.limit.allows(r.RemoteAddr) {
			w.Header().Set("Retry-After", "60")
			http.Error(w, "Too many requests: try again in a minute.", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// render writes a whole template or, after an error, none of it.
func (s *server) render(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, data); err != nil {
		s.Logger.Error("page_not_rendered", "page", name, "error", err)
		http.Error(w, "This page cannot be shown. The log of lifeline serve names the cause.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // a reader that is gone needs no page
}
