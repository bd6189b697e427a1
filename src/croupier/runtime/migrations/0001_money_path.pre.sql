-- name: create_account_kind
-- Whose money an account holds. Domains, not CHECKs: a session reads a domain once, every INSERT reads a CHECK anew.
CREATE DOMAIN account_kind AS text CHECK (VALUE IN (
    'player_wallet', 'player_receivable', 'operator_clearing', 'operator_revenue', 'operator_cash', 'promo_expense',
    'provider_payable', 'jackpot_pool', 'suspense'));

-- name: create_balance_kind
-- The kinds of account whose balance is a row of its own.
CREATE DOMAIN balance_kind AS text COLLATE "C" CHECK (VALUE IN ('player_wallet', 'player_receivable', 'jackpot_pool'));

-- name: create_reference_status
-- How a reference was decided.
CREATE DOMAIN reference_status AS text CHECK (VALUE IN ('approved', 'declined', 'tombstone'));

-- name: create_session_state
-- Where a session is in its life.
CREATE DOMAIN session_state AS text CHECK (VALUE IN (
    'created', 'launched', 'active', 'pending_settlement', 'settled', 'cancelled', 'failed', 'reversed'));

-- name: create_round_state
-- Where a round is in its life.
CREATE DOMAIN round_state AS text CHECK (VALUE IN ('open', 'closed', 'settled', 'voided'));

-- name: create_account
-- Balances that are materialised: wallets, receivables and jackpot pools. A player's rows are that player's lock.
CREATE TABLE account (
    bucket  smallint NOT NULL,
    owner   text COLLATE "C" NOT NULL,
    kind    balance_kind NOT NULL,
    asset   text COLLATE "C" NOT NULL,
    fund    text COLLATE "C" NOT NULL,
    balance numeric(38, 0) NOT NULL,
    PRIMARY KEY (bucket, owner, kind, asset, fund),
    CONSTRAINT wallet_is_never_negative CHECK (kind <> 'player_wallet' OR balance >= 0)
) WITH (fillfactor = 60);

-- name: create_money_reference
-- Every reference ever decided, unique per provider account for ever; its columns are the fingerprint and the answer.
CREATE TABLE money_reference (
    provider          text COLLATE "C" NOT NULL,
    reference         text COLLATE "C" NOT NULL,
    bucket            smallint NOT NULL,
    action            text NOT NULL,
    target_reference  text,
    player_id         text NOT NULL,
    asset             text,
    amount            numeric(38, 0),
    session_id        uuid,
    provider_round_id text,
    game_id           text,
    status            reference_status NOT NULL,
    code              text NOT NULL,
    journal_id        uuid,
    balance           numeric(38, 0),
    rolled_back_by    text,
    request_id        uuid NOT NULL,
    recorded_at       timestamptz NOT NULL,
    PRIMARY KEY (provider, reference)
) WITH (fillfactor = 90);

-- name: create_journal_entry
-- One money effect: what happened, why, when by whose clock.
CREATE TABLE journal_entry (
    bucket            smallint NOT NULL,
    id                uuid NOT NULL,
    kind              text NOT NULL,
    provider          text NOT NULL,
    reference         text NOT NULL,
    player_id         text NOT NULL,
    session_id        uuid,
    provider_round_id text,
    asset             text NOT NULL,
    cause             text NOT NULL,
    details           jsonb,
    occurred_at       timestamptz NOT NULL,
    recorded_at       timestamptz NOT NULL,
    correlation_id    text NOT NULL,
    trace_id          text,
    PRIMARY KEY (bucket, id)
);

-- name: create_journal_entry_by_player
-- A player's entries, newest first, for statements and support. Without bucket, for the same reason as round_by_id.
CREATE INDEX journal_entry_by_player ON journal_entry (player_id, id);

-- name: create_posting
-- One side of an entry: positive increases what the account holds for its owner.
CREATE TABLE posting (
    bucket        smallint NOT NULL,
    entry_id      uuid NOT NULL,
    seq           smallint NOT NULL,
    kind          account_kind NOT NULL,
    owner         text NOT NULL,
    asset         text NOT NULL,
    fund          text NOT NULL,
    session_id    uuid,
    amount        numeric(38, 0) NOT NULL CHECK (amount <> 0),
    balance_after numeric(38, 0),
    PRIMARY KEY (bucket, entry_id, seq),
    CONSTRAINT clearing_carries_its_session CHECK (kind <> 'operator_clearing' OR session_id IS NOT NULL)
);

