-- name: session_by_id
-- One session.
SELECT id, player_id, provider, game_id, asset, state, rounds_open, staked::text AS staked, won::text AS won,
       contract_id, launch_url, opened_at, expires_at, last_activity_at,
       (SELECT t.jurisdiction FROM play_terms t WHERE t.bucket = s.bucket AND t.session_id = s.id) AS jurisdiction
  FROM session s WHERE bucket = $1 AND id = $2;

-- name: sessions_of_player
-- A player's sessions, newest first, from below an id on.
SELECT id, player_id, provider, game_id, asset, state, rounds_open, staked::text AS staked, won::text AS won,
       contract_id, launch_url, opened_at, expires_at, last_activity_at,
       (SELECT t.jurisdiction FROM play_terms t WHERE t.bucket = s.bucket AND t.session_id = s.id) AS jurisdiction
  FROM session s
 WHERE bucket = $1 AND player_id = $2 AND ($3::text IS NULL OR state = $3) AND id < $4
 ORDER BY id DESC LIMIT $5;

-- name: timeline
-- What happened to a session, oldest first, from above a number on, with the ids of the rounds it names.
SELECT e.seq, e.cause, e.from_state, e.to_state, e.provider_round_id, r.id AS round_id, e.journal_ids, e.occurred_at,
       e.time_source, e.recorded_at, e.correlation_id, e.trace_id, e.details
  FROM session_event e
  LEFT JOIN round r ON r.bucket = e.bucket AND r.session_id = e.session_id
                   AND r.provider_round_id = e.provider_round_id
 WHERE e.bucket = $1 AND e.session_id = $2 AND e.seq > $3
 ORDER BY e.seq LIMIT $4;

-- name: balances_of_player
-- What a player has and owes, in every asset and fund; of a mirror, what the operator's wallet said last.
SELECT kind, asset, fund, CASE WHEN is_mirror AND kind = 'player_wallet' THEN coalesce(told, 0) ELSE balance END::text
       AS balance, is_mirror AND kind = 'player_wallet' AS is_mirror, balance::text AS flowed
  FROM account
 WHERE bucket = $1 AND owner = $2 AND kind IN ('player_wallet', 'player_receivable')
 ORDER BY kind, asset, fund;

-- name: round_by_id
-- One round, with the asset of its session.
SELECT r.id, r.session_id, r.provider_round_id, r.state, r.bets, r.live_bets, r.staked::text AS staked,
       r.won::text AS won, r.outcome, r.fairness, r.opened_at, r.closed_at, s.asset, s.provider, s.game_id
  FROM round r JOIN session s ON s.bucket = r.bucket AND s.id = r.session_id
 WHERE r.bucket = $1 AND r.id = $2;

-- name: rounds_of_session
-- A session's rounds in the order of the provider's round ids, from above one on.
SELECT r.id, r.session_id, r.provider_round_id, r.state, r.bets, r.live_bets, r.staked::text AS staked,
       r.won::text AS won, r.outcome, r.fairness, r.opened_at, r.closed_at, s.asset, s.provider, s.game_id
  FROM round r JOIN session s ON s.bucket = r.bucket AND s.id = r.session_id
 WHERE r.bucket = $1 AND r.session_id = $2 AND ($3::text IS NULL OR r.provider_round_id = $3)
   AND r.provider_round_id > $4
 ORDER BY r.provider_round_id LIMIT $5;

-- name: entries_of_player
-- A player's journal entries, newest first, from below an id on, all or those of one session.
SELECT id, kind, provider, reference, player_id, session_id, provider_round_id, asset, cause, details, occurred_at,
       recorded_at, correlation_id, trace_id
  FROM journal_entry
 WHERE bucket = $1 AND player_id = $2 AND ($3::uuid IS NULL OR session_id = $3) AND id < $4
 ORDER BY id DESC LIMIT $5;

-- name: postings_of_entries
-- Both sides of some entries, in their order.
SELECT entry_id, kind, owner, asset, fund, session_id, amount::text AS amount, balance_after::text AS balance_after
  FROM posting WHERE bucket = $1 AND entry_id = ANY ($2::uuid[]) ORDER BY entry_id, seq;

-- name: open_breaks_of_player
-- A player's open breaks, oldest first, from above an id on.
SELECT id, kind, subject, owner, provider, player_id, session_id, provider_round_id, asset, amount, explanation,
       opened_at
  FROM break_item
 WHERE bucket = $1 AND player_id = $2 AND resolved_at IS NULL AND id > $3
 ORDER BY id LIMIT $4;

-- name: open_breaks
-- Every open break, oldest first, from above an id on. Breaks of all players: no bucket narrows this.
SELECT id, kind, subject, owner, provider, player_id, session_id, provider_round_id, asset, amount, explanation,
       opened_at
  FROM break_item WHERE resolved_at IS NULL AND id > $1 ORDER BY id LIMIT $2;

-- name: restriction_by_id
-- One restriction of a player.
SELECT id, player_id, kind, reason, placed_by, placed_at, until, lifted_at, lifted_by, lift_reason
  FROM player_restriction WHERE bucket = $1 AND player_id = $2 AND id = $3;

-- name: restrictions_of_player
-- A player's restrictions, newest first, from below an id on.
SELECT id, player_id, kind, reason, placed_by, placed_at, until, lifted_at, lifted_by, lift_reason
  FROM player_restriction WHERE bucket = $1 AND player_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4;

-- name: rulings_of_player
-- A player's decisions on eligibility, newest first, from below an id on.
SELECT id, player_id, session_id, decided_at, expires_at, is_granted, reason, detail, rules, evidence::text AS evidence
  FROM eligibility_decision WHERE bucket = $1 AND player_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4;

-- name: playable_sessions_of_player
-- Some of a player's sessions that are not over, whoever provides them.
SELECT id FROM session WHERE bucket = $1 AND player_id = $2 AND state = ANY ($3::text[]) ORDER BY id LIMIT $4;

-- name: is_answered
-- Whether a request was answered under this Idempotency-Key.
SELECT EXISTS (SELECT FROM idempotency_key WHERE bucket = $1 AND api_key_id = $2 AND key = $3) AS is_answered;
