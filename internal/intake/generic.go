package intake

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"lifeline"
)

const (
	sourceGeneric = "generic"
	pathGeneric   = "/webhook/generic"
)

// nextGeneric tells what a message should look like.
const nextGeneric = `Send at least a name and a host: curl --json '{"name": "DiskFull", "host": "nexus", "status": "firing", "summary": "93 % used"}'. docs/sources.md lists all fields, and how to map others.`

// flatField is one field of the default shape with its other names, the first
// of which that is there counts.
type flatField struct {
	label string // "": not a label
	names []string
}

// flatFields are the fields of the default shape. The other scalar fields of a
// message become annotations: they may change with every message, and a label
// is what an alert is known by.
func flatFields() map[string]flatField {
	return map[string]flatField{
		"name":        {"alertname", []string{"name", "alertname", "alert", "title"}},
		"host":        {"host", []string{"host", "hostname", "node", "server", "machine"}},
		"status":      {"", []string{"status", "state"}},
		"severity":    {"severity", []string{"severity", "level", "priority"}},
		"summary":     {"", []string{"summary", "message", "msg", "text"}},
		"description": {"", []string{"description", "details", "output"}},
		"container":   {"container", []string{"container", "container_name"}},
		"unit":        {"unit", []string{"unit", "systemd_unit"}},
		"mount":       {"mountpoint", []string{"mount", "mountpoint"}},
		"id":          {"", []string{"id", "fingerprint", "key"}},
		"url":         {"", []string{"url", "link"}},
		"test":        {"", []string{"test"}},
		"once":        {"", []string{"once"}},
	}
}

// readGeneric reads the default shape: an object with flat fields, a list of
// them, or one under "alerts"; or a form.
func readGeneric(w http.ResponseWriter, r *http.Request, maxBytes int64) (message, error) {
	data, err := readAny(w, r, maxBytes, nextGeneric)
	if err != nil {
		return message{}, err
	}
	j, err := newJSONReader(data, nextGeneric)
	if err != nil {
		return message{}, err
	}
	var msg message
	one := func(field string) error {
		if len(msg.alerts) == maxAlerts {
			return tooMany()
		}
		a, err := readFlat(j, field)
		msg.alerts = append(msg.alerts, a...)
		return err
	}
	if at := j.at(); data[at] == '[' {
		err = j.list("", func(i int) error { return one(fmt.Sprintf("[%d]", i)) })
	} else {
		err = one("")
	}
	if err == nil && len(msg.alerts) == 0 {
		err = malformed("There is no alert in this message.", nextGeneric)
	}
	return msg, err
}

// readAny reads a body that is JSON or a form as JSON.
func readAny(w http.ResponseWriter, r *http.Request, maxBytes int64, hint string) ([]byte, error) {
	b, err := readBody(w, r, maxBytes, format{kinds: []kind{kindJSON, kindForm, kindMultipart, kindText}, hint: hint})
	if err != nil || b.kind == kindJSON {
		return b.data, err
	}
	fields, err := b.fields(hint)
	if err != nil {
		return nil, err
	}
	return asJSON(fields), nil
}

// readFlat reads one object of the default shape.
func readFlat(j *jsonReader, field string) ([]lifeline.Alert, error) {
	place := j.at()
	flat := map[string]string{}
	labels, annotations := map[string]string{}, map[string]string{}
	var under []lifeline.Alert
	var there []string
	err := j.object(field, func(name string) (err error) {
		at := join(field, name)
		there = append(there, name)
		switch key := withoutNUL(name); {
		case name == "labels":
			labels, err = j.scalars(at)
		case name == "annotations":
			annotations, err = j.scalars(at)
		case name == "alerts" && field == "":
			err = j.list(at, func(i int) error {
				if len(under) == maxAlerts {
					return tooMany()
				}
				a, err := readFlat(j, fmt.Sprintf("alerts[%d]", i))
				under = append(under, a...)
				return err
			})
		default:
			if flat[key], err = j.scalar(at); flat[key] == "" {
				delete(flat, key)
			}
		}
		return err
	})
	if err != nil || under != nil {
		return under, err
	}
	a, err := flatAlert(flat, labels, annotations, there)
	if p, ok := err.(*problem); ok {
		at := j.problemAt(place, join(field, p.Field), p.Detail, p.Next)
		return nil, at
	}
	return []lifeline.Alert{a}, nil
}

