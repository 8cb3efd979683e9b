package storetest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/store"
)

func receive(t *testing.T, open Open) {
	s := newSuite(t, open)

	test := firing("k", "f")
	test.Test = true
	if r := s.receive(test); r.Result != lifeline.ReceiptTest || r.IncidentID != "" {
		t.Errorf("a test alert: %+v", r)
	}
	if r := s.receive(gone("k", "f")); r.Result != lifeline.ReceiptIgnored || r.IncidentID != "" {
		t.Errorf("a resolve without an incident: %+v", r)
	}
	if len(s.opened)+len(s.resolved) > 0 {
		t.Error("something was started for a test alert or a resolve without an incident")
	}
	if diff := cmp.Diff([]lifeline.EventKind{lifeline.EventAlertReceived, lifeline.EventAlertReceived}, s.kinds("")); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}

	first := s.receive(firing("k", "f")) // the third look at the clock
	if first.Result != lifeline.ReceiptOpened || !strings.HasPrefix(first.IncidentID, "inc_") || !strings.HasPrefix(first.AlertID, "alr_") {
		t.Fatalf("the first alert: %+v", first)
	}
	want := lifeline.Incident{
		ID: first.IncidentID, Key: "k", AlertName: "ContainerDown", Severity: "critical", Summary: "jukebox is down",
		Target: lifeline.Target{Host: "atlas", Kind: lifeline.TargetContainer, Name: "jukebox"},
		State:  lifeline.StateOpen, Alerts: 1, AlertFiring: true, OpenedAt: at(2), UpdatedAt: at(2),
	}
	if diff := cmp.Diff([]lifeline.Incident{want}, s.opened); diff != "" {
		t.Errorf("told about (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, s.incident(first.IncidentID)); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}

	if r := s.receive(firing("k", "f")); r.Result != lifeline.ReceiptRepeat || r.IncidentID != first.IncidentID || r.AlertID == first.AlertID {
		t.Errorf("the same alert again: %+v", r)
	}
	if r := s.receive(firing("other", "f")); r.Result != lifeline.ReceiptOpened || r.IncidentID == first.IncidentID {
		t.Errorf("another key: %+v", r)
	}
	if r := s.receive(gone("k", "f")); r.Result != lifeline.ReceiptResolved || r.IncidentID != first.IncidentID {
		t.Errorf("the alert is gone: %+v", r)
	}
	want.Alerts, want.AlertFiring = 2, false
	if diff := cmp.Diff(want, s.incident(first.IncidentID)); diff != "" {
		t.Errorf("at the end (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]lifeline.Incident{want}, s.resolved); diff != "" {
		t.Errorf("told about the end (-want +got):\n%s", diff)
	}

	alerts, err := s.Alerts(t.Context(), first.IncidentID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]lifeline.Alert{firing("k", "f").Alert, firing("k", "f").Alert, gone("k", "f").Alert}, alerts); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	latest, err := s.LatestAlert(t.Context(), first.IncidentID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(firing("k", "f").Alert, latest); diff != "" {
		t.Errorf("newest firing alert (-want +got):\n%s", diff)
	}
	wantKinds := []lifeline.EventKind{lifeline.EventAlertReceived, lifeline.EventIncidentOpened, lifeline.EventAlertReceived, lifeline.EventAlertReceived}
	if diff := cmp.Diff(wantKinds, s.kinds(first.IncidentID)); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
	s.handedOn(first.IncidentID)
}

// An incident is told that its alert is gone when the last of them is.
func severalAlerts(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := s.receive(firing("k", "warning")).IncidentID
	s.receive(firing("k", "critical"))
	s.receive(gone("k", "warning"))
	if inc := s.incident(id); !inc.AlertFiring || len(s.resolved) > 0 {
		t.Errorf("one of two alerts is gone: firing %v, told %d times", inc.AlertFiring, len(s.resolved))
	}
	s.receive(firing("k", "warning")) // it comes back
	s.receive(gone("k", "critical"))
	if inc := s.incident(id); !inc.AlertFiring || len(s.resolved) > 0 {
		t.Errorf("the other is gone, the first is back: firing %v, told %d times", inc.AlertFiring, len(s.resolved))
	}
	s.receive(gone("k", "warning"))
	if inc := s.incident(id); inc.AlertFiring || len(s.resolved) != 1 {
		t.Errorf("both are gone: firing %v, told %d times", inc.AlertFiring, len(s.resolved))
	}
	// It flaps before the work has ended: the same incident.
	if r := s.receive(firing("k", "warning")); r.Result != lifeline.ReceiptRepeat || r.IncidentID != id || !s.incident(id).AlertFiring {
		t.Errorf("it flaps: %+v", r)
	}
	s.receive(gone("k", "warning"))
	s.move(id, lifeline.StateSuperseded)
	if r := s.receive(firing("k", "warning")); r.Result != lifeline.ReceiptOpened || r.IncidentID == id {
		t.Errorf("after the end: %+v", r)
	}
}

// A person has an escalated incident: while its alert fires it is not opened
// again, and afterwards the next one is a new fault.
func escalated(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := s.receive(firing("k", "f")).IncidentID
	s.move(id, lifeline.StateEscalated)
	if r := s.receive(firing("k", "f")); r.Result != lifeline.ReceiptRepeat || r.IncidentID != id {
		t.Errorf("an alert of an escalated incident: %+v", r)
	}
	if r := s.receive(gone("k", "f")); r.Result != lifeline.ReceiptResolved || r.IncidentID != id {
		t.Errorf("its end: %+v", r)
	}
	if len(s.resolved) != 0 {
		t.Error("a workflow that has ended was told")
	}
	if inc := s.incident(id); inc.AlertFiring || inc.State != lifeline.StateEscalated {
		t.Errorf("afterwards it is %s, firing %v", inc.State, inc.AlertFiring)
	}
	if r := s.receive(gone("k", "f")); r.Result != lifeline.ReceiptIgnored {
		t.Errorf("a second end: %+v", r)
	}
	if r := s.receive(firing("k", "f")); r.Result != lifeline.ReceiptOpened || r.IncidentID == id {
		t.Errorf("the next alert: %+v", r)
	}
}

// An error of any part leaves nothing stored and nothing handed on.
func allOrNothing(t *testing.T, open Open) {
	s := newSuite(t, open)
	if _, err := s.DB().ExecContext(t.Context(), `CREATE TABLE enqueued (id TEXT)`); err != nil {
		t.Fatal(err)
	}
	enqueue := func(ctx context.Context, tx *sql.Tx, inc lifeline.Incident) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO enqueued VALUES ($1)`, inc.ID); err != nil {
			return err
		}
		if inc.Key == "bad" {
			return errNo
		}
		return nil
	}
	rows := func(table string) (n int) {
		t.Helper()
		if err := s.DB().QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	bad := []lifeline.TriagedAlert{firing("good", "f"), firing("bad", "f"), firing("good too", "f")}
	receipts, err := s.ReceiveAlerts(t.Context(), bad, enqueue, s.onResolved)
	wantCode(t, err, lifeline.CodeStore)
	if !errors.Is(err, errNo) || receipts != nil {
		t.Errorf("error %v, %d receipts", err, len(receipts))
	}
	for _, table := range []string{"alerts", "incidents", "events", "enqueued"} {
		if n := rows(table); n != 0 {
			t.Errorf("%s has %d rows after an error", table, n)
		}
	}
	if len(s.events) > 0 {
		t.Errorf("%d events were handed on that did not happen", len(s.events))
	}

	_, err = s.ReceiveAlerts(t.Context(), []lifeline.TriagedAlert{firing("good", "f")}, enqueue, s.onResolved)
	if err != nil || rows("enqueued") != 1 || rows("incidents") != 1 {
		t.Errorf("without one: %v, %d enqueued", err, rows("enqueued"))
	}
	told := func(context.Context, *sql.Tx, lifeline.Incident) error { return errNo }
	_, err = s.ReceiveAlerts(t.Context(), []lifeline.TriagedAlert{gone("good", "f")}, enqueue, told)
	if !errors.Is(err, errNo) || rows("alerts") != 1 {
		t.Errorf("an error of resolved: %v, %d alerts", err, rows("alerts"))
	}
	// A cause that a caller branches on comes back as it is.
	refused := &lifeline.Error{Code: lifeline.CodeRefused, Message: "no"}
	_, err = s.ReceiveAlerts(t.Context(), []lifeline.TriagedAlert{gone("good", "f")}, enqueue,
		func(context.Context, *sql.Tx, lifeline.Incident) error { return refused })
	wantCode(t, err, lifeline.CodeRefused)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.ReceiveAlerts(ctx, []lifeline.TriagedAlert{firing("late", "f")}, enqueue, s.onResolved)
	if !errors.Is(err, context.Canceled) || rows("incidents") != 1 {
		t.Errorf("after the caller has given up: %v, %d incidents", err, rows("incidents"))
	}

	receipts, err = s.ReceiveAlerts(t.Context(), nil, enqueue, s.onResolved)
	if err != nil || receipts == nil || len(receipts) != 0 {
		t.Errorf("no alerts: %v, %v", receipts, err)
	}
}

func concurrentReceives(t *testing.T, open Open) {
	const senders = 16
	s := newSuite(t, open)
	results := make([][]lifeline.Receipt, senders)
	errs := make([]error, senders)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			<-start
			results[i], errs[i] = s.ReceiveAlerts(t.Context(), []lifeline.TriagedAlert{firing("a", name("f", i)), firing("b", "f")}, s.onOpened, s.onResolved)
		})
	}
	close(start)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	opened := map[string]int{}
	ids := map[string]bool{}
	for _, receipts := range results {
		for i, r := range receipts {
			ids[r.IncidentID] = true
			if r.Result == lifeline.ReceiptOpened {
				opened[[]string{"a", "b"}[i]]++
			} else if r.Result != lifeline.ReceiptRepeat {
				t.Errorf("receipt %+v", r)
			}
		}
	}
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 1}, opened); diff != "" {
		t.Errorf("incidents opened by key (-want +got):\n%s", diff)
	}
	if len(ids) != 2 || len(s.opened) != 2 {
		t.Errorf("%d incidents, told about %d, want 2", len(ids), len(s.opened))
	}
	for id := range ids {
		if inc := s.incident(id); inc.Alerts != senders {
			t.Errorf("%s counts %d alerts, want %d", inc.Key, inc.Alerts, senders)
		}
		s.handedOn(id)
	}
}

// nothingThere asks an empty database.
func nothingThere(t *testing.T, open Open) {
	s := newSuite(t, open)
	_, err := s.Incident(t.Context(), "inc_none")
	wantCode(t, err, lifeline.CodeNotFound)
	_, err = s.Incident(t.Context(), "")
	wantCode(t, err, lifeline.CodeNotFound)
	_, err = s.LatestAlert(t.Context(), "inc_none")
	wantCode(t, err, lifeline.CodeNotFound)
	_, err = s.MoveIncident(t.Context(), "inc_none", lifeline.StateEscalated, "test", "because")
	wantCode(t, err, lifeline.CodeNotFound)
	all, err := s.Incidents(t.Context(), store.Filter{})
	if err != nil || len(all) != 0 {
		t.Errorf("incidents: %v, %v", all, err)
	}
	alerts, alertErr := s.Alerts(t.Context(), "inc_none")
	events, eventErr := s.Events(t.Context(), "inc_none", 0)
	commands, commandErr := s.Commands(t.Context(), "inc_none")
	if err := errors.Join(alertErr, eventErr, commandErr); err != nil || len(alerts)+len(events)+len(commands) > 0 {
		t.Errorf("%v %v %v, %v", alerts, events, commands, err)
	}
	// Lists are never nil: as JSON they are [] and not null.
	if all == nil || alerts == nil || events == nil || commands == nil {
		t.Error("an empty list is nil")
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
}

// closed asks a database that is closed: each error names the store as its cause.
func closed(t *testing.T, open Open) {
	s := newSuite(t, open)
	id := s.receive(firing("k", "f")).IncidentID
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	cmd := lifeline.Command{CommandRequest: lifeline.CommandRequest{ID: "c"}}
	for what, call := range map[string]func() error{
		"Ping":           func() error { return s.Ping(ctx) },
		"AppendEvent":    func() error { return s.AppendEvent(ctx, lifeline.Event{IncidentID: id}) },
		"RecordResult":   func() error { return s.RecordResult(ctx, cmd) },
		"RecordRefusal":  func() error { return s.RecordRefusal(ctx, cmd) },
		"RecordIntent":   func() error { _, err := s.RecordIntent(ctx, cmd, lifeline.Limits{}); return err },
		"MoveIncident":   func() error { _, err := s.MoveIncident(ctx, id, lifeline.StateEscalated, "t", "r"); return err },
		"Incident":       func() error { _, err := s.Incident(ctx, id); return err },
		"Incidents":      func() error { _, err := s.Incidents(ctx, store.Filter{}); return err },
		"Alerts":         func() error { _, err := s.Alerts(ctx, id); return err },
		"LatestAlert":    func() error { _, err := s.LatestAlert(ctx, id); return err },
		"Events":         func() error { _, err := s.Events(ctx, id, 0); return err },
		"Commands":       func() error { _, err := s.Commands(ctx, id); return err },
		"ReceiveAlerts":  func() error { _, err := s.ReceiveAlerts(ctx, nil, s.onOpened, s.onResolved); return err },
		"Pause":          func() error { _, err := s.Pause(ctx, "p", "r", false); return err },
		"Resume":         func() error { _, err := s.Resume(ctx, "p", "r"); return err },
		"Paused":         func() error { _, err := s.Paused(ctx); return err },
		"Changes":        func() error { _, err := s.Changes(ctx, "atlas"); return err },
		"Approval":       func() error { _, err := s.Approval(ctx, "a"); return err },
		"Approvals":      func() error { _, err := s.Approvals(ctx, id); return err },
		"Awaited":        func() error { _, err := s.AwaitedApprovals(ctx); return err },
		"Decide":         func() error { _, err := s.DecideApproval(ctx, "a", store.Decision{}); return err },
		"Expire":         func() error { return s.ExpireApproval(ctx, "a", "p", "r") },
		"Token":          func() error { _, err := s.ApprovalByToken(ctx, "a."); return err },
		"Request":        func() error { _, err := s.RequestApproval(ctx, cmd, 1, lifeline.Limits{}); return err },
		"FiringAlerts":   func() error { _, err := s.FiringAlerts(ctx, id, 0); return err },
		"Add":            func() error { _, err := s.AddMaintenance(ctx, lifeline.Maintenance{}); return err },
		"End":            func() error { _, err := s.EndMaintenance(ctx, "m", "p"); return err },
		"Maintenances":   func() error { _, err := s.Maintenances(ctx, true); return err },
		"MaintenanceFor": func() error { _, _, err := s.MaintenanceFor(ctx, lifeline.Incident{}); return err },
		"Sync":           func() error { return s.SyncMaintenance(ctx, "alertmanager", nil) },
		"AddSession":     func() error { return s.AddSession(ctx, "h", "", lifeline.Session{}) },
		"Session":        func() error { _, err := s.Session(ctx, "h"); return err },
		"TouchSession":   func() error { return s.TouchSession(ctx, "h", lifeline.Session{}) },
		"EndSession":     func() error { return s.EndSession(ctx, "h", "signed out") },
		"AddToken":       func() error { _, err := s.AddToken(ctx, "h", lifeline.Token{}); return err },
		"Token by hash":  func() error { _, err := s.Token(ctx, "h"); return err },
		"Tokens":         func() error { _, err := s.Tokens(ctx); return err },
		"AnyToken":       func() error { _, err := s.AnyToken(ctx); return err },
		"TouchToken":     func() error { return s.TouchToken(ctx, "tok_1") },
		"RevokeToken":    func() error { _, err := s.RevokeToken(ctx, "ci", "person:ann"); return err },
		"VerifyAudit":    func() error { _, err := s.VerifyAudit(ctx, store.AuditCheck{}); return err },
		"RecordUsage":    func() error { return s.RecordUsage(ctx, lifeline.Usage{}, lifeline.Event{}) },
		"Usage":          func() error { _, err := s.Usage(ctx, id); return err },
		"UsageOf":        func() error { _, err := s.UsageOf(ctx, id); return err },
		"UsageSince":     func() error { _, err := s.UsageSince(ctx, at(0)); return err },
		"RefusedBefore":  func() error { _, _, err := s.RefusedBefore(ctx, id, "c"); return err },
		"ExportAudit":    func() error { return s.ExportAudit(ctx, func(json.RawMessage) error { return nil }) },
		"Incident begun": func() error { _, err := s.Incident(ctx, id[:8]); return err },
	} {
		if err := call(); err == nil || lifeline.CodeOf(err) != lifeline.CodeStore {
			t.Errorf("%s: %v (%s), want %s", what, err, lifeline.CodeOf(err), lifeline.CodeStore)
		}
	}
}
