-- +goose Up
-- Times are microseconds since 1970 (UTC). JSON is text.

CREATE TABLE incidents (
    id           TEXT PRIMARY KEY,
    key          TEXT NOT NULL,
    alert_name   TEXT NOT NULL,
    severity     TEXT NOT NULL,
    summary      TEXT NOT NULL,
    target_host  TEXT NOT NULL,
    target_kind  TEXT NOT NULL,
    target_name  TEXT NOT NULL,
    state        TEXT NOT NULL,
    reason       TEXT NOT NULL,
    alert_firing INTEGER NOT NULL,
    opened_at    BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL
);
-- One incident takes the alerts of a key at any time. An escalated one goes on
-- taking them while its alert fires: a person has it, it is not opened again.
CREATE UNIQUE INDEX incidents_taking_alerts ON incidents (key)
    WHERE state NOT IN ('resolved', 'superseded') AND (state <> 'escalated' OR alert_firing = 1);
CREATE INDEX incidents_by_time ON incidents (opened_at);

CREATE TABLE alerts (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT NOT NULL UNIQUE,
    incident_id   TEXT REFERENCES incidents (id),
    fingerprint   TEXT NOT NULL,
    status        TEXT NOT NULL,
    received_at   BIGINT NOT NULL,
    alert         TEXT NOT NULL
);
CREATE INDEX alerts_by_incident ON alerts (incident_id, fingerprint, seq);

CREATE TABLE events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    incident_id TEXT NOT NULL,
    at          BIGINT NOT NULL,
    kind        TEXT NOT NULL,
    actor       TEXT NOT NULL,
    text        TEXT NOT NULL,
    data        TEXT
);
CREATE INDEX events_by_incident ON events (incident_id, seq);

CREATE TABLE commands (
    id          TEXT PRIMARY KEY,
    incident_id TEXT NOT NULL,
    host        TEXT NOT NULL,
    class       TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    asked_at    BIGINT NOT NULL,
    intent_at   BIGINT,
    finished_at BIGINT,
    record      TEXT NOT NULL,
    stdout      BLOB,
    stderr      BLOB
);
CREATE INDEX commands_by_incident ON commands (incident_id, asked_at);

-- The record is append-only. A command gets its result once, and nothing else
-- about it changes.
-- +goose StatementBegin
CREATE TRIGGER events_are_kept_u BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER events_are_kept_d BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER alerts_are_kept_u BEFORE UPDATE ON alerts BEGIN SELECT RAISE(ABORT, 'alerts are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER alerts_are_kept_d BEFORE DELETE ON alerts BEGIN SELECT RAISE(ABORT, 'alerts are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER commands_are_kept_u BEFORE UPDATE ON commands
WHEN OLD.intent_at IS NULL OR OLD.finished_at IS NOT NULL OR NEW.finished_at IS NULL
    OR NEW.id <> OLD.id OR NEW.incident_id <> OLD.incident_id OR NEW.host <> OLD.host OR NEW.class <> OLD.class
    OR NEW.asked_at <> OLD.asked_at OR NEW.intent_at IS NOT OLD.intent_at
BEGIN SELECT RAISE(ABORT, 'commands are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER commands_are_kept_d BEFORE DELETE ON commands BEGIN SELECT RAISE(ABORT, 'commands are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER incidents_are_kept_d BEFORE DELETE ON incidents BEGIN SELECT RAISE(ABORT, 'incidents are kept'); END;
-- +goose StatementEnd
