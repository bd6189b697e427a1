-- name: load_groups
-- Dead letters by provider, cause, type and asset. The oldest id stands for its group.
SELECT x.provider, x.cause, x.type, x.asset, count(*) AS letters, count(x.amount) AS with_amount,
       coalesce(sum(x.amount), 0)::text AS amount, min(x.received_at) AS oldest_at, max(x.received_at) AS newest_at,
       max(x.died_at) AS last_died_at, min(x.id::text COLLATE "C")::uuid AS example
  FROM dead_letter x
 WHERE $1::text IS NULL OR x.provider = $1
 GROUP BY x.provider, x.cause, x.type, x.asset
 ORDER BY x.provider, x.cause, x.type, x.asset;

-- name: load_details
-- What was said last about some dead letters.
SELECT x.id, x.detail FROM dead_letter x
  JOIN unnest($1::smallint[], $2::uuid[]) AS k (bucket, id) ON x.bucket = k.bucket AND x.id = k.id;

-- name: redrive_letters
-- Put dead letters back in the queue, oldest first, with all their attempts before them; each goes once.
WITH picked AS MATERIALIZED (
    SELECT x.bucket, x.id FROM dead_letter x
     WHERE ($1::uuid[] IS NULL OR x.id = ANY($1)) AND ($2::text IS NULL OR x.provider = $2)
       AND ($3::text IS NULL OR x.cause = $3) AND ($4::text IS NULL OR x.type = $4)
     ORDER BY x.id LIMIT $5
), back AS (
    DELETE FROM dead_letter x USING picked p WHERE x.bucket = p.bucket AND x.id = p.id
    RETURNING x.bucket, x.id, x.provider, x.order_key, x.received_at, x.fence)
INSERT INTO inbox_queue (bucket, id, provider, order_key, claimable_at, received_at, fence)
SELECT b.bucket, b.id, b.provider, b.order_key, $6, b.received_at, b.fence FROM back b
RETURNING id;
