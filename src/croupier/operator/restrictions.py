"""Stopping play: restrictions are placed, looked at and lifted. They stop stakes, never credits."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Struct, structs

from croupier.errors import UNKNOWN_RESTRICTION, CroupierError
from croupier.ids import RESTRICTION, bucket_of, parse_id, render_id
from croupier.moneypath.commands import CloseSession, LiftRestriction, Restrict
from croupier.moneypath.decide.history import OURS
from croupier.moneypath.outcomes import Outcome
from croupier.operator.bodies import LiftBody, RestrictionBody
from croupier.operator.exchange import Exchange
from croupier.operator.intake import Cursor, Limit, OperatorRequest, idempotency_key_of, path_id, path_name
from croupier.operator.paging import DEFAULT_PAGE, PageRequest
from croupier.operator.replay import REPLAYED
from croupier.operator.views import RestrictionPage, RestrictionView

CLOSED_AT_ONCE: Final = 32
"""Most sessions closed in one decision; a player seldom has more than one."""


class _RestrictionAnswer(Struct, frozen=True):
    """What is stored under an Idempotency-Key: which restriction it was. What became of it is looked up each time."""

    restriction_id: str


_READ_ANSWER = msgspec.json.Decoder(_RestrictionAnswer)


@post(
    "/v1/players/{player_id:str}/restrictions",
    status_code=201,
    operation_id="restrictPlayer",
    tags=["players"],
)
async def restrict_player(
    request: OperatorRequest, player_id: FromPath[str], data: JSONBody[RestrictionBody]
) -> Response[RestrictionView]:
    """Stop a player's stakes now, on every process; credits and withdrawals are never stopped.

    Sessions that are open for play are closed with it: what is won in their open rounds is still paid.
    """
    exchange = request.exchange
    player = path_name("player_id", player_id)
    command = Restrict(
        restriction_id=exchange.deps.ids.new(bucket_of(player)),
        player_id=player,
        kind=data.kind.value,
        reason=data.reason,
        placed_by=_caller_of(exchange),
        until=data.until,
    )
    known = await _decide(request, player, command, 201, await _closings(exchange, player, data.kind))
    restriction_id = command.restriction_id if known is None else known
    await _close_the_rest(exchange, player, data.kind)
    placed = await _load(exchange, player, restriction_id)
    return Response(placed, status_code=201, headers=None if known is None else REPLAYED)


@get("/v1/players/{player_id:str}/restrictions", operation_id="listRestrictions", tags=["players"])
async def list_restrictions(
    request: OperatorRequest, player_id: FromPath[str], limit: Limit = DEFAULT_PAGE, cursor: Cursor = None
) -> RestrictionPage:
    """A player's restrictions, newest first, those that are over included."""
    player = path_name("player_id", player_id)
    return await request.exchange.deps.reads.load_restrictions(player, PageRequest(limit, cursor))


@post(
    "/v1/players/{player_id:str}/restrictions/{restriction_id:str}/lift",
    status_code=200,
    operation_id="liftRestriction",
    tags=["players"],
)
async def lift_restriction(
    request: OperatorRequest,
    player_id: FromPath[str],
    restriction_id: FromPath[str],
    data: JSONBody[LiftBody],
) -> Response[RestrictionView]:
    """End a restriction before its time. Others of the same player stand, and closed sessions stay closed."""
    exchange = request.exchange
    player = path_name("player_id", player_id)
    wanted = path_id(RESTRICTION, "restriction_id", restriction_id)
    command = LiftRestriction(
        restriction_id=wanted, player_id=player, reason=data.reason, lifted_by=_caller_of(exchange)
    )
    known = await _decide(request, player, command, 200)
    lifted = await _load(exchange, player, wanted)
    return Response(lifted, status_code=200, headers=None if known is None else REPLAYED)


async def _decide(
    request: OperatorRequest,
    player_id: str,
    command: Restrict | LiftRestriction,
    status: int,
    closings: tuple[CloseSession, ...] = (),
) -> UUID | None:
    """Decide under the request's Idempotency-Key; which restriction it was about if it was decided before."""
    exchange = request.exchange

    def render(outcomes: tuple[Outcome, ...]) -> tuple[int, str]:
        return status, msgspec.json.encode(_RestrictionAnswer(outcomes[0].reference)).decode()

    idempotency = exchange.idempotency(idempotency_key_of(exchange), await request.fingerprint(), render)
    call = exchange.call(player_id, command, time_source=OURS, idempotency=idempotency)
    outcome = (await exchange.submit_all(structs.replace(call, actions=(command, *closings))))[0]
    if outcome.answer is None or not outcome.is_repeat:
        return None
    return parse_id(RESTRICTION, _READ_ANSWER.decode(outcome.answer[1]).restriction_id)


async def _closings(exchange: Exchange, player_id: str, kind: str) -> tuple[CloseSession, ...]:
    """What closes the sessions that are open for play now."""
    open_ones = await exchange.deps.reads.load_playable(player_id, CLOSED_AT_ONCE)
    return tuple(
        CloseSession(session_id=session_id, player_id=player_id, reason=kind) for session_id in open_ones
    )


async def _close_the_rest(exchange: Exchange, player_id: str, kind: str) -> None:
    """Close what was opened before the restriction stood and after its sessions were looked for; no more can come."""
    while closings := await _closings(exchange, player_id, kind):
        call = exchange.call(player_id, closings[0], time_source=OURS)
        await exchange.submit_all(structs.replace(call, actions=closings))


def _caller_of(exchange: Exchange) -> str:
    assert exchange.caller is not None, "callers are proven before their requests are read"  # noqa: S101 (narrowing)
    return exchange.caller.key.id


async def _load(exchange: Exchange, player_id: str, restriction_id: UUID) -> RestrictionView:
    found = await exchange.deps.reads.load_restriction(player_id, restriction_id)
    if found is None:
        name = render_id(RESTRICTION, restriction_id)
        raise CroupierError(UNKNOWN_RESTRICTION, f"this player has no {name}", field="restriction_id")
    return found
