"""Requests that must be refused, made from a bet that was accepted. Pure: time and nonce are arguments."""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from croupier.sandbox.calls import Call, Round
from croupier.sandbox.plan import Attack, Move
from croupier.sandbox.wire import Signed, Stamp, Wire


def forge(kind: Attack, wire: Wire, round_: Round, accepted: Signed, stamp: Stamp, *, tag: str) -> Signed:
    """Make one attack out of an accepted bet of a round; `tag` starts references that nothing else uses.

    All but the replay and the conflict would be accepted if the one thing that is wrong were right.
    """
    fresh = wire.render_call(replace(round_, tag=tag), Move.BET)
    match kind:
        case Attack.REPLAYED:
            return accepted
        case Attack.CONFLICT:
            return wire.sign(_more(wire, round_), stamp)
        case Attack.WRONG_GAME:
            return wire.sign(_other_game(wire, round_, tag), stamp)
        case Attack.DUPLICATE_KEY | Attack.FLOAT_AMOUNT:
            return wire.sign(wire.spoil(kind, fresh), stamp)
        case Attack.FORGED_KEY:
            return wire.sign(fresh, stamp, key=wire.stranger())
        case Attack.STALE:
            return wire.make_stale(fresh, stamp)
        case Attack.UNSIGNED:
            return wire.strip(wire.sign(fresh, stamp))
        case Attack.TAMPERED_BODY:
            signed = wire.sign(fresh, stamp)
            return replace(signed, body=signed.body + b" ")
        case Attack.TAMPERED_AMOUNT:
            richer = wire.sign(_more(wire, replace(round_, tag=tag)), stamp)
            return replace(wire.sign(fresh, stamp), body=richer.body)
        case Attack.TAMPERED_PATH:
            return wire.misdirect(fresh, accepted, stamp)
        case _:
            assert_never(kind)


def _more(wire: Wire, round_: Round) -> Call:
    return wire.render_call(replace(round_, stake_minor=round_.stake_minor + 1), Move.BET)


def _other_game(wire: Wire, round_: Round, tag: str) -> Call:
    game_id = f"not-{round_.seat.game_id}"[:128]
    return wire.render_call(replace(round_, tag=tag, seat=replace(round_.seat, game_id=game_id)), Move.BET)
