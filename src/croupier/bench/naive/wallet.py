"""The operator's own wallet as most teams ask it: over HTTP, from the transaction that holds the player's row."""

from __future__ import annotations

import json
import time

import aiohttp
from msgspec import Struct

from croupier.bench.naive.money import Order
from croupier.ids import WALLET_CALL, IdSource, render_id
from croupier_signing import SigningKey, random_nonce, sign_native


class WalletSite(Struct, frozen=True, kw_only=True):
    """Where the wallet is, and the key that signs the calls; the secret is text."""

    url: str
    key_id: str
    secret: str


class Wallet:
    """Connections to the wallet; close it at the end."""

    def __init__(self, site: WalletSite, ids: IdSource) -> None:
        self._url = site.url
        self._key = SigningKey(site.key_id, site.secret.encode())
        self._ids = ids
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    async def move(self, order: Order) -> int | None:
        """Ask for the movement of a bet or win: what the player has after it, None when it is not approved."""
        path = "/debit" if order.moved < 0 else "/credit"
        document = {
            "reference": render_id(WALLET_CALL, self._ids.new(order.bucket)),
            "player_id": order.player_id,
            "asset": order.asset,
            "amount": str(order.amount),
            "kind": order.action,
            "provider": order.provider,
            "provider_reference": order.reference,
            "session_id": str(order.session_id),
            "round_id": order.round_id,
            "game_id": order.game_id,
            "occurred_at": order.occurred_at.isoformat(),
        }
        body = json.dumps(document).encode()
        signature = sign_native(
            self._key,
            method="POST",
            path=path.encode(),
            query=b"",
            timestamp_s=int(time.time()),
            nonce=random_nonce(),
            body=body,
        )
        headers = {"authorization": signature, "content-type": "application/json"}
        async with self._http.post(self._url + path, data=body, headers=headers) as reply:
            said = await reply.json()
        return int(said["balance"]) if said["status"] == "approved" else None

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.close()
