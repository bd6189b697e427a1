-- name: insert_turn
-- A provider's turn, or the one of whoever measures; it stays once it is there.
INSERT INTO inbox_turn (bucket, provider) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: load_due_providers
-- Whose deliveries may be taken now; goes from provider to provider, not from row to row.
WITH RECURSIVE known AS (
    (SELECT provider FROM inbox_queue ORDER BY provider LIMIT 1)
    UNION ALL
    SELECT (SELECT q.provider FROM inbox_queue q WHERE q.provider > k.provider ORDER BY q.provider LIMIT 1)
      FROM known k WHERE k.provider IS NOT NULL)
SELECT k.provider FROM known k
 WHERE EXISTS (SELECT FROM inbox_queue q WHERE q.provider = k.provider AND q.claimable_at <= $1);

-- name: claim_deliveries
-- Take a provider's deliveries under a lease.
SELECT bucket, id, fence, attempts, lost, order_key, received_at, first_failed_at, delivery_id, type, path, body,
       body_digest, key_id, signed_at, correlation_id, trace_id
  FROM claim_inbox($1, $2, $3, $4, $5, $6, $7);

-- name: finish_deliveries
-- Results of what is still under this lease; it leaves the queue. What was applied and does not say what it moved is
-- looked up in the ledger; the bucket of an entry is its id's last byte.
WITH gone AS (
    DELETE FROM inbox_queue q
     USING unnest($1::smallint[], $2::uuid[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[],
                  $9::numeric[]) AS o (bucket, id, fence, result, code, detail, journal_id, asset, moved)
     WHERE q.bucket = o.bucket AND q.id = o.id AND q.fence = o.fence
    RETURNING q.bucket, q.id, q.provider, o.result, o.code, o.detail, o.journal_id, o.asset, o.moved,
              q.attempts + 1 AS attempts)
INSERT INTO delivery_result (bucket, id, replay, provider, result, code, detail, journal_id, asset, moved, attempts,
    finished_at)
SELECT g.bucket, g.id, '00000000-0000-0000-0000-000000000000', g.provider, g.result, g.code, g.detail, g.journal_id,
       g.asset, coalesce(g.moved, (SELECT sum(p.amount) FROM posting p
                                    WHERE g.result = 'applied' AND p.entry_id = g.journal_id AND p.kind = 'player_wallet'
                                      AND p.bucket = get_byte(uuid_send(g.journal_id), 15)::smallint),
                                CASE WHEN g.result = 'applied' AND g.journal_id IS NOT NULL THEN 0 END),
       g.attempts, $10
  FROM gone g
ON CONFLICT DO NOTHING;

-- name: put_back_deliveries
-- What is still under this lease is tried again later.
UPDATE inbox_queue q
   SET claimable_at = o.at, leased_until = NULL, lost = 0, attempts = o.attempts, is_waiting = o.is_waiting,
       last_error = coalesce(o.cause, q.last_error), last_detail = coalesce(o.detail, q.last_detail),
       first_failed_at = CASE WHEN o.cause IS NULL THEN q.first_failed_at ELSE coalesce(q.first_failed_at, $8) END
  FROM unnest($1::smallint[], $2::uuid[], $3::integer[], $4::timestamptz[], $5::integer[], $6::boolean[], $7::text[],
              $9::text[]) AS o (bucket, id, fence, at, attempts, is_waiting, cause, detail)
 WHERE q.bucket = o.bucket AND q.id = o.id AND q.fence = o.fence;

-- name: park_deliveries
-- What is still under this lease becomes a dead letter.
WITH gone AS (
    DELETE FROM inbox_queue q
     USING unnest($1::smallint[], $2::uuid[], $3::integer[], $4::text[], $5::text[], $6::integer[])
        AS o (bucket, id, fence, cause, detail, attempts)
     WHERE q.bucket = o.bucket AND q.id = o.id AND q.fence = o.fence
    RETURNING q.bucket, q.id, q.provider, q.order_key, q.fence, q.received_at, o.cause, o.detail, o.attempts)
INSERT INTO dead_letter (bucket, id, provider, type, order_key, cause, detail, attempts, fence, asset, amount,
    received_at, died_at)
SELECT g.bucket, g.id, g.provider, d.type, g.order_key, g.cause, g.detail, g.attempts, g.fence, d.asset, d.amount,
       g.received_at, $7
  FROM gone g JOIN delivery d ON d.id = g.id AND d.bucket = g.bucket
ON CONFLICT DO NOTHING;

-- name: measure_levels
-- What waits for each provider and how fast it drains; nothing when somebody has just measured.
SELECT provider, depth, waiting, dead, oldest_at, drained_per_min, measured_at FROM measure_inbox($1, $2, $3, $4, $5, $6);

-- name: load_levels
-- What waits for each provider and how fast it drains, as it was measured last.
SELECT provider, depth, waiting, dead, oldest_at, drained_per_min, measured_at FROM inbox_level ORDER BY provider;
