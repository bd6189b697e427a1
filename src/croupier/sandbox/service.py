"""The sandbox provider's HTTP service: launches of all its accounts, play, its books, and the switches.

Loopback only: whoever can reach it may make it misbehave.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import secrets
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct

from croupier.sandbox.batch import House, PlayOrder, UnknownPreset, ask_again, enter, play_batch, rates_of
from croupier.sandbox.book import PAGE_ENTRIES, Book, Forgotten
from croupier.sandbox.client import GatewayClient
from croupier.sandbox.control import Control, ControlOrder
from croupier.sandbox.crash_table import CrashTable
from croupier.sandbox.desk import Desk
from croupier.sandbox.exclusions import answer_check
from croupier.sandbox.notices import Notices
from croupier.sandbox.plan import Rates
from croupier.sandbox.protocols import open_wire
from croupier.sandbox.refusals import Refusal
from croupier.sandbox.sessions import GAMES, Session
from croupier.sandbox.storm import StormOrder
from croupier.sandbox.tally import Tally
from croupier.sandbox.wire import Account, RetryPolicy

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LARGEST_BODY_BYTES: Final = 65_536
STOP_WITHIN_S: Final = 10.0
NATIVE_LAUNCHES: Final = ("/v1/launch", "/launch")
OWN_PATHS: Final = frozenset(
    {"play", "games", "status", "book", "unresolved", "control", "launch", "v1", "self-exclusion"}
)
"""First segments of the service's own paths, which no account may have as its id."""


class Settings(Struct, frozen=True):
    """Where the service listens (loopback, port 0 for any), and its accounts at gateways, one at least.

    `seed` repeats the crash chains of an earlier run. Raises ValueError for another host, no account, two of one
    id, or an id that is a path of the service.
    """

    accounts: tuple[Account, ...]
    host: str = "127.0.0.1"
    port: int = 8702
    seed: str | None = None
    policy: RetryPolicy = RetryPolicy()

    def __post_init__(self) -> None:
        if not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError(f"the sandbox listens on loopback only, not on {self.host}")
        counts = Counter(account.id for account in self.accounts)
        wrong = [name for name, count in counts.items() if count > 1 or name in OWN_PATHS]
        if not counts or wrong:
            raise ValueError(f"accounts need ids of their own: {', '.join(wrong) or 'there is none'}")


