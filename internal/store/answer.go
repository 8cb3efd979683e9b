package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// answersKept is how long the answers to requests are kept.
const answersKept = 24 * time.Hour

// Answer is what was answered to a request. Status is 0 while the request is
// under way, and for ever if the process ended in the middle of it.
type Answer struct {
	Status int
	Type   string
	Body   []byte
}

// ClaimAnswer notes that a request which names itself by id is under way. digest
// is of its content. Where the same id was claimed within a day before, nothing
// is noted: known is true, same says whether the content was the same, and prior
// is what was answered.
func (s *Store) ClaimAnswer(ctx context.Context, id, digest string) (prior Answer, same, known bool, err error) {
	err = s.write(ctx, "note a request", func(tx *writeTx) error {
		prior, same, known = Answer{}, false, false
		if _, err := tx.ExecContext(ctx, `DELETE FROM answers WHERE at <= $1`, micros(tx.now.Add(-answersKept))); err != nil {
			return err
		}
		var kept, body string
		err := tx.QueryRowContext(ctx, `SELECT digest, status, type, body FROM answers WHERE id = $1`, id).Scan(&kept, &prior.Status, &prior.Type, &body)
		if errors.Is(err, sql.ErrNoRows) {
			_, err = tx.ExecContext(ctx, `INSERT INTO answers (id, digest, at, status, type, body) VALUES ($1, $2, $3, 0, '', '')`, id, digest, micros(tx.now))
			return err
		}
		prior.Body, same, known = []byte(body), kept == digest, true
		return err
	})
	return prior, same, known, err
}

// KeepAnswer notes what was answered to a claimed request.
func (s *Store) KeepAnswer(ctx context.Context, id string, a Answer) error {
	return s.write(ctx, "keep the answer to a request", func(tx *writeTx) error {
		_, err := tx.ExecContext(ctx, `UPDATE answers SET status = $1, type = $2, body = $3 WHERE id = $4`, a.Status, a.Type, plain(string(a.Body)), id)
		return err
	})
}

// DropAnswer forgets a claimed request that came to nothing: it may come again.
func (s *Store) DropAnswer(ctx context.Context, id string) error {
	return s.write(ctx, "forget a request", func(tx *writeTx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM answers WHERE id = $1 AND status = 0`, id)
		return err
	})
}
