package config

import (
	"fmt"
	"slices"
	"strings"

	"lifeline/internal/jsonpath"
)

// syntaxHint says where the form of a path is described.
const syntaxHint = "docs/sources.md has examples; all of the syntax: https://github.com/tidwall/gjson/blob/master/SYNTAX.md"

// mappings checks webhook.generic.
func (v *validator) mappings() {
	for name, m := range v.cfg.Webhook.Generic {
		v.mapping("webhook.generic."+name, name, m)
	}
}

func (v *validator) mapping(field, name string, m Mapping) {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.Trim(name[:min(1, len(name))], "-") == "" || len(name) > 63 {
		v.complain(field, fmt.Sprintf("a mapping's name is a part of /webhook/generic/NAME: want lower-case letters, digits and dashes, got %q", name), "")
	}
	if m.Name == "" {
		v.complain(field, "want name, the path of the alert's name", "an alert of one name only: name: '!\"BackupFailed\"'")
	}
	if m.Alerts != "" {
		if _, err := jsonpath.ParsePath(m.Alerts); err != nil {
			v.complain(field+".alerts", err.Error(), syntaxHint)
		}
	}
	for _, p := range []struct{ key, source string }{
		{"name", m.Name}, {"status", m.Status}, {"severity", m.Severity}, {"summary", m.Summary}, {"description", m.Description},
		{"url", m.URL}, {"fingerprint", m.Fingerprint}, {"test", m.Test},
	} {
		if p.source != "" {
			v.expression(field+"."+p.key, p.source)
		}
	}
	for label, source := range m.Labels {
		v.label(field+".labels."+label, label)
		v.expression(field+".labels."+label, source)
		if _, twice := m.Constants[label]; twice {
			v.complain(field+".constants."+label, "the label stands in labels too", "")
		}
	}
	for name, source := range m.Annotations {
		v.expression(field+".annotations."+name, source)
	}
	for label, value := range m.Constants {
		v.label(field+".constants."+label, label)
		if label == "severity" && m.Severity != "" {
			v.complain(field+".constants."+label, "the key severity says it already", "")
		}
		if strings.Contains(value, "{{") {
			v.complain(field+".constants."+label, "a constant stands as it is: put a path into labels", "")
		}
	}
	v.statuses(field, m)
}

func (v *validator) expression(field, source string) {
	if _, err := jsonpath.Parse(source); err != nil {
		v.complain(field, err.Error(), syntaxHint)
	}
}

// label complains about a label that has a key of its own.
func (v *validator) label(field, label string) {
	switch label {
	case "":
		v.complain(field, "a label has a name", "")
	case "alertname":
		v.complain(field, "the label alertname is what name says", "")
	case "severity":
		if !strings.Contains(field, ".constants.") {
			v.complain(field, "the label severity is what the key severity says", "")
		}
	}
}

// statuses complains about a word that would mean two things, and about words
// for a status that is never looked at.
func (v *validator) statuses(field string, m Mapping) {
	lists := []struct {
		key   string
		words List
	}{{"firing", m.Firing}, {"resolved", m.Resolved}, {"ignored", m.Ignored}}
	var seen []string
	for _, list := range lists {
		if len(list.words) > 0 && m.Status == "" {
			v.complain(field+"."+list.key, "without status, the path of the value, no word is ever compared", "")
		}
		for _, word := range list.words {
			word = strings.ToLower(strings.TrimSpace(word))
			if word == "" || slices.Contains(seen, word) {
				v.complain(field+"."+list.key, fmt.Sprintf("the value %q is empty or stands twice", word), "")
			}
			seen = append(seen, word)
		}
	}
}
