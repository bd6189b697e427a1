-- name: create_wallet_mode
-- Whose wallet is the source of truth of these books: one row, for ever.
CREATE TABLE wallet_mode (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    mode    text NOT NULL CHECK (mode IN ('builtin', 'remote')),
    since   timestamptz NOT NULL
);

-- name: fill_wallet_mode
-- Books that hold wallets already are their own source of truth.
INSERT INTO wallet_mode (mode, since)
SELECT 'builtin', now() WHERE EXISTS (SELECT FROM account WHERE kind = 'player_wallet');

-- name: grant_wallet_mode
-- Said once.
GRANT SELECT, INSERT ON wallet_mode TO croupier_app;

-- name: mark_mirrors
-- A mirror follows what flowed through Croupier into and out of the operator's own wallet; what the player has there is
-- `told`, as the wallet said last. Lanes of a remote wallet say so on their connection.
ALTER TABLE account
    ADD COLUMN is_mirror boolean NOT NULL DEFAULT false,
    ADD COLUMN told numeric;

-- name: default_mirror
-- Rows that were there before keep `false`; later ones are what the connection that makes them says.
ALTER TABLE account ALTER COLUMN is_mirror
    SET DEFAULT (coalesce(current_setting('croupier.wallet_mode', true), '') = 'remote');

-- name: drop_wallet_is_never_negative
-- It did not know mirrors.
ALTER TABLE account DROP CONSTRAINT wallet_is_never_negative;

-- name: create_wallet_is_never_negative
-- A wallet of ours never holds less than nothing; what flowed through a mirror may.
ALTER TABLE account ADD CONSTRAINT wallet_is_never_negative
    CHECK (kind <> 'player_wallet' OR is_mirror OR balance >= 0) NOT VALID;

-- name: validate_wallet_is_never_negative
-- Reads the table without holding writers up.
ALTER TABLE account VALIDATE CONSTRAINT wallet_is_never_negative;

-- name: create_wallet_call_state
-- Where a call to the operator's wallet stands.
CREATE DOMAIN wallet_call_state AS text CHECK (VALUE IN (
    'asked', 'queued', 'unknown', 'approved', 'refused', 'not_applied', 'undone'));

-- name: create_wallet_call
-- What was asked of the operator's wallet: written before it is asked, answered afterwards.
CREATE TABLE wallet_call (
    bucket           smallint NOT NULL,
    id               uuid NOT NULL,
    player_id        text COLLATE "C" NOT NULL,
    asset            text NOT NULL,
    operation        text NOT NULL CHECK (operation IN ('debit', 'credit', 'rollback')),
    amount           numeric(38, 0) NOT NULL CHECK (amount > 0),
    action           text NOT NULL,
    kind             text NOT NULL,
    provider         text COLLATE "C" NOT NULL,
    reference        text COLLATE "C" NOT NULL,
    target_reference text,
    target_id        uuid,
    if_spent         text,
    session_id       uuid,
    round_id         text,
    game_id          text,
    occurred_at      timestamptz NOT NULL,
    correlation_id   text NOT NULL,
    booked           text NOT NULL CHECK (booked IN ('before', 'after', 'never')),
    request          text,
    request_id       uuid NOT NULL,
    asked_at         timestamptz NOT NULL,
    deadline         timestamptz NOT NULL,
    owner            text NOT NULL,
    state            wallet_call_state NOT NULL,
    reason           text,
    attempts         integer NOT NULL,
    sent_at          timestamptz,
    next_at          timestamptz,
    settled_at       timestamptz,
    moved            numeric(38, 0),
    balance          numeric,
    wallet_reference text,
    is_late          boolean NOT NULL,
    is_overdue       boolean NOT NULL,
    PRIMARY KEY (bucket, id),
    CONSTRAINT open_is_looked_at CHECK ((settled_at IS NULL) = (next_at IS NOT NULL)),
    CONSTRAINT open_is_a_state CHECK ((settled_at IS NULL) = (state IN ('asked', 'queued', 'unknown')))
) WITH (fillfactor = 60);

-- name: create_wallet_call_once
-- A provider's transaction is asked under one id, unless that was undone before anything was booked.
CREATE UNIQUE INDEX wallet_call_once ON wallet_call (provider, reference) WHERE state <> 'undone' AND booked <> 'never';

-- name: create_wallet_call_open
-- A player's calls that are not settled, in the order in which they were asked.
CREATE INDEX wallet_call_open ON wallet_call (bucket, player_id, id) WHERE settled_at IS NULL;

-- name: create_wallet_call_due
-- What is looked at next: the open ones, said in a way that no look-up of a player's open calls can take for its own.
CREATE INDEX wallet_call_due ON wallet_call (next_at) WHERE next_at IS NOT NULL;

