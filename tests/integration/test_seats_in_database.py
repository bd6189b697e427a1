"""Calls without a session, tokens and rollbacks of rollbacks on the real database."""

from __future__ import annotations

import pytest
from lane_desk import Desk, Seat, attempt, open_desk, require_sound_books
from msgspec import structs

from croupier.errors import CroupierError
from croupier.moneypath.commands import IssueToken, Rules, SpentWin
from croupier.runtime.database import create_pool
from croupier.runtime.seats import Seats
from model.calls import PROVIDER, bet, call, close_round, rollback, win, withdrawal

UNDOES = Rules(undoes_rollbacks=True)


def unseated(seat: Seat, action: object, **fields: object) -> object:
    changed = structs.replace(action, player_id=seat.player_id, session_id=None)  # type: ignore[type-var]
    return attempt(call(changed), seat.player_id, **fields)


async def ask(desk: Desk, seat: Seat, action: object, **fields: object) -> str:
    try:
        return (await desk.ask(unseated(seat, action, **fields))).code  # type: ignore[arg-type]
    except CroupierError as error:
        return error.kind.code


async def test_calls_without_a_session_find_their_seat(database_url: str) -> None:
    async with open_desk(database_url) as desk:
        first = await desk.seat("player-1")
        assert await ask(desk, first, bet("b1", round_id="r1")) == "ok"
        newer = await desk.another_session("player-1")
        for action in (win("w1", round_id="r1"), close_round("c1", "r1"), bet("b2", round_id="r2")):
            assert await ask(desk, first, action) == "ok"
        pool = await create_pool(database_url, min_size=1, max_size=1)
        rows = await pool.fetch("SELECT provider_round_id, session_id, state FROM round ORDER BY 1")
        await pool.close()
        found = {row[0]: (row[1], row[2]) for row in rows}
        assert found == {"r1": (first.session_id, "closed"), "r2": (newer.session_id, "open")}
    await require_sound_books(database_url)


async def test_the_round_is_found_among_many_sessions_of_one_batch(database_url: str) -> None:
    async with open_desk(database_url) as desk:
        seats = await desk.seats(4)
        for seat in seats:
            assert await ask(desk, seat, bet(f"b-{seat.player_id}", round_id="same")) == "ok"
            await desk.another_session(seat.player_id)
        wins = [unseated(seat, win(f"w-{seat.player_id}", round_id="same")) for seat in seats]
        outcomes = await desk.ask_all(wins)  # type: ignore[arg-type]
        assert [getattr(outcome, "session_id", None) for outcome in outcomes] == [
            seat.session_id for seat in seats
        ]
    await require_sound_books(database_url)


async def test_a_token_is_kept_by_hash_and_replaced_once(database_url: str) -> None:
    async with open_desk(database_url) as desk, open_desk(database_url) as elsewhere:
        seat = await desk.seat("player-1")
        issue = IssueToken(session_id=seat.session_id, player_id=seat.player_id, token_hash="sha256:1")
        await desk.ask(attempt(call(issue), seat.player_id))
        assert await ask(elsewhere, seat, bet("b1"), token_hash="sha256:1") == "ok"
        swap = structs.replace(issue, session_id=None, token_hash="sha256:2", replaces="sha256:1")
        await desk.ask(attempt(call(swap), seat.player_id))
        assert await ask(elsewhere, seat, bet("b2"), token_hash="sha256:1") == "token_expired"
        assert await ask(elsewhere, seat, bet("b3"), token_hash="sha256:2") == "ok"
        assert await ask(elsewhere, seat, bet("b4"), token_hash="sha256:3") == "unknown_session"


async def test_a_refund_that_is_rolled_back_puts_the_debit_back_once(database_url: str) -> None:
    async with open_desk(database_url) as desk, open_desk(database_url) as elsewhere:
        seat = await desk.seat("player-1")
        assert await ask(desk, seat, bet("b1", 100)) == "ok"
        steps = [
            ("b1", "refund-1", "ok"),
            ("refund-1", "back-1", "ok"),
            ("refund-1", "back-2", "already_rolled_back"),
        ]
        steps += [("b1", "refund-2", "ok"), ("b1", "refund-3", "already_rolled_back")]
        for place, (target, reference, code) in enumerate(steps):
            one = desk if place % 2 else elsewhere
            assert await ask(one, seat, rollback(target, reference), rules=UNDOES) == code, reference
    await require_sound_books(database_url)


@pytest.mark.parametrize("rules", [Rules(), UNDOES])
async def test_both_rollbacks_of_a_chain_in_one_call_count(database_url: str, rules: Rules) -> None:
    async with open_desk(database_url) as desk:
        seat = await desk.seat("player-1")
        actions = [bet("b1", 100, player_id=seat.player_id, session_id=seat.session_id)]
        request = attempt(
            call(
                *actions,
                *(
                    structs.replace(one, player_id=seat.player_id)
                    for one in (rollback("b1", "x1"), rollback("x1", "x2"))
                ),
            ),
            seat.player_id,
            rules=rules,
        )
        if rules is UNDOES:
            outcomes = await desk.lanes.submit(request)
            assert [one.balance for one in outcomes] == [900, 1_000, 900]
        else:
            with pytest.raises(CroupierError, match="only bets and wins"):
                await desk.lanes.submit(request)
    await require_sound_books(database_url)


async def test_seats_are_found_by_session_or_by_reference(database_url: str) -> None:
    async with open_desk(database_url) as desk:
        seat = await desk.seat("player-1")
        await desk.ask(seat.bet("b1"))
    pool = await create_pool(database_url, min_size=1, max_size=1)
    try:
        seats = Seats(pool, limit=1)
        for _ in range(2):
            found = await seats.find_seat(PROVIDER, seat.session_id, ())
            assert found is not None
            assert (found.player_id, found.asset, found.game_id) == ("player-1", "EUR", "dice")
        assert await seats.find_seat("rival", seat.session_id, ("b1",)) is None
        assert await seats.find_seat(PROVIDER, None, ("unheard-of",)) is None
        by_reference = await seats.find_seat(PROVIDER, None, ("unheard-of", "b1"))
        assert by_reference is not None
        assert (by_reference.player_id, by_reference.session_id) == ("player-1", seat.session_id)
    finally:
        await pool.close()
    with pytest.raises(CroupierError, match="could not be looked up"):
        await seats.find_seat(PROVIDER, None, ("b1",))


async def test_a_clamped_rollback_leaves_sound_books(database_url: str) -> None:
    clamp = Rules(spent_win=SpentWin.CLAMP)
    async with open_desk(database_url) as desk:
        for player, spent, code in (("player-1", 1_090, "rolled_back_in_part"), ("player-2", 900, "ok")):
            seat = await desk.seat(player)
            actions = (bet(f"b-{player}", 100), win(f"w-{player}", 200))
            for action in actions:
                assert await ask(desk, seat, action) == "ok"
            spend = withdrawal(f"o-{player}", spent, player_id=player)
            await desk.ask(attempt(call(spend), player))
            assert await ask(desk, seat, rollback(f"w-{player}", f"x-{player}"), rules=clamp) == code
    await require_sound_books(database_url)
