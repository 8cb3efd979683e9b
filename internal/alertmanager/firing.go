package alertmanager

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lifeline"
)

// alert is one of GET /alerts: an alert that has not ended. A silenced or an
// inhibited one fires as well.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Fingerprint string            `json:"fingerprint"`
}

// settled is how long after its start an Alertmanager has heard again of all
// that fires: Prometheus repeats itself at least once a minute.
const settled = 5 * time.Minute

// few is up to how many alerts each is asked about by all its labels; of more,
// all of one name are asked for at once.
const few = 8

// maxFilter bounds, in bytes, the matchers of one question. They only shorten
// the answer: which alert is ours is decided here.
const maxFilter = 2 << 10

// Firing reports whether any of the alerts fires, silenced or not. They are
// found by their fingerprint or by all their labels. The error means that it
// cannot be told: nobody answered, the one that did was started after the alert
// and may not have heard of it, or secrets were taken out of the labels.
func (c *Client) Firing(ctx context.Context, alerts []lifeline.Alert) (firing bool, err error) {
	if len(alerts) == 0 {
		return false, errors.New("ask Alertmanager: about no alert")
	}
	for _, a := range alerts {
		if a.Fingerprint == "" && withheld(a) {
			return false, fmt.Errorf("ask Alertmanager: the labels of %s are not known as they were sent: a secret was taken out", a.Name)
		}
	}
	err = c.each(ctx, func(base string) error {
		firing = false
		asked := map[string]bool{}
		for _, a := range alerts {
			question := base + "/alerts?" + filter(a, len(alerts) <= few)
			if asked[question] {
				continue
			}
			asked[question] = true
			var found []alert
			if err := c.call(ctx, http.MethodGet, question, nil, &found); err != nil {
				return err
			}
			if slices.ContainsFunc(found, func(f alert) bool { return slices.ContainsFunc(alerts, f.is) }) {
				firing = true
				return nil
			}
		}
		return c.mustKnow(ctx, base, alerts)
	})
	return firing && err == nil, err
}

// is reports whether an alert is the one that was received.
func (f alert) is(a lifeline.Alert) bool {
	return f.Fingerprint != "" && f.Fingerprint == a.Fingerprint || maps.Equal(f.Labels, a.Labels)
}

// mustKnow fails for an Alertmanager that may not have heard of the alerts.
func (c *Client) mustKnow(ctx context.Context, base string, alerts []lifeline.Alert) error {
	var status struct {
		Uptime time.Time `json:"uptime"` // when it was started
	}
	if err := c.call(ctx, http.MethodGet, base+"/status", nil, &status); err != nil {
		return err
	}
	if status.Uptime.IsZero() {
		return errors.New("it does not say since when it runs")
	}
	if time.Since(status.Uptime) >= settled {
		return nil
	}
	for _, a := range alerts {
		if a.StartsAt.IsZero() || status.Uptime.After(a.StartsAt) {
			return fmt.Errorf("it was started at %s, after the alert: it may not have heard of it yet", status.Uptime.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// filter is the query of a question about an alert, or about all of its name.
func filter(a lifeline.Alert, closely bool) string {
	query := url.Values{"active": {"true"}, "silenced": {"true"}, "inhibited": {"true"}, "unprocessed": {"true"}}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		value := a.Labels[name]
		matcher := name + "=" + strconv.Quote(value)
		if !closely && name != "alertname" || !plainName(name) || redacted(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) || size+len(matcher) > maxFilter {
			continue
		}
		size += len(matcher)
		query.Add("filter", matcher)
	}
	return query.Encode()
}

// plainName reports whether every Alertmanager takes a label's name as it is.
func plainName(name string) bool {
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// redacted reports whether something was taken out of a value, or its end.
func redacted(value string) bool {
	return strings.Contains(value, "[redacted: ") || len(value) > 4<<10
}

// withheld reports whether a label of the alert is not what its sender sent.
func withheld(a lifeline.Alert) bool {
	for _, v := range a.Labels {
		if redacted(v) {
			return true
		}
	}
	return false
}
