"""What settling by hand runs on: connections and a lane of its own, and nobody that asks the wallet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from croupier.ids import IdSource
from croupier.operator.wallet.settling import SettlingParts
from croupier.runtime.agreement_site import NoRemoteWallet
from croupier.runtime.command_lanes import build_command_lanes
from croupier.runtime.config import Config
from croupier.runtime.database import create_pool
from croupier.runtime.open_database import open_connection, open_database_url
from croupier.runtime.wallet_work import open_quiet_gate, wallet_terms

APPLICATION: Final = "croupier-settle"
PATIENCE_S: Final = 20.0
"""How long what is in hand may take at the end."""


@asynccontextmanager
async def open_hand_site(config: Config) -> AsyncIterator[SettlingParts]:
    """Everything to settle a call by hand; what that asks of the wallet next is left to the background processes.

    Raises NoRemoteWallet and DatabaseUnavailable.
    """
    terms = wallet_terms(config)
    if terms is None:
        raise NoRemoteWallet(
            "the wallet is built in: nothing is asked of another one, and nothing waits for it"
        )
    ids = IdSource()
    async with open_database_url(config) as url, open_connection(url):
        pool = await create_pool(url, min_size=1, max_size=2, application_name=APPLICATION)
        lanes = build_command_lanes(config, url, ids, application=APPLICATION)
        lanes.start()
        gate = open_quiet_gate(config, lanes, ids)
        assert gate.desk is not None, "a remote wallet has a desk"  # noqa: S101 (narrowing)
        try:
            yield SettlingParts(
                pool=pool,
                desk=gate.desk,
                ids=ids,
                now=lambda: datetime.now(UTC),
                terms=terms,
                timeout_s=config.wallet.timeout_s,
            )
        finally:
            await gate.drain(PATIENCE_S)
            await pool.close()
