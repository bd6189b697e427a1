"""The SOFTSWISS-style wallet as Beexar publishes it: HMAC over the raw body, decimal text, bet and win in one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from croupier.sandbox.calls import Call, Item, Round, Seat
from croupier.sandbox.plan import EVERY_MOVE, Attack, Choreography, Move
from croupier.sandbox.protocols.amounts import NotRepresentable, read_decimal, write_decimal
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
from croupier.sandbox.wire import Account, Door, Launch, LaunchMalformed, RetryPolicy, Signed, Stamp, Visit
from croupier_signing import Key, SigningKey, sign_raw_hmac, verify_raw_hmac

SIGN_HEADER: Final = "X-REQUEST-SIGN"
BET_WIN_ATTEMPTS: Final = 4
FINISH_ATTEMPTS: Final = 5
PATIENCE: Final = 3
"""An attempt may take 15 s, three times as long as elsewhere."""

_PATHS: Final = {
    Move.BET: "/betwin",
    Move.WIN: "/betwin",
    Move.BET_WIN: "/betwin",
    Move.CLOSE: "/finish",
    Move.ROLLBACK_BET: "/rollback",
    Move.ROLLBACK_WIN: "/rollback",
    Move.ROLLBACK_AGAIN: "/rollback",
}
_BAD_SIGNATURE: Final = (Expected(400, "403"),)
_BAD_REQUEST: Final = (Expected(400, "400"),)
_ANY_REFUSAL: Final = (Expected(400, None),)
_DECLINES: Final = {
    "100": "insufficient_funds",
    "101": "player_restricted",
    "105": "limit_reached",
    "106": "limit_reached",
    "107": "player_restricted",
    "110": "player_restricted",
    "409": "tombstoned",
}
_CARRY_BALANCE: Final = frozenset({"100", "105", "106"})
_LAUNCH_CODES: Final = {
    "unauthenticated": ("403", 403),
    "unknown_game": ("405", 400),
    "malformed": ("400", 400),
}

Amount = Annotated[str, Meta(pattern=r"^\d+(\.\d{1,16})?\Z", max_length=40)]


class _Done(Struct, frozen=True):
    id_provider: str
    id: str
    bonus_amount: Amount | None = None


class _Answer(Struct, frozen=True):
    """`balance` is in every answer; the rest in those about transactions."""

    balance: Amount
    round_id: str | None = None
    transactions: tuple[_Done, ...] = ()


class _Player(Struct, frozen=True):
    id: str
    currency: str


class _Launch(Struct, frozen=True):
    game: str
    account: _Player
    session_id: str


class SoftswissWire(ForeignWire):
    """Source of every rule: Beexar's operator contract (OpenAPI) and its documentation."""

    protocol = "softswiss_v2"
    sign_header = SIGN_HEADER
    stored_balances = True
    zero_wins: ClassVar[Literal["always", "planned", "never"]] = "never"
    tombstone_codes = frozenset({"tombstoned"})
    choreography: ClassVar[Choreography] = EVERY_MOVE
    doors: ClassVar[Mapping[tuple[str, str], Door]] = {
        ("POST", "/api/v1/softswiss/launcher/real"): "launch",
        ("GET", "/api/v1/operator/games"): "games",
    }
    attacks: ClassVar[Mapping[Attack, tuple[Expected, ...]]] = {
        Attack.UNSIGNED: _BAD_SIGNATURE,
        Attack.FORGED_KEY: _BAD_SIGNATURE,
        Attack.TAMPERED_BODY: _BAD_SIGNATURE,
        Attack.TAMPERED_AMOUNT: _BAD_SIGNATURE,
        Attack.REPLAYED: (),
        # The signature leaves the path out: the body of a bet is posted as a rollback.
        Attack.TAMPERED_PATH: _ANY_REFUSAL,
        # The contract names no code for these two, only that nothing may move.
        Attack.CONFLICT: _ANY_REFUSAL,
        Attack.WRONG_GAME: _ANY_REFUSAL,
        Attack.DUPLICATE_KEY: _BAD_REQUEST,
        Attack.FLOAT_AMOUNT: _BAD_REQUEST,
    }

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._key = require_secret(account, account.callback_key)
        self._launch_keys = require_keys(account, SigningKey)

    def read_launch(self, visit: Visit) -> Launch:
        """Verified by the signature over the body."""
        verify_raw_hmac(self._launch_keys, visit.body, visit.header(SIGN_HEADER))
        try:
            launch = msgspec.json.decode(visit.body, type=_Launch)
        except msgspec.DecodeError as error:
            raise LaunchMalformed(str(error)) from None
        return Launch(launch.session_id, launch.account.id, launch.game, launch.account.currency)

    def render_launched(self, launch: Launch, address: str, path: str) -> Any:
        """The address of the page."""
        return {"launch_url": address + path}

    def render_refusal(self, status: int, code: str, detail: str) -> tuple[int, Any]:
        """The envelope; a bad signature of a launch is 403."""
        api_code, http = _LAUNCH_CODES.get(code, (str(status), status))
        word = "internal" if http >= 500 else "invalid_argument"
        return http, {"code": word, "msg": detail, "meta": {"api_code": api_code, "api_message": code}}

    def admit_games(self, visit: Visit) -> None:
        """The list is public."""

    def render_balance(self, seat: Seat) -> Call:
        """The body of `/balance`."""
        return Call(None, "/balance", encode_json(_place(seat)), (), seat, "")

    def render_call(self, round_: Round, move: Move) -> Call:
        """A batch of one or two actions, a rollback, or the end of the round."""
        items = self.items_of(round_, move)
        body = self._body(round_, move, items)
        call = Call(move, _PATHS[move], encode_json(body), items, round_.seat, round_.round_id)
        return replace(call, ends_round=body.get("finished") is True)

    def _body(self, round_: Round, move: Move, items: tuple[Item, ...]) -> dict[str, Any]:
        place = _place(round_.seat)
        if move is Move.CLOSE:
            return {name: place[name] for name in place if name != "game_id"} | {"round_id": round_.round_id}
        if _PATHS[move] == "/rollback":
            undone = [
                {
                    "id_provider": item.reference,
                    "type": "rollback",
                    "original_id_provider": item.target_reference,
                }
                for item in items
            ]
            return place | {"round_id_provider": round_.round_id, "finished": True, "transactions": undone}
        is_last = move is Move.BET_WIN or (move is Move.WIN and round_.closes_with_win)
        exponent = self.exponent_of(round_.seat.asset)
        done = [
            {
                "id_provider": item.reference,
                "type": item.action,
                "amount": write_decimal(item.amount_minor, exponent),
            }
            for item in items
        ]
        return place | {"round_id": round_.round_id, "finished": is_last, "transactions": done}

    def sign(self, call: Call, stamp: Stamp, *, key: Key | None = None) -> Signed:
        """HMAC of the body alone: every attempt is the same."""
        signer = self._key if key is None else require_secret(self.account, key)
        headers = (JSON_TYPE, (SIGN_HEADER, sign_raw_hmac(signer, call.body)))
        return Signed(self.prefix + call.path, headers, call.body)

    def misdirect(self, call: Call, accepted: Signed, stamp: Stamp) -> Signed:
        """A bet that the rollback path must not understand."""
        return replace(self.sign(call, stamp), path=f"{self.prefix}/rollback")

    def spoil(self, kind: Attack, call: Call) -> Call:
        """A member given twice, or an amount that is a JSON number."""
        if kind is Attack.DUPLICATE_KEY:
            return give_twice(call, "currency", encode_json(call.seat.asset))
        amount = write_decimal(call.items[0].amount_minor, self.exponent_of(call.seat.asset)).encode()
        return swap_once(call, b'"amount":"' + amount + b'"', b'"amount":' + amount)

    def patience(self, call: Call, policy: RetryPolicy) -> RetryPolicy:
        """15 s an attempt; a batch four times, the end of a round five times, a rollback until 200."""
        longer = replace(policy, attempt_s=policy.attempt_s * PATIENCE)
        most = {"/betwin": BET_WIN_ATTEMPTS, "/finish": FINISH_ATTEMPTS}.get(call.path, policy.attempts)
        return replace(longer, attempts=min(most, policy.attempts))

    def read_reply(self, call: Call, received: Received) -> Reply:
        """200 is a decision, 400 a refusal with a code; 5xx says nothing."""
        if received.status == 200:
            return self._read_decided(call, received)
        code, balance, findings = self._read_refusal(call, received)
        if is_passing(received.status) or call.path == "/rollback":
            return Reply(received=received, meaning=Meaning.REPEAT, code=code)
        if received.status == 400 and code in _DECLINES and call.items:
            declined = self.decline(call, _DECLINES[code], balance)
            return Reply(
                received=received,
                meaning=Meaning.DECIDED,
                decisions=declined,
                code=code,
                findings=findings,
                balance=balance,
            )
        return Reply(received=received, meaning=Meaning.REFUSED, code=code)

    def _read_decided(self, call: Call, received: Received) -> Reply:
        try:
            answer = msgspec.json.decode(received.body, type=_Answer)
            balance = self.balance_of(call, self._minor(call, answer.balance))
        except (msgspec.DecodeError, NotRepresentable) as error:
            return senseless(received, str(error))
        if call.path in ("/balance", "/finish"):
            decisions = self.approve(call, balance)
        elif answer.round_id is None or len(answer.transactions) != len(call.items):
            return senseless(received, "it has no round_id or not one transaction for each")
        else:
            decisions = tuple(_decision(call, done, balance) for done in answer.transactions)
        return Reply(
            received=received,
            meaning=Meaning.DECIDED,
            decisions=decisions,
            findings=_findings(call, answer),
            balance=balance,
        )

    def _read_refusal(self, call: Call, received: Received) -> tuple[str, Balance | None, tuple[str, ...]]:
        """The code, the balance if there is one, and what is missing."""
        document = received.document
        meta = document.get("meta") if isinstance(document, dict) else None
        if not isinstance(meta, dict) or not isinstance(meta.get("api_code"), str):
            return "", None, ()
        code, told = meta["api_code"], meta.get("balance")
        try:
            balance = self.balance_of(call, self._minor(call, told)) if isinstance(told, str) else None
        except NotRepresentable as error:
            return code, None, (str(error),)
        is_missing = balance is None and code in _CARRY_BALANCE
        return code, balance, (f"a refusal with code {code} carries no balance",) if is_missing else ()

    def _minor(self, call: Call, text: str) -> int:
        return read_decimal(text, self.exponent_of(call.seat.asset))


def _place(seat: Seat) -> dict[str, Any]:
    return {
        "account_id": seat.player_id,
        "currency": seat.asset,
        "game_id": seat.game_id,
        "session_id": seat.token,
    }


def _decision(call: Call, done: _Done, balance: Balance) -> Decision:
    """An empty id of a rollback says that there was nothing to reverse."""
    is_nothing = call.path == "/rollback" and not done.id
    code = "nothing_to_roll_back" if is_nothing else "ok"
    # An empty id tells what the rollback found: `repeat` is given so that nothing is concluded in its place.
    return Decision("approved", code, done.id_provider, None, balance, False, done.id)


def _findings(call: Call, answer: _Answer) -> tuple[str, ...]:
    if call.path == "/betwin" and any(done.bonus_amount is None for done in answer.transactions):
        return ("a transaction has no bonus_amount",)
    if call.path == "/betwin" and not all(done.id for done in answer.transactions):
        return ("an applied transaction has no operator id",)
    return ()
