-- name: lock_break
-- A break to be resolved.
SELECT bucket, id, kind, subject, owner, provider, player_id, asset, amount, opened_at, resolved_at, resolution
  FROM break_item WHERE bucket = $1 AND id = $2 FOR UPDATE;

-- name: load_call_state
-- How the wallet call stands that a break is about.
SELECT state FROM wallet_call WHERE bucket = $1 AND id = $2;

-- name: resolve_break
-- A person has dealt with it.
UPDATE break_item SET resolved_at = $3, resolution = $4 WHERE bucket = $1 AND id = $2;

-- name: lock_resolved
-- The resolved breaks among these findings, each with its finding's place; not those resolved since they were found.
SELECT k.place, b.bucket, b.id, b.owner, b.player_id, b.session_id, b.provider_round_id, b.opened_at, b.resolved_at,
       b.resolution
  FROM unnest($1::smallint[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS k (bucket, provider, kind, subject, place)
  JOIN break_item b ON b.bucket = k.bucket AND b.provider = k.provider AND b.kind = k.kind AND b.subject = k.subject
 WHERE b.resolved_at < $5
 ORDER BY b.bucket, b.id FOR UPDATE OF b;

-- name: reopen_break
-- It was found again: what it is about now, and that it is a person's once more.
UPDATE break_item SET resolved_at = NULL, resolution = NULL, asset = $3, amount = $4, explanation = $5
 WHERE bucket = $1 AND id = $2;

-- name: insert_event
-- An event of our own, told like that of a break that is new.
INSERT INTO outbox_event (bucket, id, type, session_id, player_id, payload, recorded_at)
VALUES ($1, $2, $3, $4, $5, $6, $7);
