"""The bodies of the native provider protocol, written from its specification alone. Pure."""

from datetime import datetime
from typing import Final, assert_never

import msgspec
from msgspec import Struct

from croupier.sandbox.games import Played
from croupier.sandbox.plan import Game, Move

PATHS: Final = {
    Move.BET: "/bet",
    Move.WIN: "/win",
    Move.BET_WIN: "/bet-win",
    Move.CLOSE: "/close-round",
    Move.ROLLBACK_BET: "/rollback",
    Move.ROLLBACK_WIN: "/rollback",
    Move.ROLLBACK_AGAIN: "/rollback",
}
"""The path of each move, below `/providers/{provider}/v1`."""

BALANCE_PATH: Final = "/balance"


class Seat(Struct, frozen=True):
    """Who plays what: the facts of a launch that every call repeats."""

    session_id: str
    player_id: str
    game_id: str
    game: Game
    asset: str


class Round(Struct, frozen=True):
    """One player's round on its way: `tag` is unique to it and starts all its references.

    The stake is in minor units; `played` is None until the result may be known.
    """

    seat: Seat
    round_id: str
    tag: str
    stake_minor: int
    occurred_at: str
    played: Played | None = None
    closes_with_win: bool = False

    @property
    def result(self) -> Played:
        """The result; raises ValueError while there is none."""
        if self.played is None:
            raise ValueError(f"round {self.round_id} has no result yet")
        return self.played

    def reference(self, name: str) -> str:
        """The reference of one of the round's transactions."""
        return f"{self.tag}-{name}"


class Item(Struct, frozen=True):
    """One referenced transaction within a call; the amount, in minor units, of a rollback is its target's."""

    action: str
    reference: str
    amount_minor: int
    target_reference: str | None = None


class Call(Struct, frozen=True):
    """A call to make: its bytes stay the same however often it is sent."""

    move: Move
    path: str
    body: bytes
    items: tuple[Item, ...]
    seat: Seat
    round_id: str


def render_moment(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def render_balance_body(seat: Seat) -> bytes:
    """The body of `/balance`."""
    return msgspec.json.encode(
        {"session_id": seat.session_id, "player_id": seat.player_id, "asset": seat.asset}
    )


def render_call(round_: Round, move: Move) -> Call:
    """The call of one move of a round."""
    items, members = _parts(round_, move)
    body = msgspec.json.encode({**members, "occurred_at": round_.occurred_at})
    return Call(move, PATHS[move], body, items, round_.seat, round_.round_id)


def _parts(round_: Round, move: Move) -> tuple[tuple[Item, ...], dict[str, object]]:
    match move:
        case Move.BET:
            return _single(round_, Item("bet", round_.reference("bet"), round_.stake_minor), {})
        case Move.WIN:
            extra: dict[str, object] = {"kind": "win", "close_round": round_.closes_with_win}
            return _single(round_, Item("win", round_.reference("win"), round_.result.win_minor), extra)
        case Move.BET_WIN:
            return _bet_win(round_)
        case Move.CLOSE:
            return _close(round_)
        case Move.ROLLBACK_BET | Move.ROLLBACK_WIN | Move.ROLLBACK_AGAIN:
            return _rollback(round_, move)
        case _:
            assert_never(move)


def _single(
    round_: Round, item: Item, extra: dict[str, object]
) -> tuple[tuple[Item, ...], dict[str, object]]:
    named = {"reference": item.reference, "amount": str(item.amount_minor)}
    return (item,), {**named, **_place(round_), **extra}


def _bet_win(round_: Round) -> tuple[tuple[Item, ...], dict[str, object]]:
    bet = Item("bet", round_.reference("bet"), round_.stake_minor)
    win = Item("win", round_.reference("win"), round_.result.win_minor)
    parts = {
        item.action: {"reference": item.reference, "amount": str(item.amount_minor)} for item in (bet, win)
    }
    return (bet, win), {**parts, **_place(round_)}


def _close(round_: Round) -> tuple[tuple[Item, ...], dict[str, object]]:
    item = Item("close", round_.reference("close"), 0)
    place = _place(round_)
    return (item,), {
        "reference": item.reference,
        **{name: place[name] for name in ("session_id", "round_id", "player_id")},
        "outcome": round_.result.outcome,
        "fairness": round_.result.fairness,
    }


def _rollback(round_: Round, move: Move) -> tuple[tuple[Item, ...], dict[str, object]]:
    is_win = move is Move.ROLLBACK_WIN
    target = round_.reference("win" if is_win else "bet")
    amount = round_.result.win_minor if is_win else round_.stake_minor
    item = Item(
        f"rollback_{'win' if is_win else 'bet'}",
        round_.reference(move.value.replace("_", "-")),
        amount,
        target,
    )
    place = _place(round_)
    return (item,), {
        "reference": item.reference,
        "target_reference": target,
        **{name: place[name] for name in ("session_id", "round_id", "player_id", "asset")},
        "reason": "the round was cancelled by the studio",
    }


def _place(round_: Round) -> dict[str, object]:
    seat = round_.seat
    return {
        "session_id": seat.session_id,
        "round_id": round_.round_id,
        "game_id": seat.game_id,
        "player_id": seat.player_id,
        "asset": seat.asset,
    }
