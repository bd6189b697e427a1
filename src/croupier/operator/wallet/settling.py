"""Settling: goes on from whatever is under way with the operator's wallet, wherever a process left it.

Any number of processes may do it. A player's calls are gone through in the order in which they were asked; what one
process has taken and does not finish is taken by another when its lease ends, which repeats the same reference.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import structlog
from msgspec import Struct, structs

from croupier.errors import INTERNAL, OVERLOADED, UNAVAILABLE, CroupierError
from croupier.ids import REQUEST, IdSource, render_id
from croupier.moneypath.commands import Call, Report
from croupier.moneypath.keeping import read_call
from croupier.moneypath.rows import read_wallet_call
from croupier.operator.wallet.desk import OURS, Caller, WalletDesk
from croupier.runtime.statements import load_statements
from croupier.wallet.calls import BET, Booked, CallState, WalletCall, WalletTerms, order_of
from croupier.wallet.port import NOT_FOUND, Approved, NotApplied, Operation, Refused, Unknown, Word

_log = structlog.get_logger("croupier.wallet")
_SQL: Final = load_statements("croupier/operator/wallet/settling.sql")

IDLE_S: Final = 0.5
"""How long to rest when nothing is due."""
PLAYERS: Final = 128
"""Most players taken at once."""
FOLLOWING: Final = 63
"""Most further calls of one player taken with the first."""
SWEEP: Final = 200
"""Most calls of one look at what is overdue or late."""
SWEEP_EVERY_S: Final = 5.0
LEASE: Final = timedelta(seconds=60)
LATE_APPROVAL: Final = "late_approval"

NOT_DECIDED: Final = frozenset({UNAVAILABLE, OVERLOADED, INTERNAL})
"""Errors of ours: nothing was taken in."""
AWAY: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, CroupierError)


class WalletLevel(Struct, frozen=True):
    """The calls that are open in one state, as measured; the age of the oldest in seconds."""

    state: str
    calls: int
    oldest_s: float


class SettlingParts(Struct, frozen=True, kw_only=True):
    """What settling needs: connections, its process's desk, ids, the clock, terms, and who is told the levels."""

    pool: asyncpg.Pool
    desk: WalletDesk
    ids: IdSource
    now: Callable[[], datetime]
    terms: WalletTerms
    timeout_s: float
    observe: Callable[[Sequence[WalletLevel]], None] = lambda _: None


