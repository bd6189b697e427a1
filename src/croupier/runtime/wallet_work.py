"""The money path put together for whoever keeps the wallet: lanes alone, or with a desk before the operator's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from croupier.ids import IdSource
from croupier.moneypath.commands import Call
from croupier.moneypath.lanes import Lanes
from croupier.moneypath.outcomes import Outcome
from croupier.operator.wallet.away import AwayWallet
from croupier.operator.wallet.desk import WalletDesk
from croupier.operator.wallet.settling import Settling, SettlingParts, WalletLevel
from croupier.providers.breakers.desk import Breakers
from croupier.runtime.config import Config
from croupier.runtime.wallet import build_remote_wallet
from croupier.telemetry.wallet_metrics import WalletLevel as MeasuredLevel
from croupier.telemetry.wallet_metrics import WalletMetrics
from croupier.wallet.calls import WalletTerms

LEASE_MARGIN_S: Final = 8.0
"""How long an answer that came may take to be committed before somebody else asks."""
SIGNATURE_GOOD_S: Final = 60.0
"""How long a wallet whose clock is off may take a signature for fresh: twice the window of 30 s."""


def wallet_terms(config: Config) -> WalletTerms | None:
    """The terms of the operator's own wallet; None where Croupier's is the one."""
    wallet = config.wallet
    if not wallet.is_remote:
        return None
    return WalletTerms(
        lease=timedelta(seconds=wallet.timeout_s + LEASE_MARGIN_S),
        deadline=timedelta(seconds=wallet.deadline_s),
        stale_after=timedelta(seconds=wallet.timeout_s + SIGNATURE_GOOD_S),
        late_grace=timedelta(seconds=config.limits.bet_grace_s),
        owner=wallet.owner,
    )


class MoneyGate:
    """Where a process gives its calls: to its lanes, or to the desk that asks the operator's wallet."""

    def __init__(self, lanes: Lanes, desk: WalletDesk | None, close: Callable[[], Awaitable[None]]) -> None:
        self._lanes = lanes
        self._close = close
        self.desk = desk

    async def submit(self, call: Call) -> tuple[Outcome, ...]:
        """Decide a call durably; raises CroupierError."""
        return await (self._lanes if self.desk is None else self.desk).submit(call)

    async def drain(self, patience_s: float) -> None:
        """Let what was begun with the wallet end, decide what is in the lanes, and close everything."""
        if self.desk is not None:
            await self.desk.drain(patience_s)
        await self._lanes.drain()
        await self._close()


async def _close_nothing() -> None:
    return


def open_gate(
    config: Config,
    lanes: Lanes,
    *,
    env: Mapping[str, str],
    breakers: Breakers,
    ids: IdSource,
    now: Callable[[], datetime],
    metrics: WalletMetrics,
) -> MoneyGate:
    """The gate of a process that may ask the operator's wallet; raises ConfigProblems for a key without secret."""
    wallet = build_remote_wallet(config, env, breakers, now, metrics)
    if wallet is None:
        return MoneyGate(lanes, None, _close_nothing)
    desk = WalletDesk(lanes.decide, wallet, ids, timeout_s=config.wallet.timeout_s)
    return MoneyGate(lanes, desk, wallet.close)


def open_quiet_gate(config: Config, lanes: Lanes, ids: IdSource) -> MoneyGate:
    """The gate of a command: it asks no wallet, and leaves what is to be delivered to the background processes."""
    if not config.wallet.is_remote:
        return MoneyGate(lanes, None, _close_nothing)
    desk = WalletDesk(lanes.decide, AwayWallet(), ids, timeout_s=config.wallet.timeout_s)
    return MoneyGate(lanes, desk, _close_nothing)


def build_settling(
    config: Config,
    gate: MoneyGate,
    pool: asyncpg.Pool,
    *,
    ids: IdSource,
    now: Callable[[], datetime],
    metrics: WalletMetrics,
) -> Settling | None:
    """What settles open calls in a background process; None where Croupier's wallet is the one."""
    terms = wallet_terms(config)
    if terms is None or gate.desk is None:
        return None

    def observe(levels: Sequence[WalletLevel]) -> None:
        metrics.note_levels(MeasuredLevel(one.state, one.calls, one.oldest_s) for one in levels)

    return Settling(
        SettlingParts(
            pool=pool,
            desk=gate.desk,
            ids=ids,
            now=now,
            terms=terms,
            timeout_s=config.wallet.timeout_s,
            observe=observe,
        )
    )
