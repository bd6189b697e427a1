"""The operator's side of a scenario: money for players, sessions for them, and what the wallet really holds."""

from __future__ import annotations

import uuid
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp

TIMEOUT_S: Final = 30


class OperatorFailed(Exception):
    """The operator API did not do what the kit needs; the text says what it said."""


class OperatorClient:
    """The public operator API with a bearer token."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> OperatorClient:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self._http = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def deposit(self, player_id: str, asset: str, amount: int) -> None:
        """Put money into a wallet."""
        body = {"amount": str(amount), "reference": f"conformance-{uuid.uuid4().hex}"}
        reply = await self._ask("POST", f"/v1/wallets/{player_id}/{asset}/deposits", body)
        if reply["status"] != "approved":
            raise OperatorFailed(f"a deposit was declined: {reply['code']}")

    async def withdraw(self, player_id: str, asset: str, amount: int) -> None:
        """Take money out of a wallet."""
        body = {"amount": str(amount), "reference": f"conformance-{uuid.uuid4().hex}"}
        reply = await self._ask("POST", f"/v1/wallets/{player_id}/{asset}/withdrawals", body)
        if reply["status"] != "approved":
            raise OperatorFailed(f"a withdrawal was declined: {reply['code']}")

    async def wallet(self, player_id: str, asset: str) -> dict[str, Any]:
        """A wallet as it is now."""
        return await self._ask("GET", f"/v1/wallets/{player_id}/{asset}")

    async def balance(self, player_id: str, asset: str) -> int:
        """What the player's cash fund holds now, in minor units."""
        funds = (await self.wallet(player_id, asset))["funds"]
        return sum(int(one["balance"]["amount"]) for one in funds)

    async def open_session(self, player_id: str, game_id: str, asset: str, country: str) -> dict[str, Any]:
        """Open a session; the provider is asked to launch it meanwhile."""
        body = {
            "player_id": player_id,
            "game_id": game_id,
            "asset": asset,
            "country": country,
            "ip": "203.0.113.7",
            "locale": "en-GB",
            "return_url": "https://casino.example/lobby",
            "client": "desktop",
        }
        return await self._ask("POST", "/v1/sessions", body)

    async def close_session(self, session_id: str) -> None:
        """End play."""
        await self._ask("POST", f"/v1/sessions/{session_id}/close", {"reason": "conformance"})

    async def session(self, session_id: str) -> dict[str, Any]:
        """A session as it is now."""
        return await self._ask("GET", f"/v1/sessions/{session_id}")

    async def rounds(self, session_id: str) -> list[dict[str, Any]]:
        """The first rounds of a session."""
        page = await self._ask("GET", f"/v1/rounds?session_id={session_id}")
        rounds: list[dict[str, Any]] = page["rounds"]
        return rounds

    async def breaks(self, player_id: str) -> list[dict[str, Any]]:
        """The first pieces of work that people have about a player."""
        page = await self._ask("GET", f"/v1/breaks?player_id={player_id}")
        breaks: list[dict[str, Any]] = page["breaks"]
        return breaks

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return await self._say(method, self._url + path, body)

    async def _say(self, method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        assert self._http is not None, "use the client as a context manager"  # noqa: S101 (narrowing)
        headers = {"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {}
        try:
            async with self._http.request(method, url, json=body, headers=headers) as reply:
                document: dict[str, Any] = await reply.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise OperatorFailed(f"{method} {url}: {error!r}") from None
        if reply.status >= 300:
            said = f"{reply.status} {document.get('code')}: {document.get('detail')}"
            raise OperatorFailed(f"{method} {url}: {said}")
        return document


class RemoteCashier(OperatorClient):
    """The operator whose own wallet keeps the money: its cashier stands at the reference wallet's desk."""

    def __init__(self, url: str, token: str, wallet_url: str) -> None:
        super().__init__(url, token)
        self._cashier = f"{wallet_url.rstrip('/')}/cashier"

    async def deposit(self, player_id: str, asset: str, amount: int) -> None:
        """Put money into a wallet."""
        await self._move("deposit", player_id, asset, amount)

    async def withdraw(self, player_id: str, asset: str, amount: int) -> None:
        """Take money out of a wallet."""
        await self._move("withdraw", player_id, asset, amount)

    async def balance(self, player_id: str, asset: str) -> int:
        """What the player has by the wallet's own word, in minor units."""
        query = urlencode({"player_id": player_id, "asset": asset})
        found = await self._say("GET", f"{self._cashier}/balance?{query}")
        return int(found["balance"])

    async def _move(self, what: str, player_id: str, asset: str, amount: int) -> None:
        body = {
            "player_id": player_id,
            "asset": asset,
            "amount": str(amount),
            "reference": f"conformance-{uuid.uuid4().hex}",
        }
        reply = await self._say("POST", f"{self._cashier}/{what}", body)
        if reply["status"] != "approved":
            raise OperatorFailed(f"a {what} was declined: {reply['code']}")
