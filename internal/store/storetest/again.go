package storetest

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/store"
)

// readAgain is a read that runs again after a crash: its intent stays the first
// one, and the record is what was written.
func readAgain(t *testing.T, open Open) {
	s := newSuite(t, open)
	look := read("c1", "")
	s.intend(look, 0)
	late := finished(look, lifeline.OutcomeExited)
	late.IntentAt = at(102)
	if err := s.RecordResult(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	late.IntentAt = look.IntentAt
	if diff := cmp.Diff(&late, s.intend(look, 0)); diff != "" {
		t.Errorf("the result (-want +got):\n%s", diff)
	}
	if audit, err := s.VerifyAudit(t.Context(), store.AuditCheck{}); err != nil || audit.Bad != nil {
		t.Errorf("the record: %+v, %v", audit.Bad, err)
	}
}

// writersGiveUp is a writer whose context ends while another one writes: it does
// not wait any longer, and writes nothing.
func writersGiveUp(t *testing.T, open Open) {
	s := newSuite(t, open)
	inside, leave := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := s.ReceiveAlerts(t.Context(), []lifeline.TriagedAlert{firing("k", "f")}, func(context.Context, *sql.Tx, lifeline.Incident) error {
			close(inside)
			<-leave
			return nil
		}, s.onResolved)
		first <- err
	}()
	<-inside
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantCode(t, s.Ping(ctx), lifeline.CodeStore)
	close(leave)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
