package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lifeline"
)

func at(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// Incidents gives a page of incidents, newest first.
func (c *Client) Incidents(ctx context.Context, q lifeline.IncidentQuery) (page lifeline.IncidentPage, err error) {
	v := url.Values{}
	var states []string
	for _, s := range q.States {
		states = append(states, string(s))
	}
	for name, value := range map[string]string{"state": strings.Join(states, ","), "host": q.Host, "thing": q.Thing, "alert": q.Alert, "text": q.Text, "after": q.After} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if !q.From.IsZero() {
		v.Set("from", at(q.From))
	}
	if !q.Until.IsZero() {
		v.Set("until", at(q.Until))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	err = c.call(ctx, http.MethodGet, "/incidents", v, nil, &page)
	return page, err
}

// Case is an incident with everything on record about it.
func (c *Client) Case(ctx context.Context, id string) (out lifeline.CaseFile, err error) {
	err = c.call(ctx, http.MethodGet, "/incidents/"+url.PathEscape(id), nil, nil, &out)
	return out, err
}

// CaseMarkdown is the case as a person takes it over.
func (c *Client) CaseMarkdown(ctx context.Context, id string) (string, error) {
	text, err := c.send(ctx, http.MethodGet, "/incidents/"+url.PathEscape(id)+"/markdown", nil, nil, "text/markdown")
	return string(text), err
}

// Approvals lists what a person can decide about now, or all.
func (c *Client) Approvals(ctx context.Context, all bool) ([]lifeline.Approval, error) {
	var out struct {
		Approvals []lifeline.Approval `json:"approvals"`
	}
	err := c.call(ctx, http.MethodGet, "/approvals", ever(all), nil, &out)
	return out.Approvals, err
}

func ever(all bool) url.Values {
	if !all {
		return nil
	}
	return url.Values{"all": {"true"}}
}

// Decide answers an approval.
func (c *Client) Decide(ctx context.Context, id string, approve bool, reason string) (a lifeline.Approval, err error) {
	word := map[bool]string{true: "approve", false: "deny"}[approve]
	err = c.call(ctx, http.MethodPost, "/approvals/"+url.PathEscape(id), nil, map[string]string{"decision": word, "reason": reason}, &a)
	return a, err
}

// Status is where things stand.
func (c *Client) Status(ctx context.Context) (s lifeline.Status, err error) {
	err = c.call(ctx, http.MethodGet, "/status", nil, nil, &s)
	return s, err
}

// Pause turns the kill switch on.
func (c *Client) Pause(ctx context.Context, reason string, now bool) (p lifeline.Pause, err error) {
	err = c.call(ctx, http.MethodPost, "/pause", nil, map[string]any{"reason": reason, "now": now}, &p)
	return p, err
}

// Resume turns the kill switch off.
func (c *Client) Resume(ctx context.Context, reason string) (p lifeline.Pause, err error) {
	err = c.call(ctx, http.MethodPost, "/resume", nil, map[string]string{"reason": reason}, &p)
	return p, err
}

// Hosts are the configured hosts as they are now.
func (c *Client) Hosts(ctx context.Context) ([]lifeline.HostView, error) {
	var out struct {
		Hosts []lifeline.HostView `json:"hosts"`
	}
	err := c.call(ctx, http.MethodGet, "/hosts", nil, nil, &out)
	return out.Hosts, err
}

// Audit is the end of a verification of the record.
func (c *Client) Audit(ctx context.Context) (a lifeline.AuditView, err error) {
	err = c.call(ctx, http.MethodGet, "/audit", nil, nil, &a)
	return a, err
}

// Maintenances lists the windows that are in force or yet to come, or all.
func (c *Client) Maintenances(ctx context.Context, all bool) ([]lifeline.Maintenance, error) {
	var out struct {
		Maintenance []lifeline.Maintenance `json:"maintenance"`
	}
	err := c.call(ctx, http.MethodGet, "/maintenance", ever(all), nil, &out)
	return out.Maintenance, err
}

// AddMaintenance adds a window. Who asks for it is known to the server.
func (c *Client) AddMaintenance(ctx context.Context, m lifeline.Maintenance) (out lifeline.Maintenance, err error) {
	in := struct {
		Scope  lifeline.MaintenanceScope `json:"scope"`
		From   time.Time                 `json:"from,omitzero"`
		Until  time.Time                 `json:"until"`
		Reason string                    `json:"reason,omitempty"`
	}{m.Scope, m.From, m.Until, m.Reason}
	err = c.call(ctx, http.MethodPost, "/maintenance", nil, in, &out)
	return out, err
}

// EndMaintenance ends a window before its time.
func (c *Client) EndMaintenance(ctx context.Context, id string) (m lifeline.Maintenance, err error) {
	err = c.call(ctx, http.MethodDelete, "/maintenance/"+url.PathEscape(id), nil, nil, &m)
	return m, err
}
