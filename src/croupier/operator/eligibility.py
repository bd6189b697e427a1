"""The desk that decides whether somebody may open a game: asks what must be asked, and keeps every refusal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, assert_never
from uuid import UUID

import msgspec
from msgspec import Struct

from croupier.errors import ELIGIBILITY_UNANSWERED, NOT_ELIGIBLE, CroupierError
from croupier.ids import ELIGIBILITY, IdSource, bucket_of, render_id
from croupier.operator.bodies import OpenSessionBody
from croupier.operator.exclusion import ExclusionQuestion
from croupier.play.eligibility import (
    PLAYER_MESSAGES,
    AskStanding,
    Decision,
    Enablement,
    GameFacts,
    Grant,
    Granted,
    Located,
    Reason,
    Refused,
    Ruling,
    Standing,
    Unanswered,
    Wish,
    decide,
    find_jurisdiction,
)
from croupier_signing import payload_digest, random_nonce

RETRY_AFTER_S: Final = 2
"""When a launch is worth another try whose self-exclusion check did not answer."""
RELAUNCH: Final = "relaunch"
"""The reason of a grant that opens nothing: a session that is there is launched again."""
NOT_CONFIGURED: Final = Unanswered("not_configured")


class Applicant(Struct, frozen=True, kw_only=True):
    """Who wants to play which game, and the correlation id of the request."""

    body: OpenSessionBody
    game: GameFacts
    asset: str
    correlation_id: str


class EligibilityDesk:
    """Decides for one deployment. `served` is by jurisdiction id, `locate` is None without a location database.

    `ask` puts the self-exclusion question; `keep` writes a decision down and raises `unavailable` when it cannot: what
    was decided without a trace could not be shown to anybody. A grant that opens a session is written with it.
    """

    def __init__(
        self,
        served: Mapping[str, Enablement],
        *,
        ids: IdSource,
        now: Callable[[], datetime],
        keep: Callable[[Ruling], Awaitable[None]],
        locate: Callable[[str], Located] | None = None,
        ask: Callable[[ExclusionQuestion], Awaitable[Standing | Unanswered]] | None = None,
    ) -> None:
        self.served = served
        self._ids = ids
        self._now = now
        self._keep = keep
        self._locate = locate
        self._ask = ask

    def jurisdiction_of(self, body: OpenSessionBody) -> str | None:
        """Where an opening belongs, None where that is not clear: it will be refused."""
        place = find_jurisdiction(body.country, body.jurisdiction, self.served)
        return None if isinstance(place, Refused) else place.pack.id

    async def admit(self, applicant: Applicant) -> Grant:
        """Leave for one session.

        Raises CroupierError: not_eligible with its reason, eligibility_unanswered, or unavailable.
        """
        located = self._where(applicant.body.ip)
        decision, standing = await self._decide(applicant, located)
        decided_at = self._now()
        ruling_id = self._ids.new(bucket_of(applicant.body.player_id))
        evidence = _evidence(applicant, located, standing)
        if isinstance(decision, Granted):
            return Grant(
                id=ruling_id,
                decided_at=decided_at,
                expires_at=decision.expires_at,
                terms=decision.terms,
                evidence=evidence,
            )
        await self.note_refusal(
            applicant.body.player_id,
            ruling_id,
            reason=decision.reason.value,
            detail=decision.detail,
            rules=decision.rules,
            evidence=evidence,
        )
        raise _refusal(decision, ruling_id)

    async def note_refusal(
        self,
        player_id: str,
        ruling_id: UUID,
        *,
        reason: str,
        detail: str,
        rules: str | None,
        evidence: str,
    ) -> None:
        """Keep a refusal, and from what it was made."""
        await self._keep(
            Ruling(
                bucket=bucket_of(player_id),
                id=ruling_id,
                player_id=player_id,
                session_id=None,
                decided_at=self._now(),
                expires_at=None,
                is_granted=False,
                reason=reason,
                detail=detail,
                rules=rules,
                evidence=evidence,
            )
        )

    async def note_relaunch(self, player_id: str, session_id: UUID, grant: Grant) -> None:
        """Keep the grant that a session is launched on once more, before it is."""
        await self._keep(
            Ruling(
                bucket=bucket_of(player_id),
                id=grant.id,
                player_id=player_id,
                session_id=session_id,
                decided_at=grant.decided_at,
                expires_at=grant.expires_at,
                is_granted=True,
                reason=RELAUNCH,
                detail="",
                rules=grant.terms.rules,
                evidence=grant.evidence,
            )
        )

    def _where(self, ip: str | None) -> Located | None:
        if self._locate is None:
            return None
        return Located(None) if ip is None else self._locate(ip)

    async def _decide(
        self, applicant: Applicant, located: Located | None
    ) -> tuple[Decision, Standing | Unanswered | None]:
        body = applicant.body
        wish = Wish(
            game=applicant.game,
            asset=applicant.asset,
            country=body.country,
            jurisdiction=body.jurisdiction,
            has_address=body.ip is not None,
        )
        first = decide(wish, self.served, located=located, standing=None, now=self._now())
        if not isinstance(first, AskStanding):
            return first, None
        standing = await self._ask_standing(first, applicant)
        second = decide(wish, self.served, located=located, standing=standing, now=self._now())
        assert not isinstance(second, AskStanding), "what was asked is not asked again"  # noqa: S101 (narrowing)
        return second, standing

    async def _ask_standing(self, asked: AskStanding, applicant: Applicant) -> Standing | Unanswered:
        if self._ask is None:
            return NOT_CONFIGURED
        question = ExclusionQuestion(
            player_id=applicant.body.player_id,
            jurisdiction=asked.jurisdiction,
            register=asked.register,
            correlation_id=applicant.correlation_id,
        )
        return await self._ask(question)


def _refusal(decision: Refused, ruling_id: UUID) -> CroupierError:
    detail = f"{decision.detail} ({render_id(ELIGIBILITY, ruling_id)})"
    message, reason = PLAYER_MESSAGES[decision.reason], decision.reason.value
    if decision.reason is Reason.EXCLUSION_UNANSWERED:
        return CroupierError(
            ELIGIBILITY_UNANSWERED,
            detail,
            reason=reason,
            retry_after_s=RETRY_AFTER_S,
            player_message=message,
        )
    return CroupierError(NOT_ELIGIBLE, detail, reason=reason, player_message=message)


def _evidence(applicant: Applicant, located: Located | None, standing: Standing | Unanswered | None) -> str:
    """What the decision was made from, as JSON. The address is kept as a salted hash, an age not at all."""
    body, game = applicant.body, applicant.game
    facts: dict[str, Any] = {
        "correlation_id": applicant.correlation_id,
        "game_id": game.id,
        "game_version": game.version,
        "provider": game.provider,
        "category": game.category,
        "rtp_bps": game.rtp_bps,
        "asset": applicant.asset,
        "country": body.country,
        "jurisdiction": body.jurisdiction,
    }
    if body.ip is not None:
        salt = random_nonce()
        facts["ip"] = {"salt": salt, "sha256": payload_digest(f"{salt}{body.ip}".encode())}
    if located is not None:
        facts["located"] = {"country": located.country, "subdivisions": list(located.subdivisions)}
    match standing:
        case None:
            pass
        case Standing(is_excluded=is_excluded, reference=reference):
            facts["exclusion"] = {"status": "excluded" if is_excluded else "clear", "reference": reference}
        case Unanswered(why=why):
            facts["exclusion"] = {"status": "unanswered", "why": why}
        case _:
            assert_never(standing)
    return msgspec.json.encode(facts).decode()
