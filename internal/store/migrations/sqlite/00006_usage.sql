-- +goose Up
-- What each answer of a model used. micro_usd is NULL where nobody knows the
-- price; estimated is 1 where the provider did not say what it used.
CREATE TABLE usage (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    incident_id TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    model       TEXT NOT NULL,
    at          BIGINT NOT NULL,
    input       BIGINT NOT NULL,
    output      BIGINT NOT NULL,
    cache_read  BIGINT NOT NULL,
    cache_write BIGINT NOT NULL,
    micro_usd   BIGINT,
    estimated   INTEGER NOT NULL
);
CREATE INDEX usage_by_incident ON usage (incident_id, seq);
CREATE INDEX usage_by_time ON usage (at);
-- +goose StatementBegin
CREATE TRIGGER usage_is_kept_u BEFORE UPDATE ON usage BEGIN SELECT RAISE(ABORT, 'usage is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER usage_is_kept_d BEFORE DELETE ON usage BEGIN SELECT RAISE(ABORT, 'usage is append-only'); END;
-- +goose StatementEnd
