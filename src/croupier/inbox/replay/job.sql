-- name: insert_job
-- A new job, held by its runner.
INSERT INTO inbox_replay (bucket, id, actor, reason, filter, plan, state, progress, runner, runner_until, created_at,
    updated_at)
VALUES ($1, $2, $3, $4, $5::text::jsonb, $6::text::jsonb, 'running', $7::text::jsonb, $8, $9, $10, $10);

-- name: forget_expectations
-- The expectations of a job that was proven.
DELETE FROM replay_expectation WHERE replay = $1;

-- name: load_job
-- A job.
SELECT id, actor, reason, filter::text AS filter, plan::text AS plan, state, progress::text AS progress,
       proof::text AS proof, runner, runner_until, created_at, updated_at
  FROM inbox_replay WHERE bucket = $1 AND id = $2;

-- name: lock_job
-- A job, and nobody else changes it until the transaction ends.
SELECT id, actor, reason, filter::text AS filter, plan::text AS plan, state, progress::text AS progress,
       proof::text AS proof, runner, runner_until, created_at, updated_at
  FROM inbox_replay WHERE bucket = $1 AND id = $2 FOR UPDATE;

-- name: load_jobs
-- Jobs, newest first.
SELECT id, actor, reason, filter::text AS filter, plan::text AS plan, state, progress::text AS progress,
       proof::text AS proof, runner, runner_until, created_at, updated_at
  FROM inbox_replay ORDER BY id DESC LIMIT $1;

-- name: move_on
-- The progress of a job, if it still is its runner's.
UPDATE inbox_replay SET progress = $4::text::jsonb, runner_until = $5, updated_at = $6
 WHERE bucket = $1 AND id = $2 AND runner = $3 AND state = 'running'
RETURNING id;

-- name: update_job
-- A job's state, proof and runner.
UPDATE inbox_replay SET state = $3, proof = $4::text::jsonb, runner = $5, runner_until = $6, updated_at = $7
 WHERE bucket = $1 AND id = $2;

-- name: insert_results
-- What became of deliveries in a replay. What moved is what the ledger says, also for what is done a second time
-- because the first result was not kept. The bucket of an entry is its id's last byte.
INSERT INTO delivery_result (bucket, id, replay, provider, result, code, detail, journal_id, asset, moved, attempts,
    finished_at)
SELECT k.bucket, k.id, $1, k.provider, k.result, k.code, k.detail, k.journal_id, k.asset,
       CASE WHEN k.result = 'applied' THEN coalesce(p.moved, 0) END, 1, $10
  FROM unnest($2::smallint[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::text[])
    AS k (bucket, id, provider, result, code, detail, journal_id, asset)
  LEFT JOIN LATERAL (
    SELECT sum(x.amount) AS moved FROM posting x
     WHERE k.result = 'applied' AND x.bucket = get_byte(uuid_send(k.journal_id), 15)::smallint
       AND x.entry_id = k.journal_id AND x.kind = 'player_wallet') p ON true
ON CONFLICT DO NOTHING;

-- name: finish_queued
-- Deliveries that were waiting in the queue have their first result now.
WITH gone AS (
    DELETE FROM inbox_queue q
     USING unnest($2::smallint[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::text[])
        AS k (bucket, id, provider, result, code, detail, journal_id, asset)
     WHERE q.bucket = k.bucket AND q.id = k.id
    RETURNING k.*, q.attempts + 1 AS attempts)
INSERT INTO delivery_result (bucket, id, replay, provider, result, code, detail, journal_id, asset, moved, attempts,
    finished_at)
SELECT g.bucket, g.id, '00000000-0000-0000-0000-000000000000', g.provider, g.result, g.code,
       coalesce(g.detail, $11), g.journal_id, g.asset, r.moved, g.attempts, $10
  FROM gone g CROSS JOIN LATERAL (
    SELECT x.moved FROM delivery_result x
     WHERE x.bucket = g.bucket AND x.id = g.id AND x.replay = $1 LIMIT 1) r
ON CONFLICT DO NOTHING;

-- name: finish_dead
-- Deliveries that were dead letters have their first result now.
WITH gone AS (
    DELETE FROM dead_letter x
     USING unnest($2::smallint[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::text[])
        AS k (bucket, id, provider, result, code, detail, journal_id, asset)
     WHERE x.bucket = k.bucket AND x.id = k.id
    RETURNING k.*, x.attempts + 1 AS attempts)
INSERT INTO delivery_result (bucket, id, replay, provider, result, code, detail, journal_id, asset, moved, attempts,
    finished_at)
SELECT g.bucket, g.id, '00000000-0000-0000-0000-000000000000', g.provider, g.result, g.code,
       coalesce(g.detail, $11), g.journal_id, g.asset, r.moved, g.attempts, $10
  FROM gone g CROSS JOIN LATERAL (
    SELECT x.moved FROM delivery_result x
     WHERE x.bucket = g.bucket AND x.id = g.id AND x.replay = $1 LIMIT 1) r
ON CONFLICT DO NOTHING;