class Settling:
    """Settles what is open, until told to stop."""

    def __init__(self, parts: SettlingParts) -> None:
        self._parts = parts
        self._swept_at_s: float | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Take what is due, again and again. A database or a wallet that is away is tried again next time."""
        while not stop.is_set():
            worked = 0
            try:
                worked = await self.turn()
            except AWAY as error:
                _log.warning("settling_failed", error=repr(error))
            if worked:
                continue
            try:
                await asyncio.wait_for(stop.wait(), IDLE_S)
            except TimeoutError:
                continue

    async def turn(self) -> int:
        """One turn; returns how many players were gone through."""
        if self._swept_at_s is None or time.monotonic() - self._swept_at_s >= SWEEP_EVERY_S:
            await self.sweep()
            self._swept_at_s = time.monotonic()
        parts = self._parts
        if parts.desk.wallet.is_away(Operation.CREDIT):
            return 0
        now = parts.now()
        rows = await parts.pool.fetch(_SQL["claim"].sql, now, now + LEASE, PLAYERS)
        heads = [_read_claimed(row) for row in rows]
        await asyncio.gather(*(self._go_through(head) for head in heads))
        return len(heads)

    async def _go_through(self, head: WalletCall) -> None:
        """Settle a player's calls in order, until one of them has no answer.

        It waits for no turn: whoever has the player's turn may be waiting for just this.
        """
        try:
            waiting = [head]
            while waiting:
                last = waiting[-1]
                for place, call in enumerate(waiting):
                    if not await self.settle_one(call):
                        await self.release(waiting[place + 1 :])
                        return
                waiting = await self._load_following(last)
        except AWAY as error:
            _log.warning("settling_failed", wallet_call=head.name, error=repr(error))

    async def _load_following(self, last: WalletCall) -> list[WalletCall]:
        now = self._parts.now()
        rows = await self._parts.pool.fetch(
            _SQL["claim_following"].sql, now, now + LEASE, last.bucket, last.player_id, last.id, FOLLOWING
        )
        return sorted(map(_read_claimed, rows), key=lambda call: call.id)

    async def release(self, calls: Sequence[WalletCall]) -> None:
        """Give back what was taken and not settled, as it was before."""
        if calls:
            states = [call.state for call in calls]
            await self._parts.pool.execute(_SQL["release"].sql, self._parts.now(), *_keys(calls), states)

    async def settle_one(self, call: WalletCall) -> bool:
        """Ask what is to be asked, and have the answer decided; whether that settles it."""
        return await self.take_in(call, await self._ask(call))

    async def take_in(self, call: WalletCall, word: Word) -> bool:
        """Have a word about a call decided, whoever said it; whether that settles it.

        Raises CroupierError when nothing was taken in.
        """
        if call.booked != Booked.AFTER:
            await self._parts.desk.tell(call, word)
        else:
            await self._resume(call, word)
        return isinstance(word, Approved | Refused) or (
            isinstance(word, NotApplied) and call.operation == Operation.DEBIT and call.booked == Booked.AFTER
        )

    async def _ask(self, call: WalletCall) -> Word:
        parts = self._parts
        order, ends_at_s = order_of(call), time.monotonic() + parts.timeout_s
        if call.state == CallState.QUEUED:
            return await parts.desk.wallet.move(order, ends_at_s=ends_at_s)
        word = await parts.desk.wallet.ask_status(order, ends_at_s=ends_at_s)
        if not isinstance(word, NotApplied) or word.reason != NOT_FOUND:
            return Unknown(word.reason) if isinstance(word, NotApplied) else word
        if call.action == BET:
            # Nobody waits for it any more. Once no attempt can be fresh, the wallet will never know it.
            is_stale = parts.now() >= (call.sent_at or call.asked_at) + parts.terms.stale_after
            return word if is_stale else Unknown(NOT_FOUND)
        word = await parts.desk.wallet.move(order, ends_at_s=ends_at_s)
        return Unknown(word.reason) if isinstance(word, NotApplied) else word

    async def _resume(self, call: WalletCall, word: Word) -> None:
        """Have the call decided that waits for this answer. What it would ask next nobody waits for any more."""
        assert call.request is not None, "what is booked afterwards is kept"  # noqa: S101 (narrowing)
        try:
            kept = read_call(call.request)
        except (msgspec.MsgspecError, KeyError) as error:
            _log.error("kept_call_unreadable", wallet_call=call.name, error=repr(error))
            raise CroupierError(INTERNAL, "the kept call is of another version") from None
        resumed = structs.replace(kept, words=((call.id, word),), is_late=True, is_wallet_away=True)
        try:
            await self._parts.desk.conduct(resumed, Caller.nobody())
        except CroupierError as error:
            if error.kind in NOT_DECIDED:
                raise
            # An error is what came of the call, and the answer was taken in before it.
            _log.info("resumed_call_not_taken", wallet_call=call.name, error_code=error.kind.code)

    async def sweep(self) -> None:
        """Tell people of what is overdue, look after bets that came too late, and measure."""
        parts, now = self._parts, self._parts.now()
        for row in await parts.pool.fetch(_SQL["overdue"].sql, now, SWEEP):
            call = read_wallet_call(row["call"])
            reason = call.reason or "not_asked_yet"
            word = NotApplied(reason) if call.state == CallState.QUEUED else Unknown(reason)
            await parts.desk.tell(call, word)
        await self._look_after_late(now)
        parts.observe(await self.load_levels())

    async def _look_after_late(self, now: datetime) -> None:
        parts = self._parts
        rows = await parts.pool.fetch(_SQL["late"].sql, now - parts.terms.late_grace, SWEEP)
        calls = [read_wallet_call(row["call"]) for row in rows]
        for call, row in zip(calls, rows, strict=True):
            if row["is_forsaken"]:
                await parts.desk.submit(self._report(call))
        if calls:
            await parts.pool.execute(_SQL["looked_at_late"].sql, *_keys(calls))

    def _report(self, call: WalletCall) -> Call:
        request_id = self._parts.ids.new(call.bucket)
        report = Report(
            player_id=call.player_id,
            kind=LATE_APPROVAL,
            subject=call.name,
            explanation=(
                f"the operator's wallet approved bet {call.reference} after {call.provider} had been told that nobody "
                "knows; the provider neither rolled it back nor went on with its round: settle it with the provider"
            ),
            owner=call.owner,
            session_id=call.session_id,
            round_id=call.round_id,
            asset=call.asset,
            amount=call.amount,
        )
        return Call(
            provider=call.provider,
            player_id=call.player_id,
            bucket=call.bucket,
            request_id=request_id,
            correlation_id=render_id(REQUEST, request_id),
            actions=(report,),
            time_source=OURS,
        )

    async def load_levels(self) -> list[WalletLevel]:
        """How much is open with the wallet, by state."""
        now = self._parts.now()
        return [_level(row, now) for row in await self._parts.pool.fetch(_SQL["levels"].sql)]


def _read_claimed(row: Mapping[str, Any]) -> WalletCall:
    """A call as it was before it was taken: that says what must be asked of it first."""
    return structs.replace(read_wallet_call(row["call"]), state=row["was"])


def _level(row: Mapping[str, Any], now: datetime) -> WalletLevel:
    oldest_s = max(0.0, (now - row["oldest"]).total_seconds())
    return WalletLevel(row["state"], row["calls"], oldest_s)


def _keys(calls: Sequence[WalletCall]) -> tuple[list[int], list[UUID]]:
    return [call.bucket for call in calls], [call.id for call in calls]
