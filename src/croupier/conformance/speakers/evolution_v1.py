"""Evolution's One Wallet: a token in the query, JSON numbers with six decimals, one settlement for each bet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final
from uuid import uuid4

from msgspec.structs import replace

from croupier.conformance.reading import (
    Cause,
    Exact,
    Reading,
    Request,
    Response,
    Unreadable,
    Verdict,
    read_decimal,
    read_object,
    require,
)
from croupier.conformance.speaker import Account, Ending, Launch, Part, Stamp, Traits
from croupier.conformance.speakers.json_calls import JSON_TYPE, JsonSpeaker
from croupier.conformance.speakers.spelling import spell_number
from croupier.conformance.steps import Amount, Kind, Move, Step
from croupier_signing import Key, SigningKey

_PATHS: Final = {
    Kind.BALANCE: "/balance",
    Kind.BET: "/debit",
    Kind.WIN: "/credit",
    Kind.ROLLBACK: "/cancel",
    Kind.JACKPOT: "/promo_payout",
    Kind.PROMO: "/promo_payout",
}
_PROMO_TYPES: Final = {Kind.JACKPOT: "JackpotWin", Kind.PROMO: "RealTimeMonetaryReward"}
_UNKNOWN: Final = frozenset({"TEMPORARY_ERROR", "OPERATION_IN_PROCESS", "UNKNOWN_ERROR"})
_REFUSALS: Final = frozenset(
    {
        "INVALID_SID",
        "INVALID_TOKEN_ID",
        "INVALID_PARAMETER",
        "BET_ALREADY_SETTLED",
        "BET_DOES_NOT_EXIST",
        "FINAL_ERROR_ACTION_FAILED",
    }
)
_SIX_DECIMALS: Final = re.compile(rb'"(?:balance|bonus)": ?(?![0-9]+\.[0-9]{6}[,}\s])')


class EvolutionSpeaker(JsonSpeaker):
    """The One Wallet as public code shows it."""

    adapter = "evolution_v1"
    traits = Traits(
        ending=Ending.NEVER,
        bets_needed=True,
        one_win_per_bet=True,
        settled_bets_stay=True,
        rolls_wins_back=False,
        rollback_names_amount=True,
        names_session=False,
    )
    says: ClassVar[Mapping[str, object]] = {
        "signing": "static_token",
        "freshness": "none",
        "unknown_target": "error",
        "rollback_reference": "shares_the_targets",
        "session_token": True,
        "strict_tokens": True,
        "status_meaning": "body",
    }
    signature = Part("query")
    covered = (signature,)
    codes: ClassVar[Mapping[Cause, frozenset[str]]] = {
        Cause.SIGNATURE: frozenset({"INVALID_TOKEN_ID"}),
        Cause.MALFORMED: frozenset({"INVALID_PARAMETER"}),
        Cause.AMOUNT: frozenset({"INVALID_PARAMETER"}),
        Cause.FUNDS: frozenset({"INSUFFICIENT_FUNDS"}),
        Cause.ROLLED_BACK: frozenset({"BET_ALREADY_SETTLED", "FINAL_ERROR_ACTION_FAILED"}),
        Cause.CONFLICT: frozenset(
            {
                "BET_ALREADY_EXIST",
                "BET_ALREADY_SETTLED",
                "FINAL_ERROR_ACTION_FAILED",
                "INVALID_PARAMETER",
                "INVALID_SID",
            }
        ),
        Cause.PLAYER: frozenset({"INVALID_SID"}),
        Cause.SESSION: frozenset({"INVALID_SID"}),
        Cause.ASSET: frozenset({"INVALID_PARAMETER"}),
        Cause.GAME: frozenset({"INVALID_PARAMETER"}),
        Cause.TARGET: frozenset({"BET_DOES_NOT_EXIST"}),
        Cause.SETTLED: frozenset({"BET_ALREADY_SETTLED"}),
        Cause.SESSION_OVER: frozenset({"INVALID_SID", "FINAL_ERROR_ACTION_FAILED"}),
        Cause.ROUND_CLOSED: frozenset({"FINAL_ERROR_ACTION_FAILED"}),
        Cause.TOO_LARGE: frozenset({"INVALID_PARAMETER"}),
        Cause.PATH: frozenset({"INVALID_PARAMETER", "FINAL_ERROR_ACTION_FAILED"}),
        Cause.TEMPORARY: _UNKNOWN,
    }

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._asked: dict[str, _Content] = {}
        self._booked: set[str] = set()

    def write(self, step: Step) -> Request:
        """One call, with a uuid of its own."""
        self._asked.setdefault(_name_of(step), _content_of(step))
        seat, move = step.seat, step.move
        who: dict[str, Any] = {"sid": seat.token or "", "userId": seat.player_id, "uuid": str(uuid4())}
        if move.kind is Kind.CHECK:
            return self.post("/check", {**who, "channel": {"type": "P"}})
        document = {**who, "currency": seat.asset}
        if move.kind in _PROMO_TYPES:
            document |= {"promoTransaction": self._promo(step, move)}
        elif move.kind is not Kind.BALANCE:
            document |= {"game": self._game(step), "transaction": self._transaction(step, move)}
        return self.post(_PATHS[move.kind], document)

    def _game(self, step: Step) -> dict[str, Any]:
        table = {"id": step.seat.game_id, "vid": ""}
        return {"id": step.round_id, "type": "blackjack", "details": {"table": table}}

    def _promo(self, step: Step, move: Move) -> dict[str, Any]:
        return {
            "type": _PROMO_TYPES[move.kind],
            "id": move.reference,
            "amount": spell_number(move.amount, step.seat.exponent),
        }

    def _transaction(self, step: Step, move: Move) -> dict[str, Any]:
        """A cancel has both ids of its debit; a credit names its bet by refId."""
        bet = move if move.target is None else move.target
        own = bet if move.kind is Kind.ROLLBACK else move
        return {
            "id": own.reference,
            "refId": bet.reference,
            "amount": spell_number(own.amount, step.seat.exponent),
        }

    def sign(self, request: Request, stamp: Stamp, key: Key | None = None) -> Request:
        """The token in the query."""
        used = key or self.account.key
        assert isinstance(used, SigningKey), "the protocol has a shared token"  # noqa: S101
        return replace(request, query=b"authToken=" + used.secret)

    def unsign(self, request: Request) -> Request:
        """Without the token."""
        return replace(request, query=b"")

    def parse(self, step: Step, request: Request, response: Response) -> Reading:
        """A status in a 200; only a wrong token is a 401."""
        document = read_object(response.body)
        status = require(document, "status", str)
        if response.status != (401 if status == "INVALID_TOKEN_ID" else 200):
            raise Unreadable(f"{status} with the HTTP status {response.status}")
        verdict = self._judge(step, status)
        if verdict is Verdict.APPROVED and document.get("uuid") != read_object(request.body).get("uuid"):
            raise Unreadable("uuid is not echoed")
        if _SIX_DECIMALS.search(response.body):
            raise Unreadable("money has six decimals in every answer")
        balance = document.get("balance")
        if verdict is Verdict.APPROVED and balance is None and step.move.kind is not Kind.CHECK:
            raise Unreadable("there is no balance")
        return Reading(
            verdict=verdict,
            code=status,
            balance=None if balance is None else _minor(balance, step.seat.exponent),
            token=document.get("sid") if step.move.kind is Kind.CHECK else None,
            request=request,
            response=response,
        )

    def _judge(self, step: Step, status: str) -> Verdict:
        """What a status means to who remembers what was asked before.

        "Exists already" and "settled already" say that nothing happened now: that is fine for what was asked in the
        same words before, and a refusal of everything else.
        """
        name = _name_of(step)
        is_repeat = self._asked.get(name) == _content_of(step)
        if status == "BET_ALREADY_EXIST":
            return Verdict.APPROVED if is_repeat else Verdict.REFUSED
        if status == "BET_ALREADY_SETTLED":
            return Verdict.APPROVED if is_repeat and name in self._booked else Verdict.REFUSED
        if status == "OK" and is_repeat:
            self._booked.add(name)
        return _verdict_of(status)

    def read_launch(self, request: Request) -> Launch:
        """`POST /ua/v1/{casino_key}/{casino_token}`."""
        document = read_object(request.body)
        player, config = require(document, "player", dict), require(document, "config", dict)
        session = require(player, "session", dict)
        for name, length in (("country", 2), ("language", 2), ("currency", 3)):
            if len(require(player, name, str)) != length:
                raise Unreadable(f"player.{name} is {player[name]!r}")
        require(session, "ip", str)
        require(player, "update", bool)
        table = require(require(config, "game", dict), "table", dict)
        require(require(config, "channel", dict), "wrapped", bool)
        token = require(session, "id", str)
        return Launch(
            player_id=require(player, "id", str),
            session=token,
            token=token,
            asset=player["currency"],
            game_id=require(table, "id", str),
            finding=self._judge_launch(request),
        )

    def _judge_launch(self, request: Request) -> str:
        key, casino = self.account.launch_key, self.account.settings.get("casino_key", "")
        secret = key.secret if isinstance(key, SigningKey) else b""
        is_there = request.path.endswith(b"/ua/v1/" + casino.encode() + b"/" + secret)
        return "" if is_there else "it does not name the casino's key and token in its path"

    def answer_launch(self, launch: Launch) -> Response:
        """Where to enter, relative to our address."""
        entry = f"/entry?params={uuid4().hex}"
        body = self.encode({"entry": entry, "entryEmbedded": f"{entry}&embedded"})
        return Response(status=200, headers=(JSON_TYPE,), body=body)

    def answer_question(self, request: Request) -> Response | None:
        """A round's page, for whoever knows the casino's key and token."""
        if request.method != "GET" or not request.path.endswith(b"/api/render/v1/details"):
            return None
        known = any(
            name == b"authorization" and value.startswith(b"Basic ") for name, value in request.headers
        )
        round_id = request.query.partition(b"gameId=")[2]
        if not known or not round_id:
            return Response(status=401, headers=(), body=b"")
        return Response(
            status=200, headers=((b"content-type", b"text/html"),), body=b"<p>round " + round_id + b"</p>"
        )

    def repeat_member(self, request: Request) -> Request:
        """The user once more, who may be another one."""
        return replace(request, body=request.body[:-1] + b',"userId":"again"}')


_Content = tuple[str, str, Amount, str]


def _name_of(step: Step) -> str:
    """What a call is about: the bet that it takes, settles or cancels."""
    bet = step.move if step.move.target is None else step.move.target
    return f"{step.move.kind}:{bet.reference}"


def _content_of(step: Step) -> _Content:
    own = step.move.target if step.move.kind is Kind.ROLLBACK and step.move.target else step.move
    return own.reference, step.seat.player_id, own.amount, step.round_id


def _verdict_of(status: str) -> Verdict:
    if status == "OK":
        return Verdict.APPROVED
    if status == "INSUFFICIENT_FUNDS":
        return Verdict.DECLINED
    if status in _UNKNOWN:
        return Verdict.UNKNOWN
    if status in _REFUSALS:
        return Verdict.REFUSED
    raise Unreadable(f"{status!r} is no status")


def _minor(balance: object, exponent: int) -> int:
    if not isinstance(balance, Exact | int) or isinstance(balance, bool):
        raise Unreadable(f"the balance is {balance!r}, no number")
    return read_decimal(balance, exponent)


SPEAKER: Final = EvolutionSpeaker
