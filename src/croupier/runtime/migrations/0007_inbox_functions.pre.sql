-- name: create_delivery_row
-- A verified webhook to keep, in the order of the columns, and the key by which its order is kept.
CREATE TYPE delivery_row AS (
    bucket smallint,
    provider text,
    delivery_id text,
    id uuid,
    type text,
    player_id text,
    session_id uuid,
    provider_round_id text,
    reference text,
    asset text,
    amount text,
    occurred_at timestamptz,
    path text,
    headers text,
    body bytea,
    body_digest text,
    key_id text,
    verified_as text,
    signed_at timestamptz,
    received_at timestamptz,
    correlation_id text,
    trace_id text,
    order_key text
);

-- name: create_known_delivery
-- That an offered delivery (`given`) has an id which was taken before: by which delivery, and with which body.
CREATE TYPE known_delivery AS (
    given uuid,
    id uuid,
    body_digest text
);

-- name: create_accept_deliveries
-- Keeps verified webhooks and queues those that are new; tells which ids were known. No rule lives here.
-- Offered in the order of their keys, so that two processes with the same ids wait for each other and never in a ring.
-- Offering the same rows again after a lost reply adds nothing: what is found then is the row itself.
CREATE FUNCTION accept_deliveries(
    p_buckets    smallint[],
    p_deliveries delivery_row[],
    OUT known    known_delivery[]
) LANGUAGE plpgsql AS $$
DECLARE
    fresh uuid[];
    found bigint;
BEGIN
    WITH kept AS (
        INSERT INTO delivery (bucket, provider, delivery_id, id, type, player_id, session_id, provider_round_id,
            reference, asset, amount, occurred_at, path, headers, body, body_digest, key_id, verified_as, signed_at,
            received_at, correlation_id, trace_id)
        SELECT d.bucket, d.provider, d.delivery_id, d.id, d.type, d.player_id, d.session_id, d.provider_round_id,
               d.reference, d.asset, d.amount::numeric, d.occurred_at, d.path, d.headers::jsonb, d.body,
               d.body_digest, d.key_id, d.verified_as, d.signed_at, d.received_at, d.correlation_id, d.trace_id
          FROM unnest(p_deliveries) d
        ON CONFLICT DO NOTHING RETURNING id)
    SELECT array_agg(id) INTO fresh FROM kept;

    IF cardinality(fresh) = cardinality(p_deliveries) THEN
        INSERT INTO inbox_queue (bucket, id, provider, order_key, claimable_at, received_at)
        SELECT d.bucket, d.id, d.provider, d.order_key, d.received_at, d.received_at FROM unnest(p_deliveries) d;
        RETURN;
    END IF;

    INSERT INTO inbox_queue (bucket, id, provider, order_key, claimable_at, received_at)
    SELECT d.bucket, d.id, d.provider, d.order_key, d.received_at, d.received_at
      FROM unnest(p_deliveries) d WHERE d.id = ANY(fresh);

    SELECT array_agg(ROW(d.id, x.id, x.body_digest)::known_delivery) FILTER (WHERE x.id <> d.id), count(*)
      INTO known, found
      FROM unnest(p_deliveries) d CROSS JOIN LATERAL (
        SELECT k.id, k.body_digest FROM delivery k
         WHERE k.bucket = d.bucket AND k.provider = d.provider AND k.delivery_id = d.delivery_id LIMIT 1) x;
    IF found <> cardinality(p_deliveries) THEN
        RAISE EXCEPTION 'a known delivery of this batch was forgotten meanwhile' USING ERRCODE = 'CR001';
    END IF;
END $$;

