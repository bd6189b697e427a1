"""Published schemes, proven with constants the sites published and with vectors of a second implementation.

The stream vectors were computed in JavaScript with the sites' own order of operations, in doubles.
"""

import hashlib
from collections.abc import Callable

import pytest

from croupier.settlement.fairness import (
    build_chain,
    commitment_of,
    crash_payout_hundredths,
    crash_point_32bit,
    crash_point_52bit,
    dice_payout_hundredths,
    draw_dice,
    draw_keno,
    draw_limbo,
    draw_mines,
    draw_plinko,
    draw_roulette,
    draw_wheel,
    is_commitment_kept,
    link_over_bytes,
    link_over_text,
    mines_payout_hundredths,
    steps_to_terminating,
    stream_words,
    win_minor,
)
from croupier.settlement.fairness import float_stream as float_stream_module
from croupier.settlement.fairness.hash_chain import multiplier_of_52_bits

SERVER_SEED = "1fa3b8c9d0e7f6a5b4c3d2e1f00112233445566778899aabbccddeeff0011223"
SERVER_SEED_HASH = "1e44650bc2dbe808640d86eb3129fbe8d9ac438172a853ef9ef5cad38254a7c0"

# client seed, nonce, dice, limbo, roulette, wheel of 30, plinko of 16 rows, 24 mines, keno
STREAM_VECTORS = [
    ("lucky7", 0, 3152, 314, 11, 9, "0000011100110011",
     [7, 8, 4, 10, 11, 16, 21, 14, 2, 5, 19, 15, 0, 6, 18, 23, 17, 20, 24, 1, 22, 9, 13, 12],
     [13, 14, 8, 16, 17, 26, 35, 24, 4, 9]),
    ("lucky7", 1, 4715, 209, 17, 14, "0111000010101010",
     [11, 14, 23, 13, 0, 8, 1, 10, 18, 6, 17, 4, 20, 5, 19, 2, 15, 24, 21, 3, 16, 7, 12, 9],
     [19, 23, 38, 22, 1, 14, 3, 18, 29, 12]),
    ("lucky7", 77, 3416, 289, 12, 10, "0100000000000110",
     [8, 19, 4, 0, 6, 10, 11, 2, 15, 3, 16, 1, 14, 24, 18, 7, 9, 12, 17, 21, 22, 20, 23, 13],
     [14, 32, 8, 1, 10, 16, 17, 5, 23, 6]),
    ("Spieler-ü:1", 0, 3785, 261, 14, 11, "0111110011001011",
     [9, 15, 19, 24, 23, 14, 5, 7, 12, 13, 1, 0, 18, 2, 17, 21, 4, 6, 3, 20, 10, 11, 16, 8],
     [16, 25, 31, 40, 38, 27, 10, 14, 21, 22]),
    ("Spieler-ü:1", 77, 6891, 143, 25, 20, "1010010011111001",
     [17, 5, 23, 6, 7, 13, 12, 0, 20, 21, 22, 19, 11, 8, 4, 18, 3, 24, 14, 16, 10, 2, 15, 1],
     [28, 10, 39, 11, 13, 23, 20, 2, 34, 35]),
]  # fmt: skip

STAKE_TERMINATING = "78a9757d3be42b74a3f70239078ad9317125fe9ee630d5bdada46de963e56752"
STAKE_SALT = "0000000000000000001b34dc6a1e86083f95500b096231436e9b25cbdd0075c4"
# Games 1 to 6, found by walking from revealed game hashes (the 4 324 895th among them) to the published end.
STAKE_GAMES = [
    ("10304c25342b9287bc07e168fd8a245ed86be755ddac8cdab0f07d0bd8898906", 148),
    ("232f6107c3966e5c9cdaea5cf4dbb147264efd6c4475034ec3360a5764708876", 120),
    ("3bc338db090cdc644e0d421a61c7477365a3a04586865d843d5595cedec414f6", 125),
    ("4e7b8a8cfba5dabf48914e5b7e235197f6ac7c05fe3829e2b3322cbb7a7fee0f", 492),
    ("11247ff68cce2ce55f5f33db2227ba4a9d70c200f16de8228462d2b8aada080c", 247),
    ("bcccb75f510224f52e6f12de932749232add646f7bedae4226c31c039c76cf0e", 177),
]

