-- name: stored_decisions
-- What was decided about these references of a provider.
SELECT m.reference, m.status, m.code, m.journal_id, m.balance::text AS balance
  FROM unnest($2::text[]) k(reference) JOIN money_reference m ON m.provider = $1 AND m.reference = k.reference;

-- name: missing_bets
-- Bets that a provider was told to be approved and that are not, by the provider's own id (36 characters), whatever
-- the adapter puts in front of it.
SELECT k.reference
  FROM unnest($2::text[]) k(reference)
 WHERE NOT EXISTS (SELECT FROM money_reference m
                    WHERE m.provider = $1 AND m.action = 'bet' AND m.status = 'approved'
                      AND right(m.reference, 36) = k.reference);

-- name: player_balances
-- What each player has, less what they owe.
SELECT owner, asset, sum(balance)::text AS balance
  FROM account WHERE kind IN ('player_wallet', 'player_receivable') GROUP BY owner, asset;

-- name: sessions_by_state
-- How many sessions are in each state.
SELECT state, count(*) AS sessions FROM session GROUP BY state;

-- name: spent_nonces
-- How many nonces are remembered as spent.
SELECT count(*) FROM nonce;
