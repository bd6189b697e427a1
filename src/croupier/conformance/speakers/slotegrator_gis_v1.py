"""Slotegrator's GIS: forms in the order of PHP, HMAC-SHA1 with three headers, two error codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

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
from croupier.conformance.speaker import Ending, Launch, Part, Speaker, Stamp, Traits
from croupier.conformance.speakers.json_calls import JSON_TYPE
from croupier.conformance.speakers.spelling import spell_decimal
from croupier.conformance.steps import Amount, Kind, Move, Spelling, Step
from croupier_signing import (
    Key,
    SignatureRefused,
    SigningKey,
    read_form,
    sign_sorted_form,
    verify_sorted_form,
)

_FORM_TYPE: Final = (b"content-type", b"application/x-www-form-urlencoded")
_NAMES: Final = {b"x-merchant-id": "X-Merchant-Id", b"x-timestamp": "X-Timestamp", b"x-nonce": "X-Nonce"}
_SIGN: Final = b"x-sign"
_WIN_TYPES: Final = {Kind.WIN: "win", Kind.JACKPOT: "jackpot", Kind.PROMO: "freespin"}
_ACTIONS: Final = {Kind.BET: "bet", Kind.ROLLBACK: "refund"}
_VAGUE: Final = frozenset({"INTERNAL_ERROR"})
_NO_FORMS: Final = (b"", b"%zz=1", b"a", b"=1", b"a=1&a=2", b"\xff=1", b'{"action":"bet"}')

_ODD_VALUES: Final = ("", "5", "-1", "true", "\x00", "x" * 300)

Fields = tuple[tuple[str, str], ...]


class SlotegratorSpeaker(Speaker):
    """The aggregator's calls, as public clients write them."""

    adapter = "slotegrator_gis_v1"
    traits = Traits(ending=Ending.BY_FLAG, rollback_names_amount=True, freespins_pay=True)
    says: ClassVar[Mapping[str, object]] = {
        "signing": "sorted_form",
        "freshness": "timestamp_and_nonce",
        "repeat_balance": "current",
        "unknown_target": "approved",
        "rollback_reference": "own",
        "undoes_rollbacks": True,
        "status_meaning": "body",
    }
    signature = Part("header:x-sign")
    covered = (
        Part("body"),
        Part("header:x-merchant-id"),
        Part("header:x-timestamp"),
        Part("header:x-nonce"),
        signature,
    )
    codes: ClassVar[Mapping[Cause, frozenset[str]]] = {
        **dict.fromkeys(Cause, _VAGUE),
        Cause.FUNDS: frozenset({"INSUFFICIENT_FUNDS"}),
    }

    def write(self, step: Step) -> Request:
        """A form with its action."""
        fields = tuple((name, value) for name, value in self._fields(step).items() if value is not None)
        return self._form(fields)

    def _form(self, fields: Fields) -> Request:
        body = urlencode(fields).encode()
        return Request(method="POST", path=self.account.root + b"/", headers=(_FORM_TYPE,), body=body)

    def _fields(self, step: Step) -> dict[str, str | None]:
        seat, move = step.seat, step.move
        who = {"player_id": seat.player_id, "currency": seat.asset, "session_id": seat.session}
        if move.kind is Kind.BALANCE:
            return {"action": "balance", **who}
        named = {
            **who,
            "game_uuid": seat.game_id,
            "transaction_id": move.reference,
            "round_id": step.round_id,
        }
        finished = "1" if step.is_closing else None
        if move.kind is Kind.ROLLBACK and move.target is not None and move.target.kind is not Kind.BET:
            return {"action": "rollback", **named, "type": "rollback", **self._undone(step)}
        money = {"amount": _amount(move.amount, seat.exponent), "finished": finished}
        if move.kind is Kind.ROLLBACK and move.target is not None:
            amount = _amount(move.target.amount, seat.exponent)
            return {
                "action": "refund",
                **named,
                "bet_transaction_id": move.target.reference,
                "amount": amount,
            }
        if move.kind is Kind.BET:
            kind = "freespin" if move.is_free else "bet"
            return {"action": "bet", **named, **money, "type": kind, "freespin_id": move.campaign}
        kind = "freespin" if move.is_free else _WIN_TYPES[move.kind]
        return {"action": "win", **named, **money, "type": kind, "freespin_id": move.campaign}

    def _undone(self, step: Step) -> dict[str, str]:
        fields: dict[str, str] = {"provider_round_id": step.round_id}
        for number, move in enumerate(step.moves):
            target = move.target
            assert target is not None, "a rollback has a target"  # noqa: S101 (narrowing)
            amount = target.amount if target.target is None or target.kind is not Kind.ROLLBACK else 0
            if target.kind is Kind.ROLLBACK and target.target is not None:
                amount = target.target.amount
            place = f"rollback_transactions[{number}]"
            fields |= {
                f"{place}[action]": _ACTIONS.get(target.kind, "win"),
                f"{place}[amount]": _amount(amount, step.seat.exponent),
                f"{place}[transaction_id]": target.reference,
                f"{place}[type]": _WIN_TYPES.get(target.kind, "bet"),
            }
        return fields

    def sign(self, request: Request, stamp: Stamp, key: Key | None = None) -> Request:
        """The merchant, the time and a nonce in headers, and HMAC-SHA1 over them and the form."""
        return self._sign(request, stamp, key, read_form(request.body))

    def sign_anyhow(self, request: Request, stamp: Stamp) -> Request:
        """A form that cannot be read is signed as if it were empty."""
        try:
            return self.sign(request, stamp)
        except SignatureRefused:
            return self._sign(request, stamp, None, ())

    def _sign(self, request: Request, stamp: Stamp, key: Key | None, fields: Fields) -> Request:
        used = key or self.account.key
        assert isinstance(used, SigningKey), "the protocol signs with a shared secret"  # noqa: S101
        headers = {
            "X-Merchant-Id": self.account.settings["merchant_id"],
            "X-Timestamp": str(stamp.timestamp_s),
            "X-Nonce": stamp.nonce,
        }
        line = sign_sorted_form(used, fields, headers).encode()
        sent = tuple((name.lower().encode(), value.encode()) for name, value in headers.items())
        return replace(self.unsign(request), headers=(_FORM_TYPE, *sent, (_SIGN, line)))

    def unsign(self, request: Request) -> Request:
        """Without X-Sign; the other headers stay."""
        return replace(request, headers=tuple(one for one in request.headers if one[0] != _SIGN))

    def is_equal(self, part: Part, before: bytes, after: bytes) -> str:
        """Percent-encoding has letters of either case, and a form says the same in both."""
        if part.name != "body":
            return ""
        try:
            is_same = read_form(before) == read_form(after)
        except SignatureRefused:
            return ""
        return "percent-encoding in another letter case" if is_same else ""

    def unreadable_bodies(self) -> tuple[bytes, ...]:
        """Forms without an action, broken ones, and JSON."""
        return _NO_FORMS

    def add_member(self, request: Request, name: str, value: str) -> Request:
        """At the end of the form."""
        return replace(request, body=request.body + b"&" + urlencode({name: value}).encode())

    def repeat_member(self, request: Request) -> Request:
        """The player once more, who may be another one."""
        return replace(request, body=request.body + b"&player_id=again")

    def distort(self, request: Request) -> tuple[tuple[str, Request], ...]:
        """Each field left out, empty, odd, and as an array."""
        fields = read_form(request.body)
        found: list[tuple[str, Request]] = []
        for name, _ in fields:
            rest = tuple(one for one in fields if one[0] != name)
            found.append((f"{name} left out", replace(request, body=urlencode(rest).encode())))
            for value in _ODD_VALUES:
                odd = (*rest, (name, value))
                found.append((f"{name} as {value:.20}", replace(request, body=urlencode(odd).encode())))
            nested = (*rest, (f"{name}[0]", "x"))
            found.append((f"{name} as an array", replace(request, body=urlencode(nested).encode())))
        return tuple(found)

    def parse(self, step: Step, request: Request, response: Response) -> Reading:
        """200 with a balance, or with one of two error codes."""
        document = read_object(response.body)
        if "error_code" in document:
            return _refusal(document, step, request, response)
        if response.status != 200:
            raise Unreadable(f"the HTTP status is {response.status} without an error code")
        ids = () if step.move.kind is Kind.BALANCE else (require(document, "transaction_id", str),)
        if request.body.find(b"rollback_transactions") >= 0:
            _require_listed(step, document)
        return Reading(
            verdict=Verdict.APPROVED,
            balance=_minor(document.get("balance"), step.seat.exponent),
            operator_ids=ids,
            request=request,
            response=response,
        )

    def read_launch(self, request: Request) -> Launch:
        """`POST /games/init`."""
        try:
            fields = dict(read_form(request.body))
        except SignatureRefused as refused:
            raise Unreadable(f"the form is {refused.reason.value}") from None
        for name in ("player_name", "currency", "session_id", "player_id", "game_uuid"):
            if not fields.get(name):
                raise Unreadable(f"{name} is missing")
        return Launch(
            player_id=fields["player_id"],
            session=fields["session_id"],
            asset=fields["currency"],
            game_id=fields["game_uuid"],
            finding=self._judge_launch(request),
        )

    def _judge_launch(self, request: Request) -> str:
        given = dict(request.headers)
        key = self.account.launch_key
        headers = {shown: given.get(name, b"").decode("latin-1") for name, shown in _NAMES.items()}
        try:
            verify_sorted_form(
                [key] if isinstance(key, SigningKey) else [],
                read_form(request.body),
                headers,
                given.get(_SIGN),
            )
        except SignatureRefused as refused:
            return f"its signature is {refused.reason.value}"
        return "" if request.path.endswith(b"/games/init") else f"it went to {request.path!r}"

    def answer_launch(self, launch: Launch) -> Response:
        """The game's address."""
        body = b'{"url": "https://games.example/%s"}' % launch.session.encode()
        return Response(status=200, headers=(JSON_TYPE,), body=body)

    def answer_question(self, request: Request) -> Response | None:
        """The list of games."""
        if request.method != "GET" or not request.path.endswith(b"/games"):
            return None
        game = b'{"uuid": "%s-game-1", "name": "The first game"}' % self.account.id.encode()
        body = b'{"items": [%s], "_meta": {"pageCount": 1, "currentPage": 1}}' % game
        return Response(status=200, headers=(JSON_TYPE,), body=body)


