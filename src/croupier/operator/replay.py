"""Answers given again: the stored bytes, marked as a replay."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response

REPLAYED: Final = {"Idempotent-Replayed": "true"}


def answer_again(stored: tuple[int, str], *, is_repeat: bool) -> Response[Any]:
    """The answer kept under this Idempotency-Key, byte for byte; not marked when this very attempt made it."""
    status, body = stored
    headers = REPLAYED if is_repeat else None
    return Response(body.encode(), status_code=status, headers=headers, media_type="application/json")
