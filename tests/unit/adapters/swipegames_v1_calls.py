"""Swipe Games' calls: an account, bodies, signatures, seats, with a value for what a test does not care about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from croupier.ids import SESSION as SESSION_PREFIX
from croupier.ids import IdSource, render_id
from croupier.money import Asset, AssetRegistry
from croupier.moneypath.commands import Contract
from croupier.providers.adapters.swipegames_v1 import ADAPTER
from croupier.providers.callbacks import Callbacks, CallRecord, Edge
from croupier.providers.contract import Context, Decoded, ProviderAccount, Seat, Unseated
from croupier.providers.verification import RawRequest, Verified
from croupier_signing import (
    SigningKey,
    canonicalise,
    random_token,
    sign_canonical_body,
    sign_canonical_query,
)
from unit.adapters.edge_driver import NOW, Submit
from unit.provider_edge import Received, exchange

SWIPE = SigningKey("swipe-1", bytes(range(32)))
OURS = SigningKey("to-swipe", bytes(range(32, 64)))
PLAYER = "player-1"
SESSION = UUID("01955000-0000-7000-8000-00000000002a")
SESSION_TEXT = render_id(SESSION_PREFIX, SESSION)
SEAT = Seat(player_id=PLAYER, asset="EUR", session_id=SESSION, game_id="dice")
FindSeat = Callable[[str, UUID | None, tuple[str, ...]], Awaitable[Seat | None]]

ACCOUNT = ProviderAccount(
    id="acme",
    adapter="swipegames_v1",
    base_url="http://127.0.0.1:8711/api/v1/",
    inbound_keys={SWIPE.id: SWIPE},
    outbound_key=OURS,
    assets=AssetRegistry((Asset("ETH", 18),)),
    contract_for=lambda *, asset, game_id, at: Contract(None, "operator"),
    settings={"cID": "3fa85f64-5717-4562-b3fc-2c963f66afa6", "extCID": "casino 1"},
)


def tx(number: int) -> str:
    """A transaction id of theirs."""
    return f"c27ccade-5a45-4157-a85f-{number:012x}"


ROUND = "b78e42f8-2041-482d-9c4b-f2ca79fc75e3"
BET: dict[str, Any] = {
    "type": "regular",
    "sessionID": SESSION_TEXT,
    "amount": "3.56",
    "txID": tx(1),
    "roundID": ROUND,
}
WIN: dict[str, Any] = {**BET, "txID": tx(2), "amount": "10"}
REFUND: dict[str, Any] = {
    "sessionID": SESSION_TEXT,
    "txID": tx(3),
    "origTxID": tx(1),
    "amount": "3.56",
    "roundID": ROUND,
}
QUERY = {"sessionID": SESSION_TEXT}
BODIES: dict[str, dict[str, Any]] = {"/bet": BET, "/win": WIN, "/refund": REFUND}


def to_bytes(body: dict[str, Any] | bytes) -> bytes:
    """A body as it is sent: in canonical form."""
    return body if isinstance(body, bytes) else canonicalise(body)


def raw_request(
    body: dict[str, Any] | bytes,
    path: str = "/bet",
    *,
    signature: bytes | None = None,
    key: SigningKey = SWIPE,
) -> RawRequest:
    """A request signed by Swipe Games, or with the signature given; an empty one is left out."""
    is_question = path == "/balance"
    query = b""
    if is_question:
        query, data = body if isinstance(body, bytes) else urlencode(body).encode(), b""
    else:
        data = to_bytes(body)
    if signature is None:
        sign = sign_canonical_query(key, query) if is_question else sign_canonical_body(key, data)
        signature = sign.encode()
    return RawRequest(
        method="GET" if is_question else "POST",
        path=f"/providers/acme{path}".encode(),
        query=query,
        headers=((b"x-request-sign", signature),) if signature else (),
        body=data,
        received_at=NOW,
    )


def verified(body: dict[str, Any] | bytes, path: str = "/bet") -> tuple[Verified, Context]:
    """A verified request and the context to decode it in."""
    raw = raw_request(body, path)
    request = ADAPTER.verify(raw, ACCOUNT, NOW)
    return request, Context(operation=ADAPTER.operation(raw.method, path.encode()), account=ACCOUNT)


def unseated(body: dict[str, Any] | bytes, path: str = "/bet") -> Unseated:
    """What a request means before its player is known."""
    call = ADAPTER.decode(*verified(body, path))
    assert isinstance(call, Unseated)
    return call


def decoded(body: dict[str, Any] | bytes, path: str = "/bet", seat: Seat = SEAT) -> Decoded:
    """What a request means for a player."""
    return unseated(body, path).complete(seat)


def told(call: Decoded) -> list[dict[str, Any]]:
    """Canonical actions as fixtures record them: the name of each, and what is not a default."""
    return [
        {"action": type(action).__name__}
        | {name: value for name, value in msgspec.to_builtins(action).items() if value is not None}
        for action in call.actions
    ]


async def everybody_sits(provider: str, session_id: UUID | None, references: tuple[str, ...]) -> Seat | None:
    """The usual seat for the usual session."""
    return SEAT if session_id == SESSION else None


class Swipe:
    """Calls our callbacks as Swipe Games does."""

    def __init__(self, submit: Submit, find_seat: FindSeat = everybody_sits) -> None:
        self.records: list[CallRecord] = []
        self.app = Callbacks(
            Edge(
                accounts={ACCOUNT.id: (ACCOUNT, ADAPTER)},
                submit=submit,
                find_seat=find_seat,
                new_token=random_token,
                ids=IdSource(),
                now=lambda: NOW,
                observe=self.records.append,
            )
        )

    async def send(self, path: str, body: dict[str, Any] | bytes, **options: Any) -> Received:
        """One signed request."""
        raw = raw_request(body, path, **options)
        headers = [*raw.headers]
        if raw.method == "POST":
            headers.append((b"content-type", b"application/json"))
        scope: dict[str, Any] = {
            "type": "http",
            "method": raw.method,
            "path": raw.path.decode(),
            "raw_path": raw.path,
            "query_string": raw.query,
            "headers": headers,
        }
        received = await exchange(self.app, scope, [{"type": "http.request", "body": raw.body}])
        assert received is not None
        return received

    async def ask(self, path: str, body: dict[str, Any] | bytes, **changes: Any) -> dict[str, Any]:
        """The answer to a request that must be approved."""
        received = await self.send(path, {**body, **changes} if isinstance(body, dict) else body)
        assert received.status == 200, received.body
        return received.json

    async def refusal(self, path: str, body: dict[str, Any], **changes: Any) -> tuple[int, str | None]:
        """Status and code of a request that must be refused."""
        received = await self.send(path, {**body, **changes})
        assert received.status != 200, received.body
        assert received.json["message"]
        return received.status, received.json.get("code")
