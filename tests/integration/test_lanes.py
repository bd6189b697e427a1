"""Lanes on real PostgreSQL: natural batching, order, bounds, and one call's trouble staying its own (I2, I9, FT29)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from lane_desk import (
    Seat,
    approved,
    attempt,
    balance_of,
    counted,
    held_wallet,
    nonce_of,
    open_desk,
    read_value,
    refusals,
    require_sound_books,
    waiting_for_locks,
)
from msgspec import structs

from croupier.errors import INTERNAL, OVERLOADED, UNAUTHENTICATED, UNAVAILABLE, CroupierError
from croupier.moneypath.commands import Call
from croupier.moneypath.outcomes import INSUFFICIENT_FUNDS, Outcome
from croupier.runtime.database import connect_app
from model.calls import call, close_round, deposit

WaitUntil = Callable[..., Awaitable[None]]
NEIGHBOURS = 63


async def test_calls_of_one_moment_share_one_transaction(database_url: str) -> None:
    begun: list[int] = []
    async with open_desk(database_url, connect=counted(database_url, begun)) as desk:
        seats = await desk.seats(64)
        desk.records.clear()
        begun.clear()
        answers = await desk.ask_all([seat.bet(f"bet-{seat.player_id}") for seat in seats])
        assert len(approved(answers)) == 64
        assert [record.size for record in desk.records] == [64]
        assert len(begun) == 1


async def test_what_piles_up_during_a_commit_is_taken_in_bounded_batches(
    database_url: str, wait_until: WaitUntil
) -> None:
    async with open_desk(database_url, batch=128) as desk:
        seat = await desk.seat("player-1")
        desk.records.clear()
        async with held_wallet(database_url, seat.player_id):
            first = asyncio.create_task(desk.ask(seat.bet("first")))
            await wait_until(lambda: waiting_for_locks(database_url))
            rest = asyncio.create_task(desk.ask_all([seat.bet(f"bet-{number}") for number in range(300)]))
            await wait_until(lambda: desk.lanes.depth == 300)
        assert (await first).is_approved
        assert len(approved(await rest)) == 300
        assert [record.size for record in desk.records] == [1, 128, 128, 44]
        assert {record.result for record in desk.records} == {"committed"}


async def test_a_wallets_calls_are_decided_in_the_order_of_their_arrival(database_url: str) -> None:
    async with open_desk(database_url, lanes=2, batch=16) as desk:
        seats = await desk.seats(5, purse=100)
        turns = [(seat, number) for number in range(60) for seat in seats]
        answers = await desk.ask_all([seat.bet(f"{seat.player_id}-{number}") for seat, number in turns])
        for seat in seats:
            balances = [
                answer.balance
                for (owner, _), answer in zip(turns, answers, strict=True)
                if owner is seat and isinstance(answer, Outcome)
            ]
            assert balances == [99 - number for number in range(60)]
        assert len({record.lane for record in desk.records}) == 2, "both lanes had work"
    await require_sound_books(database_url)


def nul_in_round(seat: Seat) -> Call:
    return seat.bet("poison", round_id="round\0")


def outcome_that_is_not_json(seat: Seat) -> Call:
    close = close_round("poison", "round", player_id=seat.player_id, session_id=seat.session_id, outcome="{")
    return seat.call(close)


def reference_too_long_for_its_index(seat: Seat) -> Call:
    # Random digits: what compresses well would fit.
    digits = "".join(seat.session_id.hex[number % 32] + str(number * 7919) for number in range(4000))
    return seat.bet(digits)


def lone_surrogate(seat: Seat) -> Call:
    return seat.bet("poison", round_id="\ud800")


def bucket_that_does_not_exist(seat: Seat) -> Call:
    return structs.replace(seat.bet("poison"), bucket=70_000)


POISONS = (
    nul_in_round,
    outcome_that_is_not_json,
    reference_too_long_for_its_index,
    lone_surrogate,
    bucket_that_does_not_exist,
)


@pytest.mark.parametrize("make_poison", POISONS)
async def test_a_call_that_cannot_be_written_is_found_and_hurts_no_neighbour(
    database_url: str, make_poison: Callable[[Seat], Call]
) -> None:
    begun: list[int] = []
    async with open_desk(database_url, connect=counted(database_url, begun), outage_s=1.0) as desk:
        seats = await desk.seats(8, purse=1_000)
        poison = make_poison(seats[3])
        requests = [seats[number % 8].bet(f"bet-{number}") for number in range(NEIGHBOURS)]
        requests.insert(41, poison)
        begun.clear()
        answers = await desk.ask_all(requests)
        # The whole, its halves down to the one, their good siblings, and the nonce of the one.
        assert len(begun) <= 14, "64 calls take at most 2 · 6 + 2 transactions"
        own = answers.pop(41)
        assert isinstance(own, CroupierError)
        assert own.kind == INTERNAL
        assert len(approved(answers)) == NEIGHBOURS
        assert not any(isinstance(answer, Outcome) and answer.is_repeat for answer in answers)
        assert (await desk.ask(seats[0].bet("afterwards"))).is_approved
    await require_sound_books(database_url)


@pytest.mark.parametrize("where", ["round_id", "player_id"])
async def test_a_call_that_cannot_be_written_spends_its_nonce_all_the_same(
    database_url: str, where: str
) -> None:
    async with open_desk(database_url) as desk:
        seat = await desk.seat("player-1")
        nonce = nonce_of("n" * 20)
        action = structs.replace(seat.bet_action("poison"), **{where: "evil\0"})
        poison = structs.replace(seat.call(action, nonce=nonce), player_id=action.player_id)
        assert [error.kind for error in refusals(await desk.ask_all([poison]))] == [INTERNAL]
        (replay,) = await desk.ask_all([seat.call(seat.bet_action("another"), nonce=nonce)])
        assert isinstance(replay, CroupierError)
        assert (replay.kind, replay.reason) == (UNAUTHENTICATED, "replayed")


async def test_a_locked_wallet_does_not_hold_up_its_neighbours_for_ever(database_url: str) -> None:
    async def connect() -> asyncpg.Connection:
        connection = await connect_app(database_url, lane=True)
        await connection.execute("SET lock_timeout = '100ms'")
        return connection

    async with open_desk(database_url, connect=connect) as desk:
        seats = await desk.seats(16)
        async with held_wallet(database_url, "player-5"):
            answers = await desk.ask_all([seat.bet(f"bet-{seat.player_id}") for seat in seats])
            stuck = answers.pop(5)
            assert isinstance(stuck, CroupierError)
            assert (stuck.kind, stuck.retry_after_s) == (UNAVAILABLE, 1)
            assert len(approved(answers)) == 15
        again = await desk.ask(seats[5].bet("bet-player-5"))
        assert (again.is_approved, again.is_repeat) == (True, False)


async def test_the_queue_refuses_exactly_the_first_call_above_its_bound(
    database_url: str, wait_until: WaitUntil
) -> None:
    async with open_desk(database_url, queue=5) as desk:
        seat = await desk.seat("player-1")
        async with held_wallet(database_url, seat.player_id):
            tasks = [asyncio.create_task(desk.ask(seat.bet("taken")))]
            await wait_until(lambda: waiting_for_locks(database_url))
            tasks += [asyncio.create_task(desk.ask(seat.bet(f"queued-{number}"))) for number in range(5)]
            await wait_until(lambda: desk.lanes.depth == 5)
            with pytest.raises(CroupierError) as refused:
                await desk.ask(seat.bet("one-too-many"))
            assert refused.value.kind == OVERLOADED
            assert refused.value.retry_after_s is not None
            assert 1 <= refused.value.retry_after_s <= 30
        assert all(outcome.is_approved for outcome in await asyncio.gather(*tasks))
        assert not (await desk.ask(seat.bet("one-too-many"))).is_repeat, "a refused call left nothing behind"


async def test_draining_answers_what_was_accepted_and_refuses_the_rest(
    database_url: str, wait_until: WaitUntil
) -> None:
    async with open_desk(database_url, batch=4) as desk:
        seat = await desk.seat("player-1")
        async with held_wallet(database_url, seat.player_id):
            accepted = asyncio.create_task(desk.ask_all([seat.bet(f"bet-{number}") for number in range(30)]))
            await wait_until(lambda: waiting_for_locks(database_url))
            draining = asyncio.create_task(desk.lanes.drain())
            # One turn of the loop for our task, one for each lane's.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            with pytest.raises(CroupierError) as refused:
                await desk.ask(seat.bet("too-late"))
            assert (refused.value.kind, refused.value.retry_after_s) == (UNAVAILABLE, 1)
        await draining
        assert len(approved(await accepted)) == 30
    sql = "SELECT count(*) FROM money_reference WHERE reference LIKE 'bet-%' AND status = 'approved'"
    assert await read_value(database_url, sql) == 30


async def test_duplicates_of_a_declined_bet_in_one_batch_get_that_decline(database_url: str) -> None:
    async with open_desk(database_url) as desk:
        seat = await desk.seat("player-1", purse=10)
        desk.records.clear()
        answers = await desk.ask_all([seat.bet("too-much", 11) for _ in range(3)])
        assert [record.size for record in desk.records] == [3]
        assert [(answer.code, answer.balance) for answer in answers if isinstance(answer, Outcome)] == [
            (INSUFFICIENT_FUNDS, 10)
        ] * 3
        assert [answer.is_repeat for answer in answers if isinstance(answer, Outcome)] == [False, True, True]
        more = deposit("more", 100, player_id=seat.player_id)
        assert (await desk.ask(attempt(call(more), seat.player_id))).balance == 110
        late = await desk.ask(seat.bet("too-much", 11))
        assert (late.code, late.balance, late.is_repeat) == (INSUFFICIENT_FUNDS, 10, True)
    await require_sound_books(database_url)


async def test_a_caller_that_goes_away_changes_nothing_about_the_decision(
    database_url: str, wait_until: WaitUntil
) -> None:
    async with open_desk(database_url) as desk:
        seat = await desk.seat("player-1")
        async with held_wallet(database_url, seat.player_id):
            gone = asyncio.create_task(desk.ask(seat.bet("bet", 10)))
            await wait_until(lambda: waiting_for_locks(database_url))
            gone.cancel()
        repeated = await desk.ask(seat.bet("bet", 10))
        assert (repeated.is_approved, repeated.is_repeat, repeated.balance) == (True, True, 990)
    assert await balance_of(database_url, seat.player_id) == 990


async def test_idle_lanes_keep_no_transaction_open(database_url: str, wait_until: WaitUntil) -> None:
    """A resting lane begins its next transaction ahead, and gives it up after a moment."""
    async with open_desk(database_url, lanes=2) as desk:
        await desk.seats(4)
        sql = """
            SELECT array_agg(DISTINCT state) FROM pg_stat_activity
             WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
        """

        async def are_idle() -> bool:
            states: Any = await read_value(database_url, sql)
            return bool(states == ["idle"])

        await wait_until(are_idle)
