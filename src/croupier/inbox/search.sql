-- name: list_deliveries
-- Deliveries, newest first, with what became of them so far.
SELECT d.id, d.provider, d.delivery_id, d.type, d.player_id, d.session_id, d.provider_round_id, d.reference, d.asset,
       d.amount::text AS amount, d.received_at, s.*
  FROM delivery d CROSS JOIN LATERAL (
    SELECT CASE WHEN q.id IS NOT NULL THEN CASE WHEN q.is_waiting THEN 'waiting' ELSE 'queued' END
                WHEN x.id IS NOT NULL THEN 'dead' ELSE 'done' END AS state,
           r.result, coalesce(r.code, x.cause, q.last_error) AS code, coalesce(q.attempts, x.attempts, r.attempts) AS attempts
      FROM (SELECT) none
      LEFT JOIN inbox_queue q ON q.bucket = d.bucket AND q.id = d.id
      LEFT JOIN dead_letter x ON x.bucket = d.bucket AND x.id = d.id
      LEFT JOIN delivery_result r ON r.bucket = d.bucket AND r.id = d.id
            AND r.replay = '00000000-0000-0000-0000-000000000000') s
 WHERE ($1::text IS NULL OR d.provider = $1) AND ($2::text IS NULL OR d.type = $2)
   AND ($3::text IS NULL OR d.provider_round_id = $3) AND ($4::uuid IS NULL OR d.session_id = $4)
   AND ($5::text IS NULL OR d.player_id = $5)
   AND ($6::uuid IS NULL OR d.id >= $6) AND ($7::uuid IS NULL OR d.id < $7)
   AND ($8::text IS NULL OR s.state = $8) AND ($9::text IS NULL OR s.result = $9)
 ORDER BY d.id DESC LIMIT $10;

-- name: list_queued
-- Deliveries that are queued, newest first: the same, found by way of the queue.
SELECT d.id, d.provider, d.delivery_id, d.type, d.player_id, d.session_id, d.provider_round_id, d.reference, d.asset,
       d.amount::text AS amount, d.received_at, CASE WHEN q.is_waiting THEN 'waiting' ELSE 'queued' END AS state,
       NULL::text AS result, q.last_error AS code, q.attempts
  FROM inbox_queue q JOIN delivery d ON d.bucket = q.bucket AND d.id = q.id
 WHERE ($1::text IS NULL OR d.provider = $1) AND ($2::text IS NULL OR d.type = $2)
   AND ($3::text IS NULL OR d.provider_round_id = $3) AND ($4::uuid IS NULL OR d.session_id = $4)
   AND ($5::text IS NULL OR d.player_id = $5)
   AND ($6::uuid IS NULL OR d.id >= $6) AND ($7::uuid IS NULL OR d.id < $7)
   AND q.is_waiting = ($8::text = 'waiting') AND $9::text IS NULL
 ORDER BY d.id DESC LIMIT $10;

-- name: list_dead
-- Dead letters, newest first: the same, found by way of the dead letters.
SELECT d.id, d.provider, d.delivery_id, d.type, d.player_id, d.session_id, d.provider_round_id, d.reference, d.asset,
       d.amount::text AS amount, d.received_at, $8::text AS state, NULL::text AS result, x.cause AS code, x.attempts
  FROM dead_letter x JOIN delivery d ON d.bucket = x.bucket AND d.id = x.id
 WHERE ($1::text IS NULL OR d.provider = $1) AND ($2::text IS NULL OR d.type = $2)
   AND ($3::text IS NULL OR d.provider_round_id = $3) AND ($4::uuid IS NULL OR d.session_id = $4)
   AND ($5::text IS NULL OR d.player_id = $5)
   AND ($6::uuid IS NULL OR d.id >= $6) AND ($7::uuid IS NULL OR d.id < $7)
   AND $9::text IS NULL
 ORDER BY d.id DESC LIMIT $10;

