-- name: create_shadow_tally
-- How many calls of an account a candidate has read along, by day and by how they ended. The digest is that of the code
-- of both adapters: another one begins another tally.
CREATE TABLE shadow_tally (
    bucket    smallint NOT NULL,
    provider  text COLLATE "C" NOT NULL,
    candidate text COLLATE "C" NOT NULL,
    digest    text COLLATE "C" NOT NULL,
    day       date NOT NULL,
    same      bigint NOT NULL,
    different bigint NOT NULL,
    refused   bigint NOT NULL,
    failed    bigint NOT NULL,
    hung      bigint NOT NULL,
    skipped   bigint NOT NULL,
    dropped   bigint NOT NULL,
    first_at  timestamptz NOT NULL,
    last_at   timestamptz NOT NULL,
    PRIMARY KEY (bucket, provider, candidate, digest, day)
) WITH (fillfactor = 50);

-- name: create_shadow_difference
-- Where a candidate differs from the live adapter: one row for each kind of difference, with the first few examples.
CREATE TABLE shadow_difference (
    bucket          smallint NOT NULL,
    provider        text COLLATE "C" NOT NULL,
    candidate       text COLLATE "C" NOT NULL,
    digest          text COLLATE "C" NOT NULL,
    operation       text COLLATE "C" NOT NULL,
    path            text COLLATE "C" NOT NULL,
    live_class      text COLLATE "C" NOT NULL,
    candidate_class text COLLATE "C" NOT NULL,
    count           bigint NOT NULL,
    first_at        timestamptz NOT NULL,
    last_at         timestamptz NOT NULL,
    examples        jsonb NOT NULL,
    PRIMARY KEY (bucket, provider, candidate, digest, operation, path, live_class, candidate_class)
) WITH (fillfactor = 50);

-- name: grant_shadow
-- Counts grow, and nothing is removed.
GRANT SELECT, INSERT, UPDATE ON shadow_tally, shadow_difference TO croupier_app;
