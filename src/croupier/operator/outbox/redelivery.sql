-- name: send_again
-- Put events on their way to consumers once more: the schedule begins anew, the numbers of attempts go on.
INSERT INTO outbox_delivery AS d
       (bucket, event_id, endpoint, position, claimable_at, attempts_before, created_at)
SELECT e.bucket, e.id, c.endpoint, e.position, c.claimable_at,
       COALESCE((SELECT max(a.attempt) FROM outbox_attempt a
                  WHERE a.bucket = e.bucket AND a.event_id = e.id AND a.endpoint = c.endpoint), 0), $1
  FROM outbox_event e
  JOIN unnest($2::smallint[], $3::uuid[]) AS w (bucket, id) ON e.bucket = w.bucket AND e.id = w.id
  JOIN unnest($4::text[], $5::text[], $6::timestamptz[]) AS c (endpoint, type, claimable_at)
    ON c.type IN (e.type, '*')
ON CONFLICT (bucket, event_id, endpoint) DO UPDATE
   SET claimable_at = EXCLUDED.claimable_at, attempts_before = d.attempts_before + d.attempts, attempts = 0
RETURNING d.event_id, d.endpoint;

-- name: find_in_window
-- The events of one bucket recorded from $2 until before $3, after an id, oldest first.
SELECT bucket, id FROM outbox_event
 WHERE bucket = $1 AND id >= $4 AND id < $5 AND recorded_at >= $2 AND recorded_at < $3 AND id > $6
 ORDER BY id LIMIT $7;

-- name: find_given_up
-- Events that a consumer's last attempt gave up, from $2 until before $3, that are not on their way again.
SELECT a.bucket, a.event_id AS id FROM outbox_attempt a
 WHERE a.endpoint = $1 AND a.at >= $2 AND a.at < $3 AND a.result = 'given_up' AND a.event_id > $4
   AND NOT EXISTS (SELECT 1 FROM outbox_attempt l
                    WHERE l.bucket = a.bucket AND l.event_id = a.event_id AND l.endpoint = a.endpoint
                      AND l.attempt > a.attempt)
   AND NOT EXISTS (SELECT 1 FROM outbox_delivery d
                    WHERE d.bucket = a.bucket AND d.event_id = a.event_id AND d.endpoint = a.endpoint)
   AND EXISTS (SELECT 1 FROM outbox_event e WHERE e.bucket = a.bucket AND e.id = a.event_id)
 ORDER BY a.event_id LIMIT $5;
