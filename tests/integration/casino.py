"""A small casino on a real database: lanes, players in several buckets, all that can happen to money."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import structs

from croupier.errors import CroupierError
from croupier.ids import IdSource, bucket_of
from croupier.moneypath.commands import Action
from croupier.moneypath.facts import Stamp
from croupier.moneypath.lane import LaneSettings
from croupier.moneypath.lanes import Lanes
from croupier.moneypath.outcomes import Outcome
from croupier.runtime.database import SCHEMA, connect_app, connect_owner
from model import calls
from model.calls import NOW, POOL

ALICE = "alice"
BOB = "bob"


def own_pool(player: str) -> str:
    """A jackpot pool that nobody else plays for."""
    return f"pool-of-{player}"


class Casino:
    """Submits calls to lanes. The clock ticks a millisecond with every batch."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._ids = IdSource()
        self._now: datetime = NOW
        self.lanes = Lanes(2, lambda: connect_app(url, lane=True), self._stamp, LaneSettings())

    def _stamp(self) -> Stamp:
        self._now += timedelta(milliseconds=1)
        return Stamp(self._now, self._ids, self._now + timedelta(hours=1))

    def wait(self, duration: timedelta) -> None:
        """Let time pass."""
        self._now += duration

    async def put(self, *actions: Action, **fields: Any) -> tuple[Outcome, ...]:
        """The outcomes of one call."""
        player = getattr(actions[0], "player_id", None) or actions[0].opening.player_id
        request = calls.call(
            *actions, bucket=bucket_of(player), player_id=player, pools=(POOL, own_pool(player)), **fields
        )
        return await self.lanes.submit(request)

    async def open(self, player: str, *, asks: dict[str, Any] | None = None, **terms: Any) -> UUID:
        """A launched session; `asks` is what its jurisdiction asks of stakes."""
        session = self._ids.new(bucket_of(player))
        opened = calls.open_session(session, player_id=player, **terms)
        await self.put(structs.replace(opened, grant=calls.grant_for(session, **(asks or {}))))
        await self.put(calls.confirm(session, player))
        return session


@asynccontextmanager
async def open_casino(url: str) -> AsyncIterator[Casino]:
    """A casino whose lanes run until the block ends."""
    casino = Casino(url)
    casino.lanes.start()
    try:
        yield casino
    finally:
        await casino.lanes.drain()


async def play_everything(casino: Casino) -> dict[str, UUID]:
    """One of each thing that can happen; gives the sessions by what became of them."""
    for number, amount in enumerate((5_000, 3_000), 1):
        await casino.put(calls.deposit(f"d{number}", amount, player_id=ALICE))
    await casino.put(calls.deposit("d3", 1_000, player_id=BOB))
    await casino.put(calls.withdrawal("o1", 300, player_id=ALICE))
    await casino.put(calls.cancel("o1", player_id=ALICE))
    await casino.put(calls.cancel("o2", player_id=ALICE))
    await casino.put(calls.withdrawal("o2", 200, player_id=ALICE))
    return {
        "settled": await _play_settled(casino),
        "active": await _play_active(casino),
        "indebted": await _play_into_debt(casino),
        "unplayed": await _leave_unplayed(casino),
        "provider_funded": await _play_provider_funded(casino),
    }


async def _play_settled(casino: Casino) -> UUID:
    """Wins, rollbacks, jackpots and promotions in order and out of order, settled, and money after that."""
    session = await casino.open(ALICE)
    own = {"session_id": session, "player_id": ALICE}
    await casino.put(calls.bet("b1", 100, contribution=5, contribution_text="5", **own))
    await casino.put(calls.win("w1", 40, **own))
    await casino.put(calls.close_round("c1", outcome='{"b": 1.50, "a": [1]}', **own))
    await casino.put(
        calls.bet("b2", 200, round_id="r2", **own),
        calls.win("w2", 300, round_id="r2", close_round=True, **own),
    )
    await casino.put(calls.rollback("w2", "rb-w2", player_id=ALICE))
    await casino.put(calls.bet("b3", 50, round_id="r3", contribution=2, **own))
    await casino.put(calls.rollback("b3", "rb-b3", player_id=ALICE))
    await casino.put(calls.jackpot("j1", 500, **own))
    await casino.put(calls.rollback("j1", "rb-j1", player_id=ALICE))
    await casino.put(calls.promo("p1", 25, **own))
    await casino.put(calls.promo("p2", 30, **own))
    await casino.put(calls.rollback("p2", "rb-p2", player_id=ALICE))
    await casino.put(calls.rollback("b4", "rb-b4", player_id=ALICE))
    await casino.put(calls.bet("b4", 10, round_id="r4", **own))
    await casino.put(calls.bet("b5", 1_000_000, round_id="r5", **own))
    await casino.put(calls.win("w0", 0, round_id="r6", **own))
    await casino.put(calls.bet("b6", 0, round_id="r6", contribution=3, **own))
    await casino.put(calls.close_round("c6", round_id="r6", **own))
    await casino.put(calls.close_session(session, ALICE))
    await casino.put(calls.win("late-1", 70, **own))
    await casino.put(calls.win("late-2", 15, round_id="r3", **own))
    await casino.put(calls.win("late-3", 9, round_id="r7", **own))
    await casino.put(calls.rollback("b1", "rb-b1", player_id=ALICE))
    return session


