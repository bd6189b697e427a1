"""Lanes, as of several processes, meeting over references, nonces and wallets (I1, I2, I8, FT22, FT29)."""

import asyncio
import random
from datetime import timedelta

from lane_desk import (
    IDS,
    Desk,
    Seat,
    approved,
    attempt,
    balance_of,
    nonce_of,
    open_desk,
    read_value,
    refusals,
    require_sound_books,
)
from msgspec import structs

from croupier.errors import REFERENCE_CONFLICT, UNAUTHENTICATED, CroupierError
from croupier.ids import bucket_of
from croupier.moneypath.commands import Call, Nonce
from croupier.moneypath.outcomes import ALREADY_ROLLED_BACK, OK, Outcome
from croupier.runtime.database import create_pool
from croupier.runtime.duties import do_duties
from model.calls import NOW, POOL, call, deposit, jackpot, open_session, rollback, win, withdrawal

EFFECTS = "SELECT count(*) FROM journal_entry WHERE reference = $1"


async def test_one_reference_at_two_lanes_at_once_moves_money_once(database_url: str) -> None:
    async with open_desk(database_url) as one, open_desk(database_url) as other:
        seat = await one.seat("player-1")
        for number in range(20):
            name = f"bet-{number}"
            first, second = await asyncio.gather(one.ask(seat.bet(name)), other.ask(seat.bet(name)))
            assert sorted([first.is_repeat, second.is_repeat]) == [False, True]
            stored = {"is_repeat": False, "current_balance": None, "moved": 0}
            assert structs.replace(first, **stored) == structs.replace(second, **stored)
            assert await read_value(database_url, EFFECTS, name) == 1
    assert await balance_of(database_url, "player-1") == 980
    await require_sound_books(database_url)


async def test_one_reference_for_two_players_at_once_is_one_players_and_a_conflict(database_url: str) -> None:
    """Different wallets share no lock: only the reference's own uniqueness stands between them."""
    async with open_desk(database_url) as one, open_desk(database_url) as other:
        seats = await one.seats(2)
        for number in range(20):
            name = f"bet-{number}"
            answers = [
                answer
                for group in await asyncio.gather(
                    one.ask_all([seats[0].bet(name)]), other.ask_all([seats[1].bet(name)])
                )
                for answer in group
            ]
            assert len(approved(answers)) == 1
            assert [error.kind for error in refusals(answers)] == [REFERENCE_CONFLICT]
            assert await read_value(database_url, EFFECTS, name) == 1
    await require_sound_books(database_url)


async def test_two_rollbacks_of_one_bet_at_once_undo_it_once(database_url: str) -> None:
    async with open_desk(database_url) as one, open_desk(database_url) as other:
        seat = await one.seat("player-1")
        for number in range(10):
            assert (await one.ask(seat.bet(f"bet-{number}", 7))).is_approved
            undo = [
                seat.call(rollback(f"bet-{number}", f"undo-{number}-{lane}", player_id=seat.player_id))
                for lane in range(2)
            ]
            outcomes = await asyncio.gather(one.ask(undo[0]), other.ask(undo[1]))
            assert sorted(outcome.code for outcome in outcomes) == [ALREADY_ROLLED_BACK, OK]
    assert await balance_of(database_url, "player-1") == 1_000
    await require_sound_books(database_url)


async def test_a_nonce_counts_once_at_two_lanes_and_after_a_restart(database_url: str) -> None:
    async with open_desk(database_url) as one, open_desk(database_url) as other:
        seats = await one.seats(2)
        for number in range(10):
            nonce = nonce_of(f"nonce-{number:016}")
            answers = [
                *await asyncio.gather(
                    one.ask(seats[0].bet_under(nonce, f"one-{number}")),
                    other.ask(seats[1].bet_under(nonce, f"other-{number}")),
                    return_exceptions=True,
                )
            ]
            refused = [answer for answer in answers if isinstance(answer, CroupierError)]
            assert [(error.kind, error.reason) for error in refused] == [(UNAUTHENTICATED, "replayed")]
            assert sum(isinstance(answer, Outcome) for answer in answers) == 1
    async with open_desk(database_url) as restarted:
        (answer,) = await restarted.ask_all([seats[0].bet_under(nonce_of(f"nonce-{3:016}"), "new")])
        assert isinstance(answer, CroupierError)
        assert answer.reason == "replayed"
    held = await balance_of(database_url, "player-0") + await balance_of(database_url, "player-1")
    assert held == 2_000 - 10, "a replayed request moved nothing"


async def test_a_nonce_is_forgotten_by_the_duties_and_only_after_it_expired(database_url: str) -> None:
    short = nonce_of("short" * 4, expires_at=NOW + timedelta(seconds=10))
    long = nonce_of("long" * 5, expires_at=NOW + timedelta(seconds=20))
    pool = await create_pool(database_url, min_size=1, max_size=2)
    try:
        async with open_desk(database_url) as desk:
            seat = await desk.seat("player-1")
            await desk.ask_all([seat.bet_under(short, "one"), seat.bet_under(long, "two")])
            await do_duties(pool, desk.lanes.submit, IDS, NOW + timedelta(seconds=10))
            assert [error.reason for error in await replays(desk, seat, short, long)] == ["replayed"] * 2
            await do_duties(pool, desk.lanes.submit, IDS, NOW + timedelta(seconds=15))
            assert [error.reason for error in await replays(desk, seat, long)] == ["replayed"]
            sql = "SELECT count(*) FROM nonce WHERE nonce = $1"
            assert await read_value(database_url, sql, short.nonce) == 0
    finally:
        await pool.close()


