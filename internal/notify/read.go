package notify

import (
	"context"
	"time"

	"lifeline"
)

// reader turns events into messages. It is used by one goroutine.
type reader struct {
	Config
	cursor int64
}

// every is how often the record is looked at. Without a channel nothing can be
// told; the place is moved on all the same, so that a channel that is added
// later does not get history.
func (r *reader) every() time.Duration {
	if len(r.Channels) == 0 {
		return max(r.Every, time.Minute)
	}
	return r.Every
}

// look queues what the events since the last look ask for.
func (r *reader) look(ctx context.Context) error {
	for {
		events, err := r.Store.EventsAfter(ctx, r.cursor, batch)
		if err != nil || len(events) == 0 {
			return err
		}
		var all []lifeline.Notification
		for _, e := range events {
			ns, err := r.messages(ctx, e)
			if err != nil {
				return err
			}
			all = append(all, ns...)
		}
		to := events[len(events)-1].Seq
		done, err := r.Store.QueueNotifications(ctx, r.cursor, to, all)
		if err != nil {
			return err
		}
		if !done { // another process was first
			if r.cursor, err = r.Store.NotificationCursor(ctx); err != nil {
				return err
			}
			continue
		}
		r.cursor = to
		if len(events) < batch {
			return nil
		}
	}
}

// messages are what an event asks for, one for each channel that is told. What
// the event lacks makes them poorer, never an error: one event that cannot be
// read must not keep back all that follow. Only a record that cannot be read is
// an error; then the event is looked at again.
func (r *reader) messages(ctx context.Context, e lifeline.Event) ([]lifeline.Notification, error) {
	kind, ok := kindOf(e)
	if !ok || len(r.Channels) == 0 {
		return nil, nil
	}
	s := subject{kind: kind, severity: severityOf(kind)}
	if e.IncidentID != "" && kind != lifeline.NotifyFailed {
		inc, err := r.Store.Incident(ctx, e.IncidentID)
		switch {
		case lifeline.CodeOf(err) == lifeline.CodeNotFound:
			return nil, nil
		case err != nil:
			return nil, err
		}
		s.incident, s.severity = &inc, inc.Severity
	}
	channels := r.to(s)
	failed := ""
	if kind == lifeline.NotifyFailed {
		failed = failedChannel(e)
	}
	if len(channels) == 0 {
		return nil, nil
	}
	var commands []lifeline.Command
	if kind == lifeline.NotifyRepaired || kind == lifeline.NotifyEscalated {
		var err error
		if commands, err = r.Store.Commands(ctx, e.IncidentID); err != nil {
			return nil, err
		}
	}
	m := message(kind, e, s.incident, commands)
	m.Seq, m.IncidentID, m.Kind, m.Severity = e.Seq, e.IncidentID, kind, s.severity
	m.Urgent = kind == lifeline.NotifyApproval || kind == lifeline.NotifyRecordBroken || kind == lifeline.NotifyEscalated && containsFold([]string{"critical"}, s.severity)
	var all []lifeline.Notification
	for _, name := range channels {
		if name == failed {
			continue // it is the one that does not deliver
		}
		m.Channel = name
		all = append(all, m)
	}
	return all, nil
}
