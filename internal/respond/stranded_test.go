package respond_test

import (
	"context"
	"strings"
	"testing"

	"lifeline"
)

// An incident whose workflow the engine has given up is handed to a person at the
// next start.
func TestStrandedIncidents(t *testing.T) {
	for _, status := range []string{"ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"} {
		t.Run(status, func(t *testing.T) {
			w := newSite(t, "web")
			blocked := make(chan bool)
			s := w.serve(t, responder{try: func(ctx context.Context, _ lifeline.Steps, _ lifeline.Case) (lifeline.Report, error) {
				close(blocked)
				<-ctx.Done()
				return lifeline.Report{}, context.Cause(ctx)
			}})
			id := s.alert(lifeline.AlertFiring, "nexus", "web")
			<-blocked
			s.stop()
			if _, err := w.store.DB().ExecContext(t.Context(), `UPDATE workflow_status SET status = $1 WHERE workflow_uuid = $2`, status, id); err != nil {
				t.Fatal(err)
			}
			w.serve(t, responder{site: w})
			inc, err := w.store.Incident(t.Context(), id)
			if err != nil || inc.State != lifeline.StateEscalated || !strings.Contains(inc.Reason, "its workflow ended as "+status) {
				t.Errorf("the incident is %s: %s, %v", inc.State, inc.Reason, err)
			}
		})
	}
}
