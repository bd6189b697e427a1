"""A token sent as it is with every request (Evolution and others): it says who calls and proves nothing else."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from .coverage import PARTS, Coverage
from .hmac_form import NOBODY
from .keys import SigningKey
from .matching import match_key, take_keys
from .refusal import RefusalReason, SignatureRefused, malformed

COVERAGE: Final = Coverage(
    scheme="static_token",
    covered=(),
    uncovered=PARTS,
    is_weak=True,
    weakness="the secret travels with every request: whoever reads one request can send any other",
)
MAX_TOKEN_BYTES: Final = 1024


def verify_static_token(keys: Iterable[SigningKey], presented: bytes | None) -> str:
    """The id of the key whose secret was presented; SignatureRefused missing, malformed (too long) or mismatch.

    `presented` is the token alone, without a scheme word. TypeError for a key that is not a shared secret, ValueError
    for more than `MAX_KEYS`: before the request is looked at.
    """
    held = take_keys(keys, SigningKey)
    if not presented:
        raise SignatureRefused(RefusalReason.MISSING, "there is no token")
    if len(presented) > MAX_TOKEN_BYTES:
        raise malformed(f"the token is longer than {MAX_TOKEN_BYTES} bytes")
    # Hashes have one length: comparing the tokens themselves would tell how long the secret is.
    claimed = sha256(presented).digest()
    return match_key(held, NOBODY, lambda key: hmac.compare_digest(sha256(key.secret).digest(), claimed))
