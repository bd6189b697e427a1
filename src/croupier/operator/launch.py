"""Launching: from the operator's wish to a session, to the provider, and to what came of it."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import assert_never

from msgspec import structs

from croupier.errors import (
    CONTRACT_MISSING,
    ILLEGAL_TRANSITION,
    LAUNCH_REFUSED,
    MALFORMED,
    UNKNOWN_GAME,
    UNKNOWN_SESSION,
    CroupierError,
)
from croupier.ids import SESSION, parse_id
from croupier.moneypath.commands import ConfirmLaunch, FailLaunch, Idempotency, IssueToken, NoteUnknown
from croupier.moneypath.decide.history import OURS
from croupier.operator.bodies import OpenSessionBody
from croupier.operator.deps import CatalogueGame, LaunchRecord, OperatorDeps, Terms
from croupier.operator.exchange import Exchange
from croupier.operator.flags import Way
from croupier.operator.intake import asset_of
from croupier.operator.views import SessionView
from croupier.play.session import Opening, State
from croupier.providers.breakers.desk import Ended
from croupier.providers.breakers.store import LAUNCH, Endpoint
from croupier.providers.client import UNREACHED
from croupier.providers.contract import LaunchAnswer, Launched, LaunchOrder, LaunchRefused, LaunchUnknown
from croupier_signing import hash_api_key, random_token


class Leave:
    """Leave to launch once; `ended` is how that went, for the breaker."""

    __slots__ = ("ended",)

    def __init__(self) -> None:
        self.ended = Ended.UNUSED


@asynccontextmanager
async def leave_to_launch(
    exchange: Exchange, opening: Opening, wanted: Idempotency, way: Way
) -> AsyncIterator[Leave | None]:
    """Leave to call the provider, or none because there is nothing to call or the request was answered before.

    Raises CroupierError: provider_unavailable while calls to the provider are held back, or switched off.
    """
    deps = exchange.deps
    account, _ = deps.accounts[opening.provider]
    if way.is_open and not account.base_url:
        yield None
        return
    started = time.perf_counter()
    try:
        if not way.is_open:
            raise way.refusal(opening.game_id)
        passed = await deps.breakers.begin(Endpoint(opening.provider, LAUNCH))
    except CroupierError as refused:
        # A repeat gets its session whatever has become of the provider since.
        if not await deps.reads.is_answered(wanted):
            deps.observe_launch(_held_back(opening, refused, time.perf_counter() - started))
            raise
        yield None
        return
    leave = Leave()
    try:
        yield leave
    finally:
        await deps.breakers.end(passed, leave.ended)


def choose_way(deps: OperatorDeps, body: OpenSessionBody) -> Way:
    """Which account the flags send this opening to, and whether it may be opened there; raises unknown_game."""
    jurisdiction = deps.eligibility.jurisdiction_of(body) or ""
    return deps.flags.choose(find_game(deps, body), player_id=body.player_id, jurisdiction=jurisdiction)


def find_game(deps: OperatorDeps, body: OpenSessionBody) -> CatalogueGame:
    """The game that is asked for; raises unknown_game."""
    game = deps.games.get(body.game_id)
    if game is None:
        raise CroupierError(UNKNOWN_GAME, f"no game {body.game_id}; /v1/games lists them", field="game_id")
    return game


def plan_opening(deps: OperatorDeps, body: OpenSessionBody, way: Way) -> Opening:
    """The session that is asked for, on the terms in force now.

    Raises CroupierError: unknown_game, unknown_asset, contract_missing, malformed.
    """
    game = find_game(deps, body)
    asset = asset_of(deps.assets, body.asset)
    _check_ip(body.ip)
    terms = _find_terms(deps, way.provider, game.group, asset)
    return Opening(
        player_id=body.player_id,
        provider=way.provider,
        game_id=game.id,
        asset=asset,
        contract_id=terms.id,
        share_bps=terms.share_bps,
        jackpot_pool=terms.effective_pool,
        promo_source=terms.promo_source,
        expires_at=deps.now() + timedelta(seconds=deps.limits.session_ttl_s),
    )


def _find_terms(deps: OperatorDeps, provider: str, group: str, asset: str) -> Terms:
    terms = deps.contracts.select(provider, group, asset, deps.now())
    if terms is None:
        detail = f"no contract with {provider} covers game group {group} in {asset} now"
        raise CroupierError(CONTRACT_MISSING, detail, field="game_id")
    return terms


def _check_ip(text: str | None) -> None:
    if text is None:
        return
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise CroupierError(MALFORMED, "ip: it must be an IPv4 or IPv6 address", field="ip") from None


def awaits_launch(session: SessionView) -> bool:
    """Whether nobody knows yet where the session's game can be played."""
    return session.state == State.CREATED and session.launch_url is None


