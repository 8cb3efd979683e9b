package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"lifeline"
	"lifeline/internal/escape"
)

// alertSender plays the Alertmanager: it posts to the webhook over HTTP what
// Alertmanager 0.28 would, with the token that the webhook asks for.
type alertSender struct {
	fault  demoFault
	token  string
	starts time.Time
}

func newAlertSender(fault demoFault) *alertSender {
	return &alertSender{fault: fault, token: rand.Text(), starts: time.Now().UTC().Truncate(time.Millisecond)}
}

// alertmanagerMessage is version 4 of Alertmanager's webhook message.
type alertmanagerMessage struct {
	Version           string              `json:"version"`
	GroupKey          string              `json:"groupKey"`
	TruncatedAlerts   int                 `json:"truncatedAlerts"`
	Status            string              `json:"status"`
	Receiver          string              `json:"receiver"`
	GroupLabels       map[string]string   `json:"groupLabels"`
	CommonLabels      map[string]string   `json:"commonLabels"`
	CommonAnnotations map[string]string   `json:"commonAnnotations"`
	ExternalURL       string              `json:"externalURL"`
	Alerts            []alertmanagerAlert `json:"alerts"`
}

type alertmanagerAlert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"` // year 1 while it fires
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// labels are those of the usual exporters: cAdvisor's for a container,
// node_exporter's for a unit.
func (f demoFault) labels() map[string]string {
	labels := map[string]string{"alertname": f.alert, "severity": "critical", "instance": f.target.Host + ":9100"}
	if f.target.Kind == lifeline.TargetUnit {
		labels["job"], labels["name"], labels["state"], labels["type"] = "node", f.target.Name, "failed", "simple"
	} else {
		labels["job"], labels["container"] = "docker", f.target.Name
	}
	return labels
}

func (s *alertSender) message(status lifeline.AlertStatus) alertmanagerMessage {
	labels := s.fault.labels()
	annotations := map[string]string{"summary": s.fault.summary}
	alert := alertmanagerAlert{
		Status: string(status), Labels: labels, Annotations: annotations, StartsAt: s.starts,
		GeneratorURL: "http://prometheus.example.net:9090/graph?g0.tab=1", Fingerprint: lifeline.LabelFingerprint(labels),
	}
	if status == lifeline.AlertResolved {
		alert.EndsAt = time.Now().UTC().Truncate(time.Millisecond)
	}
	return alertmanagerMessage{
		Version: "4", GroupKey: fmt.Sprintf("{}:{alertname=%q}", s.fault.alert), Status: string(status), Receiver: "lifeline",
		GroupLabels: map[string]string{"alertname": s.fault.alert}, CommonLabels: labels, CommonAnnotations: annotations,
		ExternalURL: "http://alertmanager.example.net:9093", Alerts: []alertmanagerAlert{alert},
	}
}

// post delivers the alert to the service at the address.
func (s *alertSender) post(ctx context.Context, address string, status lifeline.AlertStatus) error {
	body, err := json.Marshal(s.message(status))
	if err != nil {
		return fmt.Errorf("encode the alert: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/webhook/alertmanager", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("post the alert: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.token)
	// The service is on this machine: no proxy of the environment is asked.
	client := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("post the alert: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("post the alert: the webhook answered %s: %s", resp.Status, escape.Line(string(said)))
	}
	return nil
}
