"""The sandbox's games: what is played is what verifies, and the house keeps about one percent."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from croupier.sandbox.games import (
    CrashBet,
    CrashChain,
    DiceBet,
    MinesBet,
    Played,
    Seeds,
    draw_crash_chain,
    draw_seeds,
    play_crash,
    play_dice,
    play_mines,
)
from croupier.settlement.fairness import commitment_of, steps_to_terminating, verify_round

ROUNDS = 8_000
STAKE = 1_000


def dice_rounds(source: random.Random) -> Iterator[Played]:
    seeds = draw_seeds(source)
    for nonce in range(ROUNDS):
        over = DiceBet(source.randrange(500, 3_000), "over")
        under = DiceBet(source.randrange(7_000, 9_500), "under")
        bet = source.choice([over, under])
        yield play_dice(seeds, bet, nonce=nonce, stake_minor=STAKE)


def mines_rounds(source: random.Random) -> Iterator[Played]:
    seeds = draw_seeds(source)
    for nonce in range(ROUNDS):
        cells = tuple(source.sample(range(25), source.randrange(1, 4)))
        yield play_mines(seeds, MinesBet(source.randrange(1, 4), cells), nonce=nonce, stake_minor=STAKE)


def crash_rounds(source: random.Random) -> Iterator[Played]:
    chain = draw_crash_chain(source, ROUNDS)
    for number in range(1, ROUNDS + 1):
        yield play_crash(chain, CrashBet(source.randrange(101, 151)), game_number=number, stake_minor=STAKE)


GAMES = [dice_rounds, mines_rounds, crash_rounds]


@pytest.mark.parametrize("rounds", GAMES)
def test_a_game_returns_nine_to_ten_tenths_of_its_stakes(
    rounds: Callable[[random.Random], Iterator[Played]],
) -> None:
    # Bets that win often, so that 8 000 rounds stay within two hundredths of what is expected (99 percent,
    # less what rounding down takes); property tests compute the expectation of dice and mines exactly.
    played = list(rounds(random.Random(2)))
    returned = sum(one.win_minor for one in played) * 1000 // sum(one.stake_minor for one in played)
    assert 900 <= returned <= 1000
    assert {one.win_minor > 0 for one in played} == {True, False}


@pytest.mark.parametrize("rounds", GAMES)
def test_every_round_verifies_from_its_json_down_to_the_win(
    rounds: Callable[[random.Random], Iterator[Played]],
) -> None:
    for played in islice(rounds(random.Random(7)), 300):
        outcome = json.loads(json.dumps(played.outcome))
        fairness = json.loads(json.dumps(played.fairness))
        verdict = verify_round(outcome, fairness)
        assert (verdict.is_valid, verdict.reason) == (True, "ok")
        payout = verdict.outcome["payout_hundredths"]
        assert isinstance(payout, int)
        assert played.win_minor == played.stake_minor * payout // 100
        assert outcome["win"] == str(played.win_minor)


@pytest.mark.parametrize("rounds", GAMES)
def test_a_win_raised_by_one_minor_unit_does_not_verify(
    rounds: Callable[[random.Random], Iterator[Played]],
) -> None:
    played = next(one for one in rounds(random.Random(7)) if one.win_minor > 0)
    raised = {**played.outcome, "win": str(played.win_minor + 1)}
    assert verify_round(raised, played.fairness).reason == "win_differs"


@pytest.mark.parametrize("rounds", GAMES)
def test_the_same_seed_plays_the_same_rounds(
    rounds: Callable[[random.Random], Iterator[Played]],
) -> None:
    first, again, other = (list(islice(rounds(random.Random(seed)), 50)) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_fairness_and_outcome_have_the_members_of_close_round() -> None:
    played = play_dice(Seeds("server", "client"), DiceBet(5000, "over"), nonce=3, stake_minor=STAKE)
    assert played.fairness == {
        "scheme": "float_stream",
        "server_seed_hash": commitment_of("server"),
        "server_seed": "server",
        "client_seed": "client",
        "nonce": 3,
    }
    assert set(played.outcome) == {"game", "parameters", "result", "stake", "win"}
    assert played.outcome["stake"] == "1000"


def test_a_win_of_more_digits_than_a_double_holds_is_exact() -> None:
    stake = 10**30 + 1
    seeds = Seeds("server", "client")
    wins = [
        play_dice(seeds, DiceBet(5000, "over"), nonce=nonce, stake_minor=stake).win_minor
        for nonce in range(20)
    ]
    assert set(wins) == {0, stake * 198 // 100}


def test_mines_loses_on_a_mine_and_pays_for_free_cells() -> None:
    seeds = Seeds("server", "client")
    shown = play_mines(seeds, MinesBet(3, (0,)), nonce=1, stake_minor=STAKE).outcome["result"]
    assert isinstance(shown, dict)
    mines = shown["mine_cells"]
    free = [cell for cell in range(25) if cell not in mines]
    safe = play_mines(seeds, MinesBet(3, tuple(free[:3])), nonce=1, stake_minor=STAKE)
    hit = play_mines(seeds, MinesBet(3, (*free[:2], mines[0])), nonce=1, stake_minor=STAKE)
    assert (safe.win_minor, hit.win_minor) == (1470, 0)


def test_players_of_one_crash_game_share_its_proof_and_its_crash_point() -> None:
    chain = draw_crash_chain(random.Random(11), 20)
    cash_outs = range(101, 600, 7)
    played = [play_crash(chain, CrashBet(at), game_number=9, stake_minor=STAKE) for at in cash_outs]
    assert len({json.dumps(one.fairness, sort_keys=True) for one in played}) == 1
    results = [one.outcome["result"] for one in played]
    (point,) = {result["multiplier_hundredths"] for result in results if isinstance(result, dict)}
    assert isinstance(point, int)
    assert [one.win_minor for one in played] == [at * 10 if at <= point else 0 for at in cash_outs]


def test_a_crash_game_is_committed_to_by_the_game_before_it() -> None:
    chain = draw_crash_chain(random.Random(3), 40)
    assert chain.games == 40
    previous = chain.terminating_hash
    for number in range(1, 41):
        played = play_crash(chain, CrashBet(200), game_number=number, stake_minor=STAKE)
        assert played.fairness["server_seed_hash"] == previous
        previous = str(played.fairness["server_seed"])
        assert steps_to_terminating(previous, chain.terminating_hash, limit=40) == number


def test_crash_points_have_the_published_distribution() -> None:
    points = Counter(
        played.win_minor > 0
        for played in (
            play_crash(chain, CrashBet(198), game_number=number, stake_minor=STAKE)
            for chain in [draw_crash_chain(random.Random(19), 4_000)]
            for number in range(1, 4_001)
        )
    )
    # 99 / 198 is one half; four standard deviations of 4 000 games are 127.
    assert abs(points[True] - 2_000) < 127


def test_secret_seeds_are_not_shown_by_repr() -> None:
    seeds = draw_seeds(random.Random(1))
    chain = draw_crash_chain(random.Random(1), 3)
    assert seeds.server_seed not in repr(seeds)
    assert chain.hashes[3] not in repr(chain)


SHORT_CHAIN = draw_crash_chain(random.Random(1), 2)
BROKEN_CHAIN = CrashChain(salt="salt", hashes=("a", "b"))


@pytest.mark.parametrize(
    "play",
    [
        lambda seeds: play_dice(seeds, DiceBet(10_000, "over"), nonce=0, stake_minor=1),
        lambda seeds: play_dice(seeds, DiceBet(5_000, "over"), nonce=-1, stake_minor=1),
        lambda seeds: play_dice(seeds, DiceBet(5_000, "over"), nonce=0, stake_minor=-1),
        lambda seeds: play_mines(seeds, MinesBet(25, (1,)), nonce=0, stake_minor=1),
        lambda seeds: play_mines(seeds, MinesBet(3, ()), nonce=0, stake_minor=1),
        lambda seeds: play_mines(seeds, MinesBet(3, (1, 1)), nonce=0, stake_minor=1),
        lambda _: play_crash(SHORT_CHAIN, CrashBet(100), game_number=1, stake_minor=1),
        lambda _: play_crash(BROKEN_CHAIN, CrashBet(200), game_number=0, stake_minor=1),
        lambda _: play_crash(BROKEN_CHAIN, CrashBet(200), game_number=2, stake_minor=1),
        lambda _: play_crash(BROKEN_CHAIN, CrashBet(200), game_number=1, stake_minor=1),
    ],
)
def test_a_bet_outside_its_limits_or_on_a_broken_chain_is_not_played(
    play: Callable[[Seeds], Played],
) -> None:
    with pytest.raises(ValueError, match=r"be played|the chain has|not negative"):
        play(Seeds("server", "client"))
