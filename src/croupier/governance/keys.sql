-- name: load_keys
-- Every key there ever was, with what running processes have told about it, oldest first.
SELECT k.key_id, k.provider, k.direction, k.secret, k.state, k.published_at, k.promoted_at, k.revoked_at, k.due_at,
       u.last_seen_ok, u.last_seen_refused, coalesce(u.ok, 0) AS ok, coalesce(u.refused, 0) AS refused,
       u.last_loaded, u.last_unusable, u.unusable_because
  FROM provider_key k LEFT JOIN key_use u ON u.key_id = k.key_id
 ORDER BY k.published_at, k.key_id;

-- name: load_key_states
-- What a process that verifies and signs must know, in a form that compares: the same rows, the same keys.
SELECT key_id, provider, direction, secret, state, published_at, promoted_at, revoked_at, due_at
  FROM provider_key ORDER BY published_at, key_id;

-- name: insert_key
-- A key that was not there.
INSERT INTO provider_key (key_id, provider, direction, secret, state, published_at, promoted_at, due_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: move_key
-- A key's next state.
UPDATE provider_key SET state = $2, promoted_at = $3, revoked_at = $4 WHERE key_id = $1;

-- name: announce_keys
-- Tell every listening process at once; whoever misses it looks by itself every second.
SELECT pg_notify('croupier_keys', '');

-- name: add_key_uses
-- Add what a process has seen since it last told.
INSERT INTO key_use AS u (key_id, last_seen_ok, last_seen_refused, ok, refused)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::bigint[], $5::bigint[]) AS n ORDER BY 1
    ON CONFLICT (key_id) DO UPDATE
   SET last_seen_ok = greatest(u.last_seen_ok, excluded.last_seen_ok),
       last_seen_refused = greatest(u.last_seen_refused, excluded.last_seen_refused),
       ok = u.ok + excluded.ok, refused = u.refused + excluded.refused;

-- name: note_loaded
-- Secrets that this process has read.
INSERT INTO key_use AS u (key_id, last_loaded)
SELECT key_id, $2 FROM unnest($1::text[]) AS key_id ORDER BY 1
    ON CONFLICT (key_id) DO UPDATE SET last_loaded = greatest(u.last_loaded, excluded.last_loaded);

-- name: note_unusable
-- Secrets that this process could not use, and why, without a word of what is in them.
INSERT INTO key_use AS u (key_id, last_unusable, unusable_because)
SELECT key_id, $3, because FROM unnest($1::text[], $2::text[]) AS n (key_id, because) ORDER BY 1
    ON CONFLICT (key_id) DO UPDATE
   SET last_unusable = excluded.last_unusable, unusable_because = excluded.unusable_because;
