-- name: open_rounds
-- Rounds that were opened before $1 and are open still, by provider and asset, those with the oldest first.
SELECT s.provider, s.asset, count(*) AS rounds, sum(r.staked)::text AS staked, min(r.opened_at) AS oldest_at
  FROM session s JOIN round r ON r.bucket = s.bucket AND r.session_id = s.id
 WHERE s.state IN ('created', 'launched', 'active', 'pending_settlement') AND s.rounds_open > 0
   AND r.state = 'open' AND r.opened_at < $1
 GROUP BY s.provider, s.asset ORDER BY min(r.opened_at) LIMIT $2;

-- name: pending_settlement
-- Sessions that wait for their settlement, what their clearing holds, and how many have waited for too long.
SELECT s.provider, s.asset, count(*) AS sessions,
       sum(s.staked - s.won - s.contributed - s.share_posted - s.revenue_posted)::text AS clearing,
       count(*) FILTER (WHERE t.overdue_since IS NOT NULL OR t.due_at <= $1) AS overdue,
       min(t.since) AS oldest_at
  FROM session s LEFT JOIN session_timer t ON t.bucket = s.bucket AND t.session_id = s.id
 WHERE s.state = 'pending_settlement'
 GROUP BY s.provider, s.asset ORDER BY min(t.since) LIMIT $2;

-- name: open_breaks
-- Breaks that nobody has resolved, by kind, owner and asset; the sum is of those that name a whole amount.
SELECT kind, owner, asset, count(*) AS breaks,
       sum(amount::numeric) FILTER (WHERE amount ~ '^-?[0-9]+$')::text AS amount, min(opened_at) AS oldest_at
  FROM break_item WHERE resolved_at IS NULL
 GROUP BY kind, owner, asset ORDER BY min(opened_at) LIMIT $1;

-- name: session_states
-- Sessions that are not final, by state, whose they are, and what happens when their time has passed.
SELECT state, owner, action, count(*) AS sessions,
       count(*) FILTER (WHERE overdue_since IS NOT NULL OR due_at <= $1) AS overdue, min(since) AS oldest_at
  FROM session_timer GROUP BY state, owner, action ORDER BY min(since) LIMIT $2;

-- name: overdue_sessions
-- The sessions that have been in their state for too long, longest first.
SELECT session_id, state, owner, action, since, overdue_since, due_at
  FROM session_timer WHERE overdue_since IS NOT NULL OR due_at <= $1
 ORDER BY since, session_id LIMIT $2;

-- name: count_without_timer
-- Sessions that are not final and that nothing will look at: there must be none.
SELECT count(*) FROM session s
 WHERE s.state IN ('created', 'launched', 'active', 'pending_settlement')
   AND NOT EXISTS (SELECT FROM session_timer t WHERE t.bucket = s.bucket AND t.session_id = s.id);

-- name: count_unknown
-- Outcomes that nobody knows.
SELECT count(*) FROM unknown_outcome WHERE resolved_at IS NULL;

-- name: unknown_outcomes
-- Outcomes that nobody knows, those whose deadline comes first.
SELECT id, kind, provider, session_id, reason, since, attempts, next_probe_at, deadline, owner
  FROM unknown_outcome WHERE resolved_at IS NULL ORDER BY deadline, id LIMIT $1;
