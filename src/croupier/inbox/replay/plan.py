"""The plan of a replay: what a run would do, found by rehearsing every call and writing nothing."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from croupier.ids import DELIVERY, render_id
from croupier.inbox.process import APPLIED, Finish
from croupier.inbox.replay.reading import Reader, Unusable
from croupier.inbox.replay.results import FAILED, judge
from croupier.inbox.replay.window import (
    Batch,
    Delivery,
    Window,
    load_batches,
    load_deliveries,
    read_ahead,
)
from croupier.moneypath.commands import Call
from croupier.moneypath.facts import Break, Facts, Stamp
from croupier.moneypath.faults import Fault, classify
from croupier.moneypath.rehearsal import LOCK_WAIT_MS, Rehearsal, Rehearsed, rehearse
from croupier.runtime.statements import load_statements
from croupier.wallet.calls import WalletTerms

RACES: Final = 30
"""Most times one batch is rehearsed because somebody held its players: they move money, a plan can wait."""
LONGEST_PAUSE_S: Final = 0.5
EXAMPLES: Final = 5

_SQL: Final = load_statements("croupier/inbox/replay/plan.sql")
_JITTER: Final = random.Random()  # noqa: S311 (spreads retries, guards nothing)


class Moves(Struct):
    """What would move in players' wallets in one asset, in minor units; both are zero or more."""

    credits: int = 0
    debits: int = 0

    def add(self, moved: int) -> None:
        """Count one change of a wallet."""
        if moved > 0:
            self.credits += moved
        else:
            self.debits -= moved


class Obstacle(Struct):
    """Why some deliveries cannot be replayed, how many, and the first of them."""

    cause: str
    count: int = 0
    detail: str = ""
    examples: list[str] = []


class Expectation(Struct, frozen=True, gc=False):
    """The effect that a run is expected to have for one delivery; `moved` in minor units of the player's wallet."""

    bucket: int
    id: UUID
    asset: str | None
    moved: int


class Plan(Struct, kw_only=True):
    """What a run would do as things stand. `results` counts deliveries by what would become of them."""

    window: Window
    planned_at: datetime
    deliveries: int = 0
    oldest_at: datetime | None = None
    newest_at: datetime | None = None
    by_provider: Counter[str]
    by_type: Counter[str]
    results: Counter[str]
    codes: dict[str, Counter[str]]
    moves: dict[str, Moves]
    entries: int = 0
    breaks: int = 0
    obstacles: dict[str, Obstacle]


class Planner:
    """Rehearses a window and counts.

    `connection` reads; `lane` has a lane's settings and rehearses. `expect` hears of every delivery that would have
    an effect, `on_progress` how many deliveries are done.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        lane: asyncpg.Connection,
        reader: Reader,
        make_stamp: Callable[[], Stamp],
        *,
        wallet: WalletTerms | None = None,
        expect: Callable[[Expectation], None] = lambda _: None,
        on_progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        self._connection = connection
        self._lane = lane
        self._reader = reader
        self._make_stamp = make_stamp
        self._wallet = wallet
        self._expect = expect
        self._on_progress = on_progress
        self._found: set[tuple[int, str, str, str]] = set()

    async def plan(self, window: Window, now: datetime) -> Plan:
        """Rehearse every delivery of the window. Raises the driver's errors."""
        made = Plan(
            window=window,
            planned_at=now,
            by_provider=Counter(),
            by_type=Counter(),
            results=Counter(),
            codes={},
            moves={},
            obstacles={},
        )
        facts: Facts | None = None
        async with aclosing(read_ahead(load_batches(self._connection, window), self._load)) as batches:
            async for batch, read in batches:
                facts = await self._rehearse_batch(made, read, facts if batch.is_continued else None)
                self._on_progress(made.deliveries)
        made.breaks = await self._count_new_breaks()
        return made

    async def _load(self, batch: Batch) -> list[tuple[Delivery, Call | Unusable]]:
        deliveries = await load_deliveries(self._connection, batch)
        return [(delivery, self._reader.read(delivery)) for delivery in deliveries]

    async def _rehearse_batch(
        self, made: Plan, read: Sequence[tuple[Delivery, Call | Unusable]], earlier: Facts | None
    ) -> Facts | None:
        calls = [call for _, call in read if isinstance(call, Call)]
        rehearsal = await self._rehearse_patiently(calls, earlier) if calls else None
        results = iter(rehearsal.results if rehearsal is not None else ())
        for delivery, call in read:
            _count_delivery(made, delivery)
            if isinstance(call, Unusable):
                _count_obstacle(made, delivery, call)
            else:
                self._count(made, delivery, next(results))
        return earlier if rehearsal is None else rehearsal.facts

    async def _rehearse_patiently(self, calls: Sequence[Call], earlier: Facts | None) -> Rehearsal:
        for race in range(RACES):
            try:
                return await rehearse(
                    self._lane, calls, self._make_stamp, earlier=earlier, wallet=self._wallet
                )
            except asyncpg.PostgresError as error:
                if classify(error) not in (Fault.BUSY, Fault.RACE):
                    raise
            await asyncio.sleep(_JITTER.uniform(0, min(LONGEST_PAUSE_S, 0.01 * 2**race)))
        patient_ms = LOCK_WAIT_MS * RACES
        return await rehearse(
            self._lane, calls, self._make_stamp, earlier=earlier, lock_wait_ms=patient_ms, wallet=self._wallet
        )

    def _count(self, made: Plan, delivery: Delivery, rehearsed: Rehearsed) -> None:
        judged = judge(rehearsed.answer)
        made.results[judged.result] += 1
        made.codes.setdefault(judged.result, Counter())[judged.code] += 1
        made.entries += rehearsed.entries
        self._found.update(map(_name_break, rehearsed.breaks))
        for asset, moved in rehearsed.wallets:
            made.moves.setdefault(asset, Moves()).add(moved)
        if judged.result == APPLIED:
            self._expect(_expected(delivery, judged, rehearsed))

    async def _count_new_breaks(self) -> int:
        """How many of the breaks are not there yet: a finding is opened once."""
        if not self._found:
            return 0
        columns = [list(column) for column in zip(*self._found, strict=True)]
        known = await self._connection.fetchval(_SQL["count_known_breaks"].sql, *columns)
        return len(self._found) - int(known)


