package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"lifeline"
	"lifeline/internal/escape"
	"lifeline/internal/timeline"
)

// maxEntries bounds how much of a timeline one page shows: the newest matter.
const maxEntries = 400

// incidentPage is what incident.html shows.
type incidentPage struct {
	page
	Incident lifeline.Incident
	Handover *lifeline.Handover
	Spent    lifeline.Spent
	Models   []string
	// Entries are the timeline, oldest first; Left counts older ones that are not
	// on the page.
	Entries []entry
	Left    int
	Lanes   *lanes
	// Ask is the question that waits; nil: none.
	Ask *question
	// Doing is the one thing that matters now: "answer", "take", "retry", "close",
	// or "" if there is nothing to do.
	Doing   string
	Explain string
	// Replay is set where the case is shown as it stood.
	Replay    *replay
	MaxReason int
}

// Path is the incident's own.
func (p incidentPage) Path() string { return incidentPath(p.Incident.ID) }

// incidentPage shows one incident, or gives it out as a file.
func (s *server) incidentPage(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if base, ok := strings.CutSuffix(id, ".md"); ok {
		s.markdown(w, r, base)
		return
	}
	if base, ok := strings.CutSuffix(id, ".json"); ok {
		s.caseJSON(w, r, base)
		return
	}
	c, err := s.Service.Case(r.Context(), id)
	if err != nil {
		s.fail(w, r, "incident", err)
		return
	}
	p := s.newIncidentPage(r, c)
	if r.URL.Query().Get("explain") == "1" {
		if p.Explain, err = s.Service.ExplainIncident(r.Context(), id); err != nil {
			s.fail(w, r, "explain", err)
			return
		}
	}
	s.show(w, r, "incident.html", p.Live, p)
}

// newIncidentPage is the case as it stands now.
func (s *server) newIncidentPage(r *http.Request, c lifeline.CaseFile) incidentPage {
	p := incidentPage{page: s.newPage(r, c.Incident.AlertName+", "+c.Incident.Target.String(), ""), MaxReason: maxReason}
	p.Live, p.Follows, p.After = "incident", c.Incident.ID, lastSeq(c.Events)
	p.fill(c, p.Now)
	for _, a := range c.Approvals {
		if waits(a, p.page) {
			p.Ask = new(newQuestion(a, c.Incident, p.Now))
		}
	}
	p.Doing = doing(c.Incident, p.Ask != nil)
	p.Say = c.Incident.AlertName + ": " + stateWords(c.Incident.State)
	return p
}

// fill is what a case shows, now or as it stood at a time.
func (p *incidentPage) fill(c lifeline.CaseFile, at time.Time) {
	p.Incident, p.Handover, p.Spent, p.Models = c.Incident, c.Handover, c.Spent, timeline.ModelLines(c.Usage)
	p.Entries = entries(c, at)
	p.Entries, p.Left = newest(p.Entries, maxEntries)
	p.Lanes = newLanes(c.Commands, at, !c.Incident.State.Ended())
}

// newest is the end of a list, and how many are left out.
func newest[T any](all []T, most int) ([]T, int) {
	left := max(len(all)-most, 0)
	return all[left:], left
}

// doing says what a person can do that matters most.
func doing(inc lifeline.Incident, asked bool) string {
	switch {
	case asked:
		return "answer"
	case !inc.State.Ended():
		return "take"
	case inc.State != lifeline.StateEscalated:
		return ""
	case inc.AlertFiring:
		return "retry"
	}
	return "close"
}

func (s *server) markdown(w http.ResponseWriter, r *http.Request, id string) {
	text, err := s.Service.CaseMarkdown(r.Context(), id)
	if err != nil {
		s.fail(w, r, "markdown", err)
		return
	}
	w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+filename(id)+`.md"`)
	_, _ = w.Write([]byte(text)) // a reader that is gone needs no file
}

func (s *server) caseJSON(w http.ResponseWriter, r *http.Request, id string) {
	c, err := s.Service.Case(r.Context(), id)
	if err != nil {
		s.fail(w, r, "json", err)
		return
	}
	raw, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		s.fail(w, r, "json", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="`+filename(id)+`.json"`)
	_, _ = w.Write(append(escape.JSON(raw), '\n'))
}

// filename has nothing in it that a header or a file system would read otherwise.
func filename(id string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, id)
	return name[:min(len(name), 80)]
}
