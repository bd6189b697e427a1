"""A provider that answers with whatever bytes a test wants, over TCP or TLS, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from msgspec import structs

import croupier.providers.adapters as adapters_package
from croupier.providers.contract import Adapter, LaunchOrder, ListGames, ProviderAccount, Question, ShowRound
from croupier.providers.registry import find_adapters
from unit import provider_edge as native
from unit.adapters import (
    evolution_calls,
    hub88_calls,
    slotegrator_gis_calls,
    softswiss_v2_calls,
    swipegames_v1_calls,
)

GIB: Final = 1024**3
BLOCK: Final = 64 * 1024
ENOUGH_S: Final = 30.0
"""A behaviour ends by itself after so long, in seconds, whatever became of its caller."""

ACCOUNTS: Final[Mapping[str, ProviderAccount]] = {
    one.adapter: one
    for one in (
        native.ACCOUNT,
        evolution_calls.ACCOUNT,
        hub88_calls.ACCOUNT,
        slotegrator_gis_calls.ACCOUNT,
        softswiss_v2_calls.ACCOUNT,
        swipegames_v1_calls.ACCOUNT,
    )
}
QUESTIONS: Final[Mapping[str, Question]] = {
    "evolution_v1": ShowRound(round_id="round-1"),
    "hub88_v1": ListGames(),
    "slotegrator_gis_v1": ListGames(),
    "softswiss_v2": ListGames(),
    "swipegames_v1": ListGames(),
}
ADDRESS_MEMBER: Final[Mapping[str, str]] = {
    "croupier_v1": "launch_url",
    "evolution_v1": "entry",
    "hub88_v1": "url",
    "slotegrator_gis_v1": "url",
    "softswiss_v2": "launch_url",
    "swipegames_v1": "gameURL",
}
"""Where an answer to a launch says where the game is."""


@dataclass
class Rogue:
    """Where it listens, and the head of every request that reached it; `released` lets go of those it holds."""

    address: str = ""
    heads: list[bytes] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)


Behave = Callable[[Rogue, asyncio.StreamWriter], Awaitable[None]]
"""Answers one request; the connection is closed afterwards."""


@asynccontextmanager
async def open_rogue(behave: Behave, tls: ssl.SSLContext | None = None) -> AsyncIterator[Rogue]:
    """A rogue on a free port of the loopback."""
    rogue, at_work = Rogue(), set[asyncio.Task[Any]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        at_work.add(task)
        try:
            async with asyncio.timeout(ENOUGH_S):
                head = await reader.readuntil(b"\r\n\r\n")
                rogue.heads.append(head)
                await reader.readexactly(length_of(head))
                await behave(rogue, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            at_work.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    scheme = "http" if tls is None else "https"
    rogue.address = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield rogue
    finally:
        rogue.released.set()
        server.close()
        if at_work:
            await asyncio.wait(at_work, timeout=ENOUGH_S)


def length_of(head: bytes) -> int:
    """How long the body is that follows."""
    lines = head.lower().split(b"\r\n")
    return next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)


def say(*parts: bytes) -> Behave:
    """These bytes, and the end of the connection."""

    async def behave(rogue: Rogue, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return behave


def hold(*parts: bytes) -> Behave:
    """These bytes, and then silence on an open connection."""

    async def behave(rogue: Rogue, writer: asyncio.StreamWriter) -> None:
        await say(*parts)(rogue, writer)
        await rogue.released.wait()

    return behave


def pour(first: bytes, more: bytes = b" " * BLOCK, pause_s: float = 0.0) -> Behave:
    """The first bytes, and the others again and again, a gibibyte at most."""

    async def behave(rogue: Rogue, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        for _ in range(GIB // len(more)):
            writer.write(more)
            await writer.drain()
            if pause_s:
                with suppress(TimeoutError):
                    await asyncio.wait_for(rogue.released.wait(), pause_s)
            if rogue.released.is_set():
                return

    return behave


def answer(status: int, body: bytes, *headers: str) -> bytes:
    """A whole response with a length that is right."""
    lines = (f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join((*lines, "", "")).encode() + body


@cache
def bomb() -> bytes:
    """A response of some kilobytes that would be 40 MiB if anybody unpacked it."""
    return answer(200, gzip.compress(b" " * (40 * 1024**2)), "Content-Encoding: gzip")


def account_of(adapter: str, base_url: str) -> ProviderAccount:
    """An account of a protocol whose API is at this address."""
    return structs.replace(ACCOUNTS[adapter], base_url=base_url)


def adapter_of(name: str) -> Adapter:
    """A protocol's adapter."""
    return find_adapters()[name]


@cache
def _fixture(adapter: str) -> dict[str, Any]:
    path = Path(next(iter(adapters_package.__path__))) / adapter / "fixtures" / "launch.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def order_of(adapter: str) -> LaunchOrder:
    """The recorded launch of a protocol."""
    return LaunchOrder(**_fixture(adapter)["order"])


def opened(adapter: str, **changes: Any) -> dict[str, Any]:
    """The recorded good answer to it, with other members."""
    body: dict[str, Any] = _fixture(adapter)["reply"]["body"]
    return body | changes


def leading_to(adapter: str, address: str) -> bytes:
    """A good answer, but for where it leads."""
    return json.dumps(opened(adapter, **{ADDRESS_MEMBER[adapter]: address})).encode()
