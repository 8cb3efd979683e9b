package runbook

import (
	"cmp"

	"lifeline"
	"lifeline/internal/pattern"
)

// match says which alerts a runbook is for. All of it must hold.
type match struct {
	alerts []pattern.Pattern // any one of them; empty: any alert
	labels []labelPattern
	target lifeline.TargetKind // "": any
}

type labelPattern struct {
	name string
	pattern.Pattern
}

// How the name of an alert matched, from worst to best.
const (
	noMatch = iota
	anyAlert
	byRegexp
	byName
)

func (m match) matches(a lifeline.Alert, t lifeline.Target) (how int) {
	if m.target != "" && m.target != t.Kind {
		return noMatch
	}
	for _, l := range m.labels {
		value, has := a.Labels[l.name]
		if !has || !l.Matches(value) {
			return noMatch
		}
	}
	if len(m.alerts) == 0 {
		return anyAlert
	}
	for _, p := range m.alerts {
		switch {
		case !p.Matches(a.Name):
		case !p.IsExpression():
			return byName
		default:
			how = byRegexp
		}
	}
	return how
}

// before is the order of Match as far as it does not depend on the alert.
func before(a, b *Runbook) int {
	return cmp.Or(
		first(a.owner, b.owner),
		cmp.Compare(len(b.match.labels), len(a.match.labels)),
		first(a.match.target != "", b.match.target != ""),
		cmp.Compare(a.Name, b.Name),
	)
}

// first orders true before false.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
