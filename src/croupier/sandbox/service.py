"""The sandbox provider's HTTP service: launches, play, its book, and the switches for misbehaviour.

Loopback only: whoever can reach it may make it misbehave.
"""

import asyncio
import ipaddress
import random
import secrets
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct

from croupier.sandbox.batch import House, PlayOrder, UnknownPreset, ask_again, play_batch, rates_of
from croupier.sandbox.book import PAGE_ENTRIES, Book, Forgotten
from croupier.sandbox.client import GatewayClient, RetryPolicy
from croupier.sandbox.control import Control, ControlOrder
from croupier.sandbox.crash_table import CrashTable
from croupier.sandbox.page import render_page
from croupier.sandbox.plan import Game, Rates
from croupier.sandbox.sessions import (
    GAMES,
    Launch,
    LaunchGate,
    NoRoom,
    OtherLaunch,
    Session,
    Sessions,
    UnknownGame,
)
from croupier.sandbox.tally import Tally
from croupier_signing import SignatureRefused, SigningKey

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LARGEST_BODY_BYTES: Final = 65_536
STOP_WITHIN_S: Final = 10.0
HANG_S: Final = 60.0


class Settings(Struct, frozen=True):
    """Where the service listens (loopback, port 0 for any), whom it calls, and the keys of both directions.

    `callback_key` signs calls to the gateway; `launch_keys` verify the gateway's launches. `seed` repeats the
    crash chains of an earlier run.
    """

    gateway: str
    provider: str
    callback_key: SigningKey
    launch_keys: tuple[SigningKey, ...]
    host: str = "127.0.0.1"
    port: int = 8702
    seed: str | None = None
    policy: RetryPolicy = RetryPolicy()

    def __post_init__(self) -> None:
        if not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError(f"the sandbox listens on loopback only, not on {self.host}")


class Refusal(Exception):
    """An error answer: HTTP status, stable code, and what was wrong."""

    def __init__(self, status: int, error: str, detail: str) -> None:
        super().__init__(f"{error}: {detail}")
        self.status = status
        self.error = error
        self.detail = detail


