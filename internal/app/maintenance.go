package app

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/escape"
)

// AddMaintenance puts a window on record. Its host has to be configured, if it
// names one.
func (r *Records) AddMaintenance(ctx context.Context, m lifeline.Maintenance) (lifeline.Maintenance, error) {
	if host := m.Scope.Host; host != "" {
		if _, known := r.cfg.Hosts[host]; !known {
			return m, unknownHost(r.cfg, host)
		}
	}
	m.Source = lifeline.MaintenanceByPerson
	return r.store.AddMaintenance(ctx, m)
}

func unknownHost(cfg *config.Config, host string) error {
	return &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("no host %q is configured", host),
		Hint: "configured hosts: " + strings.Join(cfg.HostNames(), ", ")}
}

// EndMaintenance ends a window before its time; a unique beginning of its ID is
// enough.
func (r *Records) EndMaintenance(ctx context.Context, id, by string) (lifeline.Maintenance, error) {
	return r.store.EndMaintenance(ctx, id, by)
}

// Maintenances lists the windows that are in force or yet to come, or all that
// ever were.
func (r *Records) Maintenances(ctx context.Context, all bool) ([]lifeline.Maintenance, error) {
	return r.store.Maintenances(ctx, all)
}

// WriteMaintenances prints windows.
func WriteMaintenances(w io.Writer, windows []lifeline.Maintenance, asJSON bool) error {
	if asJSON {
		return writeJSON(w, map[string]any{"maintenance": windows})
	}
	if len(windows) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is in maintenance.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSTATE\tFROM\tUNTIL\tOVER\tBY\tREASON")
	now := time.Now()
	for _, m := range windows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, windowState(m, now), localTime(m.From), localTime(m.Until),
			escape.Line(m.Scope.String()), escape.Line(m.By), escape.Line(m.Reason))
	}
	return t.Flush()
}

func windowState(m lifeline.Maintenance, now time.Time) string {
	switch {
	case !m.EndedAt.IsZero():
		return "ended by " + escape.Line(m.EndedBy)
	case m.InForce(now):
		return "in force"
	case now.Before(m.From):
		return "to come"
	}
	return "over"
}

func localTime(t time.Time) string { return t.Local().Format(time.DateTime) }

// WriteMaintenance says what a window means.
func WriteMaintenance(w io.Writer, m lifeline.Maintenance) error {
	if !m.EndedAt.IsZero() {
		_, err := fmt.Fprintf(w, "%s has ended: Lifeline works on %s again.\n", m.ID, escape.Line(m.Scope.String()))
		return err
	}
	_, err := fmt.Fprintf(w, "%s: no change is made to %s from %s until %s.\n", m.ID, escape.Line(m.Scope.String()), localTime(m.From), localTime(m.Until))
	return err
}
