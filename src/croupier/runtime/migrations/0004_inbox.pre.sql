-- name: create_delivery
-- One verified webhook, for ever as it came. The bucket is the delivery id's own, so that an id counts once whatever
-- its body names; the columns behind `type` are what the body says, to find it by.
CREATE TABLE delivery (
    bucket            smallint NOT NULL,
    provider          text COLLATE "C" NOT NULL,
    delivery_id       text COLLATE "C" NOT NULL,
    id                uuid NOT NULL,
    type              text NOT NULL,
    player_id         text COLLATE "C",
    session_id        uuid,
    provider_round_id text COLLATE "C",
    reference         text COLLATE "C",
    asset             text,
    amount            numeric(38, 0),
    occurred_at       timestamptz,
    path              text NOT NULL,
    headers           jsonb NOT NULL,
    body              bytea NOT NULL,
    body_digest       text NOT NULL,
    key_id            text NOT NULL,
    verified_as       text NOT NULL,
    signed_at         timestamptz NOT NULL,
    received_at       timestamptz NOT NULL,
    correlation_id    text NOT NULL,
    trace_id          text,
    PRIMARY KEY (bucket, provider, delivery_id)
);

-- name: create_delivery_by_id
-- A delivery by our id, and windows of time, because ids are time-ordered.
CREATE INDEX delivery_by_id ON delivery (id);

