-- name: claim
-- Take what is due until $2, longest due first, with the sessions as they are.
WITH due AS (
    SELECT bucket, session_id FROM session_timer WHERE claimable_at <= $1
     ORDER BY claimable_at LIMIT $3 FOR UPDATE SKIP LOCKED),
taken AS (
    UPDATE session_timer t SET claimable_at = $2, fence = t.fence + 1
      FROM due WHERE t.bucket = due.bucket AND t.session_id = due.session_id
    RETURNING t.bucket, t.session_id, t.state AS timer_state, t.since AS timer_since, t.due_at, t.idle_close_s, t.fence)
SELECT t.bucket, t.session_id, t.timer_state, t.timer_since, t.due_at, t.idle_close_s, t.fence,
       CASE WHEN s.id IS NOT NULL THEN
           ROW(s.bucket, s.id, s.player_id, s.provider, s.game_id, s.asset, s.state, s.seq, s.rounds_open,
               s.staked::text, s.won::text, s.contributed::text, s.share_posted::text, s.revenue_posted::text,
               s.contract_id, s.share_bps, s.jackpot_pool, s.promo_source, s.launch_url, s.opened_at,
               s.expires_at, s.last_activity_at)::session_row END AS session
  FROM taken t LEFT JOIN session s ON s.bucket = t.bucket AND s.id = t.session_id;

-- name: rearm
-- Set timers anew that are still held under their fence. One that a lane is writing is that lane's: nobody waits.
WITH wanted AS (
    SELECT r.bucket, r.session_id, r.state, r.since, r.due_at, r.owner, r.action, o.fence, o.is_overdue
      FROM unnest($1::timer_row[]) WITH ORDINALITY r
      JOIN unnest($2::integer[], $3::boolean[]) WITH ORDINALITY o (fence, is_overdue, ordinality)
        ON o.ordinality = r.ordinality),
held AS (
    SELECT t.bucket, t.session_id FROM session_timer t
      JOIN wanted w ON w.bucket = t.bucket AND w.session_id = t.session_id AND w.fence = t.fence
     ORDER BY t.bucket, t.session_id FOR UPDATE OF t SKIP LOCKED)
UPDATE session_timer t
   SET state = w.state, since = w.since, due_at = w.due_at, claimable_at = w.due_at, owner = w.owner, action = w.action,
       overdue_since = CASE WHEN w.is_overdue THEN coalesce(t.overdue_since, t.due_at) END
  FROM held h JOIN wanted w ON w.bucket = h.bucket AND w.session_id = h.session_id
 WHERE t.bucket = h.bucket AND t.session_id = h.session_id;

-- name: drop
-- Forget timers of sessions that are over, which a process of the version before ended.
DELETE FROM session_timer t USING unnest($1::smallint[], $2::uuid[], $3::integer[]) AS o (bucket, session_id, fence)
 WHERE t.bucket = o.bucket AND t.session_id = o.session_id AND t.fence = o.fence;

-- name: sessions_without_timer
-- Sessions that are not final and have no timer: a process of the version before wrote them.
SELECT ROW(s.bucket, s.id, s.player_id, s.provider, s.game_id, s.asset, s.state, s.seq, s.rounds_open,
           s.staked::text, s.won::text, s.contributed::text, s.share_posted::text, s.revenue_posted::text,
           s.contract_id, s.share_bps, s.jackpot_pool, s.promo_source, s.launch_url, s.opened_at,
           s.expires_at, s.last_activity_at)::session_row AS session,
       (SELECT t.idle_close_s FROM play_terms t WHERE t.bucket = s.bucket AND t.session_id = s.id) AS idle_close_s
  FROM session s
 WHERE s.state IN ('created', 'launched', 'active', 'pending_settlement')
   AND NOT EXISTS (SELECT FROM session_timer t WHERE t.bucket = s.bucket AND t.session_id = s.id)
 ORDER BY s.bucket, s.id LIMIT $1;

-- name: add_timers
-- Give sessions a timer, unless they have one by now.
INSERT INTO session_timer (bucket, session_id, state, since, due_at, owner, action, idle_close_s, claimable_at)
SELECT r.bucket, r.session_id, r.state, r.since, r.due_at, r.owner, r.action, r.idle_close_s, r.due_at
  FROM unnest($1::timer_row[]) r ORDER BY r.bucket, r.session_id
ON CONFLICT (bucket, session_id) DO NOTHING;

-- name: levels
-- How many sessions are in each state, since when the oldest, how many have been there for too long, and what was due
-- first of what nobody has looked at.
SELECT state, owner, count(*) AS sessions, min(since) AS oldest_since,
       count(*) FILTER (WHERE overdue_since IS NOT NULL OR due_at <= $2) AS overdue,
       min(claimable_at) FILTER (WHERE claimable_at <= $1) AS claimable_since
  FROM session_timer GROUP BY state, owner;

-- name: count_unknown
-- How many outcomes are unknown now.
SELECT count(*) FROM unknown_outcome WHERE resolved_at IS NULL;

-- name: read_clock
-- What time it is by the database's clock.
SELECT clock_timestamp();
