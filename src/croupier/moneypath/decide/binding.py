"""Binding: session, player, provider, asset and game of a request must belong together (`money.md`, "Binding")."""

from __future__ import annotations

from uuid import UUID

from croupier.errors import SESSION_MISMATCH, UNKNOWN_PLAYER, UNKNOWN_SESSION, CroupierError
from croupier.ids import SESSION, render_id
from croupier.moneypath.commands import OPERATOR, Call
from croupier.moneypath.facts import Facts
from croupier.play.session import Session


def find_session(
    facts: Facts,
    call: Call,
    session_id: UUID,
    *,
    player_id: str,
    asset: str | None = None,
    game_id: str | None = None,
) -> Session | CroupierError:
    """The session a request names, if everything else it names agrees; the error otherwise."""
    session = facts.sessions.get(session_id)
    if session is None:
        return CroupierError(
            UNKNOWN_SESSION,
            f"no session {render_id(SESSION, session_id)} for this player",
            field="session_id",
        )
    if call.provider not in (session.provider, OPERATOR):
        return _mismatch("session_id", "the session belongs to another provider")
    if player_id != session.player_id:
        return _mismatch("player_id", "the session belongs to another player")
    if asset is not None and asset != session.asset:
        return _mismatch("asset", f"the session is played in {session.asset}")
    if game_id is not None and game_id != session.game_id:
        return _mismatch("game_id", f"the session was opened for game {session.game_id}")
    return session


def require_player(facts: Facts, player_id: str) -> CroupierError | None:
    """The error for a player nobody has ever deposited for or launched."""
    if player_id in facts.players:
        return None
    return CroupierError(UNKNOWN_PLAYER, f"no wallet of player {player_id} exists", field="player_id")


def _mismatch(field: str, detail: str) -> CroupierError:
    return CroupierError(SESSION_MISMATCH, f"{detail}; nothing moved", field=field)
