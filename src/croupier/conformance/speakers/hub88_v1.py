"""Hub88's operator wallet: RSA over the body, whole hundred-thousandths, a status in the body of every 200."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from uuid import uuid4

from msgspec.structs import replace

from croupier.conformance.reading import (
    Cause,
    Reading,
    Request,
    Response,
    Unreadable,
    Verdict,
    read_object,
    require,
)
from croupier.conformance.speaker import Ending, Launch, Part, Stamp, Traits
from croupier.conformance.speakers.json_calls import JSON_TYPE, JsonSpeaker
from croupier.conformance.speakers.spelling import spell_scaled
from croupier.conformance.steps import Kind, Step
from croupier_signing import Key, PrivateKey, PublicKey, SignatureRefused, sign_rsa_body, verify_rsa_body

SCALE: Final = 100_000
_SIGN: Final = b"x-hub88-signature"
_PATHS: Final = {
    Kind.BALANCE: "/user/balance",
    Kind.BET: "/transaction/bet",
    Kind.WIN: "/transaction/win",
    Kind.PROMO: "/transaction/win",
    Kind.ROLLBACK: "/transaction/rollback",
}
_UNKNOWN: Final = frozenset({"RS_ERROR_UNKNOWN", "RS_ERROR_TIMEOUT"})
_DECLINES: Final = frozenset(
    {
        "RS_ERROR_NOT_ENOUGH_MONEY",
        "RS_ERROR_LIMIT_REACHED",
        "RS_ERROR_USER_DISABLED",
        "RS_ERROR_TOKEN_EXPIRED",
        "RS_ERROR_TRANSACTION_ROLLED_BACK",
    }
)


def _any(*names: str) -> frozenset[str]:
    return frozenset(f"RS_ERROR_{name}" for name in names)


class Hub88Speaker(JsonSpeaker):
    """The wallet API as its suppliers' calls arrive through Hub88."""

    adapter = "hub88_v1"
    traits = Traits(
        ending=Ending.BY_FLAG,
        bets_needed=True,
        names_session=False,
        freespins_pay=True,
        promos_need_bets=True,
    )
    says: ClassVar[Mapping[str, object]] = {
        "signing": "rsa_body",
        "freshness": "none",
        "request_id": "request_uuid",
        "unknown_target": "approved",
        "late_debit": "declined",
        "rollback_reference": "own",
        "game_may_change": True,
        "amount_scale": 100_000,
        "session_token": True,
        "strict_tokens": False,
        "status_meaning": "body",
    }
    signature = Part("header:x-hub88-signature")
    covered = (Part("body"), signature)
    codes: ClassVar[Mapping[Cause, frozenset[str]]] = {
        Cause.SIGNATURE: _any("INVALID_SIGNATURE"),
        Cause.MALFORMED: _any("WRONG_SYNTAX", "WRONG_TYPES"),
        Cause.AMOUNT: _any("WRONG_SYNTAX", "WRONG_TYPES"),
        Cause.FUNDS: _any("NOT_ENOUGH_MONEY"),
        Cause.ROLLED_BACK: _any("TRANSACTION_ROLLED_BACK"),
        Cause.CONFLICT: _any("DUPLICATE_TRANSACTION"),
        Cause.PLAYER: _any("INVALID_TOKEN", "USER_DISABLED"),
        Cause.SESSION: _any("INVALID_TOKEN"),
        Cause.ASSET: _any("WRONG_CURRENCY"),
        Cause.GAME: _any("INVALID_GAME"),
        Cause.TARGET: _any("TRANSACTION_DOES_NOT_EXIST"),
        Cause.SETTLED: _any("TRANSACTION_DOES_NOT_EXIST", "DUPLICATE_TRANSACTION"),
        Cause.SESSION_OVER: _any("TOKEN_EXPIRED", "INVALID_TOKEN"),
        Cause.ROUND_CLOSED: _any("WRONG_SYNTAX", "WRONG_TYPES", "INVALID_GAME", "LIMIT_REACHED"),
        Cause.TOO_LARGE: _any("WRONG_SYNTAX"),
        Cause.PATH: _any("WRONG_SYNTAX", "UNKNOWN"),
        Cause.TEMPORARY: _UNKNOWN,
    }

    def write(self, step: Step) -> Request:
        """One call; every attempt has a request_uuid of its own."""
        seat, move = step.seat, step.move
        who = {
            "user": seat.player_id,
            "token": seat.token or "",
            "request_uuid": str(uuid4()),
            "game_code": seat.game_id,
        }
        if move.kind is Kind.BALANCE:
            return self.post(_PATHS[move.kind], who)
        document = {
            **who,
            "transaction_uuid": move.reference,
            "round": step.round_id,
            "round_closed": step.is_closing,
            "reference_transaction_uuid": None if move.target is None else move.target.reference,
        }
        if move.kind is Kind.ROLLBACK:
            return self.post(_PATHS[move.kind], document)
        money = {
            "currency": seat.asset,
            "amount": spell_scaled(move.amount, seat.exponent, SCALE),
            "is_free": move.is_free or move.kind is Kind.PROMO,
            "reward_uuid": move.campaign,
        }
        return self.post(_PATHS[move.kind], {**document, **money})

    def sign(self, request: Request, stamp: Stamp, key: Key | None = None) -> Request:
        """RSA-SHA256 of the body's bytes."""
        used = key or self.account.key
        assert isinstance(used, PrivateKey), "the protocol signs with a private key"  # noqa: S101
        bare = self.unsign(request)
        line = sign_rsa_body(used, request.body).encode()
        return replace(bare, headers=(*bare.headers, (_SIGN, line)))

    def unsign(self, request: Request) -> Request:
        """Without X-Hub88-Signature."""
        return replace(request, headers=tuple(one for one in request.headers if one[0] != _SIGN))

    def parse(self, step: Step, request: Request, response: Response) -> Reading:
        """A status in a 200; the balance is a whole number."""
        document = read_object(response.body)
        if response.status != 200:
            raise Unreadable(f"the HTTP status is {response.status}; it is 200 in every case")
        status = require(document, "status", str)
        balance = document.get("balance")
        if status == "RS_OK":
            _require_echo(step, request, document)
            balance = require(document, "balance", int)
        return Reading(
            verdict=_verdict_of(status),
            code=status,
            balance=None if balance is None else _minor(step, balance),
            request=request,
            response=response,
        )

    def read_launch(self, request: Request) -> Launch:
        """`POST /operator/generic/v2/game/url`."""
        document = read_object(request.body)
        require(document, "operator_id", int)
        for name in ("platform", "lang", "country", "ip", "lobby_url"):
            require(document, name, str)
        token = require(document, "token", str)
        return Launch(
            player_id=require(document, "user", str),
            session=token,
            token=token,
            asset=require(document, "currency", str),
            game_id=require(document, "game_code", str),
            finding=self._judge_launch(request),
        )

    def _judge_launch(self, request: Request) -> str:
        given = next((value for name, value in request.headers if name == _SIGN), None)
        key = self.account.launch_key
        try:
            verify_rsa_body([key] if isinstance(key, PublicKey) else [], request.body, given)
        except SignatureRefused as refused:
            return f"its signature is {refused.reason.value}"
        is_there = request.path.endswith(b"/operator/generic/v2/game/url")
        return "" if is_there else f"it went to {request.path!r}"

    def answer_launch(self, launch: Launch) -> Response:
        """The game's address."""
        body = self.encode({"url": f"https://games.example/{uuid4()}"})
        return Response(status=200, headers=(JSON_TYPE,), body=body)

    def answer_question(self, request: Request) -> Response | None:
        """The list of games."""
        if not request.path.endswith(b"/operator/generic/v2/game/list"):
            return None
        game = {"game_code": f"{self.account.id}-game-1", "name": "The first game", "enabled": True}
        return Response(status=200, headers=(JSON_TYPE,), body=self.encode([game]))


def _verdict_of(status: str) -> Verdict:
    if status == "RS_OK":
        return Verdict.APPROVED
    if not status.startswith("RS_ERROR_"):
        raise Unreadable(f"{status!r} is no status")
    if status in _UNKNOWN:
        return Verdict.UNKNOWN
    return Verdict.DECLINED if status in _DECLINES else Verdict.REFUSED


def _require_echo(step: Step, request: Request, document: dict[str, Any]) -> None:
    sent = read_object(request.body)
    if document.get("request_uuid") != sent.get("request_uuid"):
        raise Unreadable("request_uuid is not echoed")
    if document.get("user") != step.seat.player_id:
        raise Unreadable(f"the user is {document.get('user')!r}")
    if document.get("currency") != step.seat.asset:
        raise Unreadable(f"the currency is {document.get('currency')!r}")


def _minor(step: Step, units: object) -> int:
    if not isinstance(units, int) or isinstance(units, bool):
        raise Unreadable(f"the balance is {units!r}")
    minor, rest = divmod(units * int(10**step.seat.exponent), SCALE)
    if rest:
        raise Unreadable(f"the balance {units} is finer than the asset")
    return minor


SPEAKER: Final = Hub88Speaker
