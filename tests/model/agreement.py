"""Histories of a wallet, its calls and a ledger that agree, and what is planted in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct, field, structs

from croupier.settlement.agreement import SKEW, Held, Listed, Unasked, Window
from croupier.settlement.agreement.records import Asked, Target
from croupier.settlement.agreement.windows import LongLived

DAWN = datetime(2026, 3, 1, tzinfo=UTC)
DEADLINE = timedelta(minutes=10)
Planted = tuple[str, str]
"""Kind and subject of a difference."""


class History(Struct):
    """What three sides hold, and which differences were planted; the fourth, the providers', is in the calls."""

    held: list[Held] = field(default_factory=list)
    listed: list[Listed] = field(default_factory=list)
    unasked: list[Unasked] = field(default_factory=list)
    planted: list[Planted] = field(default_factory=list)


class MemorySides:
    """Our sides of a history, as the database would answer."""

    def __init__(self, history: History) -> None:
        self._held = history.held
        self._unasked = history.unasked
        self.most_held = 0

    def _settled(self, window: Window) -> list[Held]:
        inside = [one for one in self._held if one.settled_at is not None and window.holds(one.settled_at)]
        return sorted(inside, key=lambda one: (one.settled_at, one.name))

    async def load_slice_end(self, window: Window, calls: int) -> datetime:
        """As `Sides` says."""
        times = [one.settled_at for one in self._settled(window) if one.settled_at is not None]
        later = [at for at in times[calls:] if at > window.starts_at]
        return later[0] if later else window.ends_at

    async def load_long_lived(self, window: Window, short_life: timedelta) -> LongLived:
        """As `Sides` says."""
        found = [
            one
            for one in self._settled(window)
            if one.state != "undone"
            and one.settled_at is not None
            and one.settled_at - one.begun_at > short_life
        ]
        targets = [one.target.name for one in found if one.target is not None]
        return LongLived(
            frozenset([*(one.name for one in found), *targets]),
            min((one.begun_at for one in found), default=None),
        )

    async def load_settled(self, window: Window) -> list[Held]:
        """As `Sides` says."""
        found = self._settled(window)
        self.most_held = max(self.most_held, len(found))
        return found

    async def load_named(self, names: Sequence[str]) -> dict[str, Held]:
        """As `Sides` says."""
        return {one.name: one for one in self._held if one.name in set(names)}

    async def load_unasked(self, window: Window) -> AsyncIterator[Sequence[Unasked]]:
        """As `Sides` says."""
        yield [one for one in self._unasked if window.holds(one.recorded_at)]


def statement_of(history: History, page: int) -> Any:
    """Their statement in pages of so many movements."""
    ordered = sorted(history.listed, key=lambda one: one.recorded_at)

    async def load(window: Window) -> AsyncIterator[Sequence[Listed]]:
        found = [one for one in ordered if window.holds(one.recorded_at)]
        for place in range(0, len(found), page):
            yield found[place : place + page]

    return load


def name_of(number: int) -> str:
    """The reference of a call at the wallet."""
    return f"wtx_{number:032x}"


def held(number: int, **given: Any) -> Held:
    """An approved debit of 100 that took a second, and is booked."""
    base = Held(
        name=name_of(number),
        player_id="player-1",
        asset="EUR",
        operation="debit",
        amount=100,
        booked="after",
        state="approved",
        moved=100,
        reason="ok",
        provider="acme",
        reference=f"bet-{number}",
        session_id=None,
        round_id=None,
        asked_at=DAWN,
        settled_at=DAWN + timedelta(seconds=1),
        deadline=DAWN + DEADLINE,
        owner="finance",
    )
    made = structs.replace(base, **given)
    if "deadline" not in given:
        made = structs.replace(made, deadline=made.asked_at + DEADLINE)
    if "entry_change" not in given and made.booked != "never":
        change = made.amount if made.booked == "before" else made.expected
        made = structs.replace(made, entry_change=change or None)
    if "asked" not in given and made.booked != "never":
        made = structs.replace(made, asked=asked_of(made))
    return made


def asked_of(call: Held) -> Asked:
    """What the provider asked for, as the call says."""
    action = {"debit": "bet", "credit": "win"}.get(call.operation, "rollback")
    status = "approved" if call.entry_change is not None else "declined"
    amount = None if action == "rollback" else call.amount
    return Asked(action=action, status=status, player_id=call.player_id, asset=call.asset, amount=amount)


def listed(call: Held, at: datetime | None = None, **given: Any) -> Listed:
    """The movement that a call's answer promises."""
    sign = {"debit": -1, "credit": 1}.get(call.operation, 1 if call.booked == "before" else -1)
    amount = call.amount if call.moved is None else call.moved
    base = Listed(
        reference=call.name,
        operation=call.operation,
        player_id=call.player_id,
        asset=call.asset,
        amount=amount,
        change=sign * amount,
        recorded_at=at or call.asked_at,
        wallet_reference=None,
    )
    return structs.replace(base, **given)


def undone_pair(number: int, **given: Any) -> tuple[Held, Held]:
    """A debit that was undone before anything was booked, and its undoing."""
    fields = {"state": "undone", "moved": None, "entry_change": None, "asked": None}
    undone = held(number, **given | fields)
    assert undone.settled_at is not None
    undoing = held(
        number + 1_000_000,
        **{
            **given,
            "operation": "rollback",
            "booked": "never",
            "asked_at": undone.settled_at,
            "settled_at": undone.settled_at + timedelta(seconds=1),
            "target": Target(undone.name, undone.asked_at, undone.settled_at),
        },
    )
    return undone, undoing


def unasked(number: int, at: datetime, change: int = 5) -> Unasked:
    """An entry that nobody asked the wallet for."""
    return Unasked(
        entry_id=UUID(int=number),
        kind="deposit",
        provider="operator",
        reference=f"cash-{number}",
        player_id="player-1",
        asset="EUR",
        change=change,
        session_id=None,
        round_id=None,
        recorded_at=at,
    )


ALL_AROUND = Window(DAWN - SKEW, DAWN + timedelta(hours=1))
