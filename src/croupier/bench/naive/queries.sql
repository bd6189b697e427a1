-- name: create_clearing
-- The operator's clearing account as one row per asset, updated in place.
CREATE TABLE bench.clearing (
    bucket  smallint NOT NULL,
    asset   text NOT NULL,
    balance numeric(38, 0) NOT NULL,
    PRIMARY KEY (bucket, asset)
);

-- name: create_clearing_grant
-- The gateway acts as the application's role.
GRANT USAGE ON SCHEMA bench TO croupier_app;

-- name: create_clearing_update
-- It reads and updates the row.
GRANT SELECT, UPDATE ON bench.clearing TO croupier_app;

-- name: insert_clearing
-- The one row.
INSERT INTO bench.clearing (bucket, asset, balance) VALUES (0, $1, 0);

-- name: insert_nonce
-- Spend a nonce; nothing comes back when it was spent before.
INSERT INTO nonce (bucket, key_id, nonce, request_id, expires_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING RETURNING 1;

-- name: lock_wallet
-- The wallet that a session plays with, locked until the end of the transaction.
SELECT a.balance, a.asset
  FROM session s
  JOIN account a ON a.bucket = s.bucket AND a.owner = s.player_id AND a.kind = 'player_wallet' AND a.asset = s.asset
                AND a.fund = 'cash'
 WHERE s.bucket = $1 AND s.id = $2 FOR UPDATE OF a;

-- name: load_reference
-- What was decided under this reference before.
SELECT * FROM money_reference WHERE provider = $1 AND reference = $2;

-- name: load_session
-- The session.
SELECT * FROM session WHERE bucket = $1 AND id = $2;

-- name: load_round
-- The round, if it was named before.
SELECT state FROM round WHERE bucket = $1 AND session_id = $2 AND provider_round_id = $3;

-- name: update_wallet
-- The new balance.
UPDATE account SET balance = $4
 WHERE bucket = $1 AND owner = $2 AND kind = 'player_wallet' AND asset = $3 AND fund = 'cash';

-- name: update_clearing
-- The other side.
UPDATE bench.clearing SET balance = balance + $2 WHERE bucket = 0 AND asset = $1;

-- name: insert_entry
-- The journal entry.
INSERT INTO journal_entry (bucket, id, kind, provider, reference, player_id, session_id, provider_round_id, asset,
    cause, occurred_at, recorded_at, correlation_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'callback', $10, $11, $12);

-- name: insert_postings
-- Both sides of the entry.
INSERT INTO posting (bucket, entry_id, seq, kind, owner, asset, fund, session_id, amount, balance_after)
VALUES ($1, $2, 0, 'player_wallet', $3, $4, 'cash', NULL, $5, $6),
       ($1, $2, 1, 'operator_clearing', '', $4, '', $7, -($5::numeric), NULL);

-- name: insert_reference
-- The answer under its reference.
INSERT INTO money_reference (provider, reference, bucket, action, player_id, asset, amount, session_id,
    provider_round_id, game_id, status, code, journal_id, balance, request_id, recorded_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16);

-- name: upsert_round
-- The round after this call.
INSERT INTO round AS o (bucket, session_id, provider_round_id, id, state, bets, live_bets, staked, won, outcome,
    opened_at, closed_at)
VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9, $10, $11)
ON CONFLICT (bucket, session_id, provider_round_id) DO UPDATE
   SET state = excluded.state, bets = o.bets + excluded.bets, live_bets = o.live_bets + excluded.live_bets,
       staked = o.staked + excluded.staked, won = o.won + excluded.won,
       outcome = coalesce(o.outcome, excluded.outcome), closed_at = coalesce(o.closed_at, excluded.closed_at);

-- name: update_session
-- The session after this call.
UPDATE session
   SET seq = seq + 1, state = $3, staked = staked + $4, won = won + $5, rounds_open = rounds_open + $6,
       last_activity_at = $7
 WHERE bucket = $1 AND id = $2;

-- name: insert_event
-- The session's history.
INSERT INTO session_event (bucket, session_id, seq, from_state, to_state, cause, provider_round_id, journal_ids,
    occurred_at, time_source, recorded_at, correlation_id, details)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'provider', $10, $11, $12);
