-- name: switch_off
-- An endpoint gets no more events; nothing when it was switched off already.
INSERT INTO outbox_endpoint AS s (bucket, endpoint, disabled_at, disabled_because) VALUES ($1, $2, $3, $4)
ON CONFLICT (bucket, endpoint) DO UPDATE
   SET disabled_at = EXCLUDED.disabled_at, disabled_because = EXCLUDED.disabled_because
 WHERE s.disabled_at IS NULL
RETURNING failing_since, last_error;

-- name: switch_on
-- An endpoint gets events again, and its failures count from now on; nothing when it was not switched off.
UPDATE outbox_endpoint
   SET disabled_at = NULL, disabled_because = NULL, failing_since = NULL, last_error = NULL
 WHERE bucket = $1 AND endpoint = $2 AND disabled_at IS NOT NULL
RETURNING true;

-- name: insert_event
-- An event of our own, which belongs to no session.
INSERT INTO outbox_event (bucket, id, type, payload, recorded_at) VALUES ($1, $2, $3, $4, $5);

-- name: resolve_breaks
-- What was opened when the endpoint was switched off is done with.
UPDATE break_item SET resolved_at = $3, resolution = $4
 WHERE bucket = $1 AND kind = $2 AND resolved_at IS NULL AND subject LIKE $5;

-- name: count_waiting
-- How many events wait for an endpoint.
SELECT count(*) FROM outbox_delivery WHERE endpoint = $1;
