"""What a failed transaction means for the batch, judged by SQLSTATE alone."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import asyncpg


class Fault(Enum):
    """Why a batch did not commit."""

    RACE = auto()
    """Someone else was first, or a deadlock was broken: load and decide again."""
    LOST = auto()
    """The connection is gone; whether the commit happened is not known: reconnect, read back, decide again."""
    BUSY = auto()
    """A lock or the statement took too long: another player's trouble must not become everybody's."""
    ITEM = auto()
    """One of the calls cannot be written: find it."""


_RACES: Final = frozenset({"CR001", "40001", "40P01", "23505"})
_BUSY: Final = frozenset({"55P03", "57014"})
_LOST_CLASSES: Final = frozenset({"08", "28", "3D", "53", "57", "58"})
"""Connection, login, database, resources, the operator's intervention, the server's own I/O."""
_LOST_STATES: Final = frozenset({"25006", "25P03"})
"""A server that became read-only in a failover, a transaction the server gave up: another connection may do."""
UNREACHABLE: Final = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What the driver and the socket below it raise, without a SQLSTATE, when nobody is at the other end."""


def classify(error: BaseException) -> Fault:
    """The kind of fault an error of the driver, or of the socket below it, stands for."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        return Fault.LOST if isinstance(error, UNREACHABLE) else Fault.ITEM
    if state in _BUSY:
        return Fault.BUSY
    if state in _RACES:
        return Fault.RACE
    return Fault.LOST if state in _LOST_STATES or state[:2] in _LOST_CLASSES else Fault.ITEM
