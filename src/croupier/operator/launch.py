"""Launching: from the operator's wish to a session, to the provider, and to what came of it."""

from __future__ import annotations

import ipaddress
import time
from datetime import timedelta
from typing import assert_never

from croupier.errors import (
    CONTRACT_MISSING,
    ILLEGAL_TRANSITION,
    LAUNCH_REFUSED,
    MALFORMED,
    UNKNOWN_GAME,
    UNKNOWN_SESSION,
    CroupierError,
)
from croupier.ids import SESSION, bucket_of, parse_id
from croupier.moneypath.commands import ConfirmLaunch, FailLaunch, IssueToken, OpenSession
from croupier.moneypath.decide.history import OURS
from croupier.operator.bodies import OpenSessionBody
from croupier.operator.deps import CatalogueGame, LaunchRecord, OperatorDeps, Terms
from croupier.operator.exchange import Exchange
from croupier.operator.intake import asset_of
from croupier.operator.views import SessionView
from croupier.play.session import Opening
from croupier.providers.contract import LaunchAnswer, Launched, LaunchOrder, LaunchRefused, LaunchUnknown
from croupier_signing import hash_api_key, random_token


def plan_opening(deps: OperatorDeps, body: OpenSessionBody) -> OpenSession:
    """The session that is asked for, on the terms in force now, with a new id.

    Raises CroupierError: unknown_game, unknown_asset, contract_missing, malformed.
    """
    game = deps.games.get(body.game_id)
    if game is None:
        raise CroupierError(UNKNOWN_GAME, f"no game {body.game_id}; /v1/games lists them", field="game_id")
    asset = asset_of(deps.assets, body.asset)
    _check_ip(body.ip)
    terms = _find_terms(deps, game, asset)
    opening = Opening(
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
    return OpenSession(session_id=deps.ids.new(bucket_of(body.player_id)), opening=opening)


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
    exchange: Exchange, body: OpenSessionBody, session: SessionView, *, is_first: bool
) -> SessionView:
    """Launch a created session at its provider and book what came of it; the session as it is afterwards.

    A provider account without an address is launched by other means: the session stays as it is. Raises what
    the money path and the reads raise.
    """
    account, adapter = exchange.deps.accounts[session.provider]
    if not account.base_url:
        return session
    order = await _order(exchange, body, session, needs_token=adapter.manifest.session_token)
    started = time.perf_counter()
    answer = await exchange.deps.launches.launch(
        account,
        adapter,
        order,
        traceparent=exchange.head.traceparent,
        is_first=is_first,
    )
    duration_s = time.perf_counter() - started
    exchange.deps.observe_launch(_record(session, answer, duration_s))
    return await _book(exchange, session, answer)


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
