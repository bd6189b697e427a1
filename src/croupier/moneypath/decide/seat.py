"""Seating: which session an action belongs to when the protocol's call names none."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from uuid import UUID

from croupier.errors import TOKEN_EXPIRED, UNKNOWN_SESSION, CroupierError
from croupier.moneypath.commands import Call
from croupier.moneypath.facts import Facts, Stamp, Token
from croupier.play.session import Session, is_open_for_play

TOKEN_GRACE: Final = timedelta(seconds=60)
"""How long a replaced token may still be swapped once more: its answer may have been lost on the way."""


def find_debit_seat(
    facts: Facts, call: Call, stamp: Stamp, *, asset: str, round_id: str | None, game_id: str | None
) -> UUID | CroupierError | None:
    """The session of a debit: its token's, its round's if that is open for play, or the newest one that is.

    Without any of those the one that had the round, which declines it; None without any at all.
    """
    if call.token_hash is not None:
        token = require_token(facts, call)
        return token if isinstance(token, CroupierError) else token.session_id
    ours = _sessions(facts, call, asset)
    if game_id is not None and not call.rules.game_may_change:
        ours = [session for session in ours if session.game_id == game_id]
    open_ones = _open(ours, stamp)
    seat = _of_round(facts, open_ones, round_id) or _newest(open_ones) or _of_round(facts, ours, round_id)
    return None if seat is None else seat.id


def find_credit_seat(
    facts: Facts,
    call: Call,
    stamp: Stamp,
    *,
    asset: str | None,
    round_id: str | None,
    target: str | None = None,
) -> UUID | CroupierError:
    """The session of what a debit led to: its target's, its round's, its token's however old, the newest there is.

    A credit is never refused for a session that is over; only a player without any session at the provider has none.
    """
    bet = facts.references.get((call.provider, target)) if target is not None else None
    if bet is not None and bet.session_id in facts.sessions:
        return bet.session_id
    ours = _sessions(facts, call, asset)
    token = find_token(facts, call, call.token_hash)
    seat = _of_round(facts, ours, round_id)
    if seat is None and token is not None:
        return token.session_id
    seat = seat or _newest(_open(ours, stamp)) or _newest(ours)
    if seat is None:
        return CroupierError(
            UNKNOWN_SESSION, "the player has no session at this provider", field="session_id"
        )
    return seat.id


def has_session(facts: Facts, call: Call, asset: str | None) -> bool:
    """Whether the player ever had a session at this provider: only then does the provider hear of the player."""
    return bool(_sessions(facts, call, asset))


def require_own_token(facts: Facts, call: Call) -> CroupierError | None:
    """The error for a credit or rollback under a token that the player never had, where the protocol is that strict."""
    if not call.rules.strict_tokens or call.token_hash is None:
        return None
    if find_token(facts, call, call.token_hash) is not None:
        return None
    return CroupierError(UNKNOWN_SESSION, "no session of this player has this token", field="token")


def require_token(facts: Facts, call: Call) -> Token | CroupierError:
    """The call's token if it is known and was not replaced."""
    token = find_token(facts, call, call.token_hash)
    if token is None:
        return CroupierError(UNKNOWN_SESSION, "no session of this player has this token", field="token")
    if token.replaced_at is not None:
        return CroupierError(TOKEN_EXPIRED, "the token was replaced; use the new one", field="token")
    return token


def find_token(facts: Facts, call: Call, token_hash: str | None) -> Token | None:
    """A token of this player, whatever became of it; another player's is not told from one that never was."""
    token = facts.tokens.get(token_hash) if token_hash is not None else None
    session = facts.sessions.get(token.session_id) if token is not None else None
    return token if session is not None and session.player_id == call.player_id else None


def _sessions(facts: Facts, call: Call, asset: str | None) -> list[Session]:
    return [
        session
        for session in facts.sessions.values()
        if session.player_id == call.player_id
        and session.provider == call.provider
        and asset in (None, session.asset)
    ]


def _of_round(facts: Facts, sessions: Iterable[Session], round_id: str | None) -> Session | None:
    if round_id is None:
        return None
    return _newest([session for session in sessions if (session.id, round_id) in facts.rounds])


def _open(sessions: Iterable[Session], stamp: Stamp) -> list[Session]:
    return [session for session in sessions if is_open_for_play(session, stamp.now)]


def _newest(sessions: list[Session]) -> Session | None:
    # Ids are time-ordered.
    return max(sessions, key=lambda session: session.id.int, default=None)
