"""Beexar's calls: an account, bodies, signatures, with a value for what a test does not care about."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import msgspec

from croupier.money import Asset, AssetRegistry
from croupier.moneypath.commands import Contract
from croupier.providers.adapters.softswiss_v2 import ADAPTER
from croupier.providers.contract import Context, Decoded, ProviderAccount
from croupier.providers.verification import RawRequest, Verified
from croupier_signing import SigningKey, sign_raw_hmac
from unit.adapters.edge_driver import NOW, Gateway, Submit
from unit.provider_edge import Received

BEEXAR = SigningKey("beexar-1", bytes(range(32)))
OURS = SigningKey("to-beexar", bytes(range(32, 64)))
PLAYER = "player-1"
SESSION = UUID("01955000-0000-7000-8000-00000000002a")

ACCOUNT = ProviderAccount(
    id="acme",
    adapter="softswiss_v2",
    base_url="http://127.0.0.1:8710/",
    inbound_keys={BEEXAR.id: BEEXAR},
    outbound_key=OURS,
    assets=AssetRegistry((Asset("CUSTOM_WIN", 0), Asset("ETH", 18))),
    contract_for=lambda *, asset, game_id, at: Contract(None, "operator"),
    settings={"casino_id": "casino-1"},
)

PLACE: dict[str, Any] = {"account_id": PLAYER, "currency": "EUR", "session_id": str(SESSION)}
BALANCE: dict[str, Any] = {**PLACE, "game_id": "dice"}


def stake(reference: str = "bet-1", amount: str = "3.56") -> dict[str, Any]:
    """A bet of a batch."""
    return {"id_provider": reference, "type": "bet", "amount": amount}


def prize(reference: str = "win-1", amount: str = "10.00") -> dict[str, Any]:
    """A win of a batch."""
    return {"id_provider": reference, "type": "win", "amount": amount}


def undoing(target: str = "bet-1", reference: str = "back-1") -> dict[str, Any]:
    """An element of a rollback."""
    return {"id_provider": reference, "type": "rollback", "original_id_provider": target}


def betwin(*transactions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A batch in the usual round; without anything given, one bet."""
    return {**BALANCE, "round_id": "round-1", "transactions": list(transactions) or [stake()], **more}


def rollback(*transactions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A rollback in the usual round; without anything given, of the usual bet."""
    body = {**BALANCE, "round_id_provider": "round-1", "finished": True}
    return {**body, "transactions": list(transactions) or [undoing()], **more}


FINISH: dict[str, Any] = {**PLACE, "round_id": "round-1"}
BODIES: dict[str, dict[str, Any]] = {
    "/balance": BALANCE,
    "/betwin": betwin(stake(), prize()),
    "/rollback": rollback(),
    "/finish": FINISH,
}


def to_bytes(body: dict[str, Any] | bytes) -> bytes:
    """A body as it is sent."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def raw_request(
    body: dict[str, Any] | bytes, path: str = "/betwin", signature: bytes | None = None
) -> RawRequest:
    """A request signed by Beexar, or with the signature given; an empty one is left out."""
    data = to_bytes(body)
    signed = sign_raw_hmac(BEEXAR, data).encode() if signature is None else signature
    return RawRequest(
        method="POST",
        path=f"/providers/acme{path}".encode(),
        query=b"",
        headers=((b"x-request-sign", signed),) if signed else (),
        body=data,
        received_at=NOW,
    )


def verified(body: dict[str, Any] | bytes, path: str = "/betwin") -> tuple[Verified, Context]:
    """A verified request and the context to decode it in."""
    request = ADAPTER.verify(raw_request(body, path), ACCOUNT, NOW)
    return request, Context(operation=ADAPTER.operation("POST", path.encode()), account=ACCOUNT)


def decoded(body: dict[str, Any] | bytes, path: str = "/betwin") -> Decoded:
    """What a request means."""
    call = ADAPTER.decode(*verified(body, path))
    assert isinstance(call, Decoded)
    return call


def told(call: Decoded) -> list[dict[str, Any]]:
    """Canonical actions as fixtures record them: the name of each, and what is not a default."""
    return [
        {"action": type(action).__name__}
        | {name: value for name, value in msgspec.to_builtins(action).items() if value is not None}
        for action in call.actions
    ]


class Beexar:
    """Calls our callbacks as the platform does."""

    def __init__(self, submit: Submit) -> None:
        self.gateway = Gateway(ACCOUNT, ADAPTER, submit)

    async def send(self, path: str, body: dict[str, Any] | bytes, **headers: str) -> Received:
        """One signed request."""
        data = to_bytes(body)
        return await self.gateway.send(path, data, {"x-request-sign": sign_raw_hmac(BEEXAR, data), **headers})

    async def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request that must be approved."""
        received = await self.send(path, body)
        assert received.status == 200, received.body
        return received.json

    async def refusal(self, path: str, body: dict[str, Any] | bytes) -> tuple[int, str, str | None]:
        """Status, api_code and balance of a request that must be refused."""
        received = await self.send(path, body)
        meta = received.json["meta"]
        assert received.json["code"] == ("internal" if received.status == 500 else "invalid_argument")
        return received.status, meta["api_code"], meta.get("balance")
