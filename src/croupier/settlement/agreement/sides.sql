-- name: slice_end
-- When the call was settled that comes so many after the first of a window.
SELECT settled_at FROM wallet_call
 WHERE settled_at >= $1 AND settled_at < $2 ORDER BY settled_at OFFSET $3 LIMIT 1;

-- name: next_moment
-- The first moment of a window after its start at which a call was settled.
SELECT settled_at FROM wallet_call
 WHERE settled_at > $1 AND settled_at < $2 ORDER BY settled_at LIMIT 1;

-- name: long_lived
-- The calls settled in a window that began longer before than $3; an undoing begins with what it undoes.
SELECT w.id, t.id AS target_id, least(w.asked_at, t.asked_at) AS begun_at
  FROM wallet_call w
  LEFT JOIN LATERAL (SELECT x.id, x.asked_at FROM wallet_call x
                      WHERE w.booked = 'never' AND x.bucket = w.bucket AND x.id = w.target_id LIMIT 1) t ON true
 WHERE w.settled_at >= $1 AND w.settled_at < $2 AND w.state <> 'undone'
   AND w.settled_at - least(w.asked_at, t.asked_at) > $3::interval;

-- name: settled_keys
-- A page of the calls that were settled in a window.
SELECT settled_at, bucket, id FROM wallet_call
 WHERE settled_at >= $1 AND settled_at < $2 AND (settled_at, bucket, id) > ($1, $3, $4)
 ORDER BY settled_at, bucket, id LIMIT $5;

-- name: load_held
-- Calls by key, with the provider's transaction behind them, what is booked for it, and what they undo. A transaction
-- belongs to the call that counts: neither to one that was undone nor to its undoing.
SELECT w.id, w.player_id, w.asset, w.operation, w.amount::text AS amount, w.booked, w.state, w.moved::text AS moved,
       w.reason, w.provider, w.reference, w.session_id, w.round_id, w.asked_at, w.settled_at, w.deadline, w.owner,
       m.action AS asked_action, m.status AS asked_status, m.player_id AS asked_player_id, m.asset AS asked_asset,
       m.amount::text AS asked_amount, e.change::text AS entry_change,
       t.id AS target_id, t.asked_at AS target_asked_at, t.settled_at AS target_undone_at
  FROM unnest($1::smallint[], $2::uuid[]) k (bucket, id)
 CROSS JOIN LATERAL (SELECT x.* FROM wallet_call x WHERE x.bucket = k.bucket AND x.id = k.id LIMIT 1) w
  LEFT JOIN LATERAL (SELECT r.* FROM money_reference r
                      WHERE r.provider = w.provider AND r.reference = w.reference AND w.booked <> 'never'
                        AND w.state <> 'undone' LIMIT 1) m ON true
  LEFT JOIN LATERAL (SELECT sum(p.amount) AS change FROM posting p
                      WHERE p.bucket = m.bucket AND p.entry_id = m.journal_id AND p.kind = 'player_wallet'
                        AND p.owner = w.player_id AND p.asset = w.asset) e ON true
  LEFT JOIN LATERAL (SELECT x.* FROM wallet_call x
                      WHERE w.booked = 'never' AND x.bucket = w.bucket AND x.id = w.target_id LIMIT 1) t ON true;

-- name: unasked_entries
-- A page of the entries of one bucket and window that move a player's mirror, and whose transaction no call serves, from
-- above an entry, owner and asset on.
SELECT e.id, e.kind, e.provider, e.reference, p.owner AS player_id, p.asset, p.change::text AS change, e.session_id,
       e.provider_round_id AS round_id, e.recorded_at
  FROM journal_entry e
 CROSS JOIN LATERAL (SELECT x.owner, x.asset, sum(x.amount) AS change FROM posting x
                      WHERE x.bucket = e.bucket AND x.entry_id = e.id AND x.kind = 'player_wallet'
                      GROUP BY x.owner, x.asset) p
 WHERE e.bucket = $1 AND e.id >= $2 AND e.id < $3 AND e.recorded_at >= $4 AND e.recorded_at < $5
   AND (e.id, p.owner, p.asset) > ($2, $7, $8) AND p.change <> 0
   AND NOT EXISTS (SELECT FROM wallet_call w
                    WHERE w.provider = e.provider AND w.reference = e.reference AND w.state <> 'undone'
                      AND w.booked <> 'never')
 ORDER BY e.id, p.owner, p.asset LIMIT $6;
