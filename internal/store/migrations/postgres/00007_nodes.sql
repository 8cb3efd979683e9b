-- +goose Up
-- The nodes that work incidents on this database. A node writes only while its
-- row has its epoch: whoever takes over from it raises the epoch first. Times are
-- microseconds since 1970 on the database's clock.
CREATE TABLE nodes (
    name        TEXT COLLATE "C" PRIMARY KEY,
    epoch       BIGINT NOT NULL,
    version     TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    -- who has taken over from it, '' for nobody
    fenced_by   TEXT NOT NULL,
    -- 0 until its unfinished work was given to the others
    recovered   INTEGER NOT NULL
);
