-- name: create_noticed_win
-- Wins that a notice paid before any callback did, so that the callback of the same fact is known for what it is;
-- `callback` is that one's reference, and a row that has it stands for no other.
CREATE TABLE noticed_win (
    bucket            smallint NOT NULL,
    session_id        uuid NOT NULL,
    provider_round_id text COLLATE "C" NOT NULL,
    action            text COLLATE "C" NOT NULL,
    amount            numeric(38, 0) NOT NULL,
    reference         text COLLATE "C" NOT NULL,
    callback          text COLLATE "C",
    PRIMARY KEY (bucket, session_id, provider_round_id, action, amount, reference)
);

-- name: grant_noticed_win
-- Such wins are added; only the callback is ever written afterwards.
GRANT SELECT, INSERT, UPDATE (callback) ON noticed_win TO croupier_app;

-- name: create_noticed_row
-- A win that a notice paid.
CREATE TYPE noticed_row AS (
    bucket smallint,
    session_id uuid,
    provider_round_id text,
    action text,
    amount text,
    reference text,
    callback text
);

-- name: create_outbox_row
-- A domain event to write.
CREATE TYPE outbox_row AS (
    bucket smallint,
    id uuid,
    type text,
    session_id uuid,
    player_id text,
    payload text,
    recorded_at timestamptz
);

-- name: create_load_facts
-- Spends nonces, locks the players in order and returns every fact a batch needs. No rule lives here. The function of
-- the same name without notices serves processes of the version before, until they are gone.
-- The buckets come first for whoever routes the call to a shard; on one server every look-up is by key already.
CREATE FUNCTION load_facts(
    p_buckets    smallint[],
    p_ensure     wallet_key[],
    p_owners     owner_key[],
    p_nonces     nonce_row[],
    p_references reference_key[],
    p_sessions   session_key[],
    p_rounds     round_key[],
    p_responses  response_key[],
    p_tokens     token_key[],
    p_unseated   unseated_key[],
    p_noticed    round_key[],
    p_told       round_key[],
    p_is_deep    boolean,
    OUT accounts account_row[],
    OUT replayed nonce_row[],
    OUT refs     reference_row[],
    OUT undone   posting_row[],
    OUT sessions session_row[],
    OUT rounds   round_row[],
    OUT answers  response_row[],
    OUT tokens   token_row[],
    OUT noticed  noticed_row[],
    OUT paid     reference_row[]
) LANGUAGE plpgsql AS $$
DECLARE
    held  bigint;
    spent bigint;
