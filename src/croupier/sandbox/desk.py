"""One account's desk: its wire, its sessions, its book, and how it answers an operator's requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from croupier.sandbox.batch import House
from croupier.sandbox.control import Control
from croupier.sandbox.notice_sender import NoticeSender
from croupier.sandbox.page import render_page
from croupier.sandbox.plan import Game
from croupier.sandbox.refusals import Refusal
from croupier.sandbox.sessions import GAMES, OtherLaunch, Session, Sessions, UnknownGame
from croupier.sandbox.tally import Tally
from croupier.sandbox.wire import Launch, LaunchMalformed, NoRoom, Visit, Wire
from croupier_signing import SignatureRefused

T = TypeVar("T")

_HIDDEN: Final = {"Cache-Control": "no-store"}


class Desk:
    """The provider as one account's operator sees it."""

    def __init__(self, house: House, control: Control) -> None:
        self.house = house
        self.sessions = Sessions()
        self.total = Tally()
        self._control = control
        self._sender = None if house.client.wire.webhooks is None else NoticeSender(house)

    @property
    def sender(self) -> NoticeSender:
        """What sends the account's webhooks; raises Refusal where the protocol has none."""
        if self._sender is None:
            raise Refusal(409, "no_webhooks", f"{self.wire.protocol} tells nothing by webhook")
        return self._sender

    async def close(self) -> None:
        """Let webhooks that are under way end; the client's stopping is set by now."""
        if self._sender is not None:
            await self._sender.settle()

    @property
    def wire(self) -> Wire:
        """The account's protocol."""
        return self.house.client.wire

    async def answer(self, request: web.Request, tail: str, address: str) -> web.StreamResponse:
        """A launch or a question about games at `tail` below the account's address, in the protocol's own form."""
        try:
            return await self._answer(request, tail, address)
        except Refusal as refusal:
            status, document = self.wire.render_refusal(refusal.status, refusal.error, refusal.detail)
            return _json(document, status=status)

    async def _answer(self, request: web.Request, tail: str, address: str) -> web.StreamResponse:
        door = self.wire.door(request.method, tail)
        if door is None:
            raise Refusal(404, "unknown_path", f"{self.wire.protocol} has no {request.method} {tail}")
        if door == "games":
            visit = await _read_visit(request, tail)
            self._admit(lambda: self.wire.admit_games(visit))
            return _json(self.wire.render_games({str(game): name for game, name in GAMES.items()}))
        await self._control.stumble(self.wire.account.id, self.house.client.stopping)
        visit = await _read_visit(request, tail)
        launch = self._admit(lambda: self.wire.read_launch(visit))
        session = self._open(launch)
        if self._control.launch_mode(self.wire.account.id) == "lose_reply" and request.transport is not None:
            request.transport.abort()
        return _json(self.wire.render_launched(launch, address, f"/play/{session.token}"))

    def _admit(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except SignatureRefused as refused:
            raise Refusal(401, "unauthenticated", refused.reason.value) from None
        except LaunchMalformed as malformed:
            raise Refusal(400, "malformed", str(malformed)) from None
        except NoRoom as full:
            raise Refusal(503, "overloaded", str(full)) from None

    def _open(self, launch: Launch) -> Session:
        try:
            return self.sessions.open(launch)
        except UnknownGame as unknown:
            raise Refusal(404, "unknown_game", str(unknown)) from None
        except OtherLaunch as other:
            raise Refusal(422, "session_conflict", str(other)) from None
        except NoRoom as full:
            raise Refusal(503, "overloaded", str(full)) from None

    def show_page(self, session: Session) -> web.Response:
        """The page of a session."""
        seat = session.seat
        page = render_page(seat, GAMES[seat.game], self._fairness_of(seat.game))
        return web.Response(text=page, content_type="text/html", headers=_HIDDEN)

    def _fairness_of(self, game: Game) -> str:
        if game == "crash":
            return f"The chain of games ends in the published hash {self.house.table.terminating_hash}."
        return "Each round has a server seed of its own, revealed with the outcome when the round closes."

    def render_status(self) -> dict[str, Any]:
        """Sessions, calls, money by asset and counts of this account."""
        book, table = self.house.book, self.house.table
        return {
            "provider": self.wire.account.id,
            "protocol": self.wire.protocol,
            "sessions": len(self.sessions),
            "playing": self.sessions.playing,
            "acknowledged": book.written,
            "unresolved": len(book.unresolved),
            "unresolved_forgotten": book.unresolved_forgotten,
            "money": book.money_by_asset(),
            "crash": {
                "terminating_hash": table.terminating_hash,
                "games": table.games,
                "shared_games": table.shared_games,
                "most_players": table.most_players,
            },
            "totals": self.total.render(),
            "webhooks": None if self._sender is None else self._sender.render(),
        }

    def render_unresolved(self) -> list[dict[str, Any]]:
        """The calls nobody decided, oldest first."""
        return [
            {
                "provider": self.wire.account.id,
                "reference": call.items[0].reference,
                "session_id": call.seat.session_id,
                "path": call.path,
                "action": call.items[0].action,
                "amount": str(call.items[0].amount_minor),
                "asset": call.seat.asset,
            }
            for call in self.house.book.unresolved
        ]


async def _read_visit(request: web.Request, tail: str) -> Visit:
    path, _, query = request.raw_path.partition("?")
    return Visit(
        method=request.method,
        path=path.encode("utf-8", "surrogateescape"),
        query=query.encode("utf-8", "surrogateescape"),
        tail=tail,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await request.read(),
        now_s=int(time.time()),
    )


def _json(document: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")
