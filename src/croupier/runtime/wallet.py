"""The operator's own wallet as the configuration describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from croupier.operator.wallet.client import WalletClient, WalletSettings
from croupier.operator.wallet.endpoints import WALLET
from croupier.operator.wallet.sender import CallRecord, RemoteWallet
from croupier.providers.breakers.desk import Breakers
from croupier.providers.retries import RetrySettings
from croupier.runtime.config import Config, resolve_wallet_key
from croupier.telemetry.outbound_metrics import OutboundMetrics
from croupier.telemetry.wallet_metrics import WalletMetrics


class _Told:
    """What the metrics are told of requests."""

    def __init__(self, metrics: WalletMetrics, outbound: OutboundMetrics | None) -> None:
        self._metrics = metrics
        self._outbound = outbound

    def begin_request(self) -> None:
        self._metrics.note_begun()

    def end_request(self, record: CallRecord) -> None:
        self._metrics.note_ended(
            operation=record.operation,
            outcome=record.outcome,
            duration_s=record.duration_s,
            movements=record.movements,
        )

    def note_budget(self, percent: int) -> None:
        if self._outbound is not None:
            self._outbound.note_budget(WALLET, percent)


def wallet_settings(config: Config, env: Mapping[str, str]) -> WalletSettings | None:
    """What the configuration says of the operator's wallet; None where none is asked. Raises ConfigProblems."""
    wallet, key = config.wallet, resolve_wallet_key(config, env)
    if not wallet.is_remote or wallet.url is None or key is None:
        return None
    retries = config.retries
    return WalletSettings(
        url=wallet.url,
        key=key,
        timeout_s=wallet.timeout_s,
        connections=wallet.connections,
        queue=wallet.queue,
        batch=wallet.batch,
        retries=RetrySettings(attempts=retries.attempts, budget_percent=retries.budget_percent),
    )


def build_remote_wallet(
    config: Config,
    env: Mapping[str, str],
    breakers: Breakers,
    now: Callable[[], datetime],
    metrics: WalletMetrics,
    outbound: OutboundMetrics | None = None,
) -> RemoteWallet | None:
    """The operator's wallet; None where the one built in keeps the money. Close it when the process ends.

    Somebody has to `follow` the breakers. Raises ConfigProblems.
    """
    settings = wallet_settings(config, env)
    if settings is None:
        return None
    return RemoteWallet(WalletClient(settings, now), breakers, settings, now, _Told(metrics, outbound))
