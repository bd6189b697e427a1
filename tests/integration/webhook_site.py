"""Worker processes as the supervisor starts them, on one socket, in front of a test's database; and a studio."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import httptools

from croupier.runtime.config.starter import KEYS_FOLDER, write_starter
from croupier.runtime.orders import READY_LINE, Orders, render_orders
from croupier_signing import SigningKey, sign_webhook

PATH = "/webhooks/sandbox"
READY_S = 60.0
END_S = 30.0
Process = asyncio.subprocess.Process


@dataclass
class WebhookSite:
    """Where the workers listen, the studio's key, and the workers there are."""

    port: int
    key: SigningKey
    token: str
    workers: list[Process] = field(default_factory=list)
    orders: Orders = field(default_factory=lambda: Orders("", None))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def move(self, database_url: str) -> None:
        """Tell every worker where the database is now."""
        for worker in self.workers:
            assert worker.stdin is not None
            worker.stdin.write(render_orders(Orders(database_url, self.orders.config_path)))

    def headers(self, body: bytes, delivery_id: str, **changes: str) -> dict[str, str]:
        """The headers of a webhook signed now."""
        now_s = int(time.time())
        line = sign_webhook(self.key, webhook_id=delivery_id, timestamp_s=now_s, body=body)
        return {
            "content-type": "application/json",
            "webhook-id": delivery_id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": line,
        } | changes


@dataclass(frozen=True)
class Told:
    """An answer; status 0 when the connection ended without one."""

    delivery_id: str
    status: int
    document: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def word(self) -> str:
        """`accepted`, `duplicate`, or the code of a problem."""
        return str(self.document.get("code") or self.document.get("status") or "none")


def completed(number: int = 1, **changes: Any) -> bytes:
    """The body of a webhook about a round of a session that nobody knows."""
    data = {
        "reference": f"close-{number}",
        "session_id": "ses_0195500000007000800000000000002a",
        "round_id": f"round-{number}",
        "player_id": f"player-{number}",
        "occurred_at": "2026-03-01T11:59:59Z",
        "outcome": {"face": 4},
    }
    stamped = datetime(2026, 3, 1, 12, tzinfo=UTC).isoformat()
    return json.dumps({"type": "round.completed", "timestamp": stamped, "data": data | changes}).encode()


class Studio:
    """Posts webhooks over many connections; repeats nothing by itself."""

    def __init__(self, site: WebhookSite, http: aiohttp.ClientSession) -> None:
        self._site = site
        self._http = http

    async def post(
        self, delivery_id: str, body: bytes | None = None, *, headers: Mapping[str, str] | None = None
    ) -> Told:
        """One webhook, signed now; `headers` are put in the place of signed ones."""
        data = completed() if body is None else body
        given = self._site.headers(data, delivery_id) | dict(headers or {})
        try:
            async with self._http.post(f"{self._site.url}{PATH}", data=data, headers=given) as reply:
                return Told(delivery_id, reply.status, await reply.json(content_type=None), reply.headers)
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            return Told(delivery_id, 0, {}, {})

    async def get(self, path: str) -> tuple[int, str]:
        """Something else of the public listener."""
        async with self._http.get(f"{self._site.url}{path}") as reply:
            return reply.status, await reply.text()


def tally(told: list[Told]) -> Counter[str]:
    """How often each word was said."""
    return Counter(one.word for one in told)


@asynccontextmanager
async def studio_of(site: WebhookSite, *, connections: int = 100) -> AsyncIterator[Studio]:
    """A studio with at most so many connections at once."""
    connector = aiohttp.TCPConnector(limit=connections)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        yield Studio(site, http)


@asynccontextmanager
async def webhook_site(
    folder: Path, database_url: str, *, workers: int = 1, **settings: object
) -> AsyncIterator[WebhookSite]:
    """Start the workers, `settings` being such as `inbox_accepting=8`; they are ended at the end."""
    report = write_starter(folder)
    secret = (folder / KEYS_FOLDER / "sandbox-in-1.key").read_text().strip().encode()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CROUPIER_")}
    extra = {f"CROUPIER_{name.upper()}": str(value) for name, value in settings.items()}
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        site = WebhookSite(
            listener.getsockname()[1],
            SigningKey("sandbox-in-1", secret),
            report.operator_token_path.read_text().strip(),
            orders=Orders(database_url, str(report.config_path)),
        )
        try:
            for _ in range(workers):
                site.workers.append(await _start(listener, site.orders, kept | extra, folder))
            for worker in site.workers:
                await _wait_ready(worker, folder)
            yield site
        finally:
            await asyncio.gather(*(end(worker) for worker in site.workers))


async def _start(
    listener: socket.socket, orders: Orders, environment: dict[str, str], folder: Path
) -> Process:
    with (folder / "workers.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "croupier.runtime.worker", str(listener.fileno())),
            env=environment | {"CROUPIER_TELEMETRY_LOG_FORMAT": "json"},
            pass_fds=(listener.fileno(),),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    assert process.stdin is not None
    process.stdin.write(render_orders(orders))
    return process


async def _wait_ready(worker: Process, folder: Path) -> None:
    assert worker.stdout is not None
    async with asyncio.timeout(READY_S):
        line = await worker.stdout.readline()
    assert line == READY_LINE, (folder / "workers.log").read_text()[-2_000:]


async def end(worker: Process, by: signal.Signals = signal.SIGTERM) -> int:
    """End a worker, if it has not ended; its status."""
    if worker.returncode is None:
        worker.send_signal(by)
    try:
        async with asyncio.timeout(END_S):
            await worker.communicate()
    except TimeoutError:
        worker.kill()
        await worker.communicate()
    return worker.returncode or 0


class RawLine:
    """A connection on which any bytes may be sent, at any pace."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        """Send without waiting."""
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, headers, body; raises ConnectionError when the line ends before it."""
        parser_says = _Answer()
        parser = httptools.HttpResponseParser(parser_says)
        while not parser_says.is_complete:
            chunk = await asyncio.wait_for(self._reader.read(65_536), END_S)
            if not chunk:
                raise ConnectionError("the line ended")
            parser.feed_data(chunk)
        return parser.get_status_code(), parser_says.headers, bytes(parser_says.body)

    async def is_ended(self) -> bool:
        """Whether the other side hangs up."""
        try:
            return await asyncio.wait_for(self._reader.read(1), END_S) == b""
        except ConnectionError:
            return True


class _Answer:
    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, chunk: bytes) -> None:
        self.body += chunk

    def on_message_complete(self) -> None:
        self.is_complete = True


@asynccontextmanager
async def raw_line(site: WebhookSite) -> AsyncIterator[RawLine]:
    """A connection, closed at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        yield RawLine(reader, writer)
    finally:
        writer.transport.abort()


def render_head(headers: Mapping[str, str], *, path: str = PATH) -> bytes:
    """The head of a POST, without the empty line after it."""
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items())]).encode()
