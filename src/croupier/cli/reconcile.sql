-- name: open_breaks
-- Breaks that nobody has resolved, of one kind or of any, oldest first.
SELECT id, kind, subject, owner, provider, player_id, session_id, provider_round_id, asset, amount, explanation,
       opened_at
  FROM break_item WHERE resolved_at IS NULL AND ($1::text IS NULL OR kind = $1) ORDER BY id LIMIT $2;

-- name: count_open_breaks
-- How many breaks nobody has resolved.
SELECT count(*) FROM break_item WHERE resolved_at IS NULL AND ($1::text IS NULL OR kind = $1);
