-- name: load_balances
-- The materialised accounts of one owner.
SELECT kind, asset, fund, balance::text AS amount
  FROM account
 WHERE bucket = $1 AND owner = $2 AND ($3::text IS NULL OR asset = $3)
 ORDER BY asset, kind, fund;

-- name: load_entries
-- Journal entries of a player, a session or anybody, newest first.
SELECT bucket, id, kind, provider, reference, player_id, session_id, provider_round_id, asset, cause, details,
       occurred_at, recorded_at, correlation_id
  FROM journal_entry
 WHERE ($1::text IS NULL OR player_id = $1) AND ($2::uuid IS NULL OR session_id = $2)
 ORDER BY id DESC LIMIT $3;

-- name: load_entries_by_reference
-- Journal entries of a reference, whichever provider uses it.
WITH RECURSIVE provider (name) AS (
    SELECT min(provider) FROM money_reference
     UNION ALL
    SELECT (SELECT min(m.provider) FROM money_reference m WHERE m.provider > p.name) FROM provider p
     WHERE p.name IS NOT NULL
)
SELECT e.bucket, e.id, e.kind, e.provider, e.reference, e.player_id, e.session_id, e.provider_round_id, e.asset,
       e.cause, e.details, e.occurred_at, e.recorded_at, e.correlation_id
  FROM provider p
  JOIN money_reference r ON r.provider = p.name AND r.reference = $4
  JOIN journal_entry e ON e.bucket = r.bucket AND e.id = r.journal_id
 WHERE ($1::text IS NULL OR e.player_id = $1) AND ($2::uuid IS NULL OR e.session_id = $2)
 ORDER BY e.id DESC LIMIT $3;

-- name: load_postings
-- The postings of these entries, in order.
SELECT p.entry_id, p.kind, p.owner, p.asset, p.fund, p.amount::text AS amount, p.balance_after::text AS balance_after
  FROM unnest($1::smallint[], $2::uuid[]) AS k (bucket, id)
  JOIN posting p ON p.bucket = k.bucket AND p.entry_id = k.id
 ORDER BY p.entry_id, p.seq;

-- name: list_sessions
-- Sessions, newest first.
SELECT id, player_id, provider, game_id, asset, state, seq, rounds_open, staked::text AS staked, won::text AS won,
       contributed::text AS contributed, share_posted::text AS share_posted, revenue_posted::text AS revenue_posted,
       contract_id, share_bps, launch_url, opened_at, expires_at, last_activity_at
  FROM session
 WHERE ($1::text IS NULL OR player_id = $1) AND ($2::text IS NULL OR state = $2) AND ($3::uuid IS NULL OR id < $3)
 ORDER BY id DESC LIMIT $4;

-- name: load_session
-- One session as it stands.
SELECT id, player_id, provider, game_id, asset, state, seq, rounds_open, staked::text AS staked, won::text AS won,
       contributed::text AS contributed, share_posted::text AS share_posted, revenue_posted::text AS revenue_posted,
       contract_id, share_bps, launch_url, opened_at, expires_at, last_activity_at
  FROM session
 WHERE bucket = $1 AND id = $2;

-- name: load_session_rounds
-- The rounds of one session, in the order in which they were named.
SELECT id, session_id, provider_round_id, state, bets, live_bets, staked::text AS staked, won::text AS won, bet_due_at,
       outcome, fairness, opened_at, closed_at
  FROM round
 WHERE bucket = $1 AND session_id = $2
 ORDER BY id LIMIT $3;

-- name: load_timeline
-- The events of one session after a number.
SELECT seq, from_state, to_state, cause, provider_round_id, journal_ids, occurred_at, time_source, recorded_at,
       correlation_id, details
  FROM session_event
 WHERE bucket = $1 AND session_id = $2 AND seq > $3
 ORDER BY seq LIMIT $4;

-- name: find_sessions
-- Sessions that a provider's reference or round id belongs to.
WITH RECURSIVE provider (name) AS (
    SELECT min(provider) FROM money_reference
     UNION ALL
    SELECT (SELECT min(m.provider) FROM money_reference m WHERE m.provider > p.name) FROM provider p
     WHERE p.name IS NOT NULL
)
SELECT r.session_id AS id
  FROM provider p JOIN money_reference r ON r.provider = p.name AND r.reference = $1
 WHERE r.session_id IS NOT NULL
 UNION
SELECT session_id FROM round WHERE provider_round_id = $1
 LIMIT 20;

-- name: find_sessions_by_id
-- The session that a round or an entry of ours belongs to.
SELECT session_id AS id FROM round WHERE bucket = $1 AND id = $2
 UNION
SELECT session_id FROM journal_entry WHERE bucket = $1 AND id = $2 AND session_id IS NOT NULL;

-- name: find_rounds
-- Rounds by our id, or by the provider's.
SELECT o.id, o.session_id, o.provider_round_id, o.state, o.bets, o.live_bets, o.staked::text AS staked,
       o.won::text AS won, o.bet_due_at, o.outcome, o.fairness, o.opened_at, o.closed_at, s.provider, s.player_id,
       s.game_id, s.asset
  FROM round o JOIN session s ON s.bucket = o.bucket AND s.id = o.session_id
 WHERE (o.id = $1 OR o.provider_round_id = $2) AND ($3::text IS NULL OR s.provider = $3)
 ORDER BY o.id LIMIT 20;

-- name: load_round_events
-- The events of a session that touched one round.
SELECT seq, from_state, to_state, cause, provider_round_id, journal_ids, occurred_at, time_source, recorded_at,
       correlation_id, details
  FROM session_event
 WHERE bucket = $1 AND session_id = $2 AND provider_round_id = $3
 ORDER BY seq LIMIT $4;
