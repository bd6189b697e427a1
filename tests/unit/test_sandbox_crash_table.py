"""The crash table: one game for everybody, and no result while somebody can still join."""

import asyncio
import random

import pytest

from croupier.sandbox.crash_table import CrashTable
from croupier.sandbox.games import CrashBet
from croupier.settlement.fairness import link_over_text

DEADLINE_S = 10.0


def table(*, chain_games: int = 10, join_window_s: float = 3600.0) -> CrashTable:
    return CrashTable(random.Random(1), chain_games=chain_games, join_window_s=join_window_s)


async def test_players_of_one_window_share_a_game_and_the_next_ones_do_not() -> None:
    crash = table()
    first, second = crash.join(), crash.join()
    crash.start_open_game()
    third = crash.join()
    assert first is second
    assert (first.number, third.number) == (1, 2)
    assert first.round_id != third.round_id
    assert (crash.games, crash.shared_games, crash.most_players) == (2, 1, 2)


async def test_a_game_has_no_result_before_it_starts() -> None:
    crash = table()
    game = crash.join()
    with pytest.raises(ValueError, match="still open"):
        game.result(CrashBet(150), 100)
    crash.start_open_game()
    played = game.result(CrashBet(150), 100)
    assert played.fairness["server_seed_hash"] == game.commitment
    assert link_over_text(str(played.fairness["server_seed"])) == game.commitment


async def test_a_game_starts_by_itself_when_its_window_is_over() -> None:
    game = table(join_window_s=0.001).join()
    await asyncio.wait_for(game.started.wait(), DEADLINE_S)


async def test_a_window_that_was_ended_early_does_not_end_the_next_game() -> None:
    crash = table(join_window_s=0.0)
    crash.join()
    crash.start_open_game()
    crash._join_window_s = 3600.0
    second = crash.join()
    # Everything that was due by now has run, the first game's timer among it.
    passed = asyncio.Event()
    asyncio.get_running_loop().call_later(0.001, passed.set)
    await passed.wait()
    assert not second.started.is_set()


async def test_a_new_chain_follows_when_one_is_played_out() -> None:
    crash = table(chain_games=2)
    rounds = []
    for _ in range(4):
        rounds.append(crash.join())
        crash.start_open_game()
    assert [game.number for game in rounds] == [1, 2, 1, 2]
    assert len({game.round_id for game in rounds}) == 4
