-- name: answer_again
-- What was decided about a reference before, with the balance as it is now.
CREATE OR REPLACE FUNCTION reference_wallet.answer_again(former reference_wallet.movement)
RETURNS reference_wallet.answer LANGUAGE plpgsql AS $$
DECLARE
    said reference_wallet.answer;
BEGIN
    said.status := former.status;
    said.code := former.code;
    said.operation := former.operation;
    said.player_id := former.player_id;
    said.asset := former.asset;
    said.moved := former.moved;
    said.number := former.number;
    said.is_repeat := true;
    SELECT w.balance INTO said.balance FROM reference_wallet.wallet w
     WHERE w.player_id = former.player_id AND w.asset = former.asset;
    RETURN said;
END
$$;

-- name: missing_wallet
-- Why a player has no wallet in an asset.
CREATE OR REPLACE FUNCTION reference_wallet.missing_wallet(whose text)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM reference_wallet.wallet w WHERE w.player_id = whose) THEN
        RETURN 'unknown_asset';
    END IF;
    RETURN 'unknown_player';
END
$$;

-- name: look
-- The answer to a status or a balance.
CREATE OR REPLACE FUNCTION reference_wallet.look(what text, about text, whose text, in_asset text)
RETURNS reference_wallet.answer LANGUAGE plpgsql AS $$
DECLARE
    former reference_wallet.movement;
    said reference_wallet.answer;
BEGIN
    IF what = 'status' THEN
        SELECT * INTO former FROM reference_wallet.movement m WHERE m.reference = about AND m.copy = 0;
        -- A tombstone is no decision about its reference: nobody has asked for that movement yet.
        IF former.status IS NOT NULL AND former.status <> 'tombstone' THEN
            RETURN reference_wallet.answer_again(former);
        END IF;
        said.status := 'not_found';
        RETURN said;
    END IF;
    SELECT w.balance INTO said.balance FROM reference_wallet.wallet w WHERE w.player_id = whose AND w.asset = in_asset;
    said.status := 'approved';
    IF said.balance IS NULL THEN
        said.status := 'refused';
        said.code := reference_wallet.missing_wallet(whose);
    END IF;
    RETURN said;
END
$$;

-- name: undo
-- Decide a rollback of a player whose wallet is locked: how the balance changes, and why, in `said`. What it undoes is marked;
-- what never came, or was refused, gets a tombstone.
CREATE OR REPLACE FUNCTION reference_wallet.undo(
    asked_reference text, whose text, in_asset text, asked numeric, target text, spent text, held numeric,
    at timestamptz, OUT said reference_wallet.answer, OUT change numeric
) LANGUAGE plpgsql AS $$
DECLARE
    aim reference_wallet.movement;
BEGIN
    change := 0;
    SELECT * INTO aim FROM reference_wallet.movement m WHERE m.reference = target AND m.copy = 0;
    IF aim.reference IS NULL THEN
        INSERT INTO reference_wallet.movement
            (reference, status, code, player_id, asset, moved, change, recorded_at)
        VALUES (target, 'tombstone', 'tombstoned', whose, in_asset, 0, 0, at)
        ON CONFLICT (reference, copy) DO NOTHING;
        IF NOT FOUND THEN
            -- It came this moment, for another player: look at everything anew.
            RAISE EXCEPTION 'the target came meanwhile' USING ERRCODE = 'serialization_failure';
        END IF;
    ELSIF aim.status <> 'tombstone'
        AND (aim.operation NOT IN ('debit', 'credit') OR aim.player_id <> whose OR aim.asset <> in_asset
             OR aim.asked <> asked) THEN
        said.status := 'conflict';
        RETURN;
    END IF;
    IF held IS NULL THEN
        said.status := 'refused';
        said.code := reference_wallet.missing_wallet(whose);
        RETURN;
    END IF;
    said.status := 'approved';
    IF aim.status IS DISTINCT FROM 'approved' THEN
        said.code := 'nothing_to_roll_back';
        RETURN;
    ELSIF aim.undone_by IS NOT NULL THEN
        said.code := 'already_rolled_back';
        RETURN;
    END IF;
    said.code := 'ok';
    change := -aim.change;
    IF held + change < 0 AND change < 0 THEN
        IF spent = 'refuse' THEN
            said.status := 'refused';
            said.code := 'insufficient_funds';
            change := 0;
            RETURN;
        END IF;
        change := -greatest(held, 0);
    ELSIF held + change >= 1e38 THEN
        said.status := 'unrepresentable';
        RETURN;
    END IF;
    UPDATE reference_wallet.movement m SET undone_by = asked_reference WHERE m.number = aim.number;
