"""Crash games on a chain of hashes that was fixed before the first game.

The operator hashes a secret many times and publishes the last, *terminating* hash. Games use the chain
from that end, so the hash of each game, hashed once more, is the hash of the game before it. A salt that
nobody could know when the chain was fixed (a later Bitcoin block's hash) takes the client seed's place.
Sources: the seeding events of stake.com (bitcointalk topic 5162888) and bustabit (2807542, 5560454).
"""

import hashlib
import hmac
import math
from collections.abc import Callable

MAX_CHAIN_LENGTH = 10_000_000

ChainLink = Callable[[str], str]

_RETURN_PERCENT = 99


def link_over_text(game_hash: str) -> str:
    """Hash the hex *text* of a game's hash: the previous game (stake.com, bustabit up to game 10 000 000)."""
    return hashlib.sha256(game_hash.encode()).hexdigest()


def link_over_bytes(game_hash: str) -> str:
    """Hash the *bytes* that a game's hash spells: the previous game (bustabit since game 10 000 001).

    Raises ValueError if the text is not hex.
    """
    return hashlib.sha256(bytes.fromhex(game_hash)).hexdigest()


def build_chain(seed: str, length: int, link: ChainLink = link_over_text) -> tuple[str, ...]:
    """Build a chain for `length` games: item 0 is the terminating hash, item n the hash of game n.

    Raises ValueError unless length is 1 to 10 000 000. The secret seed itself is no game's hash.
    """
    if not 1 <= length <= MAX_CHAIN_LENGTH:
        raise ValueError(f"a chain has 1 to {MAX_CHAIN_LENGTH} games, not {length}")
    hashes = [link_over_text(seed)]
    for _ in range(length):
        hashes.append(link(hashes[-1]))
    return tuple(reversed(hashes))


def steps_to_terminating(
    game_hash: str, terminating_hash: str, *, limit: int, link: ChainLink = link_over_text
) -> int | None:
    """Count the links from a game's hash to the terminating hash: its number, or None beyond `limit`."""
    current = game_hash
    for steps in range(1, limit + 1):
        current = link(current)
        if current == terminating_hash:
            return steps
    return None


def crash_point_32bit(game_hash: str, salt: str) -> int:
    """Compute where a game of stake.com's chain crashes, in hundredths, at least 100.

    HMAC-SHA256(key = game hash *text*, message = salt text), first 8 hex digits n: 0.99 * 2**32 / (n + 1).
    In integers: a quotient of these sizes that is not whole is too far from a whole number for the published
    doubles to round across, and where it is whole the published value shows as exactly that.
    """
    digest = hmac.new(game_hash.encode(), salt.encode(), hashlib.sha256).digest()
    return max(100, (_RETURN_PERCENT << 32) // (int.from_bytes(digest[:4], "big") + 1))


def crash_point_52bit(game_hash: str, salt: str) -> int:
    """Compute where a game of bustabit crashes, in hundredths, at least 100.

    HMAC-SHA256(key = salt text, message = the *bytes* of the game hash), first 13 hex digits as a fraction X
    of 2**52: floor(99 / (1 - X)). Key and message are swapped against the other scheme. Raises ValueError if
    the game hash is not hex.
    """
    digest = hmac.new(salt.encode(), bytes.fromhex(game_hash), hashlib.sha256).hexdigest()
    return multiplier_of_52_bits(int(digest[:13], 16))


def multiplier_of_52_bits(bits: int) -> int:
    """Turn 0 to 2**52 - 1 into bustabit's multiplier, in hundredths, at least 100.

    Doubles as published: they can round up to a whole number where integers would not.
    """
    return max(100, math.floor(_RETURN_PERCENT / (1 - bits / 2**52)))
