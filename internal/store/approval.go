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

const approvalColumns = `SELECT a.record FROM approvals a`

func scanApproval(row scanner) (a lifeline.Approval, err error) {
	var record string
	if err := row.Scan(&record); err != nil {
		return a, err
	}
	return a, json.Unmarshal([]byte(record), &a)
}

// RequestApproval puts on record that a person is asked about cmd and that cmd
// itself did not run. It gives the record of cmd: refused, with a Reason and,
// while it waits, with CodeWaits and the ApprovalID. A person is asked once for
// the same (see Command.Digest): what waits already goes on waiting, and what
// was denied or not answered is refused. A request that is on record already is
// given back as it is.
//
// What could not be let through by an approval either, because of the kill
// switch or a limit, is an error with lifeline.CodeRefused, as of RecordIntent.
func (s *Store) RequestApproval(ctx context.Context, cmd lifeline.Command, valid time.Duration, limits lifeline.Limits) (_ lifeline.Command, err error) {
	err = s.write(ctx, "ask a person about "+cmd.ID, func(tx *writeTx) error {
		if prior, err := tx.command(ctx, cmd.ID); err != nil || prior != nil {
			if prior != nil {
				cmd = *prior
			}
			return err
		}
		if cmd.Digest == "" || valid <= 0 {
			return errors.New("an approval needs a digest of what it is for and a time in which it is valid")
		}
		inc, err := incidentByID(ctx, tx, cmd.IncidentID)
		if err != nil {
			return err
		}
		if inc.State.Ended() {
			return refused(lifeline.RuleApproval, "", "the incident is %s: nobody is asked any more", inc.State)
		}
		if err := s.checkChange(ctx, tx, cmd, limits); err != nil {
			return err
		}
		cmd.Outcome, cmd.FinishedAt, cmd.IntentAt = lifeline.OutcomeRefused, tx.now, time.Time{}
		why := cmd.Reason
		a, known, err := tx.asked(ctx, cmd)
		if err != nil {
			return err
		}
		if !known {
			a = newApproval(tx.now, cmd, valid)
			if err := tx.insertApproval(ctx, a); err != nil {
				return err
			}
		}
		cmd.ApprovalID, cmd.Rule, cmd.Cause = a.ID, lifeline.RuleApproval, lifeline.CodeRefused
		cmd.Reason, cmd.Hint = waiting(a, why)
		if a.Open() {
			cmd.Cause = lifeline.CodeWaits
		}
		if err := tx.insertCommand(ctx, cmd); err != nil {
			return err
		}
		return tx.append(ctx, commandEvent(lifeline.EventCommandRefused, cmd, fmt.Sprintf("%s: %s: not run: %s", cmd.Host, cmd.Canonical, cmd.Reason)))
	})
	return cmd, err
}

// waiting says why a command that a person is asked about did not run, and what
// the person types.
func waiting(a lifeline.Approval, why string) (reason, hint string) {
	switch a.State {
	case lifeline.ApprovalPending:
		return fmt.Sprintf("a person is asked, until %s: %s", a.ExpiresAt.Format(time.RFC3339), why), "lifeline approve " + a.ID
	case lifeline.ApprovalApproved:
		return "a person has approved it, and it is going to be run", ""
	case lifeline.ApprovalDenied:
		return fmt.Sprintf("%s has denied it%s", a.DecidedBy, because(a.Decision)), ""
	}
	return "a person was asked, and nobody has approved it" + because(a.Decision), ""
}

func newApproval(now time.Time, cmd lifeline.Command, valid time.Duration) lifeline.Approval {
	return lifeline.Approval{
		ID: newID("apr", now), Request: cmd.CommandRequest, Canonical: cmd.Canonical, Class: cmd.Class, Marks: cmd.Marks,
		Rule: cmd.Rule, Reason: cmd.Reason, Digest: cmd.Digest, State: lifeline.ApprovalPending,
		CreatedAt: now, ExpiresAt: now.Add(valid.Truncate(time.Microsecond)),
	}
}