async def launch_elsewhere(
    exchange: Exchange,
    body: OpenSessionBody,
    session: SessionView,
    wanted: Idempotency,
    opening: Opening,
    way: Way,
) -> SessionView:
    """Launch a repeat's session at the account that it was opened at, which is another one than an opening now goes to.

    Raises what `launch_session` raises.
    """
    there = structs.replace(opening, provider=session.provider)
    async with leave_to_launch(exchange, there, wanted, way) as leave:
        if leave is None:
            return session
        return await launch_session(exchange, body, session, leave, is_first=False)


async def launch_session(
    exchange: Exchange, body: OpenSessionBody, session: SessionView, leave: Leave, *, is_first: bool
) -> SessionView:
    """Launch a created session at its provider and book what came of it; the session as it is afterwards.

    Raises what the money path and the reads raise.
    """
    account, adapter = exchange.deps.accounts[session.provider]
    order = await _order(exchange, body, session, needs_token=adapter.manifest.session_token)
    started = time.perf_counter()
    # Whoever gives up in the middle has waited for long enough.
    leave.ended = Ended.FAILED
    answer = await exchange.deps.launches.launch(
        account,
        adapter,
        order,
        traceparent=exchange.head.traceparent,
        is_first=is_first,
    )
    duration_s = time.perf_counter() - started
    leave.ended = exchange.deps.breakers.judge(failed=_has_failed(answer), duration_s=duration_s)
    exchange.deps.observe_launch(_record(session, answer, duration_s))
    return await _book(exchange, session, answer)


def _has_failed(answer: LaunchAnswer) -> bool:
    """Whether the provider is to blame: it could not be reached, or nobody can tell what it did."""
    if isinstance(answer, LaunchRefused):
        return answer.reason in UNREACHED
    return isinstance(answer, LaunchUnknown)


async def _order(
    exchange: Exchange, body: OpenSessionBody, session: SessionView, *, needs_token: bool
) -> LaunchOrder:
    return LaunchOrder(
        session_id=session.session_id,
        player_id=session.player_id,
        game_id=session.game_id,
        asset=session.asset,
        country=body.country,
        correlation_id=exchange.correlation_id,
        locale=body.locale,
        return_url=body.return_url,
        client=body.client,
        ip=body.ip,
        token=await _issue_token(exchange, session) if needs_token else None,
    )


async def _issue_token(exchange: Exchange, session: SessionView) -> str:
    """A new token for this attempt; those of earlier attempts stay good, because one of them may have arrived."""
    token = random_token()
    issue = IssueToken(
        session_id=parse_id(SESSION, session.session_id),
        player_id=session.player_id,
        token_hash=hash_api_key(token),
    )
    await exchange.submit(exchange.call(session.player_id, issue, time_source=OURS))
    return token


async def _book(exchange: Exchange, session: SessionView, answer: LaunchAnswer) -> SessionView:
    session_id, player_id = parse_id(SESSION, session.session_id), session.player_id
    match answer:
        case Launched(url=url):
            confirm = ConfirmLaunch(session_id=session_id, player_id=player_id, launch_url=url)
            await exchange.submit(exchange.call(player_id, confirm, time_source=OURS))
        case LaunchRefused(reason=reason):
            fail = FailLaunch(session_id=session_id, player_id=player_id, reason=reason)
            await _fail(exchange, fail)
        case LaunchUnknown(reason=reason):
            unknown = NoteUnknown(session_id=session_id, player_id=player_id, reason=reason)
            await exchange.submit(exchange.call(player_id, unknown, time_source=OURS))
        case _:
            assert_never(answer)
    after = await exchange.deps.reads.load_session(session_id)
    if after is None:
        raise CroupierError(UNKNOWN_SESSION, f"no session {session.session_id}", field="session_id")
    return after


async def _fail(exchange: Exchange, fail: FailLaunch) -> None:
    """Book a refusal, unless play or a close was faster: then the session stays what it is."""
    try:
        await exchange.submit(exchange.call(fail.player_id, fail, time_source=OURS))
    except CroupierError as error:
        if error.kind is not ILLEGAL_TRANSITION:
            raise


def refused_launch(session: SessionView) -> CroupierError:
    """What the operator is told about a session whose launch failed."""
    detail = f"the provider refused the launch; session {session.session_id} failed, open another one"
    return CroupierError(LAUNCH_REFUSED, detail)


def _held_back(opening: Opening, refused: CroupierError, duration_s: float) -> LaunchRecord:
    return LaunchRecord(
        provider=opening.provider,
        game_id=opening.game_id,
        asset=opening.asset,
        result="held_back",
        reason=refused.reason or refused.kind.code,
        duration_s=duration_s,
    )


def _record(session: SessionView, answer: LaunchAnswer, duration_s: float) -> LaunchRecord:
    match answer:
        case Launched():
            result, reason = "launched", "ok"
        case LaunchRefused(reason=reason):
            result = "refused"
        case LaunchUnknown(reason=reason):
            result = "unknown"
        case _:
            assert_never(answer)
    return LaunchRecord(
        provider=session.provider,
        game_id=session.game_id,
        asset=session.asset,
        result=result,
        reason=reason,
        duration_s=duration_s,
    )
