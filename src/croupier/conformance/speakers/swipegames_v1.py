"""Swipe Games: canonical JSON under an HMAC, nothing named but the session, and a status that decides about money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from croupier.conformance.reading import (
    Cause,
    Reading,
    Request,
    Response,
    Unreadable,
    Verdict,
    read_decimal,
    read_object,
    require,
)
from croupier.conformance.speaker import Ending, Launch, Part, Stamp, Traits
from croupier.conformance.speakers.json_calls import JSON_TYPE, JsonSpeaker
from croupier.conformance.speakers.spelling import spell_decimal
from croupier.conformance.steps import Kind, Move, Step
from croupier_signing import (
    Key,
    SignatureRefused,
    SigningKey,
    canonicalise,
    sign_canonical_body,
    sign_canonical_query,
    verify_canonical_body,
)

_SIGN: Final = b"x-request-sign"
_PATHS: Final = {
    Kind.BET: "/bet",
    Kind.WIN: "/win",
    Kind.PROMO: "/win",
    Kind.ROLLBACK: "/refund",
}
_BUSINESS: Final = frozenset({"400:", "400:insufficient_funds", "400:session_expired"})


class SwipeGamesSpeaker(JsonSpeaker):
    """The public API, version 1.0."""

    adapter = "swipegames_v1"
    traits = Traits(
        ending=Ending.NEVER,
        rolls_wins_back=False,
        rollback_names_amount=True,
        rollbacks_never_fail=True,
        names_player=False,
        names_asset=False,
        names_game=False,
    )
    says: ClassVar[Mapping[str, object]] = {
        "signing": "canonical_body",
        "freshness": "none",
        "unknown_target": "approved",
        "rollback_reference": "own",
        "session_token": False,
        "status_meaning": "http_status",
    }
    signature = Part("header:x-request-sign")
    covered = (Part("body"), signature)
    codes: ClassVar[Mapping[Cause, frozenset[str]]] = {
        Cause.SIGNATURE: frozenset({"401:"}),
        Cause.MALFORMED: frozenset({"400:"}),
        Cause.AMOUNT: frozenset({"400:"}),
        Cause.FUNDS: frozenset({"400:insufficient_funds"}),
        Cause.ROLLED_BACK: frozenset({"400:"}),
        Cause.CONFLICT: frozenset({"400:"}),
        Cause.PLAYER: frozenset({"400:", "404:session_not_found"}),
        Cause.SESSION: frozenset({"404:session_not_found"}),
        Cause.ASSET: frozenset({"400:currency_not_supported"}),
        Cause.GAME: frozenset({"400:game_not_found"}),
        Cause.TARGET: frozenset({"400:"}),
        Cause.SETTLED: frozenset({"400:"}),
        Cause.SESSION_OVER: frozenset({"400:session_expired"}),
        Cause.ROUND_CLOSED: frozenset({"400:"}),
        Cause.TOO_LARGE: frozenset({"400:", "413:"}),
        Cause.PATH: frozenset({"400:", "404:", "405:"}),
        Cause.TEMPORARY: frozenset({"500:"}),
    }

    def write(self, step: Step) -> Request:
        """A GET for the balance, a POST for everything else."""
        seat, move = step.seat, step.move
        if move.kind is Kind.BALANCE:
            query = f"sessionID={quote(seat.session)}".encode()
            return Request(method="GET", path=self.account.root + b"/balance", query=query)
        if move.kind is Kind.ROLLBACK:
            return self.post("/refund", self._refund(step, move))
        document = {
            "type": "free" if move.is_free else "regular",
            "sessionID": seat.session,
            "amount": spell_decimal(move.amount, seat.exponent),
            "txID": move.reference,
            "roundID": step.round_id,
            "frID": move.campaign,
        }
        return self.post(_PATHS[move.kind], document)

    def _refund(self, step: Step, move: Move) -> dict[str, Any]:
        assert move.target is not None, "a refund has a target"  # noqa: S101 (narrowing)
        return {
            "sessionID": step.seat.session,
            "txID": move.reference,
            "origTxID": move.target.reference,
            "amount": spell_decimal(move.target.amount, step.seat.exponent),
            "roundID": step.round_id,
        }

    def encode(self, document: Any) -> bytes:
        """Canonical JSON, but for what has no canonical form and is sent as it is."""
        try:
            return canonicalise(document)
        except (ValueError, TypeError):
            return super().encode(dict(sorted(document.items())))

    def add_member(self, request: Request, name: str, value: str) -> Request:
        """At its place in the canonical order."""
        return replace(request, body=self.encode({**read_object(request.body), name: value}))

    def sign(self, request: Request, stamp: Stamp, key: Key | None = None) -> Request:
        """HMAC-SHA256 of the canonical body, or of the query as canonical JSON."""
        used = key or self.account.key
        assert isinstance(used, SigningKey), "the protocol signs with a shared secret"  # noqa: S101
        bare = self.unsign(request)
        is_get = request.method == "GET"
        line = (
            sign_canonical_query(used, request.query) if is_get else sign_canonical_body(used, request.body)
        )
        return replace(bare, headers=(*bare.headers, (_SIGN, line.encode())))

    def unsign(self, request: Request) -> Request:
        """Without X-REQUEST-SIGN."""
        return replace(request, headers=tuple(one for one in request.headers if one[0] != _SIGN))

    def parse(self, step: Step, request: Request, response: Response) -> Reading:
        """200 with the balance, or an error whose HTTP status says whether the money may have moved."""
        document = read_object(response.body)
        if response.status != 200:
            return _refusal(document, request, response)
        ids = () if step.move.kind is Kind.BALANCE else (require(document, "txID", str),)
        return Reading(
            verdict=Verdict.APPROVED,
            balance=read_decimal(require(document, "balance", str), step.seat.exponent),
            operator_ids=ids,
            request=request,
            response=response,
        )

    def read_launch(self, request: Request) -> Launch:
        """`POST /create-new-game` in real mode."""
        document = read_object(request.body)
        user = require(document, "user", dict)
        for name in ("cID", "extCID", "platform", "locale"):
            require(document, name, str)
        if require(document, "demo", bool):
            raise Unreadable("the launch is for a demo")
        return Launch(
            player_id=require(user, "id", str),
            session=require(document, "sessionID", str),
            asset=require(document, "currency", str),
            game_id=require(document, "gameID", str),
            finding=self._judge_launch(request, document),
        )

    def _judge_launch(self, request: Request, document: dict[str, Any]) -> str:
        given = next((value for name, value in request.headers if name == _SIGN), None)
        key = self.account.launch_key
        try:
            verify_canonical_body([key] if isinstance(key, SigningKey) else [], request.body, given)
        except SignatureRefused as refused:
            return f"its signature is {refused.reason.value}"
        if canonicalise(document) != request.body:
            return "its body is not in canonical form"
        return "" if request.path.endswith(b"/create-new-game") else f"it went to {request.path!r}"

    def answer_launch(self, launch: Launch) -> Response:
        """The game's address, and our own session."""
        body = self.encode(
            {
                "gameURL": f"https://games.example/{launch.session}",
                "gsID": "8d9b2a52-3f7c-4a51-9d0e-0c1f7a3b5c77",
            }
        )
        return Response(status=200, headers=(JSON_TYPE,), body=body)

    def answer_question(self, request: Request) -> Response | None:
        """The list of games."""
        if request.method != "GET" or not request.path.endswith(b"/games"):
            return None
        game = {
            "id": f"{self.account.id}-game-1",
            "title": "The first game",
            "locales": ["en_us"],
            "currencies": ["EUR", "USD"],
            "platforms": ["desktop", "mobile"],
            "images": {},
            "hasFreeSpins": True,
            "rtp": 96.5,
        }
        return Response(status=200, headers=(JSON_TYPE,), body=msgspec.json.encode([game]))


def _refusal(document: dict[str, Any], request: Request, response: Response) -> Reading:
    require(document, "message", str)
    code = f"{response.status}:{document.get('code') or ''}"
    verdict = Verdict.DECLINED if code in _BUSINESS else Verdict.REFUSED
    return Reading(
        verdict=verdict if response.status < 500 else Verdict.UNKNOWN,
        code=code,
        request=request,
        response=response,
    )


SPEAKER: Final = SwipeGamesSpeaker
