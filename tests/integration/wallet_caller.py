"""The reference wallet in this process, as Croupier and its own operator see it."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from croupier.sandbox.wallet.service import WalletService
from croupier.sandbox.wallet.settings import WalletSettings
from croupier_signing import SigningKey, random_nonce, sign_native

KEY = SigningKey("wallet", b"0123456789abcdef0123456789abcdef")
JSON = {"Content-Type": "application/json"}
Answer = tuple[int, Any]


class Caller:
    """Calls of the contract, signed unless told otherwise, and calls of the operator."""

    def __init__(self, address: str, http: aiohttp.ClientSession) -> None:
        self.address = address
        self.http = http

    async def ask(self, path: str, document: object, **signing: Any) -> Answer:
        """One signed call: status and body."""
        return await self.post(path, json.dumps(document).encode(), **signing)

    async def post(
        self, path: str, body: bytes, *, headers: dict[str, str] | None = None, **signing: Any
    ) -> Answer:
        """One signed call with a body as it is."""
        signed = {**JSON, "Authorization": sign(path, body, **signing), **(headers or {})}
        return await self.send("POST", path, body, signed)

    async def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        """One call with these headers and no others."""
        async with self.http.request(method, self.address + path, data=body, headers=headers) as reply:
            return reply.status, await reply.json()

    async def move(self, operation: str, reference: str, amount: str = "100", **members: Any) -> Any:
        """A movement that is decided: the body of the 200."""
        status, answer = await self.ask(f"/{operation}", movement(reference, amount, operation, **members))
        assert status == 200, answer
        return answer

    async def status(self, reference: str, player: str = "p-1") -> Any:
        """What became of a reference."""
        status, answer = await self.ask(
            "/status", {"reference": reference, "player_id": player, "asset": "EUR"}
        )
        assert status == 200, answer
        return answer

    async def balance(self, player: str = "p-1", asset: str = "EUR") -> int:
        """What a player has."""
        status, answer = await self.ask("/balance", {"player_id": player, "asset": asset})
        assert (status, answer["status"]) == (200, "approved"), answer
        return int(answer["balance"])

    async def desk(self, method: str, path: str, document: object = None) -> Any:
        """What the operator asks, unsigned."""
        async with self.http.request(method, self.address + path, json=document) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json()

    async def deposit(self, amount: int | str, player: str = "p-1", asset: str = "EUR") -> Any:
        """Money for a player, and the wallet if need be."""
        order = {
            "player_id": player,
            "asset": asset,
            "amount": str(amount),
            "reference": f"dep-{random_nonce()}"[:64],
        }
        return await self.desk("POST", "/cashier/deposit", order)

    async def control(self, **order: Any) -> Any:
        """Set switches, or read them."""
        return await self.desk("POST", "/control", order) if order else await self.desk("GET", "/control")

    async def batch(self, *items: dict[str, Any]) -> list[Any]:
        """The results of one batch."""
        status, answer = await self.ask("/batch", {"items": items})
        assert status == 200, answer
        return list(answer["results"])

    async def book(self) -> list[Any]:
        """Everything decided, at most a thousand."""
        return list((await self.desk("GET", "/book"))["movements"])

    async def is_balanced(self) -> bool:
        """Whether balances are what was moved, in every asset."""
        assets = (await self.desk("GET", "/totals"))["assets"]
        return all(total["is_balanced"] for total in assets.values())


def sign(
    path: str,
    body: bytes,
    *,
    key: SigningKey = KEY,
    method: str = "POST",
    nonce: str | None = None,
    ago_s: int = 0,
) -> str:
    """The authorization of a request, made so many seconds ago."""
    path, _, query = path.partition("?")
    return sign_native(
        key,
        method=method,
        path=path.encode(),
        query=query.encode(),
        timestamp_s=int(time.time()) - ago_s,
        nonce=nonce or random_nonce(),
        body=body,
    )


def movement(reference: str, amount: str = "100", operation: str = "debit", **members: Any) -> dict[str, Any]:
    """The body of a movement; a rollback undoes `target`, unless told otherwise a bet of the same amount."""
    body = {
        "reference": reference,
        "player_id": "p-1",
        "asset": "EUR",
        "amount": amount,
        "kind": "win" if operation == "credit" else "bet",
        "provider": "studio",
        "provider_reference": f"tx-{reference}",
        "session_id": "ses_1",
        "round_id": None,
        "game_id": None,
        "occurred_at": "2026-01-31T12:00:00Z",
    }
    if operation == "rollback":
        body |= {"if_spent": "take_what_is_left", "target_reference": members.pop("target")}
    return body | members


def item(operation: str, reference: str, amount: str = "100", **members: Any) -> dict[str, Any]:
    """The same as an item of a batch."""
    return {"operation": operation, **movement(reference, amount, operation, **members)}


@asynccontextmanager
async def open_wallet(database_url: str, **settings: Any) -> AsyncIterator[Caller]:
    """A wallet in this process."""
    chosen = WalletSettings(database_url=database_url, key=KEY, port=0, **settings)
    async with WalletService(chosen) as service, aiohttp.ClientSession() as http:
        yield Caller(service.address, http)
