package respond

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"lifeline"
)

// takenOver ends a workflow whose incident has ended without it: a person has
// taken it over.
type takenOver struct{ state lifeline.State }

func (t *takenOver) Error() string {
	return fmt.Sprintf("the incident is %s already: its work ends", t.state)
}

// HandOver gives an incident that is being worked to a person at once, on whatever
// node its work is. From its commit on no change is let through for the incident;
// the workflow notices between two steps and ends. One that has ended is refused.
func (s *Service) HandOver(ctx context.Context, id, by, reason string) (lifeline.Incident, error) {
	reason = cmp.Or(reason, "taken over by "+by)
	h, err := s.handover(ctx, id, reason, notes{}, nil)
	if err != nil {
		return lifeline.Incident{}, err
	}
	data, err := json.Marshal(h)
	if err != nil {
		return lifeline.Incident{}, fmt.Errorf("encode the handover of %s: %w", id, err)
	}
	inc, err := s.cfg.Store.HandOverIncident(ctx, id, by, reason, data)
	if err != nil {
		return inc, err
	}
	s.ended(inc)
	// One that waits looks at once; one that does not get to know looks by itself.
	if err := dbos.Send(s.dbos, id, "handed over", resolvedTopic); err != nil {
		s.cfg.Logger.Warn("handover_not_told", "incident", id, "error", err)
	}
	return inc, nil
}
