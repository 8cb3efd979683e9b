package respond

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"lifeline"
)

// maxRecoveries is how often the engine takes a workflow up again after the
// process died in it. Its default of 100 would leave an incident to nobody.
const maxRecoveries = math.MaxInt32

// stranded hands over the incidents whose workflow the engine has given up, so
// that no state is one that nobody leaves. There are none, unless somebody ended
// a workflow by other means than ours, or an earlier version did.
func (s *Service) stranded(ctx context.Context) error {
	given, err := dbos.ListWorkflows(s.dbos, dbos.WithFilterName(workflowName),
		dbos.WithFilterStatus(dbos.WorkflowStatusError, dbos.WorkflowStatusCancelled, dbos.WorkflowStatusMaxRecoveryAttemptsExceeded),
		dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false))
	if err != nil {
		return fmt.Errorf("respond: look for incidents that nobody works: %w", err)
	}
	var failed []error
	for _, wf := range given {
		inc, err := s.cfg.Store.Incident(ctx, wf.ID)
		if lifeline.CodeOf(err) == lifeline.CodeNotFound || err == nil && inc.State.Ended() {
			continue
		}
		if err == nil {
			reason := fmt.Sprintf("Lifeline itself failed: its workflow ended as %s", wf.Status)
			s.cfg.Logger.Error("incident_stranded", "incident", inc.ID, "workflow", wf.Status)
			_, err = s.cfg.Store.MoveIncident(ctx, inc.ID, lifeline.StateEscalated, "respond", reason)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}
