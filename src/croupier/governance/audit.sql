-- name: lock_chain
-- Hold the end of the chain until the transaction ends: one writer at a time.
SELECT pg_advisory_xact_lock($1);

-- name: load_head
-- The last record of the chain.
SELECT seq, hash FROM audit_record ORDER BY seq DESC LIMIT 1;

-- name: insert_record
-- Add a record at the end of the chain.
INSERT INTO audit_record (seq, at, actor, action, subject, reason, details, previous_hash, hash)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9);

-- name: load_after
-- A stretch of the chain in order.
SELECT seq, at, actor, action, subject, reason, details::text AS details, previous_hash, hash
  FROM audit_record WHERE seq > $1 ORDER BY seq LIMIT $2;

-- name: list_newest
-- Records of one subject, one action, or all, newest first.
SELECT seq, at, actor, action, subject, reason, details::text AS details, previous_hash, hash
  FROM audit_record
 WHERE ($1::text IS NULL OR subject = $1) AND ($2::text IS NULL OR action = $2) AND ($3::bigint IS NULL OR seq < $3)
 ORDER BY seq DESC LIMIT $4;
