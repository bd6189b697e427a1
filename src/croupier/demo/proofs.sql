-- name: stored_decisions
-- What was decided about these references of a provider.
SELECT m.reference, m.status, m.code, m.journal_id, m.balance::text AS balance
  FROM unnest($2::text[]) k(reference) JOIN money_reference m ON m.provider = $1 AND m.reference = k.reference;

-- name: sessions_by_state
-- How many sessions are in each state.
SELECT state, count(*) AS sessions FROM session GROUP BY state;

-- name: spent_nonces
-- How many nonces are remembered as spent.
SELECT count(*) FROM nonce;

-- name: earlier_runs
-- Databases that earlier demos left in this server.
SELECT datname FROM pg_database WHERE datname LIKE 'demo\_%' AND datname <> $1;