END
$$;

-- name: move
-- Decide one movement and book it, all in the caller's transaction: lock the player's row, look the reference up,
-- decide, insert the decision, change the balance. `broken` is a fault that the wallet was told to have.
CREATE OR REPLACE FUNCTION reference_wallet.move(
    asked_reference text, what text, whose text, in_asset text, asked numeric, target text, spent text, broken text,
    at timestamptz, correlation text, told_text text
) RETURNS reference_wallet.answer LANGUAGE plpgsql AS $$
DECLARE
    held     numeric;
    change   numeric := 0;
    former   reference_wallet.movement;
    said     reference_wallet.answer;
    outcome  record;
BEGIN
    IF what IN ('status', 'balance') THEN
        RETURN reference_wallet.look(what, asked_reference, whose, in_asset);
    ELSIF what = 'deposit' THEN
        INSERT INTO reference_wallet.player (player_id) VALUES (whose) ON CONFLICT DO NOTHING;
        INSERT INTO reference_wallet.wallet (player_id, asset, balance) VALUES (whose, in_asset, 0) ON CONFLICT DO NOTHING;
    END IF;
    SELECT w.balance INTO held FROM reference_wallet.wallet w
     WHERE w.player_id = whose AND w.asset = in_asset FOR UPDATE;
    SELECT * INTO former FROM reference_wallet.movement m WHERE m.reference = asked_reference AND m.copy = 0;
    IF former.status IS NOT NULL AND former.status <> 'tombstone' THEN
        IF (former.operation, former.player_id, former.asset, former.asked, former.target_reference)
           IS DISTINCT FROM (what, whose, in_asset, asked, target) THEN
            said.status := 'conflict';
            RETURN said;
        END IF;
        RETURN reference_wallet.answer_again(former);
    END IF;

    said.status := 'refused';
    IF former.status = 'tombstone' THEN
        said.code := 'tombstoned';
    ELSIF broken = 'refuse' THEN
        said.code := 'declined';
    ELSIF what = 'rollback' THEN
        SELECT * INTO outcome FROM reference_wallet.undo(
            asked_reference, whose, in_asset, asked, target, spent, held, at);
        said := outcome.said;
        change := outcome.change;
    ELSIF held IS NULL THEN
        said.code := reference_wallet.missing_wallet(whose);
    ELSIF what IN ('credit', 'deposit') THEN
        said.status := CASE WHEN held + asked >= 1e38 THEN 'unrepresentable' ELSE 'approved' END;
        change := asked;
    ELSIF what = 'debit' AND EXISTS (
        SELECT FROM reference_wallet.player p WHERE p.player_id = whose AND p.is_blocked) THEN
        said.code := 'player_blocked';
    ELSIF held < asked THEN
        said.code := 'insufficient_funds';
    ELSE
        said.status := 'approved';
        change := -asked;
    END IF;
    IF said.status IN ('conflict', 'unrepresentable') THEN
        RETURN said;
    END IF;

    said.code := coalesce(said.code, 'ok');
    said.moved := abs(change);
    said.balance := held + change;
    said.is_repeat := false;
    IF former.status = 'tombstone' THEN
        UPDATE reference_wallet.movement m
           SET operation = what, status = said.status, code = said.code, player_id = whose, asset = in_asset, asked = move.asked,
               balance_after = said.balance, target_reference = target, recorded_at = at, correlation_id = correlation,
               told = told_text
         WHERE m.number = former.number AND m.status = 'tombstone'
        RETURNING m.number INTO said.number;
    ELSE
        INSERT INTO reference_wallet.movement
            (reference, operation, status, code, player_id, asset, asked, moved, change, balance_after,
             target_reference, recorded_at, correlation_id, told)
        VALUES (asked_reference, what, said.status, said.code, whose, in_asset, asked, said.moved, change, said.balance,
                target, at, correlation, told_text)
        ON CONFLICT (reference, copy) DO NOTHING
        RETURNING number INTO said.number;
    END IF;
    IF said.number IS NULL THEN
        -- Somebody else decided about the reference this moment, with another player: look at everything anew.
        RAISE EXCEPTION 'the reference came meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
    IF change <> 0 THEN
        UPDATE reference_wallet.wallet w SET balance = w.balance + change WHERE w.player_id = whose AND w.asset = in_asset;
    END IF;
    RETURN said;