BEGIN
    IF cardinality(p_ensure) > 0 THEN
        INSERT INTO account (bucket, owner, kind, asset, fund, balance)
        SELECT k.bucket, k.owner, k.kind, k.asset, k.fund, 0 FROM unnest(p_ensure) k
        ON CONFLICT DO NOTHING;
    END IF;

    -- A row that is committed while the lock waits is seen by the next statement and held by nobody: lock until what
    -- is read is what is held. Rows appear seldom, so the second turn is the exception.
    FOR turn IN 1..10 LOOP
        PERFORM FROM unnest(p_owners) k CROSS JOIN LATERAL (
            SELECT FROM account x WHERE x.bucket = k.bucket AND x.owner = k.owner
             ORDER BY x.kind, x.asset, x.fund FOR UPDATE) a;
        GET DIAGNOSTICS held = ROW_COUNT;
        SELECT ARRAY(
            SELECT ROW(a.bucket, a.owner, a.kind, a.asset, a.fund, a.balance::text)::account_row
              FROM unnest(p_owners) k CROSS JOIN LATERAL (
                SELECT x.* FROM account x WHERE x.bucket = k.bucket AND x.owner = k.owner) a),
        ARRAY(
            SELECT ROW(r.provider, r.reference, r.bucket, r.action, r.target_reference, r.player_id, r.asset,
                       r.amount::text, r.session_id, r.provider_round_id, r.game_id, r.status, r.code, r.journal_id,
                       r.balance::text, r.rolled_back_by, r.request_id, r.recorded_at)::reference_row
              FROM unnest(p_references) k CROSS JOIN LATERAL (
                SELECT x.* FROM money_reference x WHERE x.provider = k.provider AND x.reference = k.reference LIMIT 1) r)
          INTO accounts, refs;
        EXIT WHEN held = cardinality(accounts);
    END LOOP;
    IF held <> cardinality(accounts) THEN
        RAISE EXCEPTION 'the accounts of this batch keep changing' USING ERRCODE = 'CR001';
    END IF;

    IF cardinality(p_nonces) > 0 THEN
        INSERT INTO nonce (bucket, key_id, nonce, request_id, expires_at)
        SELECT n.bucket, n.key_id, n.nonce, n.request_id, n.expires_at FROM unnest(p_nonces) n
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS spent = ROW_COUNT;
        IF spent <> cardinality(p_nonces) THEN
            SELECT array_agg(n) INTO replayed FROM unnest(p_nonces) n CROSS JOIN LATERAL (
                SELECT x.request_id FROM nonce x
                 WHERE x.bucket = n.bucket AND x.key_id = n.key_id AND x.nonce = n.nonce LIMIT 1) s
             WHERE s.request_id <> n.request_id;
        END IF;
    END IF;

    -- A rollback of a rollback needs what the first one undid.
    IF p_is_deep AND cardinality(refs) > 0 THEN
        SELECT refs || array_agg(DISTINCT ROW(r.provider, r.reference, r.bucket, r.action, r.target_reference, r.player_id,
                         r.asset, r.amount::text, r.session_id, r.provider_round_id, r.game_id, r.status, r.code,
                         r.journal_id, r.balance::text, r.rolled_back_by, r.request_id,
                         r.recorded_at)::reference_row) INTO refs
          FROM unnest(refs) k CROSS JOIN LATERAL (
            SELECT x.* FROM money_reference x
             WHERE k.action = 'rollback' AND x.provider = k.provider AND x.reference = k.target_reference LIMIT 1) r
         WHERE NOT EXISTS (SELECT 1 FROM unnest(refs) q WHERE q.provider = r.provider AND q.reference = r.reference);
    END IF;

    IF cardinality(refs) > 0 THEN
        SELECT array_agg(ROW(p.bucket, p.entry_id, p.seq, p.kind, p.owner, p.asset, p.fund, p.session_id,
                             p.amount::text, p.balance_after::text)::posting_row) INTO undone
          FROM unnest(refs) r CROSS JOIN LATERAL (
            SELECT x.* FROM posting x WHERE x.bucket = r.bucket AND x.entry_id = r.journal_id ORDER BY x.seq) p;
        p_sessions := p_sessions || (
            SELECT coalesce(array_agg(DISTINCT ROW(r.bucket, r.session_id)::session_key), '{}')
              FROM unnest(refs) r WHERE r.session_id IS NOT NULL);
        p_rounds := p_rounds || (
            SELECT coalesce(array_agg(DISTINCT ROW(r.bucket, r.session_id, r.provider_round_id)::round_key), '{}')
              FROM unnest(refs) r WHERE r.session_id IS NOT NULL AND r.provider_round_id IS NOT NULL);
    END IF;

    IF cardinality(p_tokens) > 0 THEN
        SELECT array_agg(ROW(t.bucket, t.token_hash, t.session_id, t.issued_at, t.replaced_at)::token_row),
               p_sessions || coalesce(array_agg(DISTINCT ROW(t.bucket, t.session_id)::session_key), '{}')
          INTO tokens, p_sessions
          FROM unnest(p_tokens) k CROSS JOIN LATERAL (
            SELECT x.* FROM session_token x WHERE x.bucket = k.bucket AND x.token_hash = k.token_hash LIMIT 1) t;
    END IF;

    -- The newest sessions of the player at the provider are candidates; the round is looked for in each of them.
    IF cardinality(p_unseated) > 0 THEN
        p_sessions := p_sessions || (
            SELECT coalesce(array_agg(DISTINCT ROW(s.bucket, s.id)::session_key), '{}')
              FROM unnest(p_unseated) k CROSS JOIN LATERAL (
                SELECT x.bucket, x.id FROM session x WHERE x.player_id = k.player_id AND x.provider = k.provider
                 ORDER BY x.id DESC LIMIT 32) s);
        -- A token or a target may seat the call in an older session: its round must be known there too.
        p_rounds := p_rounds || (
            SELECT coalesce(array_agg(DISTINCT ROW(s.bucket, s.id, k.provider_round_id)::round_key), '{}')
              FROM unnest(p_unseated) k JOIN unnest(p_sessions) s ON s.bucket = k.bucket
             WHERE k.provider_round_id IS NOT NULL);
    END IF;

    SELECT ARRAY(
        SELECT ROW(s.bucket, s.id, s.player_id, s.provider, s.game_id, s.asset, s.state, s.seq, s.rounds_open,
                   s.staked::text, s.won::text, s.contributed::text, s.share_posted::text, s.revenue_posted::text,
                   s.contract_id, s.share_bps, s.jackpot_pool, s.promo_source, s.launch_url, s.opened_at,
                   s.expires_at, s.last_activity_at)::session_row
          FROM unnest(p_sessions) k CROSS JOIN LATERAL (
            SELECT x.* FROM session x WHERE x.bucket = k.bucket AND x.id = k.id LIMIT 1) s),
    ARRAY(
        SELECT ROW(o.bucket, o.session_id, o.provider_round_id, o.id, o.state, o.bets, o.live_bets, o.staked::text,
                   o.won::text, o.bet_due_at, o.outcome::text, o.fairness::text, o.opened_at, o.closed_at)::round_row
          FROM unnest(p_rounds) k CROSS JOIN LATERAL (
            SELECT x.* FROM round x WHERE x.bucket = k.bucket AND x.session_id = k.session_id
                                      AND x.provider_round_id = k.provider_round_id LIMIT 1) o)
      INTO sessions, rounds;

    IF cardinality(p_responses) > 0 THEN
        SELECT array_agg(ROW(i.bucket, i.api_key_id, i.key, i.fingerprint, i.status, i.body,
                             i.expires_at, i.request_id)::response_row) INTO answers
          FROM unnest(p_responses) k CROSS JOIN LATERAL (
            SELECT x.* FROM idempotency_key x WHERE x.bucket = k.bucket AND x.api_key_id = k.api_key_id
                                                AND x.key = k.key LIMIT 1) i;
    END IF;

    -- Callbacks of wins ask what notices have paid in their round; notices ask what anybody has.
    IF cardinality(p_noticed) > 0 THEN
        SELECT array_agg(ROW(n.bucket, n.session_id, n.provider_round_id, n.action, n.amount::text,
                             n.reference, n.callback)::noticed_row) INTO noticed
          FROM unnest(p_noticed) k CROSS JOIN LATERAL (
            SELECT x.* FROM noticed_win x WHERE x.bucket = k.bucket AND x.session_id = k.session_id
                                            AND x.provider_round_id = k.provider_round_id
                                            AND x.callback IS NULL) n;
    END IF;
    -- In a round that nobody has named yet nothing was paid: the session's history is not read for it.
    IF cardinality(p_told) > 0 THEN
        SELECT array_agg(ROW(r.provider, r.reference, r.bucket, r.action, r.target_reference, r.player_id, r.asset,
                             r.amount::text, r.session_id, r.provider_round_id, r.game_id, r.status, r.code,
                             r.journal_id, r.balance::text, r.rolled_back_by, r.request_id,
                             r.recorded_at)::reference_row) INTO paid
          FROM unnest(p_told) k CROSS JOIN LATERAL (
            SELECT FROM round x WHERE x.bucket = k.bucket AND x.session_id = k.session_id
                                  AND x.provider_round_id = k.provider_round_id LIMIT 1) named
         CROSS JOIN LATERAL (
            SELECT x.journal_ids FROM session_event x
             WHERE x.bucket = k.bucket AND x.session_id = k.session_id
               AND x.provider_round_id = k.provider_round_id
               AND x.cause IN ('win', 'jackpot_win', 'promo_win')) e
         CROSS JOIN LATERAL (
            SELECT x.provider, x.reference FROM journal_entry x
             WHERE x.bucket = k.bucket AND x.id = ANY(e.journal_ids)) j
         CROSS JOIN LATERAL (
            SELECT x.* FROM money_reference x WHERE x.provider = j.provider AND x.reference = j.reference LIMIT 1) r;
    END IF;
