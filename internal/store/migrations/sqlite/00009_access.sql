-- +goose Up
-- Who has signed in with a browser. hash is the SHA-256 of what the browser's
-- cookie has, which is kept nowhere else; mac is over everything that decides what
-- the row lets in, with the key of the record: whoever can only write the database
-- cannot make one, nor give one another role. Rows are removed when they end.
CREATE TABLE sessions (
    hash       TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    via        TEXT NOT NULL,
    proof      TEXT NOT NULL,
    address    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    idle_until BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    mac        TEXT NOT NULL
);
CREATE INDEX sessions_by_end ON sessions (expires_at);
CREATE INDEX sessions_by_idle ON sessions (idle_until);

-- Keys for programs. record is what the newest event of the token says, with the
-- hash of its secret; used_at is the only column that changes without an event.
CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    hash       TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    record     TEXT NOT NULL,
    mac        TEXT NOT NULL
);
CREATE UNIQUE INDEX tokens_by_name ON tokens (name) WHERE revoked_at = 0;
-- +goose StatementBegin
CREATE TRIGGER tokens_are_kept_u BEFORE UPDATE ON tokens
WHEN NEW.id <> OLD.id OR NEW.hash <> OLD.hash OR NEW.name <> OLD.name OR NEW.expires_at <> OLD.expires_at
    OR OLD.revoked_at <> 0 AND (NEW.revoked_at <> OLD.revoked_at OR NEW.record <> OLD.record)
BEGIN SELECT RAISE(ABORT, 'a token is kept as it was, and revoked for ever'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER tokens_are_kept_d BEFORE DELETE ON tokens BEGIN SELECT RAISE(ABORT, 'tokens are kept'); END;
-- +goose StatementEnd
