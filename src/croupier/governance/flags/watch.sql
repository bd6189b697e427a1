-- name: take_turn
-- Who gets this turn of judging rollouts: nobody else until the next one is due. A turn that a clock which was far ahead
-- has put off is not waited for.
INSERT INTO flag_turn AS t (bucket, flag, due_at) VALUES ($1, $2, $4)
    ON CONFLICT (bucket, flag) DO UPDATE SET due_at = excluded.due_at WHERE t.due_at <= $3 OR t.due_at > $5
RETURNING due_at;

-- name: load_turn
-- When rollouts are judged next; long past where nobody judges them.
SELECT due_at FROM flag_turn WHERE bucket = $1 AND flag = $2;

-- name: count_launches
-- How the newest launches at an account ended: a session that is still not launched counts once it is old enough.
SELECT count(*) FILTER (WHERE state <> 'created' OR opened_at < $3) AS launches,
       count(*) FILTER (WHERE state = 'failed' OR (state = 'created' AND opened_at < $3)) AS failed
  FROM (SELECT state, opened_at FROM session WHERE provider = $1 AND id >= $2 ORDER BY id DESC LIMIT $4) newest;

-- name: count_late
-- How many sessions of an account have waited for their settlement since before a moment, the oldest sessions first.
SELECT count(*) FILTER (WHERE w.began < $2) AS late
  FROM (SELECT bucket, id FROM session WHERE provider = $1 AND state = 'pending_settlement' ORDER BY id LIMIT $3) s
 CROSS JOIN LATERAL (
    SELECT max(e.recorded_at) AS began FROM session_event e
     WHERE e.bucket = s.bucket AND e.session_id = s.id AND e.to_state = 'pending_settlement'
       AND e.from_state IS DISTINCT FROM 'pending_settlement') w;

-- name: count_mismatches
-- How many breaks of an account were opened since a moment and are open.
SELECT count(*) AS mismatches FROM break_item
 WHERE resolved_at IS NULL AND id >= $2 AND provider = $1 AND opened_at >= $3;

-- name: is_held_back
-- Whether launches at an account are held back by their breaker.
SELECT EXISTS (SELECT FROM provider_breaker
                WHERE bucket = $1 AND provider = $2 AND operation = 'launch' AND state <> 'closed') AS is_held_back;
