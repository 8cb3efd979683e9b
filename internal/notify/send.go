package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"lifeline"
)

// Permanent is an error of Config.Send for what will never succeed: the service
// has refused the message or the account. Anything else is tried again.
type Permanent struct{ Err error }

func (p Permanent) Error() string { return p.Err.Error() }
func (p Permanent) Unwrap() error { return p.Err }

// sender empties the outbox of one channel. It is used by one goroutine.
type sender struct {
	Config
	name    string
	channel Channel

	window window
	storm  storm
	// leased is until when the channel is known to be this process's.
	leased time.Time
	// failures in a row, and when the channel is tried again after them.
	failures int
	retryAt  time.Time
	// tried are the messages that failed, and askedAt is when it was last looked
	// whether a person wants one of them to be tried at once.
	tried   map[string]bool
	askedAt time.Time
	// lookAt is when a long outbox is read again.
	lookAt time.Time
}

// look sends what is due.
func (s *sender) look(ctx context.Context) error {
	now := time.Now()
	if now.Before(s.retryAt) {
		if wanted, err := s.wanted(ctx, now); err != nil || !wanted {
			return err
		}
		s.retryAt, s.lookAt = time.Time{}, time.Time{}
	}
	if now.Before(s.lookAt) {
		return nil
	}
	s.window.rate, s.storm.after, s.storm.every = s.channel.Rate, s.DigestAfter, s.DigestEvery
	if !s.window.free(now) {
		return nil
	}
	waiting, err := s.Store.WaitingNotifications(ctx, s.name, most)
	if err != nil || len(waiting) == 0 {
		return err
	}
	// What cannot be sent yet is not read again every second.
	s.lookAt = now.Add(s.Every * time.Duration(len(waiting)/100))
	if mine, err := s.lease(ctx); err != nil || !mine {
		return err
	}
	if waiting, err = s.questions(ctx, waiting); err != nil {
		return err
	}
	for _, p := range plan(now, waiting, s.channel.Quiet, s.storm) {
		if ctx.Err() != nil || !s.window.free(time.Now()) {
			return nil
		}
		if mine, err := s.lease(ctx); err != nil || !mine {
			return err
		}
		if err := s.deliver(ctx, p); err != nil || s.failures > 0 {
			return err
		}
		s.lookAt = time.Time{}
	}
	return nil
}

// wanted reports whether a message that failed is as good as new: then a person
// has said that it is to be tried at once (lifeline notify retry).
func (s *sender) wanted(ctx context.Context, now time.Time) (bool, error) {
	if now.Sub(s.askedAt) < askEvery {
		return false, nil
	}
	s.askedAt = now
	waiting, err := s.Store.WaitingNotifications(ctx, s.name, most)
	for _, m := range waiting {
		if m.Attempts == 0 && s.tried[m.ID] {
			delete(s.tried, m.ID)
			return true, nil
		}
	}
	return false, err
}

// lease takes the channel, or prolongs what is left of it, so that a message can
// be sent within it.
func (s *sender) lease(ctx context.Context) (bool, error) {
	now := time.Now()
	if s.leased.Sub(now) > leaseFor/2 {
		return true, nil
	}
	mine, err := s.Store.LeaseChannel(ctx, s.name, s.Node, leaseFor)
	if err != nil || !mine {
		s.leased = time.Time{}
		return false, err
	}
	s.leased = now.Add(leaseFor)
	return true, nil
}

// questions looks at the approvals that are asked for: one that is decided needs
// no message any more, and one that nobody could be told of in time is a message
// that failed.
func (s *sender) questions(ctx context.Context, waiting []lifeline.Notification) ([]lifeline.Notification, error) {
	open := waiting[:0]
	for _, m := range waiting {
		if m.Kind != lifeline.NotifyApproval {
			open = append(open, m)
			continue
		}
		q, err := s.Question(ctx, m.ApprovalID)
		switch {
		case lifeline.CodeOf(err) == lifeline.CodeNotFound:
			q = Question{}
		case err != nil:
			return nil, err
		}
		switch {
		case q.Open:
			m.Foot = decide(m.ApprovalID, q)
			open = append(open, m)
		case q.Expired:
			cause := "its time was over before it could be sent"
			if m.LastError != "" {
				cause += ": " + m.LastError
			}
			if err := s.giveUp(ctx, cause, m); err != nil {
				return nil, err
			}
		default:
			if err := s.end(ctx, "dropped", "not needed any more: it is decided", m); err != nil {
				return nil, err
			}
		}
	}
	return open, nil
}

