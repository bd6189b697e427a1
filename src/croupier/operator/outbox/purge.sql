-- name: purge_deliveries
-- What is still waiting after so long is given up with its event, a bounded number at a time.
DELETE FROM outbox_delivery d
 USING (SELECT bucket, event_id, endpoint FROM outbox_delivery
         WHERE bucket = $1 AND event_id < $2 ORDER BY event_id LIMIT $3) o
 WHERE d.bucket = o.bucket AND d.event_id = o.event_id AND d.endpoint = o.endpoint;

-- name: purge_attempts
-- Forget the attempts at events that are forgotten, a bounded number at a time.
DELETE FROM outbox_attempt a
 USING (SELECT bucket, event_id, endpoint, attempt FROM outbox_attempt
         WHERE bucket = $1 AND event_id < $2 ORDER BY event_id LIMIT $3) o
 WHERE a.bucket = o.bucket AND a.event_id = o.event_id AND a.endpoint = o.endpoint AND a.attempt = o.attempt;

-- name: purge_events
-- Forget old events that were given to their consumers, a bounded number at a time.
DELETE FROM outbox_event e
 USING (SELECT bucket, id FROM outbox_event
         WHERE bucket = $1 AND id < $2 AND fanned_at IS NOT NULL ORDER BY id LIMIT $3) o
 WHERE e.bucket = o.bucket AND e.id = o.id;