// asked finds what a person was asked about the same command and has not been
// used up by running it.
func (tx *writeTx) asked(ctx context.Context, cmd lifeline.Command) (lifeline.Approval, bool, error) {
	a, err := scanApproval(tx.QueryRowContext(ctx, approvalColumns+` WHERE a.digest = $1 AND a.state <> 'used'`, cmd.Digest))
	if errors.Is(err, sql.ErrNoRows) {
		return a, false, nil
	}
	return a, err == nil, err
}

func (tx *writeTx) insertApproval(ctx context.Context, a lifeline.Approval) error {
	record := jsonOf(a)
	_, err := tx.ExecContext(ctx, `INSERT INTO approvals (id, incident_id, digest, state, created_at, expires_at, record) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		a.ID, a.Request.IncidentID, a.Digest, a.State, micros(a.CreatedAt), micros(a.ExpiresAt), string(record))
	if err != nil {
		return err
	}
	return tx.append(ctx, lifeline.Event{IncidentID: a.Request.IncidentID, Kind: lifeline.EventApprovalRequested, Actor: "guard",
		Text: fmt.Sprintf("%s: may this run? %s (%s)", a.Request.Host, a.Canonical, a.ID), Data: record})
}

// turn changes an approval's state, if it still is what a shows: compare and set.
func (tx *writeTx) turn(ctx context.Context, a *lifeline.Approval, to lifeline.ApprovalState, kind lifeline.EventKind, actor, text string) error {
	from := a.State
	a.State = to
	record := jsonOf(a)
	res, err := tx.ExecContext(ctx, `UPDATE approvals SET state = $1, record = $2 WHERE id = $3 AND state = $4 AND digest = $5`,
		to, string(record), a.ID, from, a.Digest)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("the approval %s is not %s any more", a.ID, from))
	}
	return tx.append(ctx, lifeline.Event{IncidentID: a.Request.IncidentID, Kind: kind, Actor: actor, Text: text, Data: record})
}

// close ends an approval that is open without a yes.
func (tx *writeTx) close(ctx context.Context, a lifeline.Approval, by, why string) error {
	a.DecidedAt, a.DecidedBy, a.Decision = tx.now, by, why
	return tx.turn(ctx, &a, lifeline.ApprovalExpired, lifeline.EventApprovalDecided, by,
		fmt.Sprintf("%s: not approved: %s: %s (%s)", a.Request.Host, why, a.Canonical, a.ID))
}

// closeAll ends the open approvals of an incident.
func (tx *writeTx) closeAll(ctx context.Context, incidentID, by, why string) error {
	open, err := queryApprovals(ctx, tx, approvalColumns+` WHERE a.incident_id = $1 AND a.state IN ('pending', 'approved') ORDER BY a.created_at, a.id`, incidentID)
	if err != nil {
		return err
	}
	for _, a := range open {
		if err := tx.close(ctx, a, by, why); err != nil {
			return err
		}
	}
	return nil
}

// Decision is a person's answer.
type Decision struct {
	Approve bool
	// By says who: "person:ann".
	By     string
	Reason string
	// Digest of the command under the configuration in force, which has to be
	// the approval's. It is only needed for a yes.
	Digest string
}

// DecideApproval takes a person's answer to a pending approval. An answer that
// comes late, twice, after the alert resolved or after the host, its account or
// the policy was changed is not taken: that is an error with
// lifeline.CodeRefused, and on record. The ID may be a beginning that only one
// approval has.
func (s *Store) DecideApproval(ctx context.Context, id string, d Decision) (a lifeline.Approval, err error) {
	var no error
	err = s.write(ctx, "decide about "+id, func(tx *writeTx) error {
		if a, err = findApproval(ctx, tx, id); err != nil {
			return err
		}
		inc, err := incidentByID(ctx, tx, a.Request.IncidentID)
		if err != nil {
			return err
		}
		if no = undecidable(a, inc, d, tx.now); no != nil {
			if a.State == lifeline.ApprovalPending && !tx.now.Before(a.ExpiresAt) {
				if err := tx.close(ctx, a, "store", lateWords); err != nil {
					return err
				}
			}
			answer := map[bool]string{true: "yes", false: "no"}[d.Approve]
			return tx.append(ctx, lifeline.Event{IncidentID: inc.ID, Kind: lifeline.EventApprovalRefused, Actor: d.By,
				Text: fmt.Sprintf("a %s to %s was not taken: %v", answer, a.ID, no),
				Data: jsonOf(map[string]any{"approval": a.ID, "approve": d.Approve, "reason": d.Reason, "refused": no.Error()})})
		}
		a.DecidedAt, a.DecidedBy, a.Decision = tx.now, d.By, d.Reason
		to, said := lifeline.ApprovalDenied, "denied"
		if d.Approve {
			to, said = lifeline.ApprovalApproved, "approved"
		}
		return tx.turn(ctx, &a, to, lifeline.EventApprovalDecided, d.By, fmt.Sprintf("%s: %s%s: %s (%s)", a.Request.Host, said, because(d.Reason), a.Canonical, a.ID))
	})
	return a, errors.Join(err, no)
}

const lateWords = "nobody has decided in time"

// undecidable says why an answer is not taken; nil if it is.
func undecidable(a lifeline.Approval, inc lifeline.Incident, d Decision, now time.Time) error {
	switch {
	case a.State != lifeline.ApprovalPending:
		by := ""
		if a.DecidedBy != "" {
			by = " by " + a.DecidedBy + because(a.Decision)
		}
		return refused(lifeline.RuleApproval, "lifeline approvals", "the approval %s is %s already%s", a.ID, a.State, by)
	case inc.State.Ended():
		return refused(lifeline.RuleApproval, "lifeline incidents show "+inc.ID, "the incident %s is %s: there is nothing left to decide", inc.ID, inc.State)
	case d.Approve && !inc.AlertFiring:
		return refused(lifeline.RuleApproval, "lifeline incidents show "+inc.ID, "the alert has resolved: nothing is left to repair")
	case d.Approve:
		return unusable(a, d.Digest, now)
	case !now.Before(a.ExpiresAt):
		return refused(lifeline.RuleApproval, "lifeline incidents show "+inc.ID, "the approval %s ended at %s", a.ID, a.ExpiresAt.Format(time.RFC3339))
	}
	return nil
}

// unusable says why an approval lets nothing through now; nil if it does. A
// clock that stands before the question was asked was set back: how much time
// has passed is not known, and what is not known has passed.
func unusable(a lifeline.Approval, digest string, now time.Time) error {
	switch {
	case !now.Before(a.ExpiresAt):
		return refused(lifeline.RuleApproval, "lifeline incidents show "+a.Request.IncidentID, "the approval %s ended at %s", a.ID, a.ExpiresAt.Format(time.RFC3339))
	case now.Before(a.CreatedAt):
		return refused(lifeline.RuleApproval, "", "the clock was set back since the approval %s was asked for", a.ID)
	case a.Digest != digest:
		return refused(lifeline.RuleApproval, "lifeline policy explain -- "+a.Canonical,
			"the approval %s is for something else: the command, the host, its account or the policy is not the same any more", a.ID)
	}
	return nil
}

// useApproval spends the approval that cmd names, in the transaction of cmd's
// intent.
func (tx *writeTx) useApproval(ctx context.Context, cmd lifeline.Command) error {
	a, err := approvalByID(ctx, tx, cmd.ApprovalID)
	if lifeline.CodeOf(err) == lifeline.CodeNotFound {
		return refused(lifeline.RuleApproval, "", "there is no approval %q", cmd.ApprovalID)
	}
	if err != nil {
		return err
	}
	switch {
	case a.Request.IncidentID != cmd.IncidentID || a.Request.Host != cmd.Host || a.Canonical != cmd.Canonical:
		return refused(lifeline.RuleApproval, "", "the approval %s is for another command", a.ID)
	case a.State != lifeline.ApprovalApproved:
		return refused(lifeline.RuleApproval, "", "the approval %s is %s: it lets nothing through", a.ID, a.State)
	}
	inc, err := incidentByID(ctx, tx, cmd.IncidentID)
	if err != nil {
		return err
	}
	if !inc.AlertFiring { // a read under an approval: a change was refused before
		return refused(lifeline.RuleResolved, "", "the alert has resolved: nothing is left to repair")
	}
	if err := unusable(a, cmd.Digest, tx.now); err != nil {
		return err
	}
	a.UsedAt = tx.now
	return tx.turn(ctx, &a, lifeline.ApprovalUsed, lifeline.EventApprovalUsed, "guard", fmt.Sprintf("%s: approved by %s, now run: %s (%s)", a.Request.Host, a.DecidedBy, a.Canonical, a.ID))
}

// ExpireApproval ends an open approval without a yes. One that is not open
// stays as it is.
func (s *Store) ExpireApproval(ctx context.Context, id, by, why string) error {
	return s.write(ctx, "end the approval "+id, func(tx *writeTx) error {
		a, err := approvalByID(ctx, tx, id)
		if err != nil || !a.Open() {
			return err
		}
		return tx.close(ctx, a, by, why)
	})
}

func noApproval(id string) error {
	return &lifeline.Error{Code: lifeline.CodeNotFound, Message: fmt.Sprintf("there is no approval %q", id), Hint: "lifeline approvals --all"}
}

func approvalByID(ctx context.Context, q querier, id string) (lifeline.Approval, error) {
	a, err := scanApproval(q.QueryRowContext(ctx, approvalColumns+` WHERE a.id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return a, noApproval(id)
	}
	return a, err
}

