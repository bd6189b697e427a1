"""The Swipe Games API: HMAC over canonical JSON, also of a query; decimal text; the HTTP status decides about money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from croupier.sandbox.calls import Call, Round, Seat
from croupier.sandbox.plan import Attack, Choreography, Flow, Move, in_turn
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
from croupier.sandbox.replies import Expected, Meaning, Received, Reply
from croupier.sandbox.wire import Account, Door, Launch, LaunchMalformed, RetryPolicy, Signed, Stamp, Visit
from croupier_signing import (
    Key,
    SigningKey,
    canonicalise,
    sign_canonical_body,
    sign_canonical_query,
    verify_canonical_body,
    verify_canonical_query,
)

SIGN_HEADER: Final = "X-REQUEST-SIGN"

_PATHS: Final = {
    Move.BET: "/bet",
    Move.WIN: "/win",
    Move.ROLLBACK_BET: "/refund",
    Move.ROLLBACK_AGAIN: "/refund",
}
_DECLINES: Final = {
    "insufficient_funds": "insufficient_funds",
    "bet_limit": "limit_reached",
    "loss_limit": "limit_reached",
    "time_limit": "limit_reached",
    "account_blocked": "player_restricted",
    "session_expired": "session_not_active",
    "session_not_found": "session_not_active",
}
_BAD_SIGNATURE: Final = (Expected(401, None),)
_BUSINESS: Final = (Expected(400, None),)

Amount = Annotated[str, Meta(pattern=r"^(0|[1-9]\d*)(\.\d+)?\Z", max_length=40)]


class _Answer(Struct, frozen=True, rename={"transaction_id": "txID"}):
    balance: Amount
    transaction_id: str | None = None


class _Player(Struct, frozen=True):
    id: str


class _Launch(Struct, frozen=True, rename={"game_id": "gameID", "session_id": "sessionID"}):
    game_id: str
    session_id: str
    currency: str
    user: _Player


class SwipeGamesWire(ForeignWire):
    """Source of every rule: the vendor's public OpenAPI files, documentation and SDK tests.

    There is no end of a round, so a lost one is told by a win of nothing. A win is never taken back, and never
    sent before its bet was taken: the status of the bet decides whether there is a round at all.
    """

    protocol = "swipegames_v1"
    sign_header = SIGN_HEADER
    zero_wins: ClassVar[Literal["always", "planned", "never"]] = "always"
    choreography: ClassVar[Choreography] = {
        Flow.NORMAL: (in_turn(Move.BET, Move.WIN),),
        Flow.EARLY_ROLLBACK: (in_turn(Move.ROLLBACK_BET, Move.BET),),
        Flow.LATE_ROLLBACK: (in_turn(Move.BET, Move.ROLLBACK_BET, Move.ROLLBACK_AGAIN),),
    }
    doors: ClassVar[Mapping[tuple[str, str], Door]] = {
        ("POST", "/create-new-game"): "launch",
        ("GET", "/games"): "games",
    }
    attacks: ClassVar[Mapping[Attack, tuple[Expected, ...]]] = {
        Attack.UNSIGNED: _BAD_SIGNATURE,
        Attack.FORGED_KEY: _BAD_SIGNATURE,
        Attack.TAMPERED_BODY: _BAD_SIGNATURE,
        Attack.TAMPERED_AMOUNT: _BAD_SIGNATURE,
        # The signature leaves the path out, and bets and wins have the same members: an accepted bet as a win.
        Attack.TAMPERED_PATH: _BUSINESS,
        Attack.REPLAYED: (),
        Attack.CONFLICT: _BUSINESS,
        Attack.DUPLICATE_KEY: _BUSINESS,
        Attack.FLOAT_AMOUNT: _BUSINESS,
    }

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._key = require_secret(account, account.callback_key)
        self._launch_keys = require_keys(account, SigningKey)

    def read_launch(self, visit: Visit) -> Launch:
        """Verified over the bytes, which arrive in canonical form."""
        verify_canonical_body(self._launch_keys, visit.body, visit.header(SIGN_HEADER))
        try:
            launch = msgspec.json.decode(visit.body, type=_Launch)
        except msgspec.DecodeError as error:
            raise LaunchMalformed(str(error)) from None
        return Launch(launch.session_id, launch.user.id, launch.game_id, launch.currency)

    def render_launched(self, launch: Launch, address: str, path: str) -> Any:
        """The address of the page, and our own id of the session."""
        return {"gameURL": address + path, "gsID": self.name_of(f"session/{launch.session_id}")}

    def render_refusal(self, status: int, code: str, detail: str) -> tuple[int, Any]:
        """A message for players; 400, 401, 404 or 500."""
        http = status if status in (400, 401, 404) or status >= 500 else 400
        known = {"code": "game_not_found"} if code == "unknown_game" else {}
        return http, {"message": "The game cannot be opened.", "details": f"{code}: {detail}", **known}

    def admit_games(self, visit: Visit) -> None:
        """Signed over the query."""
        verify_canonical_query(self._launch_keys, visit.query, visit.header(SIGN_HEADER))

    def render_games(self, games: Mapping[str, str]) -> Any:
        """A bare list."""
        return [{"id": game, "title": name, "hasFreeSpins": False} for game, name in games.items()]

    def render_balance(self, seat: Seat) -> Call:
        """A GET with the session in the query."""
        path = f"/balance?{urlencode({'sessionID': seat.token})}"
        return Call(None, path, b"", (), seat, "", method="GET")

    def render_call(self, round_: Round, move: Move) -> Call:
        """One transaction in canonical JSON; wins are paid under the same round."""
        items = self.items_of(round_, move)
        (item,) = items
        body = {
            "sessionID": round_.seat.token,
            "txID": item.reference,
            "amount": write_decimal(item.amount_minor, self.exponent_of(round_.seat.asset)),
            "roundID": self.name_of(round_.round_id),
        }
        more = {"type": "regular"} if item.target_reference is None else {"origTxID": item.target_reference}
        return Call(move, _PATHS[move], canonicalise({**body, **more}), items, round_.seat, round_.round_id)

    def sign(self, call: Call, stamp: Stamp, *, key: Key | None = None) -> Signed:
        """Over the body, or over the query of a GET."""
        signer = self._key if key is None else require_secret(self.account, key)
        if call.method == "GET":
            query = call.path.partition("?")[2].encode()
            headers: tuple[tuple[str, str], ...] = ((SIGN_HEADER, sign_canonical_query(signer, query)),)
        else:
            headers = (JSON_TYPE, (SIGN_HEADER, sign_canonical_body(signer, call.body)))
        return Signed(self.prefix + call.path, headers, call.body, call.method)

    def misdirect(self, call: Call, accepted: Signed, stamp: Stamp) -> Signed:
        """The accepted bet, byte for byte, on the path of a win."""
        return replace(accepted, path=f"{self.prefix}/win")

    def spoil(self, kind: Attack, call: Call) -> Call:
        """A member given twice, or an amount that is a JSON number."""
        amount = write_decimal(call.items[0].amount_minor, self.exponent_of(call.seat.asset)).encode()
        if kind is Attack.DUPLICATE_KEY:
            return give_twice(call, "amount", encode_json("0"))
        return swap_once(call, b'"amount":"' + amount + b'"', b'"amount":' + amount)

    def patience(self, call: Call, policy: RetryPolicy) -> RetryPolicy:
        """A bet is sent once; wins and refunds until 200."""
        return replace(policy, attempts=1) if call.move is Move.BET else policy

    def read_reply(self, call: Call, received: Received) -> Reply:
        """200 is done; of a bet 4xx is final and 5xx is refunded; of the rest everything is repeated."""
        if received.status == 200:
            return self._read_done(call, received)
        document = received.document
        told = document.get("code") if isinstance(document, dict) else None
        code = told if isinstance(told, str) else ""
        findings = (
            () if isinstance(document, dict) and "message" in document else ("an error has no message",)
        )
        if is_passing(received.status) and received.status != 429:
            return Reply(received=received, meaning=Meaning.REPEAT, code=code)
        if call.move is Move.BET and code in _DECLINES:
            declined = self.decline(call, _DECLINES[code], None)
            return Reply(
                received=received, meaning=Meaning.DECIDED, decisions=declined, code=code, findings=findings
            )
        return Reply(received=received, meaning=_meaning(call, received.status), code=code, findings=findings)

    def _read_done(self, call: Call, received: Received) -> Reply:
        try:
            answer = msgspec.json.decode(received.body, type=_Answer)
            balance = self.balance_of(call, read_decimal(answer.balance, self.exponent_of(call.seat.asset)))
        except (msgspec.DecodeError, NotRepresentable) as error:
            return senseless(received, str(error))
        if call.items and not answer.transaction_id:
            return senseless(received, "it has no txID")
        return Reply(
            received=received,
            meaning=Meaning.DECIDED,
            decisions=self.approve(call, balance, operator_ids=(answer.transaction_id or "",)),
            balance=balance,
        )


def _meaning(call: Call, status: int) -> Meaning:
    if call.move is Move.BET or call.move is None:
        return Meaning.REFUSED
    # Repeating does not mend a key: the call is kept for a person.
    return Meaning.UNKNOWN if status == 401 else Meaning.REPEAT
