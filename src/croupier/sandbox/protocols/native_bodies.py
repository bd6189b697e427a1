"""The bodies of the native protocol's calls. Pure."""

from __future__ import annotations

from typing import assert_never

from croupier.sandbox.calls import Item, Round
from croupier.sandbox.plan import Move


def parts_of(round_: Round, move: Move) -> tuple[tuple[Item, ...], dict[str, object]]:
    """The transactions of a move and the members of its body; ValueError for a move the protocol does not have."""
    match move:
        case Move.BET:
            bet = Item("bet", round_.reference("bet"), round_.stake_minor)
            return _single(round_, bet, _contribution(round_))
        case Move.WIN:
            extra: dict[str, object] = {"kind": "win", "close_round": round_.closes_with_win}
            return _single(round_, Item("win", round_.reference("win"), round_.result.win_minor), extra)
        case Move.BET_WIN:
            return _bet_win(round_)
        case Move.CLOSE:
            return _close(round_)
        case Move.ROLLBACK_BET | Move.ROLLBACK_WIN | Move.ROLLBACK_AGAIN:
            return _rollback(round_, move)
        case Move.ROLLBACK_SETTLED:
            raise ValueError("the native protocol has no bets that cannot be rolled back")
        case Move.JACKPOT:
            item = Item("jackpot", round_.reference("jackpot"), round_.jackpot_minor)
            return _single(round_, item, {"kind": "jackpot", "close_round": False})
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
    return (bet, win), {**parts, **_place(round_), **_contribution(round_)}


def _contribution(round_: Round) -> dict[str, object]:
    contribution = round_.contribution_minor
    return {"jackpot_contribution": str(contribution)} if contribution else {}


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
