"""Rounds, the journal and open breaks: what happened, for support and finance."""

from __future__ import annotations

from litestar import get
from litestar.params import FromPath

from croupier.errors import MALFORMED, UNKNOWN_ROUND, UNKNOWN_SESSION, CroupierError
from croupier.ids import ROUND
from croupier.operator.intake import (
    Cursor,
    Limit,
    OperatorRequest,
    OptionalName,
    QueryName,
    path_id,
    session_id_of,
)
from croupier.operator.paging import DEFAULT_PAGE, PageRequest
from croupier.operator.views import BreakPage, JournalPage, RoundPage, RoundView


@get("/v1/rounds/{round_id:str}", operation_id="readRound", tags=["rounds"])
async def read_round(request: OperatorRequest, round_id: FromPath[str]) -> RoundView:
    """One round, by our own id."""
    found = await request.exchange.deps.reads.load_round(path_id(ROUND, "round_id", round_id))
    if found is None:
        raise CroupierError(UNKNOWN_ROUND, f"no round {round_id}", field="round_id")
    return found


@get("/v1/rounds", operation_id="listRounds", tags=["rounds"])
async def list_rounds(
    request: OperatorRequest,
    session_id: QueryName,
    provider_round_id: OptionalName = None,
    limit: Limit = DEFAULT_PAGE,
    cursor: Cursor = None,
) -> RoundPage:
    """A session's rounds, or the one that the provider calls `provider_round_id`."""
    page = PageRequest(limit, cursor)
    reads = request.exchange.deps.reads
    return await reads.load_rounds(session_id_of(session_id), provider_round_id, page)


@get("/v1/journal", operation_id="listJournal", tags=["journal"])
async def list_journal(
    request: OperatorRequest,
    player_id: OptionalName = None,
    session_id: OptionalName = None,
    limit: Limit = DEFAULT_PAGE,
    cursor: Cursor = None,
) -> JournalPage:
    """Journal entries with their postings, newest first: a player's, a session's, or both together."""
    reads = request.exchange.deps.reads
    session = None if session_id is None else session_id_of(session_id)
    if player_id is None and session is not None:
        owner = await reads.load_session(session)
        if owner is None:
            raise CroupierError(UNKNOWN_SESSION, f"no session {session_id}", field="session_id")
        player_id = owner.player_id
    if player_id is None:
        raise CroupierError(MALFORMED, "player_id: name a player_id or a session_id", field="player_id")
    return await reads.load_journal(player_id, session, PageRequest(limit, cursor))


@get("/v1/breaks", operation_id="listBreaks", tags=["breaks"])
async def list_breaks(
    request: OperatorRequest,
    player_id: OptionalName = None,
    limit: Limit = DEFAULT_PAGE,
    cursor: Cursor = None,
) -> BreakPage:
    """Open breaks, oldest first: what a person has to look at."""
    return await request.exchange.deps.reads.load_breaks(player_id, PageRequest(limit, cursor))
