package intake

import (
	"fmt"
	"maps"
	"net/http"
	"time"

	"lifeline"
)

// group is a message with a list of alerts and what they have in common, as
// Alertmanager's webhook, version 4, and Grafana's have it: the parts of it
// that are read.
type group struct {
	status            lifeline.AlertStatus
	commonLabels      map[string]string
	commonAnnotations map[string]string
	alerts            []lifeline.Alert
	places            []int // where each alert begins
	truncated         int
	// key is the group's. It is the same for all alerts of a sender that groups
	// by nothing, and says nothing about an alert; a test has one of its own.
	key string
}

// dialect is what the senders of such messages do not have in common.
type dialect struct {
	source, hint string
	// statuses are the words for firing and resolved, besides "" for neither.
	statuses map[string]lifeline.AlertStatus
	// notes are fields of an alert that are kept as annotations.
	notes map[string]bool
	// isTest recognises a test message.
	isTest func(group, lifeline.Alert) bool
}

// read reads one message.
func (d dialect) read(w http.ResponseWriter, r *http.Request, maxBytes int64) (message, error) {
	j, err := readJSON(w, r, maxBytes, d.hint)
	if err != nil {
		return message{}, err
	}
	g, err := d.group(j)
	if err != nil {
		return message{}, err
	}
	for i := range g.alerts {
		if err := d.complete(&g, j, i, time.Now()); err != nil {
			return message{}, err
		}
	}
	return message{alerts: g.alerts, truncated: g.truncated}, nil
}

func (d dialect) group(j *jsonReader) (group, error) {
	var g group
	err := j.object("", func(name string) (err error) {
		switch name {
		case "status":
			g.status, err = d.status(j, name)
		case "groupKey":
			g.key, err = j.scalar(name)
		case "commonLabels":
			g.commonLabels, err = j.texts(name)
		case "commonAnnotations":
			g.commonAnnotations, err = j.texts(name)
		case "truncatedAlerts":
			g.truncated, err = j.count(name)
		case "alerts":
			err = j.list(name, func(i int) error {
				if i == maxAlerts {
					return tooMany()
				}
				g.places = append(g.places, j.at())
				a, err := d.alert(j, fmt.Sprintf("alerts[%d]", i))
				g.alerts = append(g.alerts, a)
				return err
			})
		default: // newer versions and other senders say more
			err = j.skip(name)
		}
		return err
	})
	if err == nil && len(g.alerts) == 0 {
		p := malformed("There is no alert in this message.", d.hint)
		p.Field = "alerts"
		return g, p
	}
	return g, err
}

func (d dialect) alert(j *jsonReader, field string) (lifeline.Alert, error) {
	a := lifeline.Alert{Source: d.source}
	notes := map[string]string{}
	err := j.object(field, func(name string) (err error) {
		at := join(field, name)
		switch name {
		case "status":
			a.Status, err = d.status(j, at)
		case "labels":
			a.Labels, err = j.texts(at)
		case "annotations":
			a.Annotations, err = j.texts(at)
		case "startsAt":
			a.StartsAt, err = j.time(at)
		case "endsAt":
			a.EndsAt, err = j.time(at)
		case "generatorURL":
			a.GeneratorURL, err = j.text(at)
		case "fingerprint":
			a.Fingerprint, err = j.text(at)
		default:
			if !d.notes[name] {
				return j.skip(at)
			}
			if notes[name], err = j.scalar(at); notes[name] == "" {
				delete(notes, name)
			}
		}
		return err
	})
	if len(notes) > 0 { // what the rule's own annotations say counts first
		maps.Copy(notes, a.Annotations)
		a.Annotations = notes
	}
	return a, err
}

// status reads firing or resolved; "" if there is none.
func (d dialect) status(j *jsonReader, field string) (lifeline.AlertStatus, error) {
	at := j.at()
	s, err := j.text(field)
	if err != nil || s == "" {
		return "", err
	}
	status, known := d.statuses[s]
	if !known {
		return "", j.problemAt(at, field, "Want firing or resolved, got "+shown(s)+".", d.hint)
	}
	return status, nil
}

// complete fills in what an alert leaves to its group. What the alert says
// itself counts first: the group's status is firing as soon as one alert of it
// is.
func (d dialect) complete(g *group, j *jsonReader, i int, now time.Time) error {
	a := &g.alerts[i]
	if len(a.Labels) == 0 {
		a.Labels = maps.Clone(g.commonLabels)
	}
	if len(a.Labels) == 0 {
		return j.problemAt(g.places[i], fmt.Sprintf("alerts[%d].labels", i), "The alert has no labels, so it cannot be told from any other.", d.hint)
	}
	if len(a.Annotations) == 0 {
		a.Annotations = maps.Clone(g.commonAnnotations)
	}
	switch {
	case a.Status != "":
	case !a.EndsAt.IsZero() && a.EndsAt.Before(now):
		a.Status = lifeline.AlertResolved
	case g.status != "":
		a.Status = g.status
	default:
		a.Status = lifeline.AlertFiring
	}
	a.Name = a.Labels["alertname"]
	a.Test = d.isTest(*g, *a)
	if a.Fingerprint == "" {
		a.Fingerprint = lifeline.LabelFingerprint(a.Labels)
	}
	return nil
}
