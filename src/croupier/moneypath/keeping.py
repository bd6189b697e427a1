"""Keeping a call: as JSON, so that what was asked of the operator's wallet can be decided when the answer comes.

What belongs to the request rather than to what it asks is left out: its nonce is spent, and nobody waits any more.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import structs

from croupier.moneypath.commands import (
    Action,
    Bet,
    Call,
    CloseRound,
    IssueToken,
    NoticeTerms,
    ReadBalance,
    RefuseCredit,
    Report,
    Rollback,
    Rules,
    Win,
)

KEPT: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (Bet, Win, Rollback, CloseRound, ReadBalance, IssueToken, RefuseCredit, Report)
}
"""The actions that may stand in a call which moves a player's money."""
_PLAIN: Final = (
    "provider",
    "player_id",
    "bucket",
    "request_id",
    "correlation_id",
    "trace_id",
    "time_source",
    "pools",
    "token_hash",
)
_READ: Final = msgspec.json.Decoder(dict[str, Any])


def render_call(call: Call) -> str:
    """A call as JSON text."""
    kept: dict[str, Any] = {name: getattr(call, name) for name in _PLAIN}
    kept["actions"] = [{"type": type(action).__name__, "fields": action} for action in call.actions]
    kept["rules"] = call.rules
    kept["notice"] = call.notice
    return msgspec.json.encode(kept).decode()


def read_call(text: str) -> Call:
    """A call from `render_call`, without nonce, answer or deadline.

    Raises:
        msgspec.ValidationError, KeyError: the text is not of this version.
    """
    kept = _READ.decode(text)
    fields = {name: kept[name] for name in _PLAIN}
    fields["actions"] = [_read_action(action) for action in kept["actions"]]
    rules = msgspec.convert(kept["rules"], Rules)
    notice = None if kept["notice"] is None else msgspec.convert(kept["notice"], NoticeTerms)
    call = msgspec.convert({**fields, "actions": ()}, Call)
    return structs.replace(call, actions=tuple(fields["actions"]), rules=rules, notice=notice)


def _read_action(kept: dict[str, Any]) -> Action:
    action: Action = msgspec.convert(kept["fields"], KEPT[kept["type"]])
    return action