-- name: create_wallet_call_late
-- Bets that were approved too late for their provider, until somebody has looked whether it came back for them.
CREATE INDEX wallet_call_late ON wallet_call (settled_at) WHERE is_late;

-- name: create_wallet_call_settled
-- What was settled in a period, for reconciliation.
CREATE INDEX wallet_call_settled ON wallet_call (settled_at) WHERE settled_at IS NOT NULL;

-- name: guard_wallet_call
-- Nothing that was asked is ever forgotten.
CREATE TRIGGER wallet_call_is_kept BEFORE DELETE OR TRUNCATE ON wallet_call
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- name: create_refuse_rehearing
-- What the wallet has said stays said, for the owner too; only an undoing follows, or the same question once more where
-- nothing was applied.
CREATE FUNCTION refuse_rehearing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'wallet call % is %: % refused', OLD.id, OLD.state, NEW.state USING ERRCODE = 'CR003';
END $$;

-- name: guard_settled_call
-- Approved may be undone, not applied may be asked again; refused and undone are final.
CREATE TRIGGER settled_call_stays_settled BEFORE UPDATE ON wallet_call
    FOR EACH ROW WHEN (OLD.state <> NEW.state AND (
        OLD.state IN ('refused', 'undone') OR (OLD.state = 'approved' AND NEW.state <> 'undone')))
    EXECUTE FUNCTION refuse_rehearing();

-- name: grant_wallet_call
-- What was asked never changes; what became of it is written afterwards.
GRANT SELECT, INSERT, UPDATE (state, reason, attempts, sent_at, next_at, settled_at, moved, balance, wallet_reference,
    is_late, is_overdue) ON wallet_call TO croupier_app;

-- name: create_wallet_call_row
-- A wallet call to read or write.
CREATE TYPE wallet_call_row AS (
    bucket smallint,
    id uuid,
    player_id text,
    asset text,
    operation text,
    amount text,
    action text,
    kind text,
    provider text,
    reference text,
    target_reference text,
    target_id uuid,
    if_spent text,
    session_id uuid,
    round_id text,
    game_id text,
    occurred_at timestamptz,
    correlation_id text,
    booked text,
    request text,
    request_id uuid,
    asked_at timestamptz,
    deadline timestamptz,
    owner text,
    state text,
    reason text,
    attempts integer,
    sent_at timestamptz,
    next_at timestamptz,
    settled_at timestamptz,
    moved text,
    balance text,
    wallet_reference text,
    is_late boolean,
    is_overdue boolean
);

-- name: create_told_row
-- What a player is told to have, and what of it is booked and was not sent to the operator's wallet yet.
CREATE TYPE told_row AS (
    bucket smallint,
    owner text,
    asset text,
    fund text,
    told text,
    pending text
);

-- name: create_wallet_call_of
-- A row as its type, amounts as text.
CREATE FUNCTION wallet_call_of(w wallet_call) RETURNS wallet_call_row LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN ROW(w.bucket, w.id, w.player_id, w.asset, w.operation, w.amount::text, w.action, w.kind, w.provider,
               w.reference, w.target_reference, w.target_id, w.if_spent, w.session_id, w.round_id, w.game_id,
               w.occurred_at, w.correlation_id, w.booked, w.request, w.request_id, w.asked_at, w.deadline, w.owner,
               w.state, w.reason, w.attempts, w.sent_at, w.next_at, w.settled_at, w.moved::text, w.balance::text,
               w.wallet_reference, w.is_late, w.is_overdue)::wallet_call_row;
END $$;

