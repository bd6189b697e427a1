"""Hub88's calls: an account, bodies, signatures and readings, each with a value for what a test does not care about."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import structs

from croupier.money import Asset, AssetRegistry
from croupier.moneypath.commands import Contract
from croupier.providers.adapters.hub88_v1 import ADAPTER
from croupier.providers.contract import Context, Decoded, ProviderAccount
from croupier.providers.verification import RawRequest, Verified
from croupier_signing import PrivateKey, sign_rsa_body
from unit.adapters.edge_driver import NOW, Gateway, Submit
from unit.provider_edge import Received

HUB88 = PrivateKey("hub88-1", rsa.generate_private_key(65537, 2048))
STRANGER = PrivateKey("stranger", rsa.generate_private_key(65537, 2048))
OURS = PrivateKey("to-hub88", rsa.generate_private_key(65537, 2048))
PLAYER = "player-1"
TOKEN = "token-of-player-1"

ACCOUNT = ProviderAccount(
    id="acme",
    adapter="hub88_v1",
    base_url="http://127.0.0.1:8710/",
    inbound_keys={HUB88.id: HUB88.public},
    outbound_key=OURS,
    assets=AssetRegistry((Asset("mBTC", 5), Asset("uBTC", 2), Asset("FUN", 2), Asset("ETH", 18))),
    contract_for=lambda *, asset, game_id, at: Contract(None, "operator"),
    settings={"operator_id": "4711"},
)

INFO: dict[str, Any] = {"user": PLAYER, "request_uuid": "583c985f-fee6-4c0e-bbf5-308aad6265af"}
BALANCE: dict[str, Any] = {**INFO, "token": TOKEN, "game_code": "clt_dragonrising"}
BET: dict[str, Any] = {
    **BALANCE,
    "transaction_uuid": "bet-1",
    "round": "round-1",
    "round_closed": False,
    "currency": "EUR",
    "amount": 356_000,
    "is_free": False,
    "supplier_user": None,
    "bet": "zero",
    "meta": {"selection": "home", "odds": 1.75},
}
WIN: dict[str, Any] = {**BET, "transaction_uuid": "win-1", "reference_transaction_uuid": "bet-1"}
ROLLBACK: dict[str, Any] = {
    **BALANCE,
    "transaction_uuid": "back-1",
    "reference_transaction_uuid": "bet-1",
    "round": "round-1",
    "round_closed": False,
}
BODIES = {
    "/user/info": INFO,
    "/user/balance": BALANCE,
    "/transaction/bet": BET,
    "/transaction/win": WIN,
    "/transaction/rollback": ROLLBACK,
}


def to_bytes(body: dict[str, Any] | bytes) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def raw_request(body: dict[str, Any] | bytes, path: str, signature: str | None = None) -> RawRequest:
    """A request signed by Hub88, or with the signature given; an empty one is left out."""
    data = to_bytes(body)
    signed = sign_rsa_body(HUB88, data) if signature is None else signature
    headers = ((b"x-hub88-signature", signed.encode()),) if signed else ()
    return RawRequest(
        method="POST",
        path=f"/providers/acme{path}".encode(),
        query=b"",
        headers=headers,
        body=data,
        received_at=NOW,
    )


def verified(body: dict[str, Any] | bytes, path: str) -> tuple[Verified, Context]:
    request = ADAPTER.verify(raw_request(body, path), ACCOUNT, NOW)
    return request, Context(operation=ADAPTER.operation("POST", path.encode()), account=ACCOUNT)


def decoded(body: dict[str, Any] | bytes, path: str) -> Decoded:
    call = ADAPTER.decode(*verified(body, path))
    assert isinstance(call, Decoded)
    return call


class Hub88:
    """Calls our callbacks as Hub88 does."""

    def __init__(self, submit: Submit, *, currencies: tuple[Asset, ...] = ()) -> None:
        account = structs.replace(ACCOUNT, assets=AssetRegistry(currencies)) if currencies else ACCOUNT
        self.gateway = Gateway(account, ADAPTER, submit)

    async def send(self, path: str, body: dict[str, Any] | bytes, **headers: str) -> Received:
        """One signed request."""
        data = to_bytes(body)
        return await self.gateway.send(
            path, data, {"x-hub88-signature": sign_rsa_body(HUB88, data), **headers}
        )

    async def ask(self, path: str, body: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """One signed request; its answer, which has status 200 whatever it says."""
        received = await self.send(path, {**body, **changes})
        assert received.status == 200
        return received.json

    async def status(self, path: str, body: dict[str, Any], **changes: Any) -> str:
        """What a request's answer says."""
        return str((await self.ask(path, body, **changes))["status"])