END $$;

-- name: create_write_effects
-- Writes everything a batch decided, and the events about it. No rule lives here, except what settling a session makes
-- of rounds.
CREATE FUNCTION write_effects(
    p_buckets        smallint[],
    p_references     reference_row[],
    p_claims         reference_row[],
    p_marks          rollback_mark[],
    p_entries        entry_row[],
    p_postings       posting_row[],
    p_accounts       account_row[],
    p_sessions       session_row[],
    p_rounds         round_row[],
    p_settled        session_key[],
    p_events         event_row[],
    p_breaks         break_row[],
    p_answers        response_row[],
    p_tokens         token_row[],
    p_noticed        noticed_row[],
    p_outbox         outbox_row[],
    p_now            timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    written bigint;
    settled session_key;
    opened  uuid[];
BEGIN
    IF cardinality(p_references) > 0 THEN
        INSERT INTO money_reference (provider, reference, bucket, action, target_reference, player_id, asset, amount,
            session_id, provider_round_id, game_id, status, code, journal_id, balance, rolled_back_by, request_id,
            recorded_at)
        SELECT r.provider, r.reference, r.bucket, r.action, r.target_reference, r.player_id, r.asset,
               r.amount::numeric, r.session_id, r.provider_round_id, r.game_id, r.status, r.code, r.journal_id,
               r.balance::numeric, r.rolled_back_by, r.request_id, r.recorded_at
          FROM unnest(p_references) r
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written <> cardinality(p_references) THEN
            RAISE EXCEPTION 'a reference of this batch was decided elsewhere meanwhile' USING ERRCODE = 'CR001';
        END IF;
    END IF;

    IF cardinality(p_claims) > 0 THEN
        UPDATE money_reference m
           SET bucket = r.bucket, action = r.action, target_reference = r.target_reference, player_id = r.player_id,
               asset = r.asset, amount = r.amount::numeric, session_id = r.session_id,
               provider_round_id = r.provider_round_id, game_id = r.game_id, status = r.status, code = r.code,
               balance = r.balance::numeric, request_id = r.request_id, recorded_at = r.recorded_at
          FROM unnest(p_claims) r
         WHERE m.provider = r.provider AND m.reference = r.reference AND m.status = 'tombstone';
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written <> cardinality(p_claims) THEN
            RAISE EXCEPTION 'a tombstone of this batch was claimed elsewhere meanwhile' USING ERRCODE = 'CR001';
        END IF;
    END IF;

    IF cardinality(p_marks) > 0 THEN
        UPDATE money_reference m SET rolled_back_by = k.rolled_back_by
          FROM unnest(p_marks) k
         WHERE m.provider = k.provider AND m.reference = k.reference
           AND m.rolled_back_by IS NOT DISTINCT FROM k.was;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written <> cardinality(p_marks) THEN
            RAISE EXCEPTION 'a target of this batch was rolled back elsewhere meanwhile' USING ERRCODE = 'CR001';
        END IF;
    END IF;

    IF cardinality(p_entries) > 0 THEN
        INSERT INTO journal_entry (bucket, id, kind, provider, reference, player_id, session_id, provider_round_id,
            asset, cause, details, occurred_at, recorded_at, correlation_id, trace_id)
        SELECT e.bucket, e.id, e.kind, e.provider, e.reference, e.player_id, e.session_id, e.provider_round_id,
               e.asset, e.cause, e.details::jsonb, e.occurred_at, e.recorded_at, e.correlation_id, e.trace_id
          FROM unnest(p_entries) e;

        INSERT INTO posting (bucket, entry_id, seq, kind, owner, asset, fund, session_id, amount, balance_after)
        SELECT p.bucket, p.entry_id, p.seq, p.kind, p.owner, p.asset, p.fund, p.session_id, p.amount::numeric,
               p.balance_after::numeric
          FROM unnest(p_postings) p;

        INSERT INTO account AS a (bucket, owner, kind, asset, fund, balance)
        SELECT x.bucket, x.owner, x.kind, x.asset, x.fund, x.balance::numeric FROM unnest(p_accounts) x
        ON CONFLICT (bucket, owner, kind, asset, fund) DO UPDATE SET balance = excluded.balance;
    END IF;

    -- States are upserted, not joined: the plan is the primary key's whatever the statistics say.
    IF cardinality(p_sessions) > 0 THEN
        INSERT INTO session (bucket, id, player_id, provider, game_id, asset, state, seq, rounds_open, staked, won,
            contributed, share_posted, revenue_posted, contract_id, share_bps, jackpot_pool, promo_source, launch_url,
            opened_at, expires_at, last_activity_at)
        SELECT s.bucket, s.id, s.player_id, s.provider, s.game_id, s.asset, s.state, s.seq, s.rounds_open,
               s.staked::numeric, s.won::numeric, s.contributed::numeric, s.share_posted::numeric,
               s.revenue_posted::numeric, s.contract_id, s.share_bps, s.jackpot_pool, s.promo_source, s.launch_url,
               s.opened_at, s.expires_at, s.last_activity_at
          FROM unnest(p_sessions) s
        ON CONFLICT (bucket, id) DO UPDATE
           SET state = excluded.state, seq = excluded.seq, rounds_open = excluded.rounds_open,
               staked = excluded.staked, won = excluded.won, contributed = excluded.contributed,
               share_posted = excluded.share_posted, revenue_posted = excluded.revenue_posted,
               launch_url = excluded.launch_url, last_activity_at = excluded.last_activity_at;
    END IF;

    IF cardinality(p_rounds) > 0 THEN
        INSERT INTO round (bucket, session_id, provider_round_id, id, state, bets, live_bets, staked, won, bet_due_at,
            outcome, fairness, opened_at, closed_at)
        SELECT o.bucket, o.session_id, o.provider_round_id, o.id, o.state, o.bets, o.live_bets, o.staked::numeric,
               o.won::numeric, o.bet_due_at, o.outcome::jsonb, o.fairness::jsonb, o.opened_at, o.closed_at
          FROM unnest(p_rounds) o
        ON CONFLICT (bucket, session_id, provider_round_id) DO UPDATE
           SET state = excluded.state, bets = excluded.bets, live_bets = excluded.live_bets,
               staked = excluded.staked, won = excluded.won, bet_due_at = excluded.bet_due_at,
               outcome = excluded.outcome, fairness = excluded.fairness, closed_at = excluded.closed_at
         WHERE round.id = excluded.id;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written <> cardinality(p_rounds) THEN
            RAISE EXCEPTION 'a round of this batch was decided on without its state' USING ERRCODE = 'CR001';
        END IF;
    END IF;

    IF cardinality(p_settled) > 0 THEN
        FOR settled IN SELECT k.bucket, k.id FROM unnest(p_settled) k LOOP
            UPDATE round
               SET state = CASE WHEN live_bets = 0 AND won = 0 THEN 'voided' ELSE 'settled' END,
                   closed_at = coalesce(closed_at, p_now)
             WHERE bucket = settled.bucket AND session_id = settled.id AND state IN ('open', 'closed');
        END LOOP;
    END IF;

    IF cardinality(p_events) > 0 THEN
        INSERT INTO session_event (bucket, session_id, seq, from_state, to_state, cause, provider_round_id,
            journal_ids, occurred_at, time_source, recorded_at, correlation_id, trace_id, details)
        SELECT e.bucket, e.session_id, e.seq, e.from_state, e.to_state, e.cause, e.provider_round_id, e.journal_ids,
               e.occurred_at, e.time_source, e.recorded_at, e.correlation_id, e.trace_id, e.details::jsonb
          FROM unnest(p_events) e;
    END IF;

    IF cardinality(p_tokens) > 0 THEN
        INSERT INTO session_token (bucket, token_hash, session_id, issued_at, replaced_at)
        SELECT t.bucket, t.token_hash, t.session_id, t.issued_at, t.replaced_at FROM unnest(p_tokens) t
        ON CONFLICT (bucket, token_hash) DO UPDATE SET replaced_at = excluded.replaced_at;
    END IF;

    IF cardinality(p_breaks) > 0 THEN
        WITH found AS (
            INSERT INTO break_item (bucket, id, kind, subject, owner, provider, player_id, session_id,
                provider_round_id, asset, amount, explanation, opened_at)
            SELECT b.bucket, b.id, b.kind, b.subject, b.owner, b.provider, b.player_id, b.session_id,
                   b.provider_round_id, b.asset, b.amount, b.explanation, b.opened_at
              FROM unnest(p_breaks) b
            ON CONFLICT DO NOTHING RETURNING id)
        SELECT array_agg(id) INTO opened FROM found;
    END IF;

    IF cardinality(p_noticed) > 0 THEN
        INSERT INTO noticed_win (bucket, session_id, provider_round_id, action, amount, reference, callback)
        SELECT n.bucket, n.session_id, n.provider_round_id, n.action, n.amount::numeric, n.reference, n.callback
          FROM unnest(p_noticed) n
        ON CONFLICT (bucket, session_id, provider_round_id, action, amount, reference)
           DO UPDATE SET callback = excluded.callback;
    END IF;

    -- A break that was open already is no news.
    IF cardinality(p_outbox) > 0 THEN
        INSERT INTO outbox_event (bucket, id, type, session_id, player_id, payload, recorded_at)
        SELECT o.bucket, o.id, o.type, o.session_id, o.player_id, o.payload, o.recorded_at
          FROM unnest(p_outbox) o
         WHERE o.type <> 'break.opened' OR o.id = ANY(opened);
    END IF;

    IF cardinality(p_answers) > 0 THEN
        INSERT INTO idempotency_key (bucket, api_key_id, key, fingerprint, status, body, expires_at, request_id)
        SELECT i.bucket, i.api_key_id, i.key, i.fingerprint, i.status, i.body, i.expires_at, i.request_id
          FROM unnest(p_answers) i
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written <> cardinality(p_answers) THEN
            RAISE EXCEPTION 'an Idempotency-Key of this batch was used elsewhere meanwhile' USING ERRCODE = 'CR001';
        END IF;
    END IF;
END $$;
