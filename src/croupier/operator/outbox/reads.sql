-- name: list_events
-- The newest events of all buckets, of one type perhaps, older than an id.
SELECT e.bucket, e.id, e.type, e.session_id, e.player_id, e.recorded_at, e.fanned_at
  FROM generate_series(0, 255) AS b (bucket)
  CROSS JOIN LATERAL (
      SELECT bucket, id, type, session_id, player_id, recorded_at, fanned_at FROM outbox_event
       WHERE bucket = b.bucket::smallint AND id < $1 AND ($2::text IS NULL OR type = $2)
       ORDER BY id DESC LIMIT $3) e
 ORDER BY e.id DESC LIMIT $3;

-- name: list_session_events
-- The newest events of one session, of one type perhaps, older than an id.
SELECT bucket, id, type, session_id, player_id, recorded_at, fanned_at FROM outbox_event
 WHERE bucket = $4 AND session_id = $5 AND id < $1 AND ($2::text IS NULL OR type = $2)
 ORDER BY id DESC LIMIT $3;

-- name: list_undelivered_events
-- The newest events that some consumer did not get yet, or that no consumer was given.
SELECT e.bucket, e.id, e.type, e.session_id, e.player_id, e.recorded_at, e.fanned_at
  FROM (SELECT bucket, event_id AS id FROM outbox_delivery
         UNION
        SELECT bucket, id FROM outbox_event WHERE fanned_at IS NULL) w
  JOIN outbox_event e ON e.bucket = w.bucket AND e.id = w.id
 WHERE e.id < $1 AND ($2::text IS NULL OR e.type = $2) AND ($4::uuid IS NULL OR e.session_id = $4)
 ORDER BY e.id DESC LIMIT $3;

-- name: load_states
-- What is known of these events at each consumer: still waiting, or how the last attempt ended.
SELECT d.event_id, d.endpoint, 'waiting' AS state, d.attempts_before + d.attempts AS attempts, d.claimable_at AS at
  FROM outbox_delivery d JOIN unnest($1::smallint[], $2::uuid[]) AS w (bucket, id)
    ON d.bucket = w.bucket AND d.event_id = w.id
 UNION ALL
SELECT l.event_id, l.endpoint, l.result, l.attempt, l.at
  FROM unnest($1::smallint[], $2::uuid[]) AS w (bucket, id)
  CROSS JOIN LATERAL (
      SELECT DISTINCT ON (endpoint) event_id, endpoint, result, attempt, at FROM outbox_attempt
       WHERE bucket = w.bucket AND event_id = w.id ORDER BY endpoint, attempt DESC) l
 WHERE NOT EXISTS (SELECT 1 FROM outbox_delivery d
                    WHERE d.bucket = w.bucket AND d.event_id = w.id AND d.endpoint = l.endpoint)
 ORDER BY 2;

-- name: load_event
-- One event with its payload.
SELECT bucket, id, type, session_id, player_id, payload, recorded_at, fanned_at FROM outbox_event
 WHERE bucket = $1 AND id = $2;

-- name: load_attempts
-- Every attempt at one event, consumer by consumer, in order.
SELECT endpoint, attempt, result, status, error, excerpt, duration_ms, at FROM outbox_attempt
 WHERE bucket = $1 AND event_id = $2 ORDER BY endpoint, attempt;

-- name: load_endpoints
-- What is known of every consumer that is configured, was written about, or has events waiting.
SELECT c.endpoint, s.last_ok_at, s.failing_since, s.last_error, s.disabled_at, s.disabled_because,
       COALESCE(w.pending, 0) AS pending, w.oldest_at
  FROM (SELECT unnest($1::text[]) AS endpoint
         UNION SELECT endpoint FROM outbox_endpoint
         UNION SELECT endpoint FROM outbox_delivery) c
  LEFT JOIN outbox_endpoint s ON s.endpoint = c.endpoint
  LEFT JOIN (SELECT endpoint, count(*) AS pending, min(created_at) AS oldest_at
               FROM outbox_delivery GROUP BY endpoint) w ON w.endpoint = c.endpoint
 ORDER BY c.endpoint;
