-- name: create_player_restriction
-- Players who may not stake, and why; read under the player's lock by every decision.
CREATE TABLE player_restriction (
    bucket      smallint NOT NULL,
    player_id   text COLLATE "C" NOT NULL,
    id          uuid NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('self_exclusion', 'block', 'location_lost')),
    reason      text NOT NULL,
    placed_by   text NOT NULL,
    placed_at   timestamptz NOT NULL,
    until       timestamptz,
    lifted_at   timestamptz,
    lifted_by   text,
    lift_reason text,
    PRIMARY KEY (bucket, player_id, id),
    CONSTRAINT lifted_says_by_whom CHECK ((lifted_at IS NULL) = (lifted_by IS NULL)
                                      AND (lifted_at IS NULL) = (lift_reason IS NULL))
);

-- name: create_player_restriction_standing
-- Those that were not lifted, which is all that decisions ask for: however often a location is lost and found again.
CREATE INDEX player_restriction_standing ON player_restriction (bucket, player_id) WHERE lifted_at IS NULL;

-- name: create_refuse_relift
-- A restriction that was lifted stays as it is, for the owner too.
CREATE FUNCTION refuse_relift() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'restriction % was lifted: % refused; place another one', OLD.id, TG_OP USING ERRCODE = 'CR003';
END $$;

-- name: guard_lifted_restriction
-- Nobody lifts twice, or takes a lifting back.
CREATE TRIGGER lifted_restriction_stays_lifted BEFORE UPDATE ON player_restriction
    FOR EACH ROW WHEN (OLD.lifted_at IS NOT NULL) EXECUTE FUNCTION refuse_relift();

-- name: guard_player_restriction
-- No restriction is ever forgotten.
CREATE TRIGGER player_restriction_is_kept BEFORE DELETE OR TRUNCATE ON player_restriction
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- name: grant_player_restriction
-- A restriction is placed and may be lifted; what it says never changes.
GRANT SELECT, INSERT, UPDATE (lifted_at, lifted_by, lift_reason) ON player_restriction TO croupier_app;

-- name: create_restriction_row
-- A restriction to read or write.
CREATE TYPE restriction_row AS (
    bucket smallint,
    player_id text,
    id uuid,
    kind text,
    reason text,
    placed_by text,
    placed_at timestamptz,
    until timestamptz,
    lifted_at timestamptz,
    lifted_by text,
    lift_reason text
);

-- name: create_load_restrictions
-- What stands against these players. Called in the select list beside `load_facts`, which has locked them by then: its
-- own snapshot sees whatever was placed while that waited.
CREATE FUNCTION load_restrictions(p_owners owner_key[]) RETURNS restriction_row[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    found restriction_row[];
BEGIN
    SELECT array_agg(ROW(r.bucket, r.player_id, r.id, r.kind, r.reason, r.placed_by, r.placed_at, r.until, r.lifted_at,
                         r.lifted_by, r.lift_reason)::restriction_row) INTO found
      FROM unnest(p_owners) k CROSS JOIN LATERAL (
        SELECT x.* FROM player_restriction x
         WHERE x.bucket = k.bucket AND x.player_id = k.owner AND x.lifted_at IS NULL) r;
    RETURN found;
END $$;

-- name: create_write_restrictions
-- Places restrictions, and lifts those that are there. No rule lives here.
CREATE FUNCTION write_restrictions(p_restrictions restriction_row[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO player_restriction (bucket, player_id, id, kind, reason, placed_by, placed_at, until, lifted_at,
        lifted_by, lift_reason)
    SELECT r.bucket, r.player_id, r.id, r.kind, r.reason, r.placed_by, r.placed_at, r.until, r.lifted_at, r.lifted_by,
           r.lift_reason
      FROM unnest(p_restrictions) r
    ON CONFLICT (bucket, player_id, id) DO UPDATE
       SET lifted_at = excluded.lifted_at, lifted_by = excluded.lifted_by, lift_reason = excluded.lift_reason;
END $$;
