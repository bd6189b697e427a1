-- name: create_bench_schema
-- What belongs to the benches only.
CREATE SCHEMA bench;

-- name: create_bench_probe
-- One small row per commit, to measure what a commit costs by itself.
CREATE TABLE bench.probe (
    bucket smallint NOT NULL DEFAULT 0,
    id     bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (bucket, id)
);

-- name: insert_probe
-- The smallest thing that can be committed.
INSERT INTO bench.probe DEFAULT VALUES;
