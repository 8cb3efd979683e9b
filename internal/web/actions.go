package web

import (
	"context"
	"net/http"

	"lifeline"
)

// back sends a browser that has posted a form to a page, so that loading that
// page again posts nothing.
func back(w http.ResponseWriter, r *http.Request, path string) {
	http.Redirect(w, r, path, http.StatusSeeOther)
}

func (s *server) me(r *http.Request) lifeline.Person {
	me, _ := s.PersonOf(r.Context())
	return me
}

func (s *server) retry(w http.ResponseWriter, r *http.Request) {
	inc, err := s.Service.Retry(r.Context(), s.me(r), r.PathValue("id"))
	if err != nil {
		s.fail(w, r, "retry", err)
		return
	}
	back(w, r, incidentPath(inc.ID))
}

// withReason does to an incident what a person gives a reason for.
func (s *server) withReason(what string, do func(ctx context.Context, who lifeline.Person, id, reason string) (lifeline.Incident, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		reason, ok := s.reasonOf(w, r)
		if !ok {
			return
		}
		inc, err := do(r.Context(), s.me(r), r.PathValue("id"), reason)
		if err != nil {
			s.fail(w, r, what, err)
			return
		}
		back(w, r, incidentPath(inc.ID))
	}
}

func (s *server) pause(w http.ResponseWriter, r *http.Request) {
	reason, ok := s.reasonOf(w, r)
	if !ok {
		return
	}
	if _, err := s.Service.Pause(r.Context(), s.me(r), reason, r.PostForm.Get("now") == "yes"); err != nil {
		s.fail(w, r, "pause", err)
		return
	}
	back(w, r, "/")
}

func (s *server) resume(w http.ResponseWriter, r *http.Request) {
	reason, ok := s.reasonOf(w, r)
	if !ok {
		return
	}
	p, err := s.Service.Resume(r.Context(), s.me(r), reason)
	switch {
	case err != nil:
		s.fail(w, r, "resume", err)
	case p.File != "":
		s.tell(w, r, http.StatusConflict, message{Title: "Changes are still paused", Text: "The file " + p.File + " pauses Lifeline as long as it is there.",
			Next: "On the machine that runs Lifeline: rm " + p.File})
	default:
		back(w, r, "/")
	}
}
