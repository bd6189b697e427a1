-- name: create_seat
-- Who plays, by a number that pgbench can draw.
CREATE TABLE bench.seat (
    bucket     smallint NOT NULL,
    number     integer NOT NULL,
    player_id  text NOT NULL,
    session_id uuid NOT NULL,
    PRIMARY KEY (bucket, number)
);

-- name: create_seat_number
-- A seat by its number.
CREATE INDEX seat_number ON bench.seat (number);

-- name: insert_seats
-- Take the players in.
INSERT INTO bench.seat (bucket, number, player_id, session_id)
SELECT * FROM unnest($1::smallint[], $2::integer[], $3::text[], $4::uuid[]);

-- name: create_play
-- One bet, win or close of a round, written one at a time: the rows of the money path, no row shared by players.
CREATE FUNCTION bench.play(p_number integer, p_action text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    seat      bench.seat%ROWTYPE;
    s         session%ROWTYPE;
    entry     uuid := uuidv7();
    request   uuid := uuidv7();
    moved     numeric := CASE p_action WHEN 'bet' THEN -100 WHEN 'win' THEN 50 ELSE 0 END;
    after     numeric;
    played    text;
    reference text;
    moment    timestamptz := clock_timestamp();
BEGIN
    SELECT * INTO STRICT seat FROM bench.seat x WHERE x.number = p_number;
    INSERT INTO nonce (bucket, key_id, nonce, request_id, expires_at)
    VALUES (get_byte(uuid_send(request), 15), 'bench', request::text, request, moment + interval '2 minutes');

    SELECT a.balance + moved INTO STRICT after FROM account a
     WHERE a.bucket = seat.bucket AND a.owner = seat.player_id AND a.kind = 'player_wallet' AND a.asset = 'EUR'
       AND a.fund = 'cash' FOR UPDATE;
    IF after < 0 THEN
        RAISE EXCEPTION 'insufficient funds';
    END IF;
    SELECT * INTO STRICT s FROM session x WHERE x.bucket = seat.bucket AND x.id = seat.session_id;

    -- A bet opens the next round; win and close go to the last one.
    played := p_number || '-' || (s.staked / 100)::bigint + CASE p_action WHEN 'bet' THEN 1 ELSE 0 END;
    reference := p_action || '-' || request;
    PERFORM 1 FROM money_reference m WHERE m.provider = 'sandbox' AND m.reference = 'x' || entry;
    PERFORM 1 FROM round o WHERE o.bucket = seat.bucket AND o.session_id = s.id AND o.provider_round_id = played;

    INSERT INTO money_reference (provider, reference, bucket, action, player_id, asset, amount, session_id,
        provider_round_id, game_id, status, code, journal_id, balance, request_id, recorded_at)
    VALUES ('sandbox', reference, seat.bucket, p_action, seat.player_id, 'EUR', abs(moved), s.id, played, 'dice',
            'approved', 'ok', CASE WHEN moved <> 0 THEN entry END, after, request, moment);
    IF moved <> 0 THEN
        INSERT INTO journal_entry (bucket, id, kind, provider, reference, player_id, session_id, provider_round_id,
            asset, cause, occurred_at, recorded_at, correlation_id)
        VALUES (seat.bucket, entry, p_action, 'sandbox', reference, seat.player_id, s.id, played, 'EUR', 'callback',
                moment, moment, request::text);
        INSERT INTO posting (bucket, entry_id, seq, kind, owner, asset, fund, session_id, amount, balance_after)
        VALUES (seat.bucket, entry, 0, 'player_wallet', seat.player_id, 'EUR', 'cash', NULL, moved, after),
               (seat.bucket, entry, 1, 'operator_clearing', '', 'EUR', '', s.id, -moved, NULL);
        UPDATE account a SET balance = after
         WHERE a.bucket = seat.bucket AND a.owner = seat.player_id AND a.kind = 'player_wallet' AND a.asset = 'EUR'
           AND a.fund = 'cash';
    END IF;
    INSERT INTO round AS o (bucket, session_id, provider_round_id, id, state, bets, live_bets, staked, won, opened_at)
    VALUES (seat.bucket, s.id, played, entry, 'open', 1, 1, 100, 0, moment)
    ON CONFLICT (bucket, session_id, provider_round_id) DO UPDATE
       SET won = o.won + greatest(moved, 0), state = CASE p_action WHEN 'close' THEN 'closed' ELSE o.state END,
           outcome = CASE p_action WHEN 'close' THEN '{"face": 4}'::jsonb END,
           closed_at = CASE p_action WHEN 'close' THEN moment END;
    UPDATE session x
       SET seq = s.seq + 1, state = 'active', staked = s.staked + greatest(-moved, 0),
           won = s.won + greatest(moved, 0),
           rounds_open = s.rounds_open + CASE p_action WHEN 'bet' THEN 1 WHEN 'close' THEN -1 ELSE 0 END,
           last_activity_at = moment
     WHERE x.bucket = seat.bucket AND x.id = s.id;
    INSERT INTO session_event (bucket, session_id, seq, from_state, to_state, cause, provider_round_id, journal_ids,
        occurred_at, time_source, recorded_at, correlation_id, details)
    VALUES (seat.bucket, s.id, s.seq + 1, s.state, 'active', p_action, played,
            CASE WHEN moved <> 0 THEN ARRAY[entry] ELSE '{}' END, moment, 'provider', moment, request::text,
            jsonb_build_object('code', 'ok', 'reference', reference, 'staked', abs(moved)::text, 'rounds_open', 1,
                               'round', jsonb_build_object('id', entry, 'bets', 1, 'live_bets', 1, 'staked', '100')));
    RETURN after;
END $$;