BUSTABIT_TEXT_TERMINATING = "86728f5fc3bd99db94d3cdaf105d67788194e9701bf95d049ad0e1ee3d004277"
BUSTABIT_TEXT_SALT = "0000000000000000004d6ec16dafe9d8370958664c1dc422f452892264c59526"
BUSTABIT_TEXT_GAME_1000 = "216f014579a1cff543b210d0b03967a107a81f6a6240bb39927b453cb9791fa6"
# A game of that chain whose result, 2055.90, was made public with its hash.
BUSTABIT_TEXT_HIGH_GAME = "5d07719b61b0abb6f1c3b17b1d69c838278f87f9b5e75077026e5fedf96c2eb2"

BUSTABIT_RAW_TERMINATING = "567a98370fb7545137ddb53687723cf0b8a1f5e93b1f76f4a1da29416930fa59"
BUSTABIT_RAW_SALT = "00000000000000000001e08b7fd44f95e3e950ac65650a8031a6d5e1750e34be"
BUSTABIT_RAW_GAME_1 = "0983b27539508f34d90bf11d084e118d65bbc32798e059e53d2a95464b8bb7d6"
# Game 12 424 169 and, going back, the nine before it, with their published results.
BUSTABIT_RAW_LATEST = "4488d92d89d0ed7fbb2ea23b219d569f63207e32fc44b957858838835c1719f1"
BUSTABIT_RAW_RESULTS = [146, 556, 471, 4146, 188, 920, 116, 155, 1410, 109]


def test_the_commitment_is_over_the_text_of_the_seed_and_not_over_its_bytes() -> None:
    assert commitment_of(SERVER_SEED) == SERVER_SEED_HASH
    over_bytes = hashlib.sha256(bytes.fromhex(SERVER_SEED)).hexdigest()
    assert not is_commitment_kept(server_seed=SERVER_SEED, server_seed_hash=over_bytes)
    assert is_commitment_kept(server_seed=SERVER_SEED, server_seed_hash=SERVER_SEED_HASH.upper())
    assert not is_commitment_kept(server_seed=SERVER_SEED.upper(), server_seed_hash=SERVER_SEED_HASH)


@pytest.mark.parametrize(
    ("client", "nonce", "dice", "limbo", "roulette", "wheel", "plinko", "mines", "keno"), STREAM_VECTORS
)
def test_stream_games_give_what_javascript_gives(
    client: str,
    nonce: int,
    dice: int,
    limbo: int,
    roulette: int,
    wheel: int,
    plinko: str,
    mines: list[int],
    keno: list[int],
) -> None:
    assert draw_dice(SERVER_SEED, client, nonce) == dice
    assert draw_limbo(SERVER_SEED, client, nonce) == limbo
    assert draw_roulette(SERVER_SEED, client, nonce) == roulette
    assert draw_wheel(SERVER_SEED, client, nonce, 30) == wheel
    assert "".join(map(str, draw_plinko(SERVER_SEED, client, nonce, 16))) == plinko
    assert list(draw_mines(SERVER_SEED, client, nonce, 24)) == mines
    assert list(draw_mines(SERVER_SEED, client, nonce, 3)) == mines[:3]
    assert list(draw_keno(SERVER_SEED, client, nonce)) == keno


def test_the_ninth_word_comes_from_the_next_round_of_the_hash() -> None:
    words = stream_words(SERVER_SEED, "lucky7", 0, 9)
    assert len(set(words)) == 9
    assert stream_words(SERVER_SEED, "lucky7", 0, 8) == words[:8]


