"""Which of several keys made a signature: every key is tried, so the time taken does not say which one did."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, TypeVar

from .keys import PrivateKey, PublicKey, SigningKey
from .refusal import RefusalReason, SignatureRefused, malformed

MAX_KEYS: Final = 8
"""Keys that one request may be tried with: two suffice for a rotation, and a forged request costs the work of all."""

K = TypeVar("K", SigningKey, PublicKey, PrivateKey)


def require_kind(key: object, kind: type[K]) -> K:
    """The key itself; TypeError when it is of a kind the scheme cannot use, which is a mistake of the program."""
    if not isinstance(key, kind):
        raise TypeError(f"this scheme takes a {kind.__name__}, not a {type(key).__name__}")
    return key


def take_keys(keys: Iterable[object], kind: type[K]) -> tuple[K, ...]:
    """The keys to try, in order; TypeError for another kind among them, ValueError for more than `MAX_KEYS`.

    Called before anything of the request is looked at, so that no request hides a mistake of the configuration.
    """
    taken = tuple(islice(keys, MAX_KEYS + 1))
    if len(taken) > MAX_KEYS:
        raise ValueError(f"a request is tried with at most {MAX_KEYS} keys")
    return tuple([require_kind(key, kind) for key in taken])


def read_signature(presented: bytes | None, shape: re.Pattern[bytes]) -> bytes:
    """The signature as sent, in the shape the scheme writes; SignatureRefused (missing, malformed) otherwise."""
    if not presented:
        raise SignatureRefused(RefusalReason.MISSING, "there is no signature")
    if shape.fullmatch(presented) is None:
        raise malformed("the signature does not have the length or the letters of this scheme")
    return presented


def match_key(keys: tuple[K, ...], nobody: K, is_signer: Callable[[K], bool]) -> str:
    """The id of the first key for which `is_signer` holds; SignatureRefused (mismatch) when there is none.

    All keys are tried whichever matches, and `nobody` when there are none: it never matches.
    """
    matched = [key.id for key in keys or (nobody,) if is_signer(key)]
    if not keys or not matched:
        raise SignatureRefused(RefusalReason.MISMATCH)
    return matched[0]
