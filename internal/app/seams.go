package app

import (
	"lifeline/internal/guard"
	"lifeline/internal/respond"
	"lifeline/internal/triage"
)

// seams are the places between two parts where a test stands, to end the process
// there, to fail a call or to count it. The zero value joins the parts directly.
// Nothing outside of this package can set one.
type seams struct {
	door    func(guard.Config) guard.Config
	respond func(respond.Config) respond.Config
	alerts  func(triage.Store) triage.Store
}

func (s seams) toDoor(c guard.Config) guard.Config {
	if s.door == nil {
		return c
	}
	return s.door(c)
}

func (s seams) toRespond(c respond.Config) respond.Config {
	if s.respond == nil {
		return c
	}
	return s.respond(c)
}

func (s seams) toAlerts(to triage.Store) triage.Store {
	if s.alerts == nil {
		return to
	}
	return s.alerts(to)
}
