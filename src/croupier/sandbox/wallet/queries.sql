-- name: move_all
-- Decide a batch; one row for each movement, in their order.
SELECT status, code, operation, player_id, asset, moved::text AS amount, balance::text AS balance, number, is_repeat
  FROM reference_wallet.move_all($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: take_post
-- Be the only process on this database: it alone remembers the nonces.
SELECT pg_try_advisory_lock(7202650, 1);

-- name: load_nonces
-- Nonces whose signatures may still be in time.
SELECT nonce, expires_s FROM reference_wallet.nonce WHERE expires_s >= $1;

-- name: delete_nonces
-- Forget nonces whose signatures have expired.
DELETE FROM reference_wallet.nonce WHERE expires_s < $1;

-- name: block
-- Let a player stake, or not.
INSERT INTO reference_wallet.player (player_id, is_blocked) VALUES ($1, $2)
ON CONFLICT (player_id) DO UPDATE SET is_blocked = excluded.is_blocked;

-- name: list_statement
-- A page of what was moved in a period by Croupier's references, in the order of time.
SELECT reference, operation, target_reference, player_id, asset, moved::text AS amount, change::text AS change, number,
       recorded_at
  FROM reference_wallet.movement
 WHERE recorded_at >= $1 AND recorded_at < $2 AND (recorded_at, number) > ($3, $4) AND change <> 0
   AND operation IN ('debit', 'credit', 'rollback')
 ORDER BY recorded_at, number LIMIT $5;

-- name: list_book
-- A page of everything that was decided, in the order in which it was begun.
SELECT number, reference, copy, operation, status, code, player_id, asset, asked::text AS asked, moved::text AS amount,
       change::text AS change, balance_after::text AS balance_after, target_reference, undone_by, recorded_at, correlation_id
  FROM reference_wallet.movement WHERE number > $1 ORDER BY number LIMIT $2;

-- name: sum_changes
-- What was moved in each asset, by operation.
SELECT asset, operation, count(*) AS movements, sum(change)::text AS change
  FROM reference_wallet.movement WHERE change <> 0 GROUP BY asset, operation ORDER BY asset, operation;

-- name: sum_balances
-- What players have in each asset.
SELECT asset, count(*) AS wallets, sum(balance)::text AS balance, count(*) FILTER (WHERE balance < 0) AS overdrawn
  FROM reference_wallet.wallet GROUP BY asset ORDER BY asset;
