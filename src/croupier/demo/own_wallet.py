"""The operator's own wallet in the demo: a stranger with a database of its own, and the casino whose cashier it is."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import asyncpg

from croupier.demo.platform import Platform, PlatformError
from croupier.demo.settings import DemoSettings, WalletMode
from croupier.demo.studio import DemoFailed
from croupier.demo.wallet_service import WalletProcessFailed, WalletService, WalletStart, wallet_process
from croupier.runtime.config import Config
from croupier.runtime.config.starter import KEYS_FOLDER
from croupier.runtime.database import ensure_database
from croupier.runtime.embedded import EmbeddedServer
from croupier_signing import random_token

WALLET_DATABASE: Final = "operator_wallet"
KEY_NAME: Final = "wallet.key"
PURSE: Final = 1
"""What a player gets who only looks in: no money, no wallet, and no game without a wallet."""
PATIENCE: Final = 160
"""How often the platform asks again: longer than the wallet is away."""

Purse = tuple[str, str]
"""Whose, and in what."""


@contextlib.asynccontextmanager
async def own_wallet(
    config: Config, folder: Path, settings: DemoSettings
) -> AsyncIterator[WalletService | None]:
    """The operator's wallet with empty books, on the demo's embedded server; none where Croupier's is the one.

    Raises DemoFailed when it does not start.
    """
    if settings.wallet is WalletMode.BUILTIN:
        yield None
        return
    if not config.database.is_embedded:
        raise DemoFailed(
            "the operator's wallet of the demo keeps its books on the embedded server: unset database.url"
        )
    key = _make_key(folder)
    async with EmbeddedServer(config.database.embedded_folder) as server:
        await _forget(server.url())
        url = await ensure_database(server.url(), WALLET_DATABASE)
        order = WalletStart(database_url=url, secret=f"file:{key}", seed=str(settings.seed))
        async with contextlib.AsyncExitStack() as stack:
            try:
                wallet = await stack.enter_async_context(wallet_process(order))
            except WalletProcessFailed as error:
                raise DemoFailed(str(error)) from None
            yield wallet


def _make_key(folder: Path) -> Path:
    path = (folder / KEYS_FOLDER / KEY_NAME).resolve()
    if not path.exists():
        path.touch(mode=0o600)
        with open(os.open(path, os.O_WRONLY | os.O_TRUNC), "w") as file:
            file.write(random_token())
    return path


async def _forget(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{WALLET_DATABASE}" WITH (FORCE)')
    finally:
        await connection.close()


class WalletPlatform(Platform):
    """A casino whose own wallet keeps the money: it deposits there, and whoever opens a game has a wallet first.

    `deposited` is what came in by the cashier, in minor units; `purses` what of it nobody asked for.
    """

    tries = PATIENCE

    def __init__(self, base_url: str, token: str, wallet: WalletService) -> None:
        super().__init__(base_url, token)
        self._wallet = wallet
        self.deposited: Counter[Purse] = Counter()
        self.purses: Counter[Purse] = Counter()

    async def deposit(self, player_id: str, asset: str, amount: int, reference: str) -> None:
        """Put money into the player's wallet, at its own cashier."""
        reply = await self._wallet.deposit(player_id, asset, amount, reference)
        if reply["status"] != "approved":
            raise PlatformError(f"a deposit was declined: {reply['code']}")
        self.deposited[player_id, asset] += amount

    async def try_session(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Ask for a session of somebody who may have come for nothing else."""
        purse = body["player_id"], body["asset"]
        if purse not in self.deposited:
            await self.deposit(*purse, PURSE, f"purse-{purse[0]}-{purse[1]}")
            self.purses[purse] += PURSE
        return await super().try_session(body)
