"""What the rest of Croupier asks the operator's wallet through: bounded, held back by breakers, and never guessing.

A movement is sent once. It is sent again, under the same reference, only when it was certainly not applied, or when its
status says that the wallet never heard of it; each time that costs a part of the budget, and fits into the deadline.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Final, Protocol, TypeVar, assert_never

import structlog
from msgspec import Struct

from croupier.errors import CroupierError
from croupier.operator.wallet.client import TIMEOUT, Lost, WalletClient, WalletSettings
from croupier.operator.wallet.endpoints import BALANCE_ENDPOINT, ENDPOINTS, STATUS_ENDPOINT
from croupier.operator.wallet.gate import Gate, LateUnderway, Parcel, Turn
from croupier.operator.wallet.replies import (
    Answer,
    Heard,
    Movement,
    Page,
    read_balance,
    read_batch,
    read_movement,
    read_statement,
    read_status,
)
from croupier.operator.wallet.wire import (
    BALANCE,
    BATCH,
    BATCH_BYTES,
    PATHS,
    STATEMENT,
    STATUS,
    render_balance,
    render_batch,
    render_movement,
    render_statement,
    render_status,
)
from croupier.providers.breakers.desk import Breakers, Ended
from croupier.providers.breakers.store import Endpoint
from croupier.providers.contract import Reply
from croupier.providers.retries import PASSING_FAULTS, RetryBudget, plan_pause, read_retry_after_s
from croupier.wallet.port import (
    BREAKER_OPEN,
    NOT_FOUND,
    Approved,
    Balance,
    NotApplied,
    Operation,
    Refused,
    Unknown,
    WalletOrder,
    Word,
)

_log = structlog.get_logger("croupier.wallet")

T = TypeVar("T")

OUT_OF_TURN: Final = "out_of_turn"
TOO_MANY_WAITING: Final = "too_many_waiting"
NO_CONNECTION: Final = "no_connection_in_time"
LOST: Final = "lost"
ANSWERED: Final = "answered"
UNKNOWN: Final = "unknown"
GIVEN_UP: Final = "given_up"
FAIR_WAIT_S: Final = 1.0
"""A wallet has so long by the contract: silence after less says nothing about it."""
NO_TIME_S: Final = 0.0
PAGE_S: Final = 30.0
PAGE_ATTEMPTS: Final = 3
_JITTER: Final = random.Random()  # noqa: S311 (spreads retries, guards nothing)


class CallRecord(Struct, frozen=True, gc=False):
    """One request: what it asked, what it came to (a word of few), seconds, and how many movements it carried."""

    operation: str
    outcome: str
    duration_s: float
    movements: int


class WalletWatch(Protocol):
    """Who is told of requests."""

    def begin_request(self) -> None:
        """One is sent."""
        ...

    def end_request(self, record: CallRecord) -> None:
        """It came back, or will not."""
        ...

    def note_budget(self, percent: int) -> None:
        """How full the budget of retries is."""
        ...


class NobodyWatches:
    """Nothing is told to anybody."""

    def begin_request(self) -> None:
        """Nothing."""

    def end_request(self, record: CallRecord) -> None:
        """Nothing."""

    def note_budget(self, percent: int) -> None:
        """Nothing."""


class StatementUnreadable(Exception):
    """The wallet's statement could not be had whole; `reason` is a stable word."""

    def __init__(self, reason: str, page: int) -> None:
        super().__init__(f"page {page} of the wallet's statement: {reason}")
        self.reason = reason


class _Item(Struct, frozen=True, gc=False):
    order: WalletOrder
    body: bytes


class _Question(Struct, frozen=True, gc=False):
    operation: str
    path: str
    body: bytes
    correlation_id: str | None
    movements: int = 0


_Trip = tuple[Heard[Word], float]
"""What was heard, and how many seconds the wallet took."""


