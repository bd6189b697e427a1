-- name: load_events
-- Histories in order, of all sessions or of one.
SELECT bucket, session_id, seq, from_state, to_state, cause, provider_round_id, journal_ids, occurred_at, time_source,
       recorded_at, correlation_id, trace_id, details
  FROM session_event
 WHERE $1::uuid IS NULL OR bucket = $2 AND session_id = $1
 ORDER BY bucket, session_id, seq;

-- name: load_sessions
-- Sessions as they stand, in the order of `session_row`.
SELECT s.bucket, s.id, s.player_id, s.provider, s.game_id, s.asset, s.state, s.seq, s.rounds_open, s.staked::text,
       s.won::text, s.contributed::text, s.share_posted::text, s.revenue_posted::text, s.contract_id, s.share_bps,
       s.jackpot_pool, s.promo_source, s.launch_url, s.opened_at, s.expires_at, s.last_activity_at
  FROM unnest($1::smallint[], $2::uuid[]) AS k (bucket, id)
  JOIN session s ON s.bucket = k.bucket AND s.id = k.id;

-- name: load_rounds
-- Rounds of these sessions as they stand, in the order of `round_row`.
SELECT o.bucket, o.session_id, o.provider_round_id, o.id, o.state, o.bets, o.live_bets, o.staked::text, o.won::text,
       o.bet_due_at, o.outcome::text, o.fairness::text, o.opened_at, o.closed_at
  FROM unnest($1::smallint[], $2::uuid[]) AS k (bucket, id)
  JOIN round o ON o.bucket = k.bucket AND o.session_id = k.id;

-- name: load_without_history
-- Sessions, of all or only one, that no event tells of.
SELECT s.id, count(*) OVER () AS found
  FROM session s
 WHERE ($1::uuid IS NULL OR s.bucket = $2 AND s.id = $1)
   AND NOT EXISTS (SELECT 1 FROM session_event e WHERE e.bucket = s.bucket AND e.session_id = s.id)
 ORDER BY s.bucket, s.id LIMIT $3;
