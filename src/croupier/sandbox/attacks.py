"""Requests that must be refused, made from a bet that was accepted. Pure: time and nonce are arguments."""

from dataclasses import dataclass
from typing import Any, Final, assert_never

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from croupier.sandbox.calls import PATHS
from croupier.sandbox.plan import STALE_BY_S, Attack, Move
from croupier_signing import SigningKey, sign_native

_BET_MEMBERS: Final = ("session_id", "round_id", "game_id", "player_id", "asset", "occurred_at")


class Signed(Struct, frozen=True):
    """A request ready to be sent: path below the gateway's address, `Authorization` value or None, body."""

    path: str
    authorization: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Pen:
    """What it takes to sign one request: a fresh nonce and the time in Unix seconds."""

    key: SigningKey
    prefix: str
    timestamp_s: int
    nonce: str

    def sign(self, tail: str, body: bytes, *, key: SigningKey | None = None, late_by_s: int = 0) -> Signed:
        """Sign a POST of `body` to `tail`, by the real key now unless told otherwise."""
        path = self.prefix + tail
        authorization = sign_native(
            key or self.key,
            method="POST",
            path=path.encode(),
            query=b"",
            timestamp_s=self.timestamp_s - late_by_s,
            nonce=self.nonce,
            body=body,
        )
        return Signed(path, authorization, body)


def forge(kind: Attack, accepted: Signed, pen: Pen, *, tag: str) -> Signed:
    """Make one attack out of an accepted bet or bet-win; `tag` is a reference that nothing else uses.

    All but the replay and the conflict would be accepted if the one thing that is wrong were right.
    """
    tail = PATHS[Move.BET]
    known = _bet_of(accepted.body)
    bet = {**known, "reference": tag}
    body = _encode(bet)
    match kind:
        case Attack.REPLAYED:
            return accepted
        case Attack.CONFLICT:
            return pen.sign(tail, _encode(known, amount=_more(known)))
        case Attack.WRONG_GAME:
            return pen.sign(tail, _encode(bet, game_id=f"not-{bet['game_id']}"[:128]))
        case Attack.DUPLICATE_KEY:
            return pen.sign(tail, b'{"amount":"0",' + body[1:])
        case Attack.FLOAT_AMOUNT:
            return pen.sign(tail, _encode(bet, amount=msgspec.Raw(bet["amount"].encode() + b".5")))
        case Attack.FORGED_KEY:
            return pen.sign(tail, body, key=SigningKey(pen.key.id, b"not the secret of this key"))
        case Attack.STALE:
            return pen.sign(tail, body, late_by_s=STALE_BY_S)
        case Attack.UNSIGNED:
            return replace(pen.sign(tail, body), authorization=None)
        case Attack.TAMPERED_BODY:
            return replace(pen.sign(tail, body), body=body + b" ")
        case Attack.TAMPERED_AMOUNT:
            return replace(pen.sign(tail, body), body=_encode(bet, amount=_more(bet)))
        case Attack.TAMPERED_PATH:
            return replace(pen.sign(tail, body), path=pen.prefix + PATHS[Move.WIN])
        case _:
            assert_never(kind)


def _bet_of(body: bytes) -> dict[str, Any]:
    document = msgspec.json.decode(body, type=dict[str, Any])
    part = document.get("bet", document)
    named = {"reference": part["reference"], "amount": part["amount"]}
    return {**named, **{name: document[name] for name in _BET_MEMBERS}}


def _more(bet: dict[str, Any]) -> str:
    return str(int(bet["amount"]) + 1)


def _encode(bet: dict[str, Any], **changed: object) -> bytes:
    return msgspec.json.encode({**bet, **changed})
