"""Admission: a player is let in before a session exists, or refused for a reason that is kept."""

from __future__ import annotations

from msgspec import Struct, structs

from croupier.errors import ELIGIBILITY_UNANSWERED, NOT_ELIGIBLE, CroupierError
from croupier.ids import bucket_of
from croupier.moneypath.commands import Idempotency, OpenSession
from croupier.operator.bodies import OpenSessionBody
from croupier.operator.deps import CatalogueGame, LaunchRecord, OperatorDeps
from croupier.operator.eligibility import Applicant
from croupier.operator.exchange import Exchange
from croupier.play.eligibility import GameFacts, Grant, PlayTerms
from croupier.play.session import Opening


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