-- name: create_claim_inbox
-- Takes up to p_limit deliveries of one provider, oldest first; gives one row of nulls while somebody else is taking. A
-- row is taken only together with everything before it in its round, so that a round stays in order: what comes after
-- a row under lease is left, what comes after any other row is put off until that row is due. When the first p_limit
-- rows are all held up, the first p_look are looked at, if that is more. A row whose claims were lost p_suspect times in
-- a row is taken alone, because it may be what ends the workers.
CREATE FUNCTION claim_inbox(
    p_bucket   smallint,
    p_provider text,
    p_now      timestamptz,
    p_until    timestamptz,
    p_limit    integer,
    p_look     integer,
    p_suspect  integer
) RETURNS TABLE (
    bucket          smallint,
    id              uuid,
    fence           integer,
    attempts        integer,
    lost            integer,
    order_key       text,
    received_at     timestamptz,
    first_failed_at timestamptz,
    delivery_id     text,
    type            text,
    path            text,
    body            bytea,
    body_digest     text,
    key_id          text,
    signed_at       timestamptz,
    correlation_id  text,
    trace_id        text
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    look integer;
BEGIN
    PERFORM FROM inbox_turn t WHERE t.bucket = p_bucket AND t.provider = p_provider FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NEXT;
        RETURN;
    END IF;
    FOREACH look IN ARRAY ARRAY[p_limit, p_look] LOOP
        RETURN QUERY
        WITH seen AS MATERIALIZED (
            SELECT q.bucket, q.id, q.order_key, q.claimable_at, q.lost FROM inbox_queue q
             WHERE q.provider = p_provider AND q.claimable_at <= p_now
               AND (q.leased_until IS NULL OR q.leased_until <= p_now)
             ORDER BY q.provider, q.claimable_at, q.id LIMIT look
        ), edge AS MATERIALIZED (
            SELECT s.claimable_at, s.id FROM seen s ORDER BY s.claimable_at DESC, s.id DESC LIMIT 1
        ), placed AS (
            SELECT s.*, row_number() OVER (PARTITION BY s.order_key ORDER BY s.id) AS place FROM seen s
        ), probed AS (
            -- Once for each round: the first row of it that is not among those seen.
            SELECT p.*, g.id AS gap, g.claimable_at AS gap_at, g.is_leased AS gap_is_leased
              FROM placed p LEFT JOIN LATERAL (
                SELECT e.id, e.claimable_at, e.leased_until IS NOT NULL AND e.leased_until > p_now AS is_leased
                  FROM inbox_queue e
                 WHERE p.place = 1 AND e.provider = p_provider AND e.order_key = p.order_key AND NOT e.is_waiting
                   AND (e.leased_until > p_now
                        OR (e.claimable_at, e.id) > ((SELECT claimable_at FROM edge), (SELECT id FROM edge)))
                 ORDER BY e.provider, e.order_key, e.id LIMIT 1) g ON true
        ), judged AS MATERIALIZED (
            SELECT p.bucket, p.id, p.lost, first_value(p.gap) OVER round AS gap,
                   first_value(p.gap_at) OVER round AS gap_at,
                   first_value(p.gap_is_leased) OVER round AS gap_is_leased
              FROM probed p WINDOW round AS (PARTITION BY p.order_key ORDER BY p.place)
        ), free AS MATERIALIZED (
            SELECT j.bucket, j.id, j.lost FROM judged j WHERE j.gap IS NULL OR j.id < j.gap ORDER BY j.id LIMIT p_limit
        ), suspect AS MATERIALIZED (
            SELECT f.id FROM free f WHERE f.lost >= p_suspect ORDER BY f.id LIMIT 1
        ), taken AS MATERIALIZED (
            SELECT f.bucket, f.id FROM free f
             WHERE f.id < (SELECT id FROM suspect) OR f.id = (SELECT id FROM free ORDER BY id LIMIT 1)
                OR NOT EXISTS (SELECT FROM suspect)
             ORDER BY f.id
        ), put_off AS (
            UPDATE inbox_queue q SET claimable_at = j.gap_at FROM judged j
             WHERE j.id > j.gap AND NOT j.gap_is_leased AND q.bucket = j.bucket AND q.id = j.id
        ), done AS (
            UPDATE inbox_queue q SET leased_until = p_until, fence = q.fence + 1, lost = q.lost + 1
              FROM taken t WHERE q.bucket = t.bucket AND q.id = t.id
            RETURNING q.bucket, q.id, q.fence, q.attempts, q.lost, q.order_key, q.received_at, q.first_failed_at
        )
        SELECT o.*, d.delivery_id, d.type, d.path, d.body, d.body_digest, d.key_id, d.signed_at, d.correlation_id,
               d.trace_id
          FROM done o JOIN delivery d ON d.id = o.id AND d.bucket = o.bucket ORDER BY o.id;
        EXIT WHEN FOUND OR p_look <= look;
    END LOOP;
END $$;

-- name: create_measure_inbox
-- Measures every provider's level, unless that was done between p_since and p_until or is being done; p_from begins the
-- span in which results are counted for the drain rate, p_spans of them are a minute.
CREATE FUNCTION measure_inbox(
    p_bucket smallint,
    p_now    timestamptz,
    p_since  timestamptz,
    p_until  timestamptz,
    p_from   timestamptz,
    p_spans  integer
) RETURNS SETOF inbox_level LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM inbox_turn t
      WHERE t.bucket = p_bucket AND t.provider = ''
        AND NOT EXISTS (SELECT FROM inbox_level l WHERE l.measured_at BETWEEN p_since AND p_until)
        FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH queued AS MATERIALIZED (
        SELECT i.provider, count(*) AS depth, count(*) FILTER (WHERE i.is_waiting) AS waiting,
               min(i.received_at) FILTER (WHERE NOT i.is_waiting) AS oldest_at
          FROM inbox_queue i GROUP BY i.provider
    ), buried AS MATERIALIZED (
        SELECT i.provider, count(*) AS dead FROM dead_letter i GROUP BY i.provider
    )
    INSERT INTO inbox_level AS l (bucket, provider, depth, waiting, dead, oldest_at, drained_per_min, measured_at)
    SELECT t.bucket, t.provider, coalesce(q.depth, 0), coalesce(q.waiting, 0), coalesce(x.dead, 0), q.oldest_at,
           r.drained * p_spans, p_now
      FROM inbox_turn t
      LEFT JOIN queued q ON q.provider = t.provider
      LEFT JOIN buried x ON x.provider = t.provider
     CROSS JOIN LATERAL (
        SELECT count(*) AS drained FROM delivery_result i
         WHERE i.provider = t.provider AND i.finished_at > p_from AND i.finished_at <= p_now
           AND i.replay = '00000000-0000-0000-0000-000000000000') r
     WHERE t.provider <> ''
    ON CONFLICT (bucket, provider) DO UPDATE
       SET depth = excluded.depth, waiting = excluded.waiting, dead = excluded.dead, oldest_at = excluded.oldest_at,
           drained_per_min = excluded.drained_per_min, measured_at = excluded.measured_at
    RETURNING l.*;
END $$;