def _amount(amount: Amount, exponent: int) -> str:
    if amount is Spelling.OTHER_TYPE:
        return "one"
    return str(spell_decimal(amount, exponent))


def _minor(balance: object, exponent: int) -> int:
    if not isinstance(balance, Exact | int) or isinstance(balance, bool):
        raise Unreadable(f"the balance is {balance!r}, no number")
    return read_decimal(balance, exponent)


def _require_listed(step: Step, document: dict[str, Any]) -> None:
    listed = require(document, "rollback_transactions", list)
    wanted = [_reference(move) for move in step.moves]
    if listed != wanted:
        raise Unreadable(f"the answer lists {listed} instead of {wanted}")


def _reference(move: Move) -> str:
    return "" if move.target is None else move.target.reference


def _refusal(document: dict[str, Any], step: Step, request: Request, response: Response) -> Reading:
    code = require(document, "error_code", str)
    require(document, "error_description", str)
    if code not in ("INSUFFICIENT_FUNDS", "INTERNAL_ERROR"):
        raise Unreadable(f"{code!r} is no error code")
    balance = document.get("balance")
    verdict = Verdict.DECLINED if code == "INSUFFICIENT_FUNDS" else Verdict.REFUSED
    return Reading(
        verdict=verdict if response.status == 200 else Verdict.UNKNOWN,
        code=code,
        balance=None if balance is None else _minor(balance, step.seat.exponent),
        request=request,
        response=response,
    )


SPEAKER: Final = SlotegratorSpeaker
