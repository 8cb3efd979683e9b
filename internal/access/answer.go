package access

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"strings"

	"lifeline/internal/escape"
)

//go:embed templates/*
var files embed.FS

func parsePages() (*template.Template, error) {
	return template.New("").Funcs(template.FuncMap{"line": escape.Line}).ParseFS(files, "templates/*.html")
}

// refusal is an answer that is not what was asked for.
type refusal struct {
	status int
	// text is a sentence, hint what to do next.
	text, hint string
}

// program reports whether no person reads the answer.
func program(r *http.Request) bool {
	if _, shown := bearer(r.Header); shown || strings.HasPrefix(r.URL.Path, "/api/") {
		return true
	}
	accept := strings.ToLower(strings.Join(r.Header.Values("Accept"), ","))
	if strings.Contains(accept, "text/html") {
		return false
	}
	return strings.Contains(accept, "json") || strings.Contains(accept, "text/event-stream")
}

// problem is a problem document of RFC 9457, with what to do next.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}

// refuse answers with a problem document or a page.
func (a *Access) refuse(w http.ResponseWriter, r *http.Request, no refusal) {
	if !program(r) {
		a.render(w, no.status, "message.html", messagePage{Title: http.StatusText(no.status), Text: no.text, Next: no.hint})
		return
	}
	body, err := json.Marshal(problem{Type: "about:blank", Title: http.StatusText(no.status), Status: no.status, Detail: no.text, Hint: no.hint})
	if err != nil {
		panic("access: a problem of our own cannot be encoded: " + err.Error())
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(no.status)
	_, _ = w.Write(escape.JSON(body)) // a reader that is gone needs no answer
}

// messagePage is what message.html shows.
type messagePage struct{ Title, Text, Next string }

// secure sets what every page has. See the same in internal/web.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// render writes a whole page or, after an error, none of it.
func (a *Access) render(w http.ResponseWriter, status int, name string, data any) {
	secure(w.Header())
	var b bytes.Buffer
	if err := a.pages.ExecuteTemplate(&b, name, data); err != nil {
		a.Logger.Error("page_not_rendered", "page", name, "error", err)
		http.Error(w, "This page cannot be shown. The log of lifeline serve names the cause.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // a reader that is gone needs no page
}

// maxNext bounds the address to come back to.
const maxNext = 2 << 10

// loginFor is the sign-in that leads back to an address.
func loginFor(next string) string {
	if next = sameSite(next); next == "/" {
		return "/login"
	}
	return "/login?next=" + url.QueryEscape(next)
}

// sameSite is an address to go to after the sign-in, if it is one of this site;
// otherwise "/". Browsers read a backslash as a slash and drop tabs and line
// feeds, so that a text with any of them may mean another site.
func sameSite(next string) string {
	if len(next) > maxNext || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") ||
		strings.ContainsFunc(next, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return "/"
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "/"
	}
	clean := path.Clean(u.Path)
	if strings.HasPrefix(clean, "//") || clean == "/login" || clean == "/logout" || strings.HasPrefix(clean, "/login/") {
		return "/"
	}
	return next
}
