"""What may be kept of a webhook that was turned away: enough to debug a set-up, nothing to act or pay with.

Nothing here parses: the bytes are a stranger's, and are only searched.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from croupier.inbox.deliveries import text_of
from croupier.providers.verification import Headers

EXCERPT_BYTES: Final = 2048
MAX_SHOWN: Final = 512
"""Longest text of one header that is kept."""
SHOWN_OF_SIGNATURE: Final = 8

MASK: Final = "***"
KEPT_HEADERS: Final = frozenset({
    b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"content-type", b"content-length",
    b"content-encoding", b"user-agent", b"traceparent", b"x-correlation-id",
})  # fmt: skip

_SIGNATURE: Final = b"webhook-signature"
_DELIVERY_ID: Final = b"webhook-id"
_READABLE_ID: Final = re.compile(rb"[!-~]{1,256}")
# A string, ended or cut off, with the colon that makes it a name; or a bare word.
_TEXT: Final = re.compile(r'"((?:[^"\\]|\\.)*+)("?)(\s*+:)?|(\w++)', re.DOTALL)
# Longer numbers may be those of a card or a telephone.
_BARE: Final = re.compile(r"true|false|null|[0-9]{1,12}")
_SHOWN_VALUES: Final = frozenset({"type", "timestamp"})
_LONGEST_VALUE: Final = 64
_ENCODER: Final = msgspec.json.Encoder()


def render_kept_headers(headers: Headers) -> str:
    """The headers that help, as a JSON array of pairs; of a signature only its beginning."""
    pairs = [(text_of(name), _shown(name, value)) for name, value in headers if name in KEPT_HEADERS]
    return _ENCODER.encode(pairs[: 2 * len(KEPT_HEADERS)]).decode()


def _shown(name: bytes, value: bytes) -> str:
    text = text_of(value[:MAX_SHOWN])
    if name != _SIGNATURE:
        return text
    return " ".join(part[:SHOWN_OF_SIGNATURE] + MASK if part else part for part in text.split(" "))


def find_delivery_id(headers: Headers) -> str | None:
    """The delivery id that a webhook claims; None when there is none, several, or one that nobody could read."""
    found = [value for name, value in headers if name == _DELIVERY_ID]
    if len(found) != 1 or _READABLE_ID.fullmatch(found[0]) is None:
        return None
    return found[0].decode()


def mask_body(body: bytes) -> str:
    """The beginning of a body whose texts are hidden, but for names and the values of `type` and `timestamp`.

    Total over any bytes. What is not JSON keeps its punctuation and short numbers.
    """
    text = body[:EXCERPT_BYTES].decode("utf-8", "replace").replace("\0", "\ufffd")
    name = ""

    def mask(found: re.Match[str]) -> str:
        nonlocal name
        inside, end, colon, word = found.groups()
        if word is not None:
            return word if _BARE.fullmatch(word) else MASK
        if colon:
            name = inside
            return found[0]
        is_shown = name in _SHOWN_VALUES and end and len(inside) <= _LONGEST_VALUE
        name = ""
        return found[0] if is_shown else f'"{MASK}{end}'

    return _TEXT.sub(mask, text)
