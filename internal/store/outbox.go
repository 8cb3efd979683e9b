package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeline"
)

// NotificationCursor is the number of the last event that was turned into
// messages. At the first call that is the present end of the record: nobody is
// told about what was before.
func (s *Store) NotificationCursor(ctx context.Context) (seq int64, err error) {
	seq, err = notificationCursor(ctx, s.db)
	if !errors.Is(err, sql.ErrNoRows) {
		return seq, wrap("read the place of the notifications", err)
	}
	err = s.write(ctx, "begin the notifications", func(tx *writeTx) error {
		if err := tx.begin(ctx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO notify_cursor (id, seq) VALUES (1, $1) ON CONFLICT (id) DO NOTHING`, tx.head.Seq)
		if err != nil {
			return err
		}
		seq, err = notificationCursor(ctx, tx)
		return err
	})
	return seq, err
}

func notificationCursor(ctx context.Context, q querier) (seq int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT seq FROM notify_cursor WHERE id = 1`).Scan(&seq)
	return seq, err
}

// EventsAfter lists the events of all incidents after one, in order, at most
// limit of them.
func (s *Store) EventsAfter(ctx context.Context, seq int64, limit int) ([]lifeline.Event, error) {
	return list(ctx, s.db, "read the events", `SELECT `+eventColumns+` FROM events WHERE seq > $1 ORDER BY seq LIMIT $2`, scanEvent, seq, limit)
}

// QueueNotifications moves the cursor from one event to another and stores the
// messages that the events between ask for, together. false means that the
// cursor is not at from any more: another process has done it, and nothing was
// written. It gives each message its ID and its time.
func (s *Store) QueueNotifications(ctx context.Context, from, to int64, ns []lifeline.Notification) (done bool, err error) {
	err = s.write(ctx, "queue notifications", func(tx *writeTx) error {
		// First: on a database with several writers this is where the second one
		// waits for the first, and then finds that it is late.
		res, err := tx.ExecContext(ctx, `UPDATE notify_cursor SET seq = $1 WHERE id = 1 AND seq = $2`, to, from)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil || n != 1 {
			return err
		}
		for _, m := range ns {
			if err := tx.queue(ctx, m); err != nil {
				return err
			}
		}
		done = true
		return nil
	})
	return done && err == nil, err
}

func (tx *writeTx) queue(ctx context.Context, m lifeline.Notification) error {
	m.ID, m.CreatedAt = newID("ntf", tx.now), tx.now
	m.NotBefore, m.Attempts, m.LastError, m.SentAt, m.Fate, m.GivenUpAt = time.Time{}, 0, "", time.Time{}, "", time.Time{}
	urgent := 0
	if m.Urgent {
		urgent = 1
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO outbox (id, channel, incident_id, kind, severity, urgent, seq, created_at, not_before, attempts, last_error, fate, sent_at, given_up_at, record)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, '', '', 0, 0, $9)`,
		m.ID, m.Channel, m.IncidentID, m.Kind, m.Severity, urgent, m.Seq, micros(m.CreatedAt), string(jsonOf(m)))
	return err
}

const notificationColumns = `SELECT id, created_at, not_before, attempts, last_error, fate, sent_at, given_up_at, record FROM outbox`

func scanNotification(row scanner) (m lifeline.Notification, err error) {
	var (
		id, lastError, fate, record string
		created, notBefore          int64
		sent, givenUp               int64
		attempts                    int
	)
	if err := row.Scan(&id, &created, &notBefore, &attempts, &lastError, &fate, &sent, &givenUp, &record); err != nil {
		return m, err
	}
	err = json.Unmarshal([]byte(record), &m)
	m.ID, m.Attempts, m.LastError, m.Fate = id, attempts, lastError, fate
	m.CreatedAt, m.NotBefore, m.SentAt, m.GivenUpAt = fromMicros(created), fromMicros(notBefore), fromMicros(sent), fromMicros(givenUp)
	return m, err
}

const waits = `sent_at = 0 AND given_up_at = 0`

// WaitingNotifications lists the messages of a channel that are still to be
// sent, the urgent ones first, then those that failed least, then the oldest; at
// most limit of them.
func (s *Store) WaitingNotifications(ctx context.Context, channel string, limit int) ([]lifeline.Notification, error) {
	return list(ctx, s.db, "read the outbox", notificationColumns+` WHERE channel = $1 AND `+waits+` ORDER BY urgent DESC, attempts, seq, id LIMIT $2`,
		scanNotification, channel, limit)
}

// Notifications lists messages, newest first: those that wait or were given up,
// or all that are kept.
func (s *Store) Notifications(ctx context.Context, all bool) ([]lifeline.Notification, error) {
	where := ` WHERE sent_at = 0`
	if all {
		where = ``
	}
	return list(ctx, s.db, "read the outbox", notificationColumns+where+` ORDER BY created_at DESC, id DESC`, scanNotification)
}

// CountNotifications counts the messages that wait and those that were given up,
// by channel. A channel without either is not in it.
func (s *Store) CountNotifications(ctx context.Context) (map[string]lifeline.NotificationCount, error) {
	type count struct {
		channel string
		lifeline.NotificationCount
	}
	counts, err := list(ctx, s.db, "count the outbox", `SELECT channel, sum(CASE WHEN given_up_at = 0 THEN 1 ELSE 0 END), sum(CASE WHEN given_up_at = 0 THEN 0 ELSE 1 END)
		FROM outbox WHERE sent_at = 0 GROUP BY channel`, func(row scanner) (c count, err error) {
		err = row.Scan(&c.channel, &c.Waiting, &c.GivenUp)
		return c, err
	})
	all := map[string]lifeline.NotificationCount{}
	for _, c := range counts {
		all[c.channel] = c.NotificationCount
	}
	return all, err
}

// LeaseChannel lets one process at a time send to a channel: it takes or
// prolongs the lease for node, or gives false while another one has it.
func (s *Store) LeaseChannel(ctx context.Context, channel, node string, lease time.Duration) (mine bool, err error) {
	err = s.write(ctx, "take the channel "+channel, func(tx *writeTx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO notify_leases (channel, node, until) VALUES ($1, $2, $3)
			ON CONFLICT (channel) DO UPDATE SET node = excluded.node, until = excluded.until
			WHERE notify_leases.node = excluded.node OR notify_leases.until <= $4`,
			channel, node, micros(tx.now.Add(lease)), micros(tx.now))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		mine = n == 1
		return err
	})
	return mine && err == nil, err
}

