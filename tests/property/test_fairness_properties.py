"""Provably fair draws against a second implementation that follows the sites' text with floats."""

import hashlib
import hmac
import math
from collections.abc import Iterator
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from croupier.settlement.fairness import (
    Direction,
    build_chain,
    commitment_of,
    crash_point_32bit,
    crash_point_52bit,
    dice_payout_hundredths,
    dice_winning_rolls,
    draw_dice,
    draw_keno,
    draw_limbo,
    draw_mines,
    draw_plinko,
    draw_roulette,
    draw_wheel,
    link_over_bytes,
    link_over_text,
    mines_payout_hundredths,
    steps_to_terminating,
    verify_outcome,
    verify_round,
    win_minor,
)

SEEDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=80)
SIDES: list[Direction] = ["over", "under"]
NONCES = st.integers(0, 2**63 - 1)
HEX_HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=8,
)


def site_bytes(server: str, client: str, nonce: int) -> Iterator[int]:
    for current_round in range(100):
        message = f"{client}:{nonce}:{current_round}".encode()
        yield from hmac.new(server.encode(), message, hashlib.sha256).digest()


def site_floats(server: str, client: str, nonce: int, count: int) -> list[float]:
    stream = site_bytes(server, client, nonce)
    return [math.fsum(next(stream) / 256**place for place in (1, 2, 3, 4)) for _ in range(count)]


def site_pick(choices: list[int], floats: list[float]) -> list[int]:
    return [choices.pop(math.floor(number * len(choices))) for number in floats]


@given(SEEDS, SEEDS, NONCES)
def test_single_draws_are_what_floats_give(server: str, client: str, nonce: int) -> None:
    (number,) = site_floats(server, client, nonce, 1)
    assert draw_dice(server, client, nonce) == math.floor(number * 10_001)
    assert draw_roulette(server, client, nonce) == math.floor(number * 37)
    limbo = math.floor(1e8 / (math.floor(number * 1e8) + 1) * 0.99 * 100)
    assert draw_limbo(server, client, nonce) == max(100, limbo)


@given(SEEDS, SEEDS, NONCES, st.integers(1, 24), st.integers(8, 16), st.integers(2, 100))
def test_longer_draws_are_what_floats_give(
    server: str, client: str, nonce: int, mines: int, rows: int, segments: int
) -> None:
    floats = site_floats(server, client, nonce, 24)
    assert list(draw_mines(server, client, nonce, mines)) == site_pick(list(range(25)), floats[:mines])
    assert list(draw_keno(server, client, nonce)) == site_pick(list(range(1, 41)), floats[:10])
    assert list(draw_plinko(server, client, nonce, rows)) == [math.floor(x * 2) for x in floats[:rows]]
    assert draw_wheel(server, client, nonce, segments) == math.floor(floats[0] * segments)


@given(SEEDS, SEEDS, NONCES, st.integers(1, 24))
def test_draws_stay_in_range_without_repeats_and_are_the_same_again(
    server: str, client: str, nonce: int, mines: int
) -> None:
    assert 0 <= draw_dice(server, client, nonce) <= 10_000
    assert 100 <= draw_limbo(server, client, nonce) <= 9_900_000_000
    cells = draw_mines(server, client, nonce, mines)
    assert len(set(cells)) == mines
    assert set(cells) <= set(range(25))
    numbers = draw_keno(server, client, nonce)
    assert len(set(numbers)) == 10
    assert set(numbers) <= set(range(1, 41))
    assert draw_mines(server, client, nonce, mines) == cells


@given(SEEDS, st.integers(1, 30), st.sampled_from([link_over_text, link_over_bytes]))
def test_every_game_of_a_chain_leads_to_its_terminating_hash(seed: str, length: int, link: object) -> None:
    step = link_over_text if link is link_over_text else link_over_bytes
    chain = build_chain(seed, length, step)
    assert len(set(chain)) == length + 1
    for number in range(1, length + 1):
        assert step(chain[number]) == chain[number - 1]
        assert steps_to_terminating(chain[number], chain[0], limit=length, link=step) == number
    assert steps_to_terminating(chain[0], chain[0], limit=length, link=step) is None


