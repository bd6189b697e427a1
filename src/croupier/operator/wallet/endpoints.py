"""What the operator's wallet is called by to breakers and metrics, an endpoint for each kind of call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from croupier.providers.breakers.store import Endpoint
from croupier.wallet.port import Operation

WALLET: Final = "operator"
"""Who is asked; no provider account may be called so."""
ENDPOINTS: Final[Mapping[Operation, Endpoint]] = {
    one: Endpoint(WALLET, f"wallet_{one.value}") for one in Operation
}
STATUS_ENDPOINT: Final = Endpoint(WALLET, "wallet_status")
BALANCE_ENDPOINT: Final = Endpoint(WALLET, "wallet_balance")
WALLET_OPERATIONS: Final = tuple(
    one.operation for one in (*ENDPOINTS.values(), STATUS_ENDPOINT, BALANCE_ENDPOINT)
)
