-- name: insert_turns
-- The rows that are held by whoever hands events on; they are there from the first start on.
INSERT INTO outbox_turn (bucket, name) SELECT $1, unnest($2::text[]) ON CONFLICT (bucket, name) DO NOTHING;

-- name: has_new_events
-- Whether there are events after those that were passed that no consumer was given.
SELECT EXISTS (SELECT 1 FROM outbox_event e WHERE e.fanned_at IS NULL AND e.position > t.passed)
  FROM outbox_turn t WHERE t.bucket = $1 AND t.name = $2;

-- name: lock_turn
-- Hold a turn until the transaction ends, and how far it has come; nothing when another process has it.
SELECT passed FROM outbox_turn WHERE bucket = $1 AND name = $2 FOR UPDATE SKIP LOCKED;

-- name: pass_events
-- Look only at events after this position from now on.
UPDATE outbox_turn SET passed = $3 WHERE bucket = $1 AND name = $2 AND passed < $3;

-- name: claim_turn
-- Hold a turn until $5, or go on holding it; nothing while another process does.
UPDATE outbox_turn SET holder = $3, held_until = $5
 WHERE bucket = $1 AND name = $2 AND (holder = $3 OR held_until IS NULL OR held_until <= $4)
RETURNING true;

-- name: release_turn
-- Let others have a turn at once.
UPDATE outbox_turn SET held_until = NULL WHERE bucket = $1 AND name = $2 AND holder = $3;

-- name: fan_out
-- Give the oldest new events after $6 to each consumer that takes their type, mark them as given, return their positions.
WITH taken AS (
    SELECT bucket, id, position, type FROM outbox_event WHERE fanned_at IS NULL AND position > $6
     ORDER BY position LIMIT $2),
given AS (
    INSERT INTO outbox_delivery (bucket, event_id, endpoint, position, claimable_at, created_at)
    SELECT t.bucket, t.id, c.endpoint, t.position, c.claimable_at, $1
      FROM taken t
      JOIN unnest($3::text[], $4::text[], $5::timestamptz[]) AS c (endpoint, type, claimable_at)
        ON c.type IN (t.type, '*')
     ORDER BY t.position
    ON CONFLICT (bucket, event_id, endpoint) DO NOTHING)
UPDATE outbox_event e SET fanned_at = $1 FROM taken t WHERE e.bucket = t.bucket AND e.id = t.id
RETURNING e.position;

-- name: claim_deliveries
-- Take what is due for an endpoint until $4, oldest first, with the events; nothing while it is switched off.
WITH due AS (
    SELECT bucket, event_id FROM outbox_delivery
     WHERE endpoint = $1 AND claimable_at <= $3
       AND NOT EXISTS (SELECT 1 FROM outbox_endpoint s
                        WHERE s.bucket = $2 AND s.endpoint = $1 AND s.disabled_at IS NOT NULL)
     ORDER BY claimable_at, position LIMIT $5 FOR UPDATE SKIP LOCKED),
taken AS (
    UPDATE outbox_delivery d SET claimable_at = $4, fence = d.fence + 1
      FROM due WHERE d.bucket = due.bucket AND d.event_id = due.event_id AND d.endpoint = $1
    RETURNING d.bucket, d.event_id, d.fence, d.attempts, d.position)
SELECT t.bucket, t.event_id, t.fence, t.attempts, e.type, e.payload
  FROM taken t JOIN outbox_event e ON e.bucket = t.bucket AND e.id = t.event_id
 ORDER BY t.position;

-- name: settle_attempts
-- Write down attempts whose claim still holds: what arrived or was given up leaves the queue, the rest is due again.
WITH made AS (
    SELECT * FROM unnest($2::smallint[], $3::uuid[], $4::integer[], $5::text[], $6::smallint[], $7::text[], $8::text[],
                         $9::integer[], $10::timestamptz[], $11::timestamptz[])
        AS m (bucket, event_id, fence, result, status, error, excerpt, duration_ms, at, next_at)),
gone AS (
    DELETE FROM outbox_delivery d USING made m
     WHERE d.bucket = m.bucket AND d.event_id = m.event_id AND d.endpoint = $1 AND d.fence = m.fence
       AND m.result <> 'failed'
    RETURNING d.bucket, d.event_id, d.attempts_before + d.attempts + 1 AS attempt),
kept AS (
    UPDATE outbox_delivery d SET attempts = d.attempts + 1, claimable_at = m.next_at
      FROM made m
     WHERE d.bucket = m.bucket AND d.event_id = m.event_id AND d.endpoint = $1 AND d.fence = m.fence
       AND m.result = 'failed'
    RETURNING d.bucket, d.event_id, d.attempts_before + d.attempts AS attempt)
INSERT INTO outbox_attempt (bucket, event_id, endpoint, attempt, result, status, error, excerpt, duration_ms, at)
SELECT m.bucket, m.event_id, $1, s.attempt, m.result, m.status, m.error, m.excerpt, m.duration_ms, m.at
  FROM made m JOIN (SELECT * FROM gone UNION ALL SELECT * FROM kept) s USING (bucket, event_id)
ON CONFLICT (bucket, event_id, endpoint, attempt) DO NOTHING
RETURNING event_id;

-- name: load_head
-- What is waiting for JetStream, in order, without what belongs to a player whose next event cannot be published now.
SELECT d.bucket, d.event_id, d.fence, e.type, e.payload,
       COALESCE(NULLIF(e.player_id, ''), e.session_id::text, '') AS order_key
  FROM outbox_delivery d JOIN outbox_event e ON e.bucket = d.bucket AND e.id = d.event_id
 WHERE d.endpoint = $1 AND d.claimable_at = $2
   AND COALESCE(NULLIF(e.player_id, ''), e.session_id::text, '') <> ALL ($3::text[])
   AND NOT EXISTS (SELECT 1 FROM outbox_endpoint s
                    WHERE s.bucket = $4 AND s.endpoint = $1 AND s.disabled_at IS NOT NULL)
 ORDER BY d.position LIMIT $5;

-- name: note_success
-- An endpoint took an event; returns since when it had been failing. Written once a second at most while all is well.
INSERT INTO outbox_endpoint AS s (bucket, endpoint, last_ok_at) VALUES ($1, $2, $3)
ON CONFLICT (bucket, endpoint) DO UPDATE SET last_ok_at = EXCLUDED.last_ok_at, failing_since = NULL, last_error = NULL
 WHERE s.failing_since IS NOT NULL OR s.last_ok_at IS NULL OR s.last_ok_at < EXCLUDED.last_ok_at - interval '1 second'
RETURNING (SELECT b.failing_since FROM outbox_endpoint b WHERE b.bucket = $1 AND b.endpoint = $2) AS failing_since;

-- name: note_failure
-- An endpoint did not take an event; returns since when that is so, and whether it is switched off.
INSERT INTO outbox_endpoint AS s (bucket, endpoint, failing_since, last_error) VALUES ($1, $2, $3, $4)
ON CONFLICT (bucket, endpoint) DO UPDATE
   SET failing_since = COALESCE(s.failing_since, EXCLUDED.failing_since), last_error = EXCLUDED.last_error
RETURNING failing_since, disabled_at;