-- name: create_load_wallet_calls
-- What is first under way with the operator's wallet for these players, what was asked for these references, and these
-- calls themselves. Called in the select list beside `load_facts`, which has locked the players by then.
CREATE FUNCTION load_wallet_calls(p_owners owner_key[], p_references reference_key[], p_calls session_key[])
RETURNS wallet_call_row[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    found wallet_call_row[];
BEGIN
    SELECT array_agg(wallet_call_of(w)) INTO found FROM (
        SELECT DISTINCT ON (f.bucket, f.id) f.* FROM (
            SELECT o.* FROM unnest(p_owners) k CROSS JOIN LATERAL (
                SELECT x.* FROM wallet_call x
                 WHERE x.bucket = k.bucket AND x.player_id = k.owner AND x.settled_at IS NULL
                   AND NOT (x.is_overdue AND x.action = 'bet') ORDER BY x.id LIMIT 2) o
            UNION ALL
            SELECT r.* FROM unnest(p_references) k CROSS JOIN LATERAL (
                SELECT x.* FROM wallet_call x
                 WHERE x.provider = k.provider AND x.reference = k.reference AND x.state <> 'undone'
                   AND x.booked <> 'never' LIMIT 1) r
            UNION ALL
            SELECT c.* FROM unnest(p_calls) k CROSS JOIN LATERAL (
                SELECT x.* FROM wallet_call x WHERE x.bucket = k.bucket AND x.id = k.id LIMIT 1) c) f) w;
    RETURN found;
END $$;

-- name: create_load_told
-- What these players are told to have, and what of it was not sent yet. Called beside `load_facts`, like the others.
-- `OFFSET 0` keeps the look-up one for each player: joined, it may become a walk through everybody's wallets.
CREATE FUNCTION load_told(p_owners owner_key[]) RETURNS told_row[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    found told_row[];
BEGIN
    SELECT array_agg(ROW(a.bucket, a.owner, a.asset, a.fund, a.told::text, (
               SELECT coalesce(sum(w.amount), 0) FROM wallet_call w
                WHERE w.bucket = a.bucket AND w.player_id = a.owner AND w.asset = a.asset AND w.settled_at IS NULL
                  AND w.state = 'queued' AND w.booked = 'before')::text)::told_row) INTO found
      FROM unnest(p_owners) k CROSS JOIN LATERAL (
        SELECT x.* FROM account x
         WHERE x.bucket = k.bucket AND x.owner = k.owner AND x.kind = 'player_wallet' AND x.told IS NOT NULL
         OFFSET 0) a;
    RETURN found;
END $$;

-- name: create_write_wallet
-- Writes what is asked of the wallet and what it said. No rule lives here. An answer that its provider has not had yet
-- shows the balance that came with the wallet's. Balances are upserted, and outcomes taken one by one, for the reason that
-- states are in `write_effects`: joined, they may become walks through everybody's.
CREATE FUNCTION write_wallet(
    p_calls    wallet_call_row[],
    p_told     told_row[],
    p_balances reference_row[],
    p_now      timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    cleared wallet_call_row;
BEGIN
    INSERT INTO wallet_call AS w (bucket, id, player_id, asset, operation, amount, action, kind, provider, reference,
        target_reference, target_id, if_spent, session_id, round_id, game_id, occurred_at, correlation_id, booked,
        request, request_id, asked_at, deadline, owner, state, reason, attempts, sent_at, next_at, settled_at, moved,
        balance, wallet_reference, is_late, is_overdue)
    SELECT c.bucket, c.id, c.player_id, c.asset, c.operation, c.amount::numeric, c.action, c.kind, c.provider, c.reference,
           c.target_reference, c.target_id, c.if_spent, c.session_id, c.round_id, c.game_id, c.occurred_at,
           c.correlation_id, c.booked, c.request, c.request_id, c.asked_at, c.deadline, c.owner, c.state, c.reason,
           c.attempts, c.sent_at, c.next_at, c.settled_at, c.moved::numeric, c.balance::numeric, c.wallet_reference,
           c.is_late, c.is_overdue
      FROM unnest(p_calls) c
    ON CONFLICT (bucket, id) DO UPDATE
       SET state = excluded.state, reason = excluded.reason, attempts = excluded.attempts, sent_at = excluded.sent_at,
           next_at = excluded.next_at, settled_at = excluded.settled_at, moved = excluded.moved,
           balance = excluded.balance, wallet_reference = excluded.wallet_reference, is_late = excluded.is_late,
           is_overdue = excluded.is_overdue;

    -- What is settled by the first answer was never unknown.
    FOR cleared IN SELECT c.* FROM unnest(p_calls) c
                    WHERE c.settled_at IS NOT NULL AND (c.attempts > 1 OR c.state = 'undone') LOOP
        UPDATE unknown_outcome u SET resolved_at = p_now, resolution = cleared.state, next_probe_at = NULL
         WHERE u.bucket = cleared.bucket AND u.provider = cleared.provider AND u.kind = 'wallet'
           AND u.subject = 'wtx_' || translate(cleared.id::text, '-', '') AND u.resolved_at IS NULL;
    END LOOP;

    IF cardinality(p_told) > 0 THEN
        INSERT INTO account AS a (bucket, owner, kind, asset, fund, balance, told)
        SELECT t.bucket, t.owner, 'player_wallet', t.asset, t.fund, 0, t.told::numeric FROM unnest(p_told) t
        ON CONFLICT (bucket, owner, kind, asset, fund) DO UPDATE SET told = excluded.told;
    END IF;

    IF cardinality(p_balances) > 0 THEN
        UPDATE money_reference m SET balance = r.balance::numeric FROM unnest(p_balances) r
         WHERE m.provider = r.provider AND m.reference = r.reference;
    END IF;
END $$;
