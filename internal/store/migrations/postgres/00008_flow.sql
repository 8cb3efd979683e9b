-- +goose Up
-- The events that are appended once, by a key of whoever appends them: a step
-- that runs again after a crash does not say the same twice.
CREATE TABLE event_keys (
    key TEXT PRIMARY KEY,
    at  BIGINT NOT NULL
);