@given(HEX_HASHES, HEX_HASHES)
def test_crash_points_are_what_the_published_formulas_give(game_hash: str, salt: str) -> None:
    first = int(hmac.new(game_hash.encode(), salt.encode(), hashlib.sha256).hexdigest()[:8], 16)
    published = max(1, (2**32 / (first + 1)) * (1 - 0.01))
    assert abs(crash_point_32bit(game_hash, salt) - math.floor(published * 100)) <= 1
    exact = Fraction(99 * 2**32, first + 1)
    assert crash_point_32bit(game_hash, salt) == max(100, math.floor(exact))
    digest = hmac.new(salt.encode(), bytes.fromhex(game_hash), hashlib.sha256).hexdigest()
    fraction = int(digest[:13], 16) / 2**52
    assert crash_point_52bit(game_hash, salt) == max(100, math.floor(99 / (1 - fraction)))


@given(st.integers(0, 10_000), st.sampled_from(SIDES))
def test_dice_returns_at_most_99_percent_for_every_target(target: int, side: Direction) -> None:
    winning = dice_winning_rolls(target, side)
    if not 1 <= winning <= 9_800:
        return
    roll = 10_000 if side == "over" else 0
    payout = dice_payout_hundredths(roll, target, side)
    returned = Fraction(payout * winning, 100 * 10_001)
    assert Fraction(98, 100) <= returned <= Fraction(99, 100)


@given(st.integers(1, 24), st.data())
def test_mines_returns_at_most_99_percent_for_every_bet(mines: int, data: st.DataObject) -> None:
    revealed = data.draw(st.integers(1, 25 - mines))
    payout = mines_payout_hundredths(range(mines), range(mines, mines + revealed))
    chance = Fraction(1)
    for opened in range(revealed):
        chance *= Fraction(25 - mines - opened, 25 - opened)
    returned = Fraction(payout, 100) * chance
    assert Fraction(98, 100) <= returned <= Fraction(99, 100)


@given(st.integers(0, 10**38), st.integers(0, 10**10))
def test_a_win_is_the_exact_product_rounded_down(stake: int, payout: int) -> None:
    assert win_minor(stake, payout) == math.floor(Fraction(stake * payout, 100))


@given(SEEDS, SEEDS, NONCES, st.text(max_size=70))
def test_a_verdict_is_valid_only_with_the_commitment(
    server: str, client: str, nonce: int, other: str
) -> None:
    def is_valid(commitment: str) -> bool:
        return verify_outcome(
            "float_stream",
            "dice",
            {},
            server_seed=server,
            server_seed_hash=commitment,
            client_seed=client,
            nonce=nonce,
        ).is_valid

    assert is_valid(commitment_of(server))
    assert not is_valid(other)


@given(st.dictionaries(st.sampled_from(["game", "parameters", "result", "stake", "win"]), JSON), st.data())
def test_any_round_gets_a_verdict_and_never_an_exception(
    outcome: dict[str, object], data: st.DataObject
) -> None:
    names = ["scheme", "server_seed", "server_seed_hash", "client_seed", "nonce"]
    fairness = data.draw(st.dictionaries(st.sampled_from(names), JSON))
    verdict = verify_round(outcome, fairness)
    assert not verdict.is_valid
    assert verdict.detail.encode()


@given(
    st.dictionaries(st.sampled_from(["target_hundredths", "direction", "mines", "revealed_cells"]), JSON),
    st.sampled_from(["dice", "mines", "limbo"]),
)
def test_any_parameters_get_a_verdict_and_never_an_exception(
    parameters: dict[str, object], game: str
) -> None:
    verdict = verify_outcome(
        "float_stream",
        game,
        parameters,
        server_seed="s",
        server_seed_hash=commitment_of("s"),
        client_seed="c",
        nonce=0,
    )
    assert verdict.is_valid == (verdict.reason == "ok")
    assert verdict.detail.encode()
