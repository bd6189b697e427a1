-- transaction: none
-- name: drop_session_by_provider
-- Left unfinished by an attempt that was interrupted.
DROP INDEX CONCURRENTLY IF EXISTS session_by_provider;

-- name: create_session_by_provider
-- The newest sessions of an account, for the guards of a rollout. Written once for each session: neither part changes.
CREATE INDEX CONCURRENTLY session_by_provider ON session (provider, id);

-- name: drop_session_pending
-- Left unfinished by an attempt that was interrupted.
DROP INDEX CONCURRENTLY IF EXISTS session_pending;

-- name: create_session_pending
-- The sessions that wait for their settlement; money calls, which leave the state as it is, do not touch it.
CREATE INDEX CONCURRENTLY session_pending ON session (provider, id) WHERE state = 'pending_settlement';
