"""GIS calls: an account, forms, signatures and readings, each with a value for what a test does not care about."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from croupier.money import Asset, AssetRegistry
from croupier.moneypath.commands import Action, Contract
from croupier.providers.adapters.slotegrator_gis_v1 import ADAPTER
from croupier.providers.contract import Context, Decoded, ProviderAccount
from croupier.providers.verification import RawRequest, Verified
from croupier_signing import SigningKey, random_nonce, read_form, sign_sorted_form
from unit.adapters.edge_driver import NOW, Gateway, Submit
from unit.provider_edge import Received

NOW_S = int(NOW.timestamp())
GIS = SigningKey("gis-1", bytes(range(32)))
STRANGER = SigningKey("stranger", bytes(range(32, 64)))
OURS = SigningKey("to-gis", bytes(range(64, 96)))
MERCHANT = "merchant-7"
PLAYER = "player-1"
SESSION_TEXT = "ses_0195500000007000800000000000002a"
FORM = "application/x-www-form-urlencoded"

ACCOUNT = ProviderAccount(
    id="acme",
    adapter="slotegrator_gis_v1",
    base_url="http://127.0.0.1:8710/gis/",
    inbound_keys={GIS.id: GIS},
    outbound_key=OURS,
    assets=AssetRegistry((Asset("FUN", 0), Asset("BTC", 8), Asset("ETH", 18))),
    contract_for=lambda *, asset, game_id, at: Contract(None, "operator"),
    settings={"merchant_id": MERCHANT},
)

Fields = dict[str, str]

BALANCE: Fields = {"action": "balance", "player_id": PLAYER, "currency": "EUR", "session_id": SESSION_TEXT}
_MONEY: Fields = {
    "amount": "3.5600",
    "currency": "EUR",
    "game_uuid": "dice",
    "player_id": PLAYER,
    "session_id": SESSION_TEXT,
    "round_id": "round-1",
    "finished": "0",
    "transaction_datetime": "2026-03-01 11:59:59",
    "casino_request_retry_count": "0",
}
BET: Fields = {"action": "bet", **_MONEY, "transaction_id": "bet-1", "type": "bet"}
WIN: Fields = {"action": "win", **_MONEY, "transaction_id": "win-1", "type": "win"}
REFUND: Fields = {
    "action": "refund",
    **_MONEY,
    "transaction_id": "refund-1",
    "bet_transaction_id": "bet-1",
}
ROLLBACK: Fields = {
    "action": "rollback",
    "currency": "EUR",
    "game_uuid": "dice",
    "player_id": PLAYER,
    "transaction_id": "undo-1",
    "session_id": SESSION_TEXT,
    "type": "rollback",
    "provider_round_id": "4711",
    "round_id": "round-1",
}
ALL = {"balance": BALANCE, "bet": BET, "win": WIN, "refund": REFUND}


def undoing(*targets: tuple[str, str, str], **changes: str) -> Fields:
    """A rollback of transactions given as (action, amount, id)."""
    fields = {**ROLLBACK, **changes}
    for position, (action, amount, reference) in enumerate(targets):
        element = {"action": action, "amount": amount, "transaction_id": reference, "type": action}
        fields.update(
            {f"rollback_transactions[{position}][{name}]": value for name, value in element.items()}
        )
    return fields


ALL["rollback"] = undoing(("win", "3.5600", "win-1"), ("bet", "3.5600", "bet-1"))


def without(fields: Fields, *names: str) -> Fields:
    return {name: value for name, value in fields.items() if name not in names}


def signed_headers(
    body: bytes,
    *,
    key: SigningKey = GIS,
    merchant: str = MERCHANT,
    timestamp: str = str(NOW_S),
    nonce: str | None = None,
) -> dict[str, str]:
    """The four headers that belong to a form."""
    headers = {
        "X-Merchant-Id": merchant,
        "X-Timestamp": timestamp,
        "X-Nonce": random_nonce() if nonce is None else nonce,
    }
    return {**headers, "X-Sign": sign_sorted_form(key, read_form(body), headers)}


def raw_request(body: bytes, headers: dict[str, str] | None = None) -> RawRequest:
    """A request with the headers given, or signed as GIS does."""
    given = signed_headers(body) if headers is None else headers
    return RawRequest(
        method="POST",
        path=b"/providers/acme/",
        query=b"",
        headers=tuple((name.lower().encode(), value.encode("latin-1")) for name, value in given.items()),
        body=body,
        received_at=NOW,
    )


def verified(fields: Fields | bytes) -> tuple[Verified, Context]:
    body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
    request = ADAPTER.verify(raw_request(body), ACCOUNT, NOW)
    return request, Context(operation=ADAPTER.operation("POST", b"/"), account=ACCOUNT)


def decoded(fields: Fields | bytes) -> Decoded:
    call = ADAPTER.decode(*verified(fields))
    assert isinstance(call, Decoded)
    return call


def actions(fields: Fields | bytes) -> tuple[Action, ...]:
    return decoded(fields).actions


class Gis:
    """Calls our callback as the aggregator does."""

    def __init__(self, submit: Submit) -> None:
        self.gateway = Gateway(ACCOUNT, ADAPTER, submit)

    async def send(self, fields: Fields | bytes, headers: dict[str, str] | None = None) -> Received:
        """One request, signed anew unless headers are given."""
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        given = signed_headers(body) if headers is None else headers
        lower = {name.lower(): value for name, value in given.items()}
        return await self.gateway.send("/", body, {"content-type": FORM, **lower})

    async def ask(self, fields: Fields, **changes: str) -> dict[str, Any]:
        """One signed request; its answer, which has status 200."""
        received = await self.send({**fields, **changes})
        assert received.status == 200, received.body
        return received.json

    async def code(self, fields: Fields, **changes: str) -> str:
        """The error code of an answer, or `OK`."""
        return str((await self.ask(fields, **changes)).get("error_code", "OK"))