class RemoteWallet:
    """The operator's wallet. Every `ends_at_s` is by the monotonic clock, and is the end of the whole call.

    The caller keeps one player's movements in order: it asks for the next when the one before has come back.
    """

    def __init__(
        self,
        client: WalletClient,
        breakers: Breakers,
        settings: WalletSettings,
        now: Callable[[], datetime],
        watch: WalletWatch | None = None,
    ) -> None:
        self._client = client
        self._breakers = breakers
        self._settings = settings
        self._now = now
        self._watch = watch or NobodyWatches()
        self._budget = RetryBudget(settings.retries)
        self._moving: set[tuple[str, str]] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._gate: Gate[_Item, _Trip] = Gate(
            connections=settings.connections,
            queue=settings.queue,
            together=settings.batch,
            bytes_together=BATCH_BYTES,
            carry=self._carry_together,
        )

    def is_away(self, operation: Operation) -> bool:
        """Whether a movement would not be sent now, as far as this process knows.

        A wallet that does not even say what became of earlier ones is asked for nothing new.
        """
        return self._breakers.is_open(ENDPOINTS[operation]) or self._breakers.is_open(STATUS_ENDPOINT)

    async def move(self, order: WalletOrder, *, ends_at_s: float) -> Word:
        """Ask for a movement. `NotApplied` is said only when no attempt can have reached the wallet's books.

        While another one of the player's is under way nothing is sent: a process that stood still for longer than its
        lease may find its own call due again.
        """
        whose = (order.player_id, order.asset)
        if whose in self._moving:
            _log.error("wallet_asked_out_of_turn", wallet_call=order.reference)
            return Unknown(OUT_OF_TURN)
        self._moving.add(whose)
        try:
            return await self._move(order, ends_at_s)
        finally:
            self._moving.discard(whose)

    async def ask_status(self, order: WalletOrder, *, ends_at_s: float) -> Word:
        """What became of a movement: approved, refused, not applied (`not_found`), or unknown."""
        question = _Question("status", STATUS, render_status(order), order.correlation_id)
        ends_at_s = self._earlier_end_s(ends_at_s)
        heard = await self._guard(
            STATUS_ENDPOINT,
            ends_at_s,
            lambda: self._ask(question, lambda answer: (read_status(order, answer),), ends_at_s),
        )
        word = heard.word
        if isinstance(word, NotApplied) and word.reason != NOT_FOUND:
            return Unknown(word.reason)
        return word

    async def load_balance(
        self, player_id: str, asset: str, *, correlation_id: str, ends_at_s: float
    ) -> Balance | Refused | Unknown:
        """What a player has in an asset; refused when the wallet knows no such player or asset."""
        question = _Question("balance", BALANCE, render_balance(player_id, asset), correlation_id)
        ends_at_s = self._earlier_end_s(ends_at_s)
        heard = await self._guard(
            BALANCE_ENDPOINT,
            ends_at_s,
            lambda: self._ask(question, lambda answer: (read_balance(player_id, asset, answer),), ends_at_s),
        )
        word = heard.word
        return Unknown(word.reason) if isinstance(word, NotApplied) else word

    async def load_statement(
        self, *, starts_at: datetime, ends_at: datetime
    ) -> AsyncIterator[tuple[Movement, ...]]:
        """What was moved from one time until before another, a page at a time, in the order of `recorded_at`.

        Raises StatementUnreadable when a page cannot be had, or does not follow the one before it.
        """
        cursor: str | None = None
        seen: set[str] = set()
        last = starts_at
        number = 1
        while True:
            page = await self._load_page(starts_at, ends_at, cursor, number)
            for movement in page.movements:
                if not last <= movement.recorded_at < ends_at:
                    raise StatementUnreadable("out_of_order", number)
                last = movement.recorded_at
            if page.movements:
                yield page.movements
            cursor = page.next_cursor
            if cursor is None:
                return
            if cursor in seen or not page.movements:
                raise StatementUnreadable("cursor_stands_still", number)
            seen.add(cursor)
            number += 1

    async def close(self) -> None:
        """Let go of what is under way, and give every connection back."""
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        await self._client.close()

    async def _move(self, order: WalletOrder, ends_at_s: float) -> Word:
        settings, budget = self._settings.retries, self._budget
        budget.earn()
        sent, doubt = 0, False
        while True:
            heard = await self._attempt(order, ends_at_s)
            sent += 1
            word = heard.word
            if isinstance(word, Approved | Refused):
                return word
            if isinstance(word, NotApplied):
                if doubt:
                    # An attempt before this one may still arrive, whatever became of this one.
                    return Unknown(word.reason)
                pause_s = self._pause_s(heard, sent, ends_at_s)
                if pause_s is None or not self._spend():
                    return word
                await asyncio.sleep(pause_s)
                continue
            doubt = True
            if ends_at_s <= time.monotonic() or not self._spend():
                return word
            status = await self.ask_status(order, ends_at_s=ends_at_s)
            if isinstance(status, Approved | Refused):
                return status
            may_repeat = isinstance(status, NotApplied) and sent < settings.attempts
            if not may_repeat or ends_at_s <= time.monotonic() or not self._spend():
                return word

    def _spend(self) -> bool:
        is_paid = self._budget.spend()
        self._watch.note_budget(self._budget.remaining_percent)
        return is_paid

    def _pause_s(self, heard: Heard[Word], sent: int, ends_at_s: float) -> float | None:
        """How long to wait before the same reference is sent again; None when it should not be."""
        retries = self._settings.retries
        if not heard.may_pass or sent >= retries.attempts:
            return None
        asked_s = None
        if heard.status is not None and heard.retry_after is not None:
            value = heard.retry_after.encode("latin-1", "replace")
            asked_s = read_retry_after_s(Reply(heard.status, b"", ((b"retry-after", value),)), self._now())
        left_s = ends_at_s - time.monotonic()
        return plan_pause(sent, asked_s, left_s=left_s, settings=retries, chance=_JITTER.random())

    async def _attempt(self, order: WalletOrder, ends_at_s: float) -> Heard[Word]:
        ends_at_s = self._earlier_end_s(ends_at_s)
        return await self._guard(
            ENDPOINTS[order.operation], ends_at_s, lambda: self._deliver(order, ends_at_s)
        )

    def _earlier_end_s(self, ends_at_s: float) -> float:
        return min(ends_at_s, time.monotonic() + self._settings.timeout_s)

    async def _guard(
        self, endpoint: Endpoint, ends_at_s: float, go: Callable[[], Awaitable[tuple[Heard[T], float]]]
    ) -> Heard[T | NotApplied]:
        """Go only where the breaker lets through, and tell it how it went."""
        try:
            # Only a probe waits for anything here.
            async with asyncio.timeout(max(0.0, ends_at_s - time.monotonic())):
                passed = await self._breakers.begin(endpoint)
        except (CroupierError, TimeoutError):
            return Heard(word=NotApplied(BREAKER_OPEN), has_failed=None)
        ended = Ended.UNUSED
        try:
            heard, took_s = await go()
            if heard.has_failed is not None:
                ended = self._breakers.judge(failed=heard.has_failed, duration_s=took_s)
        finally:
            await self._breakers.end(passed, ended)
        return heard

    async def _deliver(self, order: WalletOrder, ends_at_s: float) -> _Trip:
        """Take a movement to the wallet, or have it taken along; how many seconds the wallet took."""
        body = render_movement(order)
        came = await self._gate.pass_through(_Item(order, body), size=len(body), ends_at_s=ends_at_s)
        if isinstance(came, LateUnderway):
            lost = Lost(TIMEOUT, has_left=True)
            return _lost(lost, is_fair=self._is_fair(came.travelled_s)), came.travelled_s
        if not isinstance(came, Turn):
            return came
        if came is not Turn.YOURS:
            return _not_through(came), NO_TIME_S
        question = _Question(order.operation.value, PATHS[order.operation], body, order.correlation_id, 1)
        try:
            heard, took_s = await self._send(
                question, lambda answer: (read_movement(order, answer),), ends_at_s
            )
        finally:
            self._gate.release()
        return heard[0], took_s

    async def _ask(
        self, question: _Question, read: Callable[[Answer], tuple[Heard[T]]], ends_at_s: float
    ) -> tuple[Heard[T | NotApplied | Unknown], float]:
        """A question waits for its turn as a movement does, and travels alone."""
        came = await self._gate.pass_through(None, size=0, ends_at_s=ends_at_s)
        if came is not Turn.YOURS:
            assert isinstance(came, Turn), "only movements are carried"  # noqa: S101 (narrowing)
            return _not_through(came), NO_TIME_S
        try:
            heard, took_s = await self._send(question, read, ends_at_s)
        finally:
            self._gate.release()
        return heard[0], took_s

    def _carry_together(self, parcels: list[Parcel[_Item, _Trip]]) -> None:
        task = asyncio.create_task(self._carry(parcels))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, parcels: list[Parcel[_Item, _Trip]]) -> None:
        """Take several movements in one request; whatever becomes of it, each owner is told."""
        items = [parcel.content for parcel in parcels if parcel.content is not None]
        orders = [item.order for item in items]
        body = render_batch([(item.order.operation, item.body) for item in items])
        question = _Question("batch", BATCH, body, orders[0].correlation_id, len(orders))
        ends_at_s = max(parcel.ends_at_s for parcel in parcels)
        heard: tuple[Heard[Word], ...] = (Heard(word=Unknown(LOST), has_failed=None),) * len(orders)
        took_s = 0.0
        try:
            heard, took_s = await self._send(question, lambda answer: read_batch(orders, answer), ends_at_s)
        finally:
            self._gate.release()
            for parcel, one in zip(parcels, heard, strict=True):
                parcel.deliver((one, took_s))

    async def _send(
        self, question: _Question, read: Callable[[Answer], tuple[Heard[T], ...]], ends_at_s: float
    ) -> tuple[tuple[Heard[T | NotApplied | Unknown], ...], float]:
        """One request, measured: what was heard of each of its movements, and how many seconds it took."""
        began_s = time.monotonic()
        outcome = GIVEN_UP
        self._watch.begin_request()
        try:
            came = await self._client.post(
                question.path,
                question.body,
                correlation_id=question.correlation_id,
                ends_at_s=ends_at_s,
                read=read,
            )
            took_s = time.monotonic() - began_s
            heard: tuple[Heard[T | NotApplied | Unknown], ...]
            if isinstance(came, Lost):
                heard = (_lost(came, is_fair=self._is_fair(took_s)),) * max(1, question.movements)
            else:
                heard = came
            outcome = _outcome_of(heard)
        finally:
            record = CallRecord(question.operation, outcome, time.monotonic() - began_s, question.movements)
            self._watch.end_request(record)
        return heard, took_s

    def _is_fair(self, waited_s: float) -> bool:
        return waited_s >= min(FAIR_WAIT_S, self._settings.timeout_s)

    async def _load_page(
        self, starts_at: datetime, ends_at: datetime, cursor: str | None, number: int
    ) -> Page:
        body = render_statement(starts_at, ends_at, cursor)
        reason = NO_CONNECTION
        for attempt in range(1, PAGE_ATTEMPTS + 1):
            ends_at_s = time.monotonic() + PAGE_S
            question = _Question("statement", STATEMENT, body, None)
            heard, _ = await self._ask(question, read_statement, ends_at_s)
            if isinstance(heard.word, Page):
                return heard.word
            reason = heard.word.reason
            if not heard.may_pass or attempt == PAGE_ATTEMPTS:
                break
            await asyncio.sleep(self._settings.retries.first_pause_s * attempt)
        raise StatementUnreadable(reason, number)


