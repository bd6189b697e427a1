-- name: load_levels
-- What waits for each of these consumers, counted up to a bound, since when, and whether it is switched off.
SELECT c.endpoint, w.pending, w.oldest_at, COALESCE(s.disabled_at IS NOT NULL, false) AS is_disabled
  FROM unnest($1::text[], $2::smallint[]) AS c (endpoint, bucket)
  CROSS JOIN LATERAL (
      SELECT count(*) AS pending, min(d.created_at) AS oldest_at
        FROM (SELECT created_at FROM outbox_delivery WHERE endpoint = c.endpoint LIMIT $3) d) w
  LEFT JOIN outbox_endpoint s ON s.bucket = c.bucket AND s.endpoint = c.endpoint;

-- name: load_lag
-- When the oldest event was recorded that was not given to the consumers yet.
SELECT recorded_at FROM outbox_event WHERE fanned_at IS NULL ORDER BY position LIMIT 1;
