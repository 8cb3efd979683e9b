// Package web serves the pages that a person opens in a browser: so far the page
// on which the signed link of a message lets whoever holds it decide about one
// approval, and nothing else.
//
//	pages, err := web.Handler(web.Config{Desk: desk, Logger: log})
//	mux.Handle("/approve/", pages)
//	mux.Handle("/static/", pages)
//
// What it guarantees: opening a page changes nothing, since chats open links by
// themselves to show a preview; text from outside is shown and never obeyed; a
// page works without scripts and may run none; a link that is wrong, used or too
// old is answered alike.
package web

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"lifeline"
	"lifeline/internal/escape"
)

//go:embed templates/*.html static/*
var files embed.FS

// Desk is where approvals are looked up and decided about.
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
	Desk   Desk
	Logger *slog.Logger
}

// server holds what all pages share.
type server struct {
	Config
	pages *template.Template
	limit *limiter
}

// Handler serves /approve/ and /static/.
func Handler(cfg Config) (http.Handler, error) {
	if cfg.Desk == nil {
		return nil, errors.New("web: Config.Desk is not set")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	pages, err := template.New("").Funcs(template.FuncMap{"line": escape.Line, "utc": utc}).ParseFS(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	s := &server{Config: cfg, pages: pages, limit: newLimiter(time.Now)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /approve/{token}", s.question)
	mux.HandleFunc("POST /approve/{token}", s.answer)
	mux.HandleFunc("GET /static/style.css", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		http.ServeFileFS(w, r, files, "static/style.css")
	})
	return s.limited(secured(http.NewCrossOriginProtection().Handler(mux))), nil
}

// secured sets what every answer has. The referrer stays within Lifeline and is
// not left out altogether: browsers would then send the form without its origin,
// and it could not be told from one of another site.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Robots-Tag", "noindex, nofollow")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// limited bounds how often one address may ask.
func (s *server) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.limit.allows(r.RemoteAddr) {
			w.Header().Set("Retry-After", "60")
			http.Error(w, "Too many requests: try again in a minute.", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// render writes a whole page or, after an error, none of it.
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

func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
