"""What the reference wallet is told at its start."""

from __future__ import annotations

import ipaddress

from msgspec import Struct

from croupier_signing import SigningKey


class WalletSettings(Struct, frozen=True, kw_only=True):
    """Where it listens (loopback, port 0 for any), its books' database, and whose signatures it accepts.

    `latency_ms` is its own time for every call, `seed` repeats the chances of an earlier run. Raises ValueError for
    another host.
    """

    database_url: str
    key: SigningKey
    host: str = "127.0.0.1"
    port: int = 8703
    latency_ms: int = 0
    seed: str | None = None

    def __post_init__(self) -> None:
        if not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError(f"the reference wallet listens on loopback only, not on {self.host}")
