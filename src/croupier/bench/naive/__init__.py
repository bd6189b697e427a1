"""The gateway most teams write first, for comparison only: one request, one transaction, one locked wallet.

FastAPI, pydantic and a pool of asyncpg connections; the wallet is read with `FOR UPDATE`, the clearing
account is one row that is updated in place. It checks the same signature and nonce, writes the same rows and
gives the same answers.
"""

from typing import Final

ENVIRONMENT: Final = "NAIVE_GATEWAY"
"""Variable with the settings as JSON: `url`, `key_id`, `secret` (hex), `wallet` (of the operator's own; null)."""
