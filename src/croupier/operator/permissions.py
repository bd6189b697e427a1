"""Who may do what: every route of the operator API and the roles it is open to, in one table."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What an API key is for."""

    OPERATOR = "operator"
    ADMIN = "admin"
    SUPPORT = "support"
    FINANCE = "finance"
    SECURITY = "security"
    READ_ONLY = "read_only"


_CHANGE: Final = frozenset({Role.OPERATOR, Role.ADMIN})
_READ: Final = frozenset(Role)
_READ_MONEY: Final = _READ - {Role.SECURITY}

PUBLIC: Final = frozenset({("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/docs/errors/{code}")})
"""Method and path of what needs no key: the documentation."""

PERMISSIONS: Final[dict[tuple[str, str], frozenset[Role]]] = {
    ("POST", "/v1/sessions"): _CHANGE,
    ("GET", "/v1/sessions"): _READ,
    ("GET", "/v1/sessions/{session_id}"): _READ,
    ("GET", "/v1/sessions/{session_id}/timeline"): _READ,
    ("POST", "/v1/sessions/{session_id}/close"): _CHANGE,
    ("GET", "/v1/wallets/{player_id}/{asset}"): _READ_MONEY,
    ("POST", "/v1/wallets/{player_id}/{asset}/deposits"): _CHANGE,
    ("POST", "/v1/wallets/{player_id}/{asset}/withdrawals"): _CHANGE,
    ("POST", "/v1/wallets/{player_id}/{asset}/withdrawals/{reference}/cancel"): _CHANGE,
    ("POST", "/v1/players/{player_id}/restrictions"): _CHANGE,
    ("GET", "/v1/players/{player_id}/restrictions"): _READ,
    ("POST", "/v1/players/{player_id}/restrictions/{restriction_id}/lift"): _CHANGE,
    ("GET", "/v1/players/{player_id}/eligibility"): _READ,
    ("GET", "/v1/rounds"): _READ,
    ("GET", "/v1/rounds/{round_id}"): _READ,
    ("GET", "/v1/journal"): _READ_MONEY,
    ("GET", "/v1/breaks"): _READ_MONEY,
    ("GET", "/v1/games"): _READ,
    ("GET", "/v1/meta"): _READ,
}
"""Method and path → the roles that may call it. A route that is missing here answers nobody."""
