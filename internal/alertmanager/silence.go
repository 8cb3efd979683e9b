package alertmanager

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"lifeline"
)

// Owner is what our own silences are created by.
const Owner = "lifeline"

// Silence is one silence of Alertmanager.
type Silence struct {
	ID        string    `json:"id,omitempty"`
	Matchers  []Matcher `json:"matchers"`
	StartsAt  time.Time `json:"startsAt"`
	EndsAt    time.Time `json:"endsAt"`
	CreatedBy string    `json:"createdBy"`
	Comment   string    `json:"comment"`
	Status    *Status   `json:"status,omitempty"`
}

// Status of a silence.
type Status struct {
	State string `json:"state"` // active, pending or expired
}

// Matcher is one condition of a silence. IsEqual is nil where an old
// Alertmanager does not say it: then it is true.
type Matcher struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	IsRegex bool   `json:"isRegex"`
	IsEqual *bool  `json:"isEqual,omitempty"`
}

// Plain reports whether the matcher is name=value, and nothing else.
func (m Matcher) Plain() bool { return !m.IsRegex && (m.IsEqual == nil || *m.IsEqual) }

// Active reports whether the silence is in force.
func (s Silence) Active() bool { return s.Status == nil || s.Status.State == "active" }

// Silences lists the silences that are in force.
func (c *Client) Silences(ctx context.Context) ([]Silence, error) {
	var all []Silence
	err := c.each(ctx, func(base string) error {
		all = nil
		return c.call(ctx, http.MethodGet, base+"/silences", nil, &all)
	})
	return slices.DeleteFunc(all, func(s Silence) bool { return !s.Active() }), err
}

// Silence silences exactly one alert for a time and gives the silence's ID.
// comment names what it is for: called again with the same one about the same
// alert, it prolongs the silence that is there instead of making a second.
func (c *Client) Silence(ctx context.Context, a lifeline.Alert, comment string, d time.Duration) (id string, err error) {
	switch {
	case a.Labels["alertname"] == "":
		return "", errors.New("silence the alert: it has no label alertname")
	case withheld(a):
		return "", fmt.Errorf("silence the alert %s: its labels are not known as they were sent: a secret was taken out", a.Name)
	}
	matchers := make([]Matcher, 0, len(a.Labels))
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		if a.Labels[name] != "" { // an empty label is none
			matchers = append(matchers, Matcher{Name: name, Value: a.Labels[name], IsEqual: new(true)})
		}
	}
	now := time.Now().UTC()
	wanted := Silence{Matchers: matchers, StartsAt: now, EndsAt: now.Add(d), CreatedBy: Owner, Comment: comment}
	known, err := c.Silences(ctx)
	if err != nil {
		return "", err
	}
	for _, s := range known {
		if s.CreatedBy == Owner && s.Comment == comment && s.same(wanted) {
			wanted.ID, wanted.StartsAt = s.ID, s.StartsAt // else it would end and another begin
			if !s.EndsAt.Before(wanted.EndsAt) {
				return s.ID, nil
			}
		}
	}
	err = c.each(ctx, func(base string) error {
		var made struct {
			ID string `json:"silenceID"`
		}
		if err := c.call(ctx, http.MethodPost, base+"/silences", wanted, &made); err != nil {
			return err
		}
		id = made.ID
		return nil
	})
	return id, err
}

// same reports whether two silences are about the same.
func (s Silence) same(other Silence) bool {
	conditions := func(s Silence) map[string]string {
		m := map[string]string{}
		for _, c := range s.Matchers {
			if c.Plain() {
				m[c.Name] = c.Value
			}
		}
		return m
	}
	return len(s.Matchers) == len(other.Matchers) && maps.Equal(conditions(s), conditions(other))
}

// Expire ends a silence. One that has ended, or that nobody knows, is no error.
func (c *Client) Expire(ctx context.Context, id string) error {
	err := c.each(ctx, func(base string) error {
		return c.call(ctx, http.MethodDelete, base+"/silence/"+url.PathEscape(id), nil, nil)
	})
	if err == nil {
		return nil
	}
	// Alertmanager answers 500 for a silence that has ended: look whether it has.
	known, listErr := c.Silences(ctx)
	if listErr == nil && !slices.ContainsFunc(known, func(s Silence) bool { return s.ID == id }) {
		return nil
	}
	return err
}
