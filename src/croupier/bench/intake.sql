-- name: insert_delivery
-- One webhook and its place in the queue, in a transaction of its own.
WITH kept AS (
    INSERT INTO delivery (bucket, provider, delivery_id, id, type, player_id, session_id, provider_round_id, reference,
        asset, amount, occurred_at, path, headers, body, body_digest, key_id, verified_as, signed_at, received_at,
        correlation_id, trace_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::text::numeric, $12, $13, $14::text::jsonb, $15, $16, $17,
        $18, $19, $20, $21, $22)
    ON CONFLICT DO NOTHING RETURNING bucket, id, provider, received_at)
INSERT INTO inbox_queue (bucket, id, provider, order_key, claimable_at, received_at)
SELECT bucket, id, provider, $23, received_at, received_at FROM kept;
