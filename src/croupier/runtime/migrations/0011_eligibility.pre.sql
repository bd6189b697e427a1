-- name: create_eligibility_decision
-- Every decision whether somebody may open a game, and what it was made from.
CREATE TABLE eligibility_decision (
    bucket     smallint NOT NULL,
    id         uuid NOT NULL,
    player_id  text COLLATE "C" NOT NULL,
    session_id uuid,
    decided_at timestamptz NOT NULL,
    expires_at timestamptz,
    is_granted boolean NOT NULL,
    reason     text NOT NULL,
    detail     text NOT NULL,
    rules      text,
    evidence   jsonb NOT NULL,
    PRIMARY KEY (bucket, id),
    CONSTRAINT granted_has_its_session CHECK (is_granted = (session_id IS NOT NULL)
                                          AND is_granted = (expires_at IS NOT NULL))
);

-- name: create_eligibility_decision_by_player
-- A player's decisions, newest first.
CREATE INDEX eligibility_decision_by_player ON eligibility_decision (bucket, player_id, id);

-- name: guard_eligibility_decision
-- Evidence is never edited.
CREATE TRIGGER eligibility_decision_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON eligibility_decision
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- name: create_play_terms
-- What its jurisdiction asks of a session's stakes; fixed when the session is opened.
CREATE TABLE play_terms (
    bucket       smallint NOT NULL,
    session_id   uuid NOT NULL,
    decision_id  uuid NOT NULL,
    jurisdiction text NOT NULL,
    rules        text NOT NULL,
    stake_cap    numeric(38, 0) CHECK (stake_cap > 0),
    idle_close_s integer CHECK (idle_close_s > 0),
    PRIMARY KEY (bucket, session_id)
);

-- name: guard_play_terms
-- Nobody changes the terms under a running session.
CREATE TRIGGER play_terms_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON play_terms
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- name: grant_eligibility
-- Both are only added to.
GRANT SELECT, INSERT ON eligibility_decision, play_terms TO croupier_app;

-- name: create_ruling_row
-- A decision to write.
CREATE TYPE ruling_row AS (
    bucket smallint,
    id uuid,
    player_id text,
    session_id uuid,
    decided_at timestamptz,
    expires_at timestamptz,
    is_granted boolean,
    reason text,
    detail text,
    rules text,
    evidence text
);

-- name: create_play_terms_row
-- A session's terms to read or write.
CREATE TYPE play_terms_row AS (
    bucket smallint,
    session_id uuid,
    decision_id uuid,
    jurisdiction text,
    rules text,
    stake_cap text,
    idle_close_s integer
);

-- name: create_load_play_terms
-- The terms of the sessions that `load_facts` found, however they were named. They never change, so no lock matters.
CREATE FUNCTION load_play_terms(p_sessions session_row[]) RETURNS play_terms_row[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    found play_terms_row[];
BEGIN
    SELECT array_agg(ROW(t.bucket, t.session_id, t.decision_id, t.jurisdiction, t.rules, t.stake_cap::text,
                         t.idle_close_s)::play_terms_row) INTO found
      FROM unnest(p_sessions) s CROSS JOIN LATERAL (
        SELECT x.* FROM play_terms x WHERE x.bucket = s.bucket AND x.session_id = s.id LIMIT 1) t;
    RETURN found;
END $$;

-- name: create_write_openings
-- Writes the decisions that sessions were opened on, and their terms. No rule lives here.
CREATE FUNCTION write_openings(p_rulings ruling_row[], p_terms play_terms_row[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO eligibility_decision (bucket, id, player_id, session_id, decided_at, expires_at, is_granted, reason,
        detail, rules, evidence)
    SELECT r.bucket, r.id, r.player_id, r.session_id, r.decided_at, r.expires_at, r.is_granted, r.reason, r.detail,
           r.rules, r.evidence::jsonb
      FROM unnest(p_rulings) r;
    INSERT INTO play_terms (bucket, session_id, decision_id, jurisdiction, rules, stake_cap, idle_close_s)
    SELECT t.bucket, t.session_id, t.decision_id, t.jurisdiction, t.rules, t.stake_cap::numeric, t.idle_close_s
      FROM unnest(p_terms) t;
END $$;
