package web

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"lifeline"
)

// replay says which step of a case is shown.
type replay struct {
	Step, Steps int
	// Event is the newest one shown; nil before the first.
	Event *lifeline.Event
	path  string
}

func (r replay) First() string    { return r.link(0) }
func (r replay) Previous() string { return r.link(r.Step - 1) }
func (r replay) Next() string     { return r.link(r.Step + 1) }
func (r replay) Last() string     { return r.link(r.Steps) }

// link is the address of a step; "" where there is none, or it is the one shown.
func (r replay) link(step int) string {
	if step < 0 || step > r.Steps || step == r.Step {
		return ""
	}
	return r.path + "?step=" + strconv.Itoa(step)
}

// replayPage shows a case as it stood after a number of its events.
func (s *server) replayPage(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	c, err := s.Service.Case(r.Context(), id)
	if err != nil {
		s.fail(w, r, "replay", err)
		return
	}
	step := 0
	if asked := r.FormValue("step"); asked != "" {
		if step, err = strconv.Atoi(asked); err != nil {
			s.tell(w, r, http.StatusBadRequest, message{Title: "There is no such step", Text: "A step is a number.", Next: "From the beginning: " + incidentPath(id) + "/replay"})
			return
		}
	}
	step = min(max(step, 0), len(c.Events))
	p := incidentPage{page: s.newPage(r, c.Incident.AlertName+", step by step", ""), MaxReason: maxReason}
	p.Replay = &replay{Step: step, Steps: len(c.Events), path: incidentPath(id) + "/replay"}
	then := asItStood(c, step)
	at := c.Incident.OpenedAt
	if step > 0 {
		p.Replay.Event = &then.Events[step-1]
		at = then.Events[step-1].At
	}
	p.Now = at // ages are as they were
	p.fill(then, at)
	s.show(w, r, "incident.html", "incident", p)
}

// asItStood is a case as it was after the first n events. The record has the
// state of everything in its events; the outputs are those of the commands that
// had ended by then.
func asItStood(c lifeline.CaseFile, n int) lifeline.CaseFile {
	then := lifeline.CaseFile{Incident: c.Incident, Events: c.Events[:n]}
	inc := &then.Incident
	inc.State, inc.Reason, inc.Alerts, inc.Changes, inc.AlertFiring, inc.UpdatedAt = lifeline.StateOpen, "", 0, 0, true, inc.OpenedAt
	at := inc.OpenedAt
	for _, e := range then.Events {
		at = e.At
		switch e.Kind {
		case lifeline.EventAlertReceived:
			inc.Alerts++
		case lifeline.EventStateChanged:
			var move struct {
				To     lifeline.State `json:"to"`
				Reason string         `json:"reason"`
			}
			if json.Unmarshal(e.Data, &move) == nil && move.To != "" {
				inc.State, inc.Reason, inc.UpdatedAt = move.To, move.Reason, e.At
			}
		case lifeline.EventCommandStarted, lifeline.EventCommandFinished, lifeline.EventCommandRefused:
			var cmd lifeline.Command
			if json.Unmarshal(e.Data, &cmd) == nil && cmd.ID != "" {
				then.Commands = put(then.Commands, cmd, func(o lifeline.Command) bool { return o.ID == cmd.ID })
			}
		case lifeline.EventApprovalRequested, lifeline.EventApprovalDecided, lifeline.EventApprovalUsed:
			var a lifeline.Approval
			if json.Unmarshal(e.Data, &a) == nil && a.ID != "" {
				then.Approvals = put(then.Approvals, a, func(o lifeline.Approval) bool { return o.ID == a.ID })
			}
		case lifeline.EventEscalated:
			var h lifeline.Handover
			if json.Unmarshal(e.Data, &h) == nil {
				then.Handover = &h
			}
		}
	}
	for i, cmd := range then.Commands {
		if cmd.Changed() {
			inc.Changes++
		}
		if cmd.Outcome == "" {
			continue
		}
		if j := slices.IndexFunc(c.Commands, func(o lifeline.Command) bool { return o.ID == cmd.ID }); j >= 0 {
			then.Commands[i].Stdout, then.Commands[i].Stderr = c.Commands[j].Stdout, c.Commands[j].Stderr
		}
	}
	for _, a := range c.Alerts {
		if !a.StartsAt.After(at) {
			then.Alerts = append(then.Alerts, a)
		}
	}
	for _, u := range c.Usage {
		if !u.At.After(at) {
			then.Usage = append(then.Usage, u)
			then.Spent = then.Spent.Add(u)
		}
	}
	return then
}

// put replaces what is the same, or adds it.
func put[T any](all []T, one T, same func(T) bool) []T {
	if i := slices.IndexFunc(all, same); i >= 0 {
		all[i] = one
		return all
	}
	return append(all, one)
}
