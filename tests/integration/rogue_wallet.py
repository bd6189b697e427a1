"""An operator's wallet that answers as the contract says, or whatever a test wants, on connections that stay open."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from croupier_signing import SigningKey, parse_authorization, verify_native

KEY: Final = SigningKey("wallet", b"a secret of thirty-two bytes....")
ENOUGH_S: Final = 30.0
"""Whatever is held ends by itself after so long, in seconds."""


@dataclass
class Asked:
    """One request: where, on which connection, with which head and body; `turn` counts those of its connection."""

    path: str
    connection: int
    turn: int
    head: Mapping[str, str]
    body: Any
    raw: bytes


class Hangup(Exception):
    """The connection ends now."""


Behave = Callable[["RogueWallet", Asked, asyncio.StreamWriter], Awaitable[None]]
"""Answers one request; the connection stays open unless it raises Hangup."""


@dataclass
class RogueWallet:
    """Where it listens and what it was asked. `script` is what happens to the next requests of a path, in order."""

    address: str = ""
    asked: list[Asked] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    script: dict[str, deque[Behave]] = field(default_factory=lambda: defaultdict(deque))
    always: dict[str, Behave] = field(default_factory=dict)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    in_flight: int = 0
    most_in_flight: int = 0
    date: bytes | None = None
    talking: asyncio.Task[None] | None = None
    """Says something when `released` that nobody asked for."""

    def then(self, path: str, *behaviours: Behave) -> None:
        """What happens to the next requests of a path."""
        self.script[path].extend(behaviours)

    def paths(self) -> list[str]:
        """The paths that were asked, in order."""
        return [one.path for one in self.asked]


def decide(asked: Asked) -> dict[str, Any]:
    """What an honest wallet says: everything is approved."""
    body = asked.body
    if asked.path == "/batch":
        return {"results": [approve(item) for item in body["items"]]}
    if asked.path == "/statement":
        return {"movements": [], "next_cursor": None}
    if asked.path == "/balance":
        return {
            "status": "approved",
            "player_id": body["player_id"],
            "asset": body["asset"],
            "balance": "9750",
        }
    if asked.path == "/status":
        return not_found(body)
    return approve(body)


def approve(body: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What an honest wallet says of a movement that it has applied."""
    return {
        "status": "approved",
        "code": "ok",
        "reference": body["reference"],
        "player_id": body["player_id"],
        "asset": body["asset"],
        "amount": body.get("amount", "250"),
        "balance": "9750",
        "wallet_reference": "w-81",
        "repeat": False,
    } | more


def not_found(body: Mapping[str, Any]) -> dict[str, Any]:
    """What `/status` says of a reference that nobody has heard of."""
    return {
        "status": "not_found",
        "reference": body["reference"],
        "player_id": body["player_id"],
        "asset": body["asset"],
    }


def render(status: int, body: bytes, *headers: str, media_type: str = "application/json") -> bytes:
    """A whole response with a length that is right."""
    lines = (
        f"HTTP/1.1 {status} Whatever",
        f"Content-Type: {media_type}",
        f"Content-Length: {len(body)}",
        *headers,
    )
    return "\r\n".join((*lines, "", "")).encode() + body


async def behave_well(wallet: RogueWallet, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """As the contract says."""
    dated = () if wallet.date is None else (f"Date: {wallet.date.decode()}",)
    writer.write(render(200, json.dumps(decide(asked)).encode(), *dated))
    await writer.drain()


def say(*parts: bytes) -> Behave:
    """These bytes."""

    async def behave(wallet: RogueWallet, asked: Asked, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return behave


def hang_up(*parts: bytes) -> Behave:
    """These bytes, and the end of the connection."""

    async def behave(wallet: RogueWallet, asked: Asked, writer: asyncio.StreamWriter) -> None:
        await say(*parts)(wallet, asked, writer)
        raise Hangup

    return behave


async def hold(wallet: RogueWallet, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Silence until the test lets go, and then what is right."""
    await wallet.released.wait()
    await behave_well(wallet, asked, writer)


def answer(status: int, body: Any, *headers: str, media_type: str = "application/json") -> Behave:
    """This answer; a body that is no bytes is written as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return say(render(status, raw, *headers, media_type=media_type))


def change(**members: Any) -> Behave:
    """What is right, but for these members; in a batch in every result."""

    async def behave(wallet: RogueWallet, asked: Asked, writer: asyncio.StreamWriter) -> None:
        said = decide(asked)
        if asked.path == "/status":
            said = approve(asked.body, operation="debit")
        said = (
            {"results": [one | members for one in said["results"]]} if "results" in said else said | members
        )
        writer.write(render(200, json.dumps(said).encode()))

    return behave


def rewrite(edit: Callable[[bytes], bytes]) -> Behave:
    """What is right, with its whole response edited, and the end of the connection."""

    async def behave(wallet: RogueWallet, asked: Asked, writer: asyncio.StreamWriter) -> None:
        said = approve(asked.body, operation="debit") if asked.path == "/status" else decide(asked)
        writer.write(edit(render(200, json.dumps(said).encode())))
        await writer.drain()
        raise Hangup

    return behave


def with_body(edit: Callable[[bytes], bytes], *headers: str) -> Behave:
    """What is right, with its body edited and a length that fits."""

    def edit_response(response: bytes) -> bytes:
        return render(200, edit(response.partition(b"\r\n\r\n")[2]), *headers)

    return rewrite(edit_response)


def zipped() -> Behave:
    """What is right, compressed, though nobody asked for that."""
    return with_body(gzip.compress, "Content-Encoding: gzip")


@asynccontextmanager
async def open_wallet(tls: ssl.SSLContext | None = None) -> AsyncIterator[RogueWallet]:
    """A wallet on a free port of the loopback."""
    wallet, at_work = RogueWallet(), set[asyncio.Task[Any]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        at_work.add(task)
        wallet.opened += 1
        number, turn = wallet.opened, 0
        try:
            while True:
                turn += 1
                await _serve_one(wallet, reader, writer, number, turn)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, Hangup):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            wallet.closed += 1
            at_work.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    scheme = "http" if tls is None else "https"
    wallet.address = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wallet
    finally:
        wallet.released.set()
        server.close()
        for task in at_work:
            task.cancel()
        if at_work:
            await asyncio.wait(at_work, timeout=ENOUGH_S)


async def _serve_one(
    wallet: RogueWallet, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, turn: int
) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    asked = Asked(first.split(" ")[1], number, turn, headers, json.loads(raw), raw)
    wallet.asked.append(asked)
    path = "/" + asked.path.rpartition("/")[2]
    asked.path = path
    waiting = wallet.script[path]
    behave = waiting.popleft() if waiting else wallet.always.get(path, behave_well)
    wallet.in_flight += 1
    wallet.most_in_flight = max(wallet.most_in_flight, wallet.in_flight)
    try:
        async with asyncio.timeout(ENOUGH_S):
            await behave(wallet, asked, writer)
    finally:
        wallet.in_flight -= 1


def is_signed(asked: Asked, path: str, now_s: int) -> bool:
    """Whether Croupier's native signature over the request is right; raises SignatureRefused when not."""
    verify_native(
        parse_authorization(asked.head["authorization"]),
        key=KEY,
        method="POST",
        path=path.encode(),
        query=b"",
        body=asked.raw,
        now_s=now_s,
    )
    return True
