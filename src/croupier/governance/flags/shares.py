"""Shares of players as people write and read them: `on`, `off`, or percent with up to two decimals."""

from __future__ import annotations

import re
from typing import Final

from croupier.governance.flags.rules import WHOLE

FORM: Final = "on, off, or a share of players such as 5, 12.5% or 0.25%"

_PERCENT: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))? ?%?")
_WORDS: Final = {"on": WHOLE, "off": 0}


def parse_share(text: str) -> int:
    """A share in basis points; ValueError says what it looks like."""
    if text in _WORDS:
        return _WORDS[text]
    found = _PERCENT.fullmatch(text)
    share = WHOLE + 1 if found is None else int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))
    if share > WHOLE:
        raise ValueError(f"a flag is {FORM}, at most 100%")
    return share


def render_share(share_bps: int | None) -> str:
    """A share for people; the default where nothing is said."""
    if share_bps is None:
        return "default"
    for word, value in _WORDS.items():
        if share_bps == value:
            return word
    whole, rest = divmod(share_bps, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") + "%" if rest else f"{whole}%"
