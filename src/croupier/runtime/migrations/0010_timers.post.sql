-- transaction: none
-- name: drop_session_unfinished
-- What an interrupted run may have left half done.
DROP INDEX CONCURRENTLY IF EXISTS session_unfinished;

-- name: create_session_unfinished
-- The sessions that are not final, for whoever looks for one without a timer and for what is stuck.
CREATE INDEX CONCURRENTLY session_unfinished ON session (bucket, id)
    WHERE state IN ('created', 'launched', 'active', 'pending_settlement');
