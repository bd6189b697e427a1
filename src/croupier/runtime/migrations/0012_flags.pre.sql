-- name: create_flag_rule
-- Whom each flag is on for, one row a target; an empty text stands for all. No share: the rule says nothing any more.
CREATE TABLE flag_rule (
    bucket       smallint NOT NULL,
    flag         text COLLATE "C" NOT NULL,
    jurisdiction text COLLATE "C" NOT NULL,
    game         text COLLATE "C" NOT NULL,
    game_group   text COLLATE "C" NOT NULL,
    provider     text COLLATE "C" NOT NULL,
    share_bps    integer CHECK (share_bps BETWEEN 0 AND 10000),
    version      integer NOT NULL CHECK (version >= 0),
    since        timestamptz NOT NULL,
    PRIMARY KEY (bucket, flag, jurisdiction, game, game_group, provider)
) WITH (fillfactor = 50);

-- name: create_flag_change
-- What became of each target, in order: by whom and why. A rollback names the version that it took back.
CREATE TABLE flag_change (
    bucket       smallint NOT NULL,
    flag         text COLLATE "C" NOT NULL,
    jurisdiction text COLLATE "C" NOT NULL,
    game         text COLLATE "C" NOT NULL,
    game_group   text COLLATE "C" NOT NULL,
    provider     text COLLATE "C" NOT NULL,
    version      integer NOT NULL,
    id           uuid NOT NULL,
    at           timestamptz NOT NULL,
    from_bps     integer,
    to_bps       integer,
    cause        text NOT NULL CHECK (cause IN ('manual', 'guard', 'rollback')),
    undoes       integer,
    actor        text NOT NULL,
    reason       text NOT NULL,
    PRIMARY KEY (bucket, flag, jurisdiction, game, game_group, provider, version),
    CONSTRAINT rollback_says_of_what CHECK ((cause = 'rollback') = (undoes IS NOT NULL)),
    CONSTRAINT change_says_why CHECK (reason <> '' AND actor <> '')
);

-- name: create_flag_change_newest
-- The newest changes of all flags.
CREATE INDEX flag_change_newest ON flag_change (id);

-- name: create_flag_turn
-- When rollouts are judged next. Whoever moves the time on judges them; one that dies is followed at the next turn.
CREATE TABLE flag_turn (
    bucket smallint NOT NULL,
    flag   text COLLATE "C" NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, flag)
) WITH (fillfactor = 50);

-- name: guard_flag_change
-- History is never edited.
CREATE TRIGGER flag_change_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON flag_change
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- name: grant_flag_state
-- What is said of a target is rewritten, never removed.
GRANT SELECT, INSERT, UPDATE ON flag_rule, flag_turn TO croupier_app;

-- name: grant_flag_change
-- History is only added to.
GRANT SELECT, INSERT ON flag_change TO croupier_app;
