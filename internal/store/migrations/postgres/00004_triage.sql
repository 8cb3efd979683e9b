-- +goose Up
-- An incident of a fault that came and went too often; it is held for a person.
ALTER TABLE incidents ADD COLUMN flapping INTEGER NOT NULL DEFAULT 0;
-- Until when it takes the alerts of its key, whatever its state; 0: it is not
-- flapping, or it has been quiet for long enough.
ALTER TABLE incidents ADD COLUMN damped_until BIGINT NOT NULL DEFAULT 0;
-- What a storm case has taken in, as JSON: it decides its severity and summary.
-- '' for every other incident.
ALTER TABLE incidents ADD COLUMN storm TEXT NOT NULL DEFAULT '';

-- One incident takes the alerts of a key at any time. An escalated one goes on
-- taking them while its alert fires, and while it is damped: when that time is
-- over, damped_until is set to 0 in the transaction that opens the next.
ALTER TABLE incidents DROP CONSTRAINT incidents_taking_alerts;
ALTER TABLE incidents ADD CONSTRAINT incidents_taking_alerts EXCLUDE USING hash (key WITH =)
    WHERE (state NOT IN ('resolved', 'superseded') AND (state <> 'escalated' OR alert_firing = 1 OR damped_until > 0));
-- Storms count what was opened on a host, flapping what was opened for a key,
-- which may be longer than what fits into a tree's page.
CREATE INDEX incidents_by_host ON incidents (target_host, opened_at);
CREATE INDEX incidents_by_key ON incidents USING hash (key);

-- The alerts that fire now, by incident: the newest row of each fingerprint. It
-- follows from the alerts and is kept so that nobody has to count them.
CREATE TABLE firing (
    incident_id TEXT COLLATE "C" NOT NULL REFERENCES incidents (id),
    fingerprint TEXT NOT NULL,
    alert_id    TEXT COLLATE "C" NOT NULL REFERENCES alerts (id),
    PRIMARY KEY (incident_id, fingerprint)
);
INSERT INTO firing (incident_id, fingerprint, alert_id)
SELECT a.incident_id, a.fingerprint, a.id FROM alerts a
WHERE a.incident_id IS NOT NULL AND a.status = 'firing'
    AND NOT EXISTS (SELECT 1 FROM alerts b WHERE b.incident_id = a.incident_id AND b.fingerprint = a.fingerprint AND b.seq > a.seq);

CREATE TABLE maintenances (
    id          TEXT COLLATE "C" PRIMARY KEY,
    source      TEXT NOT NULL,
    external_id TEXT NOT NULL,
    from_at     BIGINT NOT NULL,
    until_at    BIGINT NOT NULL,
    ended_at    BIGINT NOT NULL,
    record      TEXT NOT NULL
);
CREATE INDEX maintenances_by_end ON maintenances (until_at);
-- A window of a source is one window here.
CREATE UNIQUE INDEX maintenances_of_source ON maintenances (source, external_id) WHERE external_id <> '' AND ended_at = 0;

-- +goose StatementBegin
CREATE FUNCTION maintenances_are_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'maintenance windows are kept';
    END IF;
    IF OLD.ended_at <> 0 OR NEW.id <> OLD.id OR NEW.source <> OLD.source OR NEW.external_id <> OLD.external_id THEN
        RAISE EXCEPTION 'a maintenance window that has ended is kept as it was';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER maintenances_are_kept BEFORE UPDATE OR DELETE ON maintenances
    FOR EACH ROW EXECUTE FUNCTION maintenances_are_kept();
CREATE TRIGGER maintenances_are_kept_t BEFORE TRUNCATE ON maintenances EXECUTE FUNCTION lifeline_kept('maintenance windows are kept');
