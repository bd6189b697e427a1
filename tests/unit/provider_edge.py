"""A provider account, signed requests and a driver for the callbacks, without a server or a database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from croupier.errors import UNAUTHENTICATED, CroupierError
from croupier.ids import IdSource
from croupier.money import AssetRegistry
from croupier.moneypath.commands import Call, Contract
from croupier.moneypath.outcomes import APPROVED, OK, Outcome
from croupier.providers.adapters.croupier_v1 import ADAPTER
from croupier.providers.callbacks import Callbacks, CallRecord, Edge, EdgeLimits
from croupier.providers.contract import Context, ProviderAccount
from croupier.providers.verification import RawRequest, Verified
from croupier_signing import SigningKey, random_nonce, sign_native

Message = MutableMapping[str, Any]

NOW = datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
KEY = SigningKey("studio-1", bytes(range(32)))
OTHER_KEY = SigningKey("studio-2", bytes(range(32, 64)))
SESSION_TEXT = "ses_0195500000007000800000000000002a"
CONTRACT = Contract("mega", "operator")


def contract_for(*, asset: str, game_id: str | None, at: datetime) -> Contract | None:
    return CONTRACT if asset == "EUR" and at == NOW else None


ACCOUNT = ProviderAccount(
    id="studio",
    adapter="croupier_v1",
    base_url="http://127.0.0.1:8702/games/",
    inbound_keys={KEY.id: KEY},
    outbound_key=KEY,
    assets=AssetRegistry(),
    contract_for=contract_for,
    pools=("mega",),
)

BET: dict[str, Any] = {
    "reference": "bet-1",
    "session_id": SESSION_TEXT,
    "round_id": "round-1",
    "game_id": "dice",
    "player_id": "player-1",
    "asset": "EUR",
    "amount": "1250",
    "occurred_at": "2026-03-01T11:59:59.25Z",
}
WIN = BET | {"reference": "win-1", "kind": "win", "close_round": True}
BALANCE = {name: BET[name] for name in ("session_id", "player_id", "asset")}
BET_WIN: dict[str, Any] = {
    name: value for name, value in BET.items() if name not in ("reference", "amount")
} | {
    "bet": {"reference": "bet-1", "amount": "1250"},
    "win": {"reference": "win-1", "amount": "0"},
}
ROLLBACK: dict[str, Any] = {
    "reference": "back-1",
    "target_reference": "bet-1",
    "player_id": "player-1",
    "occurred_at": "2026-03-01T12:00:00Z",
}
CLOSE_ROUND: dict[str, Any] = {
    "reference": "close-1",
    "session_id": SESSION_TEXT,
    "round_id": "round-1",
    "player_id": "player-1",
    "occurred_at": "2026-03-01T12:00:00Z",
    "outcome": {"roll": 4200, "bets": [{"target": 1}, {"target": 2}]},
}


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


def to_bytes(body: dict[str, Any] | bytes) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def authorization(
    body: bytes,
    *,
    path: bytes = b"/providers/studio/v1/bet",
    method: str = "POST",
    query: bytes = b"",
    key: SigningKey = KEY,
    timestamp_s: int = NOW_S,
    nonce: str | None = None,
) -> bytes:
    return sign_native(
        key,
        method=method,
        path=path,
        query=query,
        timestamp_s=timestamp_s,
        nonce=nonce or random_nonce(),
        body=body,
    ).encode()


def verified(body: dict[str, Any] | bytes, operation: str = "bet") -> tuple[Verified, Context]:
    """A verified request to `/v1/<operation>` and the context to decode it in."""
    data, path = to_bytes(body), f"/v1/{operation}".encode()
    full = b"/providers/studio" + path
    headers = ((b"authorization", authorization(data, path=full)),)
    raw = RawRequest(method="POST", path=full, query=b"", headers=headers, body=data, received_at=NOW)
    return (
        ADAPTER.verify(raw, ACCOUNT, NOW),
        Context(operation=ADAPTER.operation("POST", path), account=ACCOUNT),
    )


@dataclass
class MoneyPath:
    """Stands in for the lanes: approves everything, spends nonces, and fails when told to."""

    calls: list[Call] = field(default_factory=list)
    spent: set[tuple[str, str]] = field(default_factory=set)
    failure: Exception | None = None

    async def submit(self, call: Call) -> tuple[Outcome, ...]:
        if self.failure is not None:
            raise self.failure
        if call.nonce is not None:
            nonce = (call.nonce.key_id, call.nonce.nonce)
            if nonce in self.spent:
                raise CroupierError(UNAUTHENTICATED, "the nonce was used before", reason="replayed")
            self.spent.add(nonce)
        self.calls.append(call)
        return tuple(Outcome(APPROVED, OK, getattr(action, "reference", "")) for action in call.actions)


@dataclass(frozen=True)
class Received:
    """What the caller got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


async def no_seat(provider: str, session_id: UUID | None, references: tuple[str, ...]) -> None:
    """Nobody sits anywhere: the native protocol always names its player."""


class Studio:
    """Calls the callbacks as a server would, and keeps what telemetry was told."""

    def __init__(self, limits: EdgeLimits | None = None) -> None:
        self.money = MoneyPath()
        self.records: list[CallRecord] = []
        edge = Edge(
            accounts={"studio": (ACCOUNT, ADAPTER)},
            submit=self.money.submit,
            find_seat=no_seat,
            new_token=random_nonce,
            ids=IdSource(),
            now=lambda: NOW,
            observe=self.records.append,
            limits=limits or EdgeLimits(),
        )
        self.app = Callbacks(edge)

    async def call(
        self,
        body: dict[str, Any] | bytes = BET,
        *,
        path: str = "/providers/studio/v1/bet",
        method: str = "POST",
        query: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
        sign: bool = True,
        content_type: str | None = "application/json",
        messages: Sequence[Message] | None = None,
    ) -> Received | None:
        """Send one request, signed unless told otherwise; None when nothing was answered."""
        data = to_bytes(body)
        given = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        if content_type is not None:
            given.append((b"content-type", content_type.encode()))
        if sign:
            signed = authorization(data, path=path.encode(), method=method, query=query)
            given.append((b"authorization", signed))
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "headers": given,
        }
        return await exchange(self.app, scope, messages or [{"type": "http.request", "body": data}])

    async def answer(self, body: dict[str, Any] | bytes = BET, **options: Any) -> Received:
        """Send one request that must be answered."""
        received = await self.call(body, **options)
        assert received is not None
        return received


App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


async def exchange(app: App, scope: Message, messages: Sequence[Message]) -> Received | None:
    """Run one ASGI exchange; asking for more than `messages` waits until the caller gives up."""
    waiting = list(messages)
    sent: list[Message] = []

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    if not sent:
        return None
    start, end = sent
    fields = {name.decode(): value.decode() for name, value in start["headers"]}
    return Received(start["status"], fields, end["body"])
