"""Our sides of a comparison, read from the database by pages: wallet calls, what is booked and what providers asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from croupier.ids import BUCKETS, WALLET_CALL, MalformedId, bucket_of_id, first_id, parse_id, render_id
from croupier.runtime.statements import load_statements
from croupier.settlement.agreement.records import Asked, Held, Target, Unasked, Window
from croupier.settlement.agreement.windows import LongLived

_SQL: Final = load_statements("croupier/settlement/agreement/sides.sql")

PAGE: Final = 2_000
"""Most calls read by one statement."""
ENTRIES: Final = 500
"""Most entries read by one statement."""
ID_SKEW: Final = timedelta(minutes=5)
"""How far the time in an entry's id may be from the time at which it was recorded."""
_NONE: Final = UUID(int=0)


class DatabaseSides:
    """Our sides as the database holds them. Raises asyncpg.PostgresError and OSError."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def load_slice_end(self, window: Window, calls: int) -> datetime:
        """When a slice from the start of the window ends that holds about so many calls."""
        given = window.starts_at, window.ends_at
        end: datetime | None = await self._pool.fetchval(_SQL["slice_end"].sql, *given, calls)
        if end == window.starts_at:
            end = await self._pool.fetchval(_SQL["next_moment"].sql, *given)
        return window.ends_at if end is None else end

    async def load_long_lived(self, window: Window, short_life: timedelta) -> LongLived:
        """Which calls settled in the window began longer before than that."""
        rows = await self._pool.fetch(
            _SQL["long_lived"].sql, window.starts_at, window.ends_at, short_life, timeout=None
        )
        ids = [row[name] for row in rows for name in ("id", "target_id") if row[name] is not None]
        return LongLived(
            frozenset(render_id(WALLET_CALL, value) for value in ids),
            min((row["begun_at"] for row in rows), default=None),
        )

    async def load_settled(self, window: Window) -> list[Held]:
        """The calls that were settled in a window."""
        held: list[Held] = []
        last: tuple[datetime, int, UUID] = (window.starts_at, -1, _NONE)
        while True:
            keys = await self._pool.fetch(
                _SQL["settled_keys"].sql, last[0], window.ends_at, last[1], last[2], PAGE
            )
            held.extend(await self._load([(row["bucket"], row["id"]) for row in keys]))
            if len(keys) < PAGE:
                return held
            last = keys[-1]["settled_at"], keys[-1]["bucket"], keys[-1]["id"]

    async def load_named(self, names: Sequence[str]) -> dict[str, Held]:
        """The calls with these references at the wallet; what is no reference of ours has none."""
        ids = [value for name in names if (value := _id_of(name)) is not None]
        found: dict[str, Held] = {}
        for place in range(0, len(ids), PAGE):
            keys = [(bucket_of_id(value), value) for value in ids[place : place + PAGE]]
            found.update({call.name: call for call in await self._load(keys)})
        return found

    async def load_unasked(self, window: Window) -> AsyncIterator[Sequence[Unasked]]:
        """The entries of a window that move a mirror without a wallet call. Their ids are in the order of time."""
        until = first_id(window.ends_at + ID_SKEW)
        for bucket in range(BUCKETS):
            after = first_id(window.starts_at - ID_SKEW), "", ""
            while True:
                rows = await self._pool.fetch(
                    _SQL["unasked_entries"].sql,
                    bucket,
                    after[0],
                    until,
                    window.starts_at,
                    window.ends_at,
                    ENTRIES,
                    *after[1:],
                )
                if rows:
                    yield [_unasked(row) for row in rows]
                if len(rows) < ENTRIES:
                    break
                after = rows[-1]["id"], rows[-1]["player_id"], rows[-1]["asset"]

    async def _load(self, keys: Sequence[tuple[int, UUID]]) -> list[Held]:
        if not keys:
            return []
        rows = await self._pool.fetch(
            _SQL["load_held"].sql, [bucket for bucket, _ in keys], [value for _, value in keys]
        )
        return [_held(row) for row in rows]


def _id_of(name: str) -> UUID | None:
    try:
        return parse_id(WALLET_CALL, name)
    except MalformedId:
        return None


def _held(row: Any) -> Held:
    return Held(
        name=render_id(WALLET_CALL, row["id"]),
        player_id=row["player_id"],
        asset=row["asset"],
        operation=row["operation"],
        amount=int(row["amount"]),
        booked=row["booked"],
        state=row["state"],
        moved=_whole(row["moved"]),
        reason=row["reason"],
        provider=row["provider"],
        reference=row["reference"],
        session_id=row["session_id"],
        round_id=row["round_id"],
        asked_at=row["asked_at"],
        settled_at=row["settled_at"],
        deadline=row["deadline"],
        owner=row["owner"],
        entry_change=_whole(row["entry_change"]),
        asked=_asked(row),
        target=_target(row),
    )


def _asked(row: Any) -> Asked | None:
    if row["asked_status"] is None:
        return None
    return Asked(
        action=row["asked_action"],
        status=row["asked_status"],
        player_id=row["asked_player_id"],
        asset=row["asked_asset"],
        amount=_whole(row["asked_amount"]),
    )


def _target(row: Any) -> Target | None:
    if row["target_id"] is None:
        return None
    name = render_id(WALLET_CALL, row["target_id"])
    return Target(name, row["target_asked_at"], row["target_undone_at"])


def _unasked(row: Any) -> Unasked:
    return Unasked(
        entry_id=row["id"],
        kind=row["kind"],
        provider=row["provider"],
        reference=row["reference"],
        player_id=row["player_id"],
        asset=row["asset"],
        change=int(row["change"]),
        session_id=row["session_id"],
        round_id=row["round_id"],
        recorded_at=row["recorded_at"],
    )


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)
