"""Signed webhooks and a driver for their intake, without a server or a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from provider_edge import (
    ACCOUNT,
    KEY,
    NOW,
    NOW_S,
    SESSION_TEXT,
    Message,
    MoneyPath,
    Received,
    exchange,
    to_bytes,
)

from croupier.errors import DELIVERY_ID_REUSED, CroupierError
from croupier.ids import IdSource
from croupier.inbox.accept import Receipt
from croupier.inbox.deliveries import Delivery
from croupier.inbox.intake import OPERATION, IntakeLimits, WebhookEdge, Webhooks
from croupier.inbox.records import DeliveryRecord
from croupier.providers.adapters.croupier_v1 import ADAPTER
from croupier.providers.arrival import Head
from croupier.providers.contract import Adapter, Context, ProviderAccount
from croupier.providers.notices import Notice
from croupier.providers.verification import RawRequest, Verified
from croupier_signing import PrivateKey, SigningKey, sign_webhook

PATH = "/webhooks/studio"
MOMENT = "2026-03-01T11:59:59.25Z"
DELIVERY_ID = "delivery-1"

COMPLETED: dict[str, Any] = {
    "reference": "close-1",
    "session_id": SESSION_TEXT,
    "round_id": "round-1",
    "player_id": "player-1",
    "occurred_at": MOMENT,
    "outcome": {"roll": 4200, "bets": [{"target": 1}, {"target": 2}]},
}
ROLLED_BACK: dict[str, Any] = {
    "reference": "back-1",
    "target_reference": "bet-1",
    "player_id": "player-1",
    "occurred_at": MOMENT,
}
JACKPOT: dict[str, Any] = {
    "reference": "jackpot-1",
    "session_id": SESSION_TEXT,
    "round_id": "round-1",
    "game_id": "dice",
    "player_id": "player-1",
    "asset": "EUR",
    "amount": "5000000",
    "occurred_at": MOMENT,
}
SESSION_CLOSED: dict[str, Any] = {
    "session_id": SESSION_TEXT,
    "player_id": "player-1",
    "occurred_at": MOMENT,
    "reason": "table closed",
}
STATEMENT: dict[str, Any] = {
    "statement_id": "2026-02",
    "period_from": "2026-02-01T00:00:00Z",
    "period_to": "2026-03-01T00:00:00Z",
    "url": "https://studio.example/statements/2026-02",
    "occurred_at": MOMENT,
}
DATA: Mapping[str, dict[str, Any]] = {
    "round.completed": COMPLETED,
    "round.rolled_back": ROLLED_BACK,
    "jackpot.won": JACKPOT,
    "session.closed": SESSION_CLOSED,
    "statement.ready": STATEMENT,
}


def webhook(kind: str = "round.completed", /, **changes: Any) -> dict[str, Any]:
    """A webhook's body; a change to None leaves the member out."""
    data = {name: value for name, value in (DATA[kind] | changes).items() if value is not None}
    return {"type": kind, "timestamp": MOMENT, "data": data}


def sign(
    body: bytes,
    *,
    delivery_id: str = DELIVERY_ID,
    timestamp_s: int = NOW_S,
    keys: Sequence[SigningKey | PrivateKey] = (KEY,),
) -> dict[str, str]:
    """The three headers, with a signature of each key."""
    made = [sign_webhook(key, webhook_id=delivery_id, timestamp_s=timestamp_s, body=body) for key in keys]
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(made),
    }


def verified_webhook(body: dict[str, Any] | bytes, account: ProviderAccount = ACCOUNT) -> Verified:
    """A webhook as the native reader verified it."""
    data = to_bytes(body)
    headers = tuple((name.encode(), value.encode()) for name, value in sign(data).items())
    raw = RawRequest(
        method="POST", path=PATH.encode(), query=b"", headers=headers, body=data, received_at=NOW
    )
    assert ADAPTER.notices is not None
    return ADAPTER.notices.verify(raw, account, NOW)


def read_webhook(body: dict[str, Any] | bytes, account: ProviderAccount = ACCOUNT) -> Notice:
    """What a verified webhook says; raises what the reader raises."""
    assert ADAPTER.notices is not None
    context = Context(operation=OPERATION, account=account)
    return ADAPTER.notices.decode(verified_webhook(body, account), context)


@dataclass
class Store:
    """Stands in for the acceptor: remembers ids and digests, and fails when told to."""

    kept: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    offered: list[Delivery] = field(default_factory=list)
    failure: Exception | None = None

    async def accept(self, delivery: Delivery) -> Receipt:
        self.offered.append(delivery)
        if self.failure is not None:
            raise self.failure
        known = self.kept.setdefault((delivery.provider, delivery.delivery_id), delivery)
        if known.body_digest != delivery.body_digest:
            raise CroupierError(DELIVERY_ID_REUSED, "this webhook-id came with another body before")
        return Receipt(known.id, is_duplicate=known is not delivery)


@dataclass(frozen=True)
class Kept:
    """A refusal as the intake told of it."""

    provider: str
    head: Head
    body: bytes | None
    error: CroupierError
    at: datetime


class Hooks:
    """Posts webhooks as a studio would, and keeps what everybody was told."""

    def __init__(
        self,
        accounts: Mapping[str, tuple[ProviderAccount, Adapter]] | None = None,
        limits: IntakeLimits | None = None,
    ) -> None:
        self.accounts = dict(accounts or {"studio": (ACCOUNT, ADAPTER)})
        self.money = MoneyPath()
        self.store = Store()
        self.records: list[DeliveryRecord] = []
        self.refused: list[Kept] = []
        self.keys: list[tuple[str, str | None]] = []
        self.full: CroupierError | None = None
        self.now = NOW
        edge = WebhookEdge(
            accounts=self.accounts,
            require_room=self._require_room,
            accept=self.store.accept,
            submit=self.money.submit,
            keep_refused=lambda *given: self.refused.append(Kept(*given)),
            ids=IdSource(),
            now=lambda: self.now,
            observe=self.records.append,
            note_key=lambda provider, raw, key_id: self.keys.append((provider, key_id)),
            limits=limits or IntakeLimits(),
        )
        self.app = Webhooks(edge)

    def _require_room(self, provider: str) -> None:
        if self.full is not None:
            raise self.full

    async def call(
        self,
        body: dict[str, Any] | bytes | None = None,
        *,
        messages: Sequence[Message] | None = None,
        **options: Any,
    ) -> Received | None:
        """Post one webhook; None when nothing was answered."""
        data = to_bytes(webhook() if body is None else body)
        scope = self.scope(data, **options)
        return await exchange(self.app, scope, messages or [{"type": "http.request", "body": data}])

    def scope(
        self,
        body: bytes,
        *,
        path: str = PATH,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        more: Sequence[tuple[str, str]] = (),
        content_type: str | None = "application/json",
        **signing: Any,
    ) -> Message:
        """The head of a webhook, signed unless `headers` are given."""
        named = sign(body, **signing) if headers is None else headers
        given = [(name.encode(), value.encode("latin-1")) for name, value in (*named.items(), *more)]
        if content_type is not None:
            given.append((b"content-type", content_type.encode()))
        return {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": given,
        }

    async def post(self, body: dict[str, Any] | bytes | None = None, **options: Any) -> Received:
        """Post one webhook that must be answered."""
        received = await self.call(body, **options)
        assert received is not None
        return received