-- name: guard_delivery
-- What was received is never edited. It may be forgotten as a whole, once it is old enough.
CREATE TRIGGER delivery_is_kept_as_it_came BEFORE UPDATE OR TRUNCATE ON delivery
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- name: create_inbox_queue
-- Deliveries that are not finished. A worker may take a row from `claimable_at` on, its arrival or its next attempt,
-- unless it is under another worker's lease. `fence` counts claims, so that a worker whose lease ran out changes
-- nothing; `lost` counts claims in a row of which nobody told the end. What a claim changes stands in no index, and each
-- page keeps room for it.
CREATE TABLE inbox_queue (
    bucket          smallint NOT NULL,
    id              uuid NOT NULL,
    provider        text COLLATE "C" NOT NULL,
    order_key       text COLLATE "C" NOT NULL,
    claimable_at    timestamptz NOT NULL,
    received_at     timestamptz NOT NULL,
    fence           integer NOT NULL DEFAULT 0,
    attempts        integer NOT NULL DEFAULT 0,
    lost            integer NOT NULL DEFAULT 0,
    leased_until    timestamptz,
    is_waiting      boolean NOT NULL DEFAULT false,
    last_error      text,
    last_detail     text,
    first_failed_at timestamptz,
    PRIMARY KEY (bucket, id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

-- name: create_inbox_queue_due
-- What a provider's next turn takes, oldest first.
CREATE INDEX inbox_queue_due ON inbox_queue (provider, claimable_at, id);

-- name: create_inbox_queue_order
-- Whether something earlier of the same round is still under way. What waits for its cause holds nothing up.
CREATE INDEX inbox_queue_order ON inbox_queue (provider, order_key, id) WHERE NOT is_waiting;

-- name: create_inbox_turn
-- One row for each provider: whoever claims its deliveries holds it for that moment, which keeps rounds in order. The
-- row without a name is held by whoever measures the levels.
CREATE TABLE inbox_turn (
    bucket   smallint NOT NULL,
    provider text COLLATE "C" NOT NULL,
    PRIMARY KEY (bucket, provider)
);

-- name: create_inbox_level
-- What is waiting for each provider and how fast it drains, measured about once a second by whoever works.
CREATE TABLE inbox_level (
    bucket           smallint NOT NULL,
    provider         text COLLATE "C" NOT NULL,
    depth            bigint NOT NULL,
    waiting          bigint NOT NULL,
    dead             bigint NOT NULL,
    oldest_at        timestamptz,
    drained_per_min  bigint NOT NULL,
    measured_at      timestamptz NOT NULL,
    PRIMARY KEY (bucket, provider)
) WITH (fillfactor = 50);

-- name: create_delivery_result
-- What became of a delivery: once when it was first processed (`replay` is all zeros), and once in each replay.
CREATE TABLE delivery_result (
    bucket      smallint NOT NULL,
    id          uuid NOT NULL,
    replay      uuid NOT NULL,
    provider    text COLLATE "C" NOT NULL,
    result      text NOT NULL CHECK (result IN ('applied', 'repeat', 'nothing', 'refused', 'unmatched', 'failed')),
    code        text NOT NULL,
    detail      text,
    journal_id  uuid,
    asset       text,
    moved       numeric(38, 0),
    attempts    integer NOT NULL,
    finished_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, id, replay)
);

-- name: create_delivery_result_by_time
-- How fast a provider's deliveries are finished, and the newest results.
CREATE INDEX delivery_result_by_time ON delivery_result (provider, finished_at)
    WHERE replay = '00000000-0000-0000-0000-000000000000';

-- name: create_delivery_result_of_replay
-- The results of one replay; those of the first processing have no use for it.
CREATE INDEX delivery_result_of_replay ON delivery_result (replay, id)
 WHERE replay <> '00000000-0000-0000-0000-000000000000';

-- name: create_dead_letter
-- Deliveries that the pipeline could not process; a business refusal is a result, never a dead letter. The fence goes
-- on counting when one is put back in the queue.
CREATE TABLE dead_letter (
    bucket      smallint NOT NULL,
    id          uuid NOT NULL,
    provider    text COLLATE "C" NOT NULL,
    type        text NOT NULL,
    order_key   text COLLATE "C" NOT NULL,
    cause       text NOT NULL,
    detail      text NOT NULL,
    attempts    integer NOT NULL,
    fence       integer NOT NULL,
    asset       text,
    amount      numeric(38, 0),
    received_at timestamptz NOT NULL,
    died_at     timestamptz NOT NULL,
    PRIMARY KEY (bucket, id)
);

-- name: create_dead_letter_group
-- Dead letters by cause, oldest first.
CREATE INDEX dead_letter_group ON dead_letter (provider, cause, died_at);

-- name: create_refused_delivery
-- Webhooks that were turned away, with the reason, bounded for each provider. Nothing of them is proven.
CREATE TABLE refused_delivery (
    bucket       smallint NOT NULL,
    id           uuid NOT NULL,
    provider     text COLLATE "C" NOT NULL,
    delivery_id  text,
    code         text NOT NULL,
    reason       text,
    detail       text NOT NULL,
    status       smallint NOT NULL,
    path         text NOT NULL,
    headers      jsonb NOT NULL,
    body_bytes   bigint,
    body_digest  text,
    body_excerpt text,
    received_at  timestamptz NOT NULL,
    PRIMARY KEY (bucket, id)
);

-- name: create_refused_delivery_newest
-- The newest of a provider, and those beyond its bound.
CREATE INDEX refused_delivery_newest ON refused_delivery (provider, id);

-- name: create_inbox_replay
-- A replay of a window: what was asked, what was planned, how far it has come and what it proved.
CREATE TABLE inbox_replay (
    bucket      smallint NOT NULL,
    id          uuid NOT NULL,
    actor       text NOT NULL,
    reason      text NOT NULL CHECK (reason <> ''),
    filter      jsonb NOT NULL,
    plan        jsonb NOT NULL,
    state       text NOT NULL CHECK (state IN ('running', 'cancelled', 'finished', 'failed')),
    progress    jsonb NOT NULL,
    proof       jsonb,
    runner      uuid,
    runner_until timestamptz,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (bucket, id)
);

-- name: create_replay_expectation
-- The effects that a replay's plan promised, delivery by delivery, until its run is proven equal.
CREATE TABLE replay_expectation (
    bucket smallint NOT NULL,
    replay uuid NOT NULL,
    id     uuid NOT NULL,
    asset  text,
    moved  numeric(38, 0) NOT NULL,
    PRIMARY KEY (bucket, replay, id)
);

-- name: create_replay_expectation_of
-- All that one replay promised.
CREATE INDEX replay_expectation_of ON replay_expectation (replay, id);

-- name: grant_delivery
-- The application adds deliveries and may forget old ones; it never changes one.
GRANT SELECT, INSERT, DELETE ON delivery, delivery_result, refused_delivery TO croupier_app;

-- name: grant_inbox
-- Queue, turns, levels and dead letters are worked on in place.
GRANT SELECT, INSERT, UPDATE, DELETE ON inbox_queue, inbox_turn, inbox_level, dead_letter TO croupier_app;

-- name: grant_replay_expectation
-- Expectations are written once and forgotten when they are proven.
GRANT SELECT, INSERT, DELETE ON replay_expectation TO croupier_app;

-- name: grant_inbox_replay
-- A replay moves on in place and is never forgotten.
GRANT SELECT, INSERT, UPDATE ON inbox_replay TO croupier_app;
