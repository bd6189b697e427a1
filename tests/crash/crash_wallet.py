"""The operator's own wallet beside a deployment that is tried hard, and the verdict on what both hold afterwards."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from crash_load import ASSET, DEPOSIT, CrashLoad
from crash_site import CrashSite

from croupier.demo.platform import Platform
from croupier.demo.wallet_service import WalletService, WalletStart, wallet_process
from croupier.runtime.database import ensure_database
from croupier.runtime.embedded import EmbeddedServer
from croupier_signing import random_token


class WalletLoad(CrashLoad):
    """Players whose money is at the operator's own wallet."""

    def __init__(
        self, site: CrashSite, wallet: WalletService, *, players: int, patience_s: float = 120.0
    ) -> None:
        super().__init__(site, players=players, patience_s=patience_s)
        self._wallet = wallet

    async def _deposit(self, platform: Platform, player: str, which: str) -> None:
        await self._wallet.deposit(player, ASSET, DEPOSIT, f"{which}-{player}")
        self.deposited[player] += DEPOSIT


def write_key(folder: Path) -> Path:
    """A key that only its owner reads."""
    key = folder / "wallet.key"
    key.touch(mode=0o600)
    key.write_text(random_token())
    return key


@contextlib.asynccontextmanager
async def own_wallet(site: CrashSite) -> AsyncIterator[WalletService]:
    """The reference wallet beside the site, which is configured to ask it."""
    key = write_key(site.folder)
    async with EmbeddedServer(site.folder / "wallet") as server:
        url = await ensure_database(server.url(), "wallet")
        order = WalletStart(database_url=url, secret=f"file:{key}", latency_ms=15, seed="1")
        async with wallet_process(order) as wallet:
            text = site.config_path.read_text()
            section = (
                f'\n[wallet]\nmode = "remote"\nurl = "{wallet.url}"\nsecret = "file:{key}"\ntimeout = "1s"\n'
            )
            site.config_path.write_text(text + section)
            yield wallet


async def is_settled(connection: Any) -> bool:
    """Whether nothing is under way with the wallet."""
    return bool(await connection.fetchval("SELECT count(*) FROM wallet_call WHERE settled_at IS NULL") == 0)


async def require_agreement(connection: Any, wallet: WalletService, deposited: Counter[str]) -> None:
    """I6: what flowed through every mirror is what the wallet moved, and the player has it, movement by movement."""
    rows = await connection.fetch(
        "SELECT owner, balance::text AS flowed FROM account WHERE is_mirror AND kind = 'player_wallet'"
    )
    flowed = {row["owner"]: int(row["flowed"]) for row in rows}
    moved: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for movement in await wallet.book():
        if movement["reference"].startswith("wtx_"):
            moved[movement["player_id"]] += int(movement["change"])
            seen[movement["reference"]] += 1
    assert {player: amount for player, amount in flowed.items() if amount} == {
        player: amount for player, amount in moved.items() if amount
    }
    assert max(seen.values()) == 1
    for player, amount in deposited.items():
        assert await wallet.balance(player, ASSET) == amount + flowed.get(player, 0), player
