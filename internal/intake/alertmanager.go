package intake

import (
	"fmt"
	"maps"
	"net/http"
	"time"

	"lifeline"
)

// nextAlertmanager tells what a message should look like.
const nextAlertmanager = "Send the message of Alertmanager's webhook, version 4: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config"

// group is a message of Alertmanager's webhook, version 4: the parts of it
// that are read. The group key is not among them: it is the same for all
// alerts of a sender that groups by nothing, and says nothing about an alert.
type group struct {
	status            lifeline.AlertStatus
	commonLabels      map[string]string
	commonAnnotations map[string]string
	alerts            []lifeline.Alert
	places            []int // where each alert begins
	truncated         int
}

// readAlertmanager reads a message of Alertmanager, and of what speaks like it:
// older versions, which leave out an alert's status and fingerprint, and
// Grafana's Alertmanager-like contact point.
func readAlertmanager(w http.ResponseWriter, r *http.Request, maxBytes int64) (message, error) {
	j, err := readJSON(w, r, maxBytes)
	if err != nil {
		return message{}, err
	}
	g, err := readGroup(j)
	if err != nil {
		return message{}, err
	}
	for i := range g.alerts {
		if err := g.complete(j, i, time.Now()); err != nil {
			return message{}, err
		}
	}
	return message{alerts: g.alerts, truncated: g.truncated}, nil
}

func readGroup(j *jsonReader) (group, error) {
	var g group
	err := j.object("", func(name string) (err error) {
		switch name {
		case "status":
			g.status, err = j.status(name)
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
				a, err := readAlert(j, fmt.Sprintf("alerts[%d]", i))
				g.alerts = append(g.alerts, a)
				return err
			})
		default: // newer versions and other senders say more
			err = j.skip(name)
		}
		return err
	})
	if err == nil && len(g.alerts) == 0 {
		p := malformed("There is no alert in this message.", nextAlertmanager)
		p.Field = "alerts"
		return g, p
	}
	return g, err
}

func readAlert(j *jsonReader, field string) (lifeline.Alert, error) {
	a := lifeline.Alert{Source: "alertmanager"}
	err := j.object(field, func(name string) (err error) {
		at := join(field, name)
		switch name {
		case "status":
			a.Status, err = j.status(at)
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
			err = j.skip(at)
		}
		return err
	})
	return a, err
}

// status reads firing or resolved; "" if there is none.
func (j *jsonReader) status(field string) (lifeline.AlertStatus, error) {
	at := j.at()
	s, err := j.text(field)
	if err != nil {
		return "", err
	}
	switch status := lifeline.AlertStatus(s); status {
	case "", lifeline.AlertFiring, lifeline.AlertResolved:
		return status, nil
	}
	return "", j.problemAt(at, field, "Want firing or resolved, got "+shown(s)+".", nextAlertmanager)
}

// complete fills in what an alert leaves to its group. What the alert says
// itself counts first: the group's status is firing as soon as one alert of it
// is.
func (g *group) complete(j *jsonReader, i int, now time.Time) error {
	a := &g.alerts[i]
	if len(a.Labels) == 0 {
		a.Labels = maps.Clone(g.commonLabels)
	}
	if len(a.Labels) == 0 {
		return j.problemAt(g.places[i], fmt.Sprintf("alerts[%d].labels", i), "The alert has no labels, so it cannot be told from any other.", nextAlertmanager)
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
	a.Test = isTest(*a)
	if a.Fingerprint == "" {
		a.Fingerprint = lifeline.LabelFingerprint(a.Labels)
	}
	return nil
}

// isTest recognises the message behind Grafana's button "Test": its alert is
// named TestAlert, whatever other labels its user adds. A rule that somebody
// named so is a test by its own word.
func isTest(a lifeline.Alert) bool { return a.Name == "TestAlert" }
