package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"lifeline"
)

// RecordUsage puts on record what an answer of a model used and the event that
// tells of the answer, together: what a budget counts is what the timeline has.
// At is now if it is zero. Every answer is a row of its own: a question that is
// put again after a crash is paid again.
func (s *Store) RecordUsage(ctx context.Context, u lifeline.Usage, e lifeline.Event) error {
	return s.write(ctx, "record what the model used in "+u.IncidentID, func(tx *writeTx) error {
		if len(e.Data) > 0 && !json.Valid(e.Data) {
			return fmt.Errorf("the data of the event %s is not JSON", e.Kind)
		}
		if u.At.IsZero() {
			u.At = tx.now
		}
		estimated := 0
		if u.Estimated {
			estimated = 1
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO usage (incident_id, attempt, model, at, input, output, cache_read, cache_write, micro_usd, estimated)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			u.IncidentID, u.Attempt, u.Model, micros(u.At), u.Input, u.Output, u.CacheRead, u.CacheWrite, u.MicroUSD, estimated)
		if err != nil {
			return err
		}
		return tx.append(ctx, e)
	})
}

// Usage lists what the models' answers of one incident used, in order.
func (s *Store) Usage(ctx context.Context, incidentID string) ([]lifeline.Usage, error) {
	return list(ctx, s.db, "read what the models used in "+incidentID,
		`SELECT incident_id, attempt, model, at, input, output, cache_read, cache_write, micro_usd, estimated
		FROM usage WHERE incident_id = $1 ORDER BY seq`, scanUsage, incidentID)
}

func scanUsage(row scanner) (u lifeline.Usage, err error) {
	var (
		at        int64
		estimated int
		price     sql.NullInt64
	)
	err = row.Scan(&u.IncidentID, &u.Attempt, &u.Model, &at, &u.Input, &u.Output, &u.CacheRead, &u.CacheWrite, &price, &estimated)
	u.At, u.Estimated = fromMicros(at), estimated != 0
	if price.Valid {
		u.MicroUSD = new(price.Int64)
	}
	return u, err
}

// UsageSince sums what all models used after a time, over all incidents. It
// counts what lies after the clock's time too: a clock that was set back makes a
// budget smaller, never larger.
func (s *Store) UsageSince(ctx context.Context, after time.Time) (lifeline.Spent, error) {
	return s.spent(ctx, "sum what the models used", `at > $1`, micros(after))
}

// UsageOf sums what the models used for one incident.
func (s *Store) UsageOf(ctx context.Context, incidentID string) (lifeline.Spent, error) {
	return s.spent(ctx, "sum what the models used in "+incidentID, `incident_id = $1`, incidentID)
}

func (s *Store) spent(ctx context.Context, what, where string, arg any) (lifeline.Spent, error) {
	sum, err := spentIn(ctx, s.db, where, arg)
	return sum, wrap(what, err)
}

// spentIn casts its sums: Postgres gives a sum of BIGINT as NUMERIC.
func spentIn(ctx context.Context, q querier, where string, args ...any) (sum lifeline.Spent, err error) {
	err = q.QueryRowContext(ctx, `SELECT COUNT(*),
		CAST(COALESCE(SUM(input), 0) AS BIGINT), CAST(COALESCE(SUM(output), 0) AS BIGINT),
		CAST(COALESCE(SUM(cache_read), 0) AS BIGINT), CAST(COALESCE(SUM(cache_write), 0) AS BIGINT),
		CAST(COALESCE(SUM(micro_usd), 0) AS BIGINT), CAST(COALESCE(SUM(CASE WHEN micro_usd IS NULL THEN 1 ELSE 0 END), 0) AS BIGINT),
		CAST(COALESCE(SUM(estimated), 0) AS BIGINT)
		FROM usage WHERE `+where, args...).
		Scan(&sum.Answers, &sum.Input, &sum.Output, &sum.CacheRead, &sum.CacheWrite, &sum.MicroUSD, &sum.Unpriced, &sum.Estimated)
	return sum, err
}