class SandboxService:
    """The provider; an async context manager that listens from entry to exit.

    `address` is its base URL. Leaving it lets running rounds end for up to 10 s, without further retries.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        client = GatewayClient(
            settings.gateway, settings.provider, settings.callback_key, policy=settings.policy
        )
        source = random.SystemRandom() if settings.seed is None else random.Random(settings.seed)  # noqa: S311 (repeatable on request)
        self._house = House(client, Book(), CrashTable(source), secrets.token_hex(3))
        self._gate = LaunchGate(settings.launch_keys)
        self._sessions = Sessions()
        self._control = Control()
        self._total = Tally()
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=STOP_WITHIN_S)
        self.address = ""

    async def __aenter__(self) -> "SandboxService":
        await self._house.client.__aenter__()
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.host, self._settings.port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._house.client.stopping.set()
        await self._runner.cleanup()
        await self._house.client.__aexit__(None, None, None)

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[_answer_refusals], client_max_size=LARGEST_BODY_BYTES)
        application.add_routes(
            [
                # The native protocol's client calls `/v1/launch`; the short path is the same.
                web.post("/v1/launch", self._launch),
                web.post("/launch", self._launch),
                web.get("/play/{token}", self._show_page),
                web.post("/play/{token}", self._play),
                web.get("/games", self._show_games),
                web.get("/status", self._show_status),
                web.get("/book", self._show_book),
                web.get("/unresolved", self._show_unresolved),
                web.get("/control", self._show_control),
                web.put("/control", self._change_control),
                web.post("/control/retry", self._retry_unresolved),
            ]
        )
        return application

    async def _launch(self, request: web.Request) -> web.StreamResponse:
        mode = self._control.launch_mode
        if mode == "unavailable":
            raise Refusal(503, "unavailable", "the studio is down, as it was told to be")
        if mode == "hang":
            await self._hang()
        body = await request.read()
        self._admit(request, body)
        session = self._open(_decode(body, Launch))
        if mode == "lose_reply" and request.transport is not None:
            request.transport.abort()
        launch_url = f"{self.address}/play/{session.token}"
        return _json({"session_id": session.seat.session_id, "launch_url": launch_url})

    async def _hang(self) -> None:
        """Answer nothing for so long that no caller waits; a stop ends it."""
        try:
            async with asyncio.timeout(HANG_S):
                await self._house.client.stopping.wait()
        except TimeoutError:
            pass
        raise Refusal(503, "unavailable", "the studio did not answer in time, as it was told to")

    def _admit(self, request: web.Request, body: bytes) -> None:
        path, _, query = request.raw_path.partition("?")
        try:
            self._gate.admit(
                path=path.encode("utf-8", "surrogateescape"),
                query=query.encode("utf-8", "surrogateescape"),
                authorization=request.headers.get("Authorization"),
                body=body,
                now_s=int(time.time()),
            )
        except SignatureRefused as refused:
            raise Refusal(401, "unauthenticated", refused.reason.value) from None
        except NoRoom as full:
            raise Refusal(503, "overloaded", str(full)) from None

    def _open(self, launch: Launch) -> Session:
        try:
            return self._sessions.open(launch)
        except UnknownGame as unknown:
            raise Refusal(404, "unknown_game", str(unknown)) from None
        except OtherLaunch as other:
            raise Refusal(422, "session_conflict", str(other)) from None
        except NoRoom as full:
            raise Refusal(503, "overloaded", str(full)) from None

    async def _show_page(self, request: web.Request) -> web.StreamResponse:
        session = self._session_of(request)
        page = render_page(session.seat, GAMES[session.seat.game], self._fairness_of(session.seat.game))
        return web.Response(text=page, content_type="text/html", headers={"Cache-Control": "no-store"})

    def _fairness_of(self, game: Game) -> str:
        if game == "crash":
            return f"The chain of games ends in the published hash {self._house.table.terminating_hash}."
        return "Each round has a server seed of its own, revealed with the outcome when the round closes."

    async def _play(self, request: web.Request) -> web.StreamResponse:
        session = self._session_of(request)
        order = _decode(await _read_json(request), PlayOrder)
        rates = self._control.rates if order.misbehaviour is None else _rates(order.misbehaviour)
        if self._house.client.stopping.is_set():
            raise Refusal(503, "stopping", "the studio is about to close")
        if session.is_playing:
            raise Refusal(409, "busy", "this session is being played already")
        session.is_playing = True
        first_number, session.next_number = session.next_number, session.next_number + order.rounds
        try:
            tally, report = await play_batch(
                self._house, session.seat, order, rates, first_number=first_number
            )
        finally:
            session.is_playing = False
        self._total.add(tally)
        return _json(report)

    def _session_of(self, request: web.Request) -> Session:
        session = self._sessions.by_token(request.match_info["token"])
        if session is None:
            raise Refusal(404, "unknown_token", "no session has this page")
        return session

    async def _show_games(self, _: web.Request) -> web.StreamResponse:
        return _json(
            {
                "games": [
                    {"game_id": game, "name": name, "provably_fair": True} for game, name in GAMES.items()
                ]
            }
        )

    async def _show_status(self, _: web.Request) -> web.StreamResponse:
        book, table = self._house.book, self._house.table
        return _json(
            {
                "provider": self._settings.provider,
                "sessions": len(self._sessions),
                "playing": self._sessions.playing,
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
                "totals": self._total.render(),
            }
        )

    async def _show_book(self, request: web.Request) -> web.StreamResponse:
        since = request.query.get("since", "0")
        if not (since.isascii() and since.isdigit() and len(since) <= 18):
            raise Refusal(400, "malformed", "since is the number of the last entry you have, 0 at first")
        try:
            entries = self._house.book.page(int(since), most=PAGE_ENTRIES)
        except Forgotten as forgotten:
            raise Refusal(410, "forgotten", f"{forgotten}; ask with since={forgotten.oldest - 1}") from None
        lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        return web.Response(body=lines, content_type="application/jsonl")

    async def _show_unresolved(self, _: web.Request) -> web.StreamResponse:
        kept = self._house.book.unresolved
        shown = [
            {
                "reference": call.items[0].reference,
                "session_id": call.seat.session_id,
                "path": call.path,
                "action": call.items[0].action,
                "amount": str(call.items[0].amount_minor),
                "asset": call.seat.asset,
            }
            for call in kept[:PAGE_ENTRIES]
        ]
        return _json({"count": len(kept), "first": shown})

    async def _show_control(self, _: web.Request) -> web.StreamResponse:
        return _json(self._control.render())

    async def _change_control(self, request: web.Request) -> web.StreamResponse:
        order = _decode(await _read_json(request), ControlOrder)
        rates = None if order.misbehaviour is None else _rates(order.misbehaviour)
        self._control.apply(rates, order.launch)
        return _json(self._control.render())

    async def _retry_unresolved(self, _: web.Request) -> web.StreamResponse:
        tried, tally = await ask_again(self._house)
        return _json({"tried": tried, "left": len(self._house.book.unresolved), **tally.render()})


async def serve(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT; `announce` is told the base URL once it listens.

    Raises OSError when the address is taken.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with SandboxService(settings) as service:
        announce(service.address)
        await stop.wait()


@web.middleware
async def _answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        return _problem(refusal.status, refusal.error, refusal.detail)
    except web.HTTPException as error:
        code = (error.reason or "error").lower().replace(" ", "_")
        return _problem(error.status, code, error.text or "")


def _problem(status: int, error: str, detail: str) -> web.Response:
    # `code` beside `error`: the native protocol's launch client reads it as the reason of a refusal.
    return _json({"error": error, "code": error, "detail": detail}, status=status)


def _json(document: dict[str, Any], *, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")


async def _read_json(request: web.Request) -> bytes:
    """The body of a request that a page of another site cannot send without asking the browser first."""
    if request.content_type != "application/json":
        raise Refusal(415, "unsupported_media_type", "the body must be application/json")
    return await request.read()


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise Refusal(400, "malformed", str(error)) from None


def _rates(misbehaviour: Rates | str) -> Rates:
    try:
        return rates_of(misbehaviour)
    except UnknownPreset as unknown:
        raise Refusal(400, "malformed", str(unknown)) from None
