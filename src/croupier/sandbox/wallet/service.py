"""The reference wallet's HTTP service: the contract's seven paths, signed, and the operator's desk beside them.

Loopback only: whoever can reach it may put money into wallets, and make it misbehave.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final

import msgspec
from aiohttp import web

from croupier.sandbox.wallet.admission import Admission
from croupier.sandbox.wallet.books import Books
from croupier.sandbox.wallet.clock import Clock
from croupier.sandbox.wallet.contract import PATHS, Asked, Contract, HungUp
from croupier.sandbox.wallet.desk import Desk
from croupier.sandbox.wallet.faults import Switches
from croupier.sandbox.wallet.settings import WalletSettings
from croupier.sandbox.wallet.trouble import RETRY_AFTER_S, Trouble, malformed

LARGEST_BODY_BYTES: Final = 65_536
LARGEST_BATCH_BYTES: Final = 1_048_576
STOP_WITHIN_S: Final = 2.0
FORGET_EVERY_S: Final = 20.0
JSON: Final = "application/json"


class WalletService:
    """The wallet; an async context manager that listens from entry to exit. `address` is its base URL.

    Entering raises PostTaken, OSError, TimeoutError or asyncpg.PostgresError.
    """

    def __init__(self, settings: WalletSettings) -> None:
        self._settings = settings
        self._clock = Clock()
        self._switches = Switches(seed=settings.seed, latency_ms=settings.latency_ms)
        self._books = Books(settings.database_url, self._clock)
        self._contract = Contract(self._books, self._clock, self._switches)
        self._desk = Desk(self._books, self._clock, self._switches)
        self._admission = Admission(settings.key, self._clock)
        # One handler without routes and middlewares: this is the partner in a benchmark.
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None), shutdown_timeout=STOP_WITHIN_S
        )
        self._forgetting: asyncio.Task[None] | None = None
        self.address = ""

    async def __aenter__(self) -> WalletService:
        spent = await self._books.open()
        self._admission = Admission(self._settings.key, self._clock, spent)
        self._books.start(self._admission.is_in_time)
        self._forgetting = asyncio.create_task(self._forget_nonces())
        try:
            await self._runner.setup()
            await web.TCPSite(self._runner, self._settings.host, self._settings.port).start()
        except OSError:
            await self._stop()
            raise
        host, port = self._runner.addresses[0][:2]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        await self._runner.cleanup()
        if self._forgetting is not None:
            self._forgetting.cancel()
            await asyncio.gather(self._forgetting, return_exceptions=True)
        await self._books.close()

    async def _forget_nonces(self) -> None:
        while True:
            await asyncio.sleep(FORGET_EVERY_S)
            with suppress(Trouble):
                await self._books.forget_nonces()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        try:
            own = self._desk.handlers.get((request.method, path))
            if own is not None:
                body = await _load_body(request, LARGEST_BODY_BYTES)
                if request.method == "POST":
                    _require_json(request)
                return _reply(msgspec.json.encode(await own(request.query, body)))
            if self._switches.is_down:
                raise HungUp
            response = _reply(await self._answer(request, path))
        except Trouble as trouble:
            response = _render_trouble(trouble)
        except HungUp:
            return _hang_up(request)
        except Exception as error:  # noqa: BLE001 (the request edge: whatever happens is answered in the contract's form)
            response = _render_trouble(Trouble(500, "internal", repr(error), applied="unknown"))
        if self._clock.skew_s:
            skewed = datetime.now(UTC) + timedelta(seconds=self._clock.skew_s)
            response.headers["Date"] = format_datetime(skewed, usegmt=True)
        return response

    async def _answer(self, request: web.BaseRequest, path: str) -> bytes:
        """The body of a 200. Raises Trouble or HungUp."""
        body = await _load_body(request, LARGEST_BATCH_BYTES if path == "/batch" else LARGEST_BODY_BYTES)
        headers = request.headers
        admitted = self._admission.admit(
            headers.get("authorization"), method=request.method, target=request.raw_path, body=body
        )
        if path not in PATHS or request.method != "POST":
            raise Trouble(404, "unknown_path", "the contract has seven paths, all POST")
        _require_json(request)
        return await self._contract.answer(Asked(path, body, admitted, headers.get("x-correlation-id")))


async def serve(
    settings: WalletSettings, *, announce: Callable[[str], None], until: asyncio.Event | None = None
) -> None:
    """Run until SIGTERM, SIGINT, or the event; `announce` is told the base URL once it listens.

    Raises as entering the service does.
    """
    stop = until or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with WalletService(settings) as service:
        announce(service.address)
        await stop.wait()


async def _load_body(request: web.BaseRequest, most: int) -> bytes:
    """The whole body. Raises Trouble: 413 for a longer one, 400 for a compressed one."""
    if (request.content_length or 0) > most:
        raise Trouble(413, "body_too_large", f"a body has at most {most} bytes")
    if "content-encoding" in request.headers:
        raise malformed("bodies are not compressed")
    body = await request.content.read(most + 1)
    while not request.content.at_eof():
        more = await request.content.read(most + 1 - len(body))
        body += more
        if len(body) > most:
            raise Trouble(413, "body_too_large", f"a body has at most {most} bytes")
    return body


def _require_json(request: web.BaseRequest) -> None:
    """Also what a page of another site cannot send without asking the browser first. Raises Trouble (415)."""
    if request.content_type != JSON:
        raise Trouble(415, "unsupported_media_type", f"the body must be {JSON}")


def _reply(body: bytes, *, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type=JSON)


def _render_trouble(trouble: Trouble) -> web.Response:
    document: dict[str, Any] = trouble.render()
    response = _reply(msgspec.json.encode(document), status=trouble.status)
    if trouble.status in (429, 503):
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def _hang_up(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response()
