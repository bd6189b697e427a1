"""Whose session a provider's request is about, where the request itself does not say: looked up once, then known."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final
from uuid import UUID

import asyncpg

from croupier.errors import UNAVAILABLE, CroupierError
from croupier.ids import bucket_of_id
from croupier.providers.contract import Seat
from croupier.runtime.statements import load_statements

KNOWN_SEATS: Final = 50_000
"""How many sessions' seats one process remembers; what is in them never changes."""
LOOKUP_S: Final = 5.0

_SQL: Final = load_statements("croupier/runtime/seats.sql")


class Seats:
    """Looks seats up with the reading pool. What was found is remembered; what was not is looked for again."""

    def __init__(self, pool: Any, *, limit: int = KNOWN_SEATS) -> None:
        self._pool = pool
        self._limit = limit
        self._known: OrderedDict[tuple[str, UUID], Seat] = OrderedDict()

    async def find_seat(
        self, provider: str, session_id: UUID | None, references: tuple[str, ...]
    ) -> Seat | None:
        """The seat of a session of this provider account, else of a reference that was decided before; None without.

        Raises CroupierError (unavailable) when the database cannot be asked in time.
        """
        if session_id is not None:
            seat = self._known.get((provider, session_id)) or await self._load_session(provider, session_id)
            if seat is not None:
                return seat
        return await self._load_reference(provider, references) if references else None

    async def _load_session(self, provider: str, session_id: UUID) -> Seat | None:
        row = await self._fetch(_SQL["load_seat"].sql, bucket_of_id(session_id), session_id, provider)
        if row is None:
            return None
        seat = Seat(
            player_id=row["player_id"], asset=row["asset"], session_id=session_id, game_id=row["game_id"]
        )
        self._known[provider, session_id] = seat
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return seat

    async def _load_reference(self, provider: str, references: tuple[str, ...]) -> Seat | None:
        row = await self._fetch(_SQL["load_seat_of_reference"].sql, provider, list(references))
        if row is None:
            return None
        return Seat(player_id=row["player_id"], asset=row["asset"], session_id=row["session_id"])

    async def _fetch(self, statement: str, *arguments: Any) -> Any:
        try:
            return await self._pool.fetchrow(statement, *arguments, timeout=LOOKUP_S)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            detail = "the session could not be looked up in time; repeat the same reference"
            raise CroupierError(UNAVAILABLE, detail, retry_after_s=1) from None
