"""Random calls of one player at two desks of two lanes each: what was told is what the books hold (I1, I2, I5, FT29).

The calls of a run are drawn from its seed before anything is sent; the seed is in the test's id and in every verdict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from lane_desk import IDS, Connect, Desk, Seat, attempt, open_desk, require_sound_books
from msgspec import Struct, structs

from croupier.errors import CroupierError
from croupier.moneypath.commands import (
    Action,
    Call,
    IssueToken,
    Rollback,
    Rules,
    SpentWin,
    WinKind,
)
from croupier.moneypath.outcomes import Outcome
from croupier.runtime.database import connect_app, connect_owner
from model.calls import PLAYER, PROVIDER, bet, call, close_round, close_session, rollback, win

RULES = {
    "clamp": Rules(spent_win=SpentWin.CLAMP, game_may_change=True),
    "undo": Rules(undoes_rollbacks=True, game_may_change=True),
    "refuse": Rules(
        spent_win=SpentWin.REFUSE, game_may_change=True, strict_tokens=True, bets_after_close=True
    ),
    "undo_clamp": Rules(spent_win=SpentWin.CLAMP, undoes_rollbacks=True, game_may_change=True),
}
STRESS_SEEDS = [f"{rule}-{number}" for rule in RULES for number in (1, 2, 3)]
LOST_SEEDS = [f"{rule}-4" for rule in RULES]
REFERENCES = [f"x{number}" for number in range(40)]
ROUNDS = ["r1", "r2", "r3", "r4"]
AMOUNTS = [0, 10, 10, 50, 120]
AT_ONCE = 25
LOSS = 0.25
"""Share of the commits whose answer is lost."""

Told = tuple[Outcome, ...] | CroupierError


class Order(Struct, frozen=True):
    """A call, and the desks that get it one after the other: the second as a request of its own."""

    call: Call
    desks: tuple[int, ...]


class Dealer:
    """Draws calls about few references, rounds and sessions, so that they meet in every way."""

    def __init__(self, random: Random, sessions: list[UUID], rules: Rules) -> None:
        self.random, self.sessions, self.rules = random, sessions, rules
        self.tokens: list[str] = []

    def draw_blocks(self, count: int) -> list[list[Order]]:
        """Orders in blocks; those of one block are sent at once."""
        return [[self.draw_order() for _ in range(AT_ONCE)] for _ in range(count)]

    def draw_order(self) -> Order:
        """A call under the run's rules, now and then with a token, now and then sent twice."""
        random = self.random
        token = random.choice([None, None, random.choice(self.tokens or [None])])
        given = structs.replace(self.draw_call(), rules=self.rules, token_hash=token)
        return Order(given, tuple(random.randrange(2) for _ in range(random.choice([1, 1, 1, 2]))))

    def draw_call(self) -> Call:
        """Mostly one action, up to four; rarely the end of a session or a new token."""
        share = self.random.random()
        if share < 0.02:
            actions: list[Action] = [close_session(self.random.choice(self.sessions), player_id=PLAYER)]
        elif share < 0.07:
            actions = [self.draw_token()]
        else:
            actions = [self.draw_action() for _ in range(self.random.choice([1, 1, 1, 2, 3, 4]))]
        return attempt(call(*actions), PLAYER)

    def draw_token(self) -> IssueToken:
        """A token of a session, or in the place of an earlier one."""
        old = self.random.choice([None, *self.tokens])
        session_id = None if old else self.random.choice(self.sessions)
        self.tokens.append(f"t{len(self.tokens)}")
        return IssueToken(session_id=session_id, player_id=PLAYER, token_hash=self.tokens[-1], replaces=old)

    def draw_action(self) -> Action:
        """A bet, a win, a rollback or the end of a round, each about anything."""
        share, reference = self.random.random(), self.random.choice(REFERENCES)
        session_id = self.random.choice([*self.sessions, None, None, None])
        round_id, amount = self.random.choice(ROUNDS), self.random.choice(AMOUNTS)
        if share < 0.35:
            return bet(reference, amount, session_id=session_id, round_id=round_id)
        if share < 0.6:
            return win(reference, amount, session_id=session_id, **self.draw_win_terms(round_id, session_id))
        if share < 0.95:
            return self.draw_rollback(reference, amount)
        return close_round(reference, round_id, session_id=session_id)

    def draw_win_terms(self, round_id: str, session_id: UUID | None) -> dict[str, Any]:
        """A win of one kind or another, which may close its round, name its bet and insist on it."""
        random = self.random
        return {
            "kind": random.choice([WinKind.WIN, WinKind.WIN, WinKind.PROMO]),
            "round_id": random.choice([round_id, round_id, None]) if session_id else round_id,
            "close_round": random.random() < 0.15,
            "target_reference": random.choice([None, random.choice(REFERENCES)]),
            "needs_target": random.random() < 0.4,
        }

    def draw_rollback(self, reference: str, amount: int) -> Rollback:
        """The undoing of anything."""
        random = self.random
        return rollback(
            random.choice(REFERENCES),
            reference,
            settled_by=random.choice([None, None, random.choice(REFERENCES)]),
            amount=random.choice([None, None, amount]),
        )