def _not_through(turn: Turn) -> Heard[NotApplied]:
    """What it comes to when a call got no connection."""
    match turn:
        case Turn.FULL:
            return Heard(word=NotApplied(TOO_MANY_WAITING), has_failed=None)
        case Turn.LATE | Turn.YOURS:
            return Heard(word=NotApplied(NO_CONNECTION), has_failed=None)
        case _:
            assert_never(turn)


def _lost(came: Lost, *, is_fair: bool) -> Heard[NotApplied | Unknown]:
    """What it comes to when there is no whole answer. Silence after too little time is not the wallet's fault."""
    may_pass = came.reason in PASSING_FAULTS
    has_failed = None if came.reason == TIMEOUT and not is_fair else True
    if came.has_left:
        return Heard(word=Unknown(came.reason), has_failed=has_failed, may_pass=may_pass)
    return Heard(word=NotApplied(came.reason), has_failed=has_failed, may_pass=may_pass)


_WORDS: Final[dict[type, str]] = {
    Approved: "approved",
    Refused: "refused",
    NotApplied: "not_applied",
    Unknown: UNKNOWN,
}


def _outcome_of(heard: tuple[Heard[T], ...]) -> str:
    """One of few words for what a request came to; a batch has its own."""
    if len(heard) > 1:
        return ANSWERED if all(one.fits for one in heard) else UNKNOWN
    return _WORDS.get(type(heard[0].word), ANSWERED)
