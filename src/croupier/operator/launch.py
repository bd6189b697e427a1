"""Launching: from the operator's wish to a session, to the provider, and to what came of it."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, assert_never

from msgspec import Struct, structs

from croupier.errors import (
    CONTRACT_MISSING,
    ELIGIBILITY_UNANSWERED,
    ILLEGAL_TRANSITION,
    LAUNCH_REFUSED,
    MALFORMED,
    NOT_ELIGIBLE,
    UNKNOWN_GAME,
    UNKNOWN_SESSION,
    CroupierError,
)
from croupier.ids import SESSION, bucket_of, parse_id
from croupier.moneypath.commands import ConfirmLaunch, FailLaunch, Idempotency, IssueToken, OpenSession
from croupier.moneypath.decide.history import OURS
from croupier.operator.bodies import OpenSessionBody
from croupier.operator.deps import CatalogueGame, LaunchRecord, OperatorDeps, Terms
from croupier.operator.eligibility import Applicant
from croupier.operator.exchange import Exchange
from croupier.operator.intake import asset_of
from croupier.operator.views import SessionView
from croupier.play.eligibility import GameFacts, Grant, PlayTerms
from croupier.play.session import Opening
from croupier.providers.breakers.desk import Ended
from croupier.providers.breakers.store import Endpoint
from croupier.providers.client import UNREACHED
from croupier.providers.contract import LaunchAnswer, Launched, LaunchOrder, LaunchRefused, LaunchUnknown
from croupier_signing import hash_api_key, random_token

LAUNCH: Final = "launch"
"""The operation that launches go by, to breakers and metrics."""


class Leave:
    """Leave to launch once; `ended` is how that went, for the breaker."""

    __slots__ = ("ended",)

    def __init__(self) -> None:
        self.ended = Ended.UNUSED


@asynccontextmanager
async def leave_to_launch(
    exchange: Exchange, opening: Opening, wanted: Idempotency
) -> AsyncIterator[Leave | None]:
    """Leave to call the provider, or none because there is nothing to call or the request was answered before.

    Raises CroupierError: provider_unavailable while calls to the provider are held back.
    """
    deps = exchange.deps
    account, _ = deps.accounts[opening.provider]
    if not account.base_url:
        yield None
        return
    started = time.perf_counter()
    try:
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


def plan_opening(deps: OperatorDeps, body: OpenSessionBody) -> Opening:
    """The session that is asked for, on the terms in force now.

    Raises CroupierError: unknown_game, unknown_asset, contract_missing, malformed.
    """
    game = deps.games.get(body.game_id)
    if game is None:
        raise CroupierError(UNKNOWN_GAME, f"no game {body.game_id}; /v1/games lists them", field="game_id")
    asset = asset_of(deps.assets, body.asset)
    _check_ip(body.ip)
    terms = _find_terms(deps, game, asset)
    return Opening(
        player_id=body.player_id,
        provider=game.provider,
        game_id=game.id,
        asset=asset,
        contract_id=terms.id,
        share_bps=terms.share_bps,
        jackpot_pool=terms.effective_pool,
        promo_source=terms.promo_source,
        expires_at=deps.now() + timedelta(seconds=deps.limits.session_ttl_s),
    )


class Admission(Struct, frozen=True):
    """The grant to open a session with, and whether anything may be launched on it."""

    grant: Grant
    may_launch: bool


async def admit_player(
    exchange: Exchange, body: OpenSessionBody, opening: Opening, wanted: Idempotency
) -> Admission:
    """Decide whether the player may play, before anything else is done.

    The repeat of a request that opened a session gets it whatever was decided since: nothing is launched any more, and
    the grant that goes along is over. Raises CroupierError: not_eligible, eligibility_unanswered, unavailable.
    """
    deps = exchange.deps
    applicant = Applicant(
        body=body,
        game=facts_of(deps.games[body.game_id], opening.provider),
        asset=opening.asset,
        correlation_id=exchange.correlation_id,
    )
    try:
        return Admission(await deps.eligibility.admit(applicant), may_launch=True)
    except CroupierError as refused:
        if refused.kind not in (NOT_ELIGIBLE, ELIGIBILITY_UNANSWERED):
            raise
        if not await deps.reads.is_answered(wanted):
            _observe_refusal(deps, opening, refused)
            raise
    return Admission(_grant_that_is_over(deps, opening.player_id), may_launch=False)


def _grant_that_is_over(deps: OperatorDeps, player_id: str) -> Grant:
    now = deps.now()
    return Grant(
        id=deps.ids.new(bucket_of(player_id)),
        decided_at=now,
        expires_at=now,
        terms=PlayTerms(jurisdiction="", rules=""),
        evidence="{}",
    )


def facts_of(game: CatalogueGame, provider: str) -> GameFacts:
    """What eligibility asks of a game, at the provider that it would be opened at."""
    return GameFacts(
        id=game.id,
        provider=provider,
        category=game.category,
        version=game.version,
        rtp_bps=game.rtp_bps,
        assets=game.assets,
    )


def order_opening(deps: OperatorDeps, opening: Opening, grant: Grant) -> OpenSession:
    """The command that opens it, with a new id; a session lives no longer than the decision that it stands on."""
    expires_at = min(opening.expires_at, grant.expires_at)
    return OpenSession(
        session_id=deps.ids.new(bucket_of(opening.player_id)),
        opening=structs.replace(opening, expires_at=expires_at),
        grant=grant,
    )


async def keep_late_refusal(exchange: Exchange, command: OpenSession, refused: CroupierError) -> None:
    """Keep what was refused under the player's lock, such as a restriction placed a moment ago."""
    if refused.kind is not NOT_ELIGIBLE:
        return
    grant = command.grant
    await exchange.deps.eligibility.note_refusal(
        command.opening.player_id,
        grant.id,
        reason=refused.reason or refused.kind.code,
        detail=refused.detail,
        rules=grant.terms.rules or None,
        evidence=grant.evidence,
    )


def _find_terms(deps: OperatorDeps, game: CatalogueGame, asset: str) -> Terms:
    terms = deps.contracts.select(game.provider, game.group, asset, deps.now())
    if terms is None:
        detail = f"no contract with {game.provider} covers game group {game.group} in {asset} now"
        raise CroupierError(CONTRACT_MISSING, detail, field="game_id")
    return terms


def _check_ip(text: str | None) -> None:
    if text is None:
        return
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise CroupierError(MALFORMED, "ip: it must be an IPv4 or IPv6 address", field="ip") from None


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
        case LaunchUnknown():
            return session
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


def _observe_refusal(deps: OperatorDeps, opening: Opening, refused: CroupierError) -> None:
    deps.observe_launch(
        LaunchRecord(
            provider=opening.provider,
            game_id=opening.game_id,
            asset=opening.asset,
            result="not_eligible",
            reason=refused.reason or refused.kind.code,
            duration_s=0.0,
        )
    )


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
