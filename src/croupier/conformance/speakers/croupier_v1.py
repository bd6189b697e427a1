"""Croupier's own protocol, as a studio speaks it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

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
from croupier.conformance.speakers.spelling import spell_minor
from croupier.conformance.steps import Kind, Move, Step
from croupier_signing import (
    Key,
    PrivateKey,
    SignatureRefused,
    SigningKey,
    parse_authorization,
    sign_native,
    sign_webhook,
    verify_native,
)

_AUTHORIZATION: Final = b"authorization"
_PATHS: Final = {
    Kind.BALANCE: "/v1/balance",
    Kind.BET: "/v1/bet",
    Kind.WIN: "/v1/win",
    Kind.JACKPOT: "/v1/win",
    Kind.PROMO: "/v1/win",
    Kind.ROLLBACK: "/v1/rollback",
    Kind.CLOSE: "/v1/close-round",
}
_NOTICES: Final = {
    Kind.CLOSE: "round.completed",
    Kind.ROLLBACK: "round.rolled_back",
    Kind.JACKPOT: "jackpot.won",
}
_UNDECIDED: Final = frozenset({401, 408, 429})

_PROOF: Final = {
    "scheme": "conformance",
    "server_seed_hash": "00" * 32,
    "server_seed": "11" * 32,
    "client_seed": "conformance",
    "nonce": 1,
}


class CroupierSpeaker(JsonSpeaker):
    """The native protocol, version 1 (docs/reference/provider-protocol.md)."""

    adapter = "croupier_v1"
    traits = Traits(ending=Ending.BY_CALL, takes_unknown_members=False)
    says: ClassVar[Mapping[str, object]] = {
        "signing": "native",
        "freshness": "timestamp_and_nonce",
        "timestamp_window_s": 30,
        "repeat_balance": "stored",
        "declines": "sticky",
        "unknown_target": "approved",
        "late_debit": "declined",
        "spent_win": "receivable",
        "rollback_reference": "own",
        "game_may_change": False,
        "status_meaning": "http_status",
    }
    signature = Part("header:authorization")
    covered = (Part("body"), Part("path"), Part("method"), signature)
    webhook_signed = (
        Part("header:webhook-id"),
        Part("header:webhook-timestamp"),
        Part("header:webhook-signature"),
        Part("body"),
    )
    webhook_window_s = 300
    codes: ClassVar[Mapping[Cause, frozenset[str]]] = {
        Cause.SIGNATURE: frozenset({"unauthenticated"}),
        Cause.MALFORMED: frozenset({"malformed", "unsupported_media_type"}),
        Cause.AMOUNT: frozenset({"malformed", "amount_not_representable"}),
        Cause.FUNDS: frozenset({"insufficient_funds"}),
        Cause.ROLLED_BACK: frozenset({"tombstoned"}),
        Cause.CONFLICT: frozenset({"reference_conflict", "delivery_id_reused"}),
        Cause.PLAYER: frozenset({"unknown_player", "session_mismatch", "unknown_session"}),
        Cause.SESSION: frozenset({"unknown_session", "session_mismatch"}),
        Cause.ASSET: frozenset({"unknown_asset", "session_mismatch"}),
        Cause.GAME: frozenset({"session_mismatch"}),
        Cause.TARGET: frozenset({"unknown_target", "session_mismatch"}),
        Cause.SETTLED: frozenset({"target_settled"}),
        Cause.SESSION_OVER: frozenset({"session_not_active"}),
        Cause.ROUND_CLOSED: frozenset({"round_closed"}),
        Cause.TOO_LARGE: frozenset({"body_too_large"}),
        Cause.PATH: frozenset({"unknown_path", "method_not_allowed"}),
        Cause.TEMPORARY: frozenset({"overloaded", "backlogged", "unavailable", "internal", "in_flight"}),
    }

    def write(self, step: Step) -> Request:
        """One call, or a bet-win for two moves."""
        if len(step.moves) == 2:
            return self.post("/v1/bet-win", self._pair(step))
        return self.post(_PATHS[step.move.kind], self._document(step, step.move))

    def _pair(self, step: Step) -> dict[str, Any]:
        bet, win = step.moves
        return {
            "bet": {"reference": bet.reference, "amount": spell_minor(bet.amount)},
            "win": {"reference": win.reference, "amount": spell_minor(win.amount)},
            **self._place(step),
            "occurred_at": _now(),
            "close_round": step.is_closing or None,
        }

    def _place(self, step: Step) -> dict[str, Any]:
        seat = step.seat
        return {
            "session_id": seat.session,
            "round_id": step.round_id,
            "game_id": seat.game_id,
            "player_id": seat.player_id,
            "asset": seat.asset,
        }

    def _document(self, step: Step, move: Move) -> dict[str, Any]:
        seat = step.seat
        if move.kind is Kind.BALANCE:
            return {"session_id": seat.session, "player_id": seat.player_id, "asset": seat.asset}
        named = {"reference": move.reference, "occurred_at": _now()}
        if move.kind is Kind.ROLLBACK:
            target = "" if move.target is None else move.target.reference
            return {**named, "target_reference": target, "player_id": seat.player_id}
        if move.kind is Kind.CLOSE:
            outcome = {"conformance": True}
            return {
                **named,
                "fairness": _PROOF if move.is_proven else None,
                "session_id": seat.session,
                "round_id": step.round_id,
                "player_id": seat.player_id,
                "outcome": outcome,
            }
        document = {**named, **self._place(step), "amount": spell_minor(move.amount)}
        if move.kind is Kind.BET:
            contribution = None if move.contribution is None else str(move.contribution)
            return {**document, "jackpot_contribution": contribution}
        return {**document, "kind": move.kind.value, "close_round": step.is_closing or None}

    def sign(self, request: Request, stamp: Stamp, key: Key | None = None) -> Request:
        """The native signature over all of it."""
        used = key or self.account.key
        assert isinstance(used, SigningKey), "the protocol signs with a shared secret"  # noqa: S101
        line = sign_native(
            used,
            method=request.method,
            path=request.path,
            query=request.query,
            timestamp_s=stamp.timestamp_s,
            nonce=stamp.nonce,
            body=request.body,
        )
        bare = self.unsign(request)
        return replace(bare, headers=(*bare.headers, (_AUTHORIZATION, line.encode())))

    def unsign(self, request: Request) -> Request:
        """Without the Authorization header."""
        kept = tuple(one for one in request.headers if one[0] != _AUTHORIZATION)
        return replace(request, headers=kept)

    def write_webhook(self, step: Step, stamp: Stamp, key: Key | None = None) -> Request | None:
        """The notice of a round's end, a rollback or a jackpot; its reference is the callback's."""
        kind = _NOTICES[step.move.kind]
        data = {name: value for name, value in self._document(step, step.move).items() if value is not None}
        body = self.encode({"type": kind, "timestamp": _now(), "data": data})
        return self.sign_webhook(body, stamp, key)

    def sign_webhook(self, body: bytes, stamp: Stamp, key: Key | None = None) -> Request:
        """Standard Webhooks; the nonce is the delivery's id."""
        used = key or self.account.key
        assert isinstance(used, SigningKey | PrivateKey), "webhooks are signed"  # noqa: S101
        line = sign_webhook(used, webhook_id=stamp.nonce, timestamp_s=stamp.timestamp_s, body=body)
        headers = (
            JSON_TYPE,
            (b"webhook-id", stamp.nonce.encode()),
            (b"webhook-timestamp", b"%d" % stamp.timestamp_s),
            (b"webhook-signature", line.encode()),
        )
        path = self.account.root.replace(b"/providers/", b"/webhooks/", 1)
        return Request(method="POST", path=path, headers=headers, body=body)

    def parse_webhook(self, request: Request, response: Response) -> Reading:
        """202 with `accepted` or `duplicate`, else a problem document."""
        document = read_object(response.body)
        if response.status != 202:
            return self._problem(document, request, response)
        word = require(document, "status", str)
        given = next(value for name, value in request.headers if name == b"webhook-id").decode()
        if word not in ("accepted", "duplicate") or require(document, "delivery_id", str) != given:
            raise Unreadable("the answer is not that of this webhook")
        return Reading(
            verdict=Verdict.APPROVED,
            code=word,
            operator_ids=(require(document, "id", str),),
            request=request,
            response=response,
        )

    def parse(self, step: Step, request: Request, response: Response) -> Reading:
        """200 with one result or two, else a problem document."""
        document = read_object(response.body)
        if response.status != 200:
            return self._problem(document, request, response)
        results = [document] if len(step.moves) == 1 else require(document, "results", list)
        last = results[-1]
        for result, move in zip(results, step.moves, strict=True):
            if require(result, "reference", str) != move.reference:
                raise Unreadable("the answer is for another reference")
        is_approved = all(require(result, "status", str) == "approved" for result in results)
        return Reading(
            verdict=Verdict.APPROVED if is_approved else Verdict.DECLINED,
            code=require(last, "code", str),
            balance=_balance(step, last),
            operator_ids=tuple(result.get("journal_id") or "" for result in results),
            request=request,
            response=response,
        )

    def _problem(self, document: dict[str, Any], request: Request, response: Response) -> Reading:
        code, moved = require(document, "code", str), require(document, "money_moved", str)
        if response.header(b"content-type") != b"application/problem+json":
            raise Unreadable("an error is application/problem+json")
        if require(document, "status", int) != response.status:
            raise Unreadable("the problem tells another status")
        is_unknown = response.status in _UNDECIDED or response.status >= 500 or code == "in_flight"
        if moved != ("unknown" if is_unknown else "no"):
            raise Unreadable(f"{response.status} {code} says money_moved {moved}")
        verdict = Verdict.UNKNOWN if is_unknown else Verdict.REFUSED
        return Reading(verdict=verdict, code=code, request=request, response=response)

    def read_launch(self, request: Request) -> Launch:
        """`POST /v1/launch`, signed."""
        document = read_object(request.body)
        return Launch(
            player_id=require(document, "player_id", str),
            session=require(document, "session_id", str),
            asset=require(document, "asset", str),
            game_id=require(document, "game_id", str),
            finding=self._judge_launch(request),
        )

    def _judge_launch(self, request: Request) -> str:
        given = next((value for name, value in request.headers if name == _AUTHORIZATION), None)
        try:
            parts = parse_authorization(given)
            key = self.account.launch_key
            verify_native(
                parts,
                key=key if isinstance(key, SigningKey) else None,
                method=request.method,
                path=request.path,
                query=request.query,
                body=request.body,
                now_s=int(datetime.now(UTC).timestamp()),
            )
        except SignatureRefused as refused:
            return f"its signature is {refused.reason.value}"
        return "" if request.path.endswith(b"/v1/launch") else f"it went to {request.path!r}"

    def answer_launch(self, launch: Launch) -> Response:
        """Where the game is, and for which session."""
        body = self.encode(
            {"session_id": launch.session, "launch_url": f"https://studio.example/{launch.session}"}
        )
        return Response(status=201, headers=(JSON_TYPE,), body=body)


def _balance(step: Step, result: dict[str, Any]) -> int | None:
    money = result.get("balance")
    if money is None:
        return None
    if require(money, "asset", str) != step.seat.asset:
        raise Unreadable(f"the balance is in {money['asset']}")
    return int(require(money, "amount", str))


def _now() -> str:
    return datetime.now(UTC).isoformat()


SPEAKER: Final = CroupierSpeaker
