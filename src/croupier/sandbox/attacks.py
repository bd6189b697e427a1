"""Requests that must be refused, made from a bet that was accepted. Pure: time and nonce are arguments."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from croupier_signing import SigningKey, sign_native
from msgspec import Struct

from croupier.sandbox.calls import PATHS
from croupier.sandbox.plan import STALE_BY_S, Attack, Move

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
    """Make one attack out of an accepted bet or bet-win; `tag` is a reference that nothing else uses."""
    if kind is Attack.REPLAYED:
        return accepted
    bet = _bet_of(accepted.body)
    tail = PATHS[Move.BET]
    if kind is Attack.CONFLICT:
        return pen.sign(tail, _encode(bet, amount=_more(bet)))
    fresh = {**bet, "reference": tag}
    if kind in _BY_CONTENT:
        return pen.sign(tail, _wrong_content(kind, fresh))
    return _wrong_signature(kind, pen, tail, fresh)


_BY_CONTENT: Final = frozenset({Attack.WRONG_GAME, Attack.DUPLICATE_KEY, Attack.FLOAT_AMOUNT})


def _wrong_content(kind: Attack, bet: dict[str, Any]) -> bytes:
    """A body that is signed well and must be refused for what it says."""
    if kind is Attack.WRONG_GAME:
        return _encode(bet, game_id=f"not-{bet['game_id']}"[:128])
    if kind is Attack.DUPLICATE_KEY:
        return b'{"amount":"0",' + _encode(bet)[1:]
    return _encode(bet, amount=msgspec.Raw(bet["amount"].encode() + b".5"))


def _wrong_signature(kind: Attack, pen: Pen, tail: str, bet: dict[str, Any]) -> Signed:
    """A body that would be accepted if it were signed as it is, by us, now."""
    body = _encode(bet)
    signed = pen.sign(tail, body)
    match kind:
        case Attack.UNSIGNED:
            return Signed(signed.path, None, body)
        case Attack.FORGED_KEY:
            return pen.sign(tail, body, key=SigningKey(pen.key.id, b"not the secret of this key"))
        case Attack.STALE:
            return pen.sign(tail, body, late_by_s=STALE_BY_S)
        case Attack.TAMPERED_BODY:
            return Signed(signed.path, signed.authorization, body + b" ")
        case Attack.TAMPERED_AMOUNT:
            return Signed(signed.path, signed.authorization, _encode(bet, amount=_more(bet)))
        case Attack.TAMPERED_PATH:
            return Signed(pen.prefix + PATHS[Move.WIN], signed.authorization, body)
    raise ValueError(f"{kind} is not an attack on the signature")


def _bet_of(body: bytes) -> dict[str, Any]:
    document = msgspec.json.decode(body, type=dict[str, Any])
    part = document.get("bet", document)
    named = {"reference": part["reference"], "amount": part["amount"]}
    return {**named, **{name: document[name] for name in _BET_MEMBERS}}


def _more(bet: dict[str, Any]) -> str:
    return str(int(bet["amount"]) + 1)


def _encode(bet: dict[str, Any], **changed: object) -> bytes:
    return msgspec.json.encode({**bet, **changed})
