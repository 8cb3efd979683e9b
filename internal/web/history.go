package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"lifeline"
)

// How far back the figures go if nobody asks otherwise, and how long the page
// waits for the verification of the record.
const (
	figuresOver = 30 * 24 * time.Hour
	auditMost   = 3 * time.Second
)

// historyPage is what history.html shows.
type historyPage struct {
	page
	Query search
	Found lifeline.IncidentPage
	// Next is the address of the page after this one; "": there is none.
	Next    string
	Figures lifeline.Statistics
	// Ended counts the incidents that were resolved or escalated.
	Ended int
	Total int
	Audit lifeline.AuditView
	// AuditWaits: the verification is not done yet.
	AuditWaits bool
	States     []lifeline.State
}

// search is the form as it was filled in.
type search struct {
	Host, Thing, Alert, Text, State string
	From, Until                     string
	After                           string
}

// Asked reports whether anything is looked for.
func (q search) Asked() bool { q.After = ""; return q != search{} }

// query is what is asked of the service. Days are days of UTC, both included.
func (q search) query() (iq lifeline.IncidentQuery, err error) {
	iq = lifeline.IncidentQuery{Host: q.Host, Thing: q.Thing, Alert: q.Alert, Text: q.Text, After: q.After, Limit: perPage}
	if q.State != "" {
		iq.States = []lifeline.State{lifeline.State(q.State)}
	}
	if iq.From, err = day(q.From); err != nil {
		return iq, err
	}
	if iq.Until, err = day(q.Until); err != nil || iq.Until.IsZero() {
		return iq, err
	}
	iq.Until = iq.Until.AddDate(0, 0, 1)
	if !iq.From.IsZero() && !iq.From.Before(iq.Until) {
		return iq, &lifeline.Error{Code: lifeline.CodeUsage, Message: "the time ends before it begins", Hint: "swap the two days"}
	}
	return iq, nil
}

func day(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("%.40q is not a day", s), Hint: "write days as 2026-01-31"}
	}
	return t, nil
}

// address is the page of the same search from another place on.
func (q search) address(after string) string {
	v := url.Values{}
	for name, value := range map[string]string{"host": q.Host, "thing": q.Thing, "alert": q.Alert, "text": q.Text, "state": q.State, "from": q.From, "until": q.Until, "after": after} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return "/history?" + v.Encode()
}

// historyPage searches the incidents and sums them up.
func (s *server) historyPage(w http.ResponseWriter, r *http.Request) {
	p := historyPage{page: s.newPage(r, "History", "/history"), States: states(), Query: search{
		Host: r.FormValue("host"), Thing: r.FormValue("thing"), Alert: r.FormValue("alert"), Text: r.FormValue("text"), State: r.FormValue("state"),
		From: r.FormValue("from"), Until: r.FormValue("until"), After: r.FormValue("after"),
	}}
	if err := s.fillHistory(r.Context(), &p); err != nil {
		s.fail(w, r, "history", err)
		return
	}
	s.show(w, r, "history.html", "history", p)
}

func (s *server) fillHistory(ctx context.Context, p *historyPage) error {
	q, err := p.Query.query()
	if err != nil {
		return err
	}
	if p.Found, err = s.Service.Incidents(ctx, q); err != nil {
		return err
	}
	if p.Found.Next != "" {
		p.Next = p.Query.address(p.Found.Next)
	}
	from, until := q.From, q.Until
	if until.IsZero() {
		until = p.Now
	}
	if from.IsZero() {
		from = until.Add(-figuresOver)
	}
	if p.Figures, err = s.Service.Statistics(ctx, from, until); err != nil {
		return err
	}
	for _, n := range p.Figures.Incidents {
		p.Total += n
	}
	p.Ended = p.Figures.Incidents[lifeline.StateResolved] + p.Figures.Incidents[lifeline.StateEscalated]
	// The whole record may take long to verify: the page does not wait for it.
	bounded, cancel := context.WithTimeoutCause(ctx, auditMost, errors.New("the verification takes longer"))
	defer cancel()
	p.Audit, err = s.Service.Audit(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		p.AuditWaits, err = true, nil
	}
	return err
}
