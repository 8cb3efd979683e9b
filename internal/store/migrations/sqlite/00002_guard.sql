-- +goose Up
-- Every event carries a hash over itself and the hash before it. Events of an
-- earlier version get theirs once, in the next migration, which SQL cannot do.
ALTER TABLE events ADD COLUMN hash TEXT NOT NULL DEFAULT '';

-- The end of the chain, sealed with a key that is not in the database: what is
-- cut off at the end is missed.
CREATE TABLE chain_head (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    seq  BIGINT NOT NULL,
    hash TEXT NOT NULL,
    mac  TEXT NOT NULL
);

CREATE TABLE approvals (
    id          TEXT PRIMARY KEY,
    incident_id TEXT NOT NULL,
    digest      TEXT NOT NULL,
    state       TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    record      TEXT NOT NULL
);
CREATE INDEX approvals_by_incident ON approvals (incident_id, created_at);
CREATE INDEX approvals_by_state ON approvals (state);
-- The same is asked once, unless it was answered with a yes and done.
CREATE UNIQUE INDEX approvals_asked ON approvals (digest) WHERE state <> 'used';

-- The kill switch: its newest row is its state.
CREATE TABLE pauses (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    at     BIGINT NOT NULL,
    record TEXT NOT NULL
);

-- Budgets count the changes on a host and on all hosts.
CREATE INDEX commands_by_intent ON commands (intent_at) WHERE intent_at IS NOT NULL AND class <> 'read';

DROP TRIGGER events_are_kept_u;
-- +goose StatementBegin
CREATE TRIGGER events_are_kept_u BEFORE UPDATE ON events
WHEN OLD.hash <> '' OR NEW.hash = '' OR NEW.seq <> OLD.seq OR NEW.incident_id <> OLD.incident_id OR NEW.at <> OLD.at
    OR NEW.kind <> OLD.kind OR NEW.actor <> OLD.actor OR NEW.text <> OLD.text OR NEW.data IS NOT OLD.data
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER events_are_chained BEFORE INSERT ON events WHEN NEW.hash = ''
BEGIN SELECT RAISE(ABORT, 'events are chained: an event without a hash was written by an older Lifeline'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER approvals_are_kept_u BEFORE UPDATE ON approvals
WHEN OLD.state NOT IN ('pending', 'approved') OR NEW.id <> OLD.id OR NEW.incident_id <> OLD.incident_id
    OR NEW.digest <> OLD.digest OR NEW.created_at <> OLD.created_at OR NEW.expires_at <> OLD.expires_at
    OR NEW.state NOT IN ('approved', 'denied', 'expired', 'used')
    OR OLD.state = 'pending' AND NEW.state = 'used' OR OLD.state = 'approved' AND NEW.state IN ('approved', 'denied')
BEGIN SELECT RAISE(ABORT, 'an approval is decided once and used once'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER approvals_are_kept_d BEFORE DELETE ON approvals BEGIN SELECT RAISE(ABORT, 'approvals are kept'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER pauses_are_kept_u BEFORE UPDATE ON pauses BEGIN SELECT RAISE(ABORT, 'pauses are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER pauses_are_kept_d BEFORE DELETE ON pauses BEGIN SELECT RAISE(ABORT, 'pauses are append-only'); END;
-- +goose StatementEnd
