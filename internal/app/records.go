package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/escape"
	"lifeline/internal/store"
	"lifeline/internal/timeline"
)

// Records reads what is on record.
type Records struct {
	store *store.Store
	cfg   *config.Config
}

// OpenRecords opens the database that the configuration names.
func OpenRecords(ctx context.Context, cfg *config.Config) (*Records, error) {
	opened, err := storeOptions(cfg, nil)
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, cfg.Store.URL, opened)
	if err != nil {
		return nil, err
	}
	return &Records{store: s, cfg: cfg}, nil
}

// Close closes the database.
func (r *Records) Close() error { return r.store.Close() }

// Format says how an incident is printed: as text, or one of these.
type Format struct{ JSON, Markdown bool }

// Incidents lists the newest incidents, or all of them.
func (r *Records) Incidents(ctx context.Context, all bool) ([]lifeline.Incident, error) {
	filter := store.Filter{Limit: 50}
	if all {
		filter.Limit = 0
	}
	return r.store.Incidents(ctx, filter)
}

// WriteIncidents prints incidents.
func WriteIncidents(w io.Writer, incidents []lifeline.Incident, asJSON bool) error {
	if asJSON {
		return writeJSON(w, map[string]any{"incidents": incidents})
	}
	if len(incidents) == 0 {
		_, err := fmt.Fprintln(w, "No incidents yet. Point an Alertmanager at /webhook/alertmanager, or try: lifeline demo")
		return err
	}
	return timeline.WriteIncidents(w, incidents)
}

// WriteCase prints one incident whole.
func WriteCase(w io.Writer, c lifeline.CaseFile, f Format) error {
	switch {
	case f.JSON:
		return writeJSON(w, c)
	case f.Markdown:
		_, err := io.WriteString(w, caseMarkdown(c))
		return err
	}
	if err := timeline.WriteIncident(w, c.Incident, c.Events, c.Commands); err != nil {
		return err
	}
	_, err := io.WriteString(w, timeline.UsageText(c.Usage))
	return err
}

func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escape.JSON(b.Bytes()))
	return err
}

// Case is an incident with everything on record about it. A unique beginning of
// the ID is enough.
func (r *Records) Case(ctx context.Context, id string) (c lifeline.CaseFile, err error) {
	if c.Incident, err = r.store.Incident(ctx, id); err != nil {
		return c, err
	}
	id = c.Incident.ID
	if c.Alerts, err = r.store.Alerts(ctx, id); err != nil {
		return c, err
	}
	if c.Events, err = r.store.Events(ctx, id, 0); err != nil {
		return c, err
	}
	if c.Commands, err = r.store.Commands(ctx, id); err != nil {
		return c, err
	}
	if c.Approvals, err = r.store.Approvals(ctx, id); err != nil {
		return c, err
	}
	if c.Usage, err = r.store.Usage(ctx, id); err != nil {
		return c, err
	}
	if c.Spent, err = r.store.UsageOf(ctx, id); err != nil {
		return c, err
	}
	if h, ok := timeline.LastHandover(c.Events); ok {
		c.Handover = &h
	}
	return c, nil
}
