"""Evolution's calls: an account, bodies, tokens and readings, each with a value for what a test does not care about."""

from __future__ import annotations

import json
from typing import Any

from croupier.money import Asset, AssetRegistry
from croupier.moneypath.commands import Contract
from croupier.providers.adapters.evolution_v1 import ADAPTER
from croupier.providers.contract import Context, Decoded, ProviderAccount
from croupier.providers.verification import RawRequest, Verified
from croupier_signing import SigningKey
from unit.adapters.edge_driver import NOW, Gateway, Submit
from unit.provider_edge import Received

AUTH = SigningKey("evolution-1", b"static-token-of-evolution")
CASINO = SigningKey("to-evolution", b"casino/token+of us")
PLAYER = "player-1"
SID = "sid-of-player-1"
UUID = "583c985f-fee6-4c0e-bbf5-308aad6265af"
FRESH = "fresh-token"

ACCOUNT = ProviderAccount(
    id="acme",
    adapter="evolution_v1",
    base_url="http://127.0.0.1:8711",
    inbound_keys={AUTH.id: AUTH},
    outbound_key=CASINO,
    assets=AssetRegistry((Asset("ETH", 18), Asset("mBTC", 5))),
    contract_for=lambda *, asset, game_id, at: Contract(None, "operator"),
    pools=("mega",),
    settings={"casino_key": "croupier", "brand_id": ""},
)

CHECK: dict[str, Any] = {"sid": SID, "userId": PLAYER, "uuid": UUID, "channel": {"type": "P"}}
BALANCE: dict[str, Any] = {"sid": SID, "userId": PLAYER, "uuid": UUID, "currency": "EUR", "game": None}
GAME: dict[str, Any] = {
    "id": "round-1",
    "type": "blackjack",
    "details": {"table": {"id": "table-7", "vid": None}},
}
DEBIT: dict[str, Any] = {
    "sid": SID,
    "userId": PLAYER,
    "uuid": UUID,
    "currency": "EUR",
    "game": GAME,
    "transaction": {"id": "trans-1", "refId": "ref-1", "amount": 2},
}
PROMO: dict[str, Any] = {
    "sid": SID,
    "userId": PLAYER,
    "uuid": UUID,
    "currency": "EUR",
    "promoTransaction": {"type": "FreeRoundPlayableSpent", "id": "promo-1", "amount": 10, "voucherId": "v"},
}
BODIES = {
    "/check": CHECK,
    "/balance": BALANCE,
    "/debit": DEBIT,
    "/credit": DEBIT,
    "/cancel": DEBIT,
    "/promo_payout": PROMO,
}


def moving(amount: float | str, ref: str = "ref-1", trans: str = "trans-1", **changes: Any) -> dict[str, Any]:
    """A debit, credit or cancel of so much."""
    return DEBIT | {"transaction": {"id": trans, "refId": ref, "amount": amount}} | changes


def to_bytes(body: dict[str, Any] | bytes) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def with_amount(text: str, path: str = "/debit") -> bytes:
    """A body whose amount is written as given."""
    return to_bytes(BODIES[path]).replace(
        b'"amount": 10' if path == "/promo_payout" else b'"amount": 2', f'"amount": {text}'.encode()
    )


def raw_request(body: dict[str, Any] | bytes, path: str, query: bytes | None = None) -> RawRequest:
    token = b"authToken=" + AUTH.secret if query is None else query
    return RawRequest(
        method="POST",
        path=f"/providers/acme{path}".encode(),
        query=token,
        headers=(),
        body=to_bytes(body),
        received_at=NOW,
    )


def verified(body: dict[str, Any] | bytes, path: str) -> tuple[Verified, Context]:
    request = ADAPTER.verify(raw_request(body, path), ACCOUNT, NOW)
    operation = ADAPTER.operation("POST", path.encode())
    return request, Context(operation=operation, account=ACCOUNT, fresh_token=FRESH)


def decoded(body: dict[str, Any] | bytes, path: str) -> Decoded:
    call = ADAPTER.decode(*verified(body, path))
    assert isinstance(call, Decoded)
    return call


class Evolution:
    """Calls our callbacks as Evolution does, and keeps the session token that the last check gave it."""

    def __init__(self, submit: Submit, *, sid: str = SID, user: str = PLAYER) -> None:
        self.gateway = Gateway(ACCOUNT, ADAPTER, submit)
        self.sid = sid
        self.user = user

    async def send(self, path: str, body: dict[str, Any] | bytes, query: bytes | None = None) -> Received:
        """One request with the static token."""
        token = b"authToken=" + AUTH.secret if query is None else query
        return await self.gateway.send(path, to_bytes(body), {}, query=token)

    async def ask(self, path: str, body: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """One request; its answer, which has status 200 whatever it says."""
        received = await self.send(path, {**body, "sid": self.sid, "userId": self.user, **changes})
        assert received.status == 200
        return received.json

    async def tell(self, path: str, body: dict[str, Any], **changes: Any) -> tuple[str, float | None]:
        """What a request's answer says, and the balance in it."""
        answer = await self.ask(path, body, **changes)
        return answer["status"], answer.get("balance")

    async def check(self) -> str:
        """Initialise: the session's token is another one afterwards."""
        answer = await self.ask("/check", CHECK)
        self.sid = answer.get("sid", self.sid)
        return str(answer["status"])
