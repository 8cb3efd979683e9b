package app

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"time"

	"lifeline"
	"lifeline/internal/alertmanager"
	"lifeline/internal/config"
	"lifeline/internal/redact"
	"lifeline/internal/store"
	"lifeline/internal/triage"
)

// followEvery is how often Alertmanager's silences are read.
const followEvery = 15 * time.Second

// maintenanceKeeper makes the windows of a source exactly these.
type maintenanceKeeper interface {
	SyncMaintenance(ctx context.Context, source string, windows []lifeline.Maintenance) error
}

// follower reads Alertmanager's silences: those of others become maintenance
// windows, and our own are removed that an incident has left behind.
type follower struct {
	client interface {
		Silences(ctx context.Context) ([]alertmanager.Silence, error)
		Expire(ctx context.Context, id string) error
	}
	// windows is nil if silences are not followed.
	windows maintenanceKeeper
	// incident looks up one of our own.
	incident func(ctx context.Context, id string) (lifeline.Incident, error)
	targets  triage.Config
	redact   *redact.Redactor
	log      *slog.Logger

	failing bool
	left    int // how many silences could not be translated
}

// newFollower is nil if the configuration wants neither to follow silences nor to
// make its own.
func newFollower(cfg *config.Config, client *alertmanager.Client, record *store.Store, r *redact.Redactor, log *slog.Logger) *follower {
	a := cfg.Alertmanager
	if !a.FollowSilences && !a.SilenceDuringRepair {
		return nil
	}
	f := &follower{client: client, incident: record.Incident, targets: triageConfig(cfg), redact: r, log: log}
	if a.FollowSilences {
		f.windows = record
	}
	return f
}

// run works until ctx ends.
func (f *follower) run(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		err := f.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !f.failing { // once, not four times a minute
			f.log.Error("silences_not_read", "error", err)
		} else if err == nil && f.failing {
			f.log.Info("silences_read_again")
		}
		f.failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look reads the silences once.
func (f *follower) look(ctx context.Context) error {
	all, err := f.client.Silences(ctx)
	if err != nil {
		return err
	}
	windows, left := []lifeline.Maintenance{}, 0
	for _, s := range all {
		if s.CreatedBy == alertmanager.Owner {
			if err := f.tidy(ctx, s); err != nil {
				return err
			}
			continue
		}
		if window, ok := f.translate(s, time.Now()); ok {
			windows = append(windows, window)
		} else {
			left++
		}
	}
	if f.windows == nil {
		return nil
	}
	if left != f.left {
		f.left = left
		f.log.Warn("silences_not_followed", "count", left, "followed", len(windows),
			"why", "only name=value of the alert's name, host, container, unit and mount can be followed")
	}
	return f.windows.SyncMaintenance(ctx, alertmanagerSource, windows)
}

// alertmanagerSource is the source of the windows.
const alertmanagerSource = "alertmanager"

// tidy removes a silence of ours whose incident has ended.
func (f *follower) tidy(ctx context.Context, s alertmanager.Silence) error {
	id, ours := strings.CutPrefix(s.Comment, silencePrefix)
	if !ours {
		return nil
	}
	inc, err := f.incident(ctx, id)
	switch {
	case lifeline.CodeOf(err) == lifeline.CodeNotFound: // another Lifeline's
		return nil
	case err != nil:
		return err
	case inc.ID != id || !inc.State.Ended():
		return nil
	}
	f.log.Info("silence_removed", "incident", id)
	return f.client.Expire(ctx, s.ID)
}

// translate makes a window of a silence. A window that is wider than its silence
// would hide faults, so every matcher must say something about the target that
// can be said of a window as well.
func (f *follower) translate(s alertmanager.Silence, now time.Time) (lifeline.Maintenance, bool) {
	labels := map[string]string{}
	for _, m := range s.Matchers {
		if _, twice := labels[m.Name]; twice || !m.Plain() || m.Value == "" {
			return lifeline.Maintenance{}, false
		}
		labels[m.Name] = m.Value
	}
	target := f.resolve(labels)
	for name := range labels {
		if name == "alertname" {
			continue
		}
		without := maps.Clone(labels)
		delete(without, name)
		if f.resolve(without) == target {
			return lifeline.Maintenance{}, false
		}
	}
	scope := lifeline.MaintenanceScope{Host: target.Host, Alert: labels["alertname"]}
	if target.Kind != lifeline.TargetHost {
		if target.Kind.CheckName(target.Name) != nil {
			return lifeline.Maintenance{}, false
		}
		scope.Kind, scope.Name = target.Kind, target.Name
	}
	by, _ := f.redact.Text(s.CreatedBy)
	reason, _ := f.redact.Text(s.Comment)
	window := lifeline.Maintenance{Scope: scope, From: s.StartsAt, Until: s.EndsAt, By: by, Reason: reason,
		Source: alertmanagerSource, ExternalID: s.ID}
	return window, window.Check() == nil && s.EndsAt.After(now)
}

func (f *follower) resolve(labels map[string]string) lifeline.Target {
	return f.targets.Resolve(lifeline.Alert{Name: labels["alertname"], Labels: labels})
}
