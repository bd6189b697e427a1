"""Answers given again: the stored bytes, marked as a replay."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response

REPLAYED: Final = {"Idempotent-Replayed": "true"}


def answer_again(stored: tuple[int, str]) -> Response[Any]:
    """The answer that this Idempotency-Key got before, byte for byte."""
    status, body = stored
    return Response(body.encode(), status_code=status, headers=REPLAYED, media_type="application/json")