// findApproval finds an approval by its ID or by a beginning that only it has.
func findApproval(ctx context.Context, q rowsQuerier, id string) (lifeline.Approval, error) {
	id = plain(id)
	found, err := queryApprovals(ctx, q, approvalColumns+` WHERE substr(a.id, 1, $1) = $2 ORDER BY a.id LIMIT 3`, len(id), id)
	switch {
	case err != nil:
		return lifeline.Approval{}, err
	case len(found) == 0 || id == "":
		return lifeline.Approval{}, noApproval(id)
	case len(found) > 1 && found[0].ID != id:
		ids := make([]string, len(found))
		for i, a := range found {
			ids[i] = a.ID
		}
		return lifeline.Approval{}, &lifeline.Error{Code: lifeline.CodeNotFound,
			Message: fmt.Sprintf("%q begins more than one approval: %s", id, strings.Join(ids, ", ")), Hint: "type more of the ID"}
	}
	return found[0], nil
}

type rowsQuerier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func queryApprovals(ctx context.Context, q rowsQuerier, query string, args ...any) ([]lifeline.Approval, error) {
	return list(ctx, q, "read the approvals", query, scanApproval, args...)
}

// Approval finds an approval by its ID or by a beginning that only it has.
func (s *Store) Approval(ctx context.Context, id string) (lifeline.Approval, error) {
	a, err := findApproval(ctx, s.db, id)
	return a, wrap("read the approval "+id, err)
}

// Approvals lists the approvals of an incident, or of all for "", in the order
// in which they were asked for.
func (s *Store) Approvals(ctx context.Context, incidentID string) ([]lifeline.Approval, error) {
	if incidentID == "" {
		return queryApprovals(ctx, s.db, approvalColumns+` ORDER BY a.created_at, a.id`)
	}
	return queryApprovals(ctx, s.db, approvalColumns+` WHERE a.incident_id = $1 ORDER BY a.created_at, a.id`, incidentID)
}

// AwaitedApprovals lists the approvals, decided or not, of the incidents that
// wait for a decision.
func (s *Store) AwaitedApprovals(ctx context.Context) ([]lifeline.Approval, error) {
	return queryApprovals(ctx, s.db, approvalColumns+` JOIN incidents i ON i.id = a.incident_id
		WHERE i.state = 'awaiting_approval' ORDER BY a.created_at, a.id`)
}
