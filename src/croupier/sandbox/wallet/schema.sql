-- name: create_schema
-- Everything of this wallet stands in a schema of its own, in whatever database it is given.
CREATE SCHEMA IF NOT EXISTS reference_wallet;

-- name: create_players
-- What is known of players beside their money.
CREATE TABLE IF NOT EXISTS reference_wallet.player (
    player_id  text PRIMARY KEY,
    is_blocked boolean NOT NULL DEFAULT false
);

-- name: create_wallets
-- What each player has in each asset. The row is locked before anything about its player is decided.
CREATE TABLE IF NOT EXISTS reference_wallet.wallet (
    player_id text NOT NULL,
    asset     text NOT NULL,
    balance   numeric(38, 0) NOT NULL,
    PRIMARY KEY (player_id, asset)
) WITH (fillfactor = 50);

-- name: create_movements
-- Every decision, for ever: approved, refused, or a tombstone, which keeps a reference from being applied later. `copy` is
-- 0 but for what a wallet that is told to be broken applies a second time.
CREATE TABLE IF NOT EXISTS reference_wallet.movement (
    number           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reference        text NOT NULL,
    copy             smallint NOT NULL DEFAULT 0,
    operation        text,
    status           text NOT NULL CHECK (status IN ('approved', 'refused', 'tombstone')),
    code             text NOT NULL,
    player_id        text NOT NULL,
    asset            text NOT NULL,
    asked            numeric(38, 0),
    moved            numeric(38, 0) NOT NULL,
    change           numeric(38, 0) NOT NULL,
    balance_after    numeric(38, 0),
    target_reference text,
    undone_by        text,
    recorded_at      timestamptz NOT NULL,
    correlation_id   text,
    told             text,
    UNIQUE (reference, copy)
) WITH (fillfactor = 90);

-- name: create_statement_index
-- Pages of a period, in the order of time.
CREATE INDEX IF NOT EXISTS movement_recorded ON reference_wallet.movement (recorded_at, number) WHERE change <> 0;

-- name: create_nonces
-- Nonces that were spent lately, for the next process on this database.
CREATE TABLE IF NOT EXISTS reference_wallet.nonce (
    nonce     text PRIMARY KEY,
    expires_s bigint NOT NULL
);

-- name: create_answer
-- What is said about one reference. A type cannot be made `IF NOT EXISTS`.
DO $$
BEGIN
    IF to_regtype('reference_wallet.answer') IS NULL THEN
        CREATE TYPE reference_wallet.answer AS (
            status text, code text, operation text, player_id text, asset text, moved numeric, balance numeric,
            number bigint, is_repeat boolean
        );
    END IF;
END
$$;