@pytest.mark.parametrize(
    ("word", "hundredths"),
    [
        (0, 9_900_000_000),
        (2**32 - 1, 100),
        (2**31, 197),
        # The exact quotient is 20 000 000; doubles in the site's order give one hundredth less.
        (21_218, 19_999_999),
    ],
)
def test_limbo_at_its_edges(word: int, hundredths: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(float_stream_module, "stream_words", lambda *_: (word,))
    assert draw_limbo("s", "c", 0) == hundredths


@pytest.mark.parametrize(("number", "game"), list(enumerate(STAKE_GAMES, start=1)))
def test_the_first_games_of_the_32bit_chain_end_at_its_published_hash(
    number: int, game: tuple[str, int]
) -> None:
    game_hash, hundredths = game
    assert steps_to_terminating(game_hash, STAKE_TERMINATING, limit=10) == number
    assert crash_point_32bit(game_hash, STAKE_SALT) == hundredths


def test_the_thousandth_game_of_the_52bit_text_chain_ends_at_its_published_hash() -> None:
    assert steps_to_terminating(BUSTABIT_TEXT_GAME_1000, BUSTABIT_TEXT_TERMINATING, limit=1000) == 1000
    assert steps_to_terminating(BUSTABIT_TEXT_GAME_1000, BUSTABIT_TEXT_TERMINATING, limit=999) is None


def test_a_published_result_of_the_52bit_text_chain_is_reproduced() -> None:
    assert crash_point_52bit(BUSTABIT_TEXT_HIGH_GAME, BUSTABIT_TEXT_SALT) == 205_590


def test_a_high_32bit_crash_point_is_what_javascript_gives() -> None:
    game_hash = hashlib.sha256(b"high game 1672").hexdigest()
    assert crash_point_32bit(game_hash, STAKE_SALT) == 1_934_388


@pytest.mark.parametrize(
    ("bits", "hundredths"),
    [
        (0, 100),
        (2**51, 198),
        (2**52 - 1, 99 * 2**52),
        # The exact quotient is just below 103; the published doubles round it up.
        (2**52 - 4_328_702_554_462_904, 103),
    ],
)
def test_the_52bit_multiplier_at_its_edges(bits: int, hundredths: int) -> None:
    assert multiplier_of_52_bits(bits) == hundredths


def test_ten_published_results_of_the_52bit_raw_chain_are_reproduced() -> None:
    game_hash = BUSTABIT_RAW_LATEST
    results = []
    for _ in BUSTABIT_RAW_RESULTS:
        results.append(crash_point_52bit(game_hash, BUSTABIT_RAW_SALT))
        game_hash = link_over_bytes(game_hash)
    assert results == BUSTABIT_RAW_RESULTS


def test_the_raw_chain_links_over_bytes_and_the_text_chain_over_text() -> None:
    assert link_over_bytes(BUSTABIT_RAW_GAME_1) == BUSTABIT_RAW_TERMINATING
    assert link_over_text(BUSTABIT_RAW_GAME_1) != BUSTABIT_RAW_TERMINATING
    assert link_over_text(STAKE_GAMES[0][0]) == STAKE_TERMINATING
    assert link_over_bytes(STAKE_GAMES[0][0]) != STAKE_TERMINATING


@pytest.mark.parametrize("length", [0, -1, 10_000_001])
def test_a_chain_of_no_games_or_too_many_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="a chain has 1 to"):
        build_chain("seed", length)


@pytest.mark.parametrize(
    ("roll", "target", "direction", "payout"),
    [
        (5051, 5050, "over", 200),
        (5050, 5050, "over", 0),
        (5049, 5050, "under", 196),
        (5050, 5050, "under", 0),
        (10_000, 9_999, "over", 990_099),
        (0, 1, "under", 990_099),
        (201, 200, "over", 101),
    ],
)
def test_dice_pays_99_percent_of_the_inverse_probability_rounded_down(
    roll: int, target: int, direction: str, payout: int
) -> None:
    assert dice_payout_hundredths(roll, target, "over" if direction == "over" else "under") == payout


@pytest.mark.parametrize(
    ("mines", "revealed", "payout"),
    [
        ([0], [1], 103),
        ([0, 1, 2], [3], 112),
        ([0, 1, 2], [3, 4, 5], 147),
        ([0, 1, 2], [3, 2], 0),
        (range(24), [24], 2475),
        ([0], range(1, 25), 2475),
        (range(12), range(12, 25), 514_829_700),
    ],
)
def test_mines_pays_99_percent_of_the_inverse_probability_rounded_down(
    mines: list[int], revealed: list[int], payout: int
) -> None:
    assert mines_payout_hundredths(list(mines), list(revealed)) == payout


@pytest.mark.parametrize(
    "bet",
    [
        lambda: dice_payout_hundredths(5, 10_000, "over"),
        lambda: dice_payout_hundredths(5, 0, "under"),
        lambda: dice_payout_hundredths(5, 9_801, "under"),
        lambda: mines_payout_hundredths([1], []),
        lambda: mines_payout_hundredths([1], [2, 2]),
        lambda: mines_payout_hundredths([1], [25]),
        lambda: mines_payout_hundredths([1], [-1]),
        lambda: mines_payout_hundredths(range(24), [23, 24]),
        lambda: crash_payout_hundredths(500, 100),
        lambda: crash_payout_hundredths(500, 100_000_001),
    ],
)
def test_a_bet_outside_its_limits_has_no_payout(bet: Callable[[], int]) -> None:
    with pytest.raises(ValueError, match=r"\d"):
        bet()


def test_crash_pays_the_chosen_multiplier_if_the_game_reached_it() -> None:
    assert [crash_payout_hundredths(point, 200) for point in (199, 200, 201)] == [0, 200, 200]


def test_a_win_is_rounded_down_and_exact_beyond_doubles() -> None:
    assert win_minor(1, 199) == 1
    assert win_minor(101, 147) == 148
    assert win_minor(10**20 + 1, 100) == 10**20 + 1
