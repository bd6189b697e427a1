"""The casino's platform in the demo: it deposits, opens sessions and closes them, through the public operator API."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any, ClassVar, Final

import aiohttp

TRIES: Final = 40
WAIT_S: Final = 0.25
TIMEOUT_S: Final = 30


class PlatformError(Exception):
    """The operator API gave an answer the demo cannot go on with."""


class Platform:
    """A client of the operator API that repeats, with the same key, what may be repeated, so many times."""

    tries: ClassVar[int] = TRIES

    def __init__(self, base_url: str, token: str) -> None:
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Platform:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self._http = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def deposit(self, player_id: str, asset: str, amount: int, reference: str) -> None:
        """Put money into a wallet."""
        body = {"amount": str(amount), "reference": reference}
        reply = await self._post(f"/v1/wallets/{player_id}/{asset}/deposits", body)
        if reply["status"] != "approved":
            raise PlatformError(f"a deposit was declined: {reply['code']}")

    async def open_session(self, player_id: str, game_id: str, asset: str, country: str) -> dict[str, Any]:
        """Open a session at the provider; the answer carries its launch URL."""
        body = {"player_id": player_id, "game_id": game_id, "asset": asset, "country": country}
        return await self._post("/v1/sessions", body)

    async def try_session(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Ask for a session; status and body of whatever is answered, whether it is good or not."""
        assert self._http is not None, "use the platform as a context manager"  # noqa: S101 (narrowing)
        headers, url = {"Idempotency-Key": uuid.uuid4().hex}, self._base_url + "/v1/sessions"
        said = "no answer"
        for _ in range(TRIES):
            try:
                async with self._http.post(url, json=body, headers=headers) as reply:
                    return reply.status, await reply.json(content_type=None)
            except (aiohttp.ClientError, TimeoutError) as error:
                said = repr(error)
            await asyncio.sleep(WAIT_S)
        raise PlatformError(f"POST /v1/sessions is not answered after {TRIES} tries: {said}")

    async def close_session(self, session_id: str) -> None:
        """End play; the session settles when its rounds are closed."""
        await self._post(f"/v1/sessions/{session_id}/close", {"reason": "demo_finished"})

    async def session_state(self, session_id: str) -> str:
        """The state of a session now."""
        view = await self._request("GET", f"/v1/sessions/{session_id}", None, {})
        return str(view["state"])

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._request("POST", path, body, {"Idempotency-Key": uuid.uuid4().hex})

    async def _request(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> dict[str, Any]:
        assert self._http is not None, "use the platform as a context manager"  # noqa: S101 (narrowing)
        said = "no answer"
        for _ in range(self.tries):
            try:
                async with self._http.request(
                    method, self._base_url + path, json=body, headers=headers
                ) as reply:
                    document: dict[str, Any] = await reply.json(content_type=None)
                    if reply.status < 300:
                        return document
                    said = f"{reply.status} {document.get('code')}: {document.get('detail')}"
                    if not document.get("retryable"):
                        raise PlatformError(f"{method} {path}: {said}")
            except (aiohttp.ClientError, TimeoutError) as error:
                said = repr(error)
            await asyncio.sleep(WAIT_S)
        raise PlatformError(f"{method} {path} still fails after {self.tries} tries: {said}")
