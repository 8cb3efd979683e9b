package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"lifeline"
)

// Bounds of the page: incidents on one page of it, and how many open ones are put
// in order of urgency.
const (
	perPage   = 50
	maxSorted = 1000
	maxAsks   = 20
	maxNeeds  = 10
)

// nowPage is what now.html shows.
type nowPage struct {
	page
	Status lifeline.Status
	Open   []openIncident
	// Total counts the open incidents, Pages the pages of them. Beyond says that
	// not all could be put in order.
	Total, Page, Pages int
	Beyond             bool
	Asks               []lifeline.Approval
	MoreAsks           int
	// Needs are with a person, and their alerts still fire.
	Needs     []lifeline.Incident
	MoreNeeds int
	Trouble   []lifeline.HostView
	Hosts     int
	MaxReason int
}

// openIncident is an incident with what happened last.
type openIncident struct {
	lifeline.Incident
	Last lifeline.Event
}

func (p nowPage) Previous() string { return pageLink(p.Page-1, p.Pages) }
func (p nowPage) Next() string     { return pageLink(p.Page+1, p.Pages) }

// pageLink is the address of a page of a list; "" beyond its ends.
func pageLink(n, last int) string {
	if n < 1 || n > last {
		return ""
	}
	return "/?page=" + strconv.Itoa(n)
}

// nowPage shows what is the matter now.
func (s *server) nowPage(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	p := nowPage{page: s.newPage(r, "Now", "/"), MaxReason: maxReason}
	p.Live = "now"
	var err error
	if p.After, err = s.head.find(ctx, s.Service); err == nil { // first: what comes while the page is made is told again
		err = s.fillNow(ctx, &p, r.URL.Query())
	}
	if err != nil {
		s.fail(w, r, "now", err)
		return
	}
	p.Say = plural(p.Total, "incident") + " open, " + plural(p.Status.ApprovalsWaiting, "question") + " waiting, " + plural(len(p.Needs)+p.MoreNeeds, "case") + " with a person"
	s.show(w, r, "now.html", p.Live, p)
}

func (s *server) fillNow(ctx context.Context, p *nowPage, query url.Values) (err error) {
	if p.Status, err = s.Service.Status(ctx); err != nil {
		return err
	}
	open, beyond, err := s.openIncidents(ctx)
	if err != nil {
		return err
	}
	p.Total, p.Beyond = len(open), beyond
	if beyond {
		p.Total = 0
		for state, n := range p.Status.Incidents {
			if !state.Ended() {
				p.Total += n
			}
		}
	}
	p.Pages = max((len(open)+perPage-1)/perPage, 1)
	p.Page, _ = strconv.Atoi(query.Get("page"))
	p.Page = min(max(p.Page, 1), p.Pages)
	for _, inc := range open[min((p.Page-1)*perPage, len(open)):min(p.Page*perPage, len(open))] {
		last, err := s.steps.of(ctx, s.Service, inc.ID)
		if err != nil {
			return err
		}
		p.Open = append(p.Open, openIncident{inc, last})
	}
	if p.Asks, err = s.Service.Approvals(ctx, false); err != nil {
		return err
	}
	slices.SortStableFunc(p.Asks, func(a, b lifeline.Approval) int { return a.ExpiresAt.Compare(b.ExpiresAt) })
	p.Asks, p.MoreAsks = cut(p.Asks, maxAsks)
	escalated, err := s.Service.Incidents(ctx, lifeline.IncidentQuery{States: []lifeline.State{lifeline.StateEscalated}, Limit: 200})
	if err != nil {
		return err
	}
	needs := slices.DeleteFunc(slices.Clone(escalated.Incidents), func(i lifeline.Incident) bool { return !i.AlertFiring })
	slices.SortStableFunc(needs, urgency)
	p.Needs, p.MoreNeeds = cut(needs, maxNeeds)
	hosts, err := s.Service.Hosts(ctx)
	if err != nil {
		return err
	}
	p.Hosts = len(hosts)
	p.Trouble = slices.DeleteFunc(slices.Clone(hosts), func(h lifeline.HostView) bool { return h.Trouble == "" })
	return nil
}

// cut is the beginning of a list, and how many are left out.
func cut[T any](all []T, most int) ([]T, int) {
	if len(all) <= most {
		return all, 0
	}
	return all[:most], len(all) - most
}

// openIncidents are those that have not ended, the most urgent first, and whether
// there are more than could be looked at: then the newest are there.
func (s *server) openIncidents(ctx context.Context) (all []lifeline.Incident, beyond bool, err error) {
	q := lifeline.IncidentQuery{Limit: 200}
	for _, state := range states() {
		if !state.Ended() {
			q.States = append(q.States, state)
		}
	}
	for {
		found, err := s.Service.Incidents(ctx, q)
		if err != nil {
			return nil, false, err
		}
		all = append(all, found.Incidents...)
		beyond = found.Next != ""
		if q.After = found.Next; !beyond || len(all) >= maxSorted {
			break
		}
	}
	slices.SortStableFunc(all, urgency)
	return all, beyond, nil
}

// urgency puts first what waits for a person, then the more severe, then the
// older.
func urgency(a, b lifeline.Incident) int {
	waits := func(i lifeline.Incident) int {
		if i.State == lifeline.StateAwaitingApproval {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(waits(a), waits(b)), cmp.Compare(severity(a.Severity), severity(b.Severity)), a.OpenedAt.Compare(b.OpenedAt), cmp.Compare(a.ID, b.ID))
}

// severity ranks the words that monitoring systems use; those that nobody knows
// come after warnings.
func severity(word string) int {
	switch word {
	case "critical", "page", "disaster", "emergency", "fatal":
		return 0
	case "error", "high", "major":
		return 1
	case "warning", "warn", "average":
		return 2
	case "info", "information", "low", "minor", "none", "":
		return 4
	}
	return 3
}
