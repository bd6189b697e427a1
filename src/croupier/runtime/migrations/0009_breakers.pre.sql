-- name: create_provider_breaker
-- Where each endpoint's breaker stands, for every process. The calls counted in its window are a JSON array of
-- [part, ok, failed, slow].
CREATE TABLE provider_breaker (
    bucket        smallint NOT NULL,
    provider      text COLLATE "C" NOT NULL,
    operation     text COLLATE "C" NOT NULL,
    state         text NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
    since         timestamptz NOT NULL,
    retry_at      timestamptz,
    openings      integer NOT NULL,
    is_held       boolean NOT NULL,
    passed        integer NOT NULL,
    probing_until timestamptz[] NOT NULL,
    slots         jsonb NOT NULL,
    PRIMARY KEY (bucket, provider, operation),
    CONSTRAINT held_is_open CHECK (NOT is_held OR state = 'open')
) WITH (fillfactor = 50);

-- name: create_breaker_change
-- What became of a breaker, in order: by whom, why, and the calls of its window at that time.
CREATE TABLE breaker_change (
    bucket     smallint NOT NULL,
    id         uuid NOT NULL,
    provider   text COLLATE "C" NOT NULL,
    operation  text COLLATE "C" NOT NULL,
    at         timestamptz NOT NULL,
    from_state text NOT NULL,
    to_state   text NOT NULL,
    cause      text NOT NULL,
    actor      text NOT NULL,
    reason     text NOT NULL,
    ok         integer NOT NULL,
    failed     integer NOT NULL,
    slow       integer NOT NULL,
    retry_at   timestamptz,
    PRIMARY KEY (bucket, id)
);

-- name: create_breaker_change_newest
-- The newest changes of all breakers.
CREATE INDEX breaker_change_newest ON breaker_change (id);

-- name: guard_breaker_change
-- History is never edited.
CREATE TRIGGER breaker_change_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON breaker_change
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- name: grant_provider_breaker
-- States are rewritten, never removed.
GRANT SELECT, INSERT, UPDATE ON provider_breaker TO croupier_app;

-- name: grant_breaker_change
-- History is only added to.
GRANT SELECT, INSERT ON breaker_change TO croupier_app;
