package config

import (
	"errors"
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
	"strings"

	"lifeline"
	"lifeline/internal/pattern"
)

func (v *validator) triage() {
	for i, r := range v.cfg.Triage.Routes {
		field := fmt.Sprintf("triage.routes[%d]", i)
		v.triageMatch(field+".match", r.Match)
		for k, label := range r.KeyLabels {
			if label == "" {
				v.complain(fmt.Sprintf("%s.key_labels[%d]", field, k), "a label has a name", "")
			}
		}
		v.triageTarget(field+".target", r.Target)
		if len(r.KeyLabels) == 0 && r.Target == (TriageTarget{}) && !r.Ignore {
			v.complain(field, "the route changes nothing: want key_labels, target or ignore: true", "")
		}
		if r.Ignore && (len(r.KeyLabels) > 0 || r.Target != (TriageTarget{})) {
			v.complain(field+".ignore", "what is ignored needs no key_labels and no target", "")
		}
	}
}

func (v *validator) triageMatch(field string, m TriageMatch) {
	if m.Alert == "" && m.Source == "" && len(m.Labels) == 0 {
		v.complain(field, "want alert, source or labels", "a route for every alert says so: match: {alert: /.*/}")
	}
	v.pattern(field+".alert", m.Alert)
	v.pattern(field+".source", m.Source)
	for _, label := range slices.Sorted(maps.Keys(m.Labels)) {
		if label == "" {
			v.complain(field+".labels", "a label has a name", "")
		}
		if m.Labels[label] == "" {
			v.complain(field+".labels."+label, "want a value, or /.+/ for any", "")
		}
		v.pattern(field+".labels."+label, m.Labels[label])
	}
}

// pattern complains about a text between slashes that is no regular expression.
func (v *validator) pattern(field, text string) {
	_, _, err := pattern.Parse(text)
	if bad, ok := errors.AsType[*syntax.Error](err); ok {
		v.complain(field, fmt.Sprintf("%s is not a regular expression: %v", text, bad), "")
	} else if err != nil {
		v.complain(field, err.Error(), "")
	}
}

func (v *validator) triageTarget(field string, t TriageTarget) {
	set := 0
	for _, k := range []struct {
		name, text string
		kind       lifeline.TargetKind
	}{
		{"host", t.Host, ""},
		{"container", t.Container, lifeline.TargetContainer},
		{"unit", t.Unit, lifeline.TargetUnit},
		{"mount", t.Mount, lifeline.TargetFilesystem},
	} {
		at := join(field, k.name)
		if k.text != "" && k.kind != "" {
			set++
		}
		switch label, isLabel := strings.CutPrefix(k.text, "label:"); {
		case k.text == "":
		case isLabel && strings.TrimSpace(label) == "":
			v.complain(at, "label: is followed by the name of a label", "")
		case isLabel:
		case k.kind == "":
			v.configured(at, k.text)
		default:
			if err := k.kind.CheckName(k.text); err != nil {
				v.complain(at, err.Error(), "")
			}
		}
	}
	if set > 1 {
		v.complain(field, "a thing is a container, a unit or a mount point: want one of them", "")
	}
}
