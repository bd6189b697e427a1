"""The bodies of the sandbox, read by the strict shapes of the native protocol itself."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from croupier.providers.adapters.croupier_v1 import wire
from croupier.sandbox.calls import Round, Seat, render_moment
from croupier.sandbox.games import DiceBet, Seeds, play_dice
from croupier.sandbox.plan import Move
from croupier.sandbox.protocols.native import NativeWire
from croupier.sandbox.wire import Account
from croupier_signing import SigningKey

SEAT = Seat(f"ses_{'0' * 32}", "p-1", "studio-dice", "dice", "EUR")
PLAYED = play_dice(Seeds("aa", "bb"), DiceBet(5_000, "over"), nonce=1, stake_minor=100)
ROUND = Round(SEAT, "r-1", "r-1", 100, "2026-01-01T00:00:00.000Z", PLAYED, closes_with_win=True)
KEY = SigningKey("sandbox-in-1", b"0123456789abcdef0123456789abcdef")
WIRE = NativeWire(Account("sandbox", "croupier_v1", "http://127.0.0.1:1/providers/sandbox", KEY, (KEY,)))
SHAPES = {
    Move.BET: wire.BetBody,
    Move.WIN: wire.WinBody,
    Move.BET_WIN: wire.BetWinBody,
    Move.CLOSE: wire.CloseRoundBody,
    Move.ROLLBACK_BET: wire.RollbackBody,
    Move.ROLLBACK_WIN: wire.RollbackBody,
    Move.ROLLBACK_AGAIN: wire.RollbackBody,
}


@pytest.mark.parametrize("move", list(SHAPES))
def test_a_call_has_the_members_of_its_path_and_no_others(move: Move) -> None:
    call = WIRE.render_call(ROUND, move)
    body: Any = msgspec.json.decode(call.body, type=SHAPES[move])
    assert body.round_id == "r-1"
    assert body.occurred_at == datetime(2026, 1, 1, tzinfo=UTC)
    if move is Move.BET_WIN:
        assert [(item.reference, str(item.amount_minor)) for item in call.items] == [
            (part.reference, part.amount) for part in (body.bet, body.win)
        ]
    else:
        assert [body.reference] == [item.reference for item in call.items]


def test_a_balance_call_has_the_members_of_its_path() -> None:
    body = msgspec.json.decode(WIRE.render_balance(SEAT).body, type=wire.BalanceBody)
    assert (body.session_id, body.player_id, body.asset) == (SEAT.session_id, "p-1", "EUR")


def test_a_bet_needs_no_result_and_a_win_does() -> None:
    waiting = msgspec.structs.replace(ROUND, played=None)
    assert WIRE.render_call(waiting, Move.BET).body == WIRE.render_call(ROUND, Move.BET).body
    with pytest.raises(ValueError, match="no result yet"):
        WIRE.render_call(waiting, Move.WIN)


def test_both_rollbacks_of_a_bet_have_references_of_their_own() -> None:
    undo, again = WIRE.render_call(ROUND, Move.ROLLBACK_BET), WIRE.render_call(ROUND, Move.ROLLBACK_AGAIN)
    assert undo.items[0].target_reference == again.items[0].target_reference == "r-1-bet"
    assert undo.items[0].reference != again.items[0].reference


def test_a_moment_is_written_in_utc() -> None:
    assert render_moment(datetime(2026, 1, 1, 12, 0, 0, 5_000, tzinfo=UTC)) == "2026-01-01T12:00:00.005Z"