-- name: create_session
-- The current state of each play session; every column follows from its events.
CREATE TABLE session (
    bucket           smallint NOT NULL,
    id               uuid NOT NULL,
    player_id        text COLLATE "C" NOT NULL,
    provider         text NOT NULL,
    game_id          text NOT NULL,
    asset            text NOT NULL,
    state            session_state NOT NULL,
    seq              integer NOT NULL,
    rounds_open      integer NOT NULL,
    staked           numeric NOT NULL,
    won              numeric NOT NULL,
    contributed      numeric NOT NULL,
    share_posted     numeric NOT NULL,
    revenue_posted   numeric NOT NULL,
    contract_id      text NOT NULL,
    share_bps        integer NOT NULL,
    jackpot_pool     text,
    promo_source     text NOT NULL,
    launch_url       text,
    opened_at        timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    last_activity_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, id)
) WITH (fillfactor = 60);

-- name: create_session_by_player
-- Sessions of a player, newest first.
CREATE INDEX session_by_player ON session (player_id, id);

-- name: create_session_token
-- Tokens that stand for a session at its provider, by hash: an id is never a credential.
CREATE TABLE session_token (
    bucket      smallint NOT NULL,
    token_hash  text COLLATE "C" NOT NULL,
    session_id  uuid NOT NULL,
    issued_at   timestamptz NOT NULL,
    replaced_at timestamptz,
    PRIMARY KEY (bucket, token_hash)
);

-- name: create_session_token_age
-- The oldest tokens, for the purge.
CREATE INDEX session_token_age ON session_token (issued_at);

-- name: create_session_token_replaced
-- The tokens that were replaced longest ago, for the purge.
CREATE INDEX session_token_replaced ON session_token (replaced_at) WHERE replaced_at IS NOT NULL;

-- name: create_round
-- The current state of each game round, by the provider's round id within its session.
CREATE TABLE round (
    bucket            smallint NOT NULL,
    session_id        uuid NOT NULL,
    provider_round_id text COLLATE "C" NOT NULL,
    id                uuid NOT NULL,
    state             round_state NOT NULL,
    bets              integer NOT NULL,
    live_bets         integer NOT NULL,
    staked            numeric NOT NULL,
    won               numeric NOT NULL,
    bet_due_at        timestamptz,
    outcome           jsonb,
    fairness          jsonb,
    opened_at         timestamptz NOT NULL,
    closed_at         timestamptz,
    PRIMARY KEY (bucket, session_id, provider_round_id)
) WITH (fillfactor = 60);

-- name: create_round_by_id
-- A round by its own id. It does not begin with the bucket: on an empty table the planner could not tell it from the key.
CREATE INDEX round_by_id ON round (id);

-- name: create_round_bet_due
-- Rounds that were paid before any bet came, for the sweep that opens a break when the deadline passes.
CREATE INDEX round_bet_due ON round (bet_due_at) WHERE bet_due_at IS NOT NULL;

-- name: create_session_event
-- What happened to a session, in order; enough to rebuild the session and its rounds exactly.
CREATE TABLE session_event (
    bucket            smallint NOT NULL,
    session_id        uuid NOT NULL,
    seq               integer NOT NULL,
    from_state        text,
    to_state          text NOT NULL,
    cause             text NOT NULL,
    provider_round_id text,
    journal_ids       uuid[] NOT NULL,
    occurred_at       timestamptz NOT NULL,
    time_source       text NOT NULL,
    recorded_at       timestamptz NOT NULL,
    correlation_id    text NOT NULL,
    trace_id          text,
    details           jsonb NOT NULL,
    PRIMARY KEY (bucket, session_id, seq)
);

