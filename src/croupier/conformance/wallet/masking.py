"""Exchanges as a report shows them: as HTTP, whole, and without what would let a reader sign."""

from __future__ import annotations

import re
from typing import Final

from croupier.conformance.wallet.caller import Exchange
from croupier_signing import SigningKey

MASK: Final = "***"
MOST_CHARACTERS: Final = 4_000
_SIGNATURE: Final = re.compile(r'(sig=")[A-Za-z0-9_-]+(")')


def render_exchange(exchange: Exchange, key: SigningKey, no_answer: str) -> tuple[str, str]:
    """Request and answer as text; `no_answer` stands where none came."""
    head, _, body = exchange.message.partition(b"\r\n\r\n")
    request = f"{_text(head)}\n\n{_cut(_text(body), len(body))}"
    answer = exchange.answer
    if answer.status == 0:
        return _masked(request, key), no_answer
    lines = [f"{_text(name)}: {_text(value)}" for name, value in answer.headers]
    text = "\n".join([f"HTTP/1.1 {answer.status}", *lines, "", _cut(_text(answer.body), len(answer.body))])
    return _masked(request, key), _masked(text, key)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace").replace("\r\n", "\n")


def _cut(text: str, size: int) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}… ({size} bytes)"


def _masked(text: str, key: SigningKey) -> str:
    hidden = _SIGNATURE.sub(rf"\1{MASK}\2", text)
    for secret in (key.secret.decode("latin-1"), key.secret.hex()):
        hidden = hidden.replace(secret, MASK)
    return hidden
