"""Keeping a call: as JSON, so that what was asked of the operator's wallet can be decided when the answer comes.

What belongs to the request rather than to what it asks is left out: its nonce is spent, and nobody waits any more.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

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


class _KeptAction(Struct, frozen=True):
    type: str
    fields: Any


class _Kept(Struct, frozen=True, kw_only=True):
    provider: str
    player_id: str
    bucket: int
    request_id: UUID
    correlation_id: str
    trace_id: str | None
    time_source: str
    pools: tuple[str, ...]
    token_hash: str | None
    rules: Rules
    notice: NoticeTerms | None
    actions: tuple[_KeptAction, ...]


_READ: Final = msgspec.json.Decoder(_Kept)


def render_call(call: Call) -> str:
    """A call as JSON text."""
    kept = _Kept(
        provider=call.provider,
        player_id=call.player_id,
        bucket=call.bucket,
        request_id=call.request_id,
        correlation_id=call.correlation_id,
        trace_id=call.trace_id,
        time_source=call.time_source,
        pools=call.pools,
        token_hash=call.token_hash,
        rules=call.rules,
        notice=call.notice,
        actions=tuple(_KeptAction(type(action).__name__, action) for action in call.actions),
    )
    return msgspec.json.encode(kept).decode()


def read_call(text: str) -> Call:
    """A call from `render_call`, without nonce, answer or deadline.

    Raises:
        msgspec.ValidationError, KeyError: the text is not of this version.
    """
    kept = _READ.decode(text)
    return Call(
        provider=kept.provider,
        player_id=kept.player_id,
        bucket=kept.bucket,
        request_id=kept.request_id,
        correlation_id=kept.correlation_id,
        trace_id=kept.trace_id,
        time_source=kept.time_source,
        pools=kept.pools,
        token_hash=kept.token_hash,
        rules=kept.rules,
        notice=kept.notice,
        actions=tuple(_read_action(one) for one in kept.actions),
    )


def _read_action(kept: _KeptAction) -> Action:
    action: Action = msgspec.convert(kept.fields, KEPT[kept.type])
    return action
