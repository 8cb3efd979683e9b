package respond

import (
	"context"
	"fmt"
	"slices"

	"lifeline"
)

// Silencer keeps Alertmanager quiet about an incident while it is repaired.
type Silencer interface {
	// Silence silences the alerts for a bounded time and gives the names of the
	// silences. For the same incident and alert it gives the same one again. No
	// names and no error mean that nothing is silenced for this incident.
	Silence(ctx context.Context, inc lifeline.Incident, alerts []lifeline.Alert) (ids []string, err error)
	// Unsilence ends silences. One that has ended is no error.
	Unsilence(ctx context.Context, ids []string) error
}

// maxSilenced bounds the alerts of one incident that are silenced, the newest
// first: each is a silence of its own.
const maxSilenced = 20

// silence silences the incident's alerts at the beginning of an attempt. It
// never stops the repair: what goes wrong is on the timeline.
func (w *work) silence(attempt int, inc lifeline.Incident) error {
	if w.cfg.Silences == nil {
		return nil
	}
	ids, err := do(w.steps, fmt.Sprintf("silence.%d", attempt), func(ctx context.Context) ([]string, error) {
		alerts, err := w.cfg.Store.FiringAlerts(ctx, w.id, maxSilenced)
		if err != nil {
			return nil, err
		}
		alerts = slices.DeleteFunc(alerts, func(a lifeline.Alert) bool { return a.Source != askable })
		if len(alerts) == 0 {
			return nil, nil
		}
		ids, err := w.cfg.Silences.Silence(ctx, inc, alerts)
		switch {
		case ctx.Err() != nil: // the process stops: what was made is found when the step runs again
			return nil, context.Cause(ctx)
		case err != nil:
			return ids, w.event(ctx, lifeline.EventSilenced, "respond", "the alert could not be silenced: "+err.Error(), silenced{IDs: ids, Error: err.Error()})
		case len(ids) == 0:
			return nil, nil
		}
		return ids, w.event(ctx, lifeline.EventSilenced, "respond", "the alert is silenced at Alertmanager while it is repaired", silenced{IDs: ids})
	})
	for _, id := range ids {
		if !slices.Contains(w.silences, id) {
			w.silences = append(w.silences, id)
		}
	}
	return err
}

// unsilence ends the incident's silences, at each of its ends.
func (w *work) unsilence() error {
	ids := w.silences
	if len(ids) == 0 {
		return nil
	}
	w.silences = nil
	_, err := do(w.steps, "unsilence", func(ctx context.Context) (bool, error) {
		err := w.cfg.Silences.Unsilence(ctx, ids)
		switch {
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		case err != nil:
			return false, w.event(ctx, lifeline.EventUnsilenced, "respond", "the silence could not be removed, and ends by itself: "+err.Error(), silenced{IDs: ids, Error: err.Error()})
		}
		return true, w.event(ctx, lifeline.EventUnsilenced, "respond", "the silence at Alertmanager is removed", silenced{IDs: ids})
	})
	return err
}

// silenced is the Data of EventSilenced and EventUnsilenced.
type silenced struct {
	IDs   []string `json:"ids"`
	Error string   `json:"error,omitempty"`
}
