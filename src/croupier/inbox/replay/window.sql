-- name: load_extent
-- How many deliveries a window holds, the oldest, the newest, and the id of the last; with a limit, of the first ones.
SELECT count(*) AS deliveries, min(w.received_at) AS oldest_at, max(w.received_at) AS newest_at,
       max(w.id::text COLLATE "C")::uuid AS last_id
  FROM (SELECT d.id, d.received_at
          FROM delivery d
         WHERE d.id BETWEEN $1 AND $2 AND d.received_at >= $3 AND d.received_at < $4
           AND ($5::text IS NULL OR d.provider = $5)
           AND ($6::text IS NULL OR d.type = $6)
           AND ($7::text IS NULL OR d.provider_round_id = $7)
           AND ($8::uuid IS NULL OR d.session_id = $8)
           AND ($9::text IS NULL OR d.player_id = $9)
           AND ($10::text[] IS NULL OR $10 && ARRAY[CASE
               WHEN EXISTS (SELECT FROM inbox_queue q WHERE q.bucket = d.bucket AND q.id = d.id) THEN 'queued'
               WHEN EXISTS (SELECT FROM dead_letter x WHERE x.bucket = d.bucket AND x.id = d.id) THEN 'dead'
               ELSE (SELECT r.result FROM delivery_result r
                      WHERE r.bucket = d.bucket AND r.id = d.id
                        AND r.replay = '00000000-0000-0000-0000-000000000000') END])
         ORDER BY d.id LIMIT $11) w;

-- name: load_keys
-- A page of a window in the order of a replay: by player, then as they came.
SELECT coalesce(d.player_id, '') AS player, d.bucket, d.id
  FROM delivery d
 WHERE d.id BETWEEN $1 AND $2 AND d.received_at >= $3 AND d.received_at < $4
   AND ($5::text IS NULL OR d.provider = $5)
   AND ($6::text IS NULL OR d.type = $6)
   AND ($7::text IS NULL OR d.provider_round_id = $7)
   AND ($8::uuid IS NULL OR d.session_id = $8)
   AND ($9::text IS NULL OR d.player_id = $9)
   AND ($10::text[] IS NULL OR $10 && ARRAY[CASE
       WHEN EXISTS (SELECT FROM inbox_queue q WHERE q.bucket = d.bucket AND q.id = d.id) THEN 'queued'
       WHEN EXISTS (SELECT FROM dead_letter x WHERE x.bucket = d.bucket AND x.id = d.id) THEN 'dead'
       ELSE (SELECT r.result FROM delivery_result r
              WHERE r.bucket = d.bucket AND r.id = d.id
                AND r.replay = '00000000-0000-0000-0000-000000000000') END])
   AND (coalesce(d.player_id, ''), d.id) > ($11::text COLLATE "C", $12::uuid)
 ORDER BY coalesce(d.player_id, '') COLLATE "C", d.id LIMIT $13;

-- name: load_deliveries
-- Deliveries whole, in the order in which they are asked for.
SELECT d.bucket, d.id, d.provider, d.delivery_id, d.type, d.path, d.body, d.body_digest, d.key_id, d.signed_at,
       d.received_at, d.correlation_id, d.trace_id
  FROM unnest($1::smallint[], $2::uuid[]) WITH ORDINALITY AS k (bucket, id, place)
  JOIN delivery d ON d.bucket = k.bucket AND d.id = k.id
 ORDER BY k.place;
