-- name: lock_call
-- A call that a person says something about.
SELECT wallet_call_of(w) AS call FROM wallet_call w WHERE w.bucket = $1 AND w.id = $2 FOR UPDATE;

-- name: take_call
-- Take it until $3, as those do that settle by themselves: what was certainly not sent may be settled from now on.
UPDATE wallet_call SET next_at = $3, state = CASE WHEN state = 'queued' THEN 'asked' ELSE state END
 WHERE bucket = $1 AND id = $2;

-- name: load_told
-- What the player was told to have last, less what is booked and was not sent to the wallet yet, but for this call.
SELECT (a.told - (SELECT coalesce(sum(w.amount), 0) FROM wallet_call w
                   WHERE w.bucket = $1 AND w.player_id = $2 AND w.asset = $3 AND w.settled_at IS NULL
                     AND w.state = 'queued' AND w.booked = 'before' AND w.id <> $4))::text AS told
  FROM account a
 WHERE a.bucket = $1 AND a.owner = $2 AND a.kind = 'player_wallet' AND a.asset = $3 AND a.fund = 'cash';

-- name: load_settled
-- How the call stands, and how its provider's transaction was decided.
SELECT wallet_call_of(w) AS call, m.status, m.code, m.journal_id
  FROM wallet_call w
  LEFT JOIN money_reference m ON m.provider = w.provider AND m.reference = w.reference AND w.booked <> 'never'
 WHERE w.bucket = $1 AND w.id = $2;

-- name: load_open_breaks
-- The breaks about this call that nobody has resolved.
SELECT id, kind FROM break_item WHERE bucket = $1 AND subject = $2 AND resolved_at IS NULL ORDER BY id;