class LossyConnection:
    """A connection that loses the answer of some commits after they happened."""

    def __init__(self, connection: asyncpg.Connection, random: Random, lost: list[str]) -> None:
        self._connection, self._random, self._lost = connection, random, lost
        self.fetchrow = connection.fetchrow
        self.terminate = connection.terminate

    async def execute(self, query: str, *arguments: Any) -> str:
        """Run a statement without result; raises ConnectionResetError."""
        status: str = await self._connection.execute(query, *arguments)
        if query.startswith("COMMIT") and self._random.random() < LOSS:
            self._lost.append(status)
            raise ConnectionResetError("the answer is lost")
        return status


def lossy(url: str, random: Random, lost: list[str]) -> Connect:
    """Connections of a lane that lose answers."""

    async def connect() -> LossyConnection:
        return LossyConnection(await connect_app(url, lane=True), random, lost)

    return connect


class Run:
    """What was sent in one run, and what was told."""

    def __init__(self, desks: tuple[Desk, Desk]) -> None:
        self.desks = desks
        self.told: dict[UUID, tuple[Call, Told]] = {}

    async def play(self, seed: str, blocks: int) -> None:
        """Seat the player in three sessions, send everything, end the sessions."""
        first = self.desks[0]
        seats = [await first.seat(PLAYER, 300)]
        seats += [await first.another_session(PLAYER) for _ in range(2)]
        dealer = Dealer(Random(seed), [seat.session_id for seat in seats], rules_of(seed))
        for block in dealer.draw_blocks(blocks):
            await asyncio.gather(*(self.send_order(order) for order in block))
        for seat in seats:
            await self.leave(seat)

    async def send_order(self, order: Order) -> None:
        """Send a call as often as it is to be sent."""
        request = order.call
        for desk in order.desks:
            self.told[request.request_id] = (request, await self.submit(desk, request))
            request = structs.replace(request, request_id=IDS.new(request.bucket), nonce=None)

    async def submit(self, desk: int, request: Call) -> Told:
        """Outcomes, or the error."""
        try:
            return await self.desks[desk].lanes.submit(request)
        except CroupierError as error:
            return error

    async def leave(self, seat: Seat) -> None:
        """End a session, unless it was ended on the way."""
        await self.desks[0].ask(attempt(call(close_session(seat.session_id, player_id=PLAYER)), PLAYER))

    def failed(self) -> Iterator[tuple[str, str]]:
        """Answers that say no more than that something is wrong here."""
        for _, told in self.told.values():
            if isinstance(told, CroupierError) and told.kind.status >= 500:
                yield told.kind.code, told.detail

    def journals(self) -> set[UUID]:
        """Every journal entry that an answer named."""
        outcomes = [told for _, told in self.told.values() if not isinstance(told, CroupierError)]
        return {one.journal_id for told in outcomes for one in told if one.journal_id is not None}


def rules_of(seed: str) -> Rules:
    """The rules a seed is played under."""
    return RULES[seed.rpartition("-")[0]]


def is_approved(told: Told) -> bool:
    """Whether every action was approved."""
    return not isinstance(told, CroupierError) and all(outcome.is_approved for outcome in told)


async def require_told_as_booked(url: str, run: Run, seed: str) -> None:
    """Money moved only for requests that were told so, and every entry that was named exists."""
    connection = await connect_owner(url)
    try:
        moved = await connection.fetch(
            "SELECT request_id FROM money_reference WHERE provider = $1 AND journal_id IS NOT NULL", PROVIDER
        )
        entries = {row[0] for row in await connection.fetch("SELECT id FROM journal_entry")}
    finally:
        await connection.close()
    denied = [run.told[row[0]] for row in moved if not is_approved(run.told[row[0]][1])]
    assert not denied, f"seed {seed}: money moved and the answer says no: {denied[:2]}"
    assert moved, f"seed {seed}: nothing happened"
    assert run.journals() <= entries, f"seed {seed}: an answer names an entry that is not there"


async def play(url: str, seed: str, blocks: int, **options: Any) -> None:
    """One run from its seed to the judgement of its books."""
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(open_desk(url, lanes=2, **options)) for _ in range(2)]
        run = Run((one, other))
        await run.play(seed, blocks)
    assert not list(run.failed()), f"seed {seed}: {list(run.failed())[:3]}"
    await require_told_as_booked(url, run, seed)
    await require_sound_books(url)


@pytest.mark.parametrize("seed", STRESS_SEEDS)
async def test_whatever_meets_at_two_desks_the_answers_agree_with_the_books(
    database_url: str, seed: str
) -> None:
    await play(database_url, seed, blocks=12)


@pytest.mark.parametrize("seed", LOST_SEEDS)
async def test_answers_agree_with_the_books_though_the_answers_of_commits_are_lost(
    database_url: str, seed: str
) -> None:
    lost: list[str] = []
    connect = lossy(database_url, Random(seed), lost)
    await play(database_url, seed, blocks=8, connect=connect, outage_s=30.0)
    assert lost, "no answer was lost"
