"""What a comparison with the operator's wallet runs on: a part of the background process, or a command's own site."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from croupier.ids import IdSource
from croupier.operator.wallet.sender import RemoteWallet
from croupier.runtime.agreement_work import AgreementParts, Submit, keep_agreement
from croupier.runtime.breaker_work import build_breakers
from croupier.runtime.command_lanes import build_command_lanes
from croupier.runtime.config import Config
from croupier.runtime.database import create_pool
from croupier.runtime.open_database import open_connection, open_database_url
from croupier.runtime.wallet import build_remote_wallet
from croupier.telemetry.metrics import Metrics

APPLICATION: Final = "croupier-reconcile"


class NoRemoteWallet(Exception):
    """The wallet is built in: there is nobody to agree with."""


def agreement_part(
    config: Config,
    pool: asyncpg.Pool,
    *,
    submit: Submit,
    ids: IdSource,
    metrics: Metrics,
    stop: asyncio.Event,
) -> dict[str, Coroutine[Any, Any, None]]:
    """The part of a background process that compares; none where the wallet is built in. Raises ConfigProblems."""
    wallet = _build_wallet(config, pool, ids, metrics)
    if wallet is None:
        return {}
    parts = _parts(config, pool, wallet, submit, ids)

    async def run() -> None:
        try:
            await keep_agreement(parts, metrics.agreement, stop)
        finally:
            await wallet.close()

    return {"agreement": run()}


@asynccontextmanager
async def open_agreement_site(config: Config) -> AsyncIterator[AgreementParts]:
    """Everything for one comparison, with lanes of its own for the breaks.

    Raises NoRemoteWallet, ConfigProblems, and DatabaseUnavailable.
    """
    if not config.wallet.is_remote:
        raise NoRemoteWallet("the wallet is built in: the ledger is the only side (`croupier ledger check`)")
    ids = IdSource()
    async with open_database_url(config) as url, open_connection(url):
        pool = await create_pool(url, min_size=1, max_size=2, application_name=APPLICATION)
        wallet = _build_wallet(config, pool, ids, Metrics(config.environment))
        assert wallet is not None, "a remote wallet is configured"  # noqa: S101 (narrowing)
        lanes = build_command_lanes(config, url, ids, application=APPLICATION)
        lanes.start()
        try:
            yield _parts(config, pool, wallet, lanes.submit, ids)
        finally:
            await lanes.drain()
            await wallet.close()
            await pool.close()


def _build_wallet(config: Config, pool: asyncpg.Pool, ids: IdSource, metrics: Metrics) -> RemoteWallet | None:
    # A statement is asked whatever the breakers say, so nobody has to follow these.
    breakers = build_breakers(config, pool, ids, now, metrics.outbound)
    return build_remote_wallet(config, os.environ, breakers, now, metrics.wallet)


def _parts(
    config: Config, pool: asyncpg.Pool, wallet: RemoteWallet, submit: Submit, ids: IdSource
) -> AgreementParts:
    return AgreementParts(
        pool=pool,
        wallet=wallet,
        submit=submit,
        ids=ids,
        now=now,
        owner=config.wallet.owner,
        deadline=timedelta(seconds=config.wallet.deadline_s),
    )


def now() -> datetime:
    """The time by this machine's clock, in UTC."""
    return datetime.now(UTC)
