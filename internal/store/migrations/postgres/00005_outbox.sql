-- +goose Up
-- Messages to people. What is said here is derived from the events, which are
-- the record: these rows may change and are removed when they are old.

-- How far the events have been turned into messages.
CREATE TABLE notify_cursor (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL
);

CREATE TABLE outbox (
    id          TEXT COLLATE "C" PRIMARY KEY,
    channel     TEXT NOT NULL,
    incident_id TEXT NOT NULL,
    kind        TEXT NOT NULL,
    severity    TEXT NOT NULL,
    urgent      INTEGER NOT NULL,
    seq         BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    not_before  BIGINT NOT NULL,
    attempts    INTEGER NOT NULL,
    last_error  TEXT NOT NULL,
    fate        TEXT NOT NULL,
    sent_at     BIGINT NOT NULL,
    given_up_at BIGINT NOT NULL,
    record      TEXT NOT NULL
);
CREATE INDEX outbox_waiting ON outbox (channel, urgent DESC, attempts, seq) WHERE sent_at = 0 AND given_up_at = 0;
CREATE INDEX outbox_by_time ON outbox (created_at);

-- One process at a time sends to a channel.
CREATE TABLE notify_leases (
    channel TEXT PRIMARY KEY,
    node    TEXT NOT NULL,
    until   BIGINT NOT NULL
);
