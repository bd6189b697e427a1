"""Evolution's One Wallet: a static token in the query, JSON numbers with six decimals, one settlement for each bet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlencode
from uuid import uuid4

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from croupier.sandbox.calls import Call, Round, Seat
from croupier.sandbox.plan import Attack, Choreography, Flow, Move, in_turn
from croupier.sandbox.protocols.amounts import (
    NotRepresentable,
    NumberText,
    read_decimal,
    read_json,
    write_decimal,
)
from croupier.sandbox.protocols.foreign import (
    JSON_TYPE,
    ForeignWire,
    encode_json,
    give_twice,
    is_passing,
    senseless,
    swap_once,
)
from croupier.sandbox.protocols.keys import require_keys, require_secret
from croupier.sandbox.replies import Balance, Decision, Expected, Meaning, Received, Reply
from croupier.sandbox.wire import Account, Door, Launch, LaunchMalformed, Signed, Stamp, Visit
from croupier_signing import Key, SigningKey, verify_static_token

CASINO_KEY: Final = "croupier"
PLACES: Final = 6

_PATHS: Final = {
    Move.BET: "/debit",
    Move.WIN: "/credit",
    Move.ROLLBACK_BET: "/cancel",
    Move.ROLLBACK_AGAIN: "/cancel",
    Move.ROLLBACK_SETTLED: "/cancel",
}
_ENTRY: Final = re.compile(r"/ua/v1/([^/]+)/([^/]+)")
_SIX_DECIMALS: Final = re.compile(r"\d+\.\d{6}", re.ASCII)
_AGAIN: Final = frozenset({"TEMPORARY_ERROR", "OPERATION_IN_PROCESS"})
_REPEATED: Final = {"/debit": "BET_ALREADY_EXIST", "/credit": "BET_ALREADY_SETTLED"}
_CANCELLED: Final = {
    "OK": "ok",
    "BET_ALREADY_SETTLED": "already_rolled_back",
    "BET_DOES_NOT_EXIST": "nothing_to_roll_back",
}
_BAD_TOKEN: Final = (Expected(401, "INVALID_TOKEN_ID"),)
_BAD_SHAPE: Final = (Expected(200, "INVALID_PARAMETER"), Expected(400, None))
_LAUNCH_CODES: Final = {"unauthenticated": "G.2", "unknown_game": "G.11", "malformed": "G.3"}


class _Currency(Struct, frozen=True):
    id: str
    currency: str
    session: dict[str, Any]


class _Launch(Struct, frozen=True):
    player: _Currency
    config: dict[str, Any]


class EvolutionWire(ForeignWire):
    """Source of every rule: the public code of the Valkyrie gateway and its licensee tests.

    A credit is only sent once its debit was answered: the protocol has no win before its bet.
    """

    protocol = "evolution_v1"
    sign_header = "Authorization"
    zero_wins: ClassVar[Literal["always", "planned", "never"]] = "always"
    choreography: ClassVar[Choreography] = {
        Flow.NORMAL: (in_turn(Move.BET, Move.WIN),),
        Flow.EARLY_ROLLBACK: (in_turn(Move.ROLLBACK_BET, Move.BET),),
        Flow.LATE_ROLLBACK: (
            in_turn(Move.BET, Move.ROLLBACK_BET, Move.ROLLBACK_AGAIN),
            in_turn(Move.BET, Move.WIN, Move.ROLLBACK_SETTLED),
        ),
    }
    doors: ClassVar[Mapping[tuple[str, str], Door]] = {}
    attacks: ClassVar[Mapping[Attack, tuple[Expected, ...]]] = {
        Attack.UNSIGNED: _BAD_TOKEN,
        Attack.FORGED_KEY: _BAD_TOKEN,
        Attack.REPLAYED: (),
        # There is no time in a request: what goes stale is the session id that the check replaced.
        Attack.STALE: (Expected(200, "INVALID_SID"),),
        Attack.CONFLICT: tuple(
            Expected(200, status)
            for status in ("BET_ALREADY_EXIST", "INVALID_PARAMETER", "FINAL_ERROR_ACTION_FAILED")
        ),
        Attack.DUPLICATE_KEY: _BAD_SHAPE,
        Attack.FLOAT_AMOUNT: _BAD_SHAPE,
    }

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._key = require_secret(account, account.callback_key)
        self._launch_keys = require_keys(account, SigningKey)

    def door(self, method: str, tail: str) -> Door | None:
        """A launch carries casino and token in its path."""
        return "launch" if method == "POST" and _ENTRY.fullmatch(tail) else None

    def read_launch(self, visit: Visit) -> Launch:
        """Admitted by the token in the path."""
        match = _ENTRY.fullmatch(visit.tail)
        token = match[2].encode() if match is not None and match[1] == CASINO_KEY else None
        verify_static_token(self._launch_keys, token)
        try:
            launch = msgspec.json.decode(visit.body, type=_Launch)
            table = launch.config["game"]["table"]["id"]
            session = launch.player.session["id"]
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise LaunchMalformed(f"{type(error).__name__}: {error}") from None
        if not isinstance(table, str) or not isinstance(session, str):
            raise LaunchMalformed("table and session have ids that are texts")
        return Launch(session, launch.player.id, table, launch.player.currency)

    def render_launched(self, launch: Launch, address: str, path: str) -> Any:
        """Relative paths."""
        return {"entry": path, "entryEmbedded": f"{path}?embedded=true"}

    def render_refusal(self, status: int, code: str, detail: str) -> tuple[int, Any]:
        """A list of errors; G.0 may be tried again."""
        known = _LAUNCH_CODES.get(code, "G.0" if status >= 500 else "G.8")
        return status, {"errors": [{"code": known, "message": f"{code}: {detail}"}]}

    def render_opening(self, seat: Seat) -> Call:
        """`/check`, which may answer another session id."""
        return self._question("/check", seat, {"channel": {"type": "P"}})

    def admit_opening(self, seat: Seat, reply: Reply) -> Seat:
        """From now on the operator's session id counts."""
        sid = reply.document.get("sid")
        return replace(seat, credential=sid) if isinstance(sid, str) else seat

    def render_balance(self, seat: Seat) -> Call:
        """`/balance`."""
        return self._question("/balance", seat, {"currency": seat.asset})

    def _question(self, path: str, seat: Seat, more: dict[str, Any]) -> Call:
        body = {"sid": seat.token, "userId": seat.player_id, "uuid": str(uuid4()), **more}
        return Call(None, path, encode_json(body), (), seat, "")

    def render_call(self, round_: Round, move: Move) -> Call:
        """A debit, its credit, or its cancellation, which bears the debit's own id."""
        items = self.items_of(round_, move)
        (item,) = items
        seat, path = round_.seat, _PATHS[move]
        bet = self.name_of(round_.reference("bet"))
        amount = write_decimal(item.amount_minor, self.exponent_of(seat.asset), places=PLACES)
        body = {
            "sid": seat.token,
            "userId": seat.player_id,
            "currency": seat.asset,
            "game": {
                "id": self.name_of(round_.round_id),
                "type": seat.game,
                "details": {"table": {"id": seat.game_id, "vid": "sandbox"}},
            },
            "transaction": {
                "id": bet if path == "/cancel" else item.reference,
                "refId": bet,
                "amount": msgspec.Raw(amount.encode()),
            },
            "uuid": self.name_of(f"request/{item.reference}"),
        }
        return Call(
            move, path, encode_json(body), items, seat, round_.round_id, ends_round=move is not Move.BET
        )

    def sign(self, call: Call, stamp: Stamp, *, key: Key | None = None) -> Signed:
        """Nothing is signed: the token goes with the query."""
        holder = self._key if key is None else require_secret(self.account, key)
        query = urlencode({"authToken": holder.secret.decode("ascii", "replace")})
        return Signed(f"{self.prefix}{call.path}?{query}", (JSON_TYPE,), call.body)

    def strip(self, signed: Signed) -> Signed:
        """Without the token."""
        return replace(signed, path=signed.path.partition("?")[0])

    def make_stale(self, call: Call, stamp: Stamp) -> Signed:
        """With the session id of the launch, or with none that ever was if the check kept it."""
        first = call.seat.session_id
        old = first if first != call.seat.token else self.name_of("no session")
        fresh = b'"sid":' + encode_json(call.seat.token)
        return self.sign(swap_once(call, fresh, b'"sid":' + encode_json(old)), stamp)

    def spoil(self, kind: Attack, call: Call) -> Call:
        """A member given twice, or an amount that is a text."""
        if kind is Attack.DUPLICATE_KEY:
            return give_twice(call, "userId", encode_json(call.seat.player_id))
        exponent = self.exponent_of(call.seat.asset)
        amount = write_decimal(call.items[0].amount_minor, exponent, places=PLACES).encode()
        return swap_once(call, b'"amount":' + amount, b'"amount":"' + amount + b'"')

    def owed_codes(self, flow: Flow, move: Move) -> frozenset[str] | None:
        """A settled bet cannot be cancelled; a second cancellation may be OK or say that it was."""
        if move is Move.ROLLBACK_SETTLED:
            return frozenset({"already_rolled_back"})
        if move is Move.ROLLBACK_AGAIN:
            return frozenset({"ok", "already_rolled_back"})
        return super().owed_codes(flow, move)

    def differences(self, replies: Sequence[Reply], *, is_any_lost: bool) -> list[str]:
        """A repeat is OK or says that it is one; the first time cannot say so."""
        kinds = {decision.status for reply in replies for decision in reply.decisions}
        found = ["the answers to copies of one call differ"] if len(kinds) > 1 else []
        decisions = [decision for reply in replies for decision in reply.decisions]
        if decisions and all(decision.repeat for decision in decisions) and not is_any_lost:
            found.append("no answer says that it is the original")
        return found

    def read_reply(self, call: Call, received: Received) -> Reply:
        """The status decides; 401 is about the token."""
        if is_passing(received.status):
            return Reply(received=received, meaning=Meaning.REPEAT, code=f"http_{received.status}")
        try:
            document = read_json(received.body)
        except ValueError as error:
            return senseless(received, str(error))
        status = document.get("status") if isinstance(document, dict) else None
        if not isinstance(status, str) or isinstance(status, NumberText):
            return senseless(received, "it has no status")
        if received.status != 200:
            return Reply(received=received, meaning=Meaning.REFUSED, code=status)
        if status in _AGAIN or document.get("retransmission") is True:
            return Reply(received=received, meaning=Meaning.REPEAT, code=status)
        return self._read_status(call, received, document, status)

    def _read_status(self, call: Call, received: Received, document: dict[str, Any], status: str) -> Reply:
        try:
            balance = self._balance(call, document.get("balance"))
        except NotRepresentable as error:
            return senseless(received, str(error))
        decisions = self._decide(call, status, balance)
        if decisions is None:
            is_open = status == "UNKNOWN_ERROR"
            unknown = Meaning.UNKNOWN if call.move is Move.BET else Meaning.REPEAT
            return Reply(received=received, meaning=unknown if is_open else Meaning.REFUSED, code=status)
        return Reply(
            received=received,
            meaning=Meaning.DECIDED,
            document=document,
            decisions=decisions,
            code=status,
            findings=_findings(call, document),
            balance=balance,
        )

    def _decide(self, call: Call, status: str, balance: Balance | None) -> tuple[Decision, ...] | None:
        """The decisions of a status; None if it decides nothing."""
        if not call.items:
            return () if status == "OK" else None
        if call.path == "/cancel":
            code = _CANCELLED.get(status)
            # What the status tells of the bet is told: `repeat` is given so that nothing is concluded in its place.
            return None if code is None else _mark(self.approve(call, balance, code=code), is_repeat=False)
        if status in ("OK", _REPEATED[call.path]):
            return _mark(self.approve(call, balance), is_repeat=status != "OK")
        if status == "INSUFFICIENT_FUNDS" and call.path == "/debit":
            return self.decline(call, "insufficient_funds", balance)
        return None

    def _balance(self, call: Call, told: object) -> Balance | None:
        if not isinstance(told, NumberText):
            return None
        return self.balance_of(call, read_decimal(str(told), self.exponent_of(call.seat.asset)))


def _mark(decisions: tuple[Decision, ...], *, is_repeat: bool) -> tuple[Decision, ...]:
    return tuple(replace(decision, repeat=is_repeat) for decision in decisions)


def _findings(call: Call, document: dict[str, Any]) -> tuple[str, ...]:
    """Whether the answer echoes the request's id and writes its balance as it must."""
    found = []
    if document.get("uuid") != msgspec.json.decode(call.body)["uuid"]:
        found.append("the answer does not echo the uuid")
    if call.path == "/check":
        return (*found, *(() if isinstance(document.get("sid"), str) else ("the check has no sid",)))
    told = document.get("balance")
    if not isinstance(told, NumberText) or _SIX_DECIMALS.fullmatch(told) is None:
        found.append("the balance is no number with six decimals")
    return tuple(found)
