-- name: asked_calls
-- How many calls somebody is asking of the operator's wallet now.
SELECT count(*) FROM wallet_call WHERE state = 'asked';

-- name: queued_calls
-- What is decided and has not reached the operator's wallet, as far as is known, in the order in which it was asked, by
-- its reference there.
SELECT 'wtx_' || translate(id::text, '-', '') AS name FROM wallet_call
 WHERE settled_at IS NULL AND booked <> 'after' ORDER BY id;

-- name: open_among
-- How many of these calls, given by their reference at the wallet, are not settled.
SELECT count(*) FROM wallet_call
 WHERE settled_at IS NULL AND 'wtx_' || translate(id::text, '-', '') = ANY ($1::text[]);

-- name: unsettled_calls
-- How many calls are not settled, and how many of them are with a person.
SELECT count(*) FILTER (WHERE NOT is_overdue) AS waiting, count(*) FILTER (WHERE is_overdue) AS overdue
  FROM wallet_call WHERE settled_at IS NULL;

-- name: calls_by_state
-- How many calls of the operator's wallet came to what.
SELECT state, count(*) AS calls FROM wallet_call GROUP BY state;

-- name: unknown_calls
-- How many calls had an outcome that nobody knew, and of how many it became known.
SELECT count(*) AS seen, count(resolved_at) AS settled FROM unknown_outcome WHERE kind = 'wallet';

-- name: made_calls
-- Every call by its reference at the wallet, in the order in which they were asked; amounts as text.
SELECT 'wtx_' || translate(id::text, '-', '') AS name, player_id, asset, operation, kind, amount::text AS amount, booked,
       state, moved::text AS moved, 'wtx_' || translate(target_id::text, '-', '') AS target
  FROM wallet_call ORDER BY id;

-- name: mirrors
-- What flowed through Croupier into and out of each player's wallet.
SELECT owner, asset, sum(balance)::text AS flow FROM account WHERE kind = 'player_wallet' GROUP BY owner, asset;

-- name: wallet_breaks
-- The work that people have about the operator's wallet, by kind.
SELECT kind, count(*) AS breaks FROM break_item
 WHERE resolved_at IS NULL AND (kind LIKE 'wallet\_%' OR kind = 'late_approval') GROUP BY kind;