// deliver sends a parcel and notes how that ended. The error is that of the
// outbox; that of the channel is in s.failures.
func (s *sender) deliver(ctx context.Context, p parcel) error {
	// A process that stops lets a message end that is under way, for a moment: cut
	// off, it would be sent again.
	sending, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), sendTimeout, fmt.Errorf("no answer within %s", sendTimeout))
	stopped := context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cancel) })
	err := s.Send(sending, s.name, p.Message)
	stopped()
	cancel()
	if ctx.Err() != nil && err != nil {
		return nil // the process stops: what became of it is not known, it is sent again
	}
	// What was sent is noted even while the process stops.
	ctx = context.WithoutCancel(ctx)
	now := time.Now()
	s.window.add(now)
	if err != nil {
		return s.failed(ctx, p, err, now)
	}
	if s.failures > 0 {
		s.Logger.Info("notifications_sent_again", "channel", s.name)
	}
	s.failures, s.retryAt, s.tried = 0, time.Time{}, nil
	fate := "sent"
	if p.digest {
		s.storm.last, fate = now, "sent in a digest"
	}
	if err := s.end(ctx, "sent", fate, p.rows...); err != nil {
		return err
	}
	return s.end(ctx, "merged", "merged into a newer message", p.merged...)
}

// failed notes an attempt that failed. The whole channel then waits, longer each
// time: what does not answer one message does not answer the next one.
func (s *sender) failed(ctx context.Context, p parcel, err error, now time.Time) error {
	cause := cut(err.Error(), longText)
	if _, never := errors.AsType[Permanent](err); never {
		s.failures, s.retryAt = 0, time.Time{}
		s.Logger.Error("notification_refused", "channel", s.name, "error", cause)
		return s.giveUp(ctx, cause, p.rows...)
	}
	s.failures++
	if s.failures == 1 {
		s.Logger.Warn("notification_not_sent", "channel", s.name, "error", cause)
	}
	s.retryAt = now.Add(backoff(s.failures))
	if s.tried == nil {
		s.tried = map[string]bool{}
	}
	for _, m := range p.rows {
		s.tried[m.ID] = true
	}
	var again, old []lifeline.Notification
	for _, m := range p.rows {
		if s.retryAt.Sub(m.CreatedAt) < giveUpAfter {
			again = append(again, m)
		} else {
			old = append(old, m)
		}
	}
	if len(again) > 0 {
		if err := s.Store.FailNotifications(ctx, cause, s.retryAt, ids(again)...); err != nil {
			return err
		}
		s.count("failed", again)
	}
	return s.giveUp(ctx, cause, old...)
}

func (s *sender) giveUp(ctx context.Context, cause string, rows ...lifeline.Notification) error {
	if len(rows) == 0 {
		return nil
	}
	if err := s.Store.FailNotifications(ctx, cause, time.Time{}, ids(rows)...); err != nil {
		return err
	}
	s.count("given_up", rows)
	return nil
}

func (s *sender) end(ctx context.Context, result, fate string, rows ...lifeline.Notification) error {
	if len(rows) == 0 {
		return nil
	}
	if err := s.Store.EndNotifications(ctx, fate, ids(rows)...); err != nil {
		return err
	}
	s.count(result, rows)
	return nil
}

func (s *sender) count(result string, rows []lifeline.Notification) {
	for range rows {
		s.OnResult(s.name, result)
	}
}

// backoff is how long a channel waits after so many failures in a row: from 30 s
// on, doubled up to half an hour, a fifth more or less, so that many processes do
// not come back in step.
func backoff(failures int) time.Duration {
	d := min(firstRetry<<min(failures-1, 10), lastRetry)
	return cmp.Or(time.Duration(float64(d)*(0.8+0.4*rand.Float64())), d)
}
