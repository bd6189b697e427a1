-- name: create_crowd
-- The players of the past, numbered.
CREATE TABLE bench.crowd AS
SELECT row_number() OVER (ORDER BY bucket, owner) - 1 AS number, bucket, owner
  FROM account WHERE kind = 'player_wallet' AND asset = 'EUR';

-- name: create_past_id
-- A version 7 id of a moment and a number.
CREATE FUNCTION bench.past_id(p_moment timestamptz, p_number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM p_moment) * 1000)::bigint), 12, '0') || '7000' || '8'
            || lpad(to_hex(p_number), 15, '0'))::uuid
$$;

-- name: create_past
-- Entries $1 to $2 of a past: a bet or a win each, fifty to a session, ids in the order of time.
CREATE FUNCTION bench.past(p_first bigint, p_last bigint)
RETURNS TABLE (n bigint, bucket smallint, owner text, entry uuid, session_id uuid, round_id text, amount numeric,
               moment timestamptz)
LANGUAGE sql AS $$
    WITH crowd AS (SELECT count(*) AS size FROM bench.crowd),
         plain AS (
            SELECT g AS n, (g / 50) % size AS player, timestamptz '2025-01-01 00:00+00' + g * interval '20 ms' AS moment
              FROM generate_series(p_first, p_last) g, crowd)
    SELECT p.n, c.bucket, c.owner, bench.past_id(p.moment, p.n), bench.past_id(timestamptz '2025-01-01 00:00+00', p.n / 50),
           'past-' || (p.n / 2), CASE WHEN p.n % 2 = 0 THEN -100 ELSE 50 END, p.moment
      FROM plain p JOIN bench.crowd c ON c.number = p.player
$$;

-- name: insert_sessions
-- The sessions of the entries $1 to $2, long settled.
INSERT INTO session (bucket, id, player_id, provider, game_id, asset, state, seq, rounds_open, staked, won, contributed,
    share_posted, revenue_posted, contract_id, share_bps, promo_source, opened_at, expires_at, last_activity_at)
SELECT p.bucket, p.session_id, p.owner, 'sandbox', 'dice', 'EUR', 'settled', 52, 0, 2500, 1250, 0, 150, 1100, 'bench',
       1200, 'operator', p.moment, p.moment, p.moment
  FROM bench.past($1, $2) p WHERE p.n % 50 = 0;

-- name: insert_rounds
-- Their rounds: two entries each.
INSERT INTO round (bucket, session_id, provider_round_id, id, state, bets, live_bets, staked, won, outcome, opened_at,
    closed_at)
SELECT p.bucket, p.session_id, p.round_id, p.entry, 'settled', 1, 1, 100, 50, '{"face": 4}', p.moment, p.moment
  FROM bench.past($1, $2) p WHERE p.n % 2 = 0;

-- name: insert_references
-- Their references.
INSERT INTO money_reference (provider, reference, bucket, action, player_id, asset, amount, session_id,
    provider_round_id, game_id, status, code, journal_id, balance, request_id, recorded_at)
SELECT 'sandbox', 'past-' || p.entry, p.bucket, CASE WHEN p.amount < 0 THEN 'bet' ELSE 'win' END, p.owner, 'EUR',
       abs(p.amount), p.session_id, p.round_id, 'dice', 'approved', 'ok', p.entry, 1000000, p.entry, p.moment
  FROM bench.past($1, $2) p;

-- name: insert_entries
-- The journal.
INSERT INTO journal_entry (bucket, id, kind, provider, reference, player_id, session_id, provider_round_id, asset,
    cause, occurred_at, recorded_at, correlation_id)
SELECT p.bucket, p.entry, CASE WHEN p.amount < 0 THEN 'bet' ELSE 'win' END, 'sandbox', 'past-' || p.entry, p.owner,
       p.session_id, p.round_id, 'EUR', 'callback', p.moment, p.moment, p.entry::text
  FROM bench.past($1, $2) p;

-- name: insert_postings
-- Both sides of each entry.
INSERT INTO posting (bucket, entry_id, seq, kind, owner, asset, fund, session_id, amount, balance_after)
SELECT p.bucket, p.entry, s.seq, CASE s.seq WHEN 0 THEN 'player_wallet' ELSE 'operator_clearing' END,
       CASE s.seq WHEN 0 THEN p.owner ELSE '' END, 'EUR', CASE s.seq WHEN 0 THEN 'cash' ELSE '' END,
       CASE s.seq WHEN 1 THEN p.session_id END, CASE s.seq WHEN 0 THEN p.amount ELSE -p.amount END,
       CASE s.seq WHEN 0 THEN 1000000 END
  FROM bench.past($1, $2) p CROSS JOIN (VALUES (0), (1)) s (seq);

-- name: insert_events
-- The history of the sessions.
INSERT INTO session_event (bucket, session_id, seq, from_state, to_state, cause, provider_round_id, journal_ids,
    occurred_at, time_source, recorded_at, correlation_id, details)
SELECT p.bucket, p.session_id, 2 + p.n % 50, 'active', 'active', CASE WHEN p.amount < 0 THEN 'bet' ELSE 'win' END,
       p.round_id, ARRAY[p.entry], p.moment, 'provider', p.moment, p.entry::text,
       jsonb_build_object('code', 'ok', 'reference', 'past-' || p.entry, 'staked', '100')
  FROM bench.past($1, $2) p;

-- name: analyse
-- What autovacuum would have learned by now.
ANALYZE;
