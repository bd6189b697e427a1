"""What every source of secrets says when it has none, and how large one may be."""

from __future__ import annotations

from typing import Final

LARGEST_SECRET_BYTES: Final = 65_536
STORE_CONNECT_S: Final = 2.0
STORE_ANSWER_S: Final = 3.0
"""How long a store over the network may take to be reached, and to answer."""


class SecretUnavailable(Exception):
    """A reference without a usable secret: `what` is wrong and `fix` says what to do; no value in either."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}; {fix}")
        self.what = what
        self.fix = fix
