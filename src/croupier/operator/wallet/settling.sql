-- name: claim
-- Take what is due until $2, longest due first: of each player the oldest call that is open, because none overtakes it.
-- What was certainly not sent may be from now on, so that whoever takes it after us asks what became of it first.
WITH head AS (
    SELECT w.bucket, w.id, w.state FROM wallet_call w
     WHERE w.settled_at IS NULL AND w.next_at <= $1
       AND NOT EXISTS (
           SELECT FROM wallet_call e
            WHERE e.bucket = w.bucket AND e.player_id = w.player_id AND e.settled_at IS NULL AND e.id < w.id
              AND NOT (e.is_overdue AND e.action = 'bet'))
     ORDER BY w.next_at LIMIT $3 FOR UPDATE SKIP LOCKED)
UPDATE wallet_call w SET next_at = $2, state = CASE WHEN w.state = 'queued' THEN 'asked' ELSE w.state END
  FROM head WHERE w.bucket = head.bucket AND w.id = head.id
RETURNING wallet_call_of(w) AS call, head.state AS was;

-- name: claim_following
-- Take what comes after a player's oldest open call, in order.
WITH next AS (
    SELECT w.bucket, w.id, w.state FROM wallet_call w
     WHERE w.bucket = $3 AND w.player_id = $4 AND w.settled_at IS NULL AND w.id > $5 AND w.next_at <= $1
     ORDER BY w.id LIMIT $6 FOR UPDATE SKIP LOCKED)
UPDATE wallet_call w SET next_at = $2, state = CASE WHEN w.state = 'queued' THEN 'asked' ELSE w.state END
  FROM next WHERE w.bucket = next.bucket AND w.id = next.id
RETURNING wallet_call_of(w) AS call, next.state AS was;

-- name: release
-- Give back what was taken and not looked at, as it was.
UPDATE wallet_call w SET next_at = $1, state = o.state
  FROM unnest($2::smallint[], $3::uuid[], $4::text[]) AS o (bucket, id, state)
 WHERE w.bucket = o.bucket AND w.id = o.id AND w.settled_at IS NULL;

-- name: overdue
-- What is not settled by its deadline, and nobody has been told.
SELECT wallet_call_of(w) AS call FROM wallet_call w
 WHERE w.settled_at IS NULL AND w.deadline <= $1 AND NOT w.is_overdue AND w.state <> 'asked'
 ORDER BY w.deadline LIMIT $2;

-- name: late
-- Bets that were approved after their provider had been told that nobody knows, long enough ago for it to have come back:
-- whether their round has gone on, and whether they were rolled back.
SELECT wallet_call_of(w) AS call,
       m.rolled_back_by IS NULL AND o.state = 'open' AND o.won = 0 AS is_forsaken
  FROM wallet_call w
  LEFT JOIN money_reference m ON m.provider = w.provider AND m.reference = w.reference
  LEFT JOIN round o ON o.bucket = m.bucket AND o.session_id = m.session_id AND o.provider_round_id = m.provider_round_id
 WHERE w.is_late AND w.settled_at <= $1
 ORDER BY w.settled_at LIMIT $2;

-- name: looked_at_late
-- Somebody has looked.
UPDATE wallet_call w SET is_late = false
  FROM unnest($1::smallint[], $2::uuid[]) AS o (bucket, id)
 WHERE w.bucket = o.bucket AND w.id = o.id;

-- name: levels
-- How many calls are open in each state, and since when the oldest.
SELECT state, count(*) AS calls, min(asked_at) AS oldest FROM wallet_call WHERE settled_at IS NULL GROUP BY state;
