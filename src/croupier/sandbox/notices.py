"""What an account tells by webhook: at once, or held back while it is dark."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from msgspec import Struct

from croupier.sandbox.calls import Call, Seat, render_moment
from croupier.sandbox.plan import AFTER_BET, Move
from croupier.sandbox.wire import Webhooks

MOST_WAITING: Final = 100_000
_NAMES: Final = uuid5(NAMESPACE_URL, "croupier:sandbox:webhooks")


class Notice(Struct, frozen=True):
    """A fact as webhooks tell it, with the id it goes by first.

    `call` is what it stands for if it is news: no callback tells of that. `seat` is None for what concerns nobody.
    """

    webhook_id: str
    type: str
    body: bytes
    seat: Seat | None = None
    call: Call | None = None


class Notices:
    """The account's outgoing webhooks; `deliver` takes those that are sent at once.

    While the account is dark, what may be told by webhook is told by nothing else, and waits. Without webhooks in the
    protocol there is nothing to tell. What does not find room is called back, if it can be, and else does not happen.
    """

    def __init__(self, webhooks: Webhooks | None = None, *, most_waiting: int = MOST_WAITING) -> None:
        self._webhooks = webhooks
        self._most = most_waiting
        self._dark_since_s: float | None = None
        self._waiting: dict[str, Notice] = {}
        self.deliver: Callable[[Notice], None] | None = None

    @property
    def is_dark(self) -> bool:
        """Whether the gateway hears of bets and wins only."""
        return self._dark_since_s is not None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def go_dark(self) -> None:
        """Hold back from now on."""
        if self._dark_since_s is None:
            self._dark_since_s = time.monotonic()

    def come_back(self) -> tuple[list[Notice], float]:
        """What waited, and for how many seconds it was dark; from now on everything is sent at once."""
        waiting, self._waiting = list(self._waiting.values()), {}
        since, self._dark_since_s = self._dark_since_s, None
        return waiting, 0.0 if since is None else time.monotonic() - since

    def holds(self, move: Move) -> bool:
        """Whether a move is told by webhook alone now."""
        if self._webhooks is None or self.waiting >= self._most:
            return False
        return move is Move.JACKPOT or (self.is_dark and move in AFTER_BET)

    def tell(self, call: Call) -> None:
        """Tell by webhook what no callback told."""
        self._add(call, is_news=True)

    def echo(self, call: Call) -> None:
        """Tell by webhook as well what a callback told; an echo that finds no room is not missed."""
        if self.waiting < self._most:
            self._add(call, is_news=False)

    def wait(self, notice: Notice) -> None:
        """Keep one for the next storm, once."""
        self._waiting[notice.webhook_id] = notice

    def part(self, seat: Seat, reference: str) -> None:
        """Tell that the studio ended a session."""
        if self._webhooks is not None:
            kind, body = self._webhooks.render_departure(seat, reference, _now())
            self._post(Notice(_id_of(seat, reference), kind, body, seat))

    def _add(self, call: Call, *, is_news: bool) -> None:
        if self._webhooks is None:
            return
        kind, body = self._webhooks.render_notice(call, _now())
        webhook_id = _id_of(call.seat, call.items[0].reference)
        self._post(Notice(webhook_id, kind, body, call.seat, call if is_news else None))

    def _post(self, notice: Notice) -> None:
        if self.is_dark or self.deliver is None:
            self.wait(notice)
        else:
            self.deliver(notice)


def _id_of(seat: Seat, reference: str) -> str:
    """The same id for the same fact; no full stop, which Standard Webhooks does not allow in ids."""
    return f"msg_{uuid5(_NAMES, f'{seat.session_id}/{reference}').hex}"


def _now() -> str:
    return render_moment(datetime.now(UTC))
