package web

import (
	"net/http"
	"net/url"
	"slices"

	"lifeline"
)

// approvalPage is what approval.html shows.
type approvalPage struct {
	page
	question
	Paused lifeline.Pause
	// Waits: a person can answer now.
	Waits bool
}

// approvalPage shows one question whole.
func (s *server) approvalPage(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	a, err := s.Service.Approval(ctx, r.PathValue("id"))
	if err != nil {
		s.fail(w, r, "approval", err)
		return
	}
	c, err := s.Service.Case(ctx, a.Request.IncidentID)
	if err != nil {
		s.fail(w, r, "approval", err)
		return
	}
	status, err := s.Service.Status(ctx)
	if err != nil {
		s.fail(w, r, "approval", err)
		return
	}
	p := approvalPage{page: s.newPage(r, "", ""), Paused: status.Paused}
	p.question, p.Waits = newQuestion(a, c.Incident, p.Now), waits(a, p.page)
	p.Title = "May this run on " + a.Request.Host + "?"
	if !p.Waits {
		p.Title = "A question about " + a.Request.Host
	}
	p.Live, p.Follows, p.After = "approval", a.Request.IncidentID, lastSeq(c.Events)
	p.Say = "This question is " + string(a.State)
	s.show(w, r, "approval.html", p.Live, p)
}

// waits reports whether an approval can be answered now.
func waits(a lifeline.Approval, p page) bool {
	return a.State == lifeline.ApprovalPending && p.Now.Before(a.ExpiresAt)
}

// decide takes the answer of a person who is signed in.
func (s *server) decide(w http.ResponseWriter, r *http.Request) {
	reason, ok := s.reasonOf(w, r)
	if !ok {
		return
	}
	decision := r.PostForm.Get("decision")
	if decision != "approve" && decision != "deny" {
		s.tell(w, r, http.StatusBadRequest, message{Title: "Nothing was decided", Text: "The answer was neither yes nor no.", Next: "Go back and press one of the two buttons."})
		return
	}
	a, err := s.Service.Decide(r.Context(), s.me(r), r.PathValue("id"), decision == "approve", reason)
	if err != nil {
		s.fail(w, r, "decide", err)
		return
	}
	back(w, r, incidentPath(a.Request.IncidentID))
}

// approvalsPage is what approvals.html shows.
type approvalsPage struct {
	page
	Approvals []lifeline.Approval
	More      int
}

// maxApprovals bounds the list of questions.
const maxApprovals = 100

// approvalsPage lists the questions, those that wait first, then the newest.
func (s *server) approvalsPage(w http.ResponseWriter, r *http.Request) {
	all, err := s.Service.Approvals(r.Context(), true)
	if err != nil {
		s.fail(w, r, "approvals", err)
		return
	}
	p := approvalsPage{page: s.newPage(r, "Questions to people", "/history")}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b lifeline.Approval) int {
		if x, y := waits(a, p.page), waits(b, p.page); x != y {
			if x {
				return -1
			}
			return 1
		}
		return b.CreatedAt.Compare(a.CreatedAt)
	})
	p.Approvals, p.More = cut(all, maxApprovals)
	p.Live, p.Say = "approvals", plural(len(all), "question")
	if p.After, err = s.head.find(r.Context(), s.Service); err != nil {
		s.fail(w, r, "approvals", err)
		return
	}
	s.show(w, r, "approvals.html", p.Live, p)
}

func incidentPath(id string) string { return "/incidents/" + url.PathEscape(id) }

func lastSeq(events []lifeline.Event) int64 {
	if len(events) == 0 {
		return 0
	}
	return events[len(events)-1].Seq
}