// EndNotifications marks messages that wait as done: fate says how, "sent" or
// why they are not needed any more.
func (s *Store) EndNotifications(ctx context.Context, fate string, ids ...string) error {
	return s.write(ctx, "mark notifications as done", func(tx *writeTx) error {
		for _, id := range ids {
			_, err := tx.ExecContext(ctx, `UPDATE outbox SET sent_at = $1, fate = $2 WHERE id = $3 AND `+waits, micros(tx.now), fate, id)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// FailNotifications counts an attempt to send messages that failed. cause is in
// words, without secrets; next is when they are tried again. A zero next gives
// them up, which becomes an event on the timeline of their incident.
func (s *Store) FailNotifications(ctx context.Context, cause string, next time.Time, ids ...string) error {
	return s.write(ctx, "mark notifications as not sent", func(tx *writeTx) error {
		givenUp := int64(0)
		if next.IsZero() {
			givenUp = micros(tx.now)
		}
		for _, id := range ids {
			res, err := tx.ExecContext(ctx, `UPDATE outbox SET attempts = attempts + 1, last_error = $1, not_before = $2, given_up_at = $3 WHERE id = $4 AND `+waits,
				cause, micros(next), givenUp, id)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			if n == 1 && givenUp != 0 {
				if err := tx.gaveUp(ctx, id); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// gaveUp puts on record that people were not told. The event's Data is the
// lifeline.Notification, without its texts, which the timeline has already.
func (tx *writeTx) gaveUp(ctx context.Context, id string) error {
	m, err := scanNotification(tx.QueryRowContext(ctx, notificationColumns+` WHERE id = $1`, id))
	if err != nil {
		return err
	}
	text := fmt.Sprintf("nobody was told by %s: %s: given up after %d attempt(s): %s", m.Channel, m.Title, m.Attempts, m.LastError)
	m.Body, m.Code, m.Foot = "", "", ""
	return tx.append(ctx, lifeline.Event{IncidentID: m.IncidentID, Kind: lifeline.EventNotificationFailed, Actor: "notify", Text: text, Data: jsonOf(m)})
}

// RetryNotifications lets messages that wait or were given up be tried at once,
// as if they were new; id may be a beginning that only one message has. "" means
// all of them. It gives their number.
func (s *Store) RetryNotifications(ctx context.Context, id string) (n int64, err error) {
	err = s.write(ctx, "try notifications again", func(tx *writeTx) error {
		where, args := ``, []any{micros(tx.now)}
		if id != "" {
			full, err := tx.completeNotification(ctx, id)
			if err != nil {
				return err
			}
			where, args = ` AND id = $2`, append(args, full)
		}
		// created_at is when the time in which it is tried begins.
		res, err := tx.ExecContext(ctx, `UPDATE outbox SET created_at = $1, not_before = 0, attempts = 0, given_up_at = 0 WHERE sent_at = 0`+where, args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

// completeNotification finds the one message that is not sent and whose ID
// begins so.
func (tx *writeTx) completeNotification(ctx context.Context, prefix string) (string, error) {
	found, err := list(ctx, tx, "look up the notification "+prefix, `SELECT id FROM outbox WHERE substr(id, 1, $1) = $2 AND sent_at = 0 ORDER BY id LIMIT 3`,
		func(row scanner) (id string, err error) { return id, row.Scan(&id) }, len(prefix), prefix)
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", &lifeline.Error{Code: lifeline.CodeNotFound, Message: fmt.Sprintf("no notification %q waits or was given up", prefix), Hint: "lifeline notify list"}
	case len(found) > 1 && found[0] != prefix:
		return "", &lifeline.Error{Code: lifeline.CodeNotFound,
			Message: fmt.Sprintf("%q begins more than one notification: %s", prefix, strings.Join(found, ", ")), Hint: "type more of the ID"}
	}
	return found[0], nil
}

// PruneNotifications removes messages that ended before a time, and gives their
// number. What waits stays.
func (s *Store) PruneNotifications(ctx context.Context, before time.Time) (n int64, err error) {
	err = s.write(ctx, "remove old notifications", func(tx *writeTx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM outbox WHERE created_at < $1 AND NOT (`+waits+`)`, micros(before))
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}
