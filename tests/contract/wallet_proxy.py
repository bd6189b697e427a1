"""A wallet between the kit and the reference wallet: honest, but for the one lie that it is given."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from croupier_signing import SigningKey, random_nonce, random_token, sign_native

OWN = frozenset({"host", "content-length", "connection", "accept-encoding", "user-agent"})


@dataclass
class Call:
    """A request as it came; `document` is its body where that is a JSON object, and is what a lie changes."""

    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    document: dict[str, Any]
    transport: asyncio.BaseTransport | None

    @property
    def reference(self) -> str:
        return str(self.document.get("reference", ""))

    @property
    def moves(self) -> bool:
        """Whether it is a debit, a credit or a rollback."""
        return self.path in ("/debit", "/credit", "/rollback")


@dataclass
class Reply:
    """An answer on its way back."""

    status: int
    body: bytes
    media_type: str = "application/json"

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def with_members(self, **members: Any) -> Reply:
        """The same answer with other members; None leaves one out."""
        changed = {**self.document, **members}
        return reply(self.status, {name: value for name, value in changed.items() if value is not LEFT_OUT})


LEFT_OUT = object()


def reply(status: int, document: dict[str, Any]) -> Reply:
    """An answer of our own."""
    return Reply(status, json.dumps(document).encode())


def error(status: int, code: str, *, applied: str = "no") -> Reply:
    """An error in the contract's form."""
    return reply(status, {"code": code, "detail": "so it is", "applied": applied})


Lie = Callable[["LyingWallet", Call], Awaitable[Reply]]


@dataclass
class LyingWallet:
    """Listens on loopback and passes everything on to the reference wallet as the lie wants it."""

    url: str
    key: SigningKey
    lie: Lie
    memory: dict[str, Any] = field(default_factory=dict)
    address: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __aenter__(self) -> LyingWallet:
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.address = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._http.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = b""
        # What a caller who hung up has sent so far is shown to the lie as well.
        with contextlib.suppress(OSError):
            async for chunk in request.content.iter_any():
                body += chunk
        path, _, query = request.raw_path.partition("?")
        headers = {name.lower(): value for name, value in request.headers.items() if name.lower() not in OWN}
        call = Call(path, query, headers, body, _read(body), request.transport)
        answer = await self.lie(self, call)
        return web.Response(
            status=answer.status, body=answer.body, headers={"content-type": answer.media_type}
        )

    async def pass_on(self, call: Call) -> Reply:
        """The honest way: the same bytes with the same signature."""
        target = self.url + call.path + (f"?{call.query}" if call.query else "")
        return await self._post(target, call.body, call.headers)

    async def tell(self, path: str, document: dict[str, Any] | bytes, **headers: str) -> Reply:
        """Say something else, with a signature of our own."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        authorization = sign_native(
            self.key,
            method="POST",
            path=path.encode(),
            query=b"",
            timestamp_s=int(time.time()),
            nonce=random_nonce(),
            body=body,
        )
        sent = {"content-type": "application/json", "authorization": authorization, **headers}
        return await self._post(self.url + path, body, sent)

    async def change(self, call: Call, **members: Any) -> Reply:
        """Pass on with other members, signed anew; for lies whose scenarios send good signatures only."""
        return await self.tell(call.path, {**call.document, **members})

    async def again(self, call: Call) -> Reply:
        """Apply a movement under a name of our own, and answer as if it were the kit's."""
        alias = f"wtx_alias_{random_token()[:24].replace('-', '_')}"
        done = await self.tell(call.path, {**call.document, "reference": alias})
        return done.with_members(reference=call.reference) if done.status == 200 else done

    async def balance_of(self, call: Call) -> int:
        """What the player of a call has; 0 without a wallet."""
        about = {"player_id": call.document.get("player_id"), "asset": call.document.get("asset")}
        return int((await self.tell("/balance", about)).document.get("balance", 0))

    async def status_of(self, call: Call, reference: str) -> dict[str, Any]:
        """What the reference wallet knows of a reference."""
        about = {"player_id": call.document.get("player_id"), "asset": call.document.get("asset")}
        return (await self.tell("/status", {"reference": reference, **about})).document

    async def shift(self, call: Call, amount: int) -> None:
        """Give the player of a call so much, or take it."""
        if amount:
            path = "/credit" if amount > 0 else "/debit"
            base = {name: call.document[name] for name in ("player_id", "asset")}
            body = {
                **base, "amount": str(abs(amount)), "kind": "win" if amount > 0 else "bet",
                "reference": f"wtx_shift_{random_token()[:24].replace('-', '_')}",
                "provider": "x", "provider_reference": "x", "session_id": None, "round_id": None,
                "game_id": None, "occurred_at": "2026-01-01T00:00:00Z",
            }  # fmt: skip
            await self.tell(path, body)

    async def _post(self, target: str, body: bytes, headers: dict[str, str]) -> Reply:
        async with self._http.post(
            URL(target, encoded=True), data=body, headers=headers, skip_auto_headers=("content-type",)
        ) as answer:
            return Reply(answer.status, await answer.read(), answer.content_type)


def _read(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


async def honest(wallet: LyingWallet, call: Call) -> Reply:
    """No lie at all."""
    return await wallet.pass_on(call)
