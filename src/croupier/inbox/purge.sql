-- name: forget_deliveries
-- Forget deliveries before an id and after another, oldest first, with all their results; never one that is queued or
-- dead. Tells how many were looked at, how many were forgotten, and where to go on.
WITH old AS MATERIALIZED (
    SELECT d.bucket, d.id, d.provider, d.delivery_id FROM delivery d
     WHERE d.id > $1 AND d.id < $2 ORDER BY d.id LIMIT $3
), spent AS MATERIALIZED (
    SELECT o.bucket, o.id, o.provider, o.delivery_id FROM old o
     WHERE NOT EXISTS (SELECT FROM inbox_queue q WHERE q.bucket = o.bucket AND q.id = o.id)
       AND NOT EXISTS (SELECT FROM dead_letter x WHERE x.bucket = o.bucket AND x.id = o.id)
), gone AS (
    DELETE FROM delivery d USING spent s
     WHERE d.bucket = s.bucket AND d.provider = s.provider AND d.delivery_id = s.delivery_id
), done AS (
    DELETE FROM delivery_result r USING spent s WHERE r.bucket = s.bucket AND r.id = s.id
)
SELECT (SELECT count(*) FROM old) AS seen, (SELECT count(*) FROM spent) AS forgotten,
       (SELECT id FROM old ORDER BY id DESC LIMIT 1) AS last_id;
