package runbook

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"lifeline"
)

// match says which alerts a runbook is for. All of it must hold.
type match struct {
	alerts []pattern // any one of them; empty: any alert
	labels []labelPattern
	target lifeline.TargetKind // "": any
}

// pattern is a text that must be equal, or a regular expression between
// slashes that must match the whole value.
type pattern struct {
	exact string
	re    *regexp.Regexp
}

type labelPattern struct {
	name string
	pattern
}

// How the name of an alert matched, from worst to best.
const (
	noMatch = iota
	anyAlert
	byRegexp
	byName
)

func newPattern(s string) (pattern, error) {
	inner, isRegexp := strings.CutPrefix(s, "/")
	if !isRegexp {
		return pattern{exact: s}, nil
	}
	inner, closed := strings.CutSuffix(inner, "/")
	if !closed || inner == "" {
		return pattern{}, fmt.Errorf("%q begins a regular expression: end it with / as well", s)
	}
	re, err := regexp.Compile(`\A(?:` + inner + `)\z`)
	if err != nil {
		return pattern{}, fmt.Errorf("%s: %w", s, err)
	}
	return pattern{re: re}, nil
}

func (p pattern) matches(s string) bool {
	if p.re != nil {
		return p.re.MatchString(s)
	}
	return p.exact == s
}

func (m match) matches(a lifeline.Alert, t lifeline.Target) (how int) {
	if m.target != "" && m.target != t.Kind {
		return noMatch
	}
	for _, l := range m.labels {
		value, has := a.Labels[l.name]
		if !has || !l.matches(value) {
			return noMatch
		}
	}
	if len(m.alerts) == 0 {
		return anyAlert
	}
	for _, p := range m.alerts {
		switch {
		case !p.matches(a.Name):
		case p.re == nil:
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
