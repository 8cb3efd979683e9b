-- +goose Up
-- Lists of incidents that stand somewhere, and the newest commands on a host. A
-- host may be a model's own words, longer than what fits into a tree's page.
CREATE INDEX incidents_by_state ON incidents (state, opened_at);
CREATE INDEX commands_by_host ON commands (substr(host, 1, 200), asked_at);

-- What was answered to a request that names itself, so that the same request
-- again is not done again. status is 0 while it is under way. These rows are not
-- part of the record and are removed when they are old.
CREATE TABLE answers (
    id     TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    at     BIGINT NOT NULL,
    status INTEGER NOT NULL,
    type   TEXT NOT NULL,
    body   TEXT NOT NULL
);
CREATE INDEX answers_by_time ON answers (at);
