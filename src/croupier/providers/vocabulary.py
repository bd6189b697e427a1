"""Words that adapters share: names on the wire, our ids and assets in their calls, the address of a launched game.

What differs between protocols (amounts, statuses, texts) stays with each adapter.
"""

from __future__ import annotations

import re
from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta

from croupier.errors import MALFORMED, UNKNOWN_ASSET, UNKNOWN_SESSION, CroupierError
from croupier.ids import JOURNAL, SESSION, MalformedId, parse_id, render_id
from croupier.money import Asset, UnknownAsset
from croupier.moneypath.outcomes import Outcome
from croupier.providers.contract import Context, LaunchAnswer, Launched, LaunchUnknown

MAX_NAME: Final = 128
# JSON Schema reads patterns as ECMA-262 does, and `$` alone would let a last line feed through in Python.
NO_CONTROLS: Final = r"^[^\x00-\x1f\x7f-\x9f]+(?![\s\S])"
DECISION: Final = "ref"
"""The prefix of our transaction ids for decisions that moved nothing."""

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, pattern=NO_CONTROLS)]
"""A reference or an id that is not ours: 1 to 128 characters without control characters, compared as sent."""

_GAME_URL: Final = re.compile(r"https?://[A-Za-z0-9.\-:\[\]]+(?:[/?#][!#-;=?-\[\]_a-z~]*)?")


def malformed(field: str, detail: str) -> CroupierError:
    """A refusal that names the member."""
    return CroupierError(MALFORMED, f"{field}: {detail}", field=field)


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


def launched(url: str) -> LaunchAnswer:
    """The game's address if a browser may be sent there: absolute, http or https, nothing that needs escaping."""
    return Launched(url) if _GAME_URL.fullmatch(url) is not None else LaunchUnknown("launch_url_not_usable")
