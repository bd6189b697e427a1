"""Error answers of the service."""

from __future__ import annotations


class Refusal(Exception):
    """An error answer: HTTP status, stable code, and what was wrong."""

    def __init__(self, status: int, error: str, detail: str) -> None:
        super().__init__(f"{error}: {detail}")
        self.status = status
        self.error = error
        self.detail = detail
