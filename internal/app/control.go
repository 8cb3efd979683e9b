package app

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"lifeline"
	"lifeline/internal/escape"
	"lifeline/internal/store"
	"lifeline/internal/timeline"
)

// Approvals lists the approvals that wait for a person, or all of them.
func (r *Records) Approvals(ctx context.Context, all bool) ([]lifeline.Approval, error) {
	if all {
		return r.store.Approvals(ctx, "")
	}
	return r.store.WaitingApprovals(ctx)
}

// WriteApprovals prints approvals.
func WriteApprovals(w io.Writer, shown []lifeline.Approval, asJSON bool) error {
	if asJSON {
		return writeJSON(w, map[string]any{"approvals": shown})
	}
	if len(shown) == 0 {
		_, err := fmt.Fprintln(w, "Nothing waits for a person.")
		return err
	}
	return timeline.WriteApprovals(w, shown, time.Now())
}

// Decide takes a person's answer to an approval and gives it as it is then: see
// decide.
func (r *Records) Decide(ctx context.Context, id string, approve bool, by, reason string) (lifeline.Approval, error) {
	a, err := r.store.Approval(ctx, id)
	if err != nil {
		return a, err
	}
	return decide(ctx, r.store, r.cfg, a, approve, by, reason)
}

// WriteApproval prints one approval.
func WriteApproval(w io.Writer, a lifeline.Approval) error {
	return timeline.WriteApprovals(w, []lifeline.Approval{a}, time.Now())
}

// Pause turns the kill switch on; now ends the changes under way too.
func (r *Records) Pause(ctx context.Context, by, reason string, now bool) (lifeline.Pause, error) {
	return r.store.Pause(ctx, by, reason, now)
}

// Resume turns the kill switch off and says what still pauses Lifeline, if
// something does.
func (r *Records) Resume(ctx context.Context, by, reason string) (lifeline.Pause, error) {
	return r.store.Resume(ctx, by, reason)
}

// WriteStatus prints where things stand.
func WriteStatus(w io.Writer, s lifeline.Status, asJSON bool) error {
	if asJSON {
		return writeJSON(w, s)
	}
	return writeStatus(w, s)
}

// Status is where things stand: the kill switch, the budgets, what waits for a
// person, the incidents, what is in maintenance, the hosts. It asks the record only:
// nothing is connected to, and serve need not run.
func (r *Records) Status(ctx context.Context) (s lifeline.Status, err error) {
	cfg := r.cfg
	s.Hosts, s.Nodes = []lifeline.HostStatus{}, []lifeline.Node{}
	if s.Paused, err = r.store.Paused(ctx); err != nil {
		return s, err
	}
	if s.Incidents, err = r.store.CountIncidents(ctx); err != nil {
		return s, err
	}
	approvals, err := r.store.AwaitedApprovals(ctx)
	if err != nil {
		return s, err
	}
	for _, a := range approvals {
		if a.State == lifeline.ApprovalPending {
			s.ApprovalsWaiting++
		}
	}
	s.Maintenance = []lifeline.Maintenance{}
	windows, err := r.store.Maintenances(ctx, false)
	if err != nil {
		return s, err
	}
	for _, m := range windows {
		if m.InForce(time.Now()) {
			s.Maintenance = append(s.Maintenance, m)
		}
	}
	if s.ModelsDay, err = r.store.UsageSince(ctx, time.Now().Add(-24*time.Hour)); err != nil {
		return s, err
	}
	if s.Notifications, err = r.store.CountNotifications(ctx); err != nil {
		return s, err
	}
	if cfg.Store.Postgres() {
		if s.Nodes, err = r.store.Nodes(ctx); err != nil {
			return s, err
		}
	}
	s.ChangesDay.Most = cfg.Respond.MaxChangesPerDay
	for _, name := range cfg.HostNames() {
		c, err := r.store.Changes(ctx, name)
		if err != nil {
			return s, err
		}
		s.ChangesDay.Used = c.Day
		s.Hosts = append(s.Hosts, lifeline.HostStatus{Name: name, Mode: cfg.Hosts[name].Mode, ChangesHour: lifeline.Used{Used: c.HostHour, Most: cfg.Respond.MaxChangesPerHostHour}})
	}
	return s, nil
}

