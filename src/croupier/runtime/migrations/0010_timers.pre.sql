-- name: create_session_timer
-- When each session that is not final is looked at next, whose it is and what is planned. `claimable_at` is the due time
-- or the end of a lease, `fence` counts who had it, `overdue_since` says that it came due and the session is still there.
CREATE TABLE session_timer (
    bucket        smallint NOT NULL,
    session_id    uuid NOT NULL,
    state         text NOT NULL,
    since         timestamptz NOT NULL,
    due_at        timestamptz NOT NULL,
    owner         text NOT NULL,
    action        text NOT NULL,
    idle_close_s  integer,
    claimable_at  timestamptz NOT NULL,
    fence         integer NOT NULL DEFAULT 0,
    overdue_since timestamptz,
    PRIMARY KEY (bucket, session_id)
) WITH (fillfactor = 70);

-- name: create_session_timer_claimable
-- What is due, longest first.
CREATE INDEX session_timer_claimable ON session_timer (claimable_at);

-- name: fill_session_timer
-- Sessions that are there already get the built-in times; processes of the version before may still add sessions
-- without a timer, which background processes find and give one.
INSERT INTO session_timer (bucket, session_id, state, since, due_at, owner, action, claimable_at)
SELECT s.bucket, s.id, s.state, s.last_activity_at, s.last_activity_at + t.after, t.owner, t.action,
       s.last_activity_at + t.after
  FROM session s
  JOIN (VALUES ('created', interval '5 minutes', 'platform', 'cancel'),
               ('launched', interval '1 hour', 'product', 'cancel'),
               ('active', interval '24 hours', 'product', 'close'),
               ('pending_settlement', interval '24 hours', 'finance', 'reconcile')) t (state, after, owner, action)
    ON t.state = s.state
ON CONFLICT (bucket, session_id) DO NOTHING;

-- name: create_unknown_outcome
-- Questions to somebody else whose answer nobody has: whose they are, and by when they are answered or given up.
CREATE TABLE unknown_outcome (
    bucket        smallint NOT NULL,
    id            uuid NOT NULL,
    kind          text NOT NULL,
    subject       text COLLATE "C" NOT NULL,
    provider      text COLLATE "C" NOT NULL,
    player_id     text NOT NULL,
    session_id    uuid,
    reason        text NOT NULL,
    since         timestamptz NOT NULL,
    attempts      integer NOT NULL,
    next_probe_at timestamptz,
    deadline      timestamptz NOT NULL,
    owner         text NOT NULL,
    resolved_at   timestamptz,
    resolution    text,
    PRIMARY KEY (bucket, id),
    CONSTRAINT resolved_says_how CHECK ((resolved_at IS NULL) = (resolution IS NULL))
) WITH (fillfactor = 70);

-- name: create_unknown_outcome_once
-- The same question is one row, however often it is asked.
CREATE UNIQUE INDEX unknown_outcome_once ON unknown_outcome (bucket, provider, kind, subject);

-- name: create_unknown_outcome_open
-- What is unknown now, by session and in order of its deadlines.
CREATE INDEX unknown_outcome_open ON unknown_outcome (bucket, session_id, deadline) WHERE resolved_at IS NULL;

-- name: create_refuse_reresolution
-- What became known stays known, for the owner too.
CREATE FUNCTION refuse_reresolution() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'unknown outcome % was resolved: % refused', OLD.id, TG_OP USING ERRCODE = 'CR003';
END $$;

-- name: guard_resolved_outcome
-- Nobody resolves twice, or takes a resolution back.
CREATE TRIGGER resolved_outcome_stays_resolved BEFORE UPDATE ON unknown_outcome
    FOR EACH ROW WHEN (OLD.resolved_at IS NOT NULL) EXECUTE FUNCTION refuse_reresolution();

-- name: guard_unknown_outcome
-- No unknown outcome is ever forgotten.
CREATE TRIGGER unknown_outcome_is_kept BEFORE DELETE OR TRUNCATE ON unknown_outcome
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- name: grant_session_timer
-- Timers are set anew, and go with the end of their session.
GRANT SELECT, INSERT, UPDATE, DELETE ON session_timer TO croupier_app;

-- name: grant_unknown_outcome
-- What is asked never changes; how often, and what became of it, is written afterwards.
GRANT SELECT, INSERT, UPDATE (reason, attempts, next_probe_at, resolved_at, resolution) ON unknown_outcome
   TO croupier_app;

-- name: create_timer_row
-- A timer to write.
CREATE TYPE timer_row AS (
    bucket smallint,
    session_id uuid,
    state text,
    since timestamptz,
    due_at timestamptz,
    owner text,
    action text,
    idle_close_s integer
);

-- name: create_unknown_row
-- An unknown outcome to write.
CREATE TYPE unknown_row AS (
    bucket smallint,
    id uuid,
    kind text,
    subject text,
    provider text,
    player_id text,
    session_id uuid,
    reason text,
    since timestamptz,
    attempts integer,
    next_probe_at timestamptz,
    deadline timestamptz,
    owner text
);

-- name: create_resolution_row
-- How the launch of a session became known.
CREATE TYPE resolution_row AS (
    bucket smallint,
    session_id uuid,
    resolution text,
    resolved_at timestamptz
);

-- name: create_write_timing
-- Sets the timers of sessions that entered a state, drops those of sessions that are over, notes and resolves unknown
-- outcomes. Whoever had claimed a timer has it no more. No rule lives here.
CREATE FUNCTION write_timing(
    p_timers      timer_row[],
    p_over        session_key[],
    p_unknowns    unknown_row[],
    p_resolutions resolution_row[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO session_timer AS t (bucket, session_id, state, since, due_at, owner, action, idle_close_s, claimable_at)
    SELECT r.bucket, r.session_id, r.state, r.since, r.due_at, r.owner, r.action, r.idle_close_s, r.due_at
      FROM unnest(p_timers) r
    ON CONFLICT (bucket, session_id) DO UPDATE
       SET state = excluded.state, since = excluded.since, due_at = excluded.due_at, owner = excluded.owner,
           action = excluded.action, idle_close_s = excluded.idle_close_s, claimable_at = excluded.claimable_at,
           fence = t.fence + 1, overdue_since = NULL;

    IF cardinality(p_over) > 0 THEN
        DELETE FROM session_timer t USING unnest(p_over) o WHERE t.bucket = o.bucket AND t.session_id = o.id;
    END IF;

    IF cardinality(p_unknowns) > 0 THEN
        INSERT INTO unknown_outcome AS u (bucket, id, kind, subject, provider, player_id, session_id, reason, since,
            attempts, next_probe_at, deadline, owner)
        SELECT r.bucket, r.id, r.kind, r.subject, r.provider, r.player_id, r.session_id, r.reason, r.since, r.attempts,
               r.next_probe_at, r.deadline, r.owner
          FROM unnest(p_unknowns) r
        ON CONFLICT (bucket, provider, kind, subject) DO UPDATE
           SET attempts = u.attempts + excluded.attempts, reason = excluded.reason,
               next_probe_at = excluded.next_probe_at
         WHERE u.resolved_at IS NULL;
    END IF;

    IF cardinality(p_resolutions) > 0 THEN
        UPDATE unknown_outcome u SET resolved_at = r.resolved_at, resolution = r.resolution, next_probe_at = NULL
          FROM unnest(p_resolutions) r
         WHERE u.bucket = r.bucket AND u.session_id = r.session_id AND u.kind = 'launch' AND u.resolved_at IS NULL;
    END IF;
END $$;
