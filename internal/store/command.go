package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lifeline"
)

// recordOf is the command as JSON, without the outputs' bytes, which have
// columns of their own.
func recordOf(c lifeline.Command) string {
	c.Stdout, c.Stderr = nil, nil
	return string(jsonOf(c))
}

func (tx *writeTx) insertCommand(ctx context.Context, c lifeline.Command) error {
	var intent any
	if !c.IntentAt.IsZero() {
		intent = micros(c.IntentAt)
	}
	var finished any
	if !c.FinishedAt.IsZero() {
		finished = micros(c.FinishedAt)
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO commands (id, incident_id, host, class, outcome, asked_at, intent_at, finished_at, record)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		c.ID, c.IncidentID, c.Host, c.Class, c.Outcome, micros(tx.now), intent, finished, recordOf(c))
	return err
}

// commandData is the record of a command as the chain has it: with a hash over
// the outputs once it has finished, since their bytes are not in the events.
func commandData(record string, finished bool, stdout, stderr []byte) json.RawMessage {
	if !finished {
		return json.RawMessage(record)
	}
	h := sha256.New()
	writePart(h, string(stdout))
	writePart(h, string(stderr))
	return with(record, "output_sha256", hex.EncodeToString(h.Sum(nil)))
}

const commandColumns = `SELECT record, stdout, stderr FROM commands`

func scanCommand(row scanner) (lifeline.Command, error) {
	var (
		c              lifeline.Command
		record         string
		stdout, stderr []byte
	)
	if err := row.Scan(&record, &stdout, &stderr); err != nil {
		return c, err
	}
	err := json.Unmarshal([]byte(record), &c)
	c.Stdout, c.Stderr = stdout, stderr
	return c, err
}

func (tx *writeTx) command(ctx context.Context, id string) (*lifeline.Command, error) {
	c, err := scanCommand(tx.QueryRowContext(ctx, commandColumns+` WHERE id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &c, err
}

// RecordIntent commits the intent to run cmd. A change is refused with
// lifeline.CodeRefused, and nothing is written, while the kill switch is on,
// while what it is about is in maintenance, or when one of the limits is
// reached; so is a command whose ApprovalID names an
// approval that does not let it through. Otherwise the approval is used up in
// the same transaction.
//
// If cmd.ID is on record, that command is returned and nothing is written: its
// Outcome is "" if its result never was recorded.
//
// The intent of a change moves the incident to acting in the same transaction.
func (s *Store) RecordIntent(ctx context.Context, cmd lifeline.Command, limits lifeline.Limits) (prior *lifeline.Command, err error) {
	err = s.write(ctx, "record the intent "+cmd.ID, func(tx *writeTx) error {
		if prior, err = tx.command(ctx, cmd.ID); err != nil || prior != nil {
			return err
		}
		change := cmd.Class != "read"
		if change {
			if err := s.checkChange(ctx, tx, cmd, limits); err != nil {
				return err
			}
		}
		if cmd.ApprovalID != "" {
			if err := tx.useApproval(ctx, cmd); err != nil {
				return err
			}
		}
		if cmd.IntentAt.IsZero() {
			cmd.IntentAt = tx.now
		}
		if err := tx.insertCommand(ctx, cmd); err != nil {
			return err
		}
		if change && cmd.IncidentID != "" {
			if err := tx.act(ctx, cmd); err != nil {
				return err
			}
		}
		return tx.append(ctx, commandEvent(lifeline.EventCommandStarted, cmd, fmt.Sprintf("%s: %s", cmd.Host, cmd.Canonical)))
	})
	return prior, err
}

// act moves the incident of a change to acting, unless it is there.
func (tx *writeTx) act(ctx context.Context, cmd lifeline.Command) error {
	inc, err := incidentByID(ctx, tx, cmd.IncidentID)
	if err != nil || inc.State == lifeline.StateActing {
		return err
	}
	return tx.move(ctx, &inc, lifeline.StateActing, "guard", "the intent of a change is on record")
}

// RecordResult puts the result onto a command whose intent is on record. A
// second result is refused: what happened first is what happened.
func (s *Store) RecordResult(ctx context.Context, cmd lifeline.Command) error {
	return s.write(ctx, "record the result of "+cmd.ID, func(tx *writeTx) error {
		if cmd.FinishedAt.IsZero() {
			cmd.FinishedAt = tx.now
		}
		if prior, err := tx.command(ctx, cmd.ID); err != nil {
			return err
		} else if prior != nil { // what the intent has said stays, also for a read that ran again after a crash
			cmd.Class = cmp.Or(cmd.Class, prior.Class)
			if !prior.IntentAt.IsZero() {
				cmd.IntentAt = prior.IntentAt
			}
		}
		res, err := tx.ExecContext(ctx, `UPDATE commands SET outcome = $1, finished_at = $2, record = $3, stdout = $4, stderr = $5
			WHERE id = $6 AND intent_at IS NOT NULL AND finished_at IS NULL`,
			cmd.Outcome, micros(cmd.FinishedAt), recordOf(cmd), cmd.Stdout, cmd.Stderr, cmd.ID)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, fmt.Errorf("%s has no intent on record that waits for a result", cmd.ID))
		}
		return tx.append(ctx, commandEvent(lifeline.EventCommandFinished, cmd, fmt.Sprintf("%s: %s: %s", cmd.Host, cmd.Canonical, ending(cmd))))
	})
}

// RecordRefusal puts a command that was not let through on record.
func (s *Store) RecordRefusal(ctx context.Context, cmd lifeline.Command) error {
	cmd.ID, cmd.Host = plain(cmd.ID), plain(cmd.Host) // they may be a model's own words
	return s.write(ctx, "record the refusal "+cmd.ID, func(tx *writeTx) error {
		if prior, err := tx.command(ctx, cmd.ID); err != nil || prior != nil {
			return err
		}
		if err := tx.insertCommand(ctx, cmd); err != nil {
			return err
		}
		return tx.append(ctx, commandEvent(lifeline.EventCommandRefused, cmd, fmt.Sprintf("%s: %s: refused: %s", cmd.Host, cmd.Command, cmd.Reason)))
	})
}

// commandEvent is a timeline entry about a command. Its Data is the command
// without the bytes of its outputs, and a hash over them in output_sha256.
func commandEvent(kind lifeline.EventKind, c lifeline.Command, text string) lifeline.Event {
	return lifeline.Event{IncidentID: c.IncidentID, Kind: kind, Actor: c.Actor, Text: text,
		Data: commandData(recordOf(c), kind == lifeline.EventCommandFinished, c.Stdout, c.Stderr)}
}

// ending says in a few words how a command ended.
func ending(c lifeline.Command) string {
	took := c.Run.Round(time.Millisecond)
	switch {
	case c.Outcome == lifeline.OutcomeExited && c.ExitStatus != nil:
		return fmt.Sprintf("exited %d in %s", *c.ExitStatus, took)
	case c.Outcome == lifeline.OutcomeSignaled:
		return fmt.Sprintf("ended by signal %s after %s", c.Signal, took)
	case c.Error != "":
		return fmt.Sprintf("%s after %s: %s", c.Outcome, took, c.Error)
	}
	return fmt.Sprintf("%s after %s", c.Outcome, took)
}

// Commands lists an incident's commands in the order in which they were asked for.
func (s *Store) Commands(ctx context.Context, incidentID string) ([]lifeline.Command, error) {
	return list(ctx, s.db, "read the commands of "+incidentID, commandColumns+` WHERE incident_id = $1 ORDER BY asked_at, id`, scanCommand, incidentID)
}
