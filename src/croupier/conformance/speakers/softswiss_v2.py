"""The SOFTSWISS-style wallet, version 2, as Beexar publishes it: batches of bets and wins, decimal text, raw HMAC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

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
from croupier_signing import Key, SignatureRefused, SigningKey, sign_raw_hmac, verify_raw_hmac

_SIGN: Final = b"x-request-sign"
_DECLINES: Final = frozenset({"100", "105", "106", "107", "110", "153", "409"})
_GAMES: Final = b"/api/v1/operator/games"


class SoftswissSpeaker(JsonSpeaker):
    """Beexar's contract with its operators."""

    adapter = "softswiss_v2"
    traits = Traits(ending=Ending.BY_CALL, zero_bets=False, zero_wins=False)
    says: ClassVar[Mapping[str, object]] = {
        "signing": "raw_hmac",
        "freshness": "none",
        "repeat_balance": "stored",
        "unknown_target": "approved",
        "late_debit": "declined",
        "spent_win": "clamp",
        "rollback_reference": "own",
        "body_bytes": 65_536,
        "status_meaning": "http_status",
    }
    signature = Part("header:x-request-sign")
    covered = (Part("body"), signature)
    codes: ClassVar[Mapping[Cause, frozenset[str]]] = {
        Cause.SIGNATURE: frozenset({"403"}),
        Cause.MALFORMED: frozenset({"400"}),
        Cause.AMOUNT: frozenset({"400"}),
        Cause.FUNDS: frozenset({"100"}),
        Cause.ROLLED_BACK: frozenset({"409"}),
        Cause.CONFLICT: frozenset({"155", "400"}),
        Cause.PLAYER: frozenset({"101"}),
        Cause.SESSION: frozenset({"101", "155", "400", "404"}),
        Cause.ASSET: frozenset({"154", "155"}),
        Cause.GAME: frozenset({"107", "155", "404", "405"}),
        Cause.TARGET: frozenset({"404"}),
        Cause.SETTLED: frozenset({"409"}),
        Cause.SESSION_OVER: frozenset({"107", "110", "400", "404", "405"}),
        Cause.ROUND_CLOSED: frozenset({"107", "400", "404", "405"}),
        Cause.TOO_LARGE: frozenset({"400"}),
        Cause.PATH: frozenset({"400", "404"}),
        Cause.TEMPORARY: frozenset({"500", "503", "504"}),
    }

    def write(self, step: Step) -> Request:
        """`/balance`, `/betwin`, `/rollback` or `/finish`."""
        seat = step.seat
        who = {"account_id": seat.player_id, "currency": seat.asset, "session_id": seat.session}
        kind = step.move.kind
        if kind is Kind.BALANCE:
            return self.post("/balance", {**who, "game_id": seat.game_id})
        if kind is Kind.CLOSE:
            return self.post("/finish", {**who, "round_id": step.round_id})
        if kind is Kind.ROLLBACK:
            return self.post("/rollback", {**who, **self._undone(step)})
        return self.post("/betwin", {**who, **self._played(step)})

    def _played(self, step: Step) -> dict[str, Any]:
        exponent = step.seat.exponent
        return {
            "game_id": step.seat.game_id,
            "round_id": step.round_id,
            "finished": step.is_closing,
            "transactions": [
                {
                    "id_provider": move.reference,
                    "type": "bet" if move.kind is Kind.BET else "win",
                    "amount": spell_decimal(move.amount, exponent),
                }
                for move in step.moves
            ],
        }

    def _undone(self, step: Step) -> dict[str, Any]:
        return {
            "game_id": step.seat.game_id,
            "round_id_provider": step.round_id,
            "finished": step.is_closing,
            "transactions": [
                {
                    "id_provider": move.reference,
                    "type": "rollback",
                    "original_id_provider": _target(move).reference,
                }
                for move in step.moves
            ],
        }

    def sign(self, request: Request, stamp: Stamp, key: Key | None = None) -> Request:
        """HMAC-SHA256 of the body's bytes."""
        used = key or self.account.key
        assert isinstance(used, SigningKey), "the protocol signs with a shared secret"  # noqa: S101
        bare = self.unsign(request)
        line = sign_raw_hmac(used, request.body).encode()
        return replace(bare, headers=(*bare.headers, (_SIGN, line)))

    def unsign(self, request: Request) -> Request:
        """Without X-REQUEST-SIGN."""
        return replace(request, headers=tuple(one for one in request.headers if one[0] != _SIGN))

    def parse(self, step: Step, request: Request, response: Response) -> Reading:
        """200, or an envelope with `meta.api_code`."""
        document = read_object(response.body)
        exponent = step.seat.exponent
        if response.status != 200:
            return _refusal(document, exponent, request, response)
        return Reading(
            verdict=Verdict.APPROVED,
            balance=read_decimal(require(document, "balance", str), exponent),
            operator_ids=() if step.move.kind in (Kind.BALANCE, Kind.CLOSE) else _ids(step, document),
            request=request,
            response=response,
        )

    def read_launch(self, request: Request) -> Launch:
        """`POST /api/v1/softswiss/launcher/real`."""
        document = read_object(request.body)
        account = require(document, "account", dict)
        for name in ("casino_id", "locale", "ip", "client_type"):
            require(document, name, str)
        require(document, "urls", dict)
        return Launch(
            player_id=require(account, "id", str),
            session=require(document, "session_id", str),
            asset=require(account, "currency", str),
            game_id=require(document, "game", str),
            finding=self._judge_launch(request),
        )

    def _judge_launch(self, request: Request) -> str:
        given = next((value for name, value in request.headers if name == _SIGN), None)
        key = self.account.launch_key
        try:
            verify_raw_hmac([key] if isinstance(key, SigningKey) else [], request.body, given)
        except SignatureRefused as refused:
            return f"its signature is {refused.reason.value}"
        is_there = request.path.endswith(b"/api/v1/softswiss/launcher/real")
        return "" if is_there else f"it went to {request.path!r}"

    def answer_launch(self, launch: Launch) -> Response:
        """The game's address."""
        body = self.encode({"launch_url": f"https://games.example/{launch.session}"})
        return Response(status=200, headers=(JSON_TYPE,), body=body)

    def answer_question(self, request: Request) -> Response | None:
        """The public list of games."""
        if not request.path.endswith(_GAMES):
            return None
        games = [{"identifier": f"{self.account.id}-game-1", "title": "The first game"}]
        return Response(status=200, headers=(JSON_TYPE,), body=self.encode({"games": games}))