def _name_break(found: Break) -> tuple[int, str, str, str]:
    return found.bucket, found.provider, found.kind, found.subject


def _count_delivery(made: Plan, delivery: Delivery) -> None:
    made.deliveries += 1
    made.by_provider[delivery.provider] += 1
    made.by_type[delivery.type] += 1
    at = delivery.received_at
    made.oldest_at = at if made.oldest_at is None else min(made.oldest_at, at)
    made.newest_at = at if made.newest_at is None else max(made.newest_at, at)


def _count_obstacle(made: Plan, delivery: Delivery, unusable: Unusable) -> None:
    made.results[FAILED] += 1
    made.codes.setdefault(FAILED, Counter())[unusable.cause] += 1
    obstacle = made.obstacles.setdefault(unusable.cause, Obstacle(unusable.cause, detail=unusable.detail))
    obstacle.count += 1
    if len(obstacle.examples) < EXAMPLES:
        obstacle.examples.append(render_id(DELIVERY, delivery.id))


def _expected(delivery: Delivery, judged: Finish, rehearsed: Rehearsed) -> Expectation:
    moved = dict(rehearsed.wallets).get(judged.asset or "", 0)
    return Expectation(delivery.bucket, delivery.id, judged.asset, moved)


def render_plan(plan: Plan) -> dict[str, Any]:
    """A plan as a JSON document; money is text of whole minor units."""
    return {
        "window": render_window(plan.window),
        "planned_at": plan.planned_at,
        "deliveries": plan.deliveries,
        "oldest_at": plan.oldest_at,
        "newest_at": plan.newest_at,
        "by_provider": dict(sorted(plan.by_provider.items())),
        "by_type": dict(sorted(plan.by_type.items())),
        "results": dict(sorted(plan.results.items())),
        "codes": {result: dict(sorted(codes.items())) for result, codes in sorted(plan.codes.items())},
        "effects": {
            "deliveries": plan.results[APPLIED],
            "entries": plan.entries,
            "breaks": plan.breaks,
            "money": render_moves(plan.moves),
        },
        "obstacles": [plan.obstacles[cause] for cause in sorted(plan.obstacles)],
    }


def render_moves(moves: dict[str, Moves]) -> dict[str, dict[str, str]]:
    """By asset what players get, what is taken from them, and the sum."""
    return {
        asset: {
            "credits": str(one.credits),
            "debits": str(one.debits),
            "net": str(one.credits - one.debits),
        }
        for asset, one in sorted(moves.items())
    }


def render_window(window: Window) -> dict[str, Any]:
    """A window with the filters that are set."""
    document: dict[str, Any] = {"from": window.start, "to": window.end}
    named = {
        "provider": window.provider,
        "type": window.type,
        "round_id": window.round_id,
        "session_id": None if window.session_id is None else render_id("ses", window.session_id),
        "player_id": window.player_id,
        "results": list(window.results) or None,
        "last": None if window.last_id is None else render_id(DELIVERY, window.last_id),
    }
    return document | {name: value for name, value in named.items() if value is not None}
