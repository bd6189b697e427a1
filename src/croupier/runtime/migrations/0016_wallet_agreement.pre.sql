-- name: create_wallet_agreement
-- Which windows were compared with the operator's wallet, and what was found; one that is not finished is somebody's
-- until its lease ends. Windows follow each other without a gap.
CREATE TABLE wallet_agreement (
    starts_at    timestamptz PRIMARY KEY,
    ends_at      timestamptz NOT NULL,
    leased_until timestamptz NOT NULL,
    calls        bigint,
    movements    bigint,
    agreed       bigint,
    differences  bigint,
    kinds        jsonb,
    sums         jsonb,
    finished_at  timestamptz,
    CHECK (starts_at < ends_at)
);

-- name: guard_wallet_agreement
-- What was found in a window stays known.
CREATE TRIGGER wallet_agreement_is_kept BEFORE DELETE OR TRUNCATE ON wallet_agreement
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- name: grant_wallet_agreement
-- Windows are taken, and finished once.
GRANT SELECT, INSERT, UPDATE (leased_until, calls, movements, agreed, differences, kinds, sums, finished_at)
    ON wallet_agreement TO croupier_app;