-- name: list_refused
-- Webhooks that were turned away, newest first.
SELECT f.id, f.provider, f.delivery_id, f.code, f.reason, f.detail, f.status, f.received_at
  FROM refused_delivery f
 WHERE ($1::text IS NULL OR f.provider = $1) AND ($2::uuid IS NULL OR f.id >= $2) AND ($3::uuid IS NULL OR f.id < $3)
 ORDER BY f.id DESC LIMIT $4;

-- name: find_by_id
-- A delivery by our id.
SELECT d.bucket, d.id, d.provider, d.delivery_id, d.type, d.player_id, d.session_id, d.provider_round_id, d.reference,
       d.asset, d.amount::text AS amount, d.occurred_at, d.path, d.headers::text AS headers, d.body, d.body_digest,
       d.key_id, d.verified_as, d.signed_at, d.received_at, d.correlation_id, d.trace_id
  FROM delivery d WHERE d.bucket = $1 AND d.id = $2;

-- name: find_by_sender
-- Deliveries by the sender's id; providers may use the same one.
SELECT d.bucket, d.id, d.provider, d.delivery_id, d.type, d.player_id, d.session_id, d.provider_round_id, d.reference,
       d.asset, d.amount::text AS amount, d.occurred_at, d.path, d.headers::text AS headers, d.body, d.body_digest,
       d.key_id, d.verified_as, d.signed_at, d.received_at, d.correlation_id, d.trace_id
  FROM delivery d WHERE d.bucket = $1 AND d.delivery_id = $2 ORDER BY d.id;

-- name: find_refused
-- Refused webhooks by our id, or by the sender's.
SELECT f.id, f.provider, f.delivery_id, f.code, f.reason, f.detail, f.status, f.path, f.headers::text AS headers,
       f.body_bytes, f.body_digest, f.body_excerpt, f.received_at
  FROM refused_delivery f
 WHERE f.id = $1 OR f.delivery_id = $2
 ORDER BY f.id;

-- name: load_queue_row
-- Where a delivery is in the queue.
SELECT q.claimable_at, q.leased_until, q.fence, q.attempts, q.is_waiting, q.last_error, q.last_detail, q.first_failed_at
  FROM inbox_queue q WHERE q.bucket = $1 AND q.id = $2;

-- name: load_dead_row
-- Why a delivery is a dead letter.
SELECT x.cause, x.detail, x.attempts, x.died_at FROM dead_letter x WHERE x.bucket = $1 AND x.id = $2;

-- name: load_results
-- What became of a delivery, the first time and in replays.
SELECT r.replay, r.result, r.code, r.detail, r.journal_id, r.asset, r.moved::text AS moved, r.attempts, r.finished_at
  FROM delivery_result r WHERE r.bucket = $1 AND r.id = $2 ORDER BY r.finished_at;

-- name: load_depths
-- What is queued and dead for each provider now.
SELECT p.provider, coalesce(q.depth, 0) AS depth, coalesce(q.waiting, 0) AS waiting, q.oldest_at,
       coalesce(x.dead, 0) AS dead, coalesce(l.drained_per_min, 0) AS drained_per_min, l.measured_at
  FROM (SELECT provider FROM inbox_turn WHERE provider <> ''
        UNION SELECT provider FROM inbox_queue UNION SELECT provider FROM dead_letter) p
  LEFT JOIN (SELECT i.provider, count(*) AS depth, count(*) FILTER (WHERE i.is_waiting) AS waiting,
                    min(i.received_at) FILTER (WHERE NOT i.is_waiting) AS oldest_at
               FROM inbox_queue i GROUP BY i.provider) q ON q.provider = p.provider
  LEFT JOIN (SELECT i.provider, count(*) AS dead FROM dead_letter i GROUP BY i.provider) x ON x.provider = p.provider
  LEFT JOIN inbox_level l ON l.provider = p.provider
 WHERE $1::text IS NULL OR p.provider = $1
 ORDER BY p.provider;
