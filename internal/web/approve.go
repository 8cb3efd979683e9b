package web

import (
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"lifeline"
)

// Bounds of the form: a reason is a sentence or two.
const (
	maxForm   = 16 << 10
	maxReason = 500
)

// byLink is who decides with a link: a person, and which one is not known.
const byLink = "person:link"

// question is what a person has to see before they answer: see question.html.
type question struct {
	Approval lifeline.Approval
	Incident lifeline.Incident
	Left     time.Duration
	// Chars is the length of the command, so that nobody takes a part of a long
	// one for the whole.
	Chars     int
	MaxReason int
}

func newQuestion(a lifeline.Approval, inc lifeline.Incident, now time.Time) question {
	return question{Approval: a, Incident: inc, Left: max(a.ExpiresAt.Sub(now).Round(time.Second), 0), Chars: utf8.RuneCountInString(a.Canonical), MaxReason: maxReason}
}

// linkPage is what approve.html shows.
type linkPage struct {
	Title string
	question
}

// messagePage is what message.html shows: a sentence, and what to do next.
type messagePage struct {
	Title, Text, Next string
	// Command is shown letter by letter; "": none.
	Command string
}

// question shows what is asked. It changes nothing.
func (s *server) question(w http.ResponseWriter, r *http.Request) {
	a, inc, err := s.Desk.ByToken(r.Context(), r.PathValue("token"))
	if err != nil || a.State != lifeline.ApprovalPending {
		s.invalid(w, err)
		return
	}
	s.render(w, http.StatusOK, "approve.html", linkPage{Title: "May this run on " + a.Request.Host + "?", question: newQuestion(a, inc, s.now())})
}

// answer takes the decision.
func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	token := r.PathValue("token")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.render(w, http.StatusBadRequest, "message.html", messagePage{Title: "Nothing was decided", Text: "The form could not be read.", Next: "Go back and try again."})
		return
	}
	decision := r.PostForm.Get("decision")
	if decision != "approve" && decision != "deny" {
		s.render(w, http.StatusBadRequest, "message.html", messagePage{Title: "Nothing was decided", Text: "The answer was neither yes nor no.", Next: "Go back and press one of the two buttons."})
		return
	}
	reason := trimmed(r.PostForm.Get("reason"))
	before, _, err := s.Desk.ByToken(r.Context(), token)
	if err != nil || before.State != lifeline.ApprovalPending {
		s.invalid(w, err)
		return
	}
	a, err := s.Desk.Decide(r.Context(), token, decision == "approve", byLink, reason)
	switch {
	case lifeline.CodeOf(err) == lifeline.CodeRefused && a.State == lifeline.ApprovalPending:
		// The link is right, and the answer cannot be taken: whoever holds the link
		// may know why.
		s.render(w, http.StatusConflict, "message.html", messagePage{Title: "Your answer was not taken", Text: sentence(err.Error()),
			Next: "Nothing was run. The incident's page in the terminal: lifeline incidents show " + before.Request.IncidentID})
	case err != nil:
		s.invalid(w, err)
	case a.State == lifeline.ApprovalApproved:
		s.render(w, http.StatusOK, "message.html", messagePage{Title: "Approved", Text: "It runs now, once, on " + a.Request.Host + ":", Command: a.Canonical,
			Next: "What comes of it: lifeline incidents show " + a.Request.IncidentID})
	default:
		s.render(w, http.StatusOK, "message.html", messagePage{Title: "Denied", Text: "It is not run on " + a.Request.Host + ":", Command: a.Canonical,
			Next: "The same command is not asked for again for this incident."})
	}
}

// invalid answers every link that cannot be used alike: whoever guesses learns
// nothing.
func (s *server) invalid(w http.ResponseWriter, err error) {
	if err != nil && lifeline.CodeOf(err) != lifeline.CodeRefused {
		s.Logger.Error("approval_not_read", "error", err)
		s.render(w, http.StatusServiceUnavailable, "message.html", messagePage{Title: "Lifeline cannot answer now",
			Text: "Nothing was decided.", Next: "Try again, or type on the machine that runs Lifeline: lifeline approvals"})
		return
	}
	s.render(w, http.StatusNotFound, "message.html", messagePage{Title: "This link cannot be used",
		Text: "It is not valid, or not any more: a link works once, and only until its time is over.", Next: "What waits for a person now: lifeline approvals"})
}

// sentence is an error as it stands on a page.
func sentence(text string) string {
	text = strings.TrimRight(text, ".")
	r, n := utf8.DecodeRuneInString(text)
	return strings.ToUpper(string(r)) + text[n:] + "."
}