-- name: create_break_item
-- Work for a person: a difference, a debt or a refused credit, with owner, age and money.
CREATE TABLE break_item (
    bucket            smallint NOT NULL,
    id                uuid NOT NULL,
    kind              text NOT NULL,
    subject           text NOT NULL,
    owner             text NOT NULL,
    provider          text NOT NULL,
    player_id         text NOT NULL,
    session_id        uuid,
    provider_round_id text,
    asset             text,
    amount            text,
    explanation       text NOT NULL,
    opened_at         timestamptz NOT NULL,
    resolved_at       timestamptz,
    resolution        text,
    PRIMARY KEY (bucket, id)
);

-- name: create_break_item_once
-- The same finding opens one break, however often it is met.
CREATE UNIQUE INDEX break_item_once ON break_item (bucket, provider, kind, subject);

-- name: create_break_item_open
-- The open breaks of all players, newest first.
CREATE INDEX break_item_open ON break_item (id) WHERE resolved_at IS NULL;

-- name: create_nonce
-- Nonces of verified requests. The bucket is the nonce's own, so that a nonce counts once whichever player it names.
CREATE TABLE nonce (
    bucket     smallint NOT NULL,
    key_id     text COLLATE "C" NOT NULL,
    nonce      text COLLATE "C" NOT NULL,
    request_id uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, key_id, nonce)
);

-- name: create_nonce_expiry
-- The oldest nonces, for the purge.
CREATE INDEX nonce_expiry ON nonce (expires_at);

-- name: create_idempotency_key
-- Answers of operator requests under their Idempotency-Key, written with their effect and kept for a day.
CREATE TABLE idempotency_key (
    bucket      smallint NOT NULL,
    api_key_id  text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    fingerprint text NOT NULL,
    status      smallint NOT NULL,
    body        text NOT NULL,
    expires_at  timestamptz NOT NULL,
    request_id  uuid NOT NULL,
    PRIMARY KEY (bucket, api_key_id, key)
);

-- name: create_idempotency_key_expiry
-- The oldest answers, for the purge.
CREATE INDEX idempotency_key_expiry ON idempotency_key (expires_at);

-- name: create_refuse_edit
-- Journal, postings and events are append-only, for the owner too.
CREATE FUNCTION refuse_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused; post a correcting entry instead', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'CR003';
END $$;

-- name: guard_journal_entry
-- No entry is ever edited.
CREATE TRIGGER journal_entry_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- name: guard_posting
-- No posting is ever edited.
CREATE TRIGGER posting_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON posting
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- name: guard_session_event
-- No event is ever edited.
CREATE TRIGGER session_event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON session_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_edit();

-- name: create_refuse_imbalance
-- Whatever one statement posts must sum to zero for every entry and asset it touches.
CREATE FUNCTION refuse_imbalance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT entry_id, asset, sum(amount) AS total INTO wrong
      FROM new_posting GROUP BY bucket, entry_id, asset HAVING sum(amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % does not sum to zero in %: %', wrong.entry_id, wrong.asset, wrong.total
            USING ERRCODE = 'CR004';
    END IF;
    RETURN NULL;
END $$;

-- name: guard_zero_sum
-- Zero-sum is the database's rule, not only ours.
CREATE TRIGGER posting_sums_to_zero AFTER INSERT ON posting
    REFERENCING NEW TABLE AS new_posting FOR EACH STATEMENT EXECUTE FUNCTION refuse_imbalance();

-- name: grant_append_only
-- The application may add to history and never change it.
GRANT SELECT, INSERT ON journal_entry, posting, session_event TO croupier_app;

-- name: grant_state
-- Current state is updated in place, never deleted.
GRANT SELECT, INSERT, UPDATE ON account, session, session_token, round, break_item TO croupier_app;

-- name: grant_reference
-- References are added; only the rollback mark and a tombstone's late claim are ever written afterwards.
GRANT SELECT, INSERT, UPDATE (bucket, action, target_reference, player_id, asset, amount, session_id, provider_round_id,
    game_id, status, code, balance, rolled_back_by, request_id, recorded_at) ON money_reference TO croupier_app;

-- name: grant_short_lived
-- Nonces and stored answers expire.
GRANT SELECT, INSERT, DELETE ON nonce, idempotency_key TO croupier_app;

-- name: grant_token_purge
-- Tokens that open nothing any more are forgotten.
GRANT DELETE ON session_token TO croupier_app;
