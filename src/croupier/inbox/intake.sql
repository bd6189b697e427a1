-- name: accept_deliveries
-- Keep a batch of verified webhooks; what is known already comes back.
SELECT known FROM accept_deliveries($1, $2);

-- name: load_levels
-- What waits for each provider and how fast it drains, as it was measured last.
SELECT provider, depth, drained_per_min, measured_at FROM inbox_level;

-- name: insert_refused
-- Keep refused webhooks, redacted.
INSERT INTO refused_delivery (bucket, id, provider, delivery_id, code, reason, detail, status, path, headers,
    body_bytes, body_digest, body_excerpt, received_at)
SELECT * FROM unnest($1::smallint[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::smallint[], $9::text[], $10::jsonb[], $11::bigint[], $12::text[], $13::text[], $14::timestamptz[])
ON CONFLICT DO NOTHING;

-- name: trim_refused
-- Forget the refused webhooks of a provider beyond the newest; ids are ordered by time.
DELETE FROM refused_delivery
 WHERE provider = $1
   AND id <= (SELECT id FROM refused_delivery WHERE provider = $1 ORDER BY id DESC OFFSET $2 LIMIT 1);

-- name: load_refused_providers
-- Whose refused webhooks there are.
SELECT DISTINCT provider FROM refused_delivery;