class SandboxService:
    """The provider; an async context manager that listens from entry to exit.

    `address` is its base URL. Leaving it lets running rounds end for up to 10 s, without further retries.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        source = random.SystemRandom() if settings.seed is None else random.Random(settings.seed)  # noqa: S311 (repeatable on request)
        # One table: players of all accounts share its games.
        table, run_tag = CrashTable(source), secrets.token_hex(3)
        self._control = Control()
        self._desks = {
            account.id: Desk(
                _house(GatewayClient(open_wire(account), policy=settings.policy), table, run_tag),
                self._control,
            )
            for account in settings.accounts
        }
        self._first = next(iter(self._desks.values()))
        self._clients = AsyncExitStack()
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=STOP_WITHIN_S)
        self.address = ""

    async def __aenter__(self) -> SandboxService:
        for desk in self._desks.values():
            await self._clients.enter_async_context(desk.house.client)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.host, self._settings.port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for desk in self._desks.values():
            desk.house.client.stopping.set()
        await self._runner.cleanup()
        for desk in self._desks.values():
            await desk.close()
        await self._clients.aclose()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[_answer_refusals], client_max_size=LARGEST_BODY_BYTES)
        application.add_routes(
            [
                *(web.post(path, self._launch_native) for path in NATIVE_LAUNCHES),
                web.get("/play/{token}", self._show_page),
                web.post("/play/{token}", self._play),
                web.get("/games", self._show_games),
                web.post("/self-exclusion", self._check_exclusion),
                web.get("/status", self._show_status),
                web.get("/book", self._show_book),
                web.get("/unresolved", self._show_unresolved),
                web.get("/control", self._show_control),
                web.put("/control", self._change_control),
                web.post("/control/retry", self._retry_unresolved),
                web.get("/control/webhooks", self._show_webhooks),
                web.post("/control/dark", self._go_dark),
                web.post("/control/storm", self._come_back),
                web.get("/{account}/play/{token}", self._show_page),
                web.post("/{account}/play/{token}", self._play),
                web.route("*", "/{account}{tail:/.*}", self._answer_operator),
            ]
        )
        return application

    async def _launch_native(self, request: web.Request) -> web.StreamResponse:
        """A launch at the service's own address, where the first native account is."""
        desks = (desk for desk in self._desks.values() if desk.wire.door("POST", request.path) == "launch")
        desk = next(desks, None)
        if desk is None:
            raise Refusal(404, "unknown_path", "no account speaks the native protocol")
        return await desk.answer(request, request.path, self.address)

    async def _answer_operator(self, request: web.Request) -> web.StreamResponse:
        desk = self._desks.get(request.match_info["account"])
        if desk is None:
            raise Refusal(404, "unknown_account", "no account has this address")
        return await desk.answer(request, request.match_info["tail"], self.address)

    async def _show_page(self, request: web.Request) -> web.StreamResponse:
        desk, session = self._session_of(request)
        return desk.show_page(session)

    async def _play(self, request: web.Request) -> web.StreamResponse:
        desk, session = self._session_of(request)
        order = _decode(await _read_json(request), PlayOrder)
        rates = self._control.rates if order.misbehaviour is None else _rates(order.misbehaviour)
        if desk.house.client.stopping.is_set():
            raise Refusal(503, "stopping", "the studio is about to close")
        if session.is_playing:
            raise Refusal(409, "busy", "this session is being played already")
        session.is_playing = True
        first_number, session.next_number = session.next_number, session.next_number + order.rounds
        try:
            tally = Tally()
            seat = session.taken = session.taken or await enter(desk.house, session.seat, tally)
            report = await play_batch(desk.house, seat, order, rates, first_number=first_number, tally=tally)
        finally:
            session.is_playing = False
        desk.total.add(tally)
        return _json(report)

    def _session_of(self, request: web.Request) -> tuple[Desk, Session]:
        for desk in self._desks.values():
            session = desk.sessions.by_token(request.match_info["token"])
            if session is not None:
                return desk, session
        raise Refusal(404, "unknown_token", "no session has this page")

    def _desk_of(self, request: web.Request) -> Desk:
        """The desk of the query's `account`, or the first."""
        name = request.query.get("account")
        desk = self._first if name is None else self._desks.get(name)
        if desk is None:
            raise Refusal(404, "unknown_account", f"the accounts are {', '.join(self._desks)}")
        return desk

    async def _show_games(self, _: web.Request) -> web.StreamResponse:
        return _json(
            {
                "games": [
                    {"game_id": game, "name": name, "provably_fair": True} for game, name in GAMES.items()
                ]
            }
        )

    async def _check_exclusion(self, request: web.Request) -> web.StreamResponse:
        """Stands in for the operator's own check: the player's id says what is answered."""
        return _json(await answer_check(await _read_json(request), self._first.house.client.stopping))

    async def _show_status(self, request: web.Request) -> web.StreamResponse:
        status = self._desk_of(request).render_status()
        return _json({**status, "accounts": {name: desk.wire.protocol for name, desk in self._desks.items()}})

    async def _show_book(self, request: web.Request) -> web.StreamResponse:
        since = request.query.get("since", "0")
        if not (since.isascii() and since.isdigit() and len(since) <= 18):
            raise Refusal(400, "malformed", "since is the number of the last entry you have, 0 at first")
        try:
            entries = self._desk_of(request).house.book.page(int(since), most=PAGE_ENTRIES)
        except Forgotten as forgotten:
            raise Refusal(410, "forgotten", f"{forgotten}; ask with since={forgotten.oldest - 1}") from None
        lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        return web.Response(body=lines, content_type="application/jsonl")

    async def _show_unresolved(self, _: web.Request) -> web.StreamResponse:
        kept = [shown for desk in self._desks.values() for shown in desk.render_unresolved()]
        return _json({"count": len(kept), "first": kept[:PAGE_ENTRIES]})

    async def _show_control(self, _: web.Request) -> web.StreamResponse:
        return _json(self._control.render())

    async def _change_control(self, request: web.Request) -> web.StreamResponse:
        order = _decode(await _read_json(request), ControlOrder)
        rates = None if order.misbehaviour is None else _rates(order.misbehaviour)
        named = None if order.launch is None else order.launch.account
        if named is not None and named not in self._desks:
            raise Refusal(404, "unknown_account", f"the accounts are {', '.join(self._desks)}")
        self._control.apply(rates, order.launch)
        return _json(self._control.render())

    async def _retry_unresolved(self, _: web.Request) -> web.StreamResponse:
        tried, left, total = 0, 0, Tally()
        for desk in self._desks.values():
            asked, tally = await ask_again(desk.house)
            tried, left = tried + asked, left + len(desk.house.book.unresolved)
            total.add(tally)
        return _json({"tried": tried, "left": left, **total.render()})

    async def _show_webhooks(self, request: web.Request) -> web.StreamResponse:
        return _json(self._desk_of(request).sender.render())

    async def _go_dark(self, request: web.Request) -> web.StreamResponse:
        sender = self._desk_of(request).sender
        sender.go_dark()
        return _json(sender.render())

    async def _come_back(self, request: web.Request) -> web.StreamResponse:
        order = _decode(await _read_json(request), StormOrder)
        return _json(await self._desk_of(request).sender.storm(order))


def _house(client: GatewayClient, table: CrashTable, run_tag: str) -> House:
    return House(client, Book(), table, run_tag, notices=Notices(client.wire.webhooks))


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
