"""What is measured of the operator's wallet, and that the configuration makes the client that it describes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from croupier.ids import IdSource
from croupier.operator.wallet.endpoints import WALLET, WALLET_OPERATIONS
from croupier.operator.wallet.sender import RemoteWallet
from croupier.providers.breakers.desk import Breakers
from croupier.providers.breakers.machine import BreakerSettings
from croupier.providers.retries import RetrySettings
from croupier.runtime.config import Config, load_config
from croupier.runtime.config.checks import RESERVED_PROVIDERS
from croupier.runtime.wallet import build_remote_wallet, wallet_settings
from croupier.telemetry.wallet_metrics import STATES, WalletLevel, WalletMetrics

SECRET = "correct-horse-battery-staple"
TOML = """
[retries]
attempts = 3
budget_percent = 20
[wallet]
mode = "remote"
url = "https://wallet.example/v1"
key_id = "w-1"
secret = "env:S"
timeout = "3s"
connections = 7
queue = 8
batch = 9
"""


def now() -> datetime:
    return datetime.now(UTC)


def read(folder: Path, text: str) -> Config:
    (folder / "croupier.toml").write_text(text)
    return load_config(folder / "croupier.toml", {"S": SECRET})


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, {"environment": "test", **labels})


def test_requests_are_measured_by_what_they_came_to() -> None:
    registry = CollectorRegistry()
    metrics = WalletMetrics("test", registry)
    metrics.note_begun()
    metrics.note_begun()
    assert value(registry, "croupier_wallet_requests_in_flight") == 2
    metrics.note_ended(operation="debit", outcome="approved", duration_s=0.25, movements=1)
    metrics.note_ended(operation="status", outcome="unknown", duration_s=2.0, movements=0)
    assert value(registry, "croupier_wallet_requests_in_flight") == 0
    name = "croupier_wallet_request_duration_seconds"
    assert value(registry, f"{name}_sum", operation="debit", outcome="approved") == 1 / 4
    assert value(registry, f"{name}_count", operation="status", outcome="unknown") == 1
    assert value(registry, "croupier_wallet_batch_size_count") == 1


def test_a_state_without_calls_is_told_as_none() -> None:
    registry = CollectorRegistry()
    metrics = WalletMetrics("test", registry)
    metrics.note_levels([WalletLevel("unknown", 3, 61.0)])
    metrics.note_levels([WalletLevel("queued", 2, 5.0)])
    found = {state: value(registry, "croupier_wallet_calls", state=state) for state in STATES}
    assert found == {"asked": 0, "queued": 2, "unknown": 0}
    assert value(registry, "croupier_wallet_oldest_call_seconds", state="unknown") == 0
    assert value(registry, "croupier_wallet_oldest_call_seconds", state="queued") == 5


def test_no_provider_account_can_be_called_as_the_wallet_is() -> None:
    assert WALLET in RESERVED_PROVIDERS
    assert WALLET_OPERATIONS == (
        "wallet_debit",
        "wallet_credit",
        "wallet_rollback",
        "wallet_status",
        "wallet_balance",
    )


def test_the_configuration_says_how_the_wallet_is_asked(tmp_path: Path) -> None:
    settings = wallet_settings(read(tmp_path, TOML), {"S": SECRET})
    assert settings is not None
    assert (settings.url, settings.key.id, settings.key.secret) == (
        "https://wallet.example/v1",
        "w-1",
        SECRET.encode(),
    )
    assert (settings.timeout_s, settings.connections, settings.queue, settings.batch) == (3, 7, 8, 9)
    assert settings.retries == RetrySettings(attempts=3, budget_percent=20)


def test_the_wallet_that_is_built_in_is_asked_by_nobody(tmp_path: Path) -> None:
    breakers = Breakers(None, BreakerSettings(), IdSource(), now)
    metrics = WalletMetrics("test", CollectorRegistry())
    assert build_remote_wallet(read(tmp_path, ""), {}, breakers, now, metrics) is None
    built = build_remote_wallet(read(tmp_path, TOML), {"S": SECRET}, breakers, now, metrics)
    assert isinstance(built, RemoteWallet)
