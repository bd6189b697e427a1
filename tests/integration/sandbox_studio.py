"""The sandbox provider in this process, as its callers see it."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from native_gateway import KEY, NativeGateway

from croupier.sandbox.plan import Attack, Flow
from croupier.sandbox.service import SandboxService, Settings
from croupier.sandbox.wire import Account, RetryPolicy
from croupier_signing import SigningKey, random_nonce, sign_native

LAUNCH_KEY = SigningKey("sandbox-out-1", b"fedcba9876543210fedcba9876543210")
QUICK = RetryPolicy(attempt_s=2.0, total_s=10.0, first_wait_s=0.002, longest_wait_s=0.02)
IMPATIENT = RetryPolicy(attempt_s=1.0, total_s=0.2, first_wait_s=0.002, longest_wait_s=0.02)
HOSTILE = {
    **{flow.value: 15 for flow in Flow if flow is not Flow.NORMAL},
    **{attack.value: 15 for attack in Attack},
    "duplicate": 15,
    "delay": 3,
    "drop_reply": 8,
}


class Studio:
    """The sandbox as its callers see it."""

    def __init__(self, address: str, http: aiohttp.ClientSession) -> None:
        self.address = address
        self._http = http

    async def ask(self, method: str, path: str, document: object = None) -> tuple[int, Any]:
        """One request with a JSON body, or none: status and JSON of the reply."""
        async with self._http.request(method, self.address + path, json=document) as reply:
            return reply.status, await reply.json()

    async def launch(self, body: dict[str, Any], **signing: Any) -> tuple[int, Any]:
        """A launch, signed as the gateway does unless told otherwise."""
        content = json.dumps(body).encode()
        headers = {"Authorization": sign_launch(content, **signing), "Content-Type": "application/json"}
        async with self._http.post(self.address + "/v1/launch", data=content, headers=headers) as reply:
            return reply.status, await reply.json()

    async def open(self, player: str, game: str) -> str:
        """Launch a session: the path of its page."""
        status, launched = await self.launch(launch_body(player, game))
        assert status == 200
        return str(launched["launch_url"]).removeprefix(self.address)

    async def play(self, player: str, game: str, **order: Any) -> dict[str, Any]:
        """Launch a session and play a batch; the report."""
        status, report = await self.ask("POST", await self.open(player, game), {"stake": "100", **order})
        assert status == 200, report
        assert isinstance(report, dict)
        return report

    async def book(self) -> list[dict[str, Any]]:
        """All entries of the book."""
        entries: list[dict[str, Any]] = []
        while True:
            since = entries[-1]["seq"] if entries else 0
            async with self._http.get(f"{self.address}/book?since={since}") as reply:
                lines = [json.loads(line) for line in (await reply.text()).splitlines()]
            if not lines:
                return entries
            entries.extend(lines)


def launch_body(player: str, game: str) -> dict[str, Any]:
    return {
        "session_id": f"ses-{player}-{game}",
        "player_id": player,
        "game_id": game,
        "asset": "EUR",
        "country": "MT",
    }


def sign_launch(content: bytes, *, key: SigningKey = LAUNCH_KEY, nonce: str = "", late_by_s: int = 0) -> str:
    return sign_native(
        key,
        method="POST",
        path=b"/v1/launch",
        query=b"",
        timestamp_s=int(time.time()) - late_by_s,
        nonce=nonce or random_nonce(),
        body=content,
    )


def account_at(gateway: str, *, name: str = "sandbox") -> Account:
    return Account(
        id=name,
        protocol="croupier_v1",
        callback_base=f"{gateway}/providers/{name}",
        callback_key=KEY,
        launch_keys=(LAUNCH_KEY,),
    )


@asynccontextmanager
async def studio_of(gateway: NativeGateway, policy: RetryPolicy = QUICK) -> AsyncIterator[Studio]:
    settings = Settings(accounts=(account_at(gateway.address),), port=0, seed="crash", policy=policy)
    async with SandboxService(settings) as service, aiohttp.ClientSession() as http:
        yield Studio(service.address, http)


def net(money: dict[str, str]) -> int:
    """What a session did to its player's wallet."""
    taken = int(money["staked"]) - int(money["rolled_back_bets"])
    return int(money["won"]) + int(money["jackpots"]) - int(money["rolled_back_wins"]) - taken
