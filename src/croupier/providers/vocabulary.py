"""Words that adapters share: names on the wire, our ids and assets in their calls, the address of a launched game.

What differs between protocols (amounts, statuses, texts) stays with each adapter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta

from croupier.errors import (
    MALFORMED,
    METHOD_NOT_ALLOWED,
    UNKNOWN_ASSET,
    UNKNOWN_PATH,
    UNKNOWN_SESSION,
    CroupierError,
)
from croupier.ids import JOURNAL, SESSION, MalformedId, parse_id, render_id
from croupier.money import Asset, UnknownAsset
from croupier.moneypath.outcomes import Outcome
from croupier.providers.contract import (
    Context,
    LaunchAnswer,
    Launched,
    LaunchUnknown,
    Operation,
    Reply,
    TransportFault,
)

MAX_NAME: Final = 128
MAX_GAME_URL: Final = 2048
"""Characters of a game's address, in every protocol that gives a whole one."""
# JSON Schema reads patterns as ECMA-262 does, and `$` alone would let a last line feed through in Python.
NO_CONTROLS: Final = r"^[^\x00-\x1f\x7f-\x9f]+(?![\s\S])"
DECISION: Final = "ref"
"""The prefix of our transaction ids for decisions that moved nothing."""

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, pattern=NO_CONTROLS)]
"""A reference or an id that is not ours: 1 to 128 characters without control characters, compared as sent."""

_OPENED: Final = frozenset({200, 201})
# These say nothing about whether the session was opened (docs/reference/provider-protocol.md, "Launch").
_UNDECIDED: Final = frozenset({401, 408, 409, 425, 429})
_GAME_URL: Final = re.compile(
    r"https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
    r"(?:[/?#][!#-;=?-\[\]_a-z~]*)?"
)


def malformed(field: str, detail: str) -> CroupierError:
    """A refusal that names the member."""
    return CroupierError(MALFORMED, f"{field}: {detail}", field=field)


def find_operation(operations: Mapping[bytes, Operation], method: str, path: bytes) -> Operation:
    """The operation of a path, compared as it was sent, byte by byte.

    Raises CroupierError: unknown_path, method_not_allowed.
    """
    operation = operations.get(path)
    if operation is None:
        known = ", ".join(one.decode() for one in operations)
        raise CroupierError(UNKNOWN_PATH, f"the paths are {known} below /providers/{{provider}}")
    if method != operation.method:
        raise CroupierError(METHOD_NOT_ALLOWED, f"use {operation.method}")
    return operation


def find_asset(code: str, context: Context, *, field: str) -> Asset:
    """The asset of a code; raises CroupierError (unknown_asset) with the nearest known one."""
    try:
        return context.account.assets.get(code)
    except UnknownAsset as unknown:
        advice = f"; did you mean {unknown.nearest}?" if unknown.nearest else ""
        raise CroupierError(UNKNOWN_ASSET, f"no asset has this code{advice}", field=field) from None


def read_session_id(text: str) -> UUID:
    """Our session's id; raises CroupierError (unknown_session) for whatever we never gave out."""
    try:
        return parse_id(SESSION, text)
    except MalformedId:
        raise CroupierError(UNKNOWN_SESSION, "no session has this id", field="session_id") from None


def transaction_id(outcome: Outcome) -> str:
    """Our id of a decision, the same in every repeat: the entry's, or that of the decision when nothing moved."""
    if outcome.journal_id is not None:
        return render_id(JOURNAL, outcome.journal_id)
    return outcome.reference if outcome.decision_id is None else render_id(DECISION, outcome.decision_id)


def judge_launch(
    answer: Reply | TransportFault,
    *,
    opened: Callable[[bytes], LaunchAnswer],
    refused: Callable[[Reply], LaunchAnswer],
) -> LaunchAnswer:
    """What came of a launch where HTTP statuses mean what they say; when in doubt, unknown.

    `refused` reads a 4xx and decides whether it is the provider's own word: a bare one may be a proxy's.
    """
    if isinstance(answer, TransportFault):
        return LaunchUnknown(answer.reason)
    if answer.status in _OPENED:
        return opened(answer.body)
    if 400 <= answer.status < 500 and answer.status not in _UNDECIDED:
        return refused(answer)
    return LaunchUnknown(f"status_{answer.status}")


def launched(url: str) -> LaunchAnswer:
    """The game's address if a browser may be sent there.

    It is absolute, http or https, with a host and no user name, and nothing in it needs escaping.
    """
    return Launched(url) if _GAME_URL.fullmatch(url) is not None else LaunchUnknown("launch_url_not_usable")
