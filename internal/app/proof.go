package app

import (
	"context"
	"time"

	"lifeline"
	"lifeline/internal/alertmanager"
	"lifeline/internal/check"
	"lifeline/internal/config"
	"lifeline/internal/probe"
)

// newProber makes the checks that are made from this process.
func newProber(cfg *config.Config) (*probe.Prober, error) {
	secrets, err := cfg.PrometheusSecrets()
	if err != nil {
		return nil, err
	}
	roots, err := cfg.Roots("prometheus")
	if err != nil {
		return nil, err
	}
	return probe.New(probe.Config{Prometheus: probe.Server{
		URL: cfg.Prometheus.URL, Username: secrets.Username, Password: secrets.Password, Token: secrets.Token, Roots: roots,
	}})
}

// newAlertmanager is nil if none is configured.
func newAlertmanager(cfg *config.Config) (*alertmanager.Client, error) {
	if len(cfg.Alertmanager.URL) == 0 {
		return nil, nil
	}
	secrets, err := cfg.AlertmanagerSecrets()
	if err != nil {
		return nil, err
	}
	roots, err := cfg.Roots("alertmanager")
	if err != nil {
		return nil, err
	}
	return alertmanager.New(alertmanager.Config{
		URLs: cfg.Alertmanager.URL, Username: secrets.Username, Password: secrets.Password, Token: secrets.Token, Roots: roots,
	})
}

// ownCheck is one of the checks of the configuration.
type ownCheck struct {
	match config.CheckMatch
	*check.Check
}

func newOwnChecks(cfg *config.Config) ([]ownCheck, error) {
	own := make([]ownCheck, len(cfg.Checks))
	for i, c := range cfg.Checks {
		compiled, err := c.Compile()
		if err != nil {
			return nil, &lifeline.Error{Code: lifeline.CodeConfig, Message: "checks", Err: err}
		}
		own[i] = ownCheck{c.Match, compiled}
	}
	return own, nil
}

// ownChecks are the configuration's checks of a target.
func (r *responders) ownChecks(alert string, target lifeline.Target) (checks []lifeline.Check, err error) {
	for _, own := range r.own {
		if !own.match.Matches(alert, target) {
			continue
		}
		c, err := own.For(target, r.cfg.AddressOf(target.Host))
		if err != nil {
			return nil, &lifeline.Error{Code: lifeline.CodeConfig, Message: "a check of the configuration cannot be made of the " + target.String(), Err: err}
		}
		checks = append(checks, c)
	}
	return checks, nil
}

// silencer silences the alerts of an incident at Alertmanager.
type silencer struct {
	client *alertmanager.Client
	cfg    *config.Config
}

// Silence implements respond.Silencer. On a host where nothing is changed there
// is no repair to be silent about.
func (s silencer) Silence(ctx context.Context, inc lifeline.Incident, alerts []lifeline.Alert) (ids []string, err error) {
	if s.cfg.Hosts[inc.Target.Host].Mode == lifeline.ModeObserve {
		return nil, nil
	}
	for _, a := range alerts {
		id, err := s.client.Silence(ctx, a, silenceComment(inc.ID), s.lasts())
		if err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Unsilence implements respond.Silencer. It tries each.
func (s silencer) Unsilence(ctx context.Context, ids []string) error {
	var failed error
	for _, id := range ids {
		if err := s.client.Expire(ctx, id); err != nil {
			failed = err
		}
	}
	return failed
}

// lasts bounds a silence that nobody removes: one attempt with its proof.
func (s silencer) lasts() time.Duration {
	r := s.cfg.Respond
	return s.cfg.Model.Budget.Time.D() + r.VerifyTimeout.D() + 2*r.VerifyFor.D() + r.AlertTimeout.D()
}

const silencePrefix = "Lifeline repairs it: incident "

// silenceComment names the incident: by it a silence is found again.
func silenceComment(incidentID string) string { return silencePrefix + incidentID }
