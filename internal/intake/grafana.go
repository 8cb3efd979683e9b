package intake

import (
	"regexp"
	"strings"

	"lifeline"
)

// nextGrafana tells what a message should look like.
const nextGrafana = "Send the message of Grafana's webhook contact point, without a custom payload; Grafana 9 or later: https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/"

// grafana is the webhook contact point of Grafana's alerting. Its alerts are
// Alertmanager's with more in them. An alert about Grafana's own trouble with a
// rule comes as an alert of its own name: DatasourceError, DatasourceNoData.
func grafana() dialect {
	return dialect{
		source: "grafana", hint: nextGrafana,
		statuses: map[string]lifeline.AlertStatus{
			"firing": lifeline.AlertFiring, "alerting": lifeline.AlertFiring, "no_data": lifeline.AlertFiring, "nodata": lifeline.AlertFiring,
			"error": lifeline.AlertFiring, "resolved": lifeline.AlertResolved, "ok": lifeline.AlertResolved, "normal": lifeline.AlertResolved,
		},
		// The values are what the rule measured, the rest is where a person looks.
		notes:  map[string]bool{"valueString": true, "dashboardURL": true, "panelURL": true, "imageURL": true, "silenceURL": true},
		isTest: isGrafanaTest,
	}
}

// isGrafanaTest recognises the message behind the button "Test" of a contact
// point. Its alert is named TestAlert, whatever other labels its user adds; a
// rule that somebody named so is a test by its own word. Where the user gave it
// another name, two other signs have to agree: the group's key, which for real
// groups begins with a brace and for a test is made of the receiver's name, a
// fingerprint and the time, and an instance or address that no rule has.
func isGrafanaTest(g group, a lifeline.Alert) bool {
	if a.Name == "TestAlert" {
		return true
	}
	madeUp := a.Labels["instance"] == "Grafana" || strings.HasPrefix(a.GeneratorURL, "?")
	return madeUp && !strings.HasPrefix(g.key, "{") && testGroupKey().MatchString(g.key)
}

func testGroupKey() *regexp.Regexp {
	return regexp.MustCompile(`-[0-9a-f]{16}-[0-9]{9,11}$`)
}