END
$$;

-- name: book_twice
-- What a broken wallet does: the movement of a reference once more, and the balance with it.
CREATE OR REPLACE FUNCTION reference_wallet.book_twice(booked bigint)
RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    now_held numeric;
BEGIN
    INSERT INTO reference_wallet.movement
        (reference, copy, operation, status, code, player_id, asset, asked, moved, change, balance_after,
         target_reference, recorded_at, correlation_id, told)
    SELECT reference, 1, operation, status, code, player_id, asset, asked, moved, change, balance_after + change,
           target_reference, recorded_at, correlation_id, told
      FROM reference_wallet.movement m WHERE m.number = booked;
    UPDATE reference_wallet.wallet w SET balance = w.balance + m.change
      FROM reference_wallet.movement m
     WHERE m.number = booked AND w.player_id = m.player_id AND w.asset = m.asset
    RETURNING w.balance INTO now_held;
    RETURN now_held;
END
$$;

-- name: move_all
-- Decide movements in their order, and remember nonces: one transaction, one answer each.
CREATE OR REPLACE FUNCTION reference_wallet.move_all(
    asked_references text[], whats text[], players text[], assets text[], amounts text[], targets text[],
    spents text[], brokens text[], at timestamptz, correlations text[], tolds text[], nonces text[], expiries bigint[]
) RETURNS SETOF reference_wallet.answer LANGUAGE plpgsql AS $$
DECLARE
    said reference_wallet.answer;
BEGIN
    INSERT INTO reference_wallet.nonce (nonce, expires_s) SELECT * FROM unnest(nonces, expiries) ON CONFLICT DO NOTHING;
    FOR i IN 1 .. cardinality(asked_references) LOOP
        IF brokens[i] = 'forget' THEN
            -- The answer outlives what is rolled back here: variables are no part of a transaction.
            BEGIN
                said := reference_wallet.move(
                    asked_references[i], whats[i], players[i], assets[i], amounts[i]::numeric, targets[i], spents[i],
                    NULL, at, correlations[i], tolds[i]);
                RAISE EXCEPTION 'forgotten' USING ERRCODE = 'RW001';
            EXCEPTION WHEN SQLSTATE 'RW001' THEN
                NULL;
            END;
        ELSE
            said := reference_wallet.move(
                asked_references[i], whats[i], players[i], assets[i], amounts[i]::numeric, targets[i], spents[i],
                brokens[i], at, correlations[i], tolds[i]);
            IF brokens[i] = 'duplicate' AND said.status = 'approved' AND said.moved <> 0 AND NOT said.is_repeat THEN
                said.balance := reference_wallet.book_twice(said.number);
            END IF;
        END IF;
        RETURN NEXT said;
    END LOOP;
END
$$;