def _target(move: Move) -> Move:
    assert move.target is not None, "a rollback has a target"  # noqa: S101 (narrowing)
    return move.target


def _ids(step: Step, document: dict[str, Any]) -> tuple[str, ...]:
    require(document, "round_id", str)
    told = require(document, "transactions", list)
    if [one.get("id_provider") for one in told] != [move.reference for move in step.moves]:
        raise Unreadable("the answer tells other transactions")
    if step.move.kind is not Kind.ROLLBACK:
        for one in told:
            read_decimal(require(one, "bonus_amount", str), 12)
    return tuple(require(one, "id", str) for one in told)


def _refusal(document: dict[str, Any], exponent: int, request: Request, response: Response) -> Reading:
    code, meta = require(document, "code", str), require(document, "meta", dict)
    if (response.status, code) not in ((400, "invalid_argument"), (500, "internal")):
        raise Unreadable(f"{response.status} with the code {code}")
    api_code = require(meta, "api_code", str)
    balance = meta.get("balance")
    verdict = Verdict.DECLINED if api_code in _DECLINES else Verdict.REFUSED
    return Reading(
        verdict=Verdict.UNKNOWN if response.status == 500 else verdict,
        code=api_code,
        balance=None if balance is None else read_decimal(balance, exponent),
        request=request,
        response=response,
    )


SPEAKER: Final = SoftswissSpeaker
