package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"lifeline"
)

// page is what every page of a person who is signed in has.
type page struct {
	Title string
	// Here is the path of the link in the navigation that leads here; "": none.
	Here string
	Me   lifeline.Person
	Now  time.Time
	// Live names the template that renders the parts that change, and that
	// ?fragment=NAME asks for; "": nothing changes by itself. After is the newest
	// event that the page knows, Follows the incident that it follows; "": all.
	Live    string
	After   int64
	Follows string
	// Say is what a person who hears the page is told when it changes.
	Say string
}

// Links of the navigation, in order.
func (page) Links() []link {
	return []link{{"/", "Now"}, {"/hosts", "Hosts"}, {"/policy", "Policy"}, {"/history", "History"}}
}

type link struct{ Path, Text string }

// May reports whether the person may what the role may: "approver", "admin".
func (p page) May(role string) bool { return p.Me.Role.May(lifeline.Role(role)) }

// SignsOut reports whether there is a session to end.
func (p page) SignsOut() bool { return p.Me.Via == "password" || p.Me.Via == "oidc" }

func (s *server) newPage(r *http.Request, title, here string) page {
	me, _ := s.PersonOf(r.Context())
	return page{Title: title, Here: here, Me: me, Now: s.now()}
}

// needs lets whoever has the role pass, and tells everybody else why not.
func (s *server) needs(role lifeline.Role, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		me, known := s.PersonOf(r.Context())
		switch {
		case !known || !me.Role.May(lifeline.RoleViewer):
			s.render(w, http.StatusForbidden, "message.html", messagePage{Title: "You are not signed in",
				Text: "Lifeline does not know who asks, and shows nothing.", Next: "Sign in at /login, or type on the machine that runs Lifeline: lifeline incidents"})
		case !me.Role.May(role):
			s.tell(w, r, http.StatusForbidden, message{Title: "You may not do this",
				Text: "It needs the role " + string(role) + ", and " + me.Name + " has the role " + string(me.Role) + ". Nothing was done.",
				Next: "Ask somebody who has the role, or have yours changed in lifeline.yaml (access)"})
		default:
			next(w, r)
		}
	})
}

// show renders a page, or the part of it that ?fragment= asks for.
func (s *server) show(w http.ResponseWriter, r *http.Request, name, live string, data any) {
	switch fragment := r.URL.Query().Get("fragment"); {
	case fragment == "":
		s.render(w, http.StatusOK, name, data)
	case fragment == live:
		s.render(w, http.StatusOK, live, data)
	default:
		s.tell(w, r, http.StatusBadRequest, message{Title: "There is no such part", Text: "This page has no part of that name.", Next: "Open the page without ?fragment="})
	}
}

// message is a page that says one thing, and what to do next.
type message struct {
	Title, Text, Next string
}

type toldPage struct {
	page
	message
	Title string
}

// tell answers with a message.
func (s *server) tell(w http.ResponseWriter, r *http.Request, status int, m message) {
	s.render(w, status, "told.html", toldPage{page: s.newPage(r, m.Title, ""), message: m, Title: m.Title})
}

// fail answers with what went wrong: what a person can do something about in its
// own words, everything else in ours, with the cause in the log.
func (s *server) fail(w http.ResponseWriter, r *http.Request, what string, err error) {
	e, said := errors.AsType[*lifeline.Error](err)
	code := lifeline.CodeOf(err)
	next := "Open the page again. In the terminal: lifeline incidents"
	if said && e.Hint != "" {
		next = e.Hint
	}
	switch code {
	case lifeline.CodeNotFound:
		s.tell(w, r, http.StatusNotFound, message{Title: "There is no such thing", Text: sentence(err.Error()), Next: next})
	case lifeline.CodeRefused, lifeline.CodeWaits:
		s.tell(w, r, http.StatusConflict, message{Title: "It was not done", Text: sentence(err.Error()), Next: next})
	case lifeline.CodeUsage, lifeline.CodeConfig:
		s.tell(w, r, http.StatusBadRequest, message{Title: "That cannot be done", Text: sentence(err.Error()), Next: next})
	case lifeline.CodeStore, lifeline.CodeFenced, lifeline.CodeTimeout:
		s.Logger.Error("page_not_answered", "what", what, "error", err)
		w.Header().Set("Retry-After", "5")
		s.tell(w, r, http.StatusServiceUnavailable, message{Title: "Lifeline cannot answer now", Text: "The record cannot be read or written at this moment.",
			Next: "Try again in a few seconds. On the machine that runs Lifeline, its log names the cause: journalctl -u lifeline -n 50"})
	default:
		if r.Context().Err() != nil {
			return // whoever asked is gone
		}
		s.Logger.Error("page_not_answered", "what", what, "error", err)
		s.tell(w, r, http.StatusInternalServerError, message{Title: "This went wrong", Text: "Lifeline met a defect of its own while answering.",
			Next: "The log of lifeline serve names the cause: journalctl -u lifeline -n 50"})
	}
}

// nothingHere answers every path that is no page.
func (s *server) nothingHere(w http.ResponseWriter, r *http.Request) {
	s.tell(w, r, http.StatusNotFound, message{Title: "There is no such page", Text: "Nothing of Lifeline's is at " + clip(r.URL.Path, 200) + ".", Next: "What is the matter now is at /"})
}

// reasonOf is the reason in a form that a person sent. It reports false, and has
// answered, if the form cannot be read.
func (s *server) reasonOf(w http.ResponseWriter, r *http.Request) (string, bool) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.tell(w, r, http.StatusBadRequest, message{Title: "Nothing was done", Text: "The form could not be read.", Next: "Go back and try again."})
		return "", false
	}
	return trimmed(r.PostForm.Get("reason")), true
}

// trimmed is a reason as it goes on record.
func trimmed(reason string) string {
	reason = strings.ToValidUTF8(strings.TrimSpace(reason), "\uFFFD")
	if runes := []rune(reason); len(runes) > maxReason {
		reason = string(runes[:maxReason])
	}
	return reason
}
