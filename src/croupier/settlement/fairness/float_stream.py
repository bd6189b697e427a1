"""The float stream of Stake and the many sites that copied it.

Bytes are HMAC-SHA256(key = server seed text, message = "client:nonce:round") for round 0, 1, 2 and so on;
four bytes make one number in [0, 1) with a 32-bit fraction. Source: the provably-fair pages of stake.com
(game events, conversions).

A word here is that number times 2**32, as an integer. `word * n >> 32` is exactly what the sites' double
precision `floor(f * n)` gives, because a 32-bit word times a small n fits the 53 bits of a double.
"""

import hashlib
import hmac
import math
from collections.abc import Sequence

DICE_OUTCOMES = 10_001
MINES_CELLS = 25
KENO_NUMBERS = 40
KENO_DRAWN = 10
PLINKO_ROWS = range(8, 17)
ROULETTE_POCKETS = 37
WHEEL_SEGMENTS = range(2, 101)

_WORDS_PER_ROUND = 8
_WORD_BITS = 32
_WORD_VALUES = 1 << _WORD_BITS
_LIMBO_MAXIMUM = 1e8
_LIMBO_RETURN = 0.99


def stream_words(server_seed: str, client_seed: str, nonce: int, count: int) -> tuple[int, ...]:
    """Give the first `count` 32-bit words of one bet; the ninth comes from round 1 of the hash."""
    rounds = -(-count // _WORDS_PER_ROUND)
    stream = b"".join(_round_bytes(server_seed, client_seed, nonce, number) for number in range(rounds))
    return tuple(int.from_bytes(stream[at : at + 4], "big") for at in range(0, 4 * count, 4))


def draw_dice(server_seed: str, client_seed: str, nonce: int) -> int:
    """Roll the dice: 0 to 10 000, in hundredths (0.00 to 100.00)."""
    return _below(DICE_OUTCOMES, stream_words(server_seed, client_seed, nonce, 1)[0])


def draw_limbo(server_seed: str, client_seed: str, nonce: int) -> int:
    """Draw the limbo multiplier, in hundredths, at least 100.

    The floor and the plus one are in the site's own client, though its help page leaves them out; the lower
    bound is on the page. Doubles in the site's order of operations: where the exact quotient is whole, they
    can land one hundredth below it.
    """
    (word,) = stream_words(server_seed, client_seed, nonce, 1)
    step = math.floor(word / _WORD_VALUES * _LIMBO_MAXIMUM) + 1
    return max(100, math.floor(_LIMBO_MAXIMUM / step * _LIMBO_RETURN * 100))


def draw_mines(server_seed: str, client_seed: str, nonce: int, mines: int) -> tuple[int, ...]:
    """Place the mines: that many different cells of 0 to 24, in the order drawn."""
    return _without_repeats(range(MINES_CELLS), stream_words(server_seed, client_seed, nonce, mines))


def draw_keno(server_seed: str, client_seed: str, nonce: int) -> tuple[int, ...]:
    """Draw ten different numbers of 1 to 40, in the order drawn."""
    words = stream_words(server_seed, client_seed, nonce, KENO_DRAWN)
    return _without_repeats(range(1, KENO_NUMBERS + 1), words)


def draw_plinko(server_seed: str, client_seed: str, nonce: int, rows: int) -> tuple[int, ...]:
    """Let the ball fall: 0 (left) or 1 (right) per row; the slot is the number of ones."""
    return tuple(_below(2, word) for word in stream_words(server_seed, client_seed, nonce, rows))


def draw_roulette(server_seed: str, client_seed: str, nonce: int) -> int:
    """Spin the European wheel: pocket 0 to 36."""
    return _below(ROULETTE_POCKETS, stream_words(server_seed, client_seed, nonce, 1)[0])


def draw_wheel(server_seed: str, client_seed: str, nonce: int, segments: int) -> int:
    """Spin a wheel of equal segments: index 0 to segments - 1."""
    return _below(segments, stream_words(server_seed, client_seed, nonce, 1)[0])


def _round_bytes(server_seed: str, client_seed: str, nonce: int, number: int) -> bytes:
    message = f"{client_seed}:{nonce}:{number}"
    return hmac.new(server_seed.encode(), message.encode(), hashlib.sha256).digest()


def _below(limit: int, word: int) -> int:
    return word * limit >> _WORD_BITS


def _without_repeats(choices: Sequence[int], words: Sequence[int]) -> tuple[int, ...]:
    remaining = list(choices)
    return tuple(remaining.pop(_below(len(remaining), word)) for word in words)
