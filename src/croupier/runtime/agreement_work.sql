-- name: next_start
-- Where the next window begins: after the last one that was finished, or in the hour in which these books began.
SELECT coalesce(
    (SELECT a.ends_at FROM wallet_agreement a WHERE a.finished_at IS NOT NULL ORDER BY a.starts_at DESC LIMIT 1),
    date_trunc('hour', coalesce(
        (SELECT m.since FROM wallet_mode m WHERE m.mode = 'remote'),
        (SELECT w.settled_at FROM wallet_call w WHERE w.settled_at IS NOT NULL ORDER BY w.settled_at LIMIT 1)), 'UTC'));

-- name: take_window
-- Take a window until $3, unless somebody has it at $4 or it is finished.
INSERT INTO wallet_agreement AS a (starts_at, ends_at, leased_until) VALUES ($1, $2, $3)
ON CONFLICT (starts_at) DO UPDATE SET leased_until = excluded.leased_until
 WHERE a.finished_at IS NULL AND a.leased_until <= $4
RETURNING ends_at;

-- name: hold_window
-- Go on holding a window until $3; nothing when somebody else has taken it.
UPDATE wallet_agreement SET leased_until = $3
 WHERE starts_at = $1 AND leased_until = $2 AND finished_at IS NULL
RETURNING true;

-- name: finish_window
-- What was found in a window; nothing when somebody else has taken it.
UPDATE wallet_agreement
   SET calls = $3, movements = $4, agreed = $5, differences = $6, kinds = $7::jsonb, sums = $8::jsonb, finished_at = $9
 WHERE starts_at = $1 AND leased_until = $2 AND finished_at IS NULL
RETURNING true;

-- name: count_breaks
-- The breaks of these kinds that nobody has resolved.
SELECT kind, count(*) AS breaks FROM break_item
 WHERE resolved_at IS NULL AND kind = ANY ($1::text[]) GROUP BY kind;