// flatAlert makes an alert of flat fields. It takes the maps over.
func flatAlert(flat, labels, annotations map[string]string, there []string) (lifeline.Alert, error) {
	for name, value := range flat { // as a form has them
		if label, ok := strings.CutPrefix(name, "labels."); ok && label != "" {
			labels[label] = value
			delete(flat, name)
		}
	}
	found := map[string]string{}
	for name, f := range flatFields() {
		for _, alias := range f.names {
			if value := strings.TrimSpace(flat[alias]); value != "" {
				found[name] = value
				delete(flat, alias)
				break
			}
		}
		if f.label != "" && found[name] != "" {
			labels[f.label] = found[name]
		}
	}
	for name, value := range flat {
		if _, given := annotations[name]; !given {
			annotations[name] = value
		}
	}
	for _, name := range []string{"summary", "description"} {
		if found[name] != "" {
			annotations[name] = found[name]
		}
	}
	a := lifeline.Alert{Source: sourceGeneric, Name: labels["alertname"], Labels: labels, Annotations: annotations,
		Fingerprint: found["id"], GeneratorURL: found["url"], Test: truth(found["test"]), Once: truth(found["once"])}
	if a.Name == "" {
		return a, missingName("The alert has no name.", there, nextGeneric)
	}
	var known bool
	a.Status, known = (statusWords{}).status(found["status"])
	if !known {
		p := malformed("Want firing or resolved, got "+shown(found["status"])+".", nextGeneric)
		p.Field = "status"
		return a, p
	}
	identify(&a)
	return a, nil
}

// missingName is the problem with a message that has no name, and tells what
// it has.
func missingName(detail string, there []string, next string) *problem {
	const most = 40
	list := make([]string, 0, most)
	for i, name := range there {
		if i == most {
			list = append(list, "…")
			break
		}
		list = append(list, shown(name))
	}
	if len(list) == 0 {
		list = []string{"none"}
	}
	p := malformed(detail+" The keys that there are: "+strings.Join(list, ", ")+".", next)
	p.Field = "name"
	return p
}

// identify gives an alert a fingerprint if its sender gave none. Its severity is
// no part of it: some senders call the end of a fault by another one.
func identify(a *lifeline.Alert) {
	if a.Fingerprint == "" {
		labels := maps.Clone(a.Labels)
		delete(labels, "severity")
		a.Fingerprint = lifeline.LabelFingerprint(labels)
	}
}

// truth is true for every text but those that say no: a test that is not known
// as one would be worked.
func truth(s string) bool {
	return !slices.Contains([]string{"", "0", "false", "no", "off", "none", "null"}, strings.ToLower(strings.TrimSpace(s)))
}

// statusWords are the words for each status, in lower case. A list that is nil
// takes the built-in words.
type statusWords struct{ firing, resolved, ignored []string }

// status reads a status. An alert without one fires; "" and true: it is none.
func (s statusWords) status(word string) (lifeline.AlertStatus, bool) {
	word = strings.ToLower(strings.TrimSpace(word))
	firing, resolved := s.firing, s.resolved
	if firing == nil {
		firing = []string{"firing", "alerting", "alert", "active", "open", "triggered", "problem", "down", "critical", "crit", "warning", "warn", "error", "failed", "failure"}
	}
	if resolved == nil {
		resolved = []string{"resolved", "ok", "up", "recovery", "recovered", "normal", "closed", "cleared", "inactive"}
	}
	switch {
	case slices.Contains(s.ignored, word) && word != "":
		return "", true
	case word == "" || slices.Contains(firing, word):
		return lifeline.AlertFiring, true
	case slices.Contains(resolved, word):
		return lifeline.AlertResolved, true
	}
	return "", false
}
