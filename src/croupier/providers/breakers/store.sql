-- name: insert_breaker
-- A breaker that nobody has used yet; it stays once it is there.
INSERT INTO provider_breaker (bucket, provider, operation, state, since, openings, is_held, passed, probing_until, slots)
VALUES ($1, $2, $3, 'closed', $4, 0, false, 0, '{}', '[]') ON CONFLICT DO NOTHING;

-- name: lock_breaker
-- One breaker, held until the transaction ends.
SELECT provider, operation, state, since, retry_at, openings, is_held, passed, probing_until, slots
  FROM provider_breaker WHERE bucket = $1 AND provider = $2 AND operation = $3 FOR UPDATE;

-- name: load_breakers
-- Every breaker there is.
SELECT provider, operation, state, since, retry_at, openings, is_held, passed, probing_until, slots
  FROM provider_breaker ORDER BY provider, operation;

-- name: write_breaker
-- Where a breaker that is held stands now.
UPDATE provider_breaker
   SET state = $4, since = $5, retry_at = $6, openings = $7, is_held = $8, passed = $9, probing_until = $10, slots = $11
 WHERE bucket = $1 AND provider = $2 AND operation = $3;

-- name: insert_change
-- One line of a breaker's history.
INSERT INTO breaker_change (bucket, id, provider, operation, at, from_state, to_state, cause, actor, reason, ok, failed,
    slow, retry_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);

-- name: insert_event
-- An event of our own, which belongs to no session.
INSERT INTO outbox_event (bucket, id, type, payload, recorded_at) VALUES ($1, $2, $3, $4, $5);

-- name: load_changes
-- The newest changes, of all breakers or of a provider's.
SELECT provider, operation, at, from_state, to_state, cause, actor, reason, ok, failed, slow, retry_at
  FROM breaker_change WHERE $1::text IS NULL OR provider = $1 ORDER BY id DESC LIMIT $2;
