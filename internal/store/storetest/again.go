package storetest

import (
	"testing"

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
