package triage

import (
	"fmt"
	"slices"
	"strings"

	"lifeline"
	"lifeline/internal/pattern"
)

// Route says what alerts of one kind are about, where their labels do not say
// it the usual way, or that they are not worked.
type Route struct {
	// Match says which alerts it is for; all of it must hold.
	Match Match
	// KeyLabels name the fixable thing besides the alert's name and its target.
	KeyLabels []string
	Target    RouteTarget
	// Ignore stores the alerts and starts nothing.
	Ignore bool
}

// Match chooses alerts. Each text is a value, or a regular expression between
// slashes that must match the whole value; "" is any.
type Match struct {
	Alert  string
	Source string
	// Labels must be there and match.
	Labels map[string]string
}

// RouteTarget says where and what the fixable thing is: a name, or "label:" and
// the label that has it. What is empty is found out as without a route. At most
// one of Container, Unit and Mount is set.
type RouteTarget struct {
	Host                   string
	Container, Unit, Mount string
}

// labelPrefix begins the name of a label where a name could stand.
const labelPrefix = "label:"

// route is a Route that is ready to be used.
type route struct {
	Route
	number        int // in the configuration, from 0
	alert, source pattern.Pattern
	labels        map[string]pattern.Pattern
}

func newRoute(number int, r Route) (route, error) {
	compiled := route{Route: r, number: number, labels: map[string]pattern.Pattern{}}
	var err error
	if compiled.alert, err = pattern.New(r.Match.Alert); err != nil {
		return compiled, fmt.Errorf("match.alert: %w", err)
	}
	if compiled.source, err = pattern.New(r.Match.Source); err != nil {
		return compiled, fmt.Errorf("match.source: %w", err)
	}
	for name, text := range r.Match.Labels {
		if compiled.labels[name], err = pattern.New(text); err != nil {
			return compiled, fmt.Errorf("match.labels.%s: %w", name, err)
		}
	}
	return compiled, nil
}

func (r *route) matches(a lifeline.Alert) bool {
	// What is left empty matches any value.
	match := r.Match
	if match.Alert != "" && !r.alert.Matches(a.Name) || match.Source != "" && !r.source.Matches(a.Source) {
		return false
	}
	for name, p := range r.labels {
		if value := a.Labels[name]; value == "" || match.Labels[name] != "" && !p.Matches(value) {
			return false
		}
	}
	return true
}

// name is what a person finds the route by.
func (r *route) name() string { return fmt.Sprintf("triage.routes[%d]", r.number) }

// target is the thing that the route says an alert is about; usual is what it
// would be without it. A label that the alert does not have, or that names no
// known host, gives no known target: whoever wrote the route meant that label,
// and no other machine.
func (r *route) target(c *Config, a lifeline.Alert, usual lifeline.Target) lifeline.Target {
	t, missing := usual, false
	value := func(text string) string {
		label, isLabel := strings.CutPrefix(text, labelPrefix)
		if !isLabel {
			return text
		}
		v := a.Labels[label]
		missing = missing || v == ""
		return v
	}
	if r.Target.Host != "" {
		t.Host = c.known(value(r.Target.Host))
	}
	for _, thing := range []struct {
		kind lifeline.TargetKind
		text string
	}{
		{lifeline.TargetContainer, r.Target.Container},
		{lifeline.TargetUnit, r.Target.Unit},
		{lifeline.TargetFilesystem, r.Target.Mount},
	} {
		if thing.text != "" {
			t.Kind, t.Name = thing.kind, value(thing.text)
			if thing.kind == lifeline.TargetContainer {
				t.Name = strings.TrimPrefix(t.Name, "/")
			}
		}
	}
	if missing {
		t.Host = ""
	}
	return t
}

// keyOf is the usual key and the labels of the route after it.
func (r *route) keyOf(a lifeline.Alert, t lifeline.Target) string {
	key := Key(a, t)
	for _, label := range r.KeyLabels {
		key += "|" + quoted(label+"="+a.Labels[label])
	}
	return key
}

// routeOf finds the first route that an alert matches; nil if there is none.
func routeOf(routes []route, a lifeline.Alert) *route {
	if i := slices.IndexFunc(routes, func(r route) bool { return r.matches(a) }); i >= 0 {
		return &routes[i]
	}
	return nil
}
