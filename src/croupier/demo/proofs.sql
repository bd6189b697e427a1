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

-- name: accepted_deliveries
-- How many webhooks of a provider were accepted.
SELECT count(*) FROM delivery WHERE provider = $1;

-- name: pending_deliveries
-- How many webhooks are not finished, and how many of them were tried in vain.
SELECT count(*) AS pending, count(*) FILTER (WHERE attempts > 0) AS failed FROM inbox_queue;

-- name: deliveries_by_result
-- How many webhooks were finished, by what they came to when they were first processed.
SELECT result, count(*) AS deliveries
  FROM delivery_result WHERE replay = '00000000-0000-0000-0000-000000000000' GROUP BY result;

-- name: dead_letters
-- Webhooks that could not be processed, by the provider's own ids.
SELECT d.delivery_id, l.cause FROM dead_letter l JOIN delivery d ON d.bucket = l.bucket AND d.id = l.id;
