"""The native protocol `croupier_v1`, written from its specification alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

import msgspec
from msgspec.structs import replace

from croupier.sandbox.calls import Call, Round, Seat
from croupier.sandbox.plan import EVERY_MOVE, Attack, Choreography, Flow, Move
from croupier.sandbox.protocols.keys import require_keys, require_secret
from croupier.sandbox.protocols.native_bodies import parts_of
from croupier.sandbox.protocols.native_webhooks import NativeWebhooks
from croupier.sandbox.replies import Decision, Expected, Meaning, Received, Reply
from croupier.sandbox.wire import (
    Account,
    Door,
    Launch,
    LaunchMalformed,
    NonceMemory,
    Signed,
    Stamp,
    Visit,
    Wire,
)
from croupier_signing import WINDOW_S, Key, SigningKey, parse_authorization, sign_native, verify_native

PATHS: Final = {
    Move.BET: "/bet",
    Move.WIN: "/win",
    Move.BET_WIN: "/bet-win",
    Move.CLOSE: "/close-round",
    Move.ROLLBACK_BET: "/rollback",
    Move.ROLLBACK_WIN: "/rollback",
    Move.ROLLBACK_AGAIN: "/rollback",
    # Never called: a jackpot is told by webhook, with the members of a win.
    Move.JACKPOT: "/win",
}
"""The path of each move, below `/providers/{provider}/v1`."""

BALANCE_PATH: Final = "/balance"

_UNAUTHENTICATED: Final = "unauthenticated"
OWED: Final[Mapping[Attack, tuple[Expected, ...]]] = {
    Attack.UNSIGNED: (Expected(401, _UNAUTHENTICATED, "missing"),),
    Attack.FORGED_KEY: (Expected(401, _UNAUTHENTICATED, "mismatch"),),
    Attack.TAMPERED_BODY: (Expected(401, _UNAUTHENTICATED, "mismatch"),),
    Attack.TAMPERED_AMOUNT: (Expected(401, _UNAUTHENTICATED, "mismatch"),),
    Attack.TAMPERED_PATH: (Expected(401, _UNAUTHENTICATED, "mismatch"),),
    Attack.REPLAYED: (Expected(401, _UNAUTHENTICATED, "replayed"),),
    Attack.STALE: (Expected(401, _UNAUTHENTICATED, "stale"),),
    Attack.CONFLICT: (Expected(409, "reference_conflict"),),
    Attack.WRONG_GAME: (Expected(409, "session_mismatch"),),
    Attack.DUPLICATE_KEY: (Expected(400, "malformed"),),
    Attack.FLOAT_AMOUNT: (Expected(400, "malformed"),),
}
"""The refusal that each attack is owed (native protocol, "Errors")."""

_OK: Final = frozenset({"ok"})
_OWED_CODES: Final = {
    (Flow.EARLY_ROLLBACK, Move.ROLLBACK_BET): frozenset({"nothing_to_roll_back"}),
    (Flow.EARLY_ROLLBACK, Move.BET): frozenset({"tombstoned"}),
    (Flow.LATE_ROLLBACK, Move.ROLLBACK_AGAIN): frozenset({"already_rolled_back"}),
}


class NativeWire(Wire):
    """Both directions of the native protocol: JSON, one signature with time and nonce."""

    protocol = "croupier_v1"
    choreography: ClassVar[Choreography] = EVERY_MOVE
    attacks = OWED
    doors: ClassVar[Mapping[tuple[str, str], Door]] = {
        # The native protocol's client calls `/v1/launch`; the short path is the same.
        ("POST", "/v1/launch"): "launch",
        ("POST", "/launch"): "launch",
    }
    zero_wins: ClassVar[Literal["always", "planned", "never"]] = "planned"
    closes_once = False
    undoes_lost_bets_and_goes_on = False
    attacks_declined_bets = True

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._key = require_secret(account, account.callback_key)
        self._launch_keys = {key.id: key for key in require_keys(account, SigningKey)}
        self._nonces = NonceMemory()
        self.webhooks: NativeWebhooks = NativeWebhooks(account, self.prefix)

    def read_launch(self, visit: Visit) -> Launch:
        """Verified by the native signature, each nonce once."""
        authorization = visit.header("authorization")
        parts = parse_authorization(
            None if authorization is None else authorization.decode("utf-8", "replace")
        )
        verify_native(
            parts,
            key=self._launch_keys.get(parts.key_id),
            method=visit.method,
            path=visit.path,
            query=visit.query,
            body=visit.body,
            now_s=visit.now_s,
        )
        self._nonces.spend((parts.key_id, parts.nonce), now_s=visit.now_s, keep_s=2 * WINDOW_S)
        try:
            return msgspec.json.decode(visit.body, type=Launch)
        except msgspec.DecodeError as error:
            raise LaunchMalformed(str(error)) from None

    def render_launched(self, launch: Launch, address: str, path: str) -> Any:
        """The session and the address of its page."""
        return {"session_id": launch.session_id, "launch_url": address + path}

    def render_refusal(self, status: int, code: str, detail: str) -> tuple[int, Any]:
        """A problem: `code` beside `error`, as launch clients read it for the reason of a refusal."""
        return status, {"error": code, "code": code, "detail": detail}

    def render_balance(self, seat: Seat) -> Call:
        """The body of `/balance`."""
        body = {"session_id": seat.session_id, "player_id": seat.player_id, "asset": seat.asset}
        return Call(None, BALANCE_PATH, msgspec.json.encode(body), (), seat, "")

    def render_call(self, round_: Round, move: Move) -> Call:
        """The call of one move of a round."""
        items, members = parts_of(round_, move)
        body = msgspec.json.encode({**members, "occurred_at": round_.occurred_at})
        return Call(move, PATHS[move], body, items, round_.seat, round_.round_id)

    def sign(self, call: Call, stamp: Stamp, *, key: Key | None = None) -> Signed:
        """An `Authorization` over method, path, time, nonce and body."""
        path = f"{self.prefix}/v1{call.path}"
        authorization = sign_native(
            self._key if key is None else require_secret(self.account, key),
            method=call.method,
            path=path.encode(),
            query=b"",
            timestamp_s=stamp.timestamp_s,
            nonce=stamp.nonce,
            body=call.body,
        )
        headers = (("Content-Type", "application/json"), ("Authorization", authorization))
        return Signed(path, headers, call.body, call.method)

    def read_reply(self, call: Call, received: Received) -> Reply:
        """What status and code allow to conclude."""
        return parse_reply(received)

    def differences(self, replies: Sequence[Reply], *, is_any_lost: bool) -> list[str]:
        """Copies are equal but for `repeat`, and at most one says that it is the original."""
        found = []
        first = replies[0].document
        if any(difference_apart_from_repeat(first, reply.document) for reply in replies[1:]):
            found.append("the answers to copies of one call differ")
        originals = sum(not any(decision.repeat for decision in reply.decisions) for reply in replies)
        # When a reply was lost, it may have been the original's.
        if originals > 1 or (originals == 0 and not is_any_lost):
            found.append(f"{originals} answers say that they are the original")
        return found

    def strip(self, signed: Signed) -> Signed:
        """Without `Authorization`."""
        kept = tuple(header for header in signed.headers if header[0] != "Authorization")
        return replace(signed, headers=kept)

    def misdirect(self, call: Call, accepted: Signed, stamp: Stamp) -> Signed:
        """A new bet; the signature covers the path."""
        return replace(self.sign(call, stamp), path=f"{self.prefix}/v1{PATHS[Move.WIN]}")

    def spoil(self, kind: Attack, call: Call) -> Call:
        """A member given twice, or an amount that is a number with a fraction."""
        if kind is Attack.DUPLICATE_KEY:
            return replace(call, body=b'{"amount":"0",' + call.body[1:])
        amount = str(call.items[0].amount_minor)
        quoted, number = f'"amount":"{amount}"'.encode(), f'"amount":{amount}.5'.encode()
        return replace(call, body=call.body.replace(quoted, number, 1))

    def owed_codes(self, flow: Flow, move: Move) -> frozenset[str] | None:
        """The order rules of the native protocol."""
        owed = _OWED_CODES.get((flow, move))
        if owed is not None or move in (Move.BET, Move.BET_WIN, Move.ROLLBACK_AGAIN):
            return owed
        return _OK


def parse_reply(received: Received) -> Reply:
    """Read an answer; total: a body that is not what the protocol says has no decisions."""
    document = received.document
    decisions = _decisions(document) if received.status == 200 else ()
    # The reason class is part of what a 401 owes; elsewhere a gateway may explain itself as it likes.
    reason = _text(document, "reason") or None if received.status == 401 else None
    code = _text(document, "code")
    return Reply(
        received=received,
        meaning=_meaning(received.status, code, decisions),
        document=document,
        decisions=decisions,
        code=code,
        reason=reason,
        balance=decisions[-1].balance if decisions else None,
    )


def _meaning(status: int, code: str, decisions: tuple[Decision, ...]) -> Meaning:
    """What the caller may conclude; 401 is left to a person: signing anew would not mend a key."""
    if status == 200:
        return Meaning.DECIDED if decisions else Meaning.REPEAT
    if status in (408, 429) or status >= 500 or (status == 409 and code == "in_flight"):
        return Meaning.REPEAT
    is_final = 400 <= status < 500 and status != 401
    return Meaning.REFUSED if is_final else Meaning.UNKNOWN


def difference_apart_from_repeat(one: Any, other: Any) -> bool:
    """Whether two answers differ in anything but `repeat` (native protocol: a repeat equals the original)."""
    return bool(_without_repeat(one) != _without_repeat(other))


def _without_repeat(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: _without_repeat(value) for name, value in document.items() if name != "repeat"}
    return [_without_repeat(value) for value in document] if isinstance(document, list) else document


def _decisions(document: Any) -> tuple[Decision, ...]:
    parts = document.get("results", [document]) if isinstance(document, dict) else []
    try:
        decisions = msgspec.convert(parts, tuple[Decision, ...])
    except msgspec.ValidationError:
        return ()
    is_told = all(decision.repeat is not None for decision in decisions)
    return decisions if is_told else ()


def _text(document: Any, name: str) -> str:
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, str) else ""
