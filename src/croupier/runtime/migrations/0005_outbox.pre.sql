-- name: create_outbox_event
-- A domain event, written in the transaction of its cause. `position` is drawn while the player is locked, so it follows
-- the order in which things happened to one session; between players it says nothing.
CREATE TABLE outbox_event (
    bucket      smallint NOT NULL,
    id          uuid NOT NULL,
    position    bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    type        text NOT NULL,
    session_id  uuid,
    player_id   text COLLATE "C",
    payload     text NOT NULL,
    recorded_at timestamptz NOT NULL,
    fanned_at   timestamptz,
    PRIMARY KEY (bucket, id)
);

-- name: create_outbox_event_new
-- Events that no consumer was given yet, in order.
CREATE INDEX outbox_event_new ON outbox_event (position) WHERE fanned_at IS NULL;

-- name: create_outbox_delivery
-- An event on its way to one consumer; gone once it arrived. `claimable_at` is its due time or the end of a lease, `fence`
-- counts claims; `attempts` counts on the schedule, and `attempts_before` those before it was sent anew by command.
CREATE TABLE outbox_delivery (
    bucket          smallint NOT NULL,
    event_id        uuid NOT NULL,
    endpoint        text COLLATE "C" NOT NULL,
    position        bigint NOT NULL,
    claimable_at    timestamptz NOT NULL,
    fence           integer NOT NULL DEFAULT 0,
    attempts        integer NOT NULL DEFAULT 0,
    attempts_before integer NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (bucket, event_id, endpoint)
) WITH (fillfactor = 70);

-- name: create_outbox_delivery_due
-- What a consumer gets next.
CREATE INDEX outbox_delivery_due ON outbox_delivery (endpoint, claimable_at, position);

-- name: create_outbox_turn
-- What one process does at a time, so that events keep their order: whoever holds a row until `held_until`. Every event
-- up to the position `passed` was given to its consumers, but for what may have been committed very late.
CREATE TABLE outbox_turn (
    bucket     smallint NOT NULL,
    name       text COLLATE "C" NOT NULL,
    holder     uuid,
    held_until timestamptz,
    passed     bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, name)
);

-- name: create_outbox_attempt
-- One try to hand an event over: when, how long, what the other side said.
CREATE TABLE outbox_attempt (
    bucket      smallint NOT NULL,
    event_id    uuid NOT NULL,
    endpoint    text COLLATE "C" NOT NULL,
    attempt     integer NOT NULL,
    result      text NOT NULL CHECK (result IN ('delivered', 'failed', 'given_up')),
    status      smallint,
    error       text,
    excerpt     text,
    duration_ms integer NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (bucket, event_id, endpoint, attempt)
);

-- name: create_outbox_attempt_by_time
-- The attempts of an endpoint, newest first, and the oldest for the purge.
CREATE INDEX outbox_attempt_by_time ON outbox_attempt (endpoint, at);

-- name: create_outbox_endpoint
-- What is known of each endpoint of the configuration: since when it fails, and whether it was switched off.
CREATE TABLE outbox_endpoint (
    bucket           smallint NOT NULL,
    endpoint         text COLLATE "C" NOT NULL,
    last_ok_at       timestamptz,
    failing_since    timestamptz,
    last_error       text,
    disabled_at      timestamptz,
    disabled_because text,
    PRIMARY KEY (bucket, endpoint)
);

-- name: grant_outbox_event
-- Events are added, marked as handed on, and forgotten after their time.
GRANT SELECT, INSERT, DELETE, UPDATE (fanned_at) ON outbox_event TO croupier_app;

-- name: grant_outbox
-- Deliveries, turns, attempts and endpoints are worked on in place.
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox_delivery, outbox_attempt, outbox_endpoint, outbox_turn TO croupier_app;
