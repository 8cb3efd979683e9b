package intake

import "lifeline"

// nextAlertmanager tells what a message should look like.
const nextAlertmanager = "Send the message of Alertmanager's webhook, version 4: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config"

// alertmanager is the webhook of Alertmanager, and of what speaks like it:
// older versions, which leave out an alert's status and fingerprint, and
// Grafana's Alertmanager-like contact point.
func alertmanager() dialect {
	return dialect{
		source: "alertmanager", hint: nextAlertmanager,
		statuses: map[string]lifeline.AlertStatus{"firing": lifeline.AlertFiring, "resolved": lifeline.AlertResolved},
		isTest:   isGrafanaTest,
	}
}
