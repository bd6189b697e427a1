"""Hub88's wallet: RSA over the raw body, integers of 1/100 000, HTTP 200 with a status text for everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Final, Literal
from uuid import uuid4

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from croupier.sandbox.calls import Call, Round, Seat
from croupier.sandbox.plan import Attack, Choreography, Flow, Move, in_turn, overtaken
from croupier.sandbox.protocols.amounts import NotRepresentable, from_scale, to_scale
from croupier.sandbox.protocols.foreign import (
    JSON_TYPE,
    ForeignWire,
    encode_json,
    give_twice,
    is_passing,
    senseless,
    swap_once,
)
from croupier.sandbox.protocols.keys import require_keys, require_private
from croupier.sandbox.replies import Balance, Expected, Meaning, Received, Reply
from croupier.sandbox.wire import Account, Door, Launch, LaunchMalformed, RetryPolicy, Signed, Stamp, Visit
from croupier_signing import Key, PublicKey, read_key, sign_rsa_body, verify_rsa_body
from croupier_signing.pairs import make_rsa_pair

SIGN_HEADER: Final = "X-Hub88-Signature"
PLACES: Final = 5

_PATHS: Final = {
    Move.BET: "/transaction/bet",
    Move.WIN: "/transaction/win",
    # There is no call for the end of a round: a win of nothing carries the flag.
    Move.CLOSE: "/transaction/win",
    Move.ROLLBACK_BET: "/transaction/rollback",
    Move.ROLLBACK_WIN: "/transaction/rollback",
    Move.ROLLBACK_AGAIN: "/transaction/rollback",
}
_DECLINES: Final = {
    "RS_ERROR_NOT_ENOUGH_MONEY": "insufficient_funds",
    "RS_ERROR_LIMIT_REACHED": "limit_reached",
    "RS_ERROR_TRANSACTION_ROLLED_BACK": "tombstoned",
}
# A win whose bet is on its way may be too early; everything else that is known ends its repetition.
_WIN_AGAIN: Final = frozenset({"RS_ERROR_UNKNOWN", "RS_ERROR_TIMEOUT", "RS_ERROR_TRANSACTION_DOES_NOT_EXIST"})
_BAD_SIGNATURE: Final = (Expected(200, "RS_ERROR_INVALID_SIGNATURE"), Expected(401, None))
_BAD_SHAPE: Final = (Expected(200, "RS_ERROR_WRONG_SYNTAX"), Expected(200, "RS_ERROR_WRONG_TYPES"))


class _Answer(Struct, frozen=True):
    status: str
    request_uuid: str | None = None
    user: str | None = None
    currency: str | None = None
    balance: int | None = None


class _Launch(Struct, frozen=True):
    user: str
    token: str
    currency: str
    operator_id: int
    game_code: str


class Hub88Wire(ForeignWire):
    """Sources: Hub88's operator API reference (wallet, games, statuses); Caleta's OpenAPI where Hub88 is silent."""

    protocol = "hub88_v1"
    sign_header = SIGN_HEADER
    stored_balances = True
    zero_wins: ClassVar[Literal["always", "planned", "never"]] = "always"
    tombstone_codes = frozenset({"tombstoned"})
    codes_that_say_nothing = frozenset({"RS_ERROR_UNKNOWN"})
    choreography: ClassVar[Choreography] = {
        Flow.NORMAL: (in_turn(Move.BET, Move.WIN),),
        Flow.EARLY_ROLLBACK: (in_turn(Move.ROLLBACK_BET, Move.BET),),
        Flow.LATE_ROLLBACK: (
            in_turn(Move.BET, Move.WIN, Move.ROLLBACK_WIN, Move.ROLLBACK_BET, Move.ROLLBACK_AGAIN),
        ),
        Flow.WIN_BEFORE_BET: (overtaken(Move.BET, Move.WIN),),
        Flow.CLOSE_BEFORE_WIN: (in_turn(Move.BET, Move.CLOSE, Move.WIN),),
    }
    doors: ClassVar[Mapping[tuple[str, str], Door]] = {
        ("POST", "/operator/generic/v2/game/url"): "launch",
        ("POST", "/operator/generic/v2/game/list"): "games",
    }
    attacks: ClassVar[Mapping[Attack, tuple[Expected, ...]]] = {
        Attack.UNSIGNED: _BAD_SIGNATURE,
        Attack.FORGED_KEY: _BAD_SIGNATURE,
        Attack.TAMPERED_BODY: _BAD_SIGNATURE,
        Attack.TAMPERED_AMOUNT: _BAD_SIGNATURE,
        # The signature leaves the path out: the body of a bet is posted as a win, which names no bet.
        Attack.TAMPERED_PATH: _BAD_SHAPE,
        Attack.REPLAYED: (),
        Attack.CONFLICT: (Expected(200, "RS_ERROR_DUPLICATE_TRANSACTION"),),
        Attack.DUPLICATE_KEY: _BAD_SHAPE,
        Attack.FLOAT_AMOUNT: _BAD_SHAPE,
    }

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._key = require_private(account, account.callback_key)
        self._launch_keys = require_keys(account, PublicKey)

    @cached_property
    def _stranger(self) -> Key:
        return read_key(self._key.id, make_rsa_pair()[0])

    def stranger(self) -> Key:
        """The private half of a pair that nobody was told of."""
        return self._stranger

    def read_launch(self, visit: Visit) -> Launch:
        """Verified by the signature over the body."""
        verify_rsa_body(self._launch_keys, visit.body, visit.header(SIGN_HEADER))
        try:
            launch = msgspec.json.decode(visit.body, type=_Launch)
        except msgspec.DecodeError as error:
            raise LaunchMalformed(str(error)) from None
        return Launch(launch.token, launch.user, launch.game_code, launch.currency)

    def render_launched(self, launch: Launch, address: str, path: str) -> Any:
        """The address of the page."""
        return {"url": address + path}

    def render_refusal(self, status: int, code: str, detail: str) -> tuple[int, Any]:
        """Launches are refused by HTTP status: 400, 401, 403, 404, 500."""
        http = status if status in (400, 401, 403, 404) or status >= 500 else 400
        return http, {"error": f"{code}: {detail}"}

    def admit_games(self, visit: Visit) -> None:
        """The question is signed."""
        verify_rsa_body(self._launch_keys, visit.body, visit.header(SIGN_HEADER))

    def render_games(self, games: Mapping[str, str]) -> Any:
        """A bare list."""
        return [{"game_code": game, "name": name, "enabled": True} for game, name in games.items()]

    def render_opening(self, seat: Seat) -> Call:
        """Who the player is."""
        body = {"user": seat.player_id, "request_uuid": str(uuid4())}
        return Call(None, "/user/info", encode_json(body), (), seat, "")

    def render_balance(self, seat: Seat) -> Call:
        """Asked under a new request id each time: answers to balance questions are not stored."""
        body = {
            "user": seat.player_id,
            "token": seat.token,
            "request_uuid": str(uuid4()),
            "game_code": seat.game_id,
        }
        return Call(None, "/user/balance", encode_json(body), (), seat, "")

    def render_call(self, round_: Round, move: Move) -> Call:
        """One transaction; a repeat is the same request under the same request id."""
        items = self.items_of(round_, move)
        (item,) = items
        seat, path = round_.seat, _PATHS[move]
        facts: dict[str, Any] = {
            "user": seat.player_id,
            "token": seat.token,
            "transaction_uuid": item.reference,
            "supplier_transaction_id": item.reference,
            "supplier_user": seat.player_id,
            "round": self.name_of(round_.round_id),
            "round_closed": move is not Move.BET,
            "game_code": seat.game_id,
        }
        if path == "/transaction/rollback":
            facts["reference_transaction_uuid"] = item.target_reference
        else:
            facts["currency"] = seat.asset
            facts["amount"] = to_scale(item.amount_minor, self.exponent_of(seat.asset), PLACES)
            facts["is_free"] = False
        if path == "/transaction/win":
            facts["reference_transaction_uuid"] = self.name_of(round_.reference("bet"))
        # Other content has another request id, or the answer to the first would be due.
        request_uuid = self.name_of(f"{path} {encode_json(facts).decode()}")
        body = encode_json({"request_uuid": request_uuid, **facts})
        return Call(move, path, body, items, seat, round_.round_id, ends_round=move is not Move.BET)

    def sign(self, call: Call, stamp: Stamp, *, key: Key | None = None) -> Signed:
        """RSA over the body alone: every attempt is the same."""
        signer = self._key if key is None else require_private(self.account, key)
        headers = (JSON_TYPE, (SIGN_HEADER, sign_rsa_body(signer, call.body)))
        return Signed(self.prefix + call.path, headers, call.body)

    def misdirect(self, call: Call, accepted: Signed, stamp: Stamp) -> Signed:
        """A bet on the path of a win."""
        return replace(self.sign(call, stamp), path=f"{self.prefix}/transaction/win")

    def spoil(self, kind: Attack, call: Call) -> Call:
        """A member given twice, or an amount with a fraction."""
        if kind is Attack.DUPLICATE_KEY:
            return give_twice(call, "amount", b"0")
        exponent = self.exponent_of(call.seat.asset)
        amount = f'"amount":{to_scale(call.items[0].amount_minor, exponent, PLACES)}'.encode()
        return swap_once(call, amount, amount + b".5")

    def patience(self, call: Call, policy: RetryPolicy) -> RetryPolicy:
        """A bet is sent once; wins and rollbacks are repeated."""
        return replace(policy, attempts=1) if call.move is Move.BET else policy

    def differences(self, replies: Sequence[Reply], *, is_any_lost: bool) -> list[str]:
        """One request id has one answer, byte for byte."""
        bodies = {reply.received.body for reply in replies}
        return ["the answers to one request_uuid differ"] if len(bodies) > 1 else []

    def read_reply(self, call: Call, received: Received) -> Reply:
        """The status decides; HTTP says something only when there is no status."""
        if received.status != 200:
            meaning = Meaning.REPEAT if is_passing(received.status) else Meaning.REFUSED
            is_to_undo = call.move is Move.BET
            return Reply(
                received=received, meaning=meaning, code=f"http_{received.status}", is_to_undo=is_to_undo
            )
        try:
            answer = msgspec.json.decode(received.body, type=_Answer)
            balance = self._balance(call, answer)
        except (msgspec.DecodeError, NotRepresentable) as error:
            return senseless(received, str(error))
        if answer.status == "RS_OK":
            return self._read_done(call, received, answer, balance)
        return self._read_error(call, received, answer, balance)

    def _read_done(self, call: Call, received: Received, answer: _Answer, balance: Balance | None) -> Reply:
        if balance is None and call.path != "/user/info":
            return senseless(received, "RS_OK without balance")
        return Reply(
            received=received,
            meaning=Meaning.DECIDED,
            document=received.document,
            decisions=self.approve(call, balance),
            code=answer.status,
            findings=_findings(call, answer),
            balance=balance,
        )

    def _read_error(self, call: Call, received: Received, answer: _Answer, balance: Balance | None) -> Reply:
        code = answer.status
        if call.path == "/transaction/rollback" or (call.path == "/transaction/win" and code in _WIN_AGAIN):
            return Reply(received=received, meaning=Meaning.REPEAT, code=code)
        if code in _DECLINES and call.items:
            is_silent = code == "RS_ERROR_NOT_ENOUGH_MONEY" and balance is None
            return Reply(
                received=received,
                meaning=Meaning.DECIDED,
                decisions=self.decline(call, _DECLINES[code], balance),
                code=code,
                findings=(*_findings(call, answer), *(("no money, and no balance",) if is_silent else ())),
                balance=balance,
            )
        return Reply(received=received, meaning=Meaning.REFUSED, code=code, is_to_undo=call.move is Move.BET)

    def _balance(self, call: Call, answer: _Answer) -> Balance | None:
        if answer.balance is None:
            return None
        return self.balance_of(call, from_scale(answer.balance, self.exponent_of(call.seat.asset), PLACES))


def _findings(call: Call, answer: _Answer) -> tuple[str, ...]:
    """Whether the answer repeats what it must, and speaks of this player."""
    asked = msgspec.json.decode(call.body)
    told = {
        "request_uuid": (answer.request_uuid, asked["request_uuid"]),
        "user": (answer.user or asked["user"], asked["user"]),
        "currency": (answer.currency or call.seat.asset, call.seat.asset),
    }
    return tuple(f"the answer's {name} is {got!r}" for name, (got, sent) in told.items() if got != sent)
