"""Sessions: opening with the provider's launch, looking at them, closing them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from croupier.errors import UNKNOWN_SESSION, CroupierError
from croupier.ids import SESSION, parse_id, render_id
from croupier.moneypath.commands import Call, CloseSession, OpenSession
from croupier.moneypath.decide.history import OURS
from croupier.moneypath.outcomes import Outcome
from croupier.operator import admission, launch
from croupier.operator.bodies import CloseBody, OpenSessionBody
from croupier.operator.exchange import Exchange
from croupier.operator.intake import (
    Cursor,
    Limit,
    OperatorRequest,
    QueryName,
    idempotency_key_of,
    session_id_of,
)
from croupier.operator.paging import DEFAULT_PAGE, PageRequest
from croupier.operator.replay import REPLAYED
from croupier.operator.views import SessionPage, SessionView, TimelinePage
from croupier.play.session import State

StateName = Annotated[State | None, QueryParameter(name="state", description="Only sessions in this state.")]
# Litestar keeps the argument name `state` for itself.


class _SessionAnswer(msgspec.Struct, frozen=True):
    """What is stored under an Idempotency-Key: which session it was. Its state is looked up each time."""

    session_id: str


_READ_ANSWER = msgspec.json.Decoder(_SessionAnswer)


@post("/v1/sessions", status_code=201, operation_id="openSession", tags=["sessions"])
async def open_session(request: OperatorRequest, data: JSONBody[OpenSessionBody]) -> Response[SessionView]:
    """Open a session and launch the game.

    `launch_url` is null while nobody can tell whether the launch worked: repeat the request with the same
    Idempotency-Key, and the same session is launched again. While calls to the provider are held back or the game is
    switched off, no session is opened: 503 `provider_unavailable`, with a text for the player.

    Whether the player may play is decided first: 403 `not_eligible` with its `reason`, or 503 `eligibility_unanswered`
    when the self-exclusion check gave no answer, both with a text for the player.
    """
    exchange = request.exchange
    way = launch.choose_way(exchange.deps, data)
    opening = launch.plan_opening(exchange.deps, data, way)
    idempotency = exchange.idempotency(
        idempotency_key_of(exchange), await request.fingerprint(), _render_answer
    )
    admitted = await admission.admit_player(exchange, data, opening, idempotency)
    command = admission.order_opening(exchange.deps, opening, admitted.grant)
    call = exchange.call(data.player_id, command, time_source=OURS, idempotency=idempotency)
    async with launch.leave_to_launch(exchange, opening, idempotency, way) as leave:
        session_id = _session_of(await _submit_opening(exchange, call, command))
        is_new = session_id == command.session_id
        session = await _load(request, session_id)
        is_here = session.provider == way.provider
        is_waiting = admitted.may_launch and launch.awaits_launch(session)
        if is_waiting and not is_new:
            await exchange.deps.eligibility.note_relaunch(data.player_id, session_id, admitted.grant)
        if leave is not None and is_here and is_waiting:
            session = await launch.launch_session(exchange, data, session, leave, is_first=is_new)
    if not is_here and is_waiting:
        session = await launch.launch_elsewhere(exchange, data, session, idempotency, opening, way)
    if session.state == State.FAILED:
        raise launch.refused_launch(session)
    location = {"Location": f"/v1/sessions/{session.session_id}"}
    return Response(session, status_code=201, headers=location if is_new else location | REPLAYED)


@get("/v1/sessions/{session_id:str}", operation_id="readSession", tags=["sessions"])
async def read_session(request: OperatorRequest, session_id: FromPath[str]) -> SessionView:
    """One session as it is now."""
    return await _load(request, session_id_of(session_id))


@get("/v1/sessions", operation_id="listSessions", tags=["sessions"])
async def list_sessions(
    request: OperatorRequest,
    player_id: QueryName,
    in_state: StateName = None,
    limit: Limit = DEFAULT_PAGE,
    cursor: Cursor = None,
) -> SessionPage:
    """A player's sessions, newest first."""
    chosen = None if in_state is None else in_state.value
    return await request.exchange.deps.reads.load_sessions(player_id, chosen, PageRequest(limit, cursor))


@get("/v1/sessions/{session_id:str}/timeline", operation_id="readTimeline", tags=["sessions"])
async def read_timeline(
    request: OperatorRequest, session_id: FromPath[str], limit: Limit = DEFAULT_PAGE, cursor: Cursor = None
) -> TimelinePage:
    """What happened to a session, in order."""
    known = session_id_of(session_id)
    session = await _load(request, known)
    return await request.exchange.deps.reads.load_timeline(known, session, PageRequest(limit, cursor))


@post(
    "/v1/sessions/{session_id:str}/close",
    status_code=200,
    operation_id="closeSession",
    tags=["sessions"],
)
async def close_session(
    request: OperatorRequest, session_id: FromPath[str], data: JSONBody[CloseBody]
) -> Response[SessionView]:
    """End play: an unplayed session is cancelled, a played one settles when its rounds are closed."""
    exchange = request.exchange
    known = session_id_of(session_id)
    session = await _load(request, known)
    command = CloseSession(session_id=known, player_id=session.player_id, reason=data.reason)
    idempotency = exchange.idempotency(
        idempotency_key_of(exchange), await request.fingerprint(), _render_answer
    )
    call = exchange.call(session.player_id, command, time_source=OURS, idempotency=idempotency)
    outcome = await exchange.submit(call)
    headers = REPLAYED if outcome.is_repeat and outcome.answer is not None else None
    return Response(await _load(request, known), status_code=200, headers=headers)


async def _submit_opening(exchange: Exchange, call: Call, command: OpenSession) -> Outcome:
    try:
        return await exchange.submit(call)
    except CroupierError as refused:
        await admission.keep_late_refusal(exchange, command, refused)
        raise


async def _load(request: OperatorRequest, session_id: UUID) -> SessionView:
    found = await request.exchange.deps.reads.load_session(session_id)
    if found is None:
        raise CroupierError(
            UNKNOWN_SESSION, f"no session {render_id(SESSION, session_id)}", field="session_id"
        )
    return found


def _render_answer(outcomes: tuple[Outcome, ...]) -> tuple[int, str]:
    return 201, msgspec.json.encode(_SessionAnswer(outcomes[0].reference)).decode()


def _session_of(outcome: Outcome) -> UUID:
    """Which session an opening is about: the one just made, or the one its Idempotency-Key made before."""
    if outcome.answer is None:
        return parse_id(SESSION, outcome.reference)
    return parse_id(SESSION, _READ_ANSWER.decode(outcome.answer[1]).session_id)