async def _play_active(casino: Casino) -> UUID:
    session = await casino.open(BOB)
    await casino.put(calls.bet("b10", 5, session_id=session, player_id=BOB))
    return session


async def _play_into_debt(casino: Casino) -> UUID:
    """A win that is withdrawn before it is rolled back."""
    session = await casino.open(BOB)
    own = {"session_id": session, "player_id": BOB}
    await casino.put(calls.bet("b20", 95, **own))
    await casino.put(calls.win("w20", 400, **own))
    await casino.put(calls.withdrawal("o20", 1_200, player_id=BOB))
    await casino.put(calls.rollback("w20", "rb-w20", player_id=BOB))
    await casino.put(calls.close_round("c20", **own))
    await casino.put(calls.close_session(session, BOB))
    return session


async def _leave_unplayed(casino: Casino) -> UUID:
    session = await casino.open(BOB)
    await casino.put(calls.close_session(session, BOB))
    return session


async def _play_provider_funded(casino: Casino) -> UUID:
    session = await casino.open(ALICE, jackpot_pool=None, promo_source="provider", share_bps=333)
    own = {"session_id": session, "player_id": ALICE}
    await casino.put(calls.bet("b30", 77, contribution=7, **own))
    await casino.put(calls.jackpot("j30", 11, **own))
    await casino.put(calls.win("w30", 200, close_round=True, **own))
    await casino.put(calls.close_session(session, ALICE))
    return session


async def play_generated(casino: Casino, seed: int, *, players: int = 4, rounds: int = 12) -> None:
    """Rounds of several players at once, each move repeated, reordered or undone as the seed says."""
    chance = random.Random(seed)
    await asyncio.gather(
        *(
            _play_player(casino, f"player-{number}", random.Random(chance.random()), rounds)
            for number in range(players)
        )
    )


async def _play_player(casino: Casino, player: str, chance: random.Random, rounds: int) -> None:
    await casino.put(calls.deposit(f"{player}-in", 5_000, player_id=player))
    terms = {"share_bps": chance.randrange(10_001), "jackpot_pool": own_pool(player)}
    sessions = [await casino.open(player, **terms) for _ in range(2)]
    moves: list[Action] = []
    for number in range(rounds):
        moves += _round_of(player, chance.choice(sessions), f"{player}-r{number}", chance)
    moves += [calls.close_session(session, player) for session in sessions]
    for position in range(len(moves)):
        other = min(len(moves) - 1, position + chance.randrange(4))
        moves[position], moves[other] = moves[other], moves[position]
    moves += chance.sample(moves, len(moves) // 4)
    await asyncio.gather(*(_put_quietly(casino, move) for move in moves))


def _round_of(player: str, session: UUID, name: str, chance: random.Random) -> list[Action]:
    own = {"session_id": session, "player_id": player, "round_id": name}
    stake, contribution = chance.randrange(300), chance.choice((0, 0, 3))
    moves: list[Action] = [calls.bet(f"{name}-b", stake, contribution=min(contribution, stake), **own)]
    if chance.random() < 0.6:
        kind = chance.choice((calls.win, calls.win, calls.jackpot, calls.promo))
        moves.append(kind(f"{name}-w", chance.randrange(500), **own))
    if chance.random() < 0.3:
        moves.append(
            calls.rollback(chance.choice((f"{name}-b", f"{name}-w")), f"{name}-rb", player_id=player)
        )
    if chance.random() < 0.8:
        moves.append(calls.close_round(f"{name}-c", **own))
    return moves


async def _put_quietly(casino: Casino, move: Action) -> None:
    """Put a move that may come too late, or undo what cannot be undone."""
    with suppress(CroupierError):
        await casino.put(move)


@asynccontextmanager
async def tampering(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection on which neither triggers nor grants protect anything."""
    connection = await connect_owner(url)
    try:
        await connection.execute(f"SET search_path = {SCHEMA}")
        await connection.execute("SET session_replication_role = replica")
        yield connection
    finally:
        await connection.close()