async def replays(desk: Desk, seat: Seat, *nonces: Nonce) -> list[CroupierError]:
    """What becomes of new bets under these nonces."""
    requests = [seat.bet_under(nonce, f"again-{number}") for number, nonce in enumerate(nonces)]
    return refusals(await desk.ask_all(requests))


async def test_many_more_nonces_than_one_purge_takes_are_all_purged(database_url: str) -> None:
    fill = (
        "INSERT INTO nonce SELECT n % 256, 'key-1', 'nonce-' || n, gen_random_uuid(), $1 "
        "FROM generate_series(1, 12000) n RETURNING 1"
    )
    await read_value(database_url, fill, NOW)
    pool = await create_pool(database_url, min_size=2, max_size=2)
    try:
        later = NOW + timedelta(seconds=1)
        async with open_desk(database_url) as desk:
            submit = desk.lanes.submit
            await asyncio.gather(do_duties(pool, submit, IDS, later), do_duties(pool, submit, IDS, later))
    finally:
        await pool.close()
    assert await read_value(database_url, "SELECT count(*) FROM nonce") == 0


async def test_lanes_with_overlapping_players_and_one_jackpot_pool_never_deadlock(database_url: str) -> None:
    """Wallets, pool and references are locked in sorted order, whatever the order of arrival (FT29)."""
    source = random.Random(7)
    async with open_desk(database_url, batch=16) as one, open_desk(database_url, batch=16) as other:
        seats = await one.seats(12)
        turns = [(seat, number) for number in range(12) for seat in seats]
        plans = [source.sample(turns, len(turns)) for _ in range(2)]
        asked = [
            desk.ask_all([request for seat, number in plan for request in play(seat, number)])
            for desk, plan in zip((one, other), plans, strict=True)
        ]
        answers = [answer for group in await asyncio.gather(*asked) for answer in group]
    assert refusals(answers) == []
    sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await read_value(database_url, sql) == 0
    # Every player staked 12 × 5 and won 12 × (2 + 3), whichever lane was first with it.
    assert [await balance_of(database_url, seat.player_id) for seat in seats] == [1_000] * 12
    await require_sound_books(database_url)


def play(seat: Seat, number: int) -> list[Call]:
    """A bet that feeds the pool, a win and a jackpot win, the same from whichever lane."""
    name = f"{seat.player_id}-{number}"
    place = {"player_id": seat.player_id, "session_id": seat.session_id, "round_id": f"round-{name}"}
    return [
        seat.call(seat.bet_action(f"bet-{name}", 5, round_id=f"round-{name}", contribution=1), pools=(POOL,)),
        seat.call(win(f"win-{name}", 2, **place)),
        seat.call(jackpot(f"jackpot-{name}", 3, **place), pools=(POOL,)),
    ]


async def test_new_players_meet_at_two_lanes_without_harm(database_url: str) -> None:
    """A wallet that does not exist yet has no row to lock: its making is what the lanes meet over."""
    async with open_desk(database_url) as one, open_desk(database_url) as other:
        names = [f"player-{number}" for number in range(40)]
        given = await asyncio.gather(
            *(
                desk.ask_all([money for name in order for money in welcome(name, mark)])
                for desk, order, mark in ((one, names, "one"), (other, names[::-1], "other"))
            )
        )
    assert [refusals(answers) for answers in given] == [[], []]
    assert {await balance_of(database_url, name) for name in names} == {120}
    await require_sound_books(database_url)


def welcome(player_id: str, mark: str) -> list[Call]:
    """A deposit that both lanes make, one that only this lane makes, and a session."""
    shared = deposit(f"both-{player_id}", 100, player_id=player_id)
    own = deposit(f"{mark}-{player_id}", 10, player_id=player_id)
    opened = open_session(IDS.new(0), player_id=player_id)
    return [attempt(call(action), player_id) for action in (shared, own, opened)]


async def test_an_account_that_is_opened_while_a_lane_waits_is_locked_before_it_is_decided_on(
    database_url: str,
) -> None:
    """Three processes: one opens the player's wallet, two withdraw more than half of it while they wait for others.

    A row committed during the wait for a lock must not be read unless it is held: it was, and most runs paid twice.
    """
    async with open_desk(database_url) as a, open_desk(database_url) as b, open_desk(database_url) as c:
        for number in range(40):
            early, middle, late = _three_players(number)
            for desk, player in ((a, early), (a, middle)):
                await desk.ask_all([_deposit(f"first-{player}", player, 10)])
            answers = await asyncio.gather(
                a.ask_all(
                    [
                        _deposit(f"a1-{number}", early, 1),
                        _deposit(f"a2-{number}", middle, 1),
                        _deposit(f"a3-{number}", late, 100),
                    ]
                ),
                b.ask_all([_deposit(f"b1-{number}", early, 1), _withdraw(f"b2-{number}", late)]),
                c.ask_all([_deposit(f"c1-{number}", middle, 1), _withdraw(f"c2-{number}", late)]),
            )
            paid = [group[-1] for group in answers[1:]]
            assert sum(isinstance(one, Outcome) and one.is_approved for one in paid) <= 1
    await require_sound_books(database_url)


def _three_players(number: int) -> tuple[str, str, str]:
    """Player ids whose buckets rise in this order, as lanes lock them."""
    names = [f"race-{number}-{suffix}" for suffix in range(12)]
    low, *_, high = sorted(names, key=bucket_of)
    middle = sorted(names, key=bucket_of)[6]
    return low, middle, high


def _deposit(reference: str, player: str, amount: int) -> Call:
    return attempt(call(deposit(reference, amount, player_id=player)), player)


def _withdraw(reference: str, player: str) -> Call:
    return attempt(call(withdrawal(reference, 60, player_id=player)), player)