func writeStatus(w io.Writer, s lifeline.Status) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "changes\t%s\n", pauseWords(s.Paused))
	fmt.Fprintf(t, "today\t%d of %d changes within 24 hours\n", s.ChangesDay.Used, s.ChangesDay.Most)
	fmt.Fprintf(t, "models\t%s within 24 hours\n", timeline.Spent(s.ModelsDay))
	fmt.Fprintf(t, "waiting\t%d for a person (lifeline approvals)\n", s.ApprovalsWaiting)
	states := []lifeline.State{lifeline.StateOpen, lifeline.StateInvestigating, lifeline.StateAwaitingApproval, lifeline.StateActing,
		lifeline.StateVerifying, lifeline.StateResolved, lifeline.StateEscalated, lifeline.StateSuperseded}
	for _, state := range states {
		if n := s.Incidents[state]; n > 0 {
			fmt.Fprintf(t, "incidents\t%d %s\n", n, state)
		}
	}
	if len(s.Incidents) == 0 {
		fmt.Fprintf(t, "incidents\tnone\n")
	}
	for _, m := range s.Maintenance {
		fmt.Fprintf(t, "maintenance\t%s until %s by %s%s (%s)\n", escape.Line(m.Scope.String()), localTime(m.Until), escape.Line(m.By), reasonWords(m.Reason), m.ID)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Notifications)) {
		n := s.Notifications[name]
		fmt.Fprintf(t, "channel %s\t%d messages wait, %d were GIVEN UP (lifeline notify list)\n", escape.Line(name), n.Waiting, n.GivenUp)
	}
	for _, h := range s.Hosts {
		fmt.Fprintf(t, "host %s\t%s, %d of %d changes within an hour\n", h.Name, h.Mode, h.ChangesHour.Used, h.ChangesHour.Most)
	}
	for _, n := range s.Nodes {
		fmt.Fprintf(t, "node %s\t%s\n", n.Name, nodeWords(n))
	}
	return t.Flush()
}

// nodeWords says how a node is.
func nodeWords(n lifeline.Node) string {
	switch {
	case n.Alive:
		return "alive since " + n.StartedAt.Local().Format(time.DateTime)
	case n.FencedBy != "" && !n.Recovered:
		return "gone, " + n.FencedBy + " is taking over"
	case n.FencedBy != "":
		return "gone, " + n.FencedBy + " has taken over"
	}
	return "not there"
}

// pauseWords says where the kill switch stands.
func pauseWords(p lifeline.Pause) string {
	switch {
	case p.File != "":
		return "PAUSED by the file " + escape.Line(p.File)
	case !p.On:
		return "let through as the policy says"
	}
	text := fmt.Sprintf("PAUSED since %s by %s", p.Since.Local().Format(time.DateTime), escape.Line(p.By))
	if p.Now {
		text += ", those under way were ended"
	}
	return text + reasonWords(p.Reason)
}

// reasonWords is a reason after what it is for; "" if there is none.
func reasonWords(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + escape.Line(reason)
}

// Audit verifies the record: see store.VerifyAudit. expect is a head that was
// noted earlier, SEQ:HASH, or "".
func (r *Records) Audit(ctx context.Context, after int64, expect string) (store.Audit, error) {
	check := store.AuditCheck{After: after}
	if expect != "" {
		var err error
		if check.Expect, err = store.ParseHead(expect); err != nil {
			return store.Audit{}, err
		}
		if check.Expect.Seq <= after {
			return store.Audit{}, &lifeline.Error{Code: lifeline.CodeUsage,
				Message: fmt.Sprintf("the head to compare with is event %d, and the verification begins after event %d", check.Expect.Seq, after)}
		}
	}
	return r.store.VerifyAudit(ctx, check)
}

// WriteAuditView prints the end of a verification that a server made.
func WriteAuditView(w io.Writer, v lifeline.AuditView, asJSON bool) error {
	a := store.Audit{Events: v.Events}
	if v.Head != "" {
		var err error
		if a.Head, err = store.ParseHead(v.Head); err != nil {
			return err
		}
	}
	if !v.OK {
		a.Bad = &store.BadRow{Row: v.BadRow, What: v.What}
	}
	return WriteAudit(w, a, asJSON)
}

// WriteAudit prints the end of a verification.
func WriteAudit(w io.Writer, a store.Audit, asJSON bool) error {
	if asJSON {
		return writeJSON(w, a)
	}
	if a.Bad == nil && a.Head.Seq == 0 {
		_, err := fmt.Fprintln(w, "The record is empty.")
		return err
	}
	if a.Bad != nil {
		_, err := fmt.Fprintf(w, "The record is not what was written.\nfirst bad row: %s\n  %s\n", escape.Line(a.Bad.Row), escape.Line(a.Bad.What))
		return err
	}
	_, err := fmt.Fprintf(w, "The record is what was written: %d events.\nhead: %s\n", a.Events, a.Head)
	return err
}

// ExportAudit prints the whole record, one JSON object on a line.
func (r *Records) ExportAudit(ctx context.Context, w io.Writer) error {
	buffered := bufio.NewWriter(w)
	err := r.store.ExportAudit(ctx, func(line json.RawMessage) error {
		_, err := buffered.Write(append(line, '\n'))
		return err
	})
	if err != nil {
		return err
	}
	return buffered.Flush()
}
