"""A tiny gateway that answers like the native protocol, in memory, and fails as a script tells it to."""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from croupier_signing import (
    SignatureRefused,
    SigningKey,
    parse_authorization,
    verify_native,
    verify_webhook,
)

KEY = SigningKey("sandbox-in-1", b"0123456789abcdef0123456789abcdef")


CALLED = {"round.completed": "/close-round", "round.rolled_back": "/rollback", "jackpot.won": "/win"}
"""The path of the callback that tells the same as a webhook."""


class Problem(Exception):
    """An error answer of the protocol."""

    def __init__(self, status: int, code: str, reason: str | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.document = {"code": code, "status": status, "reason": reason}


@dataclass
class NativeGateway:
    """Wallets, references and rounds of all players; every switch is for tests to set.

    `script`: what happens to the next requests: `503`, `drop` (undecided, no reply) or `lose` (decided, no
    reply). `lost_paths` and `down_paths` do the same to every request of a path; `refused` is
    set by a 503, `asked` by any money call. `webhook_script` and `webhooks_down` do it to webhooks (also `429`, or any
    other status); `deliveries` holds those that were accepted, by id, `attempts` the headers of all that came.
    """

    opening_minor: int = 100_000
    address: str = ""
    script: deque[str] = field(default_factory=deque)
    lost_paths: set[str] = field(default_factory=set)
    down_paths: set[str] = field(default_factory=set)
    checks_signatures: bool = True
    repeats_differ: bool = False
    wallets: Counter[str] = field(default_factory=Counter)
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    refused: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    webhook_script: deque[str] = field(default_factory=deque)
    webhooks_down: bool = False
    deliveries: dict[str, bytes] = field(default_factory=dict)
    attempts: list[tuple[str, int]] = field(default_factory=list)
    _nonces: set[str] = field(default_factory=set)
    _journal: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One callback."""
        body = await request.read()
        tail = "/" + request.match_info["tail"]
        try:
            self._authenticate(request, body)
            document = _read(body)
            if tail != "/balance":
                self.asked.set()
            self.seen.append((tail, document.get("reference", "")))
            return self._fail_or_decide(request, tail, document)
        except Problem as problem:
            return web.json_response(problem.document, status=problem.status)

    async def accept(self, request: web.Request) -> web.StreamResponse:
        """One webhook."""
        body = await request.read()
        webhook_id = request.headers.get("webhook-id", "")
        self.attempts.append((webhook_id, int(request.headers.get("webhook-timestamp", "0"))))
        try:
            if self.checks_signatures:
                _verify_webhook(request, body)
            event = self.webhook_script.popleft() if self.webhook_script else ""
            if self.webhooks_down or event.isdigit():
                status = int(event or "503")
                return web.json_response({"code": "overloaded"}, status=status, headers={"Retry-After": "0"})
            if event != "drop":
                self._take(webhook_id, body)
            if event and request.transport is not None:
                request.transport.abort()
        except Problem as problem:
            return web.json_response(problem.document, status=problem.status)
        return web.json_response({}, status=202)

    def _take(self, webhook_id: str, body: bytes) -> None:
        known = self.deliveries.setdefault(webhook_id, body)
        if known != body:
            raise Problem(409, "delivery_id_reused")
        document = json.loads(body)
        tail, data = CALLED.get(document["type"]), document["data"]
        if tail is not None:
            self.wallets.setdefault(data["player_id"], self.opening_minor)
            act = self._roll_back if tail == "/rollback" else self._move
            self._once(data["player_id"], data["reference"], tail, data, act)

    def _fail_or_decide(
        self, request: web.Request, tail: str, document: dict[str, Any]
    ) -> web.StreamResponse:
        event = self.script.popleft() if self.script and tail != "/balance" else ""
        if event == "503" or tail in self.down_paths:
            self.refused.set()
            return web.json_response({"code": "overloaded"}, status=503, headers={"Retry-After": "0"})
        decided = None if event == "drop" else self._decide(tail, document)
        if (event or tail in self.lost_paths) and request.transport is not None:
            request.transport.abort()
        return web.json_response(decided)

    def _authenticate(self, request: web.Request, body: bytes) -> None:
        if not self.checks_signatures:
            return
        try:
            parts = parse_authorization(request.headers.get("Authorization"))
            verify_native(
                parts, key=KEY, method="POST", path=request.raw_path.encode(), query=b"", body=body,
                now_s=int(time.time()),
            )  # fmt: skip
        except SignatureRefused as refused:
            raise Problem(401, "unauthenticated", refused.reason.value) from None
        if parts.nonce in self._nonces:
            raise Problem(401, "unauthenticated", "replayed")
        self._nonces.add(parts.nonce)

    def _decide(self, tail: str, body: dict[str, Any]) -> dict[str, Any]:
        player = body["player_id"]
        self.wallets.setdefault(player, self.opening_minor)
        if body.get("game_id", "").startswith("not-"):
            raise Problem(409, "session_mismatch")
        match tail:
            case "/balance":
                return self._reply(player, "", "ok")
            case "/bet-win":
                return self._bet_win(player, body)
            case "/rollback":
                return self._once(player, body["reference"], tail, body, self._roll_back)
            case "/bet" | "/win" | "/close-round":
                return self._once(player, body["reference"], tail, body, self._move)
        raise Problem(404, "unknown_path")

    def _once(self, player: str, reference: str, tail: str, body: dict[str, Any], act: Any) -> dict[str, Any]:
        known = self.stored.get(reference)
        if known is None:
            self.bodies[reference] = {**body, "tail": tail}
            self.stored[reference] = known = act(player, reference, tail, body)
            return known
        if known["code"] == "tombstone":
            self.stored[reference] = known = self._reply(player, reference, "tombstoned", "declined")
            self.bodies[reference] = {**body, "tail": tail}
            return known
        if self.bodies[reference].get("amount") != body.get("amount"):
            raise Problem(409, "reference_conflict")
        repeat = {**known, "repeat": True}
        return {**repeat, "journal_id": "jrn_other"} if self.repeats_differ else repeat

    def _move(self, player: str, reference: str, tail: str, body: dict[str, Any]) -> dict[str, Any]:
        amount = {"/bet": -1, "/win": 1, "/close-round": 0}[tail] * int(body.get("amount", "0"))
        if self.wallets[player] + amount < 0:
            return self._reply(player, reference, "insufficient_funds", "declined")
        self.wallets[player] += amount
        return self._reply(player, reference, "ok")

    def _bet_win(self, player: str, body: dict[str, Any]) -> dict[str, Any]:
        parts = [({**body, **body[name]}, f"/{name}") for name in ("bet", "win")]
        if int(body["bet"]["amount"]) > self.wallets[player] and body["bet"]["reference"] not in self.stored:
            code, status = "insufficient_funds", "declined"
            return {"results": [self._reply(player, part["reference"], code, status) for part, _ in parts]}
        return {
            "results": [self._once(player, part["reference"], tail, part, self._move) for part, tail in parts]
        }

    def _roll_back(self, player: str, reference: str, _: str, body: dict[str, Any]) -> dict[str, Any]:
        target = body["target_reference"]
        known = self.stored.get(target)
        if known is None or known["code"] == "tombstone":
            self.stored[target] = {"code": "tombstone", "status": "tombstone"}
            return self._reply(player, reference, "nothing_to_roll_back")
        if known["status"] == "declined":
            return self._reply(player, reference, "nothing_to_roll_back")
        done = self.bodies[target]
        if done.get("undone"):
            return self._reply(player, reference, "already_rolled_back")
        done["undone"] = True
        self.wallets[player] += int(done["amount"]) * (1 if done["tail"] == "/bet" else -1)
        return self._reply(player, reference, "ok")

    def _reply(self, player: str, reference: str, code: str, status: str = "approved") -> dict[str, Any]:
        self._journal += 1
        return {
            "status": status,
            "code": code,
            "reference": reference,
            "journal_id": f"jrn_{self._journal}" if code == "ok" and reference else None,
            "balance": {"amount": str(self.wallets[player]), "asset": "EUR"},
            "repeat": False,
        }


def _verify_webhook(request: web.Request, body: bytes) -> None:
    names = {"webhook_id": "webhook-id", "timestamp": "webhook-timestamp", "signature": "webhook-signature"}
    headers = {member: request.headers.get(name, "").encode() for member, name in names.items()}
    try:
        verify_webhook((KEY,), body=body, now_s=int(time.time()), **headers)
    except SignatureRefused as refused:
        raise Problem(401, "unauthenticated", refused.reason.value) from None


def _read(body: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise Problem(400, "malformed")
        return dict(pairs)

    document: dict[str, Any] = json.loads(body, object_pairs_hook=once)
    if not isinstance(document.get("amount", ""), str):
        raise Problem(400, "malformed")
    return document


@asynccontextmanager
async def native_gateway(**switches: Any) -> AsyncIterator[NativeGateway]:
    """The gateway on a free loopback port, until the context ends."""
    gateway = NativeGateway(**switches)
    application = web.Application()
    application.router.add_post("/providers/sandbox/v1/{tail}", gateway.answer)
    application.router.add_post("/webhooks/sandbox", gateway.accept)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    gateway.address = f"http://{host}:{port}"
    try:
        yield gateway
    finally:
        await runner.cleanup()
