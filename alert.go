package lifeline

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"time"
)

// AlertStatus says whether a monitoring system sees the fault now.
type AlertStatus string

const (
	AlertFiring   AlertStatus = "firing"
	AlertResolved AlertStatus = "resolved"
)

// Alert is one alert of one sender, as its webhook gave it. Every string in it
// comes from outside and is data, never instruction.
type Alert struct {
	// Source names the sender's protocol: "alertmanager".
	Source string      `json:"source"`
	Status AlertStatus `json:"status"`
	// Name is the label alertname; "" where the sender gave none.
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    time.Time         `json:"starts_at,omitzero"`
	EndsAt      time.Time         `json:"ends_at,omitzero"`
	// Fingerprint identifies the label set at its sender. Older senders leave
	// it out: intake then sets LabelFingerprint.
	Fingerprint  string `json:"fingerprint"`
	GeneratorURL string `json:"generator_url,omitempty"`
	// Test marks a message that the sender says is a test: stored, never worked.
	Test bool `json:"test,omitempty"`
	// Once marks an alert whose sender never says that it is over.
	Once bool `json:"once,omitempty"`
}

// Severity is the label "severity", or "none".
func (a Alert) Severity() string {
	if s := a.Labels["severity"]; s != "" {
		return s
	}
	return "none"
}

// Summary is the sender's one-line description, or the alert's name.
func (a Alert) Summary() string {
	for _, key := range []string{"summary", "description", "message"} {
		if s := a.Annotations[key]; s != "" {
			return s
		}
	}
	return a.Name
}

// LabelFingerprint identifies a label set: 16 hexadecimal digits that depend
// on every name and value and on nothing else.
func LabelFingerprint(labels map[string]string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		h.Write([]byte(name))
		h.Write([]byte{0})
		h.Write([]byte(labels[name]))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// TriagedAlert is an alert with what triage found out about it.
type TriagedAlert struct {
	Alert
	// Key of the incident that it belongs to.
	Key    string
	Target Target
}

// Receipt says what became of one received alert.
type Receipt struct {
	AlertID    string        `json:"alert_id"`
	IncidentID string        `json:"incident_id,omitempty"`
	Result     ReceiptResult `json:"result"`
}

// ReceiptResult is the verdict of triage on one alert.
type ReceiptResult string

const (
	ReceiptOpened   ReceiptResult = "opened"   // a new incident, its remediation enqueued
	ReceiptRepeat   ReceiptResult = "repeat"   // belongs to an incident that is open
	ReceiptResolved ReceiptResult = "resolved" // the sender no longer sees the fault
	ReceiptTest     ReceiptResult = "test"     // a test message: stored, nothing started
	ReceiptIgnored  ReceiptResult = "ignored"  // a resolve for which no incident is open
)
