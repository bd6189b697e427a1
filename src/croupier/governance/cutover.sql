-- name: insert_record
-- What was found or signed.
INSERT INTO cutover_record (bucket, id, subject, step, digest, is_good, detail, actor, reason, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: load_latest
-- The newest record of each step of a subject, in one state of its code.
SELECT DISTINCT ON (step) step, digest, is_good, detail, actor, reason, at
  FROM cutover_record WHERE bucket = $1 AND subject = $2 AND digest = $3 ORDER BY step, id DESC;
