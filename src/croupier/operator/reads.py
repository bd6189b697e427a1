"""Reads of the operator API: bounded, keyed by bucket where a player or an id is named, outside the lanes."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import asyncpg
import structlog

from croupier.errors import UNAVAILABLE, CroupierError
from croupier.ids import bucket_of, bucket_of_id
from croupier.moneypath.commands import Idempotency
from croupier.operator.paging import NEWEST, OLDEST, PageRequest, cut
from croupier.operator.views import (
    BreakPage,
    EligibilityPage,
    EventView,
    JournalPage,
    PostingView,
    RestrictionPage,
    RestrictionView,
    RoundPage,
    RoundView,
    SessionPage,
    SessionView,
    TimelinePage,
    WalletView,
    view_break,
    view_entry,
    view_event,
    view_posting,
    view_restriction,
    view_round,
    view_ruling,
    view_session,
    view_wallet,
)
from croupier.play.session import OPEN_FOR_PLAY
from croupier.runtime.statements import load_statements

_log = structlog.get_logger("croupier.operator.reads")
_SQL: Final = {name: one.sql for name, one in load_statements("croupier/operator/reads.sql").items()}
AWAY: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)
"""What passes: a connection, a shutdown, a time-out. A statement that is wrong stays a fault of ours."""

READ_TIMEOUT_S: Final = 5.0


class OperatorReads:
    """Current state and history, as views. Every method raises `unavailable` when the database is away."""

    def __init__(self, pool: asyncpg.Pool, timeout_s: float = READ_TIMEOUT_S) -> None:
        self._pool = pool
        self._timeout_s = timeout_s

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        try:
            async with self._pool.acquire(timeout=self._timeout_s) as connection:
                rows: list[Any] = await connection.fetch(_SQL[name], *arguments, timeout=self._timeout_s)
        except AWAY as error:
            _log.warning("read_failed", statement=name, error=repr(error))
            raise CroupierError(
                UNAVAILABLE, "the database did not answer in time; ask again", retry_after_s=1
            ) from None
        return rows

    async def load_session(self, session_id: UUID) -> SessionView | None:
        """One session, or None."""
        rows = await self._fetch("session_by_id", bucket_of_id(session_id), session_id)
        return view_session(rows[0]) if rows else None

    async def is_answered(self, wanted: Idempotency) -> bool:
        """Whether a request was answered under this Idempotency-Key."""
        rows = await self._fetch("is_answered", wanted.bucket, wanted.api_key_id, wanted.key)
        return bool(rows[0]["is_answered"])

    async def load_sessions(self, player_id: str, state: str | None, page: PageRequest) -> SessionPage:
        """A player's sessions, newest first."""
        found = await self._fetch(
            "sessions_of_player",
            bucket_of(player_id),
            player_id,
            state,
            page.id_or(NEWEST),
            page.limit + 1,
        )
        rows, cursor = cut(found, page, lambda row: row["id"])
        return SessionPage([view_session(row) for row in rows], cursor)

    async def load_timeline(self, session_id: UUID, session: SessionView, page: PageRequest) -> TimelinePage:
        """A session's history, oldest first."""
        found = await self._fetch(
            "timeline", bucket_of_id(session_id), session_id, page.number_or(0), page.limit + 1
        )
        rows, cursor = cut(found, page, lambda row: row["seq"])
        events: list[EventView] = [view_event(row, session.asset) for row in rows]
        return TimelinePage(session.session_id, events, cursor)

    async def load_wallet(self, player_id: str, asset: str) -> WalletView | None:
        """A player's wallet in one asset; None for a player nobody ever deposited for or launched."""
        rows = await self._fetch("balances_of_player", bucket_of(player_id), player_id)
        return view_wallet(rows, player_id, asset) if rows else None

    async def load_restriction(self, player_id: str, restriction_id: UUID) -> RestrictionView | None:
        """One restriction of a player, or None."""
        rows = await self._fetch("restriction_by_id", bucket_of(player_id), player_id, restriction_id)
        return view_restriction(rows[0]) if rows else None

    async def load_restrictions(self, player_id: str, page: PageRequest) -> RestrictionPage:
        """A player's restrictions, newest first, those that are over included."""
        found = await self._fetch(
            "restrictions_of_player", bucket_of(player_id), player_id, page.id_or(NEWEST), page.limit + 1
        )
        rows, cursor = cut(found, page, lambda row: row["id"])
        return RestrictionPage([view_restriction(row) for row in rows], cursor)

    async def load_rulings(self, player_id: str, page: PageRequest) -> EligibilityPage:
        """Decisions whether a player may open a game, newest first."""
        found = await self._fetch(
            "rulings_of_player", bucket_of(player_id), player_id, page.id_or(NEWEST), page.limit + 1
        )
        rows, cursor = cut(found, page, lambda row: row["id"])
        return EligibilityPage([view_ruling(row) for row in rows], cursor)

    async def load_playable(self, player_id: str, limit: int) -> list[UUID]:
        """Some of a player's sessions that are open for play, whoever provides them."""
        states = sorted(OPEN_FOR_PLAY)
        rows = await self._fetch(
            "playable_sessions_of_player", bucket_of(player_id), player_id, states, limit
        )
        return [row["id"] for row in rows]

    async def load_round(self, round_id: UUID) -> RoundView | None:
        """One round, or None."""
        rows = await self._fetch("round_by_id", bucket_of_id(round_id), round_id)
        return view_round(rows[0]) if rows else None

    async def load_rounds(
        self, session_id: UUID, provider_round_id: str | None, page: PageRequest
    ) -> RoundPage:
        """A session's rounds in the order of the provider's round ids, or the one of that id."""
        found = await self._fetch(
            "rounds_of_session",
            bucket_of_id(session_id),
            session_id,
            provider_round_id,
            page.text_or(""),
            page.limit + 1,
        )
        rows, cursor = cut(found, page, lambda row: row["provider_round_id"])
        return RoundPage([view_round(row) for row in rows], cursor)

    async def load_journal(self, player_id: str, session_id: UUID | None, page: PageRequest) -> JournalPage:
        """A player's journal entries with their postings, newest first, all or those of one session."""
        bucket = bucket_of(player_id)
        found = await self._fetch(
            "entries_of_player",
            bucket,
            player_id,
            session_id,
            page.id_or(NEWEST),
            page.limit + 1,
        )
        rows, cursor = cut(found, page, lambda row: row["id"])
        postings = await self._load_postings(bucket, [row["id"] for row in rows])
        return JournalPage([view_entry(row, postings.get(row["id"], [])) for row in rows], cursor)

    async def _load_postings(self, bucket: int, entries: list[UUID]) -> dict[UUID, list[PostingView]]:
        grouped: dict[UUID, list[PostingView]] = {}
        if entries:
            for row in await self._fetch("postings_of_entries", bucket, entries):
                grouped.setdefault(row["entry_id"], []).append(view_posting(row))
        return grouped

    async def load_breaks(self, player_id: str | None, page: PageRequest) -> BreakPage:
        """Open breaks, oldest first, of one player or of all."""
        first, limit = page.id_or(OLDEST), page.limit + 1
        if player_id is None:
            found = await self._fetch("open_breaks", first, limit)
        else:
            found = await self._fetch("open_breaks_of_player", bucket_of(player_id), player_id, first, limit)
        rows, cursor = cut(found, page, lambda row: row["id"])
        return BreakPage([view_break(row) for row in rows], cursor)
